//! Who we are to the vault: logging in, staying logged in, and logging in again.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{Door, trouble};
use crate::document::SecretText;
use crate::https::{Answer, Request, fresh_token};
use crate::unresolved::Why;
use crate::{Secret, read_file};

/// A secret that we log in with.
#[derive(Debug, Clone)]
pub enum Given {
    /// The text itself.
    Text(Secret<String>),
    /// A file, read at each log-in.
    File(PathBuf),
}

/// How we log in.
#[derive(Debug, Clone)]
pub enum VaultLogin {
    /// With a token that somebody made for us.
    Token(Given),
    /// As a role of machines.
    AppRole {
        /// The role.
        role_id: String,
        /// What only we know.
        secret_id: Given,
        /// Whether that is a wrapping token, good once, behind which the real one lies.
        is_wrapped: bool,
    },
    /// With the token that Kubernetes keeps for our pod.
    Kubernetes {
        /// The role.
        role: String,
        /// The file of that token.
        token_file: PathBuf,
    },
    /// With a token of somebody whom the vault trusts.
    Jwt {
        /// The role.
        role: String,
        /// The file of that token.
        token_file: PathBuf,
    },
}

/// Keeps us logged in.
pub(super) struct Keeper {
    login: VaultLogin,
    mount: Option<String>,
    session: Mutex<Option<Session>>,
    /// What lay behind the wrapping token.
    unwrapped: Mutex<Option<Secret<String>>>,
}

/// A token, and how long it lasts.
struct Session {
    token: Secret<String>,
    /// When it was given; `None` for one that somebody made for us and that tells nothing of itself.
    lease: Option<Lease>,
}

struct Lease {
    given: Instant,
    lasts: Duration,
    /// How long it lasted when it was new: a renewal that brings much less has come to the end of all renewals.
    lasted: Duration,
    is_renewable: bool,
}

#[derive(Deserialize)]
struct LoggedIn {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    client_token: SecretText,
    lease_duration: u64,
    renewable: bool,
}

#[derive(Deserialize)]
struct LookedUp {
    data: Token,
}

#[derive(Deserialize)]
struct Token {
    ttl: u64,
    renewable: bool,
}

impl Lease {
    fn new(seconds: u64, is_renewable: bool) -> Option<Self> {
        let lasts = Duration::from_secs(seconds);
        // No seconds means no end.
        (seconds > 0).then(|| Self { given: Instant::now(), lasts, lasted: lasts, is_renewable })
    }

    /// When to renew: at two thirds.
    fn due(&self) -> Instant {
        self.given + self.lasts * 2 / 3
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.given + self.lasts
    }
}

impl Keeper {
    pub fn new(login: VaultLogin, mount: Option<String>) -> Self {
        Self { login, mount, session: Mutex::new(None), unwrapped: Mutex::new(None) }
    }

    /// The token to ask with.
    pub async fn token(&self, door: &Door) -> Result<Secret<String>, Why> {
        let mut session = self.session.lock().await;
        if let Some(session) =
            session.as_ref().filter(|session| session.lease.as_ref().is_none_or(|lease| !lease.is_over()))
        {
            return Ok(session.token.clone());
        }
        let fresh = self.log_in(door).await?;
        let token = fresh.token.clone();
        *session = Some(fresh);
        Ok(token)
    }

    /// A token that was given after this one was refused.
    pub async fn another_than(&self, door: &Door, refused: &Secret<String>) -> Result<Secret<String>, Why> {
        let mut session = self.session.lock().await;
        if session.as_ref().is_some_and(|session| session.token.expose() == refused.expose()) {
            *session = None;
        }
        drop(session);
        self.token(door).await
    }

    /// Renews the token where that is due; answers when it will be due again.
    pub async fn keep(&self, door: &Door) -> Option<Duration> {
        let mut held = self.session.lock().await;
        let session = held.as_mut()?;
        let lease = session.lease.as_mut()?;
        let now = Instant::now();
        if now >= lease.due() {
            let renewed = if lease.is_renewable { renew(door, &session.token).await } else { None };
            match renewed.filter(|seconds| Duration::from_secs(*seconds) * 10 >= lease.lasted) {
                Some(seconds) => (lease.given, lease.lasts) = (now, Duration::from_secs(seconds)),
                // The old one goes on until it ends; where logging in fails too, the next read says so.
                None => match self.log_in(door).await {
                    Ok(fresh) => *session = fresh,
                    Err(_) => return Some(Duration::from_secs(5)),
                },
            }
        }
        let due = session.lease.as_ref()?.due();
        Some(due.saturating_duration_since(Instant::now()).max(Duration::from_millis(500)))
    }

    async fn log_in(&self, door: &Door) -> Result<Session, Why> {
        let (usual, body) = match &self.login {
            VaultLogin::Token(given) => return look_up(door, text(given)?).await,
            VaultLogin::AppRole { role_id, secret_id, is_wrapped } => {
                let secret_id = if *is_wrapped { self.unwrap(door, secret_id).await? } else { text(secret_id)? };
                ("approle", json!({"role_id": role_id, "secret_id": secret_id.expose()}))
            }
            VaultLogin::Kubernetes { role, token_file } => {
                ("kubernetes", json!({"role": role, "jwt": fresh_token(token_file)?.expose()}))
            }
            VaultLogin::Jwt { role, token_file } => {
                ("jwt", json!({"role": role, "jwt": fresh_token(token_file)?.expose()}))
            }
        };
        let url = door.url(&format!("auth/{}/login", self.mount.as_deref().unwrap_or(usual)))?;
        let answer = door.ask(Request::post(&url, "application/json", body.to_string().into_bytes())).await?;
        match answer.status {
            200 => {}
            400 | 401 | 403 | 404 => return Err(Why::Denied(format!("the vault refuses our log-in by {usual}"))),
            _ => return Err(trouble(&answer)),
        }
        let Auth { client_token, lease_duration, renewable } = answer.json::<LoggedIn>()?.auth;
        Ok(Session { token: client_token.0, lease: Lease::new(lease_duration, renewable) })
    }

    /// What lies behind a wrapping token: it can be had once, so it is kept.
    async fn unwrap(&self, door: &Door, wrapping: &Given) -> Result<Secret<String>, Why> {
        #[derive(Deserialize)]
        struct Unwrapped {
            data: Data,
        }
        #[derive(Deserialize)]
        struct Data {
            secret_id: SecretText,
        }

        let mut unwrapped = self.unwrapped.lock().await;
        if let Some(known) = unwrapped.as_ref() {
            return Ok(known.clone());
        }
        let url = door.url("sys/wrapping/unwrap")?;
        let request = Request::post(&url, "application/json", Vec::new());
        let answer = door.ask(request.with("x-vault-token", text(wrapping)?.expose())).await?;
        match answer.status {
            200 => {}
            400 | 403 | 404 => {
                let message = "the wrapping token was used already or has ended: if it was not used by us, somebody else has our \
                               secret id, so revoke it and wrap another";
                return Err(Why::Denied(message.to_owned()));
            }
            _ => return Err(trouble(&answer)),
        }
        let SecretText(secret_id) = answer.json::<Unwrapped>()?.data.secret_id;
        *unwrapped = Some(secret_id.clone());
        Ok(secret_id)
    }
}

/// How many seconds the token lasts from now on.
async fn renew(door: &Door, token: &Secret<String>) -> Option<u64> {
    let url = door.url("auth/token/renew-self").ok()?;
    let request = Request::post(&url, "application/json", b"{}".to_vec());
    let answer = door.ask(request.with("x-vault-token", token.expose())).await.ok()?;
    let is_renewed = answer.status == 200;
    is_renewed.then(|| answer.json::<LoggedIn>().ok()).flatten().map(|renewed| renewed.auth.lease_duration)
}

/// A token that somebody made for us: how long it lasts is for it to say, if it may.
async fn look_up(door: &Door, token: Secret<String>) -> Result<Session, Why> {
    let url = door.url("auth/token/lookup-self")?;
    let answer: Answer = door.ask(Request::get(&url).with("x-vault-token", token.expose())).await?;
    let lease = match answer.status {
        200 => answer.json::<LookedUp>().ok().and_then(|it| Lease::new(it.data.ttl, it.data.renewable)),
        403 => None,
        _ => return Err(trouble(&answer)),
    };
    Ok(Session { token, lease })
}

fn text(given: &Given) -> Result<Secret<String>, Why> {
    match given {
        Given::Text(text) => Ok(text.clone()),
        Given::File(path) => read_file(path).map_err(|error| Why::NotConfigured(error.to_string())),
    }
}
