//! API keys from outside: making, using, scoping, rotating and ending them (contract 5.4).

mod rights;
mod scopes;

use serde_json::{Value, json};

use crate::callers::{Bearer, Calls, Program};
use crate::on_both_engines;
use crate::product::{Product, text};

pub const KEYS: &str = "/api/v1/api-keys";
pub const ME: &str = "/api/v1/auth/me";

on_both_engines!(
    a_key_is_shown_once_and_found_again_by_its_head,
    what_a_key_cannot_be_is_said_under_its_field,
    a_change_counts_from_the_next_use,
    a_key_ends_when_it_is_told_to,
    a_rotated_key_works_beside_its_successor_until_the_overlap_ends,
    rotating_without_overlap_ends_every_earlier_text,
    a_key_comes_from_its_networks_only,
    the_last_use_is_noted_to_the_minute,
    two_credentials_are_refused,
    keys_are_their_owners_alone,
    a_key_outlives_a_change_of_the_signing_key,
    there_are_at_most_a_thousand,
    only_hashes_are_stored,
);

/// Makes a key; it must be accepted. The answer.
pub async fn make(owner: &impl Calls, body: &Value) -> Value {
    owner.post(KEYS, body).await.expect(201).json()
}

pub fn program<'p>(product: &'p Product, made: &Value) -> Program<'p> {
    Program { product, key: text(&made["key"]) }
}

fn path(made: &Value) -> String {
    format!("{KEYS}/{}", text(&made["id"]))
}

async fn a_key_is_shown_once_and_found_again_by_its_head(product: &Product) {
    let admin = product.admin().await;
    let made = make(&admin, &json!({"name": "ci"})).await;
    let key = text(&made["key"]);
    let form = regex::Regex::new("^fcms_[0-9a-f]{8}_[0-9a-f]{32}$").unwrap();
    assert!(form.is_match(&key));
    assert_eq!(made["key_prefix"], json!(format!("{}_****", &key[..13])));
    let names: Vec<&String> = made.as_object().unwrap().keys().collect();
    let expected = [
        "id",
        "name",
        "key",
        "key_prefix",
        "scopes",
        "expires_at",
        "allowed_cidrs",
        "rate_limit_per_minute",
        "created",
        "message",
    ];
    assert_eq!(sorted(&names), sorted(&expected.map(str::to_owned).iter().collect::<Vec<_>>()));
    assert_eq!((&made["scopes"], &made["expires_at"], &made["allowed_cidrs"]), (&json!("*"), &Value::Null, &json!([])));

    let listed = admin.get(KEYS).await.expect(200).json();
    let shown = json!([{
        "id": made["id"], "name": "ci", "key_prefix": made["key_prefix"], "scopes": "*", "active": true,
        "expires_at": null, "allowed_cidrs": [], "rate_limit_per_minute": null, "last_used_at": null,
        "last_used_ip": null, "created": made["created"],
    }]);
    assert_eq!(listed, shown);
    assert_eq!(admin.get(&path(&made)).await.expect(200).json(), shown[0]);
    let secret = &key[14..];
    assert!(!String::from_utf8(admin.get(KEYS).await.bytes).unwrap().contains(secret));
    assert_eq!(program(product, &made).get(ME).await.expect(200).json()["email"], "root@example.com");
}

fn sorted(names: &[&String]) -> Vec<String> {
    let mut names: Vec<String> = names.iter().map(|name| (*name).clone()).collect();
    names.sort();
    names
}

async fn what_a_key_cannot_be_is_said_under_its_field(product: &Product) {
    product.admin().await;
    let user = product.user("anna").await;
    for (body, field, message) in [
        (json!({}), "name", "This field is required"),
        (json!({"name": ""}), "name", "Minimum length is 1"),
        (json!({"name": "x".repeat(256)}), "name", "Maximum length is 255"),
        (json!({"name": "a\u{0}b"}), "name", "Must not contain NUL"),
        (json!({"name": "k", "scopes": "users:read"}), "scopes", "Unknown scope: users:read"),
        (json!({"name": "k", "scopes": ""}), "scopes", "Unknown scope: "),
        (
            json!({"name": "k", "scopes": "records.nothing:read"}),
            "scopes",
            "Unknown scope: there is no collection nothing",
        ),
        (json!({"name": "k", "expires_at": "tomorrow"}), "expires_at", "Invalid date format"),
        (json!({"name": "k", "expires_at": "2020-01-01T00:00:00Z"}), "expires_at", "Must be in the future"),
        (json!({"name": "k", "rate_limit_per_minute": 0}), "rate_limit_per_minute", "Minimum value is 1"),
        (json!({"name": "k", "rate_limit_per_minute": 101}), "rate_limit_per_minute", "Maximum value is 100"),
        (json!({"name": "k", "user_id": "x"}), "user_id", "Unknown field"),
    ] {
        let answer = user.post(KEYS, &body).await.refused(422, "validation_failed").json();
        assert_eq!(answer["details"][field], json!(message), "{body}");
    }
    for networks in [json!(["10.0.0.0/33"]), json!(["anywhere"]), json!(vec!["10.0.0.1"; 101])] {
        let body = json!({"name": "k", "allowed_cidrs": networks});
        let answer = user.post(KEYS, &body).await.refused(422, "validation_failed").json();
        assert!(answer["details"]["allowed_cidrs"].is_string(), "{answer}");
    }
    // Everything at once.
    let answer =
        user.post(KEYS, &json!({"name": "", "scopes": "x", "expires_at": "y"})).await.refused(422, "validation_failed");
    assert_eq!(answer.json()["details"].as_object().unwrap().len(), 3);
    assert_eq!(user.get(KEYS).await.expect(200).json(), json!([]));
}

async fn a_change_counts_from_the_next_use(product: &Product) {
    let admin = product.admin().await;
    let made = make(&admin, &json!({"name": "ci"})).await;
    let program = program(product, &made);
    program.get(ME).await.expect(200);
    let changed = admin.patch(&path(&made), &json!({"name": "cd", "scopes": "records:read"})).await.expect(200).json();
    assert_eq!((&changed["name"], &changed["scopes"]), (&json!("cd"), &json!("records:read")));
    program.get(ME).await.refused(403, "insufficient_scope");
    admin.patch(&path(&made), &json!({"scopes": "*", "active": false})).await.expect(200);
    program.get(ME).await.refused(401, "invalid_token");
    admin.patch(&path(&made), &json!({"active": true})).await.expect(200);
    program.get(ME).await.expect(200);
    // Null changes nothing.
    let same =
        admin.patch(&path(&made), &json!({"name": null, "scopes": null, "active": null})).await.expect(200).json();
    assert_eq!((&same["name"], &same["active"]), (&json!("cd"), &json!(true)));
}

async fn a_key_ends_when_it_is_told_to(product: &Product) {
    let admin = product.admin().await;
    let in_a_minute = fastcms_core::time::stamp(product.app.now_millis() + 60_000);
    let made = make(&admin, &json!({"name": "short", "expires_at": in_a_minute})).await;
    assert_eq!(made["expires_at"], json!(in_a_minute));
    let short = program(product, &made);
    short.get(ME).await.expect(200);
    product.clock.advance_seconds(60);
    short.get(ME).await.refused(401, "invalid_token");

    let first = make(&admin, &json!({"name": "first"})).await;
    let (second, third) = (make(&admin, &json!({"name": "2"})).await, make(&admin, &json!({"name": "3"})).await);
    program(product, &first).get(ME).await.expect(200);
    admin.delete(&path(&first)).await.expect(204);
    let refused = program(product, &first).get(ME).await.refused(401, "invalid_token");
    assert_eq!(refused.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
    admin.delete(&path(&first)).await.refused(404, "not_found");
    program(product, &second).get(ME).await.expect(200);
    let ended = admin.post(&format!("{KEYS}/revoke-all"), &json!({})).await.expect(200).json();
    assert_eq!(ended["revoked"], 3);
    for key in [&second, &third] {
        program(product, key).get(ME).await.refused(401, "invalid_token");
    }
    assert_eq!(admin.get(KEYS).await.expect(200).json(), json!([]));
}

async fn a_rotated_key_works_beside_its_successor_until_the_overlap_ends(product: &Product) {
    let admin = product.admin().await;
    let old = make(&admin, &json!({"name": "ci", "scopes": "*", "allowed_cidrs": ["127.0.0.0/8"]})).await;
    let rotate = format!("{}/rotate", path(&old));
    program(product, &old).get(ME).await.expect(200);
    let new = admin.post(&rotate, &json!({"overlap_seconds": 600})).await.expect(200).json();
    assert_ne!(new["key"], old["key"]);
    assert_ne!(new["key_prefix"], old["key_prefix"]);
    for same in ["id", "name", "scopes", "allowed_cidrs", "created"] {
        assert_eq!(new[same], old[same], "{same}");
    }
    product.clock.advance_seconds(599);
    program(product, &old).get(ME).await.expect(200);
    program(product, &new).get(ME).await.expect(200);
    product.clock.advance_seconds(1);
    program(product, &old).get(ME).await.refused(401, "invalid_token");
    program(product, &new).get(ME).await.expect(200);
    assert_eq!(admin.get(KEYS).await.expect(200).json().as_array().unwrap().len(), 1);
    admin.post(&rotate, &json!({"overlap_seconds": 604_801})).await.refused(422, "validation_failed");
    let stranger = format!("{KEYS}/01912345-0000-7000-8000-000000000001/rotate");
    admin.post(&stranger, &json!({})).await.refused(404, "not_found");
}

/// A key that is rotated because it leaked must not live on in an overlap.
async fn rotating_without_overlap_ends_every_earlier_text(product: &Product) {
    let admin = product.admin().await;
    let first = make(&admin, &json!({"name": "ci"})).await;
    let rotate = format!("{}/rotate", path(&first));
    let second = admin.post(&rotate, &json!({})).await.expect(200).json();
    program(product, &first).get(ME).await.expect(200);
    let third = admin.post(&rotate, &json!({"overlap_seconds": 0})).await.expect(200).json();
    for old in [&first, &second] {
        program(product, old).get(ME).await.refused(401, "invalid_token");
    }
    program(product, &third).get(ME).await.expect(200);
    admin.delete(&path(&first)).await.expect(204);
    program(product, &third).get(ME).await.refused(401, "invalid_token");
}

/// R114: a stolen key is of no use elsewhere.
async fn a_key_comes_from_its_networks_only(product: &Product) {
    let admin = product.admin().await;
    let made = make(&admin, &json!({"name": "office", "allowed_cidrs": ["192.0.2.0/24", "2001:db8::1"]})).await;
    assert_eq!(made["allowed_cidrs"], json!(["192.0.2.0/24", "2001:db8::1/128"]));
    let from = async |address: &str| {
        let request = crate::callers::request(None, http::Method::GET, ME, None);
        let request = program(product, &made).dress(request);
        product.send_from(format!("{address}:4000").parse().unwrap(), request).await
    };
    for inside in ["192.0.2.7", "[::ffff:192.0.2.7]", "[2001:db8::1]"] {
        from(inside).await.expect(200);
    }
    for outside in ["192.0.3.7", "[2001:db8::2]", "127.0.0.1"] {
        from(outside).await.refused(403, "ip_blocked");
    }
    admin.patch(&path(&made), &json!({"allowed_cidrs": []})).await.expect(200);
    from("192.0.3.7").await.expect(200);
}

async fn the_last_use_is_noted_to_the_minute(product: &Product) {
    let admin = product.admin().await;
    let made = make(&admin, &json!({"name": "ci"})).await;
    let first = fastcms_core::time::stamp(product.app.now_millis());
    let seen = async || {
        // Written beside the request.
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        admin.get(&path(&made)).await.expect(200).json()
    };
    program(product, &made).get(ME).await.expect(200);
    let key = seen().await;
    assert_eq!((&key["last_used_at"], &key["last_used_ip"]), (&json!(first), &json!("127.0.0.1")));
    product.clock.advance_seconds(59);
    program(product, &made).get(ME).await.expect(200);
    assert_eq!(seen().await["last_used_at"], json!(first));
    product.clock.advance_seconds(1);
    let second = fastcms_core::time::stamp(product.app.now_millis());
    for _ in 0..3 {
        program(product, &made).get(ME).await.expect(200);
    }
    assert_eq!(seen().await["last_used_at"], json!(second));
}

/// R23.
async fn two_credentials_are_refused(product: &Product) {
    let admin = product.admin().await;
    let made = make(&admin, &json!({"name": "ci"})).await;
    let program = program(product, &made);
    let request = crate::callers::request(Some(&admin.token), http::Method::GET, ME, None);
    product.send(program.dress(request)).await.refused(400, "multiple_credentials");
    let mut twice = program.dress(crate::callers::request(None, http::Method::GET, ME, None));
    twice.headers_mut().append("x-api-key", program.key.parse().unwrap());
    product.send(twice).await.refused(400, "multiple_credentials");
    // A key is no bearer token, and a token is no key.
    Bearer { product, token: program.key.clone() }.get(ME).await.refused(401, "invalid_token");
    Program { product, key: admin.token.clone() }.get(ME).await.refused(401, "invalid_token");
    for junk in ["", "fcms_", "fcms_00000000_00000000000000000000000000000000"] {
        Program { product, key: junk.to_owned() }.get("/health").await.refused(401, "invalid_token");
    }
    // The name is public; the rest is the secret.
    let forged = format!("{}_{}", &program.key[..13], "0".repeat(32));
    program.get(ME).await.expect(200);
    Program { product, key: forged }.get(ME).await.refused(401, "invalid_token");
}

async fn keys_are_their_owners_alone(product: &Product) {
    let admin = product.admin().await;
    let (anna, bert) = (product.user("anna").await, product.user("bert").await);
    let made = make(&anna, &json!({"name": "annas"})).await;
    for stranger in [&Bearer { product, token: bert.token.clone() }, &Bearer { product, token: admin.token.clone() }] {
        stranger.get(&path(&made)).await.refused(404, "not_found");
        stranger.patch(&path(&made), &json!({"name": "mine"})).await.refused(404, "not_found");
        stranger.delete(&path(&made)).await.refused(404, "not_found");
        stranger.post(&format!("{}/rotate", path(&made)), &json!({})).await.refused(404, "not_found");
        stranger.post(&format!("{KEYS}/revoke-all"), &json!({})).await.expect(200);
        assert_eq!(stranger.get(KEYS).await.expect(200).json(), json!([]));
    }
    product.guest().get(KEYS).await.refused(401, "authentication_required");
    program(product, &made).get(ME).await.expect(200);
}

/// R64: nothing of a key depends on `SECRET_KEY`.
async fn a_key_outlives_a_change_of_the_signing_key(product: &Product) {
    const NEW_KEY: &str = "b7e2d1906c5f4a3388f70e19ad2c6b5547f3e2d1c0b9a8f7e6d5c4b3a2918070";
    let admin = product.admin().await;
    let made = make(&admin, &json!({"name": "ci"})).await;
    let after = product.with(&[("SECRET_KEY", NEW_KEY)]).await;
    Bearer { product: &after, token: admin.token.clone() }.get(ME).await.refused(401, "invalid_token");
    program(&after, &made).get(ME).await.expect(200);
    after.close().await;
}

async fn there_are_at_most_a_thousand(product: &Product) {
    product.admin().await;
    let user = product.user("anna").await;
    let (user, body) = (&user, &json!({"name": "k"}));
    for _ in 0..20 {
        futures_util::future::join_all((0..50).map(|_| async move { make(user, body).await })).await;
    }
    let answer = user.post(KEYS, body).await.refused(422, "validation_failed").json();
    assert_eq!(answer["details"]["name"], "At most 1000 API keys are allowed");
    assert_eq!(user.get(KEYS).await.expect(200).json().as_array().unwrap().len(), 1_000);
    let ended = user.post(&format!("{KEYS}/revoke-all"), &json!({})).await.expect(200).json();
    assert_eq!(ended["revoked"], 1_000);
}

/// R34.
async fn only_hashes_are_stored(product: &Product) {
    if product.engine() != crate::engine::Engine::Sqlite {
        return;
    }
    let admin = product.admin().await;
    let made = make(&admin, &json!({"name": "ci"})).await;
    program(product, &made).get(ME).await.expect(200);
    let secret = text(&made["key"])[14..].to_owned();
    let database = product.url().strip_prefix("sqlite:///").unwrap().to_owned();
    let mut seen = 0;
    for file in [database.clone(), format!("{database}-wal")] {
        let Ok(bytes) = std::fs::read(&file) else { continue };
        seen += bytes.len();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{file}");
    }
    assert!(seen > 10_000);
}
