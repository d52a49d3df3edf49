//! The third-party program that holds the API document against the server: installed once, into the target folder.

use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::{announce, workspace_root};

/// The one version that CI and everybody else runs.
const VERSION: &str = "4.32.5";

/// The program, installed with Python's own package installer when it is not there yet.
pub fn find_or_install(is_root: bool) -> io::Result<PathBuf> {
    let folder = workspace_root().join("target").join(format!("schemathesis-{VERSION}"));
    let program = folder.join("bin").join("schemathesis");
    if program.is_file() {
        return Ok(program);
    }
    announce(&format!("installing schemathesis {VERSION} into `{}`", folder.display()));
    if !make_environment(&folder) {
        if !is_root {
            return Err(io::Error::other(
                "`python3 -m venv` does not work: install Python 3 with its venv module (Debian: `apt-get install python3-venv`)",
            ));
        }
        announce("installing Debian's `python3-venv`");
        run(Command::new("apt-get").args(["update", "-q"]))?;
        run(Command::new("apt-get").args(["install", "-y", "-q", "python3", "python3-venv"]))?;
        if !make_environment(&folder) {
            return Err(io::Error::other("`python3 -m venv` still does not work"));
        }
    }
    let package = format!("schemathesis=={VERSION}");
    run(Command::new(folder.join("bin").join("pip")).args([
        "install",
        "--quiet",
        "--disable-pip-version-check",
        &package,
    ]))?;
    Ok(program)
}

fn make_environment(folder: &PathBuf) -> bool {
    let made = Command::new("python3").args(["-m", "venv"]).arg(folder).stdin(Stdio::null()).status();
    made.is_ok_and(|status| status.success())
}

fn run(command: &mut Command) -> io::Result<()> {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("{command:?} ended with {status}"))) }
}
