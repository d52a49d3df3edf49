//! R48: five hundred sign-ins at once are too many to be looked at; the server stays there for everybody else, and small.

use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::process::{Server, read_answer};

const AT_ONCE: usize = 500;
/// What the process may grow by: the one hash that is computed at a time takes 19 MiB, connections and their buffers the rest.
const BUDGET_KIB: u64 = 120 * 1024;

fn resident_kib(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Sends all sign-ins before the first answer is read, and asks for health meanwhile. The statuses, and how long health took.
fn storm(server: &Server) -> (Vec<u16>, Vec<Duration>) {
    let body = |n: usize| json!({"email": format!("u{n}@example.com"), "password": "Wrong-Horse1-battery"}).to_string();
    let mut sent: Vec<TcpStream> = (0..AT_ONCE)
        .map(|n| {
            let body = body(n % 50);
            let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
            stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
            let head =
                format!("POST /api/v1/auth/login HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n", server.port);
            let rest = format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            stream.write_all((head + &rest).as_bytes()).unwrap();
            stream
        })
        .collect();
    let mut health = Vec::new();
    for _ in 0..100 {
        let asked = Instant::now();
        server.ask("GET", "/health").expect(200);
        health.push(asked.elapsed());
    }
    let statuses = sent.drain(..).map(|stream| read_answer(&mut BufReader::new(stream)).unwrap().status).collect();
    health.sort();
    (statuses, health)
}

#[test]
fn five_hundred_sign_ins_at_once_leave_the_server_small_and_quick() {
    let mut server = Server::new(&[("ACCOUNT_LOCKOUT_ENABLED", "false")]);
    server.start();
    let before = resident_kib(&server);
    // Somebody else may use this machine at the same time: of five storms the calmest counts.
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let (statuses, health) = storm(&server);
        assert!(statuses.iter().all(|status| [401, 503].contains(status)), "{statuses:?}");
        assert!(statuses.contains(&503) && statuses.contains(&401), "the pool is bounded, and works");
        best = best.min(health[health.len() * 99 / 100 - 1]);
        if best < Duration::from_millis(200) {
            break;
        }
    }
    assert!(best < Duration::from_millis(200), "{best:?}");
    let grown = resident_kib(&server) - before;
    assert!(grown < BUDGET_KIB, "{grown} KiB more");
}
