//! The ways in which a round may go wrong.

use std::time::Duration;

use crate::client::{Answer, Client};
use crate::disk::{self, Shim};
use crate::load::RECORDS;
use crate::round::Round;
use crate::server::until;

/// How soon a server has to be well again once the fault is over.
const RECOVERY: Duration = Duration::from_secs(20);
/// An answer slower than this while the disk or the database is unwell is none.
const STALL: Duration = Duration::from_secs(10);

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    Kill,
    Term,
    FullDisk,
    ReadOnlyDisk,
    SlowDisk,
    PostgresDown,
}

impl Fault {
    pub const ALL: [Self; 6] =
        [Self::Kill, Self::Term, Self::FullDisk, Self::ReadOnlyDisk, Self::SlowDisk, Self::PostgresDown];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Term => "term",
            Self::FullDisk => "full-disk",
            Self::ReadOnlyDisk => "read-only-disk",
            Self::SlowDisk => "slow-disk",
            Self::PostgresDown => "postgres-down",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.name() == name)
    }

    /// Whether there is such a fault where the data lie on `PostgreSQL`, or in a file.
    pub const fn concerns(self, on_postgres: bool) -> bool {
        match self {
            Self::Kill | Self::Term => true,
            Self::FullDisk | Self::ReadOnlyDisk | Self::SlowDisk => !on_postgres,
            Self::PostgresDown => on_postgres,
        }
    }

    /// Lets it happen under load; what was found wrong.
    pub fn happen(self, round: &mut Round<'_>) -> Vec<String> {
        match self {
            Self::Kill => kill(round),
            Self::Term => term(round),
            Self::FullDisk => full_disk(round),
            Self::ReadOnlyDisk => read_only_disk(round),
            Self::SlowDisk => slow_disk(round),
            Self::PostgresDown => postgres_down(round),
        }
    }
}

fn kill(round: &mut Round<'_>) -> Vec<String> {
    let pause = Duration::from_millis(10 + round.random.below(290));
    let broken = round.load(100, false, |server| {
        std::thread::sleep(pause);
        server.signal("KILL").err().map(|error| error.to_string()).into_iter().collect()
    });
    // It is dead, or dying: either way it is waited for.
    round.server.kill();
    broken
}

fn term(round: &mut Round<'_>) -> Vec<String> {
    let pause = Duration::from_millis(10 + round.random.below(290));
    let mut broken = round.load(100, false, |server| {
        std::thread::sleep(pause);
        server.signal("TERM").err().map(|error| error.to_string()).into_iter().collect()
    });
    match round.server.wait() {
        Ok(Some(status)) if !status.success() => broken.push(format!("asked to end, the server ended with {status}")),
        Err(error) => broken.push(error.to_string()),
        Ok(_) => {}
    }
    broken
}

/// Health and a read, while something else is unwell.
fn still_reads(port: u16, token: &str, counter: &str) -> Vec<String> {
    let mut client = Client::new(port, Some(token)).with_patience(STALL);
    let paths = ["/health".to_owned(), format!("{RECORDS}/{counter}")];
    let answers = paths.iter().filter_map(|path| match client.call("GET", path, None) {
        Ok(Answer { status: 200, .. }) => None,
        other => Some(format!("GET {path} while the disk is unwell: {other:?}")),
    });
    answers.collect()
}

fn full_disk(round: &mut Round<'_>) -> Vec<String> {
    let folder = round.folder.clone();
    let (token, counter) = (round.token.clone(), round.counter.clone());
    let before = round.journal.refused;
    let mut broken = round.load(4_000, true, |server| {
        let mut broken = Vec::new();
        if let Err(error) = disk::fill(&folder) {
            return vec![format!("the disk cannot be filled: {error}")];
        }
        std::thread::sleep(Duration::from_secs(2));
        broken.extend(still_reads(server.port, &token, &counter));
        broken.extend(disk::free(&folder).err().map(|error| error.to_string()));
        broken
    });
    if round.journal.refused == before {
        broken.push("the disk was full and no write was refused".to_owned());
    }
    broken.extend(well_again(round));
    broken.extend(said(round, "full"));
    broken.extend(kill(round));
    broken
}

fn read_only_disk(round: &mut Round<'_>) -> Vec<String> {
    let (token, counter) = (round.token.clone(), round.counter.clone());
    let (shim, before) = (round.shim.clone(), round.journal.refused);
    let mut broken = round.load(100, true, |server| {
        let mut broken = change(shim.as_ref(), |shim| shim.set("read-only", "1"));
        std::thread::sleep(Duration::from_secs(1));
        broken.extend(still_reads(server.port, &token, &counter));
        broken.extend(change(shim.as_ref(), |shim| shim.clear("read-only")));
        broken
    });
    if round.journal.refused == before {
        broken.push("the disk was read-only and no write was refused".to_owned());
    }
    broken.extend(well_again(round));
    broken.extend(kill(round));
    broken
}

fn slow_disk(round: &mut Round<'_>) -> Vec<String> {
    let (token, counter) = (round.token.clone(), round.counter.clone());
    let shim = round.shim.clone();
    let broken = round.load(100, false, |server| {
        let mut broken = change(shim.as_ref(), |shim| shim.set("slow", "300"));
        std::thread::sleep(Duration::from_secs(2));
        broken.extend(still_reads(server.port, &token, &counter));
        broken.extend(server.signal("KILL").err().map(|error| error.to_string()));
        broken.extend(change(shim.as_ref(), |shim| shim.clear("slow")));
        broken
    });
    round.server.kill();
    broken
}

fn change(shim: Option<&Shim>, change: impl FnOnce(&Shim) -> std::io::Result<()>) -> Vec<String> {
    match shim {
        Some(shim) => change(shim).err().map(|error| error.to_string()).into_iter().collect(),
        None => vec!["there is no shim of the disk".to_owned()],
    }
}

fn postgres_down(round: &mut Round<'_>) -> Vec<String> {
    let Some(cluster) = round.cluster else { return vec!["there is no PostgreSQL of our own".to_owned()] };
    let away = Duration::from_millis(200 + round.random.below(1_800));
    let mut broken = round.load(100, true, |server| {
        let mut broken: Vec<_> = cluster.crash().err().map(|error| error.to_string()).into_iter().collect();
        std::thread::sleep(away);
        let health = Client::new(server.port, None).with_patience(STALL).call("GET", "/health", None);
        if !health.as_ref().is_ok_and(|answer| answer.status == 200) {
            broken.push(format!("GET /health while PostgreSQL is away: {health:?}"));
        }
        broken.extend(cluster.restart().err().map(|error| error.to_string()));
        std::thread::sleep(Duration::from_millis(500));
        broken
    });
    broken.extend(well_again(round));
    broken
}

/// The same process takes writes again.
fn well_again(round: &mut Round<'_>) -> Vec<String> {
    if !round.server.is_running() {
        return vec!["the server has ended".to_owned()];
    }
    let mut client = Client::new(round.server.port, Some(&round.token)).with_patience(STALL);
    let path = format!("{RECORDS}/{}", round.counter);
    let body = serde_json::json!({"data": {"text": ""}});
    until(&mut client, RECOVERY, ("PATCH", &path), Some(&body), 200).err().into_iter().collect()
}

/// The log speaks of it.
fn said(round: &Round<'_>, word: &str) -> Vec<String> {
    if round.server.log().contains(word) { Vec::new() } else { vec![format!("no line of the log says `{word}`")] }
}
