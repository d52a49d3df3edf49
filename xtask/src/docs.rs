//! Writes the pages that the code itself is the source of. The test suite compares them; this only asks it to write them first.

use std::process::Command;

use crate::{Failure, announce, workspace_root};

/// Writes every generated page.
pub fn run(arguments: &[String]) -> Result<(), Failure> {
    if let Some(argument) = arguments.first() {
        return Err(Failure::Usage(format!("`docs` takes no `{argument}`")));
    }
    announce("writing the generated pages");
    for (package, tests) in [("fastcms-store", "migrations::the_script"), ("fastcms", "generated::")] {
        let status = Command::new("cargo")
            .args(["test", "--locked", "--package", package, "--test", "it", "--", tests])
            .env("FASTCMS_WRITE_DOCS", "1")
            .current_dir(workspace_root())
            .status()?;
        if !status.success() {
            return Err(Failure::Checks);
        }
    }
    Ok(())
}
