//! Writers that do a bit of everything at once, and note what they were answered.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::journal::{Entry, Journal, State};
use crate::random::Random;

/// Writers at once.
pub const WRITERS: u64 = 16;
/// Records made by one request of the kind that makes several.
pub const GROUP: u64 = 5;

pub const RECORDS: &str = "/api/v1/collections/things/records";

/// Where the load goes, and how long it lasts.
pub struct Load<'l> {
    pub port: u16,
    pub token: &'l str,
    /// The one record that all writers count in.
    pub counter: &'l str,
    /// Distinguishes what different rounds make.
    pub round: u64,
    /// Characters of text in each record.
    pub size: usize,
    pub stop: &'l AtomicBool,
    /// Whether the database is a server of its own.
    pub is_remote: bool,
    /// Whether writers go on after a connection that broke or a refusal.
    pub goes_on: bool,
}

impl Load<'_> {
    /// Runs all writers while `meanwhile` decides when they stop; what they noted.
    pub fn run<T>(&self, random: &mut Random, meanwhile: impl FnOnce() -> T) -> (Journal, T) {
        let journal = Mutex::new(Journal::default());
        let outcome = std::thread::scope(|scope| {
            for number in 0..WRITERS {
                let (journal, random) = (&journal, random.fork());
                scope.spawn(move || {
                    let noted = Writer::new(self, number, random).run();
                    journal.lock().expect("a writer does not panic while it holds this").absorb(noted);
                });
            }
            let outcome = meanwhile();
            self.stop.store(true, Ordering::Relaxed);
            outcome
        });
        (journal.into_inner().expect("a writer does not panic while it holds this"), outcome)
    }
}

struct Writer<'w> {
    load: &'w Load<'w>,
    name: String,
    client: Client,
    random: Random,
    own: Vec<String>,
    journal: Journal,
}

impl<'w> Writer<'w> {
    fn new(load: &'w Load<'w>, number: u64, random: Random) -> Self {
        Self {
            load,
            name: format!("{}-{number}", load.round),
            client: Client::new(load.port, Some(load.token)),
            random,
            own: Vec::new(),
            journal: Journal::default(),
        }
    }

    fn run(mut self) -> Journal {
        for step in 0_u64.. {
            if self.load.stop.load(Ordering::Relaxed) {
                break;
            }
            let goes_on = match self.random.below(10) {
                0..4 => self.create(step),
                4..6 => self.update(),
                6 => self.delete(),
                7 => self.group(step),
                _ => self.count(),
            };
            if !goes_on && !self.load.goes_on {
                break;
            }
        }
        self.journal.touched = self.journal.records.keys().cloned().collect();
        self.journal
    }

    fn text(&self) -> String {
        "x".repeat(self.load.size)
    }

    fn create(&mut self, step: u64) -> bool {
        let value = i64::try_from(step).unwrap_or(i64::MAX);
        let body = json!({"data": {"tag": format!("{}-{step}", self.name), "n": value, "text": self.text()}});
        let sent = self.client.call("POST", RECORDS, Some(&body));
        let outcome = self.note(&sent, 201);
        if let (Outcome::Done, Ok(answer)) = (&outcome, &sent)
            && let Some(id) = answer.body["id"].as_str()
        {
            self.journal.records.insert(id.to_owned(), Entry { answered: Some(value), open: Vec::new() });
            self.own.push(id.to_owned());
        }
        outcome.is_an_answer()
    }

    fn update(&mut self) -> bool {
        let Some(id) = self.pick() else { return true };
        let value = i64::try_from(self.random.below(1_000_000)).unwrap_or(0);
        let sent = self.client.call("PATCH", &format!("{RECORDS}/{id}"), Some(&json!({"data": {"n": value}})));
        let outcome = self.note(&sent, 200);
        self.settle(&id, Some(value), &outcome);
        outcome.is_an_answer()
    }

    fn delete(&mut self) -> bool {
        let Some(id) = self.pick() else { return true };
        let sent = self.client.call("DELETE", &format!("{RECORDS}/{id}"), None);
        let outcome = self.note(&sent, 204);
        self.settle(&id, None, &outcome);
        // Whatever came of it, this writer leaves the record alone from here on.
        self.own.retain(|own| *own != id);
        outcome.is_an_answer()
    }

    fn group(&mut self, step: u64) -> bool {
        let tag = format!("group-{}-{step}", self.name);
        let records: Vec<Value> = (0..GROUP).map(|n| json!({"tag": tag, "n": n, "text": ""})).collect();
        let sent = self.client.call("POST", &format!("{RECORDS}/batch"), Some(&json!({"records": records})));
        let outcome = self.note(&sent, 201);
        if let (Outcome::Done, Ok(answer)) = (&outcome, &sent)
            && answer.body["created"] != json!(GROUP)
        {
            self.journal.surprises.push(format!("a group was made in part: {}", answer.body));
        }
        if !matches!(outcome, Outcome::Refused) {
            self.journal.groups.insert(tag, matches!(outcome, Outcome::Done));
        }
        outcome.is_an_answer()
    }

    fn count(&mut self) -> bool {
        let path = format!("{RECORDS}/{}", self.load.counter);
        let sent = self.client.call("PATCH", &path, Some(&json!({"data": {"n+": 1}})));
        let outcome = self.note(&sent, 200);
        match outcome {
            Outcome::Done => self.journal.increments += 1,
            Outcome::Open => self.journal.open_increments += 1,
            Outcome::Refused => {}
        }
        outcome.is_an_answer()
    }

    fn pick(&mut self) -> Option<String> {
        let bound = u64::try_from(self.own.len()).ok().filter(|length| *length > 0)?;
        let at = usize::try_from(self.random.below(bound)).ok()?;
        self.own.get(at).cloned()
    }

    fn settle(&mut self, id: &str, state: State, outcome: &Outcome) {
        let Some(entry) = self.journal.records.get_mut(id) else { return };
        match outcome {
            // What was open before stays so: a request whose connection broke may still be on its way to the database.
            Outcome::Done => *entry = Entry { answered: state, open: std::mem::take(&mut entry.open) },
            Outcome::Open => entry.open.push(state),
            Outcome::Refused => {}
        }
    }

    fn note(&mut self, sent: &io::Result<Answer>, wanted: u16) -> Outcome {
        match sent {
            Ok(answer) if answer.status == wanted => {
                self.journal.answered += 1;
                Outcome::Done
            }
            Ok(answer) if answer.status == 503 => {
                self.journal.refused += 1;
                // A write that ran out of time may have been carried out all the same. So may one whose database went away: nobody
                // can tell whether the commit it was about to confirm had happened.
                let is_open =
                    answer.body["error"] == "timeout" || (self.load.is_remote && answer.body["error"] == "unavailable");
                if is_open { Outcome::Open } else { Outcome::Refused }
            }
            // Each writer asks for records of its own only, which are there; so this is odd.
            Ok(answer) => {
                self.journal.surprises.push(format!("{} {}", answer.status, answer.body));
                Outcome::Open
            }
            Err(_) => {
                self.journal.broken += 1;
                Outcome::Open
            }
        }
    }
}

enum Outcome {
    Done,
    Refused,
    Open,
}

impl Outcome {
    fn is_an_answer(&self) -> bool {
        matches!(self, Self::Done)
    }
}
