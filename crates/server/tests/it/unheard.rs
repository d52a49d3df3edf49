//! Commands whose output nobody takes: the disk is full, or the reader has left.

use std::collections::BTreeMap;
use std::fs::File;

use crate::process::{SECRET, command};

const COMMANDS: [&[&str]; 6] = [
    &["config"],
    &["openapi"],
    &["openapi", "--format", "yaml"],
    &["keys", "generate"],
    &["users", "list"],
    &["migrate", "status", "--json"],
];

fn environment() -> BTreeMap<String, String> {
    BTreeMap::from([("SECRET_KEY".to_owned(), SECRET.to_owned())])
}

#[test]
fn a_command_that_cannot_be_heard_says_so_and_fails() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in COMMANDS {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = command(folder.path(), arguments, &environment()).stdout(full).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains("standard output"), "{arguments:?}: {said}");
    }
}

#[test]
fn a_reader_who_leaves_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in COMMANDS {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command(folder.path(), arguments, &environment()).stdout(writer).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
        assert!(!said.contains("panicked") && !said.contains("error"), "{arguments:?}: {said}");
    }
}
