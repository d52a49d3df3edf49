//! What nobody issued opens nothing, on any route.

use http::{HeaderValue, Method, header};
use serde_json::{Value, json};

use super::KEY_B;
use super::corpus::{Model, forged};
use super::forge::{self, ACCESS, FILE, IMPERSONATION, REFRESH};
use super::procedure::{Tokens, register, unsigned, with_header};
use crate::callers::{Bearer, Calls, request};
use crate::files::{fetch, fetch_as, path, protected};
use crate::on_both_engines;
use crate::process::{SECRET, Server};
use crate::product::{Answer, Product, text};

const ME: &str = "/api/v1/auth/me";
const REFRESH_ROUTE: &str = "/api/v1/auth/refresh";

type Kind = (&'static str, &'static str);

const KINDS: [Kind; 4] = [ACCESS, REFRESH, FILE, IMPERSONATION];

on_both_engines!(
    no_forged_token_is_taken_on_any_route,
    no_forged_impersonation_token_is_taken_on_any_route,
    no_forged_refresh_token_is_taken,
    no_forged_file_token_opens_the_file,
    each_token_that_was_issued_opens_its_own_place_alone,
    each_kind_opens_its_own_place_alone,
    a_token_of_another_audience_is_refused,
    a_credential_in_a_url_is_refused,
    a_malformed_credential_is_refused_and_nothing_more,
);

/// One living token of each kind: an admin's, and one to act as anna.
struct Issued {
    tokens: [(Kind, String); 4],
    /// Where the bytes of the file are that the file token opens.
    download: String,
    anna: String,
}

impl Issued {
    async fn make(product: &Product) -> Self {
        let (admin, anna) = (product.admin().await, product.user("anna").await);
        let file = protected(&admin).await;
        let file_token = admin.post(&format!("{}/token", path(&file)), &json!({})).await.expect(200).json();
        let act = format!("/api/v1/admin/users/{}/impersonate", anna.id);
        let acting = admin.post(&act, &json!({"reason": "r"})).await.expect(200).json();
        Self {
            tokens: [
                (ACCESS, admin.token),
                (REFRESH, text(&admin.tokens["refresh_token"])),
                (FILE, text(&file_token["token"])),
                (IMPERSONATION, text(&acting["access_token"])),
            ],
            download: format!("{}/download", path(&file)),
            anna: anna.id,
        }
    }

    fn of(&self, kind: Kind) -> &str {
        self.tokens.iter().find(|(known, _)| *known == kind).map(|(_, token)| token.as_str()).expect("one of each")
    }

    fn claims(&self, kind: Kind) -> Value {
        forge::read(self.of(kind)).1
    }

    /// Presents a token where one of `place` belongs.
    async fn present(&self, product: &Product, place: Kind, token: &str) -> Answer {
        let bearer = Bearer { product, token: token.to_owned() };
        match place {
            REFRESH => product.guest().post(REFRESH_ROUTE, &json!({"refresh_token": token})).await,
            FILE => fetch(&product.guest(), &in_query(&self.download, token), &[]).await,
            // A route for who signed in, and for nobody who acts in their place.
            ACCESS => bearer.get("/api/v1/auth/sessions").await,
            _ => bearer.get(ME).await,
        }
    }

    /// Whether the answer is the one that a token of `place` gets there.
    fn is_open(&self, place: Kind, answer: &Answer) -> bool {
        // An access token says at the same door who its owner is: not the one acted as.
        answer.status == 200 && (place != IMPERSONATION || answer.json()["id"] == self.anna.as_str())
    }
}

fn refusal(place: Kind) -> (u16, &'static str) {
    match place {
        REFRESH => (401, "invalid_refresh_token"),
        FILE => (403, "invalid_file_token"),
        _ => (401, "invalid_token"),
    }
}

fn in_query(path: &str, token: &str) -> String {
    let token: String = url::form_urlencoded::byte_serialize(token.as_bytes()).collect();
    format!("{path}?token={token}")
}

fn model(product: &Product, token: &str, kind: Kind) -> Model {
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

async fn is_refused_on_every_route(product: &Product, model: &Model) {
    let routes = routes();
    assert!(routes.len() > 40, "{} routes", routes.len());
    for (what, token) in forged(model) {
        // Whether the process lives is told without a look at who asks.
        for (method, path) in routes.iter().filter(|(_, path)| path != "/health/live") {
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
}

/// R8, R15 to R20, ASVS 9.1; CVE-2023-22893 (signatures that nobody checked), CVE-2026-27840 (a truncated token that was taken).
async fn no_forged_token_is_taken_on_any_route(product: &Product) {
    let admin = product.admin().await;
    let model = model(product, &admin.token, ACCESS);
    Bearer { product, token: model.twin() }.get(ME).await.expect(200);
    is_refused_on_every_route(product, &model).await;
    admin.get(ME).await.expect(200);
}

async fn no_forged_impersonation_token_is_taken_on_any_route(product: &Product) {
    let issued = Issued::make(product).await;
    let model = model(product, issued.of(IMPERSONATION), IMPERSONATION);
    let twin = Bearer { product, token: model.twin() };
    assert_eq!(twin.get(ME).await.expect(200).json()["id"], issued.anna.as_str());
    is_refused_on_every_route(product, &model).await;
    twin.get(ME).await.expect(200);
}

/// On both routes that exchange one, and on those that end a session by one.
async fn no_forged_refresh_token_is_taken(product: &Product) {
    let admin = product.admin().await;
    admin.collection(&json!({"name": "members", "type": "auth", "create_rule": ""})).await;
    let body = json!({"email": "m@example.com", "password": crate::process::PASSWORD});
    let member = product.guest().post("/api/v1/collections/members/auth/register", &body).await.expect(201).json();
    let pair = &member["token"];
    let member = (Bearer { product, token: text(&pair["access_token"]) }, text(&pair["refresh_token"]));
    let admin = (Bearer { product, token: admin.token.clone() }, text(&admin.tokens["refresh_token"]));
    for (base, me, (owner, refresh)) in [
        ("/api/v1/auth", ME, &admin),
        ("/api/v1/collections/members/auth", "/api/v1/collections/members/auth/me", &member),
    ] {
        let model = model(product, refresh, REFRESH);
        for (what, token) in forged(&model) {
            let body = json!({"refresh_token": token});
            let answer = product.guest().post(&format!("{base}/refresh"), &body).await;
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "invalid_refresh_token"), "{what}");
            product.guest().post("/api/v1/auth/logout", &body).await.expect(204);
            assert_eq!(owner.get(me).await.status, 200, "{what} ended a session");
        }
        let body = json!({"refresh_token": model.twin()});
        product.guest().post(&format!("{base}/refresh"), &body).await.expect(200);
    }
}

/// R69: in the URL and in the header, whatever the method.
async fn no_forged_file_token_opens_the_file(product: &Product) {
    let issued = Issued::make(product).await;
    let model = model(product, issued.of(FILE), FILE);
    let guest = product.guest();
    let is_taken = async || {
        fetch(&guest, &in_query(&issued.download, &model.twin()), &[]).await.expect(200);
        fetch(&guest, &issued.download, &[("x-file-token", &model.twin())]).await.expect(200);
        fetch_as(&guest, Method::HEAD, &in_query(&issued.download, &model.twin()), &[]).await.expect(200);
    };
    is_taken().await;
    for (what, token) in forged(&model) {
        let answer = fetch(&guest, &in_query(&issued.download, &token), &[]).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "invalid_file_token"), "{what}");
        let answer = fetch_as(&guest, Method::HEAD, &in_query(&issued.download, &token), &[]).await;
        assert_eq!(answer.status, 403, "HEAD, {what}");
        if HeaderValue::from_str(&token).is_ok() {
            let answer = fetch(&guest, &issued.download, &[("x-file-token", &token)]).await;
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "invalid_file_token"), "{what}");
        }
    }
    is_taken().await;
}

/// R9: four kinds, four places, and only the diagonal.
async fn each_token_that_was_issued_opens_its_own_place_alone(product: &Product) {
    let issued = Issued::make(product).await;
    for place in KINDS {
        for kind in KINDS {
            let answer = issued.present(product, place, issued.of(kind)).await;
            assert_eq!(issued.is_open(place, &answer), kind == place, "{} for {}: {answer:?}", kind.0, place.0);
            match (place, kind) {
                _ if place == kind => {}
                // Both are presented as bearers: who acts is known, and may not see the sessions of either.
                (ACCESS, IMPERSONATION) => drop(answer.refused(403, "forbidden")),
                (IMPERSONATION, ACCESS) => drop(answer.expect(200)),
                _ => drop(answer.refused(refusal(place).0, refusal(place).1)),
            }
        }
    }
}

/// R9, R18: not even to who knows every key and edits whatever a claim says of the kind.
async fn each_kind_opens_its_own_place_alone(product: &Product) {
    let issued = Issued::make(product).await;
    for place in KINDS {
        let genuine = issued.claims(place);
        // Claims that would do for any kind, so that the kind alone decides.
        let mut all = Value::Object(serde_json::Map::default());
        for claims in KINDS.map(|kind| issued.claims(kind)).into_iter().chain([genuine.clone()]) {
            all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        }
        // An actor makes an access token another kind by itself.
        let fitting = |header: Kind| {
            let mut claims = all.clone();
            if header != IMPERSONATION {
                claims.as_object_mut().unwrap().remove("act");
            }
            claims.to_string()
        };
        for kind in KINDS.into_iter().filter(|kind| *kind != place) {
            for (how, typed, keyed) in [
                ("as it is", kind, kind),
                ("under the other's type", place, kind),
                ("under the other's key", kind, place),
            ] {
                let key = forge::derive::<32>(SECRET, keyed.1);
                let token = forge::token(&key, forge::header(SECRET, typed), fitting(typed));
                let answer = issued.present(product, place, &token).await;
                let found = (answer.status.as_u16(), answer.code());
                assert_eq!((found.0, found.1.as_str()), refusal(place), "{} for {}, {how}", kind.0, place.0);
            }
        }
        // And its own opens it.
        let answer = issued.present(product, place, &forge::honest(SECRET, place, &genuine)).await;
        assert!(issued.is_open(place, &answer), "{}: {answer:?}", place.0);
    }
}

/// CVE-2026-55669 (the audience that nobody compared), CVE-2026-25574 (one id in two collections of accounts), contract 2.2.
async fn a_token_of_another_audience_is_refused(product: &Product) {
    let issued = Issued::make(product).await;
    let admin = Bearer { product, token: issued.of(ACCESS).to_owned() };
    let mut ids = Vec::new();
    for name in ["members", "guests"] {
        let made = admin.post("/api/v1/collections", &json!({"name": name, "type": "auth", "create_rule": ""})).await;
        ids.push(text(&made.expect(201).json()["id"]));
    }
    for id in &ids {
        for kind in KINDS {
            let mut claims = issued.claims(kind);
            claims["aud"] = json!(format!("fastcms:collection:{id}"));
            let token = forge::honest(SECRET, kind, &claims);
            let answer = issued.present(product, kind, &token).await;
            drop(answer.refused(refusal(kind).0, refusal(kind).1));
        }
    }
    let body = json!({"email": "m@example.com", "password": crate::process::PASSWORD});
    let member = product.guest().post("/api/v1/collections/members/auth/register", &body).await.expect(201).json();
    let pair =
        [(ACCESS, "access_token"), (REFRESH, "refresh_token")].map(|(kind, name)| (kind, text(&member["token"][name])));
    for audience in ["fastcms:users".to_owned(), format!("fastcms:collection:{}", ids[1])] {
        for (kind, token) in &pair {
            let mut claims = forge::read(token).1;
            claims["aud"] = json!(audience);
            let token = forge::honest(SECRET, *kind, &claims);
            let bodies = json!({"refresh_token": token});
            for base in ["/api/v1/auth", "/api/v1/collections/members/auth", "/api/v1/collections/guests/auth"] {
                let answer = match *kind {
                    REFRESH => product.guest().post(&format!("{base}/refresh"), &bodies).await,
                    _ => Bearer { product, token: token.clone() }.get(&format!("{base}/me")).await,
                };
                assert_eq!(answer.status, 401, "{audience} at {base}");
            }
        }
    }
    for (at, wanted) in [("members", 200), ("guests", 401)] {
        let me = Bearer { product, token: pair[0].1.clone() }.get(&format!("/api/v1/collections/{at}/auth/me")).await;
        assert_eq!(me.status, wanted, "{at}");
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

/// CVE-2026-9803: a header that was cut where nothing stood.
async fn a_malformed_credential_is_refused_and_nothing_more(product: &Product) {
    product.admin().await;
    let (dots, long) = (format!("Bearer {}", ".".repeat(8_000)), format!("Bearer {}", "A".repeat(8_192)));
    let key = format!("fcms_00000000_{}", "0".repeat(8_000));
    let bearers: [&[u8]; 26] = [
        b"",
        b" ",
        b"=",
        b",",
        b"Bearer",
        b"Bearer ",
        b"Bearer  ",
        b"bearer\tx",
        b"BearerX y",
        b"Bearer .",
        b"Bearer ..",
        b"Bearer ...",
        b"Bearer a.b",
        b"Bearer a.b.c.d",
        b"Bearer null",
        b"Bearer {}",
        b"Bearer ,",
        b"Bearer a, Bearer b",
        b"Basic dXNlcjpwYXNz",
        b"Digest username=\"",
        b"Negotiate",
        b"Token x",
        b"\xff\xfe",
        b"Bearer \xc3\xa9",
        dots.as_bytes(),
        long.as_bytes(),
    ];
    let keys: [&[u8]; 9] =
        [b"", b"_", b"fcms", b"fcms_", b"fcms__", b"fcms_00000000_", b"fcms_00000000_0_0", b"\xff", key.as_bytes()];
    let all = bearers.map(|value| ("authorization", value)).into_iter().chain(keys.map(|value| ("x-api-key", value)));
    for (name, value) in all {
        for path in [ME, "/health", "/api/v1/nothing"] {
            let mut request = request(None, Method::GET, path, None);
            request.headers_mut().insert(name, HeaderValue::from_bytes(value).unwrap());
            let answer = product.send(request).await;
            let found = (answer.status.as_u16(), answer.code());
            assert_eq!(
                (found.0, found.1.as_str()),
                (401, "invalid_token"),
                "{name}: {}",
                String::from_utf8_lossy(value)
            );
        }
    }
}

/// R17, R22, R34, with a server in the place that the tokens point to: nobody asks it, and no token, cookie or key is in the log, in the
/// request log, or anywhere else in the database (CVE-2024-47822, CVE-2025-53886).
#[test]
fn a_forged_token_is_neither_followed_nor_logged() {
    let trap = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let mut server = Server::new(&[("LOG_LEVEL", "DEBUG"), ("RATE_LIMIT_ENABLED", "false")]);
    server.start();
    server.set_up();
    let issued = Tokens::make(&server, &register(&server, "anna"));
    let [access, refresh, file, impersonation] = issued.all();
    let [cookie, api_key] = unsigned(&server);
    // Ahead of the clock, so that what is yet to come stays so on a slow machine, and by less than the leeway.
    let now = jiff::Timestamp::now().as_second() + 50;
    let model =
        |token: &str, kind| Model { token: token.to_owned(), kind, now, trap: trap.local_addr().unwrap().to_string() };
    let mut sent: Vec<String> = issued.all().map(str::to_owned).to_vec();
    for (header, mark) in [(&cookie, '='), (&api_key, '_')] {
        assert_eq!(with_header(&server, header), 200);
        sent.push(header.rsplit(mark).next().unwrap().to_owned());
    }
    for kind in [ACCESS, IMPERSONATION] {
        let token = if kind == ACCESS { access } else { impersonation };
        for (_, token) in forged(&model(token, kind)) {
            if token.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
                assert_eq!(server.call("GET", ME, Some(&token), None).status, 401);
                sent.push(token);
            }
        }
    }
    for (_, token) in forged(&model(refresh, REFRESH)) {
        let body = json!({"refresh_token": token});
        assert_eq!(server.call("POST", REFRESH_ROUTE, None, Some(&body)).status, 401);
        sent.push(token);
    }
    for (_, token) in forged(&model(file, FILE)) {
        let answer = server.call("GET", &in_query(issued.download(), &token), None, None);
        assert_eq!((answer.status, answer.json()["error"].as_str()), (403, Some("invalid_file_token")));
        sent.push(token);
    }
    // The ones that are good too, wherever they belong.
    issued.are_taken(&server);
    assert!(
        matches!(trap.accept(), Err(nobody) if nobody.kind() == std::io::ErrorKind::WouldBlock),
        "a token was followed"
    );
    assert!(server.terminate().0.success());
    let log = server.log();
    assert!(log.contains("listening"), "the log is where it is looked for");
    let stored =
        ["app.db", "app.db-wal"].map(|name| std::fs::read(server.folder.path().join(name)).unwrap_or_default());
    let stored: Vec<String> = stored.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect();
    assert!(stored[0].contains("/download"), "the request log is where it is looked for");
    for token in sent {
        // Its signature, or what stands for it.
        let tail = token.rsplit('.').find(|part| part.len() >= 16).unwrap_or(&token);
        for text in stored.iter().chain([&log]) {
            assert!(tail.len() < 16 || !text.contains(tail), "a token is in a log");
        }
    }
    assert!(!log.contains(SECRET) && !log.contains(KEY_B));
}
