//! Other people's servers, real ones from Debian's packages: each on a free port of the loopback, in a folder of its own, and gone with
//! the value that stands for it.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::process::free_port;

/// A running program.
pub struct External {
    pub port: u16,
    child: Child,
    _folder: TempDir,
}

impl External {
    /// Redis, which keeps nothing.
    pub fn redis() -> Self {
        Self::start("redis-server", |folder, port| {
            let arguments = [
                "--bind",
                "127.0.0.1",
                "--port",
                &port.to_string(),
                "--save",
                "",
                "--appendonly",
                "no",
                "--dir",
                folder,
            ];
            arguments.map(str::to_owned).to_vec()
        })
    }

    /// nginx in front of a port, naming the client the way its manual shows.
    pub fn nginx(upstream: u16) -> Self {
        Self::start("nginx", |folder, port| {
            let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .map(|kind| format!("{kind}_temp_path {folder}/{kind};"))
                .concat();
            let text = format!(
                "daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log; events {{}}
                 http {{ access_log off; {temporary} server {{ listen 127.0.0.1:{port}; location / {{
                     proxy_pass http://127.0.0.1:{upstream};
                     proxy_set_header Host $http_host;
                     proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
                     proxy_set_header X-Forwarded-Proto $scheme;
                 }} }} }}"
            );
            let file = format!("{folder}/nginx.conf");
            std::fs::write(&file, text).unwrap();
            ["-p", folder, "-c", &file].map(str::to_owned).to_vec()
        })
    }

    /// Caddy in front of a port, as it comes.
    pub fn caddy(upstream: u16) -> Self {
        Self::start("caddy", |folder, port| {
            let text = format!(
                "{{\n admin off\n auto_https off\n storage file_system {folder}\n}}\nhttp://127.0.0.1:{port} {{\n bind 127.0.0.1\n reverse_proxy 127.0.0.1:{upstream}\n}}\n"
            );
            let file = format!("{folder}/Caddyfile");
            std::fs::write(&file, text).unwrap();
            ["run", "--adapter", "caddyfile", "--config", &file].map(str::to_owned).to_vec()
        })
    }

    fn start(program: &str, arguments: impl FnOnce(&str, u16) -> Vec<String>) -> Self {
        let (folder, port) = (TempDir::new().unwrap(), free_port());
        let path = folder.path().to_str().unwrap().to_owned();
        let log = std::fs::File::create(folder.path().join("output")).unwrap();
        // With the test's thread the program ends too, whatever becomes of the test.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", program]).args(arguments(&path, port));
        command.env("PATH", search_path()).env("HOME", &path).stdin(Stdio::null());
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().expect("util-linux has setpriv");
        let mut this = Self { port, child, _folder: folder };
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = this.child.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "`{program}` does not run ({ended:?}): `cargo xtask test` installs it, or `apt-get install redis-server nginx-light caddy`: {}",
                std::fs::read_to_string(format!("{path}/output")).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        this
    }

    /// Takes the program away at once.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for External {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where servers are, which is not always where people look.
fn search_path() -> String {
    format!("{}:/usr/sbin:/usr/local/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}
