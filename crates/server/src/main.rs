//! The `fastcms` binary.

use std::process::ExitCode;

// Linked for its `malloc`, which all of the process then has, SQLite too. As a global allocator it would be asked for an alignment each
// time, and takes a slow way for nearly everything above one KiB.
use mimalloc as _;

fn main() -> ExitCode {
    fastcms::cli::main()
}
