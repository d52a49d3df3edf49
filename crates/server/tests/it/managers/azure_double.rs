//! A double of Azure Key Vault and of those who issue tokens for it, Entra ID and the instance metadata service: a process of its own,
//! so that it can be stopped, and be gone, as the real thing can.

mod answers;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::openbao::pem;
use super::wait_for;
use crate::mails::certificate::Certificate;
use crate::process::{Server, free_port, read_answer};

/// The client secret that Entra ID takes.
pub const CLIENT_SECRET: &str = "the-client-secret-of-our-identity";

/// Names the folder of the process that is to be the double.
const FOLDER: &str = "FASTCMS_TEST_AZURE_DOUBLE";
/// Files in it.
const CERTIFICATE: &str = "certificate.der";
const KEY: &str = "key.der";
const PORTS: &str = "ports.json";
/// Path of the metadata service that takes an [`Order`].
const ORDERS: &str = "orders";

/// A running double, killed when dropped.
pub struct KeyVault {
    pub port: u16,
    pub metadata_port: u16,
    folder: TempDir,
    child: Child,
}

/// What is wanted of the double.
#[derive(Serialize, Deserialize)]
enum Order {
    Look,
    Put(String, String),
    DisableNewest(String),
    Forbid(String),
    WantTokensFor(String),
    EndTokens,
    OnlyRead(bool),
}

/// How it stands with the double.
#[derive(Serialize, Deserialize)]
struct Seen {
    tokens: usize,
    versions: BTreeMap<String, usize>,
}

impl KeyVault {
    pub fn start() -> Self {
        let (folder, own) = (TempDir::new().unwrap(), Certificate::for_name("localhost"));
        let (port, metadata_port) = (free_port(), free_port());
        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
        write("authority.pem", pem("CERTIFICATE", &own.certificate).as_bytes());
        write(CERTIFICATE, &own.certificate);
        write(KEY, &own.key);
        write(PORTS, &serde_json::to_vec(&[port, metadata_port]).unwrap());
        let child = spawn(folder.path());
        let vault = Self { port, metadata_port, folder, child };
        vault.wait();
        vault
    }

    /// Ends the process at once, as a crash does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again: it knows its secrets, and no token.
    pub fn start_again(&mut self) {
        self.child = spawn(self.folder.path());
        self.wait();
    }

    /// `-STOP`: who calls is neither answered nor refused; `-CONT`: everybody is answered.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    fn wait(&self) {
        let output = || std::fs::read_to_string(self.folder.path().join("output")).unwrap_or_default();
        let asked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_for("the double answers", Duration::from_mins(1), || self.try_order(&Order::Look).is_ok());
        }));
        assert!(asked.is_ok(), "{}", output());
    }

    fn order(&self, order: &Order) -> Seen {
        self.try_order(order).unwrap()
    }

    fn try_order(&self, order: &Order) -> std::io::Result<Seen> {
        use std::io::Write;
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.metadata_port))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let body = serde_json::to_string(order)?;
        write!(stream, "POST /{ORDERS} HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
        let answer = read_answer(&mut std::io::BufReader::new(stream))?;
        Ok(serde_json::from_slice(&answer.body)?)
    }

    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// Writes a new version.
    pub fn put(&self, name: &str, value: &str) {
        self.order(&Order::Put(name.to_owned(), value.to_owned()));
    }

    /// Takes the newest version out of force.
    pub fn disable_newest(&self, name: &str) {
        self.order(&Order::DisableNewest(name.to_owned()));
    }

    pub fn forbid(&self, name: &str) {
        self.order(&Order::Forbid(name.to_owned()));
    }

    /// Wants tokens for something else from now on.
    pub fn want_tokens_for(&self, resource: &str) {
        self.order(&Order::WantTokensFor(resource.to_owned()));
    }

    /// Ends every token that was issued.
    pub fn end_tokens(&self) {
        self.order(&Order::EndTokens);
    }

    pub fn tokens_issued(&self) -> usize {
        self.order(&Order::Look).tokens
    }

    /// Lets our identity read, and only read.
    pub fn only_read(&self, is_read_only: bool) {
        self.order(&Order::OnlyRead(is_read_only));
    }

    /// How many versions there are, disabled ones included.
    pub fn versions(&self, name: &str) -> usize {
        self.order(&Order::Look).versions[name]
    }

    /// A server whose signing key is here.
    pub fn server(&self, more: &[(&str, &str)]) -> Server {
        let mut server = Server::new(&[
            ("SECRET_KEY", &format!("azure-kv:localhost:{}/SECRET-KEY", self.port)),
            ("AZURE_AUTHORITY_HOST", &format!("https://localhost:{}", self.port)),
            ("AZURE_POD_IDENTITY_AUTHORITY_HOST", &format!("http://127.0.0.1:{}", self.metadata_port)),
            ("AZURE_TENANT_ID", "tenant"),
            ("AZURE_CLIENT_ID", "client"),
            ("AZURE_CLIENT_SECRET", CLIENT_SECRET),
            ("SSL_CERT_FILE", self.authority().to_str().unwrap()),
            ("SECRETS_REFRESH_SECONDS", &super::REFRESH.to_string()),
            ("SECRETS_BOOT_TIMEOUT", "2"),
            ("LOG_LEVEL", "INFO"),
        ]);
        server.set(more);
        server
    }
}

impl Drop for KeyVault {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// This very program again, with nothing to run but the test below.
fn spawn(folder: &Path) -> Child {
    let output = std::fs::File::options().create(true).append(true).open(folder.join("output")).unwrap();
    // With the test's thread the program ends too, whatever becomes of the test.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(std::env::current_exe().unwrap());
    command.args([
        "--exact",
        "managers::azure_double::the_double_stops_and_goes_on_and_dies_by_signals",
        "--nocapture",
    ]);
    command.env(FOLDER, folder).stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
    command.spawn().expect("util-linux has setpriv")
}

/// And in the process that it starts for this, the double itself.
#[test]
fn the_double_stops_and_goes_on_and_dies_by_signals() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        answers::run(Path::new(&folder));
    }
    let ask = |vault: &KeyVault| {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", vault.metadata_port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        std::io::Write::write_all(&mut stream, b"GET /secrets/A HTTP/1.1\r\n\r\n")?;
        read_answer(&mut std::io::BufReader::new(stream)).map(|answer| answer.status)
    };
    let why = |answered: std::io::Result<u16>| answered.unwrap_err().kind();
    let mut vault = KeyVault::start();
    vault.put("A", "value");
    assert_eq!(ask(&vault).unwrap(), 401);
    vault.signal("-STOP");
    assert_eq!(why(ask(&vault)), std::io::ErrorKind::WouldBlock);
    vault.signal("-CONT");
    wait_for("it goes on", Duration::from_mins(1), || ask(&vault).is_ok());
    vault.kill();
    assert_eq!(why(ask(&vault)), std::io::ErrorKind::ConnectionRefused);
    vault.start_again();
    assert_eq!((ask(&vault).unwrap(), vault.versions("A")), (401, 1));
}
