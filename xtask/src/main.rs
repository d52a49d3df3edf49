//! `cargo xtask …`: the chores of this repository, in plain Rust and with no dependencies.
//!
//! Each subcommand is a module with one `run`; this file only picks one. It knows nothing of the product: whatever
//! it does, it does by calling `cargo` and other programs.

mod bench;
mod crash;
mod debian;
mod docs;
mod python;
mod suite;

use std::io;
use std::process::ExitCode;

use xtask::{announce, postgres, workspace_root};

const USAGE: &str = "\
Usage: cargo xtask <COMMAND>

Commands:
  test [--quick] [-p CRATE]... [FILTER]
      Formatting, lints and every test, against a PostgreSQL server of its own.
      --quick    tests only, no formatting check and no lints
      -p CRATE   tests (and lints) of this crate alone; may be repeated
      FILTER     only tests whose name contains this text
      TEST_DATABASE_URL, when set, names the PostgreSQL server to use instead

  crash [--rounds N] [--engine sqlite|postgres|both] [--only FAULT]... [--seed N] [--binary FILE]
      Break a server under load, again and again, and look whether it kept what it promised.
      FAULT is one of kill, term, full-disk, read-only-disk, slow-disk, postgres-down

  bench [tax|audit] [--reps N] [--seconds N] [--binary FILE] [--json]
      What a request costs the server, beside bare axum and bare rusqlite; needs `wrk` and two cores
      tax          what each protection adds; writes the table in docs/performance.md
      audit        what the audit log adds to a write at 32 connections, on SQLite and PostgreSQL, and how fast events are appended;
                   `--binary` is then a built `measured` of `benches`
      --reps N     interleaved repetitions (5)
      --seconds N  of each measurement (3)
      --binary FILE  measure this program instead of building one

  docs
      Write the pages that come from the code: settings reference, `.env.example`

  help
      This text
";

/// Exit code for a command line that makes no sense, as `sysexits` and most tools have it.
const WRONG_USAGE: u8 = 2;

/// Why a command could not do its work.
enum Failure {
    /// The command line is wrong: the reason, shown above the usage.
    Usage(String),
    /// A check failed and has already said so.
    Checks,
    /// The command could not do its work at all.
    Broken(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next();
    let rest: Vec<String> = arguments.collect();
    let outcome = match command.as_deref() {
        Some("test") => suite::run(&rest),
        Some("crash") => crash::run(&rest),
        Some("bench") => bench::run(&rest),
        Some("docs") => docs::run(&rest),
        Some("help" | "--help" | "-h") => {
            print!("{USAGE}");
            Ok(())
        }
        Some(other) => Err(Failure::Usage(format!("unknown command `{other}`"))),
        None => Err(Failure::Usage("no command given".to_owned())),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Checks) => ExitCode::FAILURE,
        Err(Failure::Broken(reason)) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
        Err(Failure::Usage(reason)) => {
            eprint!("error: {reason}\n\n{USAGE}");
            ExitCode::from(WRONG_USAGE)
        }
    }
}
