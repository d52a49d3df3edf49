//! Another key in the place of one, written by us to where it is kept: each manager, a file, and who may not.

use std::time::Duration;

use serde_json::{Value, json};

use super::azure_double::KeyVault;
use super::load::under_load;
use super::moto::Moto;
use super::openbao::OpenBao;
use super::{GRACE, REFRESH, events, signing_key, wait_for};
use crate::keys::{KEY_B, KEY_C, forge};
use crate::process::{Answer, SECRET, Server};

const ROTATE: &str = "/api/v1/admin/secrets/SECRET_KEY/rotate";

/// A refusal, and what it says.
#[track_caller]
fn refused(answer: &Answer, says: &str) {
    let body = answer.json();
    assert_eq!((answer.status, &body["error"]), (409, &"secret_not_writable".into()), "{body}");
    let message = body["message"].as_str().unwrap();
    assert!(message.contains(says), "{message}");
}

/// Rotates while clients go on, from several places at the same moment; what the winner was told.
fn rotate_under_load(server: &Server, admin: &str) -> Value {
    assert_eq!(signing_key(server), forge::kid(SECRET));
    let ((took, won), tally) = under_load(server, admin, || {
        let answers: Vec<Answer> = std::thread::scope(|scope| {
            let rotate = || server.call("POST", ROTATE, Some(admin), None);
            let rotations: Vec<_> = (0..4).map(|_| scope.spawn(rotate)).collect();
            rotations.into_iter().map(|rotation| rotation.join().unwrap()).collect()
        });
        let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
        assert_eq!((won.len(), lost.len()), (1, 3), "{won:?} {lost:?}");
        for answer in &lost {
            refused(answer, "SECRET_KEY ");
        }
        let took = wait_for("the new key signs", Duration::from_secs(REFRESH) * 3 + GRACE, || {
            signing_key(server) != forge::kid(SECRET)
        });
        (took, won[0].json())
    });
    assert!(tally.faults.is_empty(), "{} of {:?}: {:?}", tally.faults.len(), tally.answers, tally.faults.first());
    println!("the new key signed after {took:?}, {:?}", tally.answers);
    let rotated = events(server, admin, "secret_rotate");
    let done: Vec<_> = rotated.iter().filter(|event| event["outcome"] == "success").collect();
    assert_eq!(done.len(), 1, "{rotated:#?}");
    assert_eq!(done[0]["resource_id"], "SECRET_KEY");
    assert_eq!(done[0]["details"]["version"], won["version"]);
    assert_eq!((&won["name"], &won["state"]), (&"SECRET_KEY".into(), &"fresh".into()), "{won}");

    // What the key before signed still counts, so it is not pushed out by yet another.
    refused(&server.call("POST", ROTATE, Some(admin), None), "the key before it would be forgotten");
    let unknown = server.call("POST", "/api/v1/admin/secrets/APP_NAME/rotate", Some(admin), None);
    assert_eq!(unknown.status, 404);
    won
}

/// What nobody may see: a value, wherever we say something.
#[track_caller]
fn unseen(server: &Server, won: &Value, secrets: &[&str]) {
    let said = format!("{} {won} {:?}", server.log(), server.run(&["secrets", "check", "--json"], ""));
    for secret in secrets {
        assert!(!said.contains(secret), "a secret is in what the server says");
    }
}

#[test]
fn the_vault_takes_a_new_key_from_us_once_and_nobody_notices() {
    let bao = OpenBao::start();
    let role = bao.app_role();
    bao.put("fastcms/prod", &[("SECRET_KEY", SECRET), ("other", "1")]);
    let mut server = bao.server(&role, &[]);
    server.start();
    let admin = server.set_up();
    let answer = server.call("POST", ROTATE, Some(&admin), None);
    refused(&answer, "grant the capability `patch` on `secret/data/fastcms/prod`");
    assert_eq!(bao.get("fastcms/prod").1, 1);

    bao.write_policy("hcl rotation");
    let won = rotate_under_load(&server, &admin);
    let (fields, version) = bao.get("fastcms/prod");
    assert_eq!((version, &won["version"], &fields["other"]), (2, &"2".into(), &"1".into()), "{won}");
    let key = fields["SECRET_KEY"].as_str().unwrap();
    assert_eq!((key.len(), signing_key(&server)), (96, forge::kid(key)));
    unseen(&server, &won, &[SECRET, key, &role.secret_id]);

    // A start in the middle of it all knows both.
    server.terminate();
    server.start();
    assert_eq!(signing_key(&server), forge::kid(key));
    assert_eq!(server.call("GET", "/api/v1/auth/me", Some(&admin), None).status, 200);
}

/// Who has the key that leaked can sign as well as we: a node that starts a moment after it was replaced does not go on with it, as it
/// would with one that was only rotated.
#[test]
fn a_start_after_an_emergency_signs_with_the_new_key_at_once() {
    let bao = OpenBao::start();
    let role = bao.app_role();
    bao.write_policy("hcl rotation");
    bao.put("fastcms/prod", &[("SECRET_KEY", SECRET)]);
    let mut server = bao.server(&role, &[("SECRETS_REFRESH_SECONDS", "60")]);
    server.start();
    server.set_up();
    let rotated = server.run(&["keys", "rotate", "--emergency", "--yes"], "");
    assert!(rotated.status.success(), "{rotated:?}");
    let key = bao.get("fastcms/prod").0["SECRET_KEY"].as_str().unwrap().to_owned();
    assert_ne!(key, SECRET);
    server.terminate();
    server.start();
    assert_eq!(signing_key(&server), forge::kid(&key));
    // From the first request on: nothing had to be put right after the port was open.
    assert!(!server.log().contains("the keys in the settings changed"), "{}", server.log());
}

/// Two installations share a secret and no database: the vault alone says who was first.
#[test]
fn of_two_installations_that_rotate_one_secret_at_once_one_wins() {
    let bao = OpenBao::start();
    let role = bao.app_role();
    bao.write_policy("hcl rotation");
    bao.put("fastcms/prod", &[("SECRET_KEY", SECRET)]);
    let mut servers = [bao.server(&role, &[]), bao.server(&role, &[])];
    for server in &mut servers {
        server.start();
    }
    let admins = servers.each_ref().map(Server::set_up);
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let rotate = |(server, admin): (_, _)| {
            let (server, admin): (&Server, &String) = (server, admin);
            scope.spawn(move || server.call("POST", ROTATE, Some(admin), None))
        };
        let rotations: Vec<_> = servers.iter().zip(&admins).map(rotate).collect();
        rotations.into_iter().map(|rotation| rotation.join().unwrap()).collect()
    });
    let won = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!((won, bao.get("fastcms/prod").1), (1, 2), "{answers:?}");
    refused(answers.iter().find(|answer| answer.status != 200).unwrap(), "SECRET_KEY ");
}

#[test]
fn aws_takes_a_new_key_from_us_once_and_nobody_notices() {
    let moto = Moto::start();
    let (reader, writer) = (moto.identity(), moto.identity_with("rotator", "json rotation"));
    let value = |secret: &Value| serde_json::from_str::<Value>(secret["SecretString"].as_str().unwrap()).unwrap();
    let at =
        |stage: &str| moto.administer("GetSecretValue", &json!({"SecretId": "fastcms/prod", "VersionStage": stage}));
    let first = json!({"SECRET_KEY": SECRET, "number": 1}).to_string();
    moto.administer("CreateSecret", &json!({"Name": "fastcms/prod", "SecretString": first}));
    let mut only_reads = moto.server(&reader, &[]);
    only_reads.start();
    let admin = only_reads.set_up();
    let answer = only_reads.call("POST", ROTATE, Some(&admin), None);
    refused(&answer, "grant `secretsmanager:PutSecretValue` and `secretsmanager:UpdateSecretVersionStage`");
    only_reads.terminate();

    let mut server = moto.server(&writer, &[]);
    server.start();
    let admin = server.set_up();
    let won = rotate_under_load(&server, &admin);
    let (current, previous) = (at("AWSCURRENT"), at("AWSPREVIOUS"));
    assert_eq!((&current["VersionId"], &value(&current)["number"]), (&won["version"], &json!(1)));
    assert_eq!(value(&previous)["SECRET_KEY"], SECRET);
    let pending = json!({"SecretId": "fastcms/prod", "VersionStage": "AWSPENDING"});
    assert_ne!(moto.secrets(&writer, "GetSecretValue", &pending).status, 200, "a label is left over");
    let fields = value(&current);
    let key = fields["SECRET_KEY"].as_str().unwrap();
    assert_eq!(signing_key(&server), forge::kid(key));
    unseen(&server, &won, &[SECRET, key, &writer.secret]);
}

#[test]
fn a_key_that_was_staged_in_aws_is_the_one_that_is_promoted() {
    let moto = Moto::start();
    let writer = moto.identity_with("rotator", "json rotation");
    let value = |key: &str| json!({"SECRET_KEY": key}).to_string();
    moto.administer("CreateSecret", &json!({"Name": "fastcms/prod", "SecretString": value(SECRET)}));
    let staged = json!({"SecretId": "fastcms/prod", "SecretString": value(KEY_C), "VersionStages": ["AWSPENDING"]});
    moto.administer("PutSecretValue", &staged);
    let mut server = moto.server(&writer, &[]);
    server.start();
    server.set_up();
    let rotated = server.run(&["secrets", "rotate", "SECRET_KEY", "--json"], "");
    assert_eq!(rotated.status.code(), Some(0), "{rotated:?}");
    let asked = json!({"SecretId": "fastcms/prod", "VersionStage": "AWSCURRENT"});
    let now = moto.administer("GetSecretValue", &asked);
    assert_eq!(now["SecretString"], value(KEY_C));
    let told: Value = serde_json::from_slice(&rotated.stdout).unwrap();
    assert_eq!(told["version"], now["VersionId"]);
    wait_for("it signs", Duration::from_secs(REFRESH) * 3 + GRACE, || signing_key(&server) == forge::kid(KEY_C));
}

#[test]
fn azure_takes_a_new_key_from_us_once_and_nobody_notices() {
    let vault = KeyVault::start();
    vault.put("SECRET-KEY", SECRET);
    vault.only_read(true);
    // Its versions are as old as the double says; that is not what is asked here.
    let mut server = vault.server(&[("SECRET_MAX_AGE_DAYS", "3650")]);
    server.start();
    let admin = server.set_up();
    refused(&server.call("POST", ROTATE, Some(&admin), None), "grant the role `Key Vault Secrets Officer`");
    vault.only_read(false);
    let won = rotate_under_load(&server, &admin);
    assert_eq!((vault.versions("SECRET-KEY"), &won["version"]), (2, &format!("{:032x}", 2).into()));
    unseen(&server, &won, &[SECRET, super::azure_double::CLIENT_SECRET]);
}

#[test]
fn a_key_in_a_file_is_made_anew_there_and_the_one_before_stays_known() {
    let mut server = Server::new(&[
        ("SECRET_KEY", ""),
        ("SECRET_KEY_FILE", "key"),
        ("SECRETS_REFRESH_SECONDS", &REFRESH.to_string()),
        ("LOG_LEVEL", "INFO"),
    ]);
    let at = |name: &str| server.folder.path().join(name);
    let (key, previous) = (at("key"), at("previous"));
    std::fs::write(&key, SECRET).unwrap();
    server.start();
    let admin = server.set_up();
    refused(&server.call("POST", ROTATE, Some(&admin), None), "give SECRET_KEY_PREVIOUS_FILE a file too");
    server.terminate();
    std::fs::write(&previous, "").unwrap();
    server.set(&[("SECRET_KEY_PREVIOUS_FILE", "previous")]);
    server.start();
    let (_, tally) = under_load(&server, &admin, || {
        let answer = server.call("POST", ROTATE, Some(&admin), None);
        assert_eq!(answer.status, 200, "{answer:?}");
        refused(&server.call("POST", ROTATE, Some(&admin), None), "another key than the one in force");
        wait_for("the new key signs", Duration::from_secs(REFRESH) * 3 + GRACE, || {
            signing_key(&server) != forge::kid(SECRET)
        })
    });
    assert!(tally.faults.is_empty(), "{:?}", tally.faults.first());
    let fresh = std::fs::read_to_string(&key).unwrap();
    assert_eq!(
        (signing_key(&server), std::fs::read_to_string(&previous).unwrap().as_str()),
        (forge::kid(&fresh), SECRET)
    );
    server.terminate();
    server.start();
    assert_eq!(server.call("GET", "/api/v1/auth/me", Some(&admin), None).status, 200);
}

#[test]
fn what_somebody_else_knows_too_is_not_made_anew_from_here() {
    let mut server = Server::new(&[("SMTP_PASSWORD_FILE", "mail"), ("SMTP_USER", "cms")]);
    std::fs::write(server.folder.path().join("mail"), KEY_B).unwrap();
    server.start();
    let admin = server.set_up();
    let answer = server.call("POST", "/api/v1/admin/secrets/SMTP_PASSWORD/rotate", Some(&admin), None);
    refused(&answer, "SMTP_PASSWORD is known to somebody else too");
    refused(&server.call("POST", ROTATE, Some(&admin), None), "SECRET_KEY comes from environment: change it there");
    let from_here = server.run(&["secrets", "rotate", "SECRET_KEY"], "");
    assert_eq!(from_here.status.code(), Some(1));
    // Who asked for what, and what stood in the way, is kept.
    let kept = || events(&server, &admin, "secret_rotate");
    wait_for("they are in the audit log", GRACE, || kept().len() == 3);
    let mut refused: Vec<String> = kept()
        .iter()
        .map(|event| {
            let name = event["resource_id"].as_str().unwrap().to_owned();
            assert!(event["error_message"].as_str().unwrap().contains(&name), "{event}");
            format!("{} {name}", event["outcome"].as_str().unwrap())
        })
        .collect();
    refused.sort_unstable();
    assert_eq!(refused, ["failure SECRET_KEY", "failure SECRET_KEY", "failure SMTP_PASSWORD"]);
    assert!(
        String::from_utf8_lossy(&from_here.stderr).contains("error: SECRET_KEY comes from environment"),
        "{from_here:?}"
    );
}
