//! A double of Azure Key Vault and of those who issue tokens for it, Entra ID and the instance metadata service: over TLS, challenges
//! included. It speaks the protocol as far as Microsoft's own SDK for Python takes it for the real thing.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::listener::{Request, Said, Stream, serve};
use super::openbao::pem;
use crate::mails::certificate::Certificate;
use crate::process::Server;

/// The client secret that Entra ID takes.
pub const CLIENT_SECRET: &str = "the-client-secret-of-our-identity";

/// A running double. Its threads end with the process.
pub struct KeyVault {
    pub port: u16,
    pub metadata_port: u16,
    folder: TempDir,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    secrets: BTreeMap<String, Vec<Version>>,
    tokens: Vec<String>,
    /// What tokens are wanted for.
    resource: String,
    /// Secrets that our identity may not read.
    forbidden: Vec<String>,
    is_down: bool,
    /// Our identity may not write.
    is_read_only: bool,
    base: String,
}

struct Version {
    id: String,
    value: String,
    is_enabled: bool,
    created: i64,
}

impl KeyVault {
    pub fn start() -> Self {
        let (folder, own) = (TempDir::new().unwrap(), Certificate::for_name("localhost"));
        std::fs::write(folder.path().join("authority.pem"), pem("CERTIFICATE", &own.certificate)).unwrap();
        let provider = tokio_rustls::rustls::crypto::ring::default_provider();
        let config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![CertificateDer::from(own.certificate)], PrivateKeyDer::try_from(own.key).unwrap())
            .unwrap();
        let (vault, metadata) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let (port, metadata_port) = (vault.local_addr().unwrap().port(), metadata.local_addr().unwrap().port());
        let state = State {
            resource: "https://localhost".to_owned(),
            base: format!("https://localhost:{port}"),
            ..State::default()
        };
        let state = Arc::new(Mutex::new(state));
        let config = Arc::new(config);
        let tls = move |stream| -> Box<dyn Stream> {
            Box::new(StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream))
        };
        serve(vault, tls, answering(&state));
        serve(metadata, |stream| Box::new(stream), answering(&state));
        Self { port, metadata_port, folder, state }
    }

    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// Writes a new version.
    pub fn put(&self, name: &str, value: &str) {
        self.state.lock().unwrap().put(name, value);
    }

    /// Takes the newest version out of force.
    pub fn disable_newest(&self, name: &str) {
        self.state.lock().unwrap().secrets.get_mut(name).unwrap().last_mut().unwrap().is_enabled = false;
    }

    pub fn forbid(&self, name: &str) {
        self.state.lock().unwrap().forbidden.push(name.to_owned());
    }

    /// Wants tokens for something else from now on.
    pub fn want_tokens_for(&self, resource: &str) {
        resource.clone_into(&mut self.state.lock().unwrap().resource);
    }

    /// Ends every token that was issued.
    pub fn end_tokens(&self) {
        self.state.lock().unwrap().tokens.clear();
    }

    pub fn tokens_issued(&self) -> usize {
        self.state.lock().unwrap().tokens.len()
    }

    /// Lets our identity read, and only read.
    pub fn only_read(&self, is_read_only: bool) {
        self.state.lock().unwrap().is_read_only = is_read_only;
    }

    /// How many versions there are, disabled ones included.
    pub fn versions(&self, name: &str) -> usize {
        self.state.lock().unwrap().secrets[name].len()
    }

    /// Closes each connection before it answers, or answers again.
    pub fn down(&self, is_down: bool) {
        self.state.lock().unwrap().is_down = is_down;
    }

    /// A server whose signing key is here.
    pub fn server(&self, more: &[(&str, &str)]) -> Server {
        let mut server = Server::new(&[
            ("SECRET_KEY", &format!("azure-kv:localhost:{}/SECRET-KEY", self.port)),
            ("AZURE_AUTHORITY_HOST", &format!("https://localhost:{}", self.port)),
            ("AZURE_POD_IDENTITY_AUTHORITY_HOST", &format!("http://127.0.0.1:{}", self.metadata_port)),
            ("AZURE_TENANT_ID", "tenant"),
            ("AZURE_CLIENT_ID", "client"),
            ("AZURE_CLIENT_SECRET", CLIENT_SECRET),
            ("SSL_CERT_FILE", self.authority().to_str().unwrap()),
            ("SECRETS_REFRESH_SECONDS", &super::REFRESH.to_string()),
            ("SECRETS_BOOT_TIMEOUT", "2"),
            ("LOG_LEVEL", "INFO"),
        ]);
        server.set(more);
        server
    }
}

/// What the double says; nothing where it is down.
fn answering(state: &Arc<Mutex<State>>) -> impl Fn(&Request) -> Option<Said> + Send + Sync + 'static {
    let state = Arc::clone(state);
    move |request| {
        let mut state = state.lock().unwrap();
        let (status, challenge, body) = (!state.is_down).then(|| state.answer(request))?;
        Some((status, challenge, body.to_string()))
    }
}

type Answered = (u16, Option<String>, Value);

impl State {
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
            ["secrets", rest @ ..] => self.secret(request, rest),
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
