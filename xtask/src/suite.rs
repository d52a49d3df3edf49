//! `cargo xtask test`: formatting, lints and every test, in one command and one build profile.
//!
//! All steps run even when one fails, so that one run names everything there is to mend. The last line printed is
//! always `N passed, N failed`: passed tests; failed tests plus steps that failed as a whole (formatting, lints, a
//! build that broke, a test binary that died before its summary).

mod options;
mod tally;

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Command, ExitStatus, Stdio};

use crate::postgres::{Cluster, account};
use crate::{Failure, announce, debian, python, workspace_root};
use options::Options;
use tally::Tally;

/// The variable by which the tests find their `PostgreSQL` server.
const DATABASE_URL: &str = "TEST_DATABASE_URL";

/// Runs the whole suite; see the module's text.
pub fn run(arguments: &[String]) -> Result<(), Failure> {
    let options = Options::parse(arguments).map_err(Failure::Usage)?;
    let mut tally = Tally::default();
    if let Err(error) = run_steps(&options, &mut tally) {
        eprintln!("error: {error}");
        tally.step_failed("the run itself");
    }
    conclude(&options, &tally)
}

fn run_steps(options: &Options, tally: &mut Tally) -> io::Result<()> {
    if !options.quick {
        announce("formatting: `cargo fmt --all --check`");
        if !status(cargo().args(["fmt", "--all", "--check"]))?.success() {
            tally.step_failed("formatting");
        }
        announce("lints: `cargo clippy --all-targets -- -D warnings`");
        let mut clippy = cargo();
        clippy.arg("clippy").args(options.selection()).args(["--all-targets", "--locked"]);
        if !status(clippy.args(["--", "-D", "warnings"]))?.success() {
            tally.step_failed("lints");
        }
    }
    run_tests(options, tally)
}

fn run_tests(options: &Options, tally: &mut Tally) -> io::Result<()> {
    let mut test = cargo();
    // The server lives exactly as long as this binding, whichever way this function is left.
    let _cluster = if std::env::var_os(DATABASE_URL).is_some() {
        announce("PostgreSQL: the server named by `TEST_DATABASE_URL`, none started");
        None
    } else {
        let cluster = Cluster::start()?;
        test.env(DATABASE_URL, cluster.url());
        Some(cluster)
    };
    if options.covers_the_server() {
        debian::find_or_install(account::is_root()?)?;
    }
    if options.covers_the_server() {
        for program in python::PROGRAMS.iter().filter(|program| std::env::var_os(program.variable).is_none()) {
            test.env(program.variable, program.find_or_install(account::is_root()?)?);
        }
    }
    announce("tests: `cargo test`");
    test.arg("test").args(options.selection()).args(["--locked", "--no-fail-fast"]).args(&options.filter);
    let status = stream(&mut test, tally)?;
    tally.finish_tests(status.success());
    Ok(())
}

/// Runs a command, passing its standard output on line by line while the tally reads along.
fn stream(command: &mut Command, tally: &mut Tally) -> io::Result<ExitStatus> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().expect("standard output was asked for as a pipe");
    let mut reader = BufReader::new(output);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        io::stdout().lock().write_all(&line)?;
        tally.read(&String::from_utf8_lossy(&line));
        line.clear();
    }
    child.wait()
}

fn conclude(options: &Options, tally: &Tally) -> Result<(), Failure> {
    println!();
    for step in tally.failed_steps() {
        println!("failed: {step}");
    }
    if tally.ignored() > 0 {
        println!("ignored: {} tests did not run", tally.ignored());
    }
    // A run in which nothing ran proves nothing, so it is not allowed to look green.
    let nothing_ran = tally.passed() == 0 && tally.failed() == 0;
    if nothing_ran {
        println!("no test ran{}", if options.filter.is_some() { ": nothing matches the filter" } else { "" });
    }
    println!("{} passed, {} failed", tally.passed(), tally.failed());
    if tally.failed() > 0 || nothing_ran { Err(Failure::Checks) } else { Ok(()) }
}

fn status(command: &mut Command) -> io::Result<ExitStatus> {
    command.stdin(Stdio::null()).status()
}

/// `cargo` of the running toolchain, at the root of the workspace. In CI nothing is built twice, so incremental
/// compilation would only cost time and disk.
fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace_root());
    if std::env::var_os("CI").is_some_and(|value| value == "true") {
        cargo.env("CARGO_INCREMENTAL", "0");
    }
    cargo
}
