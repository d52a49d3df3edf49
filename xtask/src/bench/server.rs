//! A server under test: a process on the first core, and what its threads were given of it.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The core of the servers.
const CORE: &str = "0";

/// Something that answers on a port.
pub trait Server {
    fn port(&self) -> u16;
    fn pid(&self) -> u32;

    /// Nanoseconds of CPU that its threads have had, those whose name begins with `name`.
    fn cpu_nanos(&self, name: &str) -> io::Result<u64> {
        let mut sum = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.pid()))? {
            let task = task?.path();
            // A thread may end meanwhile.
            let Ok(comm) = fs::read_to_string(task.join("comm")) else { continue };
            let Ok(times) = fs::read_to_string(task.join("schedstat")) else { continue };
            if comm.starts_with(name) {
                sum += times.split(' ').next().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
            }
        }
        Ok(sum)
    }
}

/// A process that ends with its owner.
pub struct Process(Child);

impl Process {
    /// Starts `program` on the servers' core.
    pub fn start(program: &Path, configure: impl FnOnce(&mut Command)) -> io::Result<Self> {
        let mut command = Command::new("taskset");
        command.args(["-c", CORE]).arg(program).stdin(Stdio::null());
        configure(&mut command);
        command.spawn().map(Self)
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> io::Result<bool> {
        Ok(self.0.try_wait()?.is_some())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let pid = self.pid().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status();
        let until = Instant::now() + Duration::from_secs(10);
        while asked.is_ok() && Instant::now() < until {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The bare servers.
pub struct Bare {
    process: Process,
    port: u16,
}

impl Bare {
    /// Starts them over a database of the product.
    pub fn start(program: &Path, database: &Path) -> io::Result<Self> {
        let mut process = Process::start(program, |command| {
            command.arg(database).stdout(Stdio::piped());
        })?;
        let mut line = String::new();
        if let Some(output) = process.0.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let port = line.trim().parse().map_err(|_| io::Error::other("the bare server did not start"))?;
        Ok(Self { process, port })
    }
}

impl Server for Bare {
    fn port(&self) -> u16 {
        self.port
    }

    fn pid(&self) -> u32 {
        self.process.pid()
    }
}

/// One request over a connection of its own; status and body.
pub fn call(port: u16, method: &str, path: &str, token: Option<&str>, body: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let token = token.map(|token| format!("Authorization: {token}\r\n")).unwrap_or_default();
    let text = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         {token}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    status
        .map(|status| (status, body.to_owned()))
        .ok_or_else(|| io::Error::other(format!("no answer to {method} {path}")))
}

/// The head of the answer to a `GET`; `extra` are lines of the request.
pub fn head(port: u16, path: &str, extra: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    let text = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n{extra}\r\n");
    stream.write_all(text.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.split_once("\r\n\r\n").map_or_else(String::new, |(head, _)| head.to_owned()))
}
