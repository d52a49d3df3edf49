//! A real OpenBao in production mode: TLS, raft, an audit device, sealed until it is unsealed. All that is not ours goes through its own
//! program.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use base64::Engine as _;
use serde_json::Value;
use tempfile::TempDir;

use super::{documented, wait_for};
use crate::mails::certificate::Certificate;
use crate::process::{Server, free_port};

/// A running server, unsealed, with KV version 2 at `secret/`.
pub struct OpenBao {
    pub port: u16,
    folder: TempDir,
    child: Child,
    root: String,
    unseal_key: String,
}

/// What our identity logs in with.
pub struct AppRole {
    pub role_id: String,
    pub secret_id: String,
}

fn program() -> PathBuf {
    let program = std::env::var_os("BAO").expect("BAO names no program: run `cargo xtask test`, which installs it");
    PathBuf::from(program)
}

pub fn pem(kind: &str, der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"))
}

impl OpenBao {
    pub fn start() -> Self {
        let (folder, port, cluster) = (TempDir::new().unwrap(), free_port(), free_port());
        let at = |name: &str| folder.path().join(name);
        let own = Certificate::for_name("localhost");
        std::fs::write(at("certificate.pem"), pem("CERTIFICATE", &own.certificate)).unwrap();
        std::fs::write(at("key.pem"), pem("PRIVATE KEY", &own.key)).unwrap();
        std::fs::create_dir(at("data")).unwrap();
        let dir = folder.path().display();
        let settings = format!(
            r#"storage "raft" {{
                 path    = "{dir}/data"
                 node_id = "one"
               }}
               listener "tcp" {{
                 address         = "127.0.0.1:{port}"
                 cluster_address = "127.0.0.1:{cluster}"
                 tls_cert_file   = "{dir}/certificate.pem"
                 tls_key_file    = "{dir}/key.pem"
               }}
               audit "file" "main" {{
                 options {{
                   file_path = "{dir}/audit.log"
                 }}
               }}
               api_addr     = "https://localhost:{port}"
               cluster_addr = "https://127.0.0.1:{cluster}""#
        );
        std::fs::write(at("bao.hcl"), settings).unwrap();
        let log = std::fs::File::create(at("output")).unwrap();
        // With the test's thread the program ends too, whatever becomes of the test.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(program())
            .arg("server")
            .arg(format!("-config={}", at("bao.hcl").display()))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut this = Self { port, folder, child, root: String::new(), unseal_key: String::new() };
        let initialised = this.initialise();
        initialised["root_token"].as_str().unwrap().clone_into(&mut this.root);
        initialised["unseal_keys_b64"][0].as_str().unwrap().clone_into(&mut this.unseal_key);
        this.unseal();
        this.run(&["secrets", "enable", "-path=secret", "kv-v2"]);
        this
    }

    fn initialise(&self) -> Value {
        let mut answer = None;
        wait_for("OpenBao answers", Duration::from_secs(30), || {
            let output = self.command(&["operator", "init", "-key-shares=1", "-key-threshold=1", "-format=json"]);
            answer = output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap());
            answer.is_some()
        });
        answer.unwrap()
    }

    pub fn unseal(&self) {
        self.run(&["operator", "unseal", &self.unseal_key]);
        // Unsealed is not yet active: raft elects first.
        wait_for("OpenBao is active", Duration::from_secs(30), || {
            let output = self.command(&["status", "-format=json"]);
            let status: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            status["sealed"] == false
                && status["leader_address"].as_str().is_some_and(|it| !it.is_empty())
                && self.command(&["token", "lookup"]).status.success()
        });
    }

    pub fn seal(&self) {
        self.run(&["operator", "seal"]);
    }

    /// Our identity as docs/secrets.md describes it, its tokens good for 20 seconds.
    pub fn app_role(&self) -> AppRole {
        self.write_policy("hcl");
        self.run(&["auth", "enable", "approle"]);
        self.run(&[
            "write",
            "auth/approle/role/fastcms",
            "token_policies=fastcms",
            "token_ttl=20s",
            "token_max_ttl=30s",
        ]);
        let field = |path: &str, field: &str, more: &[&str]| {
            let field = format!("-field={field}");
            let arguments = [more, &[field.as_str(), path]].concat();
            self.run(&arguments).trim().to_owned()
        };
        AppRole {
            role_id: field("auth/approle/role/fastcms/role-id", "role_id", &["read"]),
            secret_id: field("auth/approle/role/fastcms/secret-id", "secret_id", &["write", "-f"]),
        }
    }

    /// Gives our identity what docs/secrets.md grants in the block of this name.
    pub fn write_policy(&self, block: &str) {
        let policy = self.folder.path().join("policy.hcl");
        std::fs::write(&policy, documented(block)).unwrap();
        self.run(&["policy", "write", "fastcms", policy.to_str().unwrap()]);
    }

    /// A key that wraps, and our identity as docs/secrets.md describes it for that.
    pub fn transit_role(&self) -> AppRole {
        self.run(&["secrets", "enable", "transit"]);
        self.run(&["write", "-f", "transit/keys/fastcms"]);
        let role = self.app_role();
        self.write_policy("hcl transit");
        role
    }

    /// A token of ours, as an operator of the vault would hand it out.
    pub fn token(&self) -> String {
        self.run(&["token", "create", "-policy=fastcms", "-field=token"]).trim().to_owned()
    }

    /// What is in a secret now, and how its newest version is called.
    pub fn get(&self, path: &str) -> (Value, u64) {
        let output = self.run(&["kv", "get", "-mount=secret", "-format=json", path]);
        let read: Value = serde_json::from_str(&output).unwrap();
        (read["data"]["data"].clone(), read["data"]["metadata"]["version"].as_u64().unwrap())
    }

    /// Writes a new version.
    pub fn put(&self, path: &str, fields: &[(&str, &str)]) {
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut arguments = vec!["kv", "put", "-mount=secret", path];
        arguments.extend(fields.iter().map(String::as_str));
        self.run(&arguments);
    }

    /// Runs the program as root of the vault.
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The token of who may do everything.
    pub fn root_token(&self) -> String {
        self.root.clone()
    }

    pub fn command(&self, arguments: &[&str]) -> Output {
        self.command_as(&self.root, arguments)
    }

    pub fn command_as(&self, token: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(program());
        command.args(arguments).env_clear().env("HOME", self.folder.path()).env("BAO_TOKEN", token);
        command.env("BAO_ADDR", format!("https://localhost:{}", self.port)).env("BAO_CACERT", self.authority());
        command.stdin(Stdio::null()).output().unwrap()
    }

    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    /// How often the path was asked, by the vault's own audit log.
    pub fn asked(&self, path: &str) -> usize {
        let log = std::fs::read_to_string(self.folder.path().join("audit.log")).unwrap();
        let is_it = |line: &&str| {
            let entry: Value = serde_json::from_str(line).unwrap_or_default();
            entry["type"] == "response" && entry["request"]["path"] == path && entry["error"].is_null()
        };
        log.lines().filter(is_it).count()
    }

    /// A server whose signing key is here.
    pub fn server(&self, role: &AppRole, more: &[(&str, &str)]) -> Server {
        let mut server = Server::new(&[
            ("SECRET_KEY", "vault:secret/fastcms/prod#SECRET_KEY"),
            ("VAULT_ADDR", &format!("https://localhost:{}", self.port)),
            ("VAULT_CACERT", self.authority().to_str().unwrap()),
            ("VAULT_ROLE_ID", &role.role_id),
            ("VAULT_SECRET_ID", &role.secret_id),
            ("SECRETS_REFRESH_SECONDS", &super::REFRESH.to_string()),
            ("SECRETS_BOOT_TIMEOUT", "2"),
            ("LOG_LEVEL", "INFO"),
        ]);
        server.set(more);
        server
    }
}

impl Drop for OpenBao {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
