//! Second factors from outside: an authenticator app, backup codes, and who must have one (R60, R61, R63, D-19).

use fastcms_guard::totp::{STEP_SECONDS, TotpSecret};
use fastcms_secrets::Secret;
use fastcms_store::Plan;
use fastcms_store::accounts::second_factors;
use futures_util::future::join_all;
use http::header;
use serde_json::{Value, json};

use crate::callers::{Bearer, Calls, User};
use crate::on_both_engines;
use crate::process::{PASSWORD, SECRET};
use crate::product::{Answer, Product, text};

on_both_engines!(
    a_sign_in_wants_the_second_factor_once_it_is_enabled,
    a_code_is_good_once_however_many_bring_it,
    a_backup_code_is_good_once_in_any_writing,
    wrong_codes_count_like_wrong_passwords_and_a_right_password_forgives_none,
    of_two_hundred_wrong_codes_at_once_every_one_counts_and_five_are_looked_at,
    only_a_code_turns_it_off_or_makes_new_backup_codes,
    states_that_do_not_fit_are_refused,
    a_secret_lies_sealed_and_outlives_a_rotation,
    require_mfa_leaves_nothing_open_but_enrolling,
);

const LOGIN: &str = "/api/v1/auth/login";
const ME: &str = "/api/v1/auth/me";

/// Somebody with an authenticator app.
pub struct Owner<'p> {
    user: User<'p>,
    email: String,
    app: TotpSecret,
    pub backup_codes: Vec<String>,
}

pub fn base32(text: &str) -> TotpSecret {
    let value = |c: u8| if c.is_ascii_uppercase() { c - b'A' } else { c - b'2' + 26 };
    let (mut bits, mut held, mut bytes) = (0_u32, 0, Vec::new());
    for c in text.bytes() {
        bits = bits << 5 | u32::from(value(c));
        held += 5;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).unwrap());
        }
    }
    TotpSecret::from_bytes(Secret::new(bytes))
}

pub fn code(app: &TotpSecret, product: &Product) -> String {
    app.code(product.app.now_seconds().div_euclid(STEP_SECONDS))
}

pub async fn enrol(product: &Product, caller: &impl Calls) -> (TotpSecret, Vec<String>) {
    let made = caller.post("/api/v1/auth/2fa/setup", &json!({})).await.expect(200).json();
    let secret = text(&made["secret"]);
    assert_eq!(secret.len(), 32);
    assert!(text(&made["qr_code"]).starts_with("data:image/png;base64,iVBORw0KGgo"));
    assert!(text(&made["otpauth_url"]).contains(&format!("secret={secret}&issuer=FastCMS&algorithm=SHA1")));
    let app = base32(&secret);
    let enabled =
        caller.post("/api/v1/auth/2fa/enable", &json!({"code": code(&app, product)})).await.expect(200).json();
    assert_eq!(enabled["enabled"], true);
    let codes: Vec<String> = enabled["backup_codes"].as_array().unwrap().iter().map(text).collect();
    assert_eq!(codes.len(), 10);
    for code in &codes {
        assert!(code.len() == 34 && code.split('-').all(|group| group.len() == 4), "{code}");
    }
    (app, codes)
}

pub async fn owner<'p>(product: &'p Product, name: &str) -> Owner<'p> {
    let user = product.user(name).await;
    let (app, backup_codes) = enrol(product, &user).await;
    // The code that enabled it is used up.
    product.clock.advance_seconds(STEP_SECONDS);
    Owner { user, email: format!("{name}@example.com"), app, backup_codes }
}

async fn login(product: &Product, email: &str, password: &str, code: Option<&str>) -> Answer {
    let mut body = json!({"email": email, "password": password});
    if let Some(code) = code {
        body["two_factor_code"] = json!(code);
    }
    product.guest().post(LOGIN, &body).await
}

impl Owner<'_> {
    pub fn code(&self) -> String {
        code(&self.app, self.user.product)
    }

    pub async fn login(&self, code: Option<&str>) -> Answer {
        login(self.user.product, &self.email, PASSWORD, code).await
    }
}

fn wants_second_factor(answer: Answer) {
    assert!(answer.headers.get_all(header::SET_COOKIE).iter().next().is_none());
    let body = answer.expect(200).json();
    assert_eq!((&body["user"], &body["requires_2fa"]), (&Value::Null, &json!(true)));
    assert_eq!(
        body["token"],
        json!({"access_token": "", "refresh_token": "", "token_type": "bearer", "expires_in": 0})
    );
}

async fn a_sign_in_wants_the_second_factor_once_it_is_enabled(product: &Product) {
    product.admin().await;
    let status = "/api/v1/auth/2fa/status";
    let ann = product.user("ann").await;
    assert_eq!(ann.get(status).await.expect(200).json(), json!({"enabled": false, "backup_codes_remaining": 0}));
    let waiting = ann.post("/api/v1/auth/2fa/setup", &json!({})).await.expect(200);
    drop(waiting);
    // One that waits for its first code protects nothing yet.
    login(product, "ann@example.com", PASSWORD, None).await.expect(200);
    let (app, _) = enrol(product, &ann).await;
    assert_eq!(ann.get(status).await.expect(200).json(), json!({"enabled": true, "backup_codes_remaining": 10}));
    assert_eq!(ann.get(ME).await.expect(200).json()["two_factor_enabled"], true);
    product.clock.advance_seconds(STEP_SECONDS);
    wants_second_factor(login(product, "ann@example.com", PASSWORD, None).await);
    wants_second_factor(login(product, "ann@example.com", PASSWORD, Some("")).await);
    login(product, "ann@example.com", "Wrong-Horse1-battery", None).await.refused(401, "invalid_credentials");
    login(product, "ann@example.com", PASSWORD, Some("000000")).await.refused(401, "invalid_credentials");
    let cookie = json!({"email": "ann@example.com", "password": PASSWORD, "cookie": true});
    wants_second_factor(product.guest().post(LOGIN, &cookie).await);
    let answer = login(product, "ann@example.com", PASSWORD, Some(&code(&app, product))).await.expect(200);
    assert_eq!(answer.json()["user"]["two_factor_enabled"], true);
}

/// D-19, R60.
async fn a_code_is_good_once_however_many_bring_it(product: &Product) {
    product.admin().await;
    let ann = owner(product, "ann").await;
    let code = ann.code();
    let answers = join_all((0..4).map(|_| ann.login(Some(&code)))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    ann.login(Some(&code)).await.refused(401, "invalid_credentials");
    product.clock.advance_seconds(STEP_SECONDS);
    ann.login(Some(&ann.code())).await.expect(200);
    // One step of tolerance, and not a second more.
    product.clock.advance_seconds(2 * STEP_SECONDS);
    let early = ann.code();
    let step = product.app.now_seconds() % STEP_SECONDS;
    product.clock.advance_seconds(2 * STEP_SECONDS - step);
    ann.login(Some(&early)).await.refused(401, "invalid_credentials");
}

/// R61.
async fn a_backup_code_is_good_once_in_any_writing(product: &Product) {
    product.admin().await;
    let ann = owner(product, "ann").await;
    let [first, second, third, ..] = &ann.backup_codes[..] else { panic!("ten codes") };
    ann.login(Some(first)).await.expect(200);
    ann.login(Some(first)).await.refused(401, "invalid_credentials");
    ann.login(Some(&second.to_uppercase().replace('-', " "))).await.expect(200);
    let answers = join_all((0..4).map(|_| ann.login(Some(third)))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    let status = ann.user.get("/api/v1/auth/2fa/status").await.expect(200).json();
    assert_eq!(status["backup_codes_remaining"], 7);
}

/// D-19, CVE-2024-32868: one counter, and no step that resets it on the way.
async fn wrong_codes_count_like_wrong_passwords_and_a_right_password_forgives_none(product: &Product) {
    product.admin().await;
    let ann = owner(product, "ann").await;
    for _ in 0..5 {
        wants_second_factor(ann.login(None).await);
        ann.login(Some("000000")).await.refused(401, "invalid_credentials");
    }
    ann.login(Some(&ann.code())).await.refused(401, "invalid_credentials");
    ann.login(None).await.refused(401, "invalid_credentials");
    product.clock.advance_seconds(1800);
    ann.login(Some(&ann.code())).await.expect(200);
}

/// CVE-2024-4629: of any number at once, no more are held against the account than lock it.
async fn of_two_hundred_wrong_codes_at_once_every_one_counts_and_five_are_looked_at(product: &Product) {
    let admin = product.admin().await;
    let ann = owner(product, "ann").await;
    let compared = product.app.hasher.compared();
    let answers = join_all((0..200).map(|_| ann.login(Some("000000")))).await;
    let busy = answers.iter().filter(|answer| answer.status == 503).count();
    for answer in answers.into_iter().filter(|answer| answer.status != 503) {
        answer.refused(401, "invalid_credentials");
    }
    let standing = format!("/api/v1/admin/users/{}/lock-status", ann.user.id);
    let standing = admin.get(&standing).await.expect(200).json();
    assert_eq!(standing["failed_login_attempts"], json!(200 - busy));
    assert!(product.app.hasher.compared() - compared <= 5, "the second step comes after the first");
    ann.login(Some(&ann.code())).await.refused(401, "invalid_credentials");
}

async fn only_a_code_turns_it_off_or_makes_new_backup_codes(product: &Product) {
    product.admin().await;
    let ann = owner(product, "ann").await;
    let (off, renew) = ("/api/v1/auth/2fa/disable", "/api/v1/auth/2fa/backup-codes");
    ann.user.post(off, &json!({"code": "000000"})).await.refused(400, "invalid_two_factor_code");
    ann.user.post(renew, &json!({"code": ann.backup_codes[0]})).await.refused(400, "invalid_two_factor_code");
    let made = ann.user.post(renew, &json!({"code": ann.code()})).await.expect(200).json();
    ann.login(Some(&ann.backup_codes[0])).await.refused(401, "invalid_credentials");
    let fresh = text(&made["backup_codes"][0]);
    ann.user.post(off, &json!({"code": fresh})).await.expect(200);
    ann.login(None).await.expect(200);
    // Guesses here lock as well.
    let bob = owner(product, "bob").await;
    for _ in 0..5 {
        bob.user.post(off, &json!({"code": "000000"})).await.refused(400, "invalid_two_factor_code");
    }
    bob.user.post(off, &json!({"code": bob.code()})).await.refused(400, "invalid_two_factor_code");
    bob.login(Some(&bob.code())).await.refused(401, "invalid_credentials");
    // And want a recent sign-in.
    product.clock.advance_seconds(890);
    ann.user.post("/api/v1/auth/2fa/setup", &json!({})).await.refused(403, "insufficient_user_authentication");
}

async fn states_that_do_not_fit_are_refused(product: &Product) {
    product.admin().await;
    let ann = product.user("ann").await;
    let call = |verb: &'static str| {
        let (ann, path) = (ann.clone(), format!("/api/v1/auth/2fa/{verb}"));
        async move { ann.post(&path, &json!({"code": "000000"})).await }
    };
    for verb in ["enable", "disable", "backup-codes"] {
        call(verb).await.refused(400, "two_factor_state");
    }
    enrol(product, &ann).await;
    call("enable").await.refused(400, "two_factor_state");
    ann.post("/api/v1/auth/2fa/setup", &json!({})).await.refused(400, "two_factor_state");
    product.guest().post("/api/v1/auth/2fa/setup", &json!({})).await.refused(401, "authentication_required");
}

async fn a_secret_lies_sealed_and_outlives_a_rotation(product: &Product) {
    product.admin().await;
    let ann = owner(product, "ann").await;
    let id = ann.user.id.clone();
    let stored = product.app.store.read(Plan::Bounded, move |reader| {
        Box::pin(async move { second_factors::of_account(reader, "users", &id).await })
    });
    let stored = stored.await.unwrap().unwrap().secret;
    let plain = ann.app.bytes().expose();
    assert!(!stored.windows(plain.len()).any(|window| window == plain.as_slice()));
    let next = "9d2e7b1c4f60a853e1b7c2d94f8a6035c7e1b2d3f4a5968778695a4b3c2d1e0f";
    let rotated = product.with(&[("SECRET_KEY", next), ("SECRET_KEY_PREVIOUS", SECRET)]).await;
    let after = product.with(&[("SECRET_KEY", next)]).await;
    for node in [&rotated, &after] {
        product.clock.advance_seconds(STEP_SECONDS);
        login(node, "ann@example.com", PASSWORD, Some(&ann.code())).await.expect(200);
    }
}

/// R63.
/// GHSA-wc43-73w7-x2f5: a second factor that one way in did not ask for.
async fn require_mfa_leaves_nothing_open_but_enrolling(product: &Product) {
    product.admin().await;
    product.user("ann").await;
    for (value, email, is_asked) in
        [("admin", "ann@example.com", false), ("admin", "root@example.com", true), ("all", "ann@example.com", true)]
    {
        let node = product.with(&[("REQUIRE_MFA", value)]).await;
        let token = text(&login(&node, email, PASSWORD, None).await.expect(200).json()["token"]["access_token"]);
        let caller = Bearer { product: &node, token };
        caller.get(ME).await.expect(200);
        let sessions = caller.get("/api/v1/auth/sessions").await;
        if is_asked {
            sessions.refused(403, "mfa_enrolment_required");
            enrol(&node, &caller).await;
            caller.get("/api/v1/auth/sessions").await.expect(200);
        } else {
            sessions.expect(200);
        }
    }
}
