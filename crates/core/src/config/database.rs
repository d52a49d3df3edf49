//! Where collections and records are kept.

use std::path::PathBuf;

use fastcms_store::{DatabaseUrl, TlsMode};

use super::catalog;
use super::reader::Reader;
use super::server::{Environment, environment, is_loopback};
use super::source::Sources;

/// Where collections and records are kept.
#[derive(Debug, Clone)]
pub struct Database {
    /// The address, the path of a file already resolved.
    pub url: DatabaseUrl,
    /// The engine behind it.
    pub engine: Engine,
}

/// A database engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Engine {
    /// One file.
    Sqlite {
        /// The file, relative paths already resolved.
        path: PathBuf,
    },
    /// A `PostgreSQL` server.
    Postgres,
}

impl Database {
    /// Reads the address anew; `None` where it is faulty, or may stand in a source that could not be read.
    pub fn reread(sources: &Sources) -> Option<Self> {
        let mut read = Reader::new(sources);
        let environment = environment(&mut read);
        let database = Self::read(&mut read, environment);
        let is_whole = read.is_whole();
        let (_, faults, _) = read.finish();
        (is_whole && faults.iter().all(|fault| !fault.variable.starts_with(catalog::DATABASE_URL.name)))
            .then_some(database)
    }

    pub(super) fn read(read: &mut Reader<'_>, environment: Environment) -> Self {
        let url =
            read.parsed(&catalog::DATABASE_URL, |text| DatabaseUrl::parse(text).map_err(|error| error.to_string()));
        let mut url = url.expect("the default is well-formed");
        if let Some(path) = url.path() {
            // Never by way of a text: a folder's name may be none, or hold what means something in an address.
            let path = read.directory().join(path);
            return Self { url: DatabaseUrl::sqlite(&path), engine: Engine::Sqlite { path } };
        }
        if environment == Environment::Production && url.host().is_some_and(leaves_this_machine) {
            url = url.with_default_tls(TlsMode::VerifyFull);
        }
        Self { url, engine: Engine::Postgres }
    }

    /// How the way to a server on another machine is protected; `None` where there is no such way.
    pub(super) fn way_out(&self) -> Option<TlsMode> {
        self.url.host().filter(|host| leaves_this_machine(host)).and_then(|_| self.url.tls_mode())
    }
}

/// Whether this is neither a loopback address nor the folder of a socket.
fn leaves_this_machine(host: &str) -> bool {
    !host.starts_with(['/', '@']) && !is_loopback(host)
}
