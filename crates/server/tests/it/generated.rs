//! Pages that are written by the code itself must be what the code would write now. `cargo xtask docs` writes them.

use std::path::Path;

use fastcms_core::config;

fn check(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
    if std::env::var_os("FASTCMS_WRITE_DOCS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == text, "{file} is not what the code says: run `cargo xtask docs`");
}

#[test]
fn the_settings_reference_is_current() {
    check("docs/settings.md", &config::reference_markdown());
}

#[test]
fn the_page_of_error_codes_is_current() {
    check("docs/errors.md", &fastcms::error::reference_markdown());
}

#[test]
fn the_page_of_commands_is_current() {
    check("docs/cli.md", &fastcms::cli::reference_markdown());
}

#[test]
fn the_example_of_an_env_file_is_current() {
    check(".env.example", &config::env_example());
}
