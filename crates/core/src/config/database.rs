//! Where collections and records are kept.

use std::path::PathBuf;

use fastcms_secrets::Secret;
use fastcms_store::DatabaseUrl;

use super::catalog;
use super::reader::Reader;
use super::source::{Lookup, Sources};

/// Where collections and records are kept.
#[derive(Debug, Clone)]
pub struct Database {
    /// The address, well-formed, the path of a file already resolved; it may carry a password.
    pub url: Secret<String>,
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
    /// Reads the address anew; `None` where it is faulty.
    pub fn reread(sources: &Sources) -> Option<Self> {
        let mut read = Reader::new(sources, Lookup::collect(sources));
        let database = Self::read(&mut read);
        let (_, faults, _) = read.finish();
        faults.iter().all(|fault| !fault.variable.starts_with(catalog::DATABASE_URL.name)).then_some(database)
    }

    pub(super) fn read(read: &mut Reader<'_>) -> Self {
        let url = read.parsed(&catalog::DATABASE_URL, |text| {
            DatabaseUrl::parse(text).map(|url| (url, Secret::new(text.to_owned()))).map_err(|error| error.to_string())
        });
        let (url, text) = url.expect("the default is well-formed");
        match url.path() {
            Some(path) => {
                let path = read.directory().join(path);
                Self { url: Secret::new(format!("sqlite:///{}", path.display())), engine: Engine::Sqlite { path } }
            }
            None => Self { url: text, engine: Engine::Postgres },
        }
    }
}
