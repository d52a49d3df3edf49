//! Every way in which the vault, or somebody who writes to the database, can keep data keys from being opened.

use super::{
    KEY, MARKER, NEVER, PRODUCTION, command, data_keys, new_record, on_both_engines_blocking, put, read, refusal,
    run_blocking, sealed_record, versions, wait_for,
};
use crate::engine::Engine;
use crate::managers::openbao::OpenBao;
use crate::managers::{GRACE, REFRESH, events, freshness};
use crate::process::SECRET;
use std::time::Duration;

const QUICKLY: Duration = Duration::from_secs(20);

on_both_engines_blocking!(what_was_swapped_or_changed_is_refused);

fn what_was_swapped_or_changed_is_refused(database: &str) {
    let bao = OpenBao::start();
    let role = bao.transit_role();
    let settings = [("DATABASE_URL", database), ("SECRET_KEY", SECRET), ("ENCRYPTION_TRANSIT_KEY", KEY), NEVER];
    let mut server = bao.server(&role, &settings);
    server.start();
    let admin = server.set_up();
    let record = sealed_record(&server, &admin);
    // Two data keys of one purpose.
    let (code, said) = command(&server, &["keys", "reseal", "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(server.terminate().0.success());
    server.set(&PRODUCTION);
    let rows = data_keys(database);
    let values: Vec<_> = rows.iter().filter(|row| row.purpose == "values").collect();
    let audit = rows.iter().find(|row| row.purpose == "audit").unwrap();
    assert_eq!(values.iter().map(|row| row.retired).collect::<Vec<_>>(), [true, false]);
    for (one, other) in [(values[0], values[1]), (values[1], audit)] {
        put(database, one.id, &other.wrapped);
        put(database, other.id, &one.wrapped);
        let said = refusal(&server, QUICKLY);
        let part = format!("data key {}, wrapped by version 1 of the transit key `transit/fastcms`", one.id);
        for part in ["E009", &part, "did not wrap this for this place"] {
            assert!(said.contains(part), "{part} in: {said}");
        }
        put(database, one.id, &one.wrapped);
        put(database, other.id, &other.wrapped);
    }
    let (head, tail) = values[1].wrapped.split_at(values[1].wrapped.len() - 8);
    let flipped = if tail.starts_with('A') { "B" } else { "A" };
    for changed in [format!("{head}{flipped}{}", &tail[1..]), head.to_owned() + "AAAA", head[..60].to_owned()] {
        put(database, values[1].id, &changed);
        let said = refusal(&server, QUICKLY);
        assert!(said.contains("E009") && said.contains("1 values of `notes.body`"), "{changed}: {said}");
    }
    put(database, values[1].id, &values[1].wrapped);
    assert_eq!(data_keys(database), rows, "a start that is refused changes nothing");
    server.start();
    assert_eq!(read(&server, &record), MARKER);
    assert_eq!(server.call("GET", "/health/ready", None, None).status, 200);
}

#[test]
fn a_vault_that_is_away_is_waited_for_at_a_start_and_not_noticed_later() {
    run_blocking(Engine::Sqlite, |database| {
        let bao = OpenBao::start();
        let role = bao.transit_role();
        let settings = [("DATABASE_URL", database), ("SECRET_KEY", SECRET), ("ENCRYPTION_TRANSIT_KEY", KEY)];
        let mut server = bao.server(&role, &settings);
        server.start();
        let admin = server.set_up();
        let record = sealed_record(&server, &admin);
        assert_eq!(freshness(&server, &admin), "fresh");

        // While the server runs.
        bao.seal();
        let refresh = Duration::from_secs(REFRESH);
        wait_for("readiness says so", refresh + GRACE, || freshness(&server, &admin) == "stale");
        let metrics = server.call("GET", "/api/v1/admin/metrics/prometheus", Some(&admin), None);
        let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
        assert!(metrics.contains("fastcms_secret_stale{name=\"ENCRYPTION_TRANSIT_KEY\"} 1\n"), "{metrics}");
        for _ in 0..3 {
            assert_eq!(read(&server, &new_record(&server)), MARKER);
            std::thread::sleep(Duration::from_secs(2));
        }
        let failed = events(&server, &admin, "secret_read");
        assert!(failed.iter().any(|event| event["resource_id"] == "ENCRYPTION_TRANSIT_KEY"), "{failed:?}");
        bao.unseal();
        wait_for("it is fresh again", refresh * 2 + GRACE, || freshness(&server, &admin) == "fresh");
        // The version that it was tried with is forgotten: that is no fault of the key.
        bao.run(&["write", "-f", "transit/keys/fastcms/rotate"]);
        assert_eq!(command(&server, &["keys", "rewrap"]).0, Some(0));
        bao.run(&["write", "transit/keys/fastcms/config", "min_decryption_version=2"]);
        std::thread::sleep(refresh * 2);
        assert_eq!((freshness(&server, &admin), versions(database)), ("fresh".to_owned(), vec!["2".to_owned(); 2]));

        // At a start, with the setting and without it.
        bao.seal();
        assert!(server.terminate().0.success());
        let rows = data_keys(database);
        let said = refusal(&server, QUICKLY);
        assert!(said.contains("ENCRYPTION_TRANSIT_KEY: `transit/fastcms` is sealed: unseal the vault"), "{said}");
        assert!(said.contains("the start waits for a secret"), "{said}");
        server.set(&[("ENCRYPTION_TRANSIT_KEY", ""), ("SEALED_DATA_UNREADABLE", "accept")]);
        let said = refusal(&server, QUICKLY);
        for part in
            ["the start waits for a data key", "cannot be unwrapped at the moment", "is sealed: unseal the vault"]
        {
            assert!(said.contains(part), "{part} in: {said}");
        }
        let (code, said) = command(&server, &["doctor", "secrets"]);
        assert!(code == Some(1) && said.contains("`transit/fastcms` is sealed"), "{said}");
        assert_eq!(data_keys(database), rows);
        server.set(&[("ENCRYPTION_TRANSIT_KEY", KEY), ("SEALED_DATA_UNREADABLE", "")]);
        server.set(&[("SECRETS_BOOT_TIMEOUT", "30")]);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_secs(2));
                bao.unseal();
            });
            server.start();
        });
        assert_eq!(read(&server, &record), MARKER);
    });
}

#[test]
fn our_identity_wraps_by_its_key_and_does_nothing_else() {
    let bao = OpenBao::start();
    let role = bao.transit_role();
    bao.run(&["write", "-f", "transit/keys/other"]);
    bao.run(&["write", "-f", "transit/keys/exported", "exportable=true"]);
    let token = bao.token();
    for (arguments, allowed) in [
        (vec!["write", "transit/encrypt/fastcms", "plaintext=aGVsbG8="], true),
        (vec!["write", "transit/encrypt/other", "plaintext=aGVsbG8="], false),
        (vec!["write", "transit/encrypt/new", "plaintext=aGVsbG8="], false),
        (vec!["read", "transit/keys/fastcms"], false),
        (vec!["list", "transit/keys"], false),
        (vec!["read", "transit/export/encryption-key/fastcms"], false),
        (vec!["read", "transit/backup/fastcms"], false),
        (vec!["write", "-f", "transit/keys/fastcms/rotate"], false),
        (vec!["write", "transit/keys/fastcms/config", "deletion_allowed=true"], false),
        (vec!["delete", "transit/keys/fastcms"], false),
        (vec!["write", "-f", "transit/datakey/plaintext/fastcms"], false),
    ] {
        let output = bao.command_as(&token, &arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.success(), allowed, "{arguments:?}: {said}");
        assert!(allowed || said.contains("Code: 403"), "{arguments:?}: {said}");
    }

    // Each fault of the key is said with all others, and by what to do.
    bao.run(&["write", "-f", "transit/keys/rsa", "type=rsa-2048"]);
    bao.run(&["write", "-f", "transit/keys/derived", "derived=true"]);
    let root = bao.root_token();
    let server = |token: &str, key: &str| {
        let settings = [("SECRET_KEY", SECRET), ("ENCRYPTION_TRANSIT_KEY", key), ("APP_PORT", "many")];
        let mut server = bao.server(&role, &settings);
        server.set(&[("VAULT_ROLE_ID", ""), ("VAULT_SECRET_ID", ""), ("VAULT_TOKEN", token)]);
        server
    };
    for (token, key, part) in [
        (
            token.as_str(),
            "transit/other",
            "`transit/other` is denied (by the policy of our token): let our policy update",
        ),
        (&root, "transit/none", "`transit/none` is not there (the engine has no such key)"),
        (&root, "nowhere/fastcms", "`nowhere/fastcms` is not there (no transit engine is mounted there)"),
        (&root, "secret/fastcms", "`secret/fastcms` is not there"),
        (&root, "transit/rsa", "`transit/rsa` cannot be used: a key of its type cannot bind"),
        (&root, "transit/derived", "`transit/derived` cannot be used: it derives a key for each use"),
        ("s.nobody", "transit/fastcms", "`transit/fastcms` is denied"),
        (&root, "transit", "is not `mount/key`"),
    ] {
        let said = refusal(&server(token, key), QUICKLY);
        let line = format!("ENCRYPTION_TRANSIT_KEY: {part}");
        assert!(said.lines().any(|said| said.starts_with(&line)), "{line} in: {said}");
        assert!(said.lines().any(|said| said.starts_with("APP_PORT: ")), "{said}");
        assert!(!said.contains(&root), "{said}");
    }
    let names = bao.run(&["list", "-format=json", "transit/keys"]);
    assert!(!names.contains("none"), "a key that was looked for was made: {names}");
    // A store of another kind keeps nothing of what it was asked.
    bao.run(&["secrets", "enable", "-path=plain", "-version=1", "kv"]);
    let said = refusal(&server(&root, "plain/fastcms"), QUICKLY);
    assert!(said.contains("what is mounted there is no transit engine"), "{said}");
    assert!(!bao.command(&["read", "plain/encrypt/fastcms"]).status.success(), "a data key was sent to a store");
}
