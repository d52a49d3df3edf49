//! The product under test: in process, behind its real edge, with a clock that stands still until it is moved.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::Body;
use fastcms::edge::{Connection, Edge};
use fastcms_core::App;
use fastcms_core::app::{self, OlderSchema, Opening, Process, WithoutSecret};
use fastcms_core::config::{Command, Config, Sources};
use fastcms_core::secrets;
use fastcms_guard::clock::{TestClock, Timestamp};
use fastcms_guard::ids::SystemRng;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;

use crate::callers::{Admin, Guest, User};
use crate::canary;
use crate::engine::Engine;
use crate::every_answer::{self, Shown};
use crate::process::{PASSWORD, SECRET};

/// When every test begins.
const START: Timestamp = Timestamp::from_seconds(1_780_000_000);

/// One running product.
pub struct Product {
    pub app: Arc<App>,
    pub clock: Arc<TestClock>,
    edge: Edge<Arc<App>>,
    url: String,
    folder: PathBuf,
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(&self.bytes)))
    }

    /// The stable code of an error body, or an empty text.
    pub fn code(&self) -> String {
        serde_json::from_slice::<Value>(&self.bytes)
            .ok()
            .and_then(|body| body["error"].as_str().map(str::to_owned))
            .unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The answer itself, once its status is the one expected.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.bytes));
        self
    }

    /// The answer itself, once it is this refusal.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Self {
        assert_eq!(
            (self.status.as_u16(), self.code().as_str()),
            (status, code),
            "{}",
            String::from_utf8_lossy(&self.bytes)
        );
        self
    }
}

impl Product {
    /// Starts on this database. Settings are those of a development server unless `settings` say otherwise.
    pub async fn start(url: &str, folder: &Path, settings: &[(&str, &str)]) -> Self {
        Self::start_at(url, folder, settings, Arc::new(TestClock::new(START)), true).await
    }

    async fn start_at(
        url: &str,
        folder: &Path,
        settings: &[(&str, &str)],
        clock: Arc<TestClock>,
        alike_refusals: bool,
    ) -> Self {
        canary::watch();
        let mut environment = vec![
            ("DATABASE_URL".to_owned(), url.to_owned()),
            ("SECRET_KEY".to_owned(), SECRET.to_owned()),
            ("BASE_URL".to_owned(), "http://localhost:8000".to_owned()),
            ("APP_HOST".to_owned(), "127.0.0.1".to_owned()),
            // Tests call faster than anybody; those about the limits turn them on.
            ("RATE_LIMIT_ENABLED".to_owned(), "false".to_owned()),
        ];
        environment.extend(canary::MARKED.map(|(name, marker)| (name.to_owned(), marker.to_owned())));
        for (name, value) in settings {
            environment.retain(|(known, _)| known != name);
            // An empty value takes a setting away.
            if !value.is_empty() {
                environment.push(((*name).to_owned(), (*value).to_owned()));
            }
        }
        let sources = Sources { environment, directory: folder.to_owned(), ..Sources::default() };
        let (sources, custody) = secrets::gather(sources, &SystemRng).await;
        let config = Config::load(&sources, Command::Serve).unwrap_or_else(|faults| panic!("{faults}"));
        let opening = Opening {
            config,
            clock: clock.clone(),
            rng: Arc::new(SystemRng),
            without_secret: WithoutSecret::Forget,
            older_schema: OlderSchema::Migrate,
            process: Process::Server,
            custody,
            alike_refusals,
        };
        let app = app::open(opening).await.unwrap_or_else(|error| panic!("{error}"));
        let edge = fastcms::api::edge(Arc::clone(&app));
        Self { app, clock, edge, url: url.to_owned(), folder: folder.to_owned() }
    }

    /// A further node on the same database and clock, with these settings.
    pub async fn with(&self, settings: &[(&str, &str)]) -> Self {
        Self::start_at(&self.url, &self.folder, settings, Arc::clone(&self.clock), true).await
    }

    /// The same, but its refusals of credentials take the time that they take.
    pub async fn with_telling_refusals(&self, settings: &[(&str, &str)]) -> Self {
        Self::start_at(&self.url, &self.folder, settings, Arc::clone(&self.clock), false).await
    }

    pub async fn close(&self) {
        self.app.store.close().await;
    }

    /// Sends one request from a stranger's loopback address.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        self.send_from(SocketAddr::from(([127, 0, 0, 1], 50_000)), request).await
    }

    /// The same from another peer.
    pub async fn send_from(&self, peer: SocketAddr, request: Request<Body>) -> Answer {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let (parts, body) = self.edge.answer(&Connection::new(peer), request).await.into_parts();
        let bytes = body.collect().await.expect("the body comes whole").to_bytes().to_vec();
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        assert_eq!(canary::found(&bytes), None, "a secret is in the answer to {method} {path}");
        assert_eq!(canary::found(format!("{:?}", parts.headers).as_bytes()), None, "in a header of {method} {path}");
        every_answer::check(&Shown {
            method: method.as_str(),
            path: &path,
            status: parts.status.as_u16(),
            headers: parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
            body: &bytes,
            production: Some(self.app.config.server.is_production()),
        });
        Answer { status: parts.status, headers: parts.headers, bytes }
    }

    /// Where the data lives.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The working directory, where a `.env` is read from.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn engine(&self) -> Engine {
        if self.url.starts_with("sqlite") { Engine::Sqlite } else { Engine::Postgres }
    }

    /// A caller without credential.
    pub fn guest(&self) -> Guest<'_> {
        Guest { product: self }
    }

    /// Makes the first admin, through setup.
    pub async fn admin(&self) -> Admin<'_> {
        let body = serde_json::json!({
            "email": "root@example.com", "password": PASSWORD, "password_confirm": PASSWORD, "name": "Root",
        });
        let answer = self.guest_call(Method::POST, "/api/v1/setup", Some(&body)).await.expect(200).json();
        Admin {
            product: self,
            id: text(&answer["user"]["id"]),
            token: text(&answer["token"]["access_token"]),
            tokens: answer["token"].clone(),
        }
    }

    /// Registers somebody. An admin must exist already.
    pub async fn user(&self, name: &str) -> User<'_> {
        let body = serde_json::json!({
            "email": format!("{name}@example.com"), "password": PASSWORD, "password_confirm": PASSWORD, "name": name,
        });
        let answer = self.guest_call(Method::POST, "/api/v1/auth/register", Some(&body)).await.expect(201).json();
        User {
            product: self,
            id: text(&answer["user"]["id"]),
            token: text(&answer["token"]["access_token"]),
            tokens: answer["token"].clone(),
        }
    }

    async fn guest_call(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        crate::callers::call(self, None, method, path, body).await
    }
}

/// A JSON value that must be a text.
#[track_caller]
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}")).to_owned()
}
