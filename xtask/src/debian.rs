//! Programs of other people that the tests run against: where they are missing, root on Debian installs their packages, and anyone else
//! is told which. Installing starts none of the servers.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::announce;

/// Program and package.
const PROGRAMS: [(&str, &str); 4] =
    [("age", "age"), ("redis-server", "redis-server"), ("nginx", "nginx-light"), ("caddy", "caddy")];

/// Debian's switch against services that start with their installation.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Makes sure that every program is there.
pub fn find_or_install(is_root: bool) -> io::Result<()> {
    let missing: Vec<&str> =
        PROGRAMS.iter().filter(|(program, _)| !is_there(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.join(" ");
    let can = is_root && Path::new("/usr/bin/apt-get").is_file();
    if !can {
        return Err(io::Error::other(format!(
            "programs that the tests need are missing: install them (Debian, Ubuntu: `apt-get install {packages}`)"
        )));
    }
    announce(&format!("installing Debian's {packages}"));
    let held = hold_services()?;
    let installed = run(&["update"]).and_then(|()| {
        let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
        arguments.extend(&missing);
        run(&arguments)
    });
    if held {
        fs::remove_file(POLICY)?;
    }
    installed?;
    match PROGRAMS.iter().find(|(program, _)| !is_there(program)) {
        Some((program, _)) => Err(io::Error::other(format!("{packages} was installed, yet `{program}` is missing"))),
        None => Ok(()),
    }
}

/// Says that nothing is to be started; false where somebody decided already.
fn hold_services() -> io::Result<bool> {
    match OpenOptions::new().write(true).create_new(true).mode(0o755).open(POLICY) {
        Ok(mut file) => file.write_all(b"#!/bin/sh\nexit 101\n").map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Servers lie where PATH does not always lead.
fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/usr/local/sbin", "/sbin"].map(Into::into);
    std::env::split_paths(&path).chain(usual).any(|folder| folder.join(program).is_file())
}

fn run(arguments: &[&str]) -> io::Result<()> {
    let mut command = Command::new("apt-get");
    command.arg("--quiet").args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    if command.status()?.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("`apt-get {}` failed", arguments.join(" "))))
}

#[cfg(test)]
mod tests {
    use super::is_there;

    #[test]
    fn a_program_is_found_in_path_and_beside_it() {
        assert!(is_there("sh"));
        assert!(!is_there("fastcms-has-no-such-program"));
    }
}
