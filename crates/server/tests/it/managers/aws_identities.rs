//! The ways to an access key of AWS that lasts an hour: web identity, the agent of a container, the metadata service of an instance.
//! Each key is one that moto gave for a role; whoever hands it out is a double that insists on the protocol.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use super::listener::{self, Request, Said};
use super::moto::{AccessKey, Moto};
use super::{refusal, signing_key};
use crate::keys::forge;
use crate::process::{SECRET, Server};

const QUICKLY: Duration = Duration::from_secs(20);

/// Secrets Manager with our secret, and a role that may read it.
fn moto() -> (Moto, String) {
    let moto = Moto::start();
    let value = json!({"SECRET_KEY": SECRET}).to_string();
    moto.administer("CreateSecret", &json!({"Name": "fastcms/prod", "SecretString": value}));
    let role = moto.role("fastcms");
    (moto, role)
}

/// A server without an access key of its own.
fn server(moto: &Moto, settings: &[(&str, &str)]) -> Server {
    moto.server(&AccessKey { id: String::new(), secret: String::new() }, settings)
}

#[track_caller]
fn starts(server: &mut Server) {
    server.start();
    server.set_up();
    assert_eq!(signing_key(server), forge::kid(SECRET));
    assert!(!server.log().contains(SECRET));
}

fn part<'x>(xml: &'x str, name: &str) -> &'x str {
    xml.split_once(&format!("<{name}>")).unwrap().1.split_once('<').unwrap().0
}

/// What agent and metadata service answer.
fn credentials(xml: &str) -> String {
    let end = jiff::Timestamp::now() + Duration::from_hours(1);
    json!({
        "Code": "Success", "AccessKeyId": part(xml, "AccessKeyId"), "SecretAccessKey": part(xml, "SecretAccessKey"),
        "Token": part(xml, "SessionToken"), "Expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    })
    .to_string()
}

#[test]
fn a_web_identity_takes_its_role_without_a_key() {
    let (moto, role) = moto();
    let given = moto.assume(&role);
    let wanted = role.clone();
    let sts = listener::plain(move |request: &Request| -> Option<Said> {
        let form: std::collections::BTreeMap<String, String> =
            url::form_urlencoded::parse(request.body.as_bytes()).into_owned().collect();
        let is = |name: &str, value: &str| form.get(name).map(String::as_str) == Some(value);
        let is_sound = !request.headers.contains_key("authorization")
            && is("Action", "AssumeRoleWithWebIdentity")
            && is("Version", "2011-06-15")
            && is("RoleArn", &wanted)
            && form.get("RoleSessionName").is_some_and(|name| !name.is_empty());
        assert!(is_sound, "{form:?}");
        let refusal = "<ErrorResponse><Error><Code>InvalidIdentityToken</Code></Error></ErrorResponse>";
        Some(if is("WebIdentityToken", "token-of-the-pod") {
            (200, None, given.clone())
        } else {
            (400, None, refusal.into())
        })
    });
    let mut server = server(
        &moto,
        &[
            ("AWS_ROLE_ARN", &role),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "pod.jwt"),
            ("AWS_ENDPOINT_URL_STS", &format!("http://127.0.0.1:{sts}")),
        ],
    );
    let file = server.folder.path().join("pod.jwt");
    std::fs::write(&file, "an-expired-token").unwrap();
    let said = refusal(&server, QUICKLY);
    assert!(
        said.contains("is denied (STS refuses the web identity token)") && !said.contains("an-expired-token"),
        "{said}"
    );
    std::fs::write(&file, "token-of-the-pod\n").unwrap();
    starts(&mut server);
}

#[test]
fn the_agent_of_a_container_is_asked_with_its_token_and_only_nearby() {
    let (moto, role) = moto();
    let given = credentials(&moto.assume(&role));
    let agent = listener::plain(move |request| {
        let is_ours = request.headers.get("authorization").map(String::as_str) == Some("token-of-the-container");
        let is_it = request.method == "GET" && request.path == "/v1/credentials";
        Some(if is_ours && is_it { (200, None, given.clone()) } else { (401, None, "{}".to_owned()) })
    });
    let url = format!("http://127.0.0.1:{agent}/v1/credentials");
    let settings = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "container.token"),
    ];
    let mut server = server(&moto, &settings);
    let file = server.folder.path().join("container.token");
    std::fs::write(&file, "wrong-token").unwrap();
    let said = refusal(&server, QUICKLY);
    assert!(said.contains("is denied (the container's agent)") && !said.contains("wrong-token"), "{said}");
    std::fs::write(&file, "token-of-the-container").unwrap();
    starts(&mut server);
    server.terminate();
    // In the clear to anywhere else the token would be given away.
    server.set(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://192.0.2.7/v1/credentials")]);
    let said = refusal(&server, QUICKLY);
    assert!(said.contains("is neither https nor on this machine or its link"), "{said}");
}

#[test]
fn the_metadata_service_of_an_instance_is_asked_in_its_second_version_alone() {
    let (moto, role) = moto();
    let given = credentials(&moto.assume(&role));
    let (without, knows_second) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(false)));
    let (counted, known) = (Arc::clone(&without), Arc::clone(&knows_second));
    let service = listener::plain(move |request| {
        let base = "/latest/meta-data/iam/security-credentials/";
        let has_token = request.headers.get("x-aws-ec2-metadata-token").map(String::as_str) == Some("session");
        if request.method == "GET" && !has_token {
            counted.fetch_add(1, Ordering::Relaxed);
        }
        let is_lasting = request.headers.contains_key("x-aws-ec2-metadata-token-ttl-seconds");
        Some(match (request.method.as_str(), request.path.as_str()) {
            ("PUT", "/latest/api/token") if is_lasting && *known.lock().unwrap() => (200, None, "session".to_owned()),
            ("GET", path) if path == base => (200, None, "the-role".to_owned()),
            ("GET", path) if path.strip_prefix(base) == Some("the-role") => (200, None, given.clone()),
            _ => (405, None, String::new()),
        })
    });
    let mut server = server(&moto, &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &format!("http://127.0.0.1:{service}"))]);
    let said = refusal(&server, QUICKLY);
    assert!(said.contains("nobody says who we are to AWS"), "{said}");
    *knows_second.lock().unwrap() = true;
    starts(&mut server);
    assert_eq!(without.load(Ordering::Relaxed), 0, "version 1 was asked");
}

#[test]
fn a_session_that_somebody_else_was_given_is_refused() {
    let (moto, role) = moto();
    let xml = moto.assume(&role);
    let who = AccessKey { id: part(&xml, "AccessKeyId").to_owned(), secret: part(&xml, "SecretAccessKey").to_owned() };
    let said = refusal(&moto.server(&who, &[("AWS_SESSION_TOKEN", "a-token-of-another-session")]), QUICKLY);
    assert!(said.contains("is denied (AWS answers ") && !said.contains("a-token-of-another-session"), "{said}");
    let token = part(&xml, "SessionToken").to_owned();
    starts(&mut moto.server(&who, &[("AWS_SESSION_TOKEN", &token)]));
}
