//! What is promised of Azure Key Vault.

use std::time::{Duration, Instant};

use super::azure_double::{CLIENT_SECRET, KeyVault};
use super::load::under_load;
use super::{GRACE, REFRESH, events, freshness, refusal, signing_key, wait_for};
use crate::keys::{KEY_B, KEY_C, forge};
use crate::process::{SECRET, Server};

const NAME: &str = "SECRET-KEY";
/// How long a manager that says nothing is waited for, and a little more.
const SILENCE: Duration = Duration::from_secs(9);

#[test]
fn a_key_that_rotates_in_azure_is_followed_and_an_outage_is_lived_through_and_nobody_notices() {
    let mut vault = KeyVault::start();
    vault.put(NAME, SECRET);
    let mut server = vault.server(&[]);
    server.start();
    let admin = server.set_up();
    assert_eq!(signing_key(&server), forge::kid(SECRET));

    let refresh = Duration::from_secs(REFRESH);
    let (took, tally) = under_load(&server, &admin, || {
        vault.put(NAME, KEY_B);
        let took = wait_for("the new key signs", refresh * 3 + GRACE, || signing_key(&server) == forge::kid(KEY_B));
        // A token that ends before its time is a reason to ask for another, and none to be stale.
        let issued = vault.tokens_issued();
        vault.end_tokens();
        wait_for("another token", refresh * 2 + GRACE, || vault.tokens_issued() > 0);
        assert_eq!((issued > 0, freshness(&server, &admin).as_str()), (true, "fresh"));

        // There, and says nothing: the slowest way to fail.
        vault.signal("-STOP");
        let hanging = wait_for("readiness says so", refresh + SILENCE + GRACE, || is_stale(&server, &admin));
        std::thread::sleep(refresh);
        assert_eq!(signing_key(&server), forge::kid(KEY_B));
        let figures = server.call("GET", "/api/v1/admin/metrics/prometheus", Some(&admin), None).body;
        let figures = String::from_utf8(figures).unwrap();
        assert!(figures.contains("fastcms_secret_stale{name=\"SECRET_KEY\"} 1\n"), "{figures}");
        assert!(figures.contains("fastcms_secret_age_seconds{name=\"SECRET_KEY\"} "), "{figures}");
        vault.signal("-CONT");
        wait_for("it is fresh again", SILENCE + refresh * 2 + GRACE, || !is_stale(&server, &admin));

        // Gone, and back.
        vault.kill();
        let gone = wait_for("readiness says so", refresh + GRACE, || is_stale(&server, &admin));
        std::thread::sleep(refresh * 2);
        assert_eq!(signing_key(&server), forge::kid(KEY_B));
        vault.start_again();
        wait_for("it is fresh again", refresh * 2 + GRACE, || !is_stale(&server, &admin));
        (took, hanging, gone)
    });
    assert!(tally.faults.is_empty(), "{} of {:?}: {:?}", tally.faults.len(), tally.answers, tally.faults.first());
    println!("the new key signed, a hanging and a killed vault were said after {took:?}, {:?}", tally.answers);
    let read = events(&server, &admin, "secret_read");
    assert_eq!(read.iter().filter(|event| event["outcome"] == "success").count(), 2, "{read:#?}");
    assert_eq!(read.iter().filter(|event| event["outcome"] == "error").count(), 2, "{read:#?}");

    // Where it comes from and that it is old is told to admins; what it is, to nobody.
    let told = server.call("GET", "/api/v1/admin/secrets", Some(&admin), None).json();
    let item = told["items"].as_array().unwrap().iter().find(|item| item["name"] == "SECRET_KEY").unwrap();
    assert_eq!(item["source"], format!("azure-kv:localhost:{}/SECRET-KEY", vault.port));
    assert_eq!((&item["version"], &item["state"]), (&format!("{:032x}", 2).into(), &"too_old".into()), "{item}");
    let listed = server.run(&["secrets", "list"], "");
    assert_eq!(listed.status.code(), Some(1), "{listed:?}");
    let said = format!("{} {read:?} {told} {listed:?} {:?}", server.log(), server.run(&["config", "--json"], ""));
    for secret in [SECRET, KEY_B, CLIENT_SECRET] {
        assert!(!said.contains(secret), "a secret is in what the server says");
    }
}

/// Whether readiness says so; it does not wait for a manager that says nothing.
fn is_stale(server: &Server, admin: &str) -> bool {
    let asked = Instant::now();
    let said = freshness(server, admin);
    assert!(asked.elapsed() < SILENCE / 2, "readiness took {:?}", asked.elapsed());
    said == "stale"
}

/// However many secrets it keeps: who says nothing is waited for once a round.
#[test]
fn a_vault_that_says_nothing_holds_up_neither_readiness_nor_a_start_nor_an_end() {
    let vault = KeyVault::start();
    let names = ["SMTP_PASSWORD", "GOOGLE_CLIENT_SECRET", "GITHUB_CLIENT_SECRET", "FACEBOOK_CLIENT_SECRET"];
    vault.put(NAME, SECRET);
    let place = |name: &str| name.replace('_', "-");
    let references = names.map(|name| {
        vault.put(&place(name), KEY_C);
        (name, format!("azure-kv:localhost:{}/{}", vault.port, place(name)))
    });
    let more: Vec<(&str, &str)> = references.iter().map(|(name, reference)| (*name, reference.as_str())).collect();
    let mut server = vault.server(&more);
    server.start();
    let admin = server.set_up();
    let refresh = Duration::from_secs(REFRESH);
    vault.signal("-STOP");
    wait_for("readiness says so", refresh + SILENCE + GRACE, || is_stale(&server, &admin));
    // The next round is under way by then.
    std::thread::sleep(refresh + GRACE);
    let (status, took) = server.terminate();
    assert!(status.success() && took < SILENCE / 2, "{status} after {took:?}");
    let said = refusal(&server, SILENCE * 2 + GRACE);
    for name in names.into_iter().chain(["SECRET_KEY"]) {
        let line = said.lines().find(|line| line.contains(&format!("{name}: `azure-kv:")));
        assert!(line.is_some_and(|line| line.contains("does not answer in time")), "{name}: {said}");
    }
    vault.signal("-CONT");
    server.start();
}

#[test]
fn the_newest_version_that_is_enabled_signs_and_the_one_before_it_verifies() {
    let vault = KeyVault::start();
    for key in [SECRET, KEY_B, KEY_C] {
        vault.put(NAME, key);
    }
    vault.disable_newest(NAME);
    let mut server = vault.server(&[]);
    server.start();
    let admin = server.set_up();
    let keys = server.call("GET", "/api/v1/admin/keys", Some(&admin), None).json();
    let mut kids: Vec<&str> = keys["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap()).collect();
    kids.sort_unstable();
    let mut wanted = [forge::kid(SECRET), forge::kid(KEY_B)];
    wanted.sort_unstable();
    assert_eq!(kids, wanted);
    assert_eq!(signing_key(&server), forge::kid(KEY_B));
}

#[test]
fn each_identity_of_azure_opens_the_vault() {
    let vault = KeyVault::start();
    vault.put(NAME, SECRET);
    let mut workload = vault.server(&[("AZURE_CLIENT_SECRET", ""), ("AZURE_FEDERATED_TOKEN_FILE", "workload.jwt")]);
    std::fs::write(workload.folder.path().join("workload.jwt"), "token-of-the-workload\n").unwrap();
    workload.start();
    workload.terminate();
    let none = [("AZURE_CLIENT_SECRET", ""), ("AZURE_TENANT_ID", ""), ("AZURE_CLIENT_ID", "")];
    vault.server(&none).start();
}

#[test]
fn a_hostile_challenge_gets_no_token_and_a_refusal_says_why() {
    let vault = KeyVault::start();
    vault.put(NAME, SECRET);
    vault.put("OTHER", KEY_B);
    vault.forbid("OTHER");
    let quickly = Duration::from_secs(20);
    let other = format!("azure-kv:localhost:{}/OTHER", vault.port);
    let said = refusal(&vault.server(&[("SMTP_PASSWORD", &other)]), quickly);
    assert!(
        said.contains(&format!("SMTP_PASSWORD: `{other}` is denied (the vault answers ForbiddenByRbac)")),
        "{said}"
    );

    let said = refusal(&vault.server(&[("AZURE_CLIENT_SECRET", "wrong-one")]), quickly);
    assert!(said.contains("is denied (Entra ID answers invalid_client)") && !said.contains("wrong-one"), "{said}");

    let issued = vault.tokens_issued();
    for hostile in ["https://management.azure.com", "https://localhost.evil.example", "http://localhost"] {
        vault.want_tokens_for(hostile);
        let said = refusal(&vault.server(&[]), quickly);
        assert!(said.contains("SECRET_KEY: `azure-kv:") && said.contains("is not asked for"), "{said}");
    }
    assert_eq!(vault.tokens_issued(), issued, "a token was asked for in the name of a hostile vault");
}

/// Our double is worth something only as far as somebody else's client believes it.
#[test]
fn the_sdk_of_microsoft_takes_our_double_for_the_real_thing() {
    let python =
        std::env::var_os("AZURE_SDK").expect("AZURE_SDK names no program: run `cargo xtask test`, which installs it");
    let vault = KeyVault::start();
    vault.put("FORBIDDEN", SECRET);
    vault.forbid("FORBIDDEN");
    let witness = vault.authority().with_file_name("witness.py");
    std::fs::write(&witness, include_str!("azure_witness.py")).unwrap();
    let mut command = std::process::Command::new(python);
    command.arg(&witness).args([vault.port.to_string(), vault.metadata_port.to_string()]).arg(CLIENT_SECRET);
    command.env_clear().env("REQUESTS_CA_BUNDLE", vault.authority()).env("HOME", witness.parent().unwrap());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let wanted = serde_json::json!({
        "current": "two", "first": "one", "versions": true, "absent": "ResourceNotFoundError",
        "stranger": "ClientAuthenticationError", "forbidden": "HttpResponseError", "disabled": "HttpResponseError",
        "workload": "one", "machine": "one",
    });
    assert_eq!(seen, wanted);
}
