//! A `PostgreSQL` server for one test run: its own cluster in a temporary folder, on a free port of the loopback.
//!
//! Never touches a server or a cluster it did not make. The server ends with the run, however the run ends: a small
//! watching process holds the other end of a pipe and tidies up once that closes, be it by a normal return, a panic,
//! Ctrl-C or a kill.

pub mod account;
mod binaries;

use std::fs::{self, DirBuilder};
use std::io::{self, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::announce;
use account::Account;
use binaries::Binaries;

/// The server's superuser; the tests make their databases as this role.
const ROLE: &str = "fastcms";

/// Another program may take the free port between finding and using it.
const PORT_ATTEMPTS: usize = 3;

/// Room for a pool in each parallel test, TCP only.
const SETTINGS: &str = "\
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
";

/// Speed over durability: the data of a test lives for minutes.
const HASTY: &str = "\
fsync = off
synchronous_commit = off
full_page_writes = off
";

/// What the watching process runs: wait for the pipe to close, stop the server, remove the folder.
const WATCH: &str = r#"
trap '' INT TERM HUP
cat >/dev/null
"$1" stop --silent --mode immediate --pgdata "$2/data"
rm -rf -- "$2"
"#;

/// A running server; dropping it stops the server and removes its folder.
pub struct Cluster {
    url: String,
    port: u16,
    workshop: Workshop,
    watcher: Child,
}

impl Cluster {
    /// Makes a cluster that trades durability for speed, and starts it. Installs `PostgreSQL` first where it is missing and that is
    /// possible.
    pub fn start() -> io::Result<Self> {
        Self::start_with(HASTY)
    }

    /// Makes a cluster that keeps what it has committed, whatever happens, and starts it.
    pub fn start_durable() -> io::Result<Self> {
        Self::start_with("")
    }

    fn start_with(more: &str) -> io::Result<Self> {
        let is_root = account::is_root()?;
        let binaries = Binaries::find_or_install(is_root)?;
        let account = if is_root { Some(Account::unprivileged()?) } else { None };
        announce(&format!("PostgreSQL: a server of our own, from `{}`", binaries.folder().display()));

        let folder = make_folder(account.as_ref())?;
        // From here on the watcher answers for the folder, whatever goes wrong next.
        let watcher = watch(&binaries, &folder, account.as_ref())?;
        let workshop = Workshop { binaries, folder, account };
        let mut cluster = Self { url: String::new(), port: 0, workshop, watcher };
        let password = random_hex()?;
        cluster.workshop.initialise(&password, more)?;
        let port = cluster.workshop.serve()?;
        cluster.port = port;
        cluster.url = format!("postgres://{ROLE}:{password}@127.0.0.1:{port}/postgres");
        announce(&format!("PostgreSQL: listening on 127.0.0.1:{port}"));
        Ok(cluster)
    }

    /// Ends the server at once, as a crash does: nothing is flushed, connections break, the next start recovers.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub fn crash(&self) -> io::Result<()> {
        self.workshop.control(&["stop", "--mode", "immediate"])
    }

    /// Starts a crashed server again, at the address it had.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&self) -> io::Result<()> {
        self.workshop.start_at(self.port)
    }

    /// Where the tests connect to. Contains the server's random password.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        announce("PostgreSQL: stopping");
        drop(self.watcher.stdin.take());
        if let Err(error) = self.watcher.wait() {
            eprintln!("warning: PostgreSQL may still be running: {error}");
        }
    }
}

/// What is needed to make and start a cluster.
struct Workshop {
    binaries: Binaries,
    folder: PathBuf,
    account: Option<Account>,
}

impl Workshop {
    fn initialise(&self, password: &str, more: &str) -> io::Result<()> {
        let password_file = self.folder.join("password");
        fs::write(&password_file, password)?;
        if let Some(account) = &self.account {
            account.give(&password_file)?;
        }
        // `password`, not `scram-sha-256`: the loopback needs no more, and an unoptimised client would spend longer
        // on the key derivation of each connection than on its test.
        let mut initdb = self.command(&self.binaries.initdb());
        initdb
            .args(["--username", ROLE, "--auth", "password", "--encoding", "UTF8", "--locale", "C.UTF-8"])
            .arg("--no-sync")
            .arg("--pgdata")
            .arg(self.data())
            .arg("--pwfile")
            .arg(&password_file);
        let output = initdb.output()?;
        if !output.status.success() {
            let reason = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(io::Error::other(format!("`initdb` failed: {}", reason.trim())));
        }
        let configuration = self.data().join("postgresql.conf");
        let defaults = fs::read_to_string(&configuration)?;
        fs::write(configuration, format!("{defaults}\n{SETTINGS}{more}"))
    }

    /// Starts the server and gives the port it listens on.
    fn serve(&self) -> io::Result<u16> {
        for _ in 1..PORT_ATTEMPTS {
            let port = free_port()?;
            if self.start_at(port).is_ok() {
                return Ok(port);
            }
        }
        let port = free_port()?;
        self.start_at(port).map(|()| port)
    }

    fn start_at(&self, port: u16) -> io::Result<()> {
        let log = self.folder.join("log");
        let options = format!("-p {port}");
        let started = self.control(&["start", "--options", &options, "--log", &log.to_string_lossy()]);
        started.map_err(|_| {
            let log = fs::read_to_string(log).unwrap_or_default();
            io::Error::other(format!("the PostgreSQL server does not start; its log:\n{}", log.trim()))
        })
    }

    fn control(&self, arguments: &[&str]) -> io::Result<()> {
        let mut control = self.command(&self.binaries.pg_ctl());
        control.args(arguments).args(["--wait", "--silent", "--pgdata"]).arg(self.data());
        if control.stdout(Stdio::null()).stderr(Stdio::null()).status()?.success() {
            return Ok(());
        }
        Err(io::Error::other(format!("`pg_ctl {}` failed", arguments[0])))
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn command(&self, program: &Path) -> Command {
        command(program, &self.folder, self.account.as_ref())
    }
}

/// A command of the server's account, in the server's folder and free of settings meant for other servers.
fn command(program: &Path, folder: &Path, account: Option<&Account>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).stdin(Stdio::null());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
        command.env_remove(name);
    }
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid).env("HOME", folder);
    }
    command
}

/// Starts the watching process, in a process group of its own so that Ctrl-C does not reach it.
fn watch(binaries: &Binaries, folder: &Path, account: Option<&Account>) -> io::Result<Child> {
    let mut watcher = command(Path::new("/bin/sh"), folder, account);
    watcher.args(["-c", WATCH, "watch"]).arg(binaries.pg_ctl()).arg(folder);
    // Not inside the folder: that is about to be removed.
    watcher.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let spawned = watcher.process_group(0).spawn();
    if spawned.is_err() {
        fs::remove_dir_all(folder)?;
    }
    spawned
}

/// A fresh folder only the server's account can enter.
fn make_folder(account: Option<&Account>) -> io::Result<PathBuf> {
    let folder = temporary_root(account).join(format!("fastcms-postgres-{}", random_hex()?));
    DirBuilder::new().mode(0o700).create(&folder)?;
    if let Some(account) = account {
        account.give(&folder)?;
    }
    Ok(folder)
}

/// The temporary folder of this machine, or `/tmp` where another account could not reach the former.
fn temporary_root(account: Option<&Account>) -> PathBuf {
    const OTHERS_MAY_ENTER: u32 = 0o001;
    let configured = std::env::temp_dir();
    let open_to_all =
        |path: &Path| path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & OTHERS_MAY_ENTER != 0);
    if account.is_none() || configured.ancestors().all(open_to_all) { configured } else { PathBuf::from("/tmp") }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// 128 random bits.
pub fn random_hex() -> io::Result<String> {
    use std::fmt::Write as _;
    let mut bytes = [0_u8; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    }))
}
