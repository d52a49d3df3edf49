//! The product under test: seeded once, started as often as wanted over the same data.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::load::Asked;
use super::server::{Process, Server, call};
use crate::postgres::random_hex;

/// Records that are read from.
const RECORDS: usize = 10_000;
/// Records of one call of the batch endpoint.
const TOGETHER: usize = 100;
/// Every tenth record is asked for.
const ASKED: usize = 10;
/// The file of a database on `SQLite`.
const DATABASE: &str = "app.db";
const PASSWORD: &str = "Quarry7-Kestrel-loom";
const RECORDS_PATH: &str = "/api/v1/collections/posts/records";

/// Settings by name.
pub type Settings<'s> = [(&'s str, &'s str)];
/// Nothing on that a setting turns off, but for the access log.
pub const OPEN: [(&str, &str); 2] = [("ENVIRONMENT", "development"), ("RATE_LIMIT_ENABLED", "false")];

/// A seeded folder.
pub struct Product {
    program: PathBuf,
    folder: PathBuf,
    /// Where everything is kept.
    url: String,
    key: String,
    ids: Vec<String>,
}

/// The product, running.
pub struct Running {
    process: Process,
    port: u16,
}

impl Server for Running {
    fn port(&self) -> u16 {
        self.port
    }

    fn pid(&self) -> u32 {
        self.process.pid()
    }
}

impl Product {
    /// Makes accounts, collections and records through the API, as anybody would, on `SQLite`.
    pub fn seeded(program: &Path, folder: &Path) -> io::Result<Self> {
        let folder = folder.join("product");
        let url = format!("sqlite:///{}", folder.join(DATABASE).display());
        Self::seeded_at(program, folder, url, RECORDS)
    }

    /// The same with so many records on the database of this address.
    pub fn seeded_at(program: &Path, folder: PathBuf, url: String, records: usize) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let key = random_hex()? + &random_hex()?;
        let mut product = Self { program: program.to_owned(), folder, url, key, ids: Vec::new() };
        let server = product.start(&OPEN)?;
        let person = format!("\"password\":\"{PASSWORD}\",\"password_confirm\":\"{PASSWORD}\"");
        let body = format!("{{\"email\":\"root@example.com\",\"name\":\"Root\",{person}}}");
        server.expect("POST", "/api/v1/setup", None, &body)?;
        let root = server.admin()?;
        let rules = r#""list_rule":"","view_rule":"","create_rule":"@request.auth.id != ''","update_rule":"@request.auth.id != ''""#;
        let fields: Vec<String> =
            [("title", "text"), ("body", "text"), ("views", "number"), ("published", "bool"), ("author", "text")]
                .map(|(name, kind)| format!("{{\"name\":\"{name}\",\"type\":\"{kind}\"}}"))
                .into();
        for name in ["posts", "written"] {
            let body = format!("{{\"name\":\"{name}\",\"type\":\"base\",\"schema\":[{}],{rules}}}", fields.join(","));
            server.expect("POST", "/api/v1/collections", Some(&root), &body)?;
        }
        let body = format!("{{\"email\":\"user@example.com\",\"name\":\"User\",{person}}}");
        server.expect("POST", "/api/v1/auth/register", None, &body)?;
        let user = server.token()?;
        for first in (0..records).step_by(TOGETHER) {
            let records: Vec<String> = (first..first + TOGETHER).map(record).collect();
            let body = format!("{{\"records\":[{}]}}", records.join(","));
            let answer = server.expect("POST", &format!("{RECORDS_PATH}/batch"), Some(&user), &body)?;
            let ids = answer.split("{\"id\":\"").skip(1).step_by(ASKED).filter_map(|rest| rest.get(..36));
            product.ids.extend(ids.map(str::to_owned));
        }
        drop(server);
        Ok(product)
    }

    /// The file that everything is in.
    pub fn database(&self) -> PathBuf {
        self.folder.join(DATABASE)
    }

    /// What is measured.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Its settings, and the folder that they are for.
    pub fn command(&self, command: &mut Command) {
        command.current_dir(&self.folder).env("DATABASE_URL", &self.url);
        command.env("LOCAL_STORAGE_PATH", self.folder.join("files"));
        command.envs([("SECRET_KEY", self.key.as_str()), ("REDIS_ENABLED", "false")]);
    }

    /// A path for each record that is asked for.
    pub fn paths(&self, before: &str) -> Vec<String> {
        self.ids.iter().map(|id| format!("{before}{id}")).collect()
    }

    /// A record made in a collection of its own, so that the one that is read from stays as it is.
    pub fn create(&self) -> Asked {
        Asked::post("/api/v1/collections/written/records", format!("{{\"data\":{}}}", record(self.ids.len())))
    }

    /// Starts the server and waits until it answers.
    pub fn start(&self, settings: &Settings<'_>) -> io::Result<Running> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let log = File::create(self.folder.join("server.log"))?;
        let address = format!("http://127.0.0.1:{port}");
        let process = Process::start(&self.program, |command| {
            self.command(command);
            command.arg("serve").stdout(log);
            command.envs([("APP_HOST", "127.0.0.1"), ("APP_PORT", &port.to_string()), ("BASE_URL", &address)]);
            command.envs(settings.iter().copied());
        })?;
        let mut running = Running { process, port };
        let until = Instant::now() + Duration::from_secs(30);
        while !matches!(call(port, "GET", "/health", None, ""), Ok((200, _))) {
            if running.process.has_ended()? || Instant::now() > until {
                let log = fs::read_to_string(self.folder.join("server.log"))?;
                return Err(io::Error::other(format!("the server does not answer: {log}")));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(running)
    }
}

impl Running {
    /// What an ordinary account presents.
    pub fn token(&self) -> io::Result<String> {
        self.login("user@example.com")
    }

    /// What the admin presents.
    pub fn admin(&self) -> io::Result<String> {
        self.login("root@example.com")
    }

    fn login(&self, email: &str) -> io::Result<String> {
        let body = format!("{{\"email\":\"{email}\",\"password\":\"{PASSWORD}\"}}");
        let answer = self.expect("POST", "/api/v1/auth/login", None, &body)?;
        let token = answer.split_once("\"access_token\":\"").and_then(|(_, rest)| rest.split_once('"'));
        token
            .map(|(token, _)| format!("Bearer {token}"))
            .ok_or_else(|| io::Error::other("no token in the answer to a login"))
    }

    /// A call that must succeed.
    pub fn expect(&self, method: &str, path: &str, token: Option<&str>, body: &str) -> io::Result<String> {
        match call(self.port, method, path, token, body)? {
            (200..300, answer) => Ok(answer),
            (status, answer) => Err(io::Error::other(format!("{method} {path} answered {status}: {answer}"))),
        }
    }
}

/// The fields of one record, about 500 bytes.
fn record(number: usize) -> String {
    let mut body = String::new();
    while body.len() < 380 {
        let _ = write!(body, "sentence {} of record {number}, ", body.len());
    }
    let (views, published) = (number * 7_919 % 10_000, number.is_multiple_of(2));
    let author = number % 97;
    format!(
        "{{\"title\":\"Title of record {number}\",\"body\":\"{body}\",\"views\":{views},\"published\":{published},\"author\":\"author {author}\"}}"
    )
}
