//! Two nodes on one database change their key one after the other, under load. Nobody notices, if the new key is known to both before
//! one of them signs with it.

use std::collections::BTreeMap;
use std::io::{BufReader, ErrorKind, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::KEY_B;
use super::forge;
use crate::engine::{Engine, run_blocking};
use crate::process::{Answer, PASSWORD, SECRET, Server, read_answer};
use crate::product::text;

/// Clients at once.
const CLIENTS: usize = 6;

/// Answers that prove something. The load goes on until it has them, so that a slow machine proves as much.
const ENOUGH: usize = 600;

/// What was answered, by status and route, and how often a client had to ask anew.
#[derive(Debug, Default)]
struct Tally {
    answers: BTreeMap<(u16, &'static str), usize>,
    asked_anew: usize,
    /// Answers that ended before they were whole.
    broken: usize,
    samples: Vec<String>,
}

/// A client as browsers and libraries are: keeps its connections, and where one is refused, or was closed before anything came
/// back, asks the other node.
struct Client<'t> {
    ports: [u16; 2],
    kept: [Option<BufReader<TcpStream>>; 2],
    turn: usize,
    access: String,
    refresh: String,
    tally: &'t Mutex<Tally>,
}

impl Client<'_> {
    fn call(&mut self, method: &str, path: &'static str, signed: bool, body: &Value) -> Answer {
        let given_up = Instant::now() + Duration::from_secs(20);
        loop {
            self.turn += 1;
            let node = self.turn % 2;
            match self.attempt(node, method, path, signed, body) {
                Ok(answer) => {
                    let mut tally = self.tally.lock().unwrap();
                    *tally.answers.entry((answer.status, path)).or_default() += 1;
                    if answer.status >= 400 && tally.samples.len() < 5 {
                        tally.samples.push(format!("{method} {path}: {}", String::from_utf8_lossy(&answer.body)));
                    }
                    return answer;
                }
                Err(error) => {
                    self.kept[node] = None;
                    assert!(Instant::now() < given_up, "{method} {path}: {error}");
                    self.tally.lock().unwrap().asked_anew += 1;
                }
            }
        }
    }

    fn attempt(
        &mut self,
        node: usize,
        method: &str,
        path: &str,
        signed: bool,
        body: &Value,
    ) -> std::io::Result<Answer> {
        let port = self.ports[node];
        if self.kept[node].is_none() {
            let stream = TcpStream::connect(("127.0.0.1", port))?;
            stream.set_read_timeout(Some(Duration::from_secs(30)))?;
            stream.set_nodelay(true)?;
            self.kept[node] = Some(BufReader::new(stream));
        }
        let credential = if signed { format!("Authorization: Bearer {}\r\n", self.access) } else { String::new() };
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let about = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{credential}{about}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let stream = self.kept[node].as_mut().expect("connected above");
        stream.get_mut().write_all(request.as_bytes())?;
        if std::io::BufRead::fill_buf(stream)?.is_empty() {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        let answer = read_answer(stream).inspect_err(|_| self.tally.lock().unwrap().broken += 1)?;
        if answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            self.kept[node] = None;
        }
        Ok(answer)
    }

    /// Mixed requests until told to stop: reads, writes, and a refresh now and then.
    fn work(&mut self, stop: &AtomicBool) {
        const RECORDS: &str = "/api/v1/collections/posts/records";
        for n in 0_u32.. {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            match n % 5 {
                0 => drop(self.call("POST", RECORDS, true, &json!({"data": {"n": n}}))),
                1 => {
                    let answer =
                        self.call("POST", "/api/v1/auth/refresh", false, &json!({"refresh_token": self.refresh}));
                    if answer.status == 200 {
                        let pair = answer.json();
                        (self.access, self.refresh) = (text(&pair["access_token"]), text(&pair["refresh_token"]));
                    }
                }
                2 => drop(self.call("GET", RECORDS, true, &Value::Null)),
                _ => drop(self.call("GET", "/api/v1/auth/me", true, &Value::Null)),
            }
        }
    }
}

fn node(database: &str) -> Server {
    Server::new(&[
        ("DATABASE_URL", database),
        ("BASE_URL", "http://cms.example.test"),
        ("RATE_LIMIT_ENABLED", "false"),
        ("LOG_LEVEL", "ERROR"),
    ])
}

fn restart(server: &mut Server, keys: &[(&str, &str)]) {
    assert!(server.terminate().0.success(), "{}", server.log());
    server.set(keys).start();
    // So that the load meets this state too.
    std::thread::sleep(Duration::from_millis(700));
}

/// Runs `rotate` on two nodes while clients work on both, and tells what they were answered.
fn under_load(database: &str, settings: &[(&str, &str)], rotate: impl FnOnce(&mut [Server; 2])) -> Tally {
    let mut nodes = [node(database), node(database)];
    for node in &mut nodes {
        node.set(settings);
    }
    nodes[0].start();
    let admin = nodes[0].set_up();
    nodes[1].start();
    let posts = json!({
        "name": "posts", "schema": [{"name": "n", "type": "number"}],
        "list_rule": "@request.auth.id != ''", "view_rule": "@request.auth.id != ''", "create_rule": "@request.auth.id != ''",
    });
    assert_eq!(nodes[0].call("POST", "/api/v1/collections", Some(&admin), Some(&posts)).status, 201);
    let pairs: Vec<Value> = (0..CLIENTS)
        .map(|n| {
            let who = json!({"email": format!("u{n}@example.com"), "password": PASSWORD, "password_confirm": PASSWORD});
            let answer = nodes[n % 2].call("POST", "/api/v1/auth/register", None, Some(&who));
            assert_eq!(answer.status, 201, "{answer:?}");
            answer.json()["token"].clone()
        })
        .collect();
    let (tally, stop) = (Mutex::new(Tally::default()), AtomicBool::new(false));
    let ports = [nodes[0].port, nodes[1].port];
    std::thread::scope(|scope| {
        for (n, pair) in pairs.iter().enumerate() {
            let (tally, stop) = (&tally, &stop);
            let (access, refresh) = (text(&pair["access_token"]), text(&pair["refresh_token"]));
            scope.spawn(move || Client { ports, kept: [None, None], turn: n, access, refresh, tally }.work(stop));
        }
        let rotated = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            std::thread::sleep(Duration::from_millis(500));
            rotate(&mut nodes);
            let slow = Instant::now() + Duration::from_mins(1);
            while answered(&tally.lock().unwrap()) < ENOUGH && Instant::now() < slow {
                std::thread::sleep(Duration::from_millis(20));
            }
        }));
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = rotated {
            std::panic::resume_unwind(panic);
        }
    });
    tally.into_inner().unwrap()
}

fn answered(tally: &Tally) -> usize {
    tally.answers.values().sum()
}

fn faults(tally: &Tally) -> usize {
    tally.answers.iter().filter(|((status, _), _)| *status >= 400).map(|(_, count)| count).sum()
}

/// R11, design note 2.1: NEXT, promoted, PREVIOUS.
#[test]
fn a_rolling_rotation_by_next_refuses_nobody() {
    run_blocking(Engine::Postgres, |database| {
        let tally = under_load(database, &[], |nodes| {
            for node in nodes.iter_mut() {
                restart(node, &[("SECRET_KEY_NEXT", KEY_B)]);
            }
            for node in nodes.iter_mut() {
                restart(node, &[("SECRET_KEY", KEY_B), ("SECRET_KEY_PREVIOUS", SECRET), ("SECRET_KEY_NEXT", "")]);
            }
            assert_eq!(signing_kid(&nodes[1]), forge::kid(KEY_B));
        });
        assert!(answered(&tally) >= ENOUGH, "too little load to prove anything: {tally:?}");
        assert!(tally.answers.keys().any(|(_, path)| path.ends_with("refresh")), "{tally:?}");
        assert_eq!((faults(&tally), tally.broken), (0, 0), "{tally:?}");
    });
}

/// The key that a node signs with at this moment.
fn signing_kid(node: &Server) -> String {
    let body = json!({"email": "u0@example.com", "password": PASSWORD});
    let answer = node.call("POST", "/api/v1/auth/login", None, Some(&body)).json();
    text(&forge::read(answer["token"]["access_token"].as_str().unwrap()).0["kid"])
}

/// R11: no restart. Each node verifies with a new key as soon as it sees it, and signs with it when every other has seen it too.
#[test]
fn a_key_that_changes_in_a_file_refuses_nobody() {
    run_blocking(Engine::Postgres, |database| {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, SECRET).unwrap();
        let settings =
            [("SECRET_KEY", ""), ("SECRET_KEY_FILE", file.to_str().unwrap()), ("SECRETS_REFRESH_SECONDS", "2")];
        let tally = under_load(database, &settings, |nodes| {
            // As a new version is put in place by who knows that somebody reads: whole.
            std::fs::write(folder.path().join("new"), KEY_B).unwrap();
            std::fs::rename(folder.path().join("new"), &file).unwrap();
            let changed = Instant::now();
            for node in nodes.iter() {
                while signing_kid(node) != forge::kid(KEY_B) {
                    // Three looks; and as long again for a machine that is busy with others.
                    assert!(changed.elapsed() < Duration::from_secs(12), "not taken up: {}", node.log());
                    std::thread::sleep(Duration::from_millis(200));
                }
            }
            std::thread::sleep(Duration::from_millis(700));
        });
        assert!(answered(&tally) >= ENOUGH, "too little load to prove anything: {tally:?}");
        assert_eq!((faults(&tally), tally.broken), (0, 0), "{tally:?}");
    });
}

/// What NEXT is for: without it the second node meets tokens of a key that it does not know.
#[test]
fn a_rolling_rotation_without_next_refuses_people() {
    run_blocking(Engine::Postgres, |database| {
        let tally = under_load(database, &[], |nodes| {
            for node in nodes.iter_mut() {
                restart(node, &[("SECRET_KEY", KEY_B), ("SECRET_KEY_PREVIOUS", SECRET)]);
            }
        });
        let refused: usize =
            tally.answers.iter().filter(|((status, _), _)| *status == 401).map(|(_, count)| count).sum();
        assert!(refused > 0, "{tally:?}");
    });
}
