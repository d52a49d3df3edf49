//! What must hold after every fault: what was answered is there, what was not is there as a whole or not at all, and what the server
//! counts is what it holds.

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use crate::client::{Answer, Client};
use crate::journal::{Journal, State};
use crate::load::{GROUP, RECORDS};
use crate::random::Random;
use crate::server::Server;

/// Older records looked at after each fault, beside all that were touched.
const SAMPLE: usize = 50;

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// What was touched since the last look, and a sample of the rest.
    Recent,
    /// Everything.
    All,
}

/// Looks at a running server; every broken promise is a line.
pub fn check(
    server: &Server,
    token: &str,
    counter: &str,
    journal: &mut Journal,
    depth: Depth,
    random: &mut Random,
) -> Vec<String> {
    let mut client = Client::new(server.port, Some(token));
    let mut broken = std::mem::take(&mut journal.surprises);
    check_records(&mut client, journal, depth, random, &mut broken);
    check_groups(&mut client, journal, &mut broken);
    check_counter(&mut client, counter, journal, &mut broken);
    broken
}

fn check_records(
    client: &mut Client,
    journal: &mut Journal,
    depth: Depth,
    random: &mut Random,
    broken: &mut Vec<String>,
) {
    let mut ids = std::mem::take(&mut journal.touched);
    match depth {
        Depth::All => ids = journal.records.keys().cloned().collect(),
        Depth::Recent if !journal.records.is_empty() => {
            let known = u64::try_from(journal.records.len()).unwrap_or(u64::MAX);
            let from = usize::try_from(random.below(known)).unwrap_or(0);
            ids.extend(journal.records.keys().skip(from).take(SAMPLE).cloned());
        }
        Depth::Recent => {}
    }
    for id in ids {
        let Some(entry) = journal.records.get_mut(&id) else { continue };
        match state(client, &id) {
            Ok(seen) if entry.allows(seen) => {
                entry.answered = seen;
                entry.open.clear();
            }
            Ok(seen) => broken.push(format!("record {id} is {seen:?} and should be {entry:?}")),
            Err(reason) => broken.push(reason),
        }
    }
    journal.records.retain(|_, entry| entry.answered.is_some());
}

fn state(client: &mut Client, id: &str) -> Result<State, String> {
    let path = format!("{RECORDS}/{id}");
    match client.call("GET", &path, None) {
        Ok(Answer { status: 200, body }) => {
            body["data"]["n"].as_f64().map(whole).map(Some).ok_or_else(|| format!("record {id} has no number: {body}"))
        }
        Ok(Answer { status: 404, .. }) => Ok(None),
        other => Err(format!("GET {path}: {other:?}")),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the harness writes small whole numbers only")]
fn whole(number: f64) -> i64 {
    number as i64
}

fn check_groups(client: &mut Client, journal: &mut Journal, broken: &mut Vec<String>) {
    for (tag, answered) in std::mem::take(&mut journal.groups) {
        match total(client, &format!("{RECORDS}?per_page=1&filter=tag%20%3D%20%22{tag}%22")) {
            Ok(GROUP) => {}
            Ok(0) if !answered => {}
            Ok(found) => broken.push(format!("{found} of {GROUP} of `{tag}` are there; answered: {answered}")),
            Err(reason) => broken.push(reason),
        }
    }
}

fn check_counter(client: &mut Client, counter: &str, journal: &mut Journal, broken: &mut Vec<String>) {
    let most = journal.increments + journal.open_increments;
    let seen = state(client, counter).and_then(|state| {
        state.and_then(|number| u64::try_from(number).ok()).ok_or_else(|| "the counter is gone".to_owned())
    });
    match seen {
        Ok(seen) if (journal.increments..=most).contains(&seen) => {
            (journal.increments, journal.open_increments) = (seen, 0);
        }
        Ok(seen) => {
            broken.push(format!("the counter is {seen} and should be {}..={most}", journal.increments));
            // Told once is enough.
            (journal.increments, journal.open_increments) = (seen, 0);
        }
        Err(reason) => broken.push(reason),
    }
}

fn total(client: &mut Client, path: &str) -> Result<u64, String> {
    match client.call("GET", path, None) {
        Ok(Answer { status: 200, body }) => {
            body["total"].as_u64().ok_or_else(|| format!("GET {path}: no total: {body}"))
        }
        other => Err(format!("GET {path}: {other:?}")),
    }
}

/// Looks at the database file of a server that does not run, without the server's help, and compares its rows with what the server counts.
/// To be called between the end of one process and the start of the next.
pub fn check_file(server: &Server, depth: Depth) -> Vec<String> {
    let look = || -> rusqlite::Result<Vec<String>> {
        // For writing: whoever opens a database after a crash has to play back its log.
        let database = Connection::open_with_flags(server.database(), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let pragma = if depth == Depth::All { "PRAGMA integrity_check" } else { "PRAGMA quick_check" };
        let verdict: String = database.query_row(pragma, [], |row| row.get(0))?;
        Ok(if verdict == "ok" { Vec::new() } else { vec![format!("{pragma}: {verdict}")] })
    };
    look().unwrap_or_else(|error| vec![format!("the database file cannot be read: {error}")])
}

/// Compares the total that the server keeps with the rows there are.
pub fn check_total(server: &Server, token: &str) -> Vec<String> {
    let look = || -> Result<Vec<String>, String> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let database = Connection::open_with_flags(server.database(), flags).map_err(|error| error.to_string())?;
        let tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'c\\_t%' ESCAPE '\\'";
        let table: String = database.query_row(tables, [], |row| row.get(0)).map_err(|error| error.to_string())?;
        let rows: i64 = database
            .query_row(&format!("SELECT count(*) FROM \"{table}\""), [], |row| row.get(0))
            .map_err(|error| error.to_string())?;
        let total = total(&mut Client::new(server.port, Some(token)), &format!("{RECORDS}?per_page=1"))?;
        Ok(if u64::try_from(rows) == Ok(total) {
            Vec::new()
        } else {
            vec![format!("the server counts {total} records of {rows}")]
        })
    };
    look().unwrap_or_else(|reason| vec![reason])
}

/// The text of a number in a body.
pub fn id_of(body: &Value) -> Option<String> {
    body["id"].as_str().map(str::to_owned)
}
