//! What is promised of Vault and OpenBao.

use std::time::Duration;

use super::load::under_load;
use super::openbao::OpenBao;
use super::{GRACE, REFRESH, events, freshness, refusal, signing_key, wait_for};
use crate::keys::{KEY_B, forge};
use crate::process::SECRET;

const PATH: &str = "fastcms/prod";

#[test]
fn a_key_that_rotates_in_the_vault_is_followed_and_an_outage_is_lived_through_and_nobody_notices() {
    let bao = OpenBao::start();
    let role = bao.app_role();
    bao.put(PATH, &[("SECRET_KEY", SECRET), ("other", "1")]);
    let mut server = bao.server(&role, &[]);
    server.start();
    let admin = server.set_up();
    assert_eq!(signing_key(&server), forge::kid(SECRET));
    assert_eq!(freshness(&server, &admin), "fresh");

    let refresh = Duration::from_secs(REFRESH);
    let (took, tally) = under_load(&server, &admin, || {
        bao.put(PATH, &[("SECRET_KEY", KEY_B), ("other", "1")]);
        let took = wait_for("the new key signs", refresh * 3 + GRACE, || signing_key(&server) == forge::kid(KEY_B));
        bao.seal();
        let stale = wait_for("readiness says so", refresh + GRACE, || freshness(&server, &admin) == "stale");
        std::thread::sleep(refresh * 2);
        assert_eq!(signing_key(&server), forge::kid(KEY_B));
        bao.unseal();
        wait_for("it is fresh again", refresh * 2 + GRACE, || freshness(&server, &admin) == "fresh");
        // Past the longest life of a token: it was renewed, then we logged in again.
        wait_for("another log-in", Duration::from_secs(40), || bao.asked("auth/approle/login") > 1);
        wait_for("and a read with it", refresh * 2 + GRACE, || freshness(&server, &admin) == "fresh");
        // A token that is taken away before its time is a reason to log in again, and none to be stale.
        let log_ins = bao.asked("auth/approle/login");
        bao.run(&["token", "revoke", "-mode=path", "auth/approle"]);
        wait_for("one more log-in", refresh * 2 + GRACE, || bao.asked("auth/approle/login") > log_ins);
        assert_eq!(freshness(&server, &admin), "fresh");
        (took, stale)
    });
    assert!(took.0 < refresh * 3 + GRACE, "{took:?}");
    assert!(tally.faults.is_empty(), "{} of {:?}: {:?}", tally.faults.len(), tally.answers, tally.faults.first());
    assert!(bao.asked("auth/token/renew-self") > 0, "no token was renewed");
    println!("the new key signed after {:?}, stale was said after {:?}, {:?}", took.0, took.1, tally.answers);

    let read = events(&server, &admin, "secret_read");
    let versions: Vec<_> = read.iter().filter(|event| event["outcome"] == "success").collect();
    assert_eq!(versions.len(), 2, "{read:#?}");
    for (event, version) in versions.iter().rev().zip(["1", "2"]) {
        assert_eq!(event["resource_id"], "SECRET_KEY");
        assert_eq!(event["details"]["version"], version, "{event:#?}");
        assert_eq!(event["details"]["source"], "vault:secret/fastcms/prod#SECRET_KEY");
    }
    assert!(read.iter().any(|event| event["outcome"] == "error"), "{read:#?}");
    let said = format!("{} {read:?} {:?}", server.log(), server.run(&["config", "--json"], ""));
    for secret in [SECRET, KEY_B, &role.secret_id] {
        assert!(!said.contains(secret), "a secret is in what the server says");
    }
}

#[test]
fn our_identity_reads_its_path_and_nothing_beside_it() {
    let bao = OpenBao::start();
    let role = bao.app_role();
    bao.put(PATH, &[("SECRET_KEY", SECRET)]);
    bao.put("fastcms/staging", &[("SECRET_KEY", KEY_B)]);
    let quickly = Duration::from_secs(20);

    // All that is wrong is said at once, each by its setting.
    let beside = bao.server(
        &role,
        &[
            ("SECRET_KEY", "vault:secret/fastcms/staging#SECRET_KEY"),
            ("SMTP_PASSWORD", "vault:secret/fastcms/prod#nothing"),
            ("REDIS_URL", "env:NOTHING"),
            ("APP_PORT", "many"),
        ],
    );
    let said = refusal(&beside, quickly);
    for line in [
        "SECRET_KEY: `vault:secret/fastcms/staging#SECRET_KEY` is denied",
        "SMTP_PASSWORD: `vault:secret/fastcms/prod#nothing` is not there",
        "REDIS_URL: `env:NOTHING` is not there",
        "APP_PORT: ",
    ] {
        assert_eq!(said.lines().filter(|said| said.starts_with(line)).count(), 1, "{line} in: {said}");
    }
    assert!(!said.contains(SECRET) && !said.contains(KEY_B) && !said.contains(&role.secret_id));

    // Neither may we write, even our own path.
    let login = bao.command_as(
        "",
        &[
            "write",
            "-field=token",
            "auth/approle/login",
            &format!("role_id={}", role.role_id),
            &format!("secret_id={}", role.secret_id),
        ],
    );
    let token = String::from_utf8(login.stdout).unwrap();
    for (arguments, allowed) in [
        (vec!["kv", "get", "-mount=secret", PATH], true),
        (vec!["kv", "get", "-mount=secret", "fastcms/staging"], false),
        (vec!["kv", "put", "-mount=secret", PATH, "SECRET_KEY=x"], false),
        (vec!["kv", "delete", "-mount=secret", PATH], false),
        (vec!["kv", "list", "-mount=secret", "fastcms"], false),
    ] {
        assert_eq!(bao.command_as(token.trim(), &arguments).status.success(), allowed, "{arguments:?}");
    }

    // Who cannot log in is told so.
    let stranger = bao.server(&role, &[("VAULT_SECRET_ID", "00000000-0000-0000-0000-000000000000")]);
    let said = refusal(&stranger, quickly);
    assert!(
        said.contains("SECRET_KEY: `vault:secret/fastcms/prod#SECRET_KEY` is denied (the vault refuses our log-in"),
        "{said}"
    );

    // A certificate of nobody we trust ends the conversation before it begins.
    let deceived = bao.server(&role, &[("VAULT_CACERT", "")]);
    let said = refusal(&deceived, quickly);
    assert!(said.contains("the certificate of `localhost` does not hold"), "{said}");

    // What takes us to the vault cannot lie in it.
    let circle = bao.server(&role, &[("VAULT_SECRET_ID", "vault:secret/fastcms/prod#SECRET_KEY")]);
    let said = refusal(&circle, quickly);
    assert!(said.contains("VAULT_SECRET_ID: takes us to a manager"), "{said}");
}

#[test]
fn a_vault_that_is_sealed_at_the_start_is_waited_for_and_then_there_is_no_start() {
    let bao = OpenBao::start();
    let role = bao.app_role();
    bao.put(PATH, &[("SECRET_KEY", SECRET)]);
    bao.seal();
    let mut server = bao.server(&role, &[]);
    let said = refusal(&server, Duration::from_secs(20));
    assert!(said.contains("SECRET_KEY: `vault:secret/fastcms/prod#SECRET_KEY` is sealed"), "{said}");

    server.set(&[("SECRETS_BOOT_TIMEOUT", "30")]);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_secs(2));
            bao.unseal();
        });
        server.start();
    });
    server.set_up();
    assert_eq!(signing_key(&server), forge::kid(SECRET));

    // The key before the one in force verifies from the start: the version before it that differs, whatever else changed since.
    let before = server.call(
        "POST",
        "/api/v1/auth/login",
        None,
        Some(&serde_json::json!({
            "email": "root@example.com", "password": crate::process::PASSWORD,
        })),
    );
    let token = before.json()["token"]["access_token"].as_str().unwrap().to_owned();
    bao.put(PATH, &[("SECRET_KEY", KEY_B)]);
    bao.put(PATH, &[("SECRET_KEY", KEY_B), ("mail", "changed")]);
    server.terminate();
    server.start();
    let patience = Duration::from_secs(REFRESH) * 3 + GRACE;
    wait_for("the new key signs", patience, || signing_key(&server) == forge::kid(KEY_B));
    assert_eq!(server.call("GET", "/api/v1/auth/me", Some(&token), None).status, 200);
}
