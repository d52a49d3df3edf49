//! What the command line asks for.

use std::path::PathBuf;

use xtask::workspace_root;

use crate::fault::Fault;

pub const USAGE: &str = "\
Usage: cargo xtask crash [--rounds N] [--engine sqlite|postgres|both] [--only FAULT]... [--seed N] [--binary FILE] [--json]

  --rounds N      faults on each engine (default 100)
  --engine E      where the data lie (default both)
  --only FAULT    kill, term, full-disk, read-only-disk, slow-disk or postgres-down; may be repeated (default all)
  --seed N        the same faults in the same order again
  --binary FILE   the server (default target/release/fastcms)
  --json          the outcome as JSON
";

/// A checked command line.
pub struct Options {
    pub rounds: u64,
    pub engines: Vec<Engine>,
    pub only: Vec<Fault>,
    pub seed: u64,
    pub binary: PathBuf,
    pub json: bool,
}

/// Where the data lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

impl Options {
    /// The reason when the command line makes no sense.
    pub fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self {
            rounds: 100,
            engines: vec![Engine::Sqlite, Engine::Postgres],
            only: Vec::new(),
            seed: u64::from(std::process::id()),
            binary: workspace_root().join("target/release/fastcms"),
            json: false,
        };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            if argument == "--json" {
                options.json = true;
                continue;
            }
            let value = rest.next().ok_or_else(|| format!("`{argument}` is unknown or wants a value"))?;
            match argument.as_str() {
                "--rounds" => options.rounds = number(value)?,
                "--seed" => options.seed = number(value)?,
                "--binary" => options.binary = PathBuf::from(value),
                "--engine" => options.engines = engines(value)?,
                "--only" => {
                    options.only.push(Fault::named(value).ok_or_else(|| format!("there is no fault `{value}`"))?);
                }
                _ => return Err(format!("unknown option `{argument}`")),
            }
        }
        Ok(options)
    }

    /// The faults to choose from on an engine.
    pub fn faults(&self, engine: Engine) -> Vec<Fault> {
        let asked = |fault: &Fault| self.only.is_empty() || self.only.contains(fault);
        Fault::ALL.into_iter().filter(asked).filter(|fault| fault.concerns(engine == Engine::Postgres)).collect()
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`{text}` is not a number"))
}

fn engines(text: &str) -> Result<Vec<Engine>, String> {
    match text {
        "sqlite" => Ok(vec![Engine::Sqlite]),
        "postgres" => Ok(vec![Engine::Postgres]),
        "both" => Ok(vec![Engine::Sqlite, Engine::Postgres]),
        _ => Err(format!("there is no engine `{text}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options, String> {
        Options::parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn faults_are_those_of_the_engine_that_were_asked_for() {
        let all = parse("").unwrap();
        assert!(!all.faults(Engine::Sqlite).contains(&Fault::PostgresDown));
        assert_eq!(all.faults(Engine::Postgres), [Fault::Kill, Fault::Term, Fault::PostgresDown]);
        assert_eq!(parse("--only kill").unwrap().faults(Engine::Sqlite), [Fault::Kill]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for wrong in ["--rounds many", "--only flood", "--engine oracle", "--speed 3", "--rounds"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
