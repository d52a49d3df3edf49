//! What nobody issued opens nothing, on any route.

use http::{HeaderValue, Method, header};
use serde_json::{Value, json};

use super::KEY_B;
use super::corpus::{Model, forged};
use super::forge::{self, ACCESS, FILE, IMPERSONATION, REFRESH};
use crate::callers::{Bearer, Calls, request};
use crate::on_both_engines;
use crate::process::{SECRET, Server};
use crate::product::{Answer, Product, text};

const ME: &str = "/api/v1/auth/me";

on_both_engines!(
    no_forged_token_is_taken_on_any_route,
    no_forged_refresh_token_is_taken,
    each_kind_opens_its_own_place_alone,
    a_credential_in_a_url_is_refused,
);

fn model(product: &Product, token: &str, kind: (&'static str, &'static str)) -> Model {
    // A closed port: nobody may knock there. The process test below has somebody listen.
    Model { token: token.to_owned(), kind, now: product.app.now_seconds(), trap: "127.0.0.1:9".to_owned() }
}

/// Every route, with something in the place of each parameter.
fn routes() -> Vec<(Method, String)> {
    let filled = |path: &str| {
        let parts = path.split('/').map(|part| if part.starts_with('{') { "posts" } else { part });
        parts.collect::<Vec<_>>().join("/")
    };
    let all = fastcms::api::operations();
    all.iter().map(|operation| (operation.method().clone(), filled(operation.path()))).collect()
}

async fn present(product: &Product, token: &str, method: &Method, path: &str) -> Option<Answer> {
    let mut request = request(None, method.clone(), path, None);
    // What cannot stand in a header cannot be presented in one.
    let value = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
    request.headers_mut().insert(header::AUTHORIZATION, value);
    Some(product.send(request).await)
}

/// R8, R15 to R20, ASVS 9.1.
async fn no_forged_token_is_taken_on_any_route(product: &Product) {
    let admin = product.admin().await;
    let model = model(product, &admin.token, ACCESS);
    Bearer { product, token: model.twin() }.get(ME).await.expect(200);
    let routes = routes();
    assert!(routes.len() > 40, "{} routes", routes.len());
    for (what, token) in forged(&model) {
        for (method, path) in &routes {
            let Some(answer) = present(product, &token, method, path).await else { continue };
            // A token beyond the limit of a header field may end as too large a header.
            assert_eq!(answer.status, 401, "{what} on {method} {path}: {}", String::from_utf8_lossy(&answer.bytes));
            let challenge = answer.header("www-authenticate");
            assert_eq!(challenge, Some("Bearer error=\"invalid_token\""), "{what} on {method} {path}");
            if *method != Method::HEAD {
                assert_eq!(answer.code(), "invalid_token", "{what} on {method} {path}");
            }
        }
    }
    admin.get(ME).await.expect(200);
}

async fn no_forged_refresh_token_is_taken(product: &Product) {
    let admin = product.admin().await;
    let model = model(product, admin.tokens["refresh_token"].as_str().unwrap(), REFRESH);
    for (what, token) in forged(&model) {
        let body = json!({"refresh_token": token});
        let answer = product.guest().post("/api/v1/auth/refresh", &body).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "invalid_refresh_token"), "{what}");
        product.guest().post("/api/v1/auth/logout", &body).await.expect(204);
        assert_eq!(admin.get(ME).await.status, 200, "{what} ended a session");
    }
    admin.get(ME).await.expect(200);
    let body = json!({"refresh_token": model.twin()});
    product.guest().post("/api/v1/auth/refresh", &body).await.expect(200);
}

/// A place that takes tokens: what it takes, and what it answers to all others.
struct Place {
    kind: (&'static str, &'static str),
    refusal: (u16, &'static str),
}

impl Place {
    async fn present(&self, product: &Product, token: &str) -> Answer {
        match self.kind {
            REFRESH => product.guest().post("/api/v1/auth/refresh", &json!({"refresh_token": token})).await,
            _ => Bearer { product, token: token.to_owned() }.get(ME).await,
        }
    }
}

const PLACES: [Place; 2] = [
    Place { kind: ACCESS, refusal: (401, "invalid_token") },
    Place { kind: REFRESH, refusal: (401, "invalid_refresh_token") },
];

/// R9, R18: not even to who knows every key and edits whatever a claim says of the kind.
async fn each_kind_opens_its_own_place_alone(product: &Product) {
    let admin = product.admin().await;
    let (_, access) = forge::read(&admin.token);
    let (_, refresh) = forge::read(admin.tokens["refresh_token"].as_str().unwrap());
    let mut all = access.clone();
    for (name, value) in [("fam", &refresh["fam"]), ("file_id", &access["sub"])] {
        all[name] = value.clone();
    }
    let mut acted = all.clone();
    acted["act"] = json!({"sub": access["sub"]});
    for place in &PLACES {
        for kind in [ACCESS, REFRESH, FILE, IMPERSONATION] {
            // Claims that would do for any kind, so that the kind alone decides.
            let mut claims = if kind == IMPERSONATION { acted.clone() } else { all.clone() };
            if kind == REFRESH {
                claims["jti"] = refresh["jti"].clone();
            }
            let honest = forge::honest(SECRET, kind, &claims);
            // An impersonation acts at the place of access, once its session lives: this one never began.
            if kind == place.kind {
                continue;
            }
            let relabelled = forge::token(
                &forge::derive::<32>(SECRET, kind.1),
                forge::header(SECRET, place.kind),
                claims.to_string(),
            );
            let rekeyed = forge::token(
                &forge::derive::<32>(SECRET, place.kind.1),
                forge::header(SECRET, kind),
                claims.to_string(),
            );
            for (how, token) in
                [("as it is", honest), ("under the other's type", relabelled), ("under the other's key", rekeyed)]
            {
                let answer = place.present(product, &token).await;
                let found = (answer.status.as_u16(), answer.code());
                assert_eq!((found.0, found.1.as_str()), place.refusal, "{} for {}, {how}", kind.0, place.kind.0);
            }
        }
        // And its own opens it.
        let claims = if place.kind == REFRESH { &refresh } else { &access };
        place.present(product, &forge::honest(SECRET, place.kind, claims)).await.expect(200);
    }
}

/// R22.
async fn a_credential_in_a_url_is_refused(product: &Product) {
    let admin = product.admin().await;
    for name in ["access_token", "token", "api_key", "refresh_token", "Token", "%74oken"] {
        let path = format!("{ME}?{name}={}", admin.token);
        product.guest().get(&path).await.refused(400, "credential_in_url");
        admin.get(&path).await.refused(400, "credential_in_url");
    }
}

/// R17, R22, with a server in the place that the tokens point to.
#[test]
fn a_forged_token_is_neither_followed_nor_logged() {
    let trap = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let mut server = Server::new(&[("LOG_LEVEL", "DEBUG"), ("RATE_LIMIT_ENABLED", "false")]);
    server.start();
    let access = server.set_up();
    let body = json!({"email": "root@example.com", "password": crate::process::PASSWORD});
    let tokens: Value = server.call("POST", "/api/v1/auth/login", None, Some(&body)).json()["token"].clone();
    let now = jiff::Timestamp::now().as_second();
    let model =
        |token: &str, kind| Model { token: token.to_owned(), kind, now, trap: trap.local_addr().unwrap().to_string() };
    let mut sent = vec![access.clone(), text(&tokens["refresh_token"])];
    for (_, token) in forged(&model(&access, ACCESS)) {
        if token.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            assert_eq!(server.call("GET", ME, Some(&token), None).status, 401);
            sent.push(token);
        }
    }
    for (_, token) in forged(&model(tokens["refresh_token"].as_str().unwrap(), REFRESH)) {
        let body = json!({"refresh_token": token});
        assert_eq!(server.call("POST", "/api/v1/auth/refresh", None, Some(&body)).status, 401);
        sent.push(token);
    }
    assert!(
        matches!(trap.accept(), Err(nobody) if nobody.kind() == std::io::ErrorKind::WouldBlock),
        "a token was followed"
    );
    server.kill();
    let log = server.log();
    assert!(log.contains("listening"), "the log is where it is looked for");
    for token in sent {
        // Its signature, or what stands for it.
        let tail = token.rsplit('.').find(|part| part.len() >= 16).unwrap_or(&token);
        assert!(tail.len() < 16 || !log.contains(tail), "a token is in the log");
    }
    assert!(!log.contains(SECRET) && !log.contains(KEY_B));
}
