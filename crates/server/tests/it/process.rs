//! The real binary as a process, spoken to over a socket: what only a process can show.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

mod ask;
mod panics;

pub const SECRET: &str = "4f1c0a9be37d52680c1f9e4ab7d3365510e2c98f7ab6d4e3f2019c8b7a6d5e4f";
pub const PASSWORD: &str = "Correct-Horse7-battery";

/// A running `fastcms` with a folder of its own. Killed when dropped.
pub struct Server {
    pub folder: TempDir,
    /// Where it is spoken to.
    pub host: String,
    pub port: u16,
    environment: BTreeMap<String, String>,
    child: Option<Child>,
    /// Runs as this user, in place of the one who runs the tests.
    user: Option<u32>,
}

/// An answer over the socket.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(&self.body)))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The binary with an environment of its own, in `folder`.
pub fn command(folder: &Path, arguments: &[&str], environment: &BTreeMap<String, String>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fastcms"));
    command.args(arguments).current_dir(folder).env_clear().envs(environment);
    command
}

impl Server {
    /// Settings for a development server on loopback; `overrides` win, an empty value takes one away.
    pub fn new(overrides: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let port = free_port();
        let environment: BTreeMap<String, String> = [
            ("APP_HOST", "127.0.0.1".to_owned()),
            ("APP_PORT", port.to_string()),
            ("BASE_URL", format!("http://127.0.0.1:{port}")),
            ("DATABASE_URL", format!("sqlite:///{}/app.db", folder.path().display())),
            ("SECRET_KEY", SECRET.to_owned()),
            ("LOG_LEVEL", "WARNING".to_owned()),
            // Tests call faster than anybody; those about the limits turn them on.
            ("RATE_LIMIT_ENABLED", "false".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let host = "127.0.0.1".to_owned();
        let mut server = Self { folder, host, port, environment, child: None, user: None };
        server.set(overrides);
        server
    }

    /// Settings of production, behind an explicit loopback listener.
    pub fn production(overrides: &[(&str, &str)]) -> Self {
        let mut all = vec![
            ("ENVIRONMENT", "production"),
            ("BASE_URL", "https://cms.example.com"),
            ("ALLOWED_HOSTS", "127.0.0.1,cms.example.com"),
            ("CORS_ORIGINS", "https://app.example.com"),
        ];
        all.extend_from_slice(overrides);
        Self::new(&all)
    }

    /// Other settings for the next start; an empty value takes one away.
    pub fn set(&mut self, overrides: &[(&str, &str)]) -> &mut Self {
        for (name, value) in overrides {
            if value.is_empty() {
                self.environment.remove(*name);
            } else {
                self.environment.insert((*name).to_owned(), (*value).to_owned());
            }
        }
        self
    }

    /// What a setting is set to.
    pub fn setting(&self, name: &str) -> String {
        self.environment[name].clone()
    }

    /// Runs as a user without rights, where the tests run as root.
    #[cfg(target_os = "linux")]
    pub fn without_rights(&mut self) -> &mut Self {
        use std::os::unix::fs::MetadataExt;
        self.user = (std::fs::metadata("/proc/self").unwrap().uid() == 0).then_some(65_534);
        self
    }

    pub fn start(&mut self) -> &mut Self {
        let log =
            std::fs::OpenOptions::new().create(true).append(true).open(self.folder.path().join("server.log")).unwrap();
        let mut command = command(self.folder.path(), &["serve"], &self.environment);
        #[cfg(unix)]
        if let Some(user) = self.user {
            std::os::unix::fs::chown(self.folder.path(), Some(user), None).unwrap();
            std::os::unix::process::CommandExt::uid(&mut command, user);
        }
        self.child = Some(command.stdout(log.try_clone().unwrap()).stderr(log).stdin(Stdio::null()).spawn().unwrap());
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            if let Some(status) = self.child.as_mut().unwrap().try_wait().unwrap() {
                panic!("the server ended with {status}: {}", self.log());
            }
            if self.try_call("GET", "/health", None, None).is_ok_and(|answer| answer.status == 200) {
                return self;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("no answer on /health: {}", self.log());
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default()
    }

    /// The process that runs.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("a running server").id()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGTERM; the exit status and how long it took.
    pub fn terminate(&mut self) -> (std::process::ExitStatus, Duration) {
        let mut child = self.child.take().expect("a running server");
        let asked = Instant::now();
        assert!(Command::new("kill").arg("-TERM").arg(child.id().to_string()).status().unwrap().success());
        let status = child.wait().unwrap();
        (status, asked.elapsed())
    }

    /// Runs the binary with these settings as a command.
    pub fn run(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = command(self.folder.path(), arguments, &self.environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    pub fn call(&self, method: &str, path: &str, token: Option<&str>, body: Option<&Value>) -> Answer {
        self.try_call(method, path, token, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    pub fn try_call(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> std::io::Result<Answer> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let credential = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let length = match body.len() {
            0 => String::new(),
            length => format!("Content-Type: application/json\r\nContent-Length: {length}\r\n"),
        };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n{credential}{length}",
            self.port
        );
        self.raw(format!("{head}\r\n{body}").as_bytes())
    }

    /// Sends bytes as they are and reads one answer.
    pub fn raw(&self, request: &[u8]) -> std::io::Result<Answer> {
        let mut stream = TcpStream::connect((self.host.as_str(), self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.write_all(request)?;
        let answer = read_answer(&mut BufReader::new(stream))?;
        self.check(request, &answer);
        Ok(answer)
    }

    /// Makes the first admin as a local developer and returns the access token.
    pub fn set_up(&self) -> String {
        let body = json!({"email": "root@example.com", "password": PASSWORD, "password_confirm": PASSWORD});
        let answer = self.call("POST", "/api/v1/setup", None, Some(&body));
        assert_eq!(answer.status, 200, "{:?}", String::from_utf8_lossy(&answer.body));
        answer.json()["token"]["access_token"].as_str().unwrap().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if !std::thread::panicking() {
            assert_eq!(crate::canary::found(self.log().as_bytes()), None, "a secret is in the log of a server");
        }
    }
}

pub fn read_answer(stream: &mut impl BufRead) -> std::io::Result<Answer> {
    let broken = |what: &str| std::io::Error::other(what.to_owned());
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(|| broken("no status line"))?;
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let length =
        headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length")).and_then(|(_, n)| n.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body)?;
    Ok(Answer { status, headers, body })
}

fn posts() -> Value {
    json!({
        "name": "posts",
        "schema": [{"name": "title", "type": "text", "validation": {"required": true}}, {"name": "n", "type": "number"}],
        "list_rule": "", "view_rule": "", "create_rule": "", "update_rule": "",
    })
}

/// Kill -9 under load loses nothing that was answered, ten times over one database.
#[test]
fn a_killed_server_has_kept_what_it_answered() {
    let mut server = Server::new(&[]);
    server.start();
    let token = server.set_up();
    assert_eq!(server.call("POST", "/api/v1/collections", Some(&token), Some(&posts())).status, 201);
    let mut answered: Vec<String> = Vec::new();
    for round in 0..10 {
        let fresh = write_until_killed(&mut server, round);
        assert!(!fresh.is_empty(), "round {round}: nothing was written before the kill");
        answered.extend(fresh);
        server.start();
        let integrity: String = rusqlite::Connection::open(server.folder.path().join("app.db"))
            .unwrap()
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(integrity, "ok");
        for id in &answered {
            let found = server.call("GET", &format!("/api/v1/collections/posts/records/{id}"), None, None);
            assert_eq!(found.status, 200, "round {round}: record {id} was answered 201 and is gone");
        }
    }
    let total = server.call("GET", "/api/v1/collections/posts/records?per_page=1", None, None).json()["total"]
        .as_u64()
        .unwrap();
    let rows = rows_of_the_only_collection(&server.folder.path().join("app.db"));
    assert_eq!(i64::try_from(total).unwrap(), rows, "the kept counter drifted from the rows");
    assert!(usize::try_from(total).unwrap() >= answered.len());
}

/// What lies in the one table that a collection has made, counted without the product's help.
fn rows_of_the_only_collection(file: &Path) -> i64 {
    let database = rusqlite::Connection::open(file).unwrap();
    let tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'c\\_%' ESCAPE '\\'";
    let table: String = database.query_row(tables, [], |row| row.get(0)).unwrap();
    database.query_row(&format!("SELECT count(*) FROM \"{table}\""), [], |row| row.get(0)).unwrap()
}

/// Sixteen clients write until the server is killed under them; the ids that were answered 201.
fn write_until_killed(server: &mut Server, round: usize) -> Vec<String> {
    let answered = std::sync::Mutex::new(Vec::new());
    let stop = std::sync::atomic::AtomicBool::new(false);
    let port = server.port;
    std::thread::scope(|scope| {
        for writer in 0..16 {
            let (answered, stop, server) = (&answered, &stop, &*server);
            scope.spawn(move || {
                for n in 0.. {
                    if stop.load(std::sync::atomic::Ordering::Relaxed) {
                        return;
                    }
                    let body = json!({"data": {"title": format!("{round}-{writer}-{n}"), "n": n}});
                    match server.try_call("POST", "/api/v1/collections/posts/records", None, Some(&body)) {
                        Ok(answer) if answer.status == 201 => {
                            answered.lock().unwrap().push(answer.json()["id"].as_str().unwrap().to_owned());
                        }
                        Ok(answer) => panic!("port {port}: {answer:?}"),
                        Err(_) => return,
                    }
                }
            });
        }
        let deadline = Instant::now() + Duration::from_secs(20);
        while answered.lock().unwrap().len() < 100 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let pid = server.child.as_ref().unwrap().id();
        assert!(Command::new("kill").arg("-KILL").arg(pid.to_string()).status().unwrap().success());
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    server.kill();
    answered.into_inner().unwrap()
}

#[test]
fn sigterm_finishes_what_was_accepted() {
    let mut server = Server::new(&[]);
    server.start();
    let (status, took) = server.terminate();
    assert!(status.success(), "{status}: {}", server.log());
    assert!(took < Duration::from_secs(10), "{took:?}");
    server.start();
}

#[test]
fn five_faults_are_five_lines_and_no_port() {
    let server = Server::new(&[
        ("ENVIRONMENT", "prod"),
        ("RATE_LIMIT_PER_MINUTE", "many"),
        ("CORS_ORIGINS", "app.example.com/path"),
        ("ACCESS_TOKEN_EXPIRE_MINUTES", "-1"),
        ("ALGORITHM", "none"),
    ]);
    let output = server.run(&["serve"], "");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    for name in ["ENVIRONMENT", "RATE_LIMIT_PER_MINUTE", "CORS_ORIGINS", "ACCESS_TOKEN_EXPIRE_MINUTES", "ALGORITHM"] {
        assert_eq!(text.lines().filter(|line| line.contains(name)).count(), 1, "{name} in: {text}");
    }
    assert_eq!(text.lines().count(), 5, "{text}");
    assert!(server.try_call("GET", "/health", None, None).is_err(), "the port was opened");
}

#[test]
fn wrong_usage_exits_2_and_refusal_exits_1() {
    let server = Server::new(&[]);
    assert_eq!(server.run(&["serve", "--nonsense"], "").status.code(), Some(2));
    assert_eq!(server.run(&["nonsense"], "").status.code(), Some(2));
    assert_eq!(
        server.run(&["admin", "create", "root@example.com", "--password-stdin"], "short\n").status.code(),
        Some(1)
    );
    let made = server.run(&["admin", "create", "root@example.com", "--password-stdin"], &format!("{PASSWORD}\n"));
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    assert_eq!(
        server
            .run(&["admin", "create", "ROOT@example.com", "--password-stdin"], &format!("{PASSWORD}\n"))
            .status
            .code(),
        Some(1)
    );
    let listed = server.run(&["users", "list", "--json"], "");
    let users: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(users[0]["email"], "root@example.com");
    assert_eq!(users[0]["role"], "admin");
    assert!(server.run(&["--version"], "").status.success());
}

#[test]
fn init_makes_a_folder_that_serves() {
    let server = Server::new(&[("DATABASE_URL", ""), ("SECRET_KEY", "")]);
    assert!(server.run(&["init", "site"], "").status.success());
    let settings = std::fs::read_to_string(server.folder.path().join("site/.env")).unwrap();
    assert!(settings.contains("ENVIRONMENT=development") && settings.contains("SECRET_KEY="));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(server.folder.path().join("site/.env")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert_eq!(server.run(&["init", "site"], "").status.code(), Some(1), "a folder that is not empty is left alone");
    let status =
        command(&server.folder.path().join("site"), &["migrate", "status"], &BTreeMap::new()).output().unwrap();
    assert!(status.status.success(), "{status:?}");
}

#[test]
fn config_names_sources_and_masks_secrets() {
    let server = Server::new(&[("SMTP_PASSWORD", "marker-of-a-secret")]);
    std::fs::write(server.folder.path().join(".env"), "APP_NAME=Library\n").unwrap();
    for arguments in [&["config"][..], &["config", "--json"]] {
        let output = server.run(arguments, "");
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("Library") && text.contains(".env"), "{text}");
        assert!(!text.contains("marker-of-a-secret") && !text.contains(SECRET), "a secret is shown");
    }
}

#[test]
fn production_refuses_what_is_unsafe() {
    for (name, value) in [
        ("SECRET_KEY", ""),
        ("SECRET_KEY", "x"),
        ("SECRET_KEY", "your-new-secret-key-here"),
        ("SECRET_KEY_PREVIOUS", SECRET),
        ("DEBUG", "true"),
        ("CORS_ORIGINS", "*"),
    ] {
        let server = Server::production(&[(name, value)]);
        let output = server.run(&["serve"], "");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{name}={value}: {text}");
        assert!(text.contains(name), "{name}={value}: {text}");
    }
}

#[test]
fn the_schema_is_printed_offline() {
    let server = Server::production(&[]);
    let output = server.run(&["openapi"], "");
    assert!(output.status.success(), "{output:?}");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let yaml = server.run(&["openapi", "--format", "yaml"], "");
    assert!(String::from_utf8(yaml.stdout).unwrap().starts_with("\"openapi\": \"3.1"));
}

#[test]
fn the_development_secret_is_kept_and_private() {
    let server = Server::new(&[("SECRET_KEY", ""), ("DATABASE_URL", "sqlite:///./data/app.db")]);
    let secret = server.folder.path().join("data/development-secret");
    let mut read = Vec::new();
    for _ in 0..2 {
        let mut child = command(server.folder.path(), &["dev"], &server.environment)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while !server.try_call("GET", "/health", None, None).is_ok_and(|answer| answer.status == 200) {
            assert!(Instant::now() < deadline, "no answer on /health");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(server.call("GET", "/openapi.json", None, None).status, 200, "dev shows the schema");
        child.kill().unwrap();
        child.wait().unwrap();
        read.push(std::fs::read_to_string(&secret).unwrap());
    }
    assert_eq!(read[0], read[1]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

/// What README prints works as printed, but for the port.
#[test]
fn the_readme_goes_from_nothing_to_a_filtered_list() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md")).unwrap();
    let script = readme
        .split("```sh\n")
        .map(|block| block.split("```").next().unwrap_or_default())
        .find(|block| block.contains("/setup"))
        .expect("README shows the way from setup to a list");
    let mut server = Server::new(&[]);
    server.start();
    let script = script.replace("http://127.0.0.1:8000", &format!("http://127.0.0.1:{}", server.port));
    let output = Command::new("bash").args(["-euc", &script]).output().expect("bash and curl are installed");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(!text.contains("\"error\""), "{text}");
    let list = &text[text.rfind("{\"items\"").unwrap_or_else(|| panic!("no list at the end: {text}"))..];
    let list: Value = serde_json::from_str(list).unwrap();
    assert_eq!(list["total"], 1, "{list}");
    assert_eq!(list["items"][0]["data"]["title"], "Hello");
}

/// Sends the same request from `callers` threads at once, each over a socket of its own.
fn at_once(callers: usize, call: impl Fn(usize) -> Answer + Sync) -> Vec<Answer> {
    let gate = std::sync::Barrier::new(callers);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..callers)
            .map(|n| {
                let (gate, call) = (&gate, &call);
                scope.spawn(move || {
                    gate.wait();
                    call(n)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// D-18, D-29, D-30 with real parallelism.
#[test]
fn parallel_callers_cannot_split_one_outcome() {
    let mut server = Server::new(&[]);
    server.start();
    let setups = at_once(50, |n| {
        let body = json!({"email": format!("a{n}@example.com"), "password": PASSWORD, "password_confirm": PASSWORD});
        server.call("POST", "/api/v1/setup", None, Some(&body))
    });
    let winners: Vec<&Answer> = setups.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(winners.len(), 1, "{:?}", setups.iter().map(|answer| answer.status).collect::<Vec<_>>());
    let won = winners[0].json();
    let token = won["token"]["access_token"].as_str().unwrap();
    assert_eq!(server.call("GET", "/api/v1/admin/users", Some(token), None).json()["total"], 1);

    assert_eq!(server.call("POST", "/api/v1/collections", Some(token), Some(&posts())).status, 201);
    let record = json!({"data": {"title": "counted", "n": 0}});
    let made = server.call("POST", "/api/v1/collections/posts/records", None, Some(&record)).json();
    let path = format!("/api/v1/collections/posts/records/{}", made["id"].as_str().unwrap());
    let raised = at_once(200, |_| server.call("PATCH", &path, None, Some(&json!({"data": {"n+": 1}}))));
    assert!(raised.iter().all(|answer| answer.status == 200));
    assert_eq!(server.call("GET", &path, None, None).json()["data"]["n"], 200);

    let body = json!({"refresh_token": won["token"]["refresh_token"]});
    let refreshed = at_once(50, |_| server.call("POST", "/api/v1/auth/refresh", None, Some(&body)));
    let successors: std::collections::BTreeSet<String> =
        refreshed.iter().map(|answer| answer.json()["refresh_token"].as_str().unwrap().to_owned()).collect();
    assert_eq!(successors.len(), 1);
}
