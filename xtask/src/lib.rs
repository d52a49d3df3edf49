//! What the chores of this repository share with its harnesses: a `PostgreSQL` server of one's own, and how progress is told.
//! It knows nothing of the product.

pub mod postgres;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The root of the workspace, wherever the command was started.
pub fn workspace_root() -> PathBuf {
    let here =
        std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.parent().map_or(here.clone(), Path::to_path_buf)
}

/// One line for each thing done, so that a log reads as a list of steps.
pub fn announce(step: &str) {
    // Tidying up announces too, and must go on when nobody reads any more.
    let _ = writeln!(io::stdout(), "==> {step}");
}
