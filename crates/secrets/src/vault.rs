//! Vault and `OpenBao`: the secrets engine KV version 2 (<https://openbao.org/api-docs/secret/kv/kv-v2/>).

mod login;
mod transit;

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use url::Url;

use crate::Secret;
use crate::document::{Content, Document, Member};
use crate::https::{Answer, Https, Request};
use crate::replacement::Unwritten;
use crate::unresolved::Why;
use login::Keeper;
pub use login::{Given, VaultLogin};

/// How a server is reached and who we are to it.
#[derive(Debug, Clone)]
pub struct VaultSettings {
    /// Its address.
    pub address: Url,
    /// The namespace that everything is in.
    pub namespace: Option<String>,
    /// A PEM file of authorities that its certificate may come from; none: those of the system.
    pub authorities: Option<PathBuf>,
    /// How we log in.
    pub login: VaultLogin,
    /// Where that way of logging in is mounted, if not at its usual place.
    pub login_mount: Option<String>,
}

/// A server of secrets.
pub(crate) struct Vault {
    door: Door,
    keeper: Keeper,
}

/// The way to the server, whoever goes.
pub(crate) struct Door {
    https: Https,
    address: Url,
    namespace: Option<String>,
}

/// What a read answers.
#[derive(Deserialize)]
struct Read {
    data: Option<Inner>,
}

#[derive(Deserialize)]
struct Inner {
    data: Option<std::collections::BTreeMap<String, Member>>,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    version: u32,
    created_time: String,
}

impl Vault {
    pub fn new(settings: VaultSettings) -> Result<Self, Why> {
        let VaultSettings { address, namespace, authorities, login, login_mount } = settings;
        let https = Https::new(authorities.as_deref())?;
        Ok(Self { door: Door { https, address, namespace }, keeper: Keeper::new(login, login_mount) })
    }

    /// One version of a secret; none: the newest.
    pub async fn read(&self, mount: &str, path: &str, version: Option<u32>) -> Result<Document, Why> {
        let mut url = self.door.url(&format!("{mount}/data/{path}"))?;
        if let Some(version) = version {
            url.set_query(Some(&format!("version={version}")));
        }
        let answer = self.ask_as_ourselves(|| Request::get(&url)).await?;
        match answer.status {
            200 => {}
            403 => {
                return Err(Why::Denied(
                    "the policy of our token does not allow this path, or the token is no longer good".to_owned(),
                ));
            }
            404 => return Err(Why::NotFound(absence(&answer).to_owned())),
            _ => return Err(trouble(&answer)),
        }
        let inner = answer.json::<Read>()?.data;
        let Some((Some(members), metadata)) = inner.map(|inner| (inner.data, inner.metadata)) else {
            return Err(Why::NotFound("this version was deleted".to_owned()));
        };
        let created = metadata.created_time.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second);
        Ok(Document { content: Content::Members(members), label: metadata.version.to_string(), created })
    }

    /// Writes a new version with another value of one field, provided the newest is still this one. What else is in it the vault
    /// copies by itself: neither must we be able to read all of it, nor can we lose any of it.
    pub async fn replace(
        &self,
        (mount, path, field): (&str, &str, &str),
        newest: u32,
        fresh: &Secret<String>,
    ) -> Result<(), Unwritten> {
        let url = self.door.url(&format!("{mount}/data/{path}"))?;
        let body = json!({"options": {"cas": newest}, "data": {field: fresh.expose()}}).to_string().into_bytes();
        let body = Secret::new(body);
        let answer = self.ask_as_ourselves(|| {
            Request { method: "PATCH", url: &url, headers: Vec::new(), body: body.clone() }
                .with("content-type", "application/merge-patch+json")
        });
        let answer = answer.await?;
        let is_cas = || String::from_utf8_lossy(answer.body.expose()).contains("check-and-set parameter did not match");
        match answer.status {
            200 | 204 => Ok(()),
            400 if is_cas() => Err(Unwritten::Conflict),
            403 => Err(Unwritten::Denied(format!("the capability `patch` on `{mount}/data/{path}`"))),
            404 => Err(Why::NotFound(absence(&answer).to_owned()).into()),
            405 | 415 => Err(Why::Unusable("this vault is too old to change one field".to_owned()).into()),
            _ => Err(trouble(&answer).into()),
        }
    }

    /// A token may have ended before its time was up: a refusal is believed only from a fresh one.
    async fn ask_as_ourselves<'r>(&self, request: impl Fn() -> Request<'r>) -> Result<Answer, Why> {
        let token = self.keeper.token(&self.door).await?;
        let answer = self.door.ask(request().with("x-vault-token", token.expose())).await?;
        if answer.status != 403 {
            return Ok(answer);
        }
        let fresh = self.keeper.another_than(&self.door, &token).await?;
        self.door.ask(request().with("x-vault-token", fresh.expose())).await
    }

    /// Renews the token where that is due; answers when it will be due again.
    pub async fn keep(&self) -> Option<Duration> {
        self.keeper.keep(&self.door).await
    }
}

impl Door {
    fn url(&self, path: &str) -> Result<Url, Why> {
        let mut url = self.address.clone();
        url.path_segments_mut()
            .map_err(|()| Why::NotConfigured("the address of the vault cannot carry a path".to_owned()))?
            .pop_if_empty()
            .push("v1")
            .extend(path.split('/'));
        Ok(url)
    }

    async fn ask(&self, request: Request<'_>) -> Result<Answer, Why> {
        let mut request = request.with("x-vault-request", "true");
        if let Some(namespace) = &self.namespace {
            request = request.with("x-vault-namespace", namespace.as_str());
        }
        self.https.ask(request).await
    }
}

/// What is missing: a version that was deleted has metadata still.
fn absence(answer: &Answer) -> &'static str {
    match answer.json::<Read>() {
        Ok(Read { data: Some(_) }) => "this version was deleted",
        _ => "no such secret, or no such mount of KV version 2",
    }
}

/// What a status says that is neither a yes nor a no.
fn trouble(answer: &Answer) -> Why {
    match answer.status {
        501 | 503 => Why::Sealed,
        472 | 473 => Why::Unreachable("a standby that does not forward".to_owned()),
        _ => answer.refused("the vault"),
    }
}
