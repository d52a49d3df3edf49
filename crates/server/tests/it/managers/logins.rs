//! The other ways of logging in to a vault, at a real OpenBao: Kubernetes, a token of somebody it trusts, and a secret id that is wrapped.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};

use super::listener;
use super::openbao::{AppRole, OpenBao, pem};
use super::{GRACE, REFRESH, freshness, refusal, signing_key, wait_for};
use crate::keys::forge;
use crate::mails::certificate::Certificate;
use crate::process::{SECRET, Server};

/// Who issues tokens that the vault trusts.
struct Issuer {
    own: Certificate,
}

impl Issuer {
    fn new() -> Self {
        Self { own: Certificate::for_name("issuer") }
    }

    /// A token that ends that many seconds from now.
    fn token(&self, claims: &Value, lasts: i64) -> String {
        let now = jiff::Timestamp::now().as_second();
        let mut claims = claims.clone();
        for (name, value) in [("iat", now - 3_600), ("nbf", now - 3_600), ("exp", now + lasts)] {
            claims[name] = value.into();
        }
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(&json!({"alg": "ES256", "typ": "JWT"})), part(&claims));
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &self.own.key, &random).unwrap();
        let signature = pair.sign(&random, text.as_bytes()).unwrap();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }
}

/// A vault with our secret and our policy, and nobody who may log in yet.
fn vault() -> OpenBao {
    let bao = OpenBao::start();
    bao.write_policy("hcl");
    bao.put("fastcms/prod", &[("SECRET_KEY", SECRET)]);
    bao
}

fn server(bao: &OpenBao, settings: &[(&str, &str)]) -> Server {
    let nobody = AppRole { role_id: String::new(), secret_id: String::new() };
    bao.server(&nobody, settings)
}

/// Tokens of three seconds: whoever goes on has logged in again, with what the file says then.
fn goes_on(bao: &OpenBao, server: &Server, path: &str, file: &Path, good: impl Fn() -> String, bad: &str) {
    let admin = server.set_up();
    assert_eq!(signing_key(server), forge::kid(SECRET));
    wait_for("another log-in", Duration::from_secs(20), || bao.asked(path) > 1);
    assert_eq!(freshness(server, &admin), "fresh");
    std::fs::write(file, bad).unwrap();
    wait_for("what is held serves on", Duration::from_secs(20), || freshness(server, &admin) == "stale");
    assert_eq!(signing_key(server), forge::kid(SECRET));
    std::fs::write(file, good()).unwrap();
    wait_for("it is fresh again", Duration::from_secs(REFRESH) * 3 + GRACE, || freshness(server, &admin) == "fresh");
    assert!(!server.log().contains(&good()) && !server.log().contains(SECRET));
}

#[test]
fn a_token_of_somebody_whom_the_vault_trusts_logs_us_in_until_it_ends() {
    let (bao, issuer) = (vault(), Issuer::new());
    let folder = tempfile::TempDir::new().unwrap();
    let (public, file) = (folder.path().join("issuer.pem"), folder.path().join("token"));
    std::fs::write(&public, pem("CERTIFICATE", &issuer.own.certificate)).unwrap();
    bao.run(&["auth", "enable", "jwt"]);
    let keys = format!("jwt_validation_pubkeys=@{}", public.display());
    bao.run(&["write", "auth/jwt/config", &keys, "jwt_supported_algs=ES256"]);
    let role = ["role_type=jwt", "bound_audiences=vault", "user_claim=sub", "token_policies=fastcms"];
    bao.run(&[&["write", "auth/jwt/role/fastcms"], &role[..], &["token_ttl=3s", "token_max_ttl=3s"]].concat());

    let claims = json!({"sub": "fastcms", "aud": "vault"});
    let settings = [("VAULT_JWT_ROLE", "fastcms"), ("VAULT_JWT_FILE", file.to_str().unwrap())];
    let mut server = server(&bao, &settings);
    let foreign = Issuer::new().token(&claims, 600);
    for bad in [issuer.token(&claims, -600), foreign, issuer.token(&json!({"sub": "fastcms", "aud": "other"}), 600)] {
        std::fs::write(&file, &bad).unwrap();
        let said = refusal(&server, Duration::from_secs(20));
        assert!(said.contains("is denied (the vault refuses our log-in by jwt)"), "{said}");
        assert!(!said.contains(&bad));
    }
    std::fs::write(&file, issuer.token(&claims, 600)).unwrap();
    server.start();
    let ended = issuer.token(&claims, -600);
    goes_on(&bao, &server, "auth/jwt/login", &file, || issuer.token(&claims, 600), &ended);
}

#[test]
fn a_pod_logs_in_with_the_token_that_kubernetes_keeps_for_it() {
    let (bao, issuer) = (vault(), Issuer::new());
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("token");
    let claims = json!({
        "sub": "system:serviceaccount:prod:fastcms",
        "kubernetes.io": {"namespace": "prod", "serviceaccount": {"name": "fastcms", "uid": "u-1"}},
    });
    let good = issuer.token(&claims, 600);
    // The API server, as far as it says whose token it is.
    let known = good.clone();
    let port = listener::plain(move |request| {
        let asked: Value = serde_json::from_str(&request.body).unwrap_or_default();
        let is_known = request.path.ends_with("/tokenreviews") && asked["spec"]["token"] == known.as_str();
        let user = json!({"username": "system:serviceaccount:prod:fastcms", "uid": "u-1", "groups": ["system:serviceaccounts"]});
        let status =
            if is_known { json!({"authenticated": true, "user": user}) } else { json!({"authenticated": false}) };
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status});
        Some((201, None, review.to_string()))
    });
    bao.run(&["auth", "enable", "kubernetes"]);
    let host = format!("kubernetes_host=http://127.0.0.1:{port}");
    let authority = format!("kubernetes_ca_cert=@{}", bao.authority().display());
    let config = ["disable_local_ca_jwt=true", "token_reviewer_jwt=reviewer"];
    bao.run(&[&["write", "auth/kubernetes/config", &host, &authority], &config[..]].concat());
    let role =
        ["bound_service_account_names=fastcms", "bound_service_account_namespaces=prod", "token_policies=fastcms"];
    bao.run(&[&["write", "auth/kubernetes/role/fastcms"], &role[..], &["token_ttl=3s", "token_max_ttl=3s"]].concat());

    let settings = [("VAULT_K8S_ROLE", "fastcms"), ("VAULT_K8S_TOKEN_FILE", file.to_str().unwrap())];
    let mut server = server(&bao, &settings);
    std::fs::write(&file, issuer.token(&claims, 601)).unwrap();
    let said = refusal(&server, Duration::from_secs(20));
    assert!(said.contains("is denied (the vault refuses our log-in by kubernetes)"), "{said}");
    std::fs::write(&file, &good).unwrap();
    server.start();
    goes_on(&bao, &server, "auth/kubernetes/login", &file, || good.clone(), &issuer.token(&claims, 601));
}

#[test]
fn a_wrapped_secret_id_is_good_once_and_whoever_comes_second_is_told_that_somebody_has_it() {
    let bao = OpenBao::start();
    let role = bao.app_role();
    bao.put("fastcms/prod", &[("SECRET_KEY", SECRET)]);
    let wrap = ["write", "-wrap-ttl=300s", "-field=wrapping_token", "-f", "auth/approle/role/fastcms/secret-id"];
    let wrapped = bao.run(&wrap).trim().to_owned();
    let settings = [("VAULT_SECRET_ID", wrapped.as_str()), ("VAULT_SECRET_ID_WRAPPED", "true")];
    let mut first = bao.server(&role, &settings);
    first.start();
    let admin = first.set_up();
    assert_eq!(signing_key(&first), forge::kid(SECRET));
    // What was unwrapped is kept: the token ends, and we log in again.
    let log_ins = bao.asked("auth/approle/login");
    bao.run(&["token", "revoke", "-mode=path", "auth/approle"]);
    wait_for("another log-in", Duration::from_secs(REFRESH) * 3 + GRACE, || bao.asked("auth/approle/login") > log_ins);
    wait_for("it is fresh", Duration::from_secs(REFRESH) * 2 + GRACE, || freshness(&first, &admin) == "fresh");

    let said = refusal(&bao.server(&role, &settings), Duration::from_secs(20));
    assert!(said.contains("the wrapping token was used already or has ended"), "{said}");
    assert!(said.contains("somebody else has our secret id, so revoke it") && !said.contains(&wrapped), "{said}");
}
