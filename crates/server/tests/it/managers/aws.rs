//! What is promised of AWS Secrets Manager.

use std::time::Duration;

use serde_json::json;

use super::listener::{Request, Said, plain};
use super::load::under_load;
use super::moto::{AccessKey, Moto};
use super::{GRACE, REFRESH, events, freshness, refusal, signing_key, wait_for};
use crate::keys::{KEY_B, KEY_C, forge};
use crate::process::{SECRET, Server};

const ID: &str = "fastcms/prod";

fn value(key: &str) -> String {
    json!({"SECRET_KEY": key, "number": 1}).to_string()
}

#[test]
fn a_key_that_rotates_in_aws_is_followed_and_an_outage_is_lived_through_and_nobody_notices() {
    let moto = Moto::start();
    let who = moto.identity();
    moto.administer("CreateSecret", &json!({"Name": ID, "SecretString": value(SECRET)}));
    let mut server = moto.server(&who, &[]);
    server.start();
    let admin = server.set_up();
    assert_eq!(signing_key(&server), forge::kid(SECRET));

    let refresh = Duration::from_secs(REFRESH);
    let ((took, stale), tally) = under_load(&server, &admin, || {
        moto.administer("PutSecretValue", &json!({"SecretId": ID, "SecretString": value(KEY_B)}));
        let took = wait_for("the new key signs", refresh * 3 + GRACE, || signing_key(&server) == forge::kid(KEY_B));
        moto.signal("-STOP");
        // A manager that is there and says nothing is the slowest way to fail.
        let stale = wait_for("readiness says so", refresh + Duration::from_secs(9) + GRACE, || {
            freshness(&server, &admin) == "stale"
        });
        assert_eq!(signing_key(&server), forge::kid(KEY_B));
        moto.signal("-CONT");
        wait_for("it is fresh again", Duration::from_secs(9) + refresh * 2 + GRACE, || {
            freshness(&server, &admin) == "fresh"
        });
        (took, stale)
    });
    assert!(tally.faults.is_empty(), "{} of {:?}: {:?}", tally.faults.len(), tally.answers, tally.faults.first());
    println!("the new key signed after {took:?}, stale was said after {stale:?}, {:?}", tally.answers);

    let read = events(&server, &admin, "secret_read");
    assert_eq!(read.iter().filter(|event| event["outcome"] == "success").count(), 2, "{read:#?}");
    let said = format!("{} {read:?} {:?}", server.log(), server.run(&["config", "--json"], ""));
    for secret in [SECRET, KEY_B, &who.secret] {
        assert!(!said.contains(secret), "a secret is in what the server says");
    }
}

#[test]
fn the_stages_of_aws_are_the_places_in_the_ring() {
    let moto = Moto::start();
    let who = moto.identity();
    moto.administer("CreateSecret", &json!({"Name": ID, "SecretString": value(SECRET)}));
    moto.administer("PutSecretValue", &json!({"SecretId": ID, "SecretString": value(KEY_B)}));
    let pending = json!({"SecretId": ID, "SecretString": value(KEY_C), "VersionStages": ["AWSPENDING"]});
    moto.administer("PutSecretValue", &pending);
    let places = |server: &Server, admin: &str| {
        let answer = server.call("GET", "/api/v1/admin/keys", Some(admin), None).json();
        let mut places: Vec<(String, String)> = answer["keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| (key["state"].as_str().unwrap().to_owned(), key["kid"].as_str().unwrap().to_owned()))
            .collect();
        places.sort();
        places
    };
    let place = |state: &str, key: &str| (state.to_owned(), forge::kid(key));
    let mut server = moto.server(&who, &[]);
    server.start();
    let admin = server.set_up();
    let wanted = [place("current", KEY_B), place("next", KEY_C), place("previous", SECRET)];
    let patience = Duration::from_secs(REFRESH) * 3 + GRACE;
    wait_for("each is in its place", patience, || places(&server, &admin) == wanted);

    // Where nodes look once an hour, others may not know a key of a minute ago: a node that starts signs with the one before.
    moto.administer("PutSecretValue", &json!({"SecretId": ID, "SecretString": value(&KEY_B.replace('1', "7"))}));
    let mut late = moto.server(&who, &[("SECRETS_REFRESH_SECONDS", "3600")]);
    late.start();
    let admin = late.set_up();
    assert_eq!(signing_key(&late), forge::kid(KEY_B));
    assert!(places(&late, &admin).contains(&place("next", &KEY_B.replace('1', "7"))));
}

/// What AWS itself answers where moto looks neither at the resource of a policy nor at the end of a session.
fn strict(request: &Request) -> Option<Said> {
    let refused = |name: &str| Some((400, None, json!({"__type": name, "Message": "no"}).to_string()));
    if request.headers.get("x-amz-security-token").is_some_and(|token| token == "of-a-session-that-ended") {
        return refused("ExpiredTokenException");
    }
    let asked: serde_json::Value = serde_json::from_str(&request.body).ok()?;
    if asked["SecretId"] != ID {
        return refused("AccessDeniedException");
    }
    let version = "00000000-0000-0000-0000-000000000001";
    let secret =
        json!({"Name": ID, "VersionId": version, "SecretString": value(SECRET), "VersionStages": ["AWSCURRENT"]});
    match asked["VersionStage"].as_str() {
        Some("AWSCURRENT") => Some((200, None, secret.to_string())),
        _ => refused("ResourceNotFoundException"),
    }
}

#[test]
fn a_second_path_and_a_session_that_ended_are_refused_and_said_to_be() {
    let endpoint = format!("http://127.0.0.1:{}", plain(strict));
    let own = [
        ("SECRET_KEY", "aws-sm:fastcms/prod#SECRET_KEY"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "0123456789012345678901234567890123456789"),
        ("SECRETS_BOOT_TIMEOUT", "6"),
    ];
    let with = |name: &str, value: &str| {
        let mut server = Server::new(&own);
        server.set(&[(name, value)]);
        server
    };
    let quickly = Duration::from_secs(20);
    let said = refusal(&with("SMTP_PASSWORD", "aws-sm:fastcms/staging#SMTP_PASSWORD"), quickly);
    let wanted = "SMTP_PASSWORD: `aws-sm:fastcms/staging#SMTP_PASSWORD` is denied (AWS answers AccessDeniedException)";
    assert!(said.contains(wanted) && !said.contains("SECRET_KEY: `aws-sm"), "{said}");
    let said = refusal(&with("AWS_SESSION_TOKEN", "of-a-session-that-ended"), quickly);
    let wanted = "SECRET_KEY: `aws-sm:fastcms/prod#SECRET_KEY` is denied (AWS answers ExpiredTokenException)";
    assert!(said.contains(wanted) && !said.contains("of-a-session-that-ended"), "{said}");
    assert!(!said.contains(SECRET), "{said}");
    with("LOG_LEVEL", "INFO").start();
}

#[test]
fn our_identity_reads_its_secret_and_nothing_beside_it() {
    let moto = Moto::start();
    let who = moto.identity();
    moto.administer("CreateSecret", &json!({"Name": ID, "SecretString": value(SECRET)}));
    let quickly = Duration::from_secs(20);
    let other =
        json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]});
    let other = moto.user("other", &other.to_string());
    let said = refusal(&moto.server(&other, &[]), quickly);
    assert!(
        said.contains("SECRET_KEY: `aws-sm:fastcms/prod#SECRET_KEY` is denied (AWS answers AccessDenied"),
        "{said}"
    );
    for (operation, body) in [
        ("PutSecretValue", json!({"SecretId": ID, "SecretString": "x"})),
        ("DeleteSecret", json!({"SecretId": ID})),
        ("ListSecrets", json!({})),
    ] {
        assert!(moto.secrets(&who, operation, &body).status >= 400, "{operation}");
    }

    let stranger = AccessKey { secret: "0123456789012345678901234567890123456789".to_owned(), ..who.clone() };
    let said = refusal(&moto.server(&stranger, &[]), quickly);
    assert!(
        said.contains("SECRET_KEY: `aws-sm:fastcms/prod#SECRET_KEY` is denied (AWS answers SignatureDoesNotMatch)"),
        "{said}"
    );

    let said = refusal(&moto.server(&who, &[("SMTP_PASSWORD", "aws-sm:fastcms/prod#number")]), quickly);
    assert!(
        said.contains("SMTP_PASSWORD: `aws-sm:fastcms/prod#number` cannot be used: its field `number` is no text"),
        "{said}"
    );
    assert!(!said.contains(SECRET));
}
