//! The load: `wrk` on the second core, with the requests of one kind.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::server::Server;

/// The core of the load generator.
const CORE: &str = "1";
/// Kept alive, and busy all the time.
const CONNECTIONS: &str = "32";

const SCRIPT: &str = r#"
local paths, at = {}, 0
for line in io.lines(FOLDER .. "/paths") do paths[#paths + 1] = line end
local headers, body = {}, nil
for line in io.lines(FOLDER .. "/headers") do
  local name, value = line:match("^(.-): (.*)$")
  headers[name] = value
end
local file = io.open(FOLDER .. "/body")
if file then body = file:read("*a") file:close() end
function request()
  at = at % #paths + 1
  return wrk.format(METHOD, paths[at], headers, body)
end
function done(summary, latency)
  local failed = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests, failed, summary.duration, latency:percentile(50), latency:percentile(99)))
end
"#;

/// What is asked, again and again.
pub struct Asked {
    method: &'static str,
    paths: Vec<String>,
    headers: Vec<(String, String)>,
    body: Option<String>,
}

impl Asked {
    /// Each of these paths in turn.
    pub fn get(paths: Vec<String>) -> Self {
        Self { method: "GET", paths, headers: Vec::new(), body: None }
    }

    /// This body.
    pub fn post(path: &str, body: String) -> Self {
        let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        Self { method: "POST", paths: vec![path.to_owned()], headers, body: Some(body) }
    }

    /// The same with a header more.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// What came of it.
#[derive(Clone, Copy)]
pub struct Measured {
    /// CPU that the server got, microseconds a request.
    pub cpu_micros: f64,
    /// Of these, those of threads that write to the database.
    pub write_micros: f64,
    pub per_second: f64,
    pub p50_micros: u64,
    pub p99_micros: u64,
}

/// Sends requests for so many seconds at a time.
pub struct Load {
    folder: PathBuf,
    seconds: u32,
}

impl Load {
    pub fn new(folder: &Path, seconds: u32) -> Self {
        Self { folder: folder.to_owned(), seconds }
    }

    /// Warms the server for a second, then measures.
    pub fn measure(&self, server: &dyn Server, asked: &Asked) -> io::Result<Measured> {
        let folder = self.folder.join("load");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("paths"), asked.paths.join("\n") + "\n")?;
        let headers: Vec<String> = asked.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        fs::write(folder.join("headers"), headers.concat())?;
        match &asked.body {
            Some(body) => fs::write(folder.join("body"), body)?,
            None => drop(fs::remove_file(folder.join("body"))),
        }
        let script = folder.join("script.lua");
        let head = format!("local FOLDER, METHOD = [==[{}]==], '{}'\n", folder.display(), asked.method);
        fs::write(&script, head + SCRIPT)?;
        send(server, &script, 1)?;
        let before = (server.cpu_nanos("")?, server.cpu_nanos("store-write")?);
        let [requests, failed, duration, p50, p99] = send(server, &script, self.seconds)?;
        let after = (server.cpu_nanos("")?, server.cpu_nanos("store-write")?);
        if failed > 0 || requests == 0 {
            return Err(io::Error::other(format!("{failed} of {requests} requests failed: {}", asked.paths[0])));
        }
        let each = |nanos: u64| float(nanos) / 1000.0 / float(requests);
        Ok(Measured {
            cpu_micros: each(after.0.saturating_sub(before.0)),
            write_micros: each(after.1.saturating_sub(before.1)),
            per_second: float(requests) / (float(duration) / 1e6),
            p50_micros: p50,
            p99_micros: p99,
        })
    }
}

fn send(server: &dyn Server, script: &Path, seconds: u32) -> io::Result<[u64; 5]> {
    let output = Command::new("taskset")
        .args(["-c", CORE, "wrk", "-t1", "-c", CONNECTIONS, "-d", &format!("{seconds}s"), "-s"])
        .arg(script)
        .arg(format!("http://127.0.0.1:{}", server.port()))
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<u64> = text
        .lines()
        .find_map(|line| line.strip_prefix("RESULT "))
        .map(|line| line.split(' ').filter_map(|number| number.parse().ok()).collect())
        .unwrap_or_default();
    numbers.try_into().map_err(|_| io::Error::other(format!("wrk failed: {text}")))
}

/// A count as a number to reckon with.
#[expect(clippy::cast_precision_loss, reason = "counts and nanoseconds of one run are far below 2^53")]
pub fn float(number: u64) -> f64 {
    number as f64
}
