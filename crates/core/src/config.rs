//! The configuration of the product: every variable it reads, parsed once into checked types.
//!
//! [`catalog`] is the one table of variables; parsing, the printout of effective values, the settings reference, `.env.example`
//! and the warnings about misspelt names all derive from it. Each concern has its own file with a plain struct; a value gets into
//! that struct through a [`catalog::Variable`] only. Rules that span several values stand in `rules`.
//!
//! This module does not know what the values are used for, opens no connection and touches no global but in
//! [`Sources::from_process`].

mod age;
mod audit;
pub mod catalog;
mod cors;
mod database;
mod fault;
mod keys;
mod kind;
mod limits;
mod logging;
mod mail;
mod managers;
mod network;
mod oauth;
mod pages;
mod passwords;
mod reader;
mod redis;
mod references;
mod rules;
mod server;
mod source;
mod storage;
mod tokens;
mod typos;

pub use audit::Audit;
pub use catalog::{Concern, Preset, Secrecy, Variable};
pub use cors::{Cors, Origins, WebOrigin};
pub use database::{Database, Engine};
pub use fault::{Fault, Faults, Warning};
pub use keys::{Keys, SealedData};
pub use kind::{Choice, Kind};
pub use limits::{LimitHeaders, Limits, RateLimits};
pub use logging::{LogFormat, LogLevel, Logging};
pub use mail::Mail;
pub use managers::Secrets;
pub use network::{ClientIpHeader, Proxies};
pub use oauth::{OAuth, OAuthClient};
pub use pages::{env_example, reference_markdown};
pub use passwords::{Lockout, Passwords, RequireMfa};
pub use reader::Effective;
pub(crate) use reader::network;
pub use redis::Redis;
pub use references::{Managed, Surveyed, survey};
pub use server::{AllowedHosts, BaseUrl, Environment, Server};
pub use source::{MAX_SOURCE_BYTES, Origin, Resolved, Sources};
pub use storage::{AzureBlobs, Images, S3, Storage, StorageType};
pub use tokens::{Algorithm, Tokens};

use std::path::{Path, PathBuf};

use reader::Reader;

/// What is being started: some defaults and refusals depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// `fastcms serve`: every rule holds.
    Serve,
    /// `fastcms dev`: DEBUG is on and the address is the loopback one unless said otherwise; every rule holds.
    Dev,
    /// Any other command: values must be well-formed, but a configuration unfit to serve is only noted in [`Config::refusals`],
    /// so that `config` and `check` can speak about it.
    Other,
}

/// The whole configuration, valid as far as one process can tell without connecting anywhere.
#[derive(Debug, Clone)]
pub struct Config {
    /// Name, address and mode of the server.
    pub server: Server,
    /// Where collections and records are kept.
    pub database: Database,
    /// Key material.
    pub keys: Keys,
    /// Lives of tokens and sessions.
    pub tokens: Tokens,
    /// Which foreign web pages may call.
    pub cors: Cors,
    /// What a password must be.
    pub passwords: Passwords,
    /// What happens after failed logins.
    pub lockout: Lockout,
    /// How often a caller may call.
    pub rate_limits: RateLimits,
    /// Whose word about the client address counts, and which addresses may come in and be called.
    pub proxies: Proxies,
    /// Where files are kept and which are taken.
    pub storage: Storage,
    /// Generated images.
    pub images: Images,
    /// Outgoing mail.
    pub mail: Mail,
    /// The shared backend of several nodes.
    pub redis: Redis,
    /// Providers of OAuth given by environment.
    pub oauth: OAuth,
    /// Sizes.
    pub limits: Limits,
    /// The log.
    pub logging: Logging,
    /// Where the audit log goes, and how long it stays.
    pub audit: Audit,
    /// Secret managers.
    pub secrets: Secrets,
    /// What is legal but deserves a line in the log at start.
    pub warnings: Vec<Warning>,
    /// Why this configuration must not serve. Empty after [`Command::Serve`] and [`Command::Dev`], which fail instead.
    pub refusals: Vec<Fault>,
    /// The working directory that relative paths were resolved against.
    pub directory: PathBuf,
    effective: Vec<Effective>,
}

impl Config {
    /// Reads everything once.
    ///
    /// # Errors
    /// All faults together: malformed values and, when a server is to be started, the rules of the mode it is started in.
    pub fn load(sources: &Sources, command: Command) -> Result<Self, Faults> {
        let mut read = Reader::new(sources);
        typos::warn(&mut read);

        let server = Server::read(&mut read, command);
        let storage = Storage::read(&mut read);
        let own_key = [storage.s3.access_key_id.clone(), storage.s3.secret_access_key.clone()];
        let mut config = Self {
            database: Database::read(&mut read, server.environment),
            keys: Keys::read(&mut read, server.is_production()),
            tokens: Tokens::read(&mut read),
            cors: Cors::read(&mut read, server.environment),
            passwords: Passwords::read(&mut read),
            lockout: Lockout::read(&mut read),
            rate_limits: RateLimits::read(&mut read),
            proxies: Proxies::read(&mut read),
            storage,
            images: Images::read(&mut read),
            mail: Mail::read(&mut read),
            redis: Redis::read(&mut read),
            oauth: OAuth::read(&mut read),
            limits: Limits::read(&mut read),
            logging: Logging::read(&mut read),
            audit: Audit::read(&mut read),
            secrets: Secrets::read(&mut read, own_key),
            server,
            warnings: Vec::new(),
            refusals: Vec::new(),
            directory: sources.directory.clone(),
            effective: Vec::new(),
        };
        read.ignore(&catalog::ADMIN_EMAIL);
        read.ignore(&catalog::ADMIN_PASSWORD);

        let circles = references::circles(&mut read);
        let (effective, mut faults, warnings) = read.finish();
        faults.retain(|fault| circles.iter().all(|circle| circle.variable != fault.variable));
        faults.extend(circles);
        config.effective = effective;
        config.warnings = warnings;
        config.refusals = rules::refusals(&config, sources, command);
        // A variable that could not be read has its fault already; what a rule says of its stand-in would only confuse.
        config.refusals.retain(|refusal| faults.iter().all(|fault| fault.variable != refusal.variable));
        let warnings = rules::warnings(&config);
        config.warnings.extend(warnings);

        if command != Command::Other {
            faults.append(&mut config.refusals);
        }
        if faults.is_empty() { Ok(config) } else { Err(Faults(faults)) }
    }

    /// The folder for what the product itself keeps on disk: that of the `SQLite` file, else `data` in the working directory.
    pub fn data_directory(&self) -> PathBuf {
        match &self.database.engine {
            Engine::Sqlite { path } => path.parent().map_or_else(|| self.directory.clone(), Path::to_path_buf),
            Engine::Postgres => self.directory.join("data"),
        }
    }

    /// Where the effective value of the variable of this name came from, for people.
    pub fn source_of(&self, name: &str) -> String {
        let found = self.effective.iter().find(|one| one.name == name);
        found.map_or(&Origin::Default, |one| &one.source).to_string()
    }

    /// Where the effective value of `variable` came from.
    pub fn origin(&self, variable: &Variable) -> &Origin {
        self.effective.iter().find(|one| one.name == variable.name).map_or(&Origin::Default, |one| &one.source)
    }
}

/// Effective values in the order of the catalog, secrets masked: what `fastcms config` prints.
pub fn table(config: &Config) -> Vec<Effective> {
    config.effective.clone()
}

#[cfg(test)]
mod tests;
