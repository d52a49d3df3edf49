//! The server as a process: how it is started, ended and asked. It knows nothing of what is checked.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Client;

/// Longest time from the start of the process to its first answer.
const START: Duration = Duration::from_secs(30);
const PASSWORD: &str = "a harness breaks what it loves";

/// A server of its own folder, running or not.
pub struct Server {
    binary: PathBuf,
    folder: PathBuf,
    pub port: u16,
    environment: BTreeMap<String, String>,
    child: Option<Child>,
}

impl Server {
    /// A server that is not running yet. Its database lies in `folder` unless an address is given.
    pub fn new(binary: &Path, folder: &Path, database: Option<&str>) -> io::Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let file = || format!("sqlite:///{}", folder.join("app.db").display());
        let environment = BTreeMap::from([
            ("APP_HOST".to_owned(), "127.0.0.1".to_owned()),
            ("APP_PORT".to_owned(), port.to_string()),
            ("BASE_URL".to_owned(), format!("http://127.0.0.1:{port}")),
            ("DATABASE_URL".to_owned(), database.map_or_else(file, str::to_owned)),
            ("LOCAL_STORAGE_PATH".to_owned(), folder.join("files").display().to_string()),
            ("LOG_LEVEL".to_owned(), "WARNING".to_owned()),
            ("RATE_LIMIT_ENABLED".to_owned(), "false".to_owned()),
            ("SECRET_KEY".to_owned(), "0123456789abcdefghijklmnopqrstuvwxyz-of-a-harness".to_owned()),
        ]);
        Ok(Self { binary: binary.to_owned(), folder: folder.to_owned(), port, environment, child: None })
    }

    /// Sets a variable for the starts that follow.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    /// Starts the process and waits for its first answer; how long that took.
    pub fn start(&mut self) -> Result<Duration, String> {
        let log = self.open_log().map_err(|error| error.to_string())?;
        let started = Instant::now();
        let mut command = self.command(&["serve"]);
        let errors = log.try_clone().map_err(|error| error.to_string())?;
        let child = command.stdout(log).stderr(errors).stdin(Stdio::null()).spawn();
        let child = self.child.insert(child.map_err(|error| error.to_string())?);
        let mut client = Client::new(self.port, None);
        while started.elapsed() < START {
            if let Ok(Some(status)) = child.try_wait() {
                return Err(format!("the server ended with {status} instead of starting"));
            }
            if client.call("GET", "/health", None).is_ok_and(|answer| answer.status == 200) {
                return Ok(started.elapsed());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Err(format!("no answer on /health within {} s of the start", START.as_secs()))
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // The process may have ended by itself; either way it is waited for.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGKILL to the process as it runs, for whoever waits for it elsewhere.
    pub fn signal(&self, name: &str) -> io::Result<()> {
        let Some(child) = &self.child else { return Ok(()) };
        let sent = Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status()?;
        if sent.success() { Ok(()) } else { Err(io::Error::other("the signal was not sent")) }
    }

    /// Waits for the end of a process that was asked to end.
    pub fn wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.take().map(|mut child| child.wait()).transpose()
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// What the server has logged since the harness began.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// The database file, when it is one.
    pub fn database(&self) -> PathBuf {
        self.folder.join("app.db")
    }

    /// Makes the first admin and the collection of the harness; the access token.
    pub fn set_up(&mut self) -> Result<(), String> {
        let mut create = self.command(&["admin", "create", "root@example.com", "--password-stdin"]);
        let child = create.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = child.map_err(|error| error.to_string())?;
        let mut input = child.stdin.take().expect("standard input was asked for as a pipe");
        input.write_all(PASSWORD.as_bytes()).map_err(|error| error.to_string())?;
        drop(input);
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(format!("no admin could be made: {}", String::from_utf8_lossy(&output.stderr)));
        }
        Ok(())
    }

    /// Signs the admin in; the access token.
    pub fn sign_in(&self) -> Result<String, String> {
        let credentials = json!({"email": "root@example.com", "password": PASSWORD});
        let answer = Client::new(self.port, None).call("POST", "/api/v1/auth/login", Some(&credentials));
        let answer = answer.map_err(|error| error.to_string())?;
        let token = answer.body["token"]["access_token"].as_str();
        token.map(str::to_owned).ok_or_else(|| format!("the admin cannot sign in: {}", answer.body))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).current_dir(&self.folder).env_clear().envs(&self.environment);
        command
    }

    fn log_path(&self) -> PathBuf {
        // Beside the folder: that may be a full disk.
        self.folder.with_extension("log")
    }

    fn open_log(&self) -> io::Result<File> {
        OpenOptions::new().create(true).append(true).open(self.log_path())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Calls until the answer is the wanted status; the last one seen otherwise.
pub fn until(
    client: &mut Client,
    limit: Duration,
    (method, path): (&str, &str),
    body: Option<&Value>,
    wanted: u16,
) -> Result<Duration, String> {
    let began = Instant::now();
    let mut last = String::new();
    while began.elapsed() < limit {
        match client.call(method, path, body) {
            Ok(answer) if answer.status == wanted => return Ok(began.elapsed()),
            Ok(answer) => last = format!("{} {}", answer.status, answer.body),
            Err(error) => last = error.to_string(),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(format!("{method} {path} was not answered {wanted} within {} s but {last}", limit.as_secs()))
}
