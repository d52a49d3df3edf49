//! One engine's server through all its rounds: load, fault, a fresh start where the process ended, and a look at what is left.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use xtask::postgres::Cluster;

use crate::client::Client;
use crate::disk::{Shim, SmallDisk};
use crate::fault::Fault;
use crate::invariants::{self, Depth};
use crate::journal::Journal;
use crate::load::{Load, RECORDS};
use crate::random::Random;
use crate::server::Server;

/// Rounds between two looks at everything.
const THOROUGH: u64 = 50;

/// A server under test, and all that was asked of it.
pub struct Round<'c> {
    pub server: Server,
    pub folder: PathBuf,
    pub token: String,
    pub counter: String,
    pub journal: Journal,
    pub random: Random,
    pub cluster: Option<&'c Cluster>,
    pub shim: Option<Shim>,
    /// Slowest start after a fault.
    pub slowest_start: Duration,
    number: u64,
    _small_disk: Option<SmallDisk>,
    _home: TempDir,
}

impl<'c> Round<'c> {
    /// Sets a new server up. Its disk is a small one where it is to fill up.
    pub fn new(binary: &Path, cluster: Option<&'c Cluster>, faults: &[Fault], random: Random) -> Result<Self, String> {
        let text = |error: std::io::Error| error.to_string();
        let home = TempDir::new().map_err(text)?;
        let folder = home.path().join("server");
        let small_disk =
            if faults.contains(&Fault::FullDisk) { Some(SmallDisk::mount(&folder).map_err(text)?) } else { None };
        std::fs::create_dir_all(&folder).map_err(text)?;
        let mut server = Server::new(binary, &folder, cluster.map(Cluster::url)).map_err(text)?;
        let needs_shim = faults.iter().any(|fault| matches!(fault, Fault::ReadOnlyDisk | Fault::SlowDisk));
        let shim = if needs_shim { Some(Shim::build(home.path()).map_err(text)?) } else { None };
        if let Some(shim) = &shim {
            server.set("LD_PRELOAD", &shim.library.to_string_lossy());
            server.set("CRASH_DISK", &shim.control.to_string_lossy());
        }
        server.set_up()?;
        server.start()?;
        let token = server.sign_in()?;
        let counter = make_collection(&server, &token)?;
        Ok(Self {
            server,
            folder,
            token,
            counter,
            journal: Journal::default(),
            random,
            cluster,
            shim,
            slowest_start: Duration::ZERO,
            number: 0,
            _small_disk: small_disk,
            _home: home,
        })
    }

    /// One round with one fault; every broken promise is a line.
    pub fn play(&mut self, fault: Fault) -> Vec<String> {
        self.number += 1;
        let depth = if self.number.is_multiple_of(THOROUGH) { Depth::All } else { Depth::Recent };
        let mut broken = fault.happen(self);
        broken.extend(self.look(depth));
        if depth == Depth::All {
            broken.extend(self.start_over().err());
        }
        broken
    }

    /// Empties the collection, so that a long run does not measure how much fits on a disk.
    fn start_over(&mut self) -> Result<(), String> {
        let mut client = Client::new(self.server.port, Some(&self.token));
        let path = "/api/v1/collections/name/things/truncate";
        let emptied = client.call("DELETE", path, None).map_err(|error| error.to_string())?;
        if emptied.status != 200 {
            return Err(format!("the collection was not emptied: {}", emptied.body));
        }
        self.counter = make_counter(&mut client)?;
        self.journal.start_over();
        Ok(())
    }

    /// Looks at everything once more.
    pub fn conclude(&mut self) -> Vec<String> {
        self.server.kill();
        self.look(Depth::All)
    }

    fn look(&mut self, depth: Depth) -> Vec<String> {
        let mut broken = Vec::new();
        if !self.server.is_running() {
            self.server.kill();
            if self.cluster.is_none() {
                broken.extend(invariants::check_file(&self.server, depth));
            }
            match self.server.start() {
                Ok(took) => self.slowest_start = self.slowest_start.max(took),
                Err(reason) => {
                    broken.push(reason);
                    return broken;
                }
            }
            // The token of before may have run out meanwhile.
            match self.server.sign_in() {
                Ok(token) => self.token = token,
                Err(reason) => broken.push(reason),
            }
        }
        let (token, counter) = (&self.token, &self.counter);
        broken.extend(invariants::check(&self.server, token, counter, &mut self.journal, depth, &mut self.random));
        if self.cluster.is_none() {
            broken.extend(invariants::check_total(&self.server, token));
        }
        broken
    }

    /// Runs the load while `meanwhile` lets something happen; what that found wrong.
    pub fn load(&mut self, size: usize, goes_on: bool, meanwhile: impl FnOnce(&Server) -> Vec<String>) -> Vec<String> {
        let stop = AtomicBool::new(false);
        let load = Load {
            port: self.server.port,
            token: &self.token,
            counter: &self.counter,
            // A round may put more than one load on the server.
            round: self.random.below(u64::MAX),
            size,
            stop: &stop,
            is_remote: self.cluster.is_some(),
            goes_on,
        };
        let server = &self.server;
        let (noted, broken) = load.run(&mut self.random, || {
            std::thread::sleep(Duration::from_millis(30));
            meanwhile(server)
        });
        self.journal.absorb(noted);
        broken
    }
}

fn make_collection(server: &Server, token: &str) -> Result<String, String> {
    let mut client = Client::new(server.port, Some(token));
    let collection = json!({
        "name": "things",
        "schema": [{"name": "tag", "type": "text"}, {"name": "n", "type": "number"}, {"name": "text", "type": "text"}],
    });
    let made = client.call("POST", "/api/v1/collections", Some(&collection)).map_err(|error| error.to_string())?;
    if made.status != 201 {
        return Err(format!("the collection was not made: {}", made.body));
    }
    let path = format!("/api/v1/collections/{}/indexes", made.body["id"].as_str().unwrap_or_default());
    let index = json!({"name": "by_tag", "fields": [{"name": "tag"}]});
    let indexed = client.call("POST", &path, Some(&index)).map_err(|error| error.to_string())?;
    if indexed.status != 201 {
        return Err(format!("the index was not made: {}", indexed.body));
    }
    make_counter(&mut client)
}

fn make_counter(client: &mut Client) -> Result<String, String> {
    let counter = json!({"data": {"tag": "counter", "n": 0, "text": ""}});
    let made = client.call("POST", RECORDS, Some(&counter)).map_err(|error| error.to_string())?;
    invariants::id_of(&made.body).ok_or_else(|| format!("the counter was not made: {}", made.body))
}
