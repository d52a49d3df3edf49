//! Claims about the configuration as a whole; what a single file promises is tested in that file.

mod age;
mod database;
mod defaults;
mod faults;
mod pages;
mod production;
mod secrecy;
mod sources;
mod warnings;

use std::fs;

use tempfile::TempDir;

use super::{Command, Config, Faults, Sources};

/// A key as `openssl rand -hex 32` prints it.
const KEY: &str = "4f1c0a9be37d52680c1f9e4ab7d3365510e2c98f7ab6d4e3f2019c8b7a6d5e4f";
const OTHER_KEY: &str = "b7e2d1906c5f4a3388f70e19ad2c6b5547f3e2d1c0b9a8f7e6d5c4b3a2918070";

/// A working directory of its own and an environment to fill.
struct World {
    folder: TempDir,
    sources: Sources,
}

impl World {
    /// Nothing but `environment`.
    fn new(environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut sources = Sources { directory: folder.path().to_owned(), ..Sources::default() };
        sources.environment = environment.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Self { folder, sources }
    }

    /// A production configuration that is safe on loopback, with `changes` made to it; an empty value is as good as none.
    fn production(changes: &[(&str, &str)]) -> Self {
        let base = [
            ("ENVIRONMENT", "production"),
            ("SECRET_KEY", KEY),
            ("BASE_URL", "https://cms.example.com"),
            ("APP_HOST", "127.0.0.1"),
            ("CORS_ORIGINS", "https://app.example.com"),
            ("SMTP_USER", "cms"),
            ("SMTP_PASSWORD", "a password of the mail server"),
        ];
        let kept = base.iter().filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
        Self::new(&kept.chain(changes).copied().collect::<Vec<_>>())
    }

    fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        fs::write(self.folder.path().join(name), content).unwrap();
        self
    }

    fn load(&self) -> Result<Config, Faults> {
        Config::load(&self.sources, Command::Serve)
    }

    fn config(&self) -> Config {
        self.load().unwrap_or_else(|faults| panic!("{faults}"))
    }

    /// The faults as printed, one line each.
    fn lines(&self) -> Vec<String> {
        let faults = self.load().expect_err("a fault").to_string();
        faults.lines().map(str::to_owned).collect()
    }

    /// The warnings as printed, one line each.
    fn warnings(&self) -> Vec<String> {
        self.config().warnings.iter().map(ToString::to_string).collect()
    }
}
