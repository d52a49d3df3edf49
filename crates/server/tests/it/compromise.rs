//! Passwords that others may know: until it is changed the account can do nothing else (R54, R59), whoever marked it and by whatever
//! credential it comes.

use serde_json::{Value, json};

use crate::callers::{Admin, Bearer, COLLECTIONS, Calls, Program};
use crate::mails::smtp::Smtp;
use crate::mails::{node_with, post};
use crate::on_both_engines;
use crate::process::{PASSWORD, Server};
use crate::product::{Product, text};

on_both_engines!(
    a_marked_user_is_signed_out_and_can_only_change_the_password,
    everybody_can_be_marked_at_once,
    whoever_holds_users_write_marks_nobody_who_holds_more,
    a_password_that_an_admin_gave_lasts_until_the_next_sign_in,
    an_admin_sends_a_link_and_learns_no_password,
);

const LOGIN: &str = "/api/v1/auth/login";
const NEW: &str = "a quite new phrase";

async fn sign_in<'p>(product: &'p Product, email: &str, password: &str) -> Bearer<'p> {
    let answer = product.guest().post(LOGIN, &json!({"email": email, "password": password})).await.expect(200).json();
    Bearer { product, token: text(&answer["token"]["access_token"]) }
}

fn change() -> Value {
    json!({"old_password": PASSWORD, "new_password": NEW, "new_password_confirm": NEW})
}

/// What an account may do whose password has to be changed: look at itself, change it, and leave.
async fn can_only_change(caller: &Bearer<'_>) {
    caller.get("/api/v1/auth/me").await.expect(200);
    for path in ["/api/v1/auth/sessions", "/api/v1/api-keys", "/api/v1/auth/2fa/status", "/api/v1/admin/users"] {
        caller.get(path).await.refused(403, "password_change_required");
    }
    for path in
        ["/api/v1/auth/2fa/setup", "/api/v1/auth/request-email-change", "/api/v1/files", "/api/v1/auth/logout-all"]
    {
        caller.post(path, &json!({})).await.refused(403, "password_change_required");
    }
    caller.post("/api/v1/auth/change-password", &change()).await.expect(204);
}

async fn mark(admin: &Admin<'_>, id: &str) {
    admin.post(&format!("/api/v1/admin/users/{id}/require-password-change"), &json!({})).await.expect(204);
}

async fn a_marked_user_is_signed_out_and_can_only_change_the_password(product: &Product) {
    let admin = product.admin().await;
    let ann = product.user("ann").await;
    let key = text(&ann.post("/api/v1/api-keys", &json!({"name": "k"})).await.expect(201).json()["key"]);
    let key = Program { product, key };
    mark(&admin, &ann.id).await;
    ann.get("/api/v1/auth/me").await.refused(401, "invalid_token");
    let refresh = json!({"refresh_token": ann.tokens["refresh_token"]});
    product.guest().post("/api/v1/auth/refresh", &refresh).await.refused(401, "invalid_refresh_token");
    key.get("/api/v1/collections/none/records").await.refused(403, "password_change_required");
    let again = sign_in(product, "ann@example.com", PASSWORD).await;
    can_only_change(&again).await;
    sign_in(product, "ann@example.com", NEW).await.get("/api/v1/auth/sessions").await.expect(200);
    key.get("/api/v1/collections/none/records").await.refused(404, "not_found");
    let nobody = "/api/v1/admin/users/01912345-0000-7000-8000-000000000001/require-password-change";
    admin.post(nobody, &json!({})).await.refused(404, "not_found");
}

async fn everybody_can_be_marked_at_once(product: &Product) {
    let admin = product.admin().await;
    let ann = product.user("ann").await;
    let members = json!({"name": "members", "type": "auth", "create_rule": "", "schema": []});
    admin.post(COLLECTIONS, &members).await.expect(201);
    let door = |verb: &str| format!("{COLLECTIONS}/members/auth/{verb}");
    let body = json!({"email": "dan@example.com", "password": PASSWORD});
    let made = product.guest().post(&door("register"), &body).await.expect(201).json();
    let dan = Bearer { product, token: text(&made["token"]["access_token"]) };
    let other = product.with(&[]).await;
    let on_other = Bearer { product: &other, token: ann.token.clone() };
    on_other.get("/api/v1/auth/sessions").await.expect(200);
    let marked = admin.post("/api/v1/admin/users/require-password-change", &json!({})).await.expect(200).json();
    assert_eq!(marked, json!({"accounts": 3}));
    can_only_change(&Bearer { product, token: ann.token.clone() }).await;
    admin.get("/api/v1/admin/users").await.refused(403, "password_change_required");
    admin.post("/api/v1/auth/change-password", &change()).await.expect(204);
    dan.get(&door("sessions")).await.refused(403, "password_change_required");
    dan.post(&door("me/change-password"), &change()).await.expect(204);
    // A node of the same file looks again after four seconds.
    product.clock.advance_seconds(5);
    on_other.get("/api/v1/auth/me").await.refused(401, "invalid_token");
    other.close().await;
}

async fn whoever_holds_users_write_marks_nobody_who_holds_more(product: &Product) {
    let admin = product.admin().await;
    let helper = crate::roles::holder(product, &admin, "helper", &["users:write", "users:read"]).await;
    let ann = product.user("ann").await;
    helper.post(&format!("/api/v1/admin/users/{}/require-password-change", ann.id), &json!({})).await.expect(204);
    let of_admin = format!("/api/v1/admin/users/{}", admin.id);
    helper.post(&format!("{of_admin}/require-password-change"), &json!({})).await.refused(403, "forbidden");
    helper.post("/api/v1/admin/users/require-password-change", &json!({})).await.refused(403, "forbidden");
}

async fn a_password_that_an_admin_gave_lasts_until_the_next_sign_in(product: &Product) {
    let admin = product.admin().await;
    let body = json!({"email": "ann@example.com", "password": PASSWORD, "password_confirm": PASSWORD});
    admin.post("/api/v1/admin/users", &body).await.expect(201);
    can_only_change(&sign_in(product, "ann@example.com", PASSWORD).await).await;
    let ben = product.user("ben").await;
    let given = json!({"password": "given-zq8vkw3mtx"});
    admin.patch(&format!("/api/v1/admin/users/{}", ben.id), &given).await.expect(200);
    ben.get("/api/v1/auth/me").await.refused(401, "invalid_token");
    let again = sign_in(product, "ben@example.com", "given-zq8vkw3mtx").await;
    again.get("/api/v1/auth/sessions").await.refused(403, "password_change_required");
}

async fn an_admin_sends_a_link_and_learns_no_password(product: &Product) {
    let smtp = Smtp::start().await;
    let node = node_with(product, &smtp).await;
    let admin = node.admin().await;
    let ann = node.user("ann").await;
    post(&node, &smtp).await;
    let path = format!("/api/v1/admin/users/{}/password-reset", ann.id);
    assert!(admin.post(&path, &json!({})).await.expect(204).bytes.is_empty());
    let mail = post(&node, &smtp).await.remove("Choose a new password").unwrap();
    assert_eq!(mail.to, ["ann@example.com"]);
    let (_, token) = mail.link().unwrap();
    let reset = json!({"token": token, "password": NEW, "password_confirm": NEW});
    node.guest().post("/api/v1/auth/reset-password", &reset).await.expect(204);
    sign_in(&node, "ann@example.com", NEW).await.get("/api/v1/auth/sessions").await.expect(200);
    node.close().await;
}

/// The same from the host, where a password that was given lasts.
#[test]
fn the_command_line_makes_users_gives_passwords_and_marks_accounts() {
    let mut server = Server::new(&[]);
    let run = |server: &Server, arguments: &[&str], input: &str| {
        let output = server.run(arguments, input);
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        (output.status.code().unwrap(), out, err)
    };
    let line = format!("{PASSWORD}\n");
    let create = ["users", "create", "ann@example.com", "--password-stdin", "--name", "Ann", "--json"];
    let (code, out, err) = run(&server, &create, &line);
    assert_eq!(code, 0, "{err}");
    let made: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&made["email"], &made["role"], &made["must_change_password"]),
        (&json!("ann@example.com"), &json!("user"), &json!(false))
    );
    let admin = ["users", "create", "root@example.com", "--password-stdin", "--role", "admin"];
    assert_eq!(run(&server, &admin, &line), (0, "admin `root@example.com` created\n".to_owned(), String::new()));
    // The policy holds here too, and nobody's address is nobody's.
    let (code, _, err) = run(&server, &["users", "create", "b@example.com", "--password-stdin"], "short\n");
    assert!(code == 1 && err.contains("password: Password must be at least 10 characters long"), "{err}");
    let (code, _, err) =
        run(&server, &["users", "reset-password", "ann@example.com", "--password-stdin"], "password1\n");
    assert!(code == 1 && err.contains("error: password: "), "{err}");
    let (code, _, err) = run(&server, &["users", "reset-password", "x@example.com", "--password-stdin"], &line);
    assert_eq!((code, err.as_str()), (1, "error: no user has the address `x@example.com`\n"));
    assert_eq!(run(&server, &["users", "create", "ann@example.com", PASSWORD], "").0, 2, "no password in arguments");
    assert_eq!(run(&server, &["users", "create", "c@example.com"], "").0, 1, "nor a prompt without a terminal");
    assert_eq!(run(&server, &["users", "require-password-change"], "").0, 2);
    let (code, _, err) = run(&server, &["users", "require-password-change", "--all"], "");
    assert_eq!((code, err.as_str()), (1, "error: no terminal to ask at: add `--yes`\n"));

    server.start();
    let sign_in = |server: &Server, password: &str| {
        let body = json!({"email": "ann@example.com", "password": password});
        server.ask("POST", LOGIN).json(&body).expect(200).json()["token"]["access_token"].as_str().unwrap().to_owned()
    };
    let sessions = |server: &Server, token: &str| server.ask("GET", "/api/v1/auth/sessions").token(token).status();
    let token = sign_in(&server, PASSWORD);
    assert_eq!(sessions(&server, &token), 200);
    let (code, out, _) = run(&server, &["users", "require-password-change", "ANN@example.com"], "");
    assert!(code == 0 && out.starts_with("user `ANN@example.com` was signed out"), "{out}");
    assert_eq!(sessions(&server, &sign_in(&server, PASSWORD)), 403);
    let reset = ["users", "reset-password", "ann@example.com", "--password-stdin"];
    let (code, out, _) = run(&server, &reset, &format!("{NEW}\n"));
    assert!(code == 0 && out.contains("has another password"), "{out}");
    assert_eq!(sessions(&server, &sign_in(&server, NEW)), 200, "given on the host, it lasts");
    let (code, out, _) = run(&server, &["users", "require-password-change", "--all", "--yes", "--json"], "");
    assert_eq!((code, serde_json::from_str::<Value>(&out).unwrap()), (0, json!({"accounts": 2})));
    assert_eq!(sessions(&server, &sign_in(&server, NEW)), 403);

    // A list has its columns one below another.
    let (_, out, _) = run(&server, &["users", "list"], "");
    let lines: Vec<&str> = out.lines().collect();
    let at = lines[0].find("ROLE").unwrap();
    assert!(lines.len() == 3 && lines[1..].iter().all(|line| line[at..].starts_with(['u', 'a'])), "{out}");
    let (code, out, _) = run(&server, &["users", "delete", "ann@example.com", "--yes"], "");
    assert_eq!((code, out.as_str()), (0, "user `ann@example.com` deleted\n"));
    let (code, _, err) = run(&server, &["users", "delete", "root@example.com", "--yes"], "");
    assert_eq!((code, err.as_str()), (1, "error: this is the last admin: make another one first\n"));
}
