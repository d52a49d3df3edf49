//! What ends sessions ends every credential that hangs on them: from the next request on this node, and within a second on another.
//!
//! CVE-2024-34709, CVE-2025-30351, CVE-2025-3930, CVE-2025-4643, CVE-2023-22492: tokens that outlived a sign-out, a suspension, or a lock.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};

use crate::api_keys::{make, program};
use crate::callers::{Admin, Bearer, Calls, open, request};
use crate::engine::Engine;
use crate::files::{fetch, path, protected};
use crate::keys::forge;
use crate::mails::smtp::Smtp;
use crate::mails::{node_with, post};
use crate::on_both_engines;
use crate::process::PASSWORD;
use crate::product::{Product, text};

const ME: &str = "/api/v1/auth/me";
const LOGIN: &str = "/api/v1/auth/login";
const SESSIONS: &str = "/api/v1/auth/sessions";
const NEW_PASSWORD: &str = "Another-Horse8-staple";

on_both_engines!(
    what_ends_a_session_ends_every_credential_of_it_on_every_node,
    whoever_comes_next_under_an_address_inherits_nothing,
    a_new_address_ends_every_session_and_voids_a_code_for_the_old_one,
    what_was_made_while_acting_ends_with_it,
    whoever_first_shows_an_address_to_be_theirs_ends_what_a_stranger_laid_up,
    a_new_password_forgets_every_browser_but_its_own,
);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Credential {
    /// A pair of tokens.
    Access,
    Refresh,
    /// A file token that was made by that access token.
    File,
    /// A cookie, of a session of its own.
    Cookie,
    /// An admin's token to act as the user.
    Acting,
    ApiKey,
}

use Credential::{Access, Acting, ApiKey, Cookie, File, Refresh};

const ALL: [Credential; 6] = [Access, Refresh, File, Cookie, Acting, ApiKey];

/// Everything that somebody could have taken of one user.
struct Captured {
    id: String,
    access: String,
    refresh: String,
    file: Value,
    file_token: String,
    cookie: String,
    acting: String,
    api_key: Value,
}

impl Captured {
    async fn of(product: &Product, admin: &Admin<'_>, name: &str) -> Self {
        let user = product.user(name).await;
        let file = protected(&user).await;
        let file_token = user.post(&format!("{}/token", path(&file)), &json!({})).await.expect(200).json();
        let act = format!("/api/v1/admin/users/{}/impersonate", user.id);
        let acting = admin.post(&act, &json!({"reason": "captured"})).await.expect(200).json();
        let api_key = make(&user, &json!({"name": "k"})).await;
        let body = json!({"email": format!("{name}@example.com"), "password": PASSWORD, "cookie": true});
        let set = product.guest().post(LOGIN, &body).await.expect(200).header("set-cookie").unwrap().to_owned();
        Self {
            refresh: text(&user.tokens["refresh_token"]),
            file_token: text(&file_token["token"]),
            cookie: set.split(';').next().unwrap().to_owned(),
            acting: text(&acting["access_token"]),
            id: user.id,
            access: user.token,
            file,
            api_key,
        }
    }

    fn owner<'p>(&self, product: &'p Product) -> Bearer<'p> {
        Bearer { product, token: self.access.clone() }
    }

    fn session(&self) -> String {
        text(&forge::read(&self.access).1["sid"])
    }

    async fn status(&self, product: &Product, credential: Credential) -> u16 {
        let answer = match credential {
            Access => self.owner(product).get(ME).await,
            Acting => Bearer { product, token: self.acting.clone() }.get(ME).await,
            Refresh => {
                let body = json!({"refresh_token": self.refresh});
                product.guest().post("/api/v1/auth/refresh", &body).await
            }
            File => {
                let download = format!("{}/download?token={}", path(&self.file), self.file_token);
                fetch(&product.guest(), &download, &[]).await
            }
            Cookie => {
                let mut request = request(None, Method::GET, ME, None);
                request.headers_mut().insert("cookie", self.cookie.parse().unwrap());
                product.send(request).await
            }
            ApiKey => program(product, &self.api_key).get(ME).await,
        };
        answer.status.as_u16()
    }

    /// Those that open something, of those that may be asked without being used up.
    async fn alive(&self, product: &Product) -> Vec<Credential> {
        let mut alive = Vec::new();
        for credential in ALL.into_iter().filter(|credential| *credential != Refresh) {
            match self.status(product, credential).await {
                401 => {}
                403 if credential == File => {}
                // Who must change the password is known, and told so.
                200 | 403 => alive.push(credential),
                other => panic!("{credential:?}: {other}"),
            }
        }
        alive
    }
}

/// By whom sessions are ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// With the captured access token.
    Owner,
    Admin,
}

/// Something that ends sessions, and what it leaves alone.
struct End {
    what: &'static str,
    by: By,
    method: Method,
    path: &'static str,
    body: Value,
    left: Vec<Credential>,
}

impl End {
    async fn happen(&self, product: &Product, admin: &Admin<'_>, captured: &Captured) {
        let token = if self.by == By::Owner { captured.access.clone() } else { admin.token.clone() };
        let path = self.path.replace("{id}", &captured.id).replace("{session}", &captured.session());
        let body = Some(&self.body).filter(|body| !body.is_null());
        let answer = Bearer { product, token }.call(self.method.clone(), &path, body).await;
        assert!(answer.status.is_success(), "{}: {}", self.what, String::from_utf8_lossy(&answer.bytes));
    }
}

fn ends() -> Vec<End> {
    let passwords =
        json!({"old_password": PASSWORD, "new_password": NEW_PASSWORD, "new_password_confirm": NEW_PASSWORD});
    let one = &[Cookie, Acting, ApiKey][..];
    let user = "/api/v1/admin/users/{id}";
    let (post, patch, delete) = (Method::POST, Method::PATCH, Method::DELETE);
    let end = |what, by, method: &Method, path, body, left: &[Credential]| End {
        what,
        by,
        method: method.clone(),
        path,
        body,
        left: left.to_vec(),
    };
    vec![
        end("signed out", By::Owner, &post, "/api/v1/auth/logout", json!({}), one),
        end("ended in the list", By::Owner, &delete, "/api/v1/auth/sessions/{session}", Value::Null, one),
        end("ended by an admin", By::Admin, &delete, "/api/v1/admin/users/{id}/sessions/{session}", Value::Null, one),
        end(
            "the others ended",
            By::Owner,
            &delete,
            "/api/v1/auth/sessions?others=true",
            Value::Null,
            &[Access, File, Acting, ApiKey],
        ),
        end("signed out everywhere", By::Owner, &post, "/api/v1/auth/logout-all", json!({}), &[ApiKey]),
        end("all ended by an admin", By::Admin, &delete, "/api/v1/admin/users/{id}/sessions", Value::Null, &[ApiKey]),
        end("a new password", By::Owner, &post, "/api/v1/auth/change-password", passwords, &[ApiKey]),
        end("a password by an admin", By::Admin, &patch, user, json!({"password": NEW_PASSWORD}), &[ApiKey]),
        end("an address by an admin", By::Admin, &patch, user, json!({"email": "new@example.com"}), &[ApiKey]),
        end("another role", By::Admin, &patch, "/api/v1/admin/users/{id}/role?role=admin", Value::Null, &[ApiKey]),
        end("suspended", By::Admin, &patch, user, json!({"disabled": true}), &[]),
        end("deleted by an admin", By::Admin, &delete, user, Value::Null, &[]),
        end("deleted by its owner", By::Owner, &delete, ME, Value::Null, &[]),
    ]
}

/// R31, R32, contract 2.4. On PostgreSQL the clock stands still: what the other node knows, the change feed has told it. On SQLite
/// nobody tells another process, and what it remembers is four seconds old at most.
async fn what_ends_a_session_ends_every_credential_of_it_on_every_node(product: &Product) {
    let admin = product.admin().await;
    let other = product.with(&[]).await;
    let mut delays = Vec::new();
    for (at, end) in ends().into_iter().enumerate() {
        let (what, left) = (end.what, &end.left);
        let captured = Captured::of(product, &admin, &format!("user{at}")).await;
        let before: Vec<Credential> = ALL.into_iter().filter(|credential| *credential != Refresh).collect();
        for node in [product, &other] {
            assert_eq!(captured.alive(node).await, before, "before: {what}");
        }
        end.happen(product, &admin, &captured).await;
        let ended = Instant::now();
        assert_eq!(captured.alive(product).await, *left, "{what}, on this node");
        if product.engine() == Engine::Sqlite {
            product.clock.advance_seconds(4);
        }
        while captured.alive(&other).await != *left {
            assert!(ended.elapsed() < Duration::from_secs(15), "{what}: the other node never heard of it");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        delays.push(ended.elapsed());
        if !left.contains(&Access) {
            for node in [product, &other] {
                assert_eq!(captured.status(node, Refresh).await, 401, "{what}: renewed");
            }
        }
    }
    // The middle one: a machine that is busy elsewhere may be late once.
    delays.sort();
    assert!(delays[delays.len() / 2] < Duration::from_secs(1), "{delays:?}");
    other.close().await;
}

/// CVE-2025-4644: whoever registers an address anew is somebody else, whatever was kept of who had it.
async fn whoever_comes_next_under_an_address_inherits_nothing(product: &Product) {
    let smtp = Smtp::start().await;
    let node = &node_with(product, &smtp).await;
    let admin = node.admin().await;
    let mut diary = open("diary", &json!([{"name": "writer", "type": "text"}]));
    for rule in ["list_rule", "view_rule", "update_rule", "delete_rule"] {
        diary[rule] = json!("writer = @request.auth.id");
    }
    admin.collection(&diary).await;
    let captured = Captured::of(node, &admin, "anna").await;
    let owner = captured.owner(node);
    let page = owner.make("diary", &json!({"writer": captured.id})).await;
    owner.patch(ME, &json!({"name": "Anna the First"})).await.expect(200);
    crate::two_factor::enrol(node, &owner).await;
    post(node, &smtp).await;
    let address = json!({"email": "anna@example.com"});
    node.guest().post("/api/v1/auth/request-password-reset", &address).await.expect(204);
    let reset = post(node, &smtp).await["Choose a new password"].link().unwrap().1;
    let wrong = json!({"email": "anna@example.com", "password": "wrong-horse-7"});
    for _ in 0..5 {
        node.guest().post(LOGIN, &wrong).await.refused(401, "invalid_credentials");
    }
    let at = format!("/api/v1/admin/users/{}", captured.id);
    assert_eq!(admin.get(&format!("{at}/lock-status")).await.expect(200).json()["is_locked"], true);
    admin.delete(&at).await.expect(204);

    let anna = node.user("anna").await;
    assert_ne!(anna.id, captured.id);
    assert_eq!(captured.alive(node).await, []);
    assert_eq!(captured.status(node, Refresh).await, 401);
    let me = anna.get(ME).await.expect(200).json();
    assert_eq!([&me["name"], &me["role"], &me["verified"]], [&json!("anna"), &json!("user"), &json!(false)]);
    assert_eq!(anna.get(SESSIONS).await.expect(200).json()["sessions"].as_array().unwrap().len(), 1);
    assert_eq!(anna.get("/api/v1/api-keys").await.expect(200).json(), json!([]));
    let factor = anna.get("/api/v1/auth/2fa/status").await.expect(200).json();
    assert_eq!(factor, json!({"enabled": false, "backup_codes_remaining": 0}));
    let seen = anna.list("diary", &[]).await.expect(200).json();
    assert_eq!(seen["total"], 0);
    anna.get(&crate::callers::record("diary", &page["id"])).await.refused(404, "not_found");
    anna.change("diary", &page["id"], &json!({"writer": anna.id})).await.refused(404, "not_found");
    anna.get(&path(&captured.file)).await.refused(404, "not_found");
    anna.get(&format!("{}/download", path(&captured.file))).await.refused(404, "not_found");
    anna.delete(&path(&captured.file)).await.refused(404, "not_found");
    assert_eq!(admin.get("/api/v1/admin/impersonations").await.expect(200).json(), json!({"impersonations": []}));
    let lock = admin.get(&format!("/api/v1/admin/users/{}/lock-status", anna.id)).await.expect(200).json();
    assert_eq!((&lock["is_locked"], &lock["failed_login_attempts"]), (&json!(false), &json!(0)));
    let taken = json!({"token": reset, "password": NEW_PASSWORD, "password_confirm": NEW_PASSWORD});
    node.guest().post("/api/v1/auth/reset-password", &taken).await.refused(400, "invalid_reset_token");
    // Neither a lock nor a second factor stands in the way of who has the password.
    let login = json!({"email": "anna@example.com", "password": PASSWORD});
    let answer = node.guest().post(LOGIN, &login).await.expect(200).json();
    assert_eq!((&answer["user"]["id"], &answer["requires_2fa"]), (&json!(anna.id), &json!(false)));
    node.close().await;
}

/// Whoever reads the mail of the old address holds nothing that opens the account under its new one.
async fn a_new_address_ends_every_session_and_voids_a_code_for_the_old_one(product: &Product) {
    let smtp = Smtp::start().await;
    let node = &node_with(product, &smtp).await;
    let admin = node.admin().await;
    let captured = Captured::of(node, &admin, "anna").await;
    let before: Vec<Credential> = ALL.into_iter().filter(|credential| *credential != Refresh).collect();
    assert_eq!(captured.alive(node).await, before);
    post(node, &smtp).await;
    let address = json!({"email": "anna@example.com"});
    node.guest().post("/api/v1/auth/request-otp", &address).await.expect(204);
    let code = code_in(&post(node, &smtp).await.into_values().next().unwrap().text());
    let change = json!({"new_email": "new@example.com", "password": PASSWORD});
    captured.owner(node).post("/api/v1/auth/request-email-change", &change).await.expect(204);
    let link = post(node, &smtp).await["Confirm your new e-mail address"].link().unwrap().1;
    assert_eq!(captured.alive(node).await, before, "nothing ends until the new address agrees");
    node.guest().post("/api/v1/auth/confirm-email-change", &json!({"token": link})).await.expect(204);
    assert_eq!(captured.alive(node).await, [ApiKey]);
    assert_eq!(captured.status(node, Refresh).await, 401);
    for email in ["anna@example.com", "new@example.com"] {
        let body = json!({"email": email, "code": code});
        node.guest().post("/api/v1/auth/auth-with-otp", &body).await.refused(401, "invalid_credentials");
    }
    node.close().await;
}

/// A file token that an admin had made as the user.
async fn what_was_made_while_acting_ends_with_it(product: &Product) {
    let admin = product.admin().await;
    let captured = Captured::of(product, &admin, "anna").await;
    let acting = Bearer { product, token: captured.acting.clone() };
    let made = acting.post(&format!("{}/token", path(&captured.file)), &json!({})).await.expect(200).json();
    let download = format!("{}/download?token={}", path(&captured.file), text(&made["token"]));
    fetch(&product.guest(), &download, &[]).await.expect(200);
    acting.post("/api/v1/auth/logout", &json!({})).await.expect(204);
    fetch(&product.guest(), &download, &[]).await.refused(403, "invalid_file_token");
    // The user's own goes on.
    assert_eq!(captured.status(product, File).await, 200);
}

/// The six digits of a one-time code.
fn code_in(mail: &str) -> String {
    let line = regex::Regex::new("([0-9]{6}) is your code to sign in to ").unwrap();
    line.captures(mail).expect("a code in the mail")[1].to_owned()
}

/// CVE-2024-38351: somebody registers the address of somebody else and waits. Whoever then reads a code, or opens a link, that was sent
/// there has an account that nothing else opens.
async fn whoever_first_shows_an_address_to_be_theirs_ends_what_a_stranger_laid_up(product: &Product) {
    let smtp = Smtp::start().await;
    let node = &node_with(product, &smtp).await;
    let admin = node.admin().await;
    let passwords = json!({"password": NEW_PASSWORD, "password_confirm": NEW_PASSWORD});
    for name in ["anna", "berta"] {
        let laid_up = Captured::of(node, &admin, name).await;
        post(node, &smtp).await;
        let email = format!("{name}@example.com");
        let victim = if name == "anna" {
            by_code(node, &smtp, &email).await
        } else {
            node.guest().post("/api/v1/auth/request-password-reset", &json!({"email": email})).await.expect(204);
            let mut reset = passwords.clone();
            reset["token"] = json!(post(node, &smtp).await["Choose a new password"].link().unwrap().1);
            node.guest().post("/api/v1/auth/reset-password", &reset).await.expect(204);
            node.guest().post(LOGIN, &json!({"email": email, "password": NEW_PASSWORD})).await.expect(200).json()
        };
        assert_eq!(victim["user"]["verified"], true, "{name}");
        assert_eq!(laid_up.alive(node).await, [], "{name}");
        assert_eq!(laid_up.status(node, Refresh).await, 401, "{name}");
        let old = json!({"email": email, "password": PASSWORD});
        node.guest().post(LOGIN, &old).await.refused(401, "invalid_credentials");
        assert_eq!(browsers(node).await, 2, "the victim's, and the admin's");
        // What the owner has from then on goes on when the address is shown again.
        let owner = Bearer { product: node, token: text(&victim["token"]["access_token"]) };
        make(&owner, &json!({"name": "k"})).await;
        let again = by_code(node, &smtp, &email).await;
        assert_eq!(again["user"]["verified"], true);
        assert_eq!(owner.get("/api/v1/api-keys").await.expect(200).json().as_array().unwrap().len(), 1);
        admin.delete(&format!("/api/v1/admin/users/{}", laid_up.id)).await.expect(204);
    }
    node.close().await;
}

/// Signs in by a code that is sent to this address: the answer.
async fn by_code(node: &Product, smtp: &Smtp, email: &str) -> Value {
    node.guest().post("/api/v1/auth/request-otp", &json!({"email": email})).await.expect(204);
    let code = code_in(&post(node, smtp).await["Your code to sign in"].text());
    let body = json!({"email": email, "code": code});
    node.guest().post("/api/v1/auth/auth-with-otp", &body).await.expect(200).json()
}

/// How many browsers are known, of all accounts.
async fn browsers(product: &Product) -> i64 {
    let mut sql = fastcms_store::Sql::new(product.app.store.dialect());
    sql.push("SELECT count(*) FROM devices");
    let read = product
        .app
        .store
        .read(fastcms_store::Plan::Bounded, move |reader| Box::pin(async move { reader.fetch_one(&sql).await }));
    read.await.unwrap().unwrap().int(0).unwrap()
}

/// A guesser who had signed in once kept a counter of its own, beside the lock that was to stop it.
async fn a_new_password_forgets_every_browser_but_its_own(product: &Product) {
    let admin = product.admin().await;
    let user = product.user("anna").await;
    let login = json!({"email": "anna@example.com", "password": PASSWORD});
    let set = product.guest().post(LOGIN, &login).await.expect(200).header("set-cookie").unwrap().to_owned();
    let before = browsers(product).await;
    let change = json!({"old_password": PASSWORD, "new_password": NEW_PASSWORD, "new_password_confirm": NEW_PASSWORD});
    let mut request = request(Some(&user.token), Method::POST, "/api/v1/auth/change-password", Some(&change));
    request.headers_mut().insert("cookie", set.split(';').next().unwrap().parse().unwrap());
    product.send(request).await.expect(204);
    assert_eq!(browsers(product).await, before - 1);
    let at = format!("/api/v1/admin/users/{}", user.id);
    admin.patch(&at, &json!({"password": "A-third-Horse8-staple"})).await.expect(200);
    assert_eq!(browsers(product).await, before - 2);
}
