//! `cargo xtask crash`: builds the harness of `crash/` and runs it.

use std::process::Command;

use crate::{Failure, announce, workspace_root};

/// Hands the arguments on as they are: the harness has its own usage.
pub fn run(arguments: &[String]) -> Result<(), Failure> {
    announce("harness: `cargo build --release --package fastcms --package fastcms-crash`");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(&cargo);
    build.current_dir(workspace_root()).args(["build", "--release", "--locked", "--package", "fastcms-crash"]);
    if !arguments.iter().any(|argument| argument == "--binary") {
        build.args(["--package", "fastcms"]);
    }
    if !build.status()?.success() {
        return Err(Failure::Checks);
    }
    let mut harness = Command::new(cargo);
    harness.current_dir(workspace_root()).args(["run", "--release", "--quiet", "--package", "fastcms-crash", "--"]);
    if harness.args(arguments).status()?.success() { Ok(()) } else { Err(Failure::Checks) }
}
