//! What the double of Azure says, in the process that it is: over TLS, challenges included. It goes by the protocol as far as
//! Microsoft's own SDK for Python takes it for the real thing. Secrets are kept in a file, tokens are not.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{CERTIFICATE, CLIENT_SECRET, KEY, ORDERS, Order, PORTS, Seen};
use crate::managers::listener::{Request, Said, Stream, serve};

/// The file that what was written is in, so that it outlives the process.
const KEPT: &str = "kept.json";

#[derive(Default, Serialize, Deserialize)]
struct State {
    secrets: BTreeMap<String, Vec<Version>>,
    #[serde(skip)]
    tokens: Vec<String>,
    /// What tokens are wanted for.
    resource: String,
    /// Secrets that our identity may not read.
    forbidden: Vec<String>,
    /// Our identity may not write.
    is_read_only: bool,
    base: String,
    #[serde(skip)]
    file: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Version {
    id: String,
    value: String,
    is_enabled: bool,
    created: i64,
}

/// Serves what is in this folder until the process is ended.
pub fn run(folder: &Path) -> ! {
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let provider = tokio_rustls::rustls::crypto::ring::default_provider();
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(read(CERTIFICATE))], PrivateKeyDer::try_from(read(KEY)).unwrap())
        .unwrap();
    let [port, metadata_port]: [u16; 2] = serde_json::from_slice(&read(PORTS)).unwrap();
    let file = folder.join(KEPT);
    let kept = std::fs::read(&file).ok().map(|kept| serde_json::from_slice(&kept).unwrap());
    let new = || State {
        resource: "https://localhost".to_owned(),
        base: format!("https://localhost:{port}"),
        ..State::default()
    };
    let state = Arc::new(Mutex::new(State { file, ..kept.unwrap_or_else(new) }));
    let bind = |port: u16| TcpListener::bind(("127.0.0.1", port)).unwrap();
    let config = Arc::new(config);
    let tls = move |stream| -> Box<dyn Stream> {
        Box::new(StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream))
    };
    serve(bind(port), tls, answering(&state));
    // Whoever started this process asks here whether it answers: last.
    serve(bind(metadata_port), |stream| Box::new(stream), answering(&state));
    loop {
        std::thread::park();
    }
}

fn answering(state: &Arc<Mutex<State>>) -> impl Fn(&Request) -> Option<Said> + Send + Sync + 'static {
    let state = Arc::clone(state);
    move |request| {
        let (status, challenge, body) = state.lock().unwrap().answer(request);
        Some((status, challenge, body.to_string()))
    }
}

type Answered = (u16, Option<String>, Value);

impl State {
    /// What whoever started the double wants of it.
    fn obey(&mut self, order: Order) -> Seen {
        match order {
            Order::Look => {}
            Order::Put(name, value) => drop(self.put(&name, &value)),
            Order::DisableNewest(name) => {
                self.secrets.get_mut(&name).and_then(|versions| versions.last_mut()).unwrap().is_enabled = false;
            }
            Order::Forbid(name) => self.forbidden.push(name),
            Order::WantTokensFor(resource) => self.resource = resource,
            Order::EndTokens => self.tokens.clear(),
            Order::OnlyRead(is_read_only) => self.is_read_only = is_read_only,
        }
        self.keep();
        let count = |(name, versions): (&String, &Vec<Version>)| (name.clone(), versions.len());
        Seen { tokens: self.tokens.len(), versions: self.secrets.iter().map(count).collect() }
    }

    /// A process that is killed in the middle of this leaves the file as it was.
    fn keep(&self) {
        let beside = self.file.with_extension("new");
        std::fs::write(&beside, serde_json::to_vec(self).unwrap()).unwrap();
        std::fs::rename(beside, &self.file).unwrap();
    }

    fn put(&mut self, name: &str, value: &str) -> String {
        let versions = self.secrets.entry(name.to_owned()).or_default();
        let id = format!("{:032x}", versions.len() + 1);
        let created = i64::try_from(versions.len()).unwrap() + 1_700_000_000;
        versions.push(Version { id: id.clone(), value: value.to_owned(), is_enabled: true, created });
        id
    }

    fn answer(&mut self, request: &Request) -> Answered {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        match parts.as_slice() {
            [tenant, .., "openid-configuration"] => {
                let at = |path: &str| format!("{}/{tenant}/{path}", self.base);
                let endpoints = json!({"token_endpoint": at("oauth2/v2.0/token"), "authorization_endpoint": at("authorize"), "issuer": at("v2.0")});
                (200, None, endpoints)
            }
            [_, "oauth2", "v2.0", "token"] => self.issue(&request.body),
            ["metadata", "identity", "oauth2", "token"] => {
                let mut asked = url::form_urlencoded::parse(query.as_bytes());
                let is_for_a_vault = asked.any(|(name, value)| name == "resource" && value.starts_with("https://"));
                if request.headers.get("metadata").map(String::as_str) != Some("true") || !is_for_a_vault {
                    return (400, None, json!({"error": "invalid_request"}));
                }
                self.token()
            }
            ["secrets", rest @ ..] => {
                let answered = self.secret(request, rest);
                if request.method != "GET" {
                    self.keep();
                }
                answered
            }
            [orders] if *orders == ORDERS => {
                (200, None, json!(self.obey(serde_json::from_str(&request.body).unwrap())))
            }
            _ => (404, None, json!({})),
        }
    }

    fn issue(&mut self, body: &str) -> Answered {
        let form: BTreeMap<_, _> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        let is = |name: &str, value: &str| form.get(name).map(String::as_str) == Some(value);
        let assertion = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        let is_workload = is("client_assertion_type", assertion) && is("client_assertion", "token-of-the-workload");
        let is_known = is("grant_type", "client_credentials") && (is("client_secret", CLIENT_SECRET) || is_workload);
        if is_known && form.get("scope").is_some_and(|scope| scope.ends_with("/.default")) {
            self.token()
        } else {
            (401, None, json!({"error": "invalid_client", "error_description": "AADSTS7000215"}))
        }
    }

    fn token(&mut self) -> Answered {
        let token = format!("token-{}", self.tokens.len() + 1);
        self.tokens.push(token.clone());
        // As text, which is what the metadata service does.
        (
            200,
            None,
            json!({"token_type": "Bearer", "access_token": token, "expires_in": "3599", "ext_expires_in": 3599}),
        )
    }

    fn secret(&mut self, request: &Request, rest: &[&str]) -> Answered {
        let bearer = request.headers.get("authorization").and_then(|value| value.strip_prefix("Bearer "));
        if !bearer.is_some_and(|bearer| self.tokens.iter().any(|token| token == bearer)) {
            let challenge = format!("Bearer authorization=\"{}/tenant\", resource=\"{}\"", self.base, self.resource);
            return (401, Some(challenge), json!({"error": {"code": "Unauthorized", "message": "AKV10000"}}));
        }
        let name = *rest.first().unwrap_or(&"");
        if self.forbidden.iter().any(|one| one == name) {
            return (403, None, json!({"error": {"code": "Forbidden", "innererror": {"code": "ForbiddenByRbac"}}}));
        }
        let base = format!("{}/secrets/{name}", self.base);
        let mut wanted = rest.get(1).copied().unwrap_or_default().to_owned();
        if self.is_read_only && request.method != "GET" {
            return (403, None, json!({"error": {"code": "Forbidden", "innererror": {"code": "ForbiddenByRbac"}}}));
        }
        let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
        if let (Some(is_enabled), "PATCH") = (body["attributes"]["enabled"].as_bool(), request.method.as_str()) {
            let mut versions = self.secrets.get_mut(name).into_iter().flatten();
            if let Some(version) = versions.find(|version| version.id == wanted) {
                version.is_enabled = is_enabled;
                return (200, None, json!({"id": format!("{base}/{wanted}"), "attributes": {"enabled": is_enabled}}));
            }
        }
        if request.method == "PUT" {
            wanted = self.put(name, body["value"].as_str().unwrap_or_default());
        }
        let absent = || (404, None, json!({"error": {"code": "SecretNotFound"}}));
        let Some(versions) = self.secrets.get(name) else { return absent() };
        let about = |version: &Version| json!({"enabled": version.is_enabled, "created": version.created, "updated": version.created, "recoveryLevel": "Recoverable"});
        if wanted == "versions" {
            // One a page, so that the rest has to be asked for.
            let skip = request.path.split_once("skip=").and_then(|(_, skip)| skip.parse::<usize>().ok()).unwrap_or(0);
            let page: Vec<Value> = versions
                .iter()
                .skip(skip)
                .take(1)
                .map(|version| json!({"id": format!("{base}/{}", version.id), "attributes": about(version)}))
                .collect();
            let next =
                (skip + 1 < versions.len()).then(|| format!("{base}/versions?api-version=7.4&skip={}", skip + 1));
            return (200, None, json!({"value": page, "nextLink": next}));
        }
        let found = versions.iter().rfind(|version| wanted.is_empty() || version.id == wanted);
        let Some(found) = found else { return absent() };
        if !found.is_enabled {
            return (403, None, json!({"error": {"code": "Forbidden", "innererror": {"code": "SecretDisabled"}}}));
        }
        (200, None, json!({"value": found.value, "id": format!("{base}/{}", found.id), "attributes": about(found)}))
    }
}
