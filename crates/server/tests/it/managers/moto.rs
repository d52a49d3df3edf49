//! AWS as moto plays it: Secrets Manager, IAM and STS, with signatures and policies enforced. Administration goes through a second
//! access key of the account, signed by ourselves.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::{documented, wait_for};
use crate::process::{Answer, Server, free_port, read_answer};

const REGION: &str = "eu-west-1";

/// A running double.
pub struct Moto {
    pub port: u16,
    child: Child,
    _folder: TempDir,
    /// Whoever set all this up.
    admin: AccessKey,
}

/// An access key.
#[derive(Clone)]
pub struct AccessKey {
    pub id: String,
    pub secret: String,
}

impl Moto {
    /// Starts, with an administrator, and enforces from then on.
    pub fn start() -> Self {
        let program = std::env::var_os("MOTO_SERVER")
            .expect("MOTO_SERVER names no program: run `cargo xtask test`, which installs it");
        let (folder, port) = (TempDir::new().unwrap(), free_port());
        let log = std::fs::File::create(folder.path().join("output")).unwrap();
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(PathBuf::from(program))
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let nobody = AccessKey { id: "testing".to_owned(), secret: "testing".to_owned() };
        let mut this = Self { port, child, _folder: folder, admin: nobody };
        wait_for("moto answers", Duration::from_mins(1), || this.try_own("GET", "/moto-api/").is_ok());
        let everything =
            json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]});
        this.admin = this.user("admin", &everything.to_string());
        assert_eq!(this.try_own("POST", "/moto-api/reset-auth").unwrap().status, 200);
        this
    }

    /// A user with this policy, and a key of his.
    pub fn user(&self, name: &str, policy: &str) -> AccessKey {
        self.iam(&[("Action", "CreateUser"), ("UserName", name)]);
        self.iam(&[("Action", "PutUserPolicy"), ("UserName", name), ("PolicyName", "p"), ("PolicyDocument", policy)]);
        let key = self.iam(&[("Action", "CreateAccessKey"), ("UserName", name)]);
        let part = |name: &str| {
            let (_, rest) = key.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("{key}"));
            rest.split_once('<').unwrap().0.to_owned()
        };
        AccessKey { id: part("AccessKeyId"), secret: part("SecretAccessKey") }
    }

    /// Our identity as docs/secrets.md describes it. Of a policy moto holds us to the action alone: it knows no resources.
    pub fn identity(&self) -> AccessKey {
        self.identity_with("fastcms", "json")
    }

    /// An identity with what docs/secrets.md grants in the block of this name.
    pub fn identity_with(&self, name: &str, block: &str) -> AccessKey {
        let mut policy: Value = serde_json::from_str(&documented(block)).unwrap();
        policy["Statement"][0]["Resource"] = "*".into();
        self.user(name, &policy.to_string())
    }

    /// A role that may read our secret, and whose key lasts an hour; its ARN.
    pub fn role(&self, name: &str) -> String {
        let mut policy: Value = serde_json::from_str(&documented("json")).unwrap();
        policy["Statement"][0]["Resource"] = "*".into();
        let trust = json!({"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"});
        let anybody = json!({"Version": "2012-10-17", "Statement": [trust]}).to_string();
        let role = [("RoleName", name)];
        let made = self.iam(&[&[("Action", "CreateRole"), ("AssumeRolePolicyDocument", &anybody)], &role[..]].concat());
        let policy = policy.to_string();
        let put = [("Action", "PutRolePolicy"), ("PolicyName", "p"), ("PolicyDocument", policy.as_str())];
        self.iam(&[&put, &role[..]].concat());
        made.split_once("<Arn>").unwrap().1.split_once('<').unwrap().0.to_owned()
    }

    /// A key of that role, as STS writes it.
    pub fn assume(&self, role: &str) -> String {
        self.form("sts", "2011-06-15", &[("Action", "AssumeRole"), ("RoleArn", role), ("RoleSessionName", "fastcms")])
    }

    fn iam(&self, parameters: &[(&str, &str)]) -> String {
        self.form("iam", "2010-05-08", parameters)
    }

    fn form(&self, service: &str, version: &str, parameters: &[(&str, &str)]) -> String {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(parameters).append_pair("Version", version);
        // As Python writes forms: moto writes the form anew before it checks the signature.
        let form = form.finish().replace('*', "%2A");
        let content = ("content-type", "application/x-www-form-urlencoded");
        let answer = self.signed(&self.admin, service, "us-east-1", &[content], &form);
        assert_eq!(answer.status, 200, "{:?}", String::from_utf8_lossy(&answer.body));
        String::from_utf8(answer.body).unwrap()
    }

    /// Calls Secrets Manager as this identity.
    pub fn secrets(&self, who: &AccessKey, operation: &str, body: &Value) -> Answer {
        let target = format!("secretsmanager.{operation}");
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target.as_str())];
        self.signed(who, "secretsmanager", REGION, &headers, &body.to_string())
    }

    /// The same as administrator.
    pub fn administer(&self, operation: &str, body: &Value) -> Value {
        let answer = self.secrets(&self.admin, operation, body);
        assert_eq!(answer.status, 200, "{operation}: {:?}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }

    /// What is moto's own business is not signed.
    fn try_own(&self, method: &str, path: &str) -> std::io::Result<Answer> {
        self.send(&format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: text/plain\r\nContent-Length: 1\r\nConnection: close\r\n\r\n0",
            self.port
        ))
    }

    fn send(&self, request: &str) -> std::io::Result<Answer> {
        use std::io::Write;
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.write_all(request.as_bytes())?;
        read_answer(&mut std::io::BufReader::new(stream))
    }

    /// Signature Version 4, written a second time so that the product's is not its own witness.
    fn signed(&self, who: &AccessKey, service: &str, region: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let (day, host) = (&time[..8], format!("127.0.0.1:{}", self.port));
        let mut all: Vec<(&str, &str)> = headers.to_vec();
        all.extend([("host", host.as_str()), ("x-amz-date", time.as_str())]);
        all.sort_unstable();
        let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let lines: String = all.iter().flat_map(|(name, value)| [*name, ":", *value, "\n"]).collect();
        let hex = |bytes: &[u8]| -> String {
            let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
            digits.map(|digit| char::from_digit(digit.into(), 16).unwrap()).collect()
        };
        let digest = |text: &str| hex(&Sha256::digest(text));
        let canonical = format!("POST\n/\n\n{lines}\n{names}\n{}", digest(body));
        let scope = format!("{day}/{region}/{service}/aws4_request");
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", digest(&canonical));
        let mac = |key: &[u8], text: &str| {
            let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
            mac.update(text.as_bytes());
            mac.finalize().into_bytes().to_vec()
        };
        let key = [day, region, service, "aws4_request"]
            .iter()
            .fold(format!("AWS4{}", who.secret).into_bytes(), |key, part| mac(&key, part));
        let signature = hex(&mac(&key, &text));
        let lines: String = all.iter().flat_map(|(name, value)| [*name, ": ", *value, "\r\n"]).collect();
        self.send(&format!(
            "POST / HTTP/1.1\r\n{lines}Authorization: AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, \
             Signature={signature}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            who.id,
            body.len()
        ))
        .unwrap()
    }

    /// Stops it, or has it go on: it forgets everything when it ends.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// A server whose signing key is here.
    pub fn server(&self, who: &AccessKey, more: &[(&str, &str)]) -> Server {
        let endpoint = format!("http://127.0.0.1:{}", self.port);
        let mut server = Server::new(&[
            ("SECRET_KEY", "aws-sm:fastcms/prod#SECRET_KEY"),
            ("AWS_REGION", REGION),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &endpoint),
            ("AWS_ENDPOINT_URL_STS", &endpoint),
            ("AWS_ACCESS_KEY_ID", &who.id),
            ("AWS_SECRET_ACCESS_KEY", &who.secret),
            ("SECRETS_REFRESH_SECONDS", &super::REFRESH.to_string()),
            ("SECRETS_BOOT_TIMEOUT", "6"),
            ("LOG_LEVEL", "INFO"),
        ]);
        server.set(more);
        server
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
