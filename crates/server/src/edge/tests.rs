//! The edge from outside, in process: a tiny set of routes, no product behind it.

mod cookies;
mod limits;
mod order;
mod refusals;
mod routing;

use std::{net::SocketAddr, sync::Arc};

use axum::extract::State;
use fastcms_core::{Account, Principal, Realm, config::LimitHeaders};
use fastcms_guard::{
    address::{AddressPolicy, TrustedProxies},
    cookie::CookiePolicy,
    cors::CorsPolicy,
};
use http::StatusCode;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::{
    api::operation::{delete, get, patch, post},
    error::Answer,
    extract::{Admin, Anyone, Client, Id, Json, NoContent, Path, Query, QueryPairs, SignedIn, UsersAccount, Within},
    form, query,
};

/// A product that knows four tokens, and takes each for a cookie as well.
#[derive(Clone)]
pub(crate) struct House;

impl Backend for House {
    async fn authenticate(&self, bearer: &str) -> Result<Caller, Error> {
        let account = |role: &str| Account {
            id: "01912345-0000-7000-8000-000000000001".to_owned(),
            realm: Realm::Users,
            session: "s".to_owned(),
            email: "a@example.com".to_owned(),
            role: Some(role.to_owned()),
            verified: true,
            authenticated_at: 0,
            must_change_password: false,
            must_enrol: false,
            roles: fastcms_core::access::Permissions::NONE,
        };
        let account = match bearer {
            "user" => account("user"),
            "admin" => account("admin"),
            "stale" => Account { must_change_password: true, ..account("admin") },
            "member" => Account { realm: Realm::Collection("c".into()), ..account("admin") },
            _ => return Err(Error::InvalidToken),
        };
        Ok(Principal::Account(Arc::new(account)).into())
    }

    async fn authenticate_key(&self, key: &str, client: IpAddr) -> Result<Caller, Error> {
        if client == IpAddr::from([192, 0, 2, 66]) {
            return Err(Error::IpBlocked);
        }
        self.authenticate(key).await
    }

    async fn authenticate_cookie(&self, value: &str) -> Result<Caller, Error> {
        match value {
            "unknowable" => Err(Error::Unavailable("the store is away".to_owned())),
            value => self.authenticate(value).await,
        }
    }
}

form! {
    struct Login {
        email: String,
        attempts: Option<i64>,
        cookie: bool = false,
        kind as "type": Option<String>,
        tags: Option<Vec<Tag>>,
    }
}

form! {
    struct Tag {
        name: String,
    }
}

query! {
    struct Paging {
        page: Within<1, 1000> = Within(1),
        skip_total as "skipTotal": bool = false,
        sort: Option<String>,
    }
}

async fn login(_: Anyone, Json(login): Json<Login>) -> Json<Value> {
    let tags: Vec<String> = login.tags.unwrap_or_default().into_iter().map(|tag| tag.name).collect();
    Json(
        json!({"email": login.email, "attempts": login.attempts, "cookie": login.cookie, "kind": login.kind, "tags": tags}),
    )
}

async fn page(_: Anyone, Query(page): Query<Paging>) -> Json<Value> {
    Json(json!({"page": page.page.0, "skip_total": page.skip_total, "sort": page.sort}))
}

async fn thing(SignedIn(_): SignedIn, Path((house, Id(id))): Path<(String, Id)>) -> Json<Value> {
    Json(json!({"house": house, "id": id}))
}

async fn remove(_: Admin, _: Path<(String, Id)>) -> NoContent {
    NoContent
}

async fn me(user: UsersAccount) -> Json<Value> {
    Json(json!({"email": user.account().email}))
}

async fn client(_: Anyone, client: Client) -> Json<Value> {
    Json(json!({"address": client.address.to_string(), "secure": client.secure, "request_id": client.request_id}))
}

async fn panics(_: Anyone) -> NoContent {
    panic!("secret of the house")
}

async fn fails(_: Anyone) -> Answer<NoContent> {
    Err(Error::internal("secret of the house").into())
}

async fn sleeps(_: Anyone) -> NoContent {
    tokio::time::sleep(Duration::from_hours(1)).await;
    NoContent
}

async fn pairs(_: Anyone, _: State<House>, QueryPairs(pairs): QueryPairs) -> Json<Value> {
    Json(json!(pairs))
}

pub(crate) fn operations() -> Vec<Operation<House>> {
    vec![
        get("/health", client),
        post("/api/v1/login", login).summary("Sign in"),
        get("/api/v1/page", page),
        get("/api/v1/houses/{house}/things/{id}", thing),
        delete("/api/v1/houses/{house}/things/{id}", remove),
        get("/api/v1/me", me).before_password_change(),
        get("/api/v1/client", client),
        get("/api/v1/panics", panics),
        get("/api/v1/fails", fails),
        get("/api/v1/sleeps", sleeps),
        get("/api/v1/download", pairs).takes_file_token(),
        get("/api/v1/rules/{name}", pairs)
            .known_name(|_, params, name| params.get(0).as_deref() == Some("open") && name == "secret word"),
        get("/admin/", client),
        patch("/api/v1/login", login),
    ]
}

form! {
    struct Write {
        data: serde_json::Map<String, Value>,
    }
}

async fn write(_: Anyone, _: Path<String>, Json(write): Json<Write>) -> Json<Value> {
    Json(write.data.into())
}

async fn one_record(_: Anyone, _: Path<(String, Id)>) -> NoContent {
    NoContent
}

async fn list(_: Anyone, _: Path<String>, _: Query<Paging>) -> NoContent {
    NoContent
}

/// Record routes as the product has them.
pub(crate) fn generic_records() -> Vec<Operation<House>> {
    let object = || json!({"type": "object"});
    vec![
        get("/api/v1/collections/{c}/records", list).answers(200, "A page of records", object()),
        post("/api/v1/collections/{c}/records", write).answers(201, "The new record", object()),
        get("/api/v1/collections/{c}/records/{id}", one_record).answers(200, "The record", object()),
        delete("/api/v1/collections/{c}/records/{id}", one_record).answers_empty(204, "It is gone"),
        post("/api/v1/collections/{c}/records/batch", write),
    ]
}

pub(crate) fn settings() -> EdgeSettings {
    EdgeSettings {
        files_host: None,
        production: true,
        loopback: false,
        hosts: Some(vec!["cms.example.com".to_owned()]),
        cors: CorsPolicy::new(["https://app.example.com"], true).unwrap(),
        cookies: CookiePolicy { host_prefix: false, always_secure: true },
        own_origin: "https://cms.example.com".to_owned(),
        address: AddressPolicy { proxies: TrustedProxies::parse("10.0.0.0/8").unwrap(), ..AddressPolicy::default() },
        limit_headers: LimitHeaders::Both,
        max_body: 1000,
        max_file: 10_000,
    }
}

/// What came back.
#[derive(Debug)]
struct Reply {
    status: u16,
    headers: http::HeaderMap,
    body: Bytes,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON in {self:?}"))
    }

    fn code(&self) -> String {
        self.json()["error"].as_str().unwrap().to_owned()
    }
}

const PROXY: &str = "10.1.1.1:4000";

async fn send_from(peer: &str, settings: EdgeSettings, request: Request) -> Reply {
    let edge = Edge::new(House, operations(), settings);
    let peer: SocketAddr = peer.parse().unwrap();
    let (parts, body) = edge.service(peer).oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Reply { status: parts.status.as_u16(), headers: parts.headers, body }
}

/// A request as it comes from the TLS-terminating proxy in front.
fn request(method: &str, path: &str) -> http::request::Builder {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", "cms.example.com")
        .header("x-forwarded-for", "203.0.113.7")
        .header("x-forwarded-proto", "https")
}

async fn send(request: Request) -> Reply {
    send_from(PROXY, settings(), request).await
}

async fn call(method: &str, path: &str) -> Reply {
    send(request(method, path).body(Body::empty()).unwrap()).await
}

async fn call_as(token: &str, method: &str, path: &str) -> Reply {
    send(request(method, path).header("authorization", format!("Bearer {token}")).body(Body::empty()).unwrap()).await
}

async fn call_with(method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
    let request = headers.iter().fold(request(method, path), |request, (name, value)| request.header(*name, *value));
    send(request.body(Body::empty()).unwrap()).await
}

async fn send_json(path: &str, body: impl Into<Body>) -> Reply {
    send(request("POST", path).header("content-type", "application/json").body(body.into()).unwrap()).await
}

const SECURITY: [(&str, &str); 8] = [
    ("cross-origin-resource-policy", "same-origin"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("x-xss-protection", "0"),
    ("referrer-policy", "strict-origin-when-cross-origin"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("strict-transport-security", "max-age=31536000; includeSubDomains"),
    ("vary", "Origin"),
];

#[tokio::test]
async fn every_answer_carries_the_security_headers_and_a_fresh_id() {
    let origin = ("origin", "https://app.example.com");
    let asks = ("access-control-request-method", "POST");
    let long = format!("/api/v1/page?sort={}", "x".repeat(17_000));
    let answers = [
        call("GET", "/health").await,
        call("GET", "/nothing").await,
        call("PUT", "/health").await,
        call("GET", "/api/v1/me").await,
        call("GET", "/api/v1/panics").await,
        call("GET", "/api/v1/fails").await,
        call("GET", &long).await,
        call("GET", "/admin").await,
        call_with("OPTIONS", "/api/v1/login", &[origin, asks]).await,
        call_with("OPTIONS", "/api/v1/login", &[("origin", "https://evil.example"), asks]).await,
        send_json("/api/v1/login", "{").await,
        send_json("/api/v1/login", "x".repeat(2000)).await,
        send_from("203.0.113.9:1", settings(), request("GET", "/admin/").body(Body::empty()).unwrap()).await,
        send_from("203.0.113.9:1", settings(), request("GET", "/api/v1/page").body(Body::empty()).unwrap()).await,
    ];
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 404, 405, 401, 500, 500, 414, 307, 204, 400, 422, 413, 308, 403]);
    let mut ids = Vec::new();
    for answer in &answers {
        for (name, value) in SECURITY {
            assert_eq!(answer.header(name), Some(value), "{name} of {answer:?}");
        }
        assert!(answer.header("permissions-policy").is_some());
        let id = answer.header("x-request-id").unwrap();
        assert_eq!(id.len(), 32);
        ids.push(id);
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), answers.len());
}

#[tokio::test]
async fn an_incoming_request_id_is_not_taken_over() {
    let reply = call_with("GET", "/api/v1/client", &[("x-request-id", "mine")]).await;
    assert_ne!(reply.header("x-request-id"), Some("mine"));
    assert_eq!(reply.json()["request_id"], reply.header("x-request-id").unwrap());
}

#[tokio::test]
async fn answers_of_the_api_are_kept_by_nobody() {
    for path in ["/api/v1/page", "/api/v1/nothing", "/api/v1/fails"] {
        let reply = call("GET", path).await;
        assert_eq!(reply.header("cache-control"), Some("no-store, no-cache, must-revalidate, private"), "{path}");
        assert_eq!(reply.header("pragma"), Some("no-cache"));
    }
    assert_eq!(call("GET", "/health").await.header("cache-control"), None);
}

#[test]
fn development_sends_no_hsts() {
    let headers = outgoing::Headers::new(&EdgeSettings { production: false, ..settings() });
    let response = headers.finish(Response::new(Body::empty()), &RequestId::fresh(), &Seen::nothing(), Duration::ZERO);
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.headers().get("strict-transport-security").is_none());
    assert!(response.headers().get("x-frame-options").is_some());
}
