//! Documentation, health and setup page over the real product, in process.

use std::net::SocketAddr;

use fastcms_core::{
    Caller,
    accounts::{NewUser, create_by_admin},
    app::{self, OlderSchema, Opening, Process, WithoutSecret},
    config::{Command, Config, Sources},
};
use fastcms_guard::{clock::SystemClock, ids::SystemRng};
use http::Request;
use http_body_util::BodyExt;
use regex::Regex;
use serde_json::Value;
use tower::ServiceExt;

use super::*;
use crate::edge::Edge;

struct Product {
    edge: Edge<Arc<App>>,
    app: Arc<App>,
    _folder: tempfile::TempDir,
}

struct Reply {
    status: u16,
    headers: http::HeaderMap,
    body: Bytes,
}

impl Reply {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Product {
    async fn start(environment: &str, debug: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = format!("sqlite:///{}/app.db", folder.path().display());
        let environment = [
            ("DATABASE_URL", database.as_str()),
            ("SECRET_KEY", "9f1c0a9be37d52680c1f9e4ab7d3365510e2c98f7ab6d4e3f2019c8b7a6d5e4f"),
            ("ENVIRONMENT", environment),
            ("DEBUG", debug),
            ("APP_HOST", "127.0.0.1"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let directory = folder.path().to_owned();
        let sources = Sources { environment, directory, ..Sources::default() };
        let opening = Opening {
            config: Config::load(&sources, Command::Serve).unwrap(),
            clock: Arc::new(SystemClock),
            rng: Arc::new(SystemRng),
            without_secret: WithoutSecret::Forget,
            older_schema: OlderSchema::Migrate,
            process: Process::Server,
            custody: None,
            alike_refusals: true,
        };
        let app = app::open(opening).await.unwrap();
        Self { edge: crate::api::edge(Arc::clone(&app)), app, _folder: folder }
    }

    async fn get(&self, path: &str) -> Reply {
        let peer: SocketAddr = ([127, 0, 0, 1], 5000).into();
        let request = Request::builder().uri(path).header("host", "localhost:8000").body(Body::empty()).unwrap();
        let (parts, body) = self.edge.service(peer).oneshot(request).await.unwrap().into_parts();
        Reply { status: parts.status.as_u16(), headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_load_nothing_but_what_is_served_here() {
    let product = Product::start("development", "true").await;
    let source = Regex::new(r#"(?:src|href)="([^"]+)""#).unwrap();
    for page in ["/docs", "/redoc"] {
        let reply = product.get(page).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, "text/html; charset=utf-8"), "{page}");
        let mut assets = 0;
        for (_, [path]) in source.captures_iter(reply.text()).map(|found| found.extract()) {
            if path.starts_with("data:") {
                continue;
            }
            assert_eq!(product.get(path).await.status, 200, "{path}");
            assets += 1;
        }
        assert!(assets >= 2, "{page}");
    }
    let script = product.get("/docs/swagger-ui-bundle.js").await;
    assert_eq!(script.header("content-encoding"), "gzip");
    assert_eq!(script.body[..2], [0x1f, 0x8b]);
    product.app.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_has_a_nonce_of_its_own_and_a_policy_without_holes() {
    let product = Product::start("development", "true").await;
    for page in ["/docs", "/redoc", "/admin/setup"] {
        let (one, two) = (product.get(page).await, product.get(page).await);
        let policy = one.header("content-security-policy");
        let nonce = policy.split("'nonce-").nth(1).and_then(|rest| rest.split('\'').next()).unwrap();
        assert!(one.text().contains(&format!("nonce=\"{nonce}\"")), "{page}");
        assert!(!one.text().contains("{{nonce}}"), "{page}");
        assert_ne!(policy, two.header("content-security-policy"), "{page}");
        assert!(
            policy.starts_with("default-src 'none'; ") && policy.contains("frame-ancestors 'none'"),
            "{page}: {policy}"
        );
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{page}: {policy}");
        assert_eq!(one.header("cache-control"), "no-store", "{page}");
    }
    product.app.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_served_document_describes_the_served_routes() {
    let product = Product::start("development", "true").await;
    let served = product.get("/openapi.json").await.json();
    let mut described = crate::api::document(&product.app);
    assert_ne!(served["servers"], described["servers"], "requests go to where the document came from");
    described["servers"] = served["servers"].clone();
    assert_eq!(served, described);
    assert_eq!(served["openapi"], "3.1.0");
    let operations = crate::api::operations();
    for operation in operations.iter().filter(|operation| !operation.docs.hidden) {
        let method = operation.method.as_str().to_ascii_lowercase();
        assert!(served["paths"][operation.path].get(&method).is_some(), "{method} {}", operation.path);
    }
    product.app.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_debug_there_is_no_documentation_and_no_version() {
    let product = Product::start("staging", "false").await;
    for path in ["/docs", "/redoc", "/openapi.json", "/docs/swagger-ui.css"] {
        assert_eq!(product.get(path).await.status, 404, "{path}");
    }
    let root = product.get("/").await.json();
    assert_eq!((&root["version"], &root["docs"]), (&Value::Null, &Value::Null));
    assert_eq!(product.get("/health").await.text(), r#"{"status":"healthy"}"#);
    assert_eq!(product.get("/api/v1/health").await.text(), r#"{"status":"healthy"}"#);
    assert_eq!(product.get("/health/live").await.text(), r#"{"status":"alive"}"#);
    assert_eq!(product.get("/health/ready").await.text(), r#"{"status":"ready"}"#);
    product.app.store.close().await;
    assert_eq!(product.get("/health/live").await.status, 200);
    let ready = product.get("/health/ready").await;
    assert_eq!((ready.status, ready.text()), (503, r#"{"status":"unavailable"}"#));
}

#[tokio::test(flavor = "multi_thread")]
async fn in_development_the_root_and_health_say_more() {
    let product = Product::start("development", "true").await;
    let root = product.get("/").await.json();
    assert_eq!((&root["message"], &root["docs"]), (&"FastCMS".into(), &"/docs".into()));
    assert!(root["version"].is_string());
    assert_eq!(product.get("/health").await.json()["environment"], "development");
    product.app.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_setup_page_is_found_until_there_is_an_admin() {
    let product = Product::start("development", "false").await;
    let found = product.get("/setup").await;
    assert_eq!((found.status, found.header("location")), (302, "/admin/setup"));
    let page = product.get("/admin/setup").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-security-policy").contains("require-trusted-types-for 'script'"));
    let admin = NewUser {
        email: "root@example.com".to_owned(),
        password: "Correct-Horse7-battery".to_owned().into(),
        name: None,
    };
    create_by_admin(&Caller::operator(), &product.app, admin, "admin").await.unwrap();
    for path in ["/setup", "/admin/setup"] {
        assert_eq!(product.get(path).await.status, 404, "{path}");
    }
    product.app.store.close().await;
}
