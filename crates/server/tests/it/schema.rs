//! The served OpenAPI document, held against the running server by a third party: schemathesis makes up requests, sound and unsound
//! ones, and checks every answer against what the document says of it.

use std::process::Command;

use serde_json::json;

use crate::process::Server;

/// Made-up requests an operation; more by hand with `SCHEMATHESIS_EXAMPLES`.
const EXAMPLES: &str = "50";

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,\
                      unsupported_method,ignored_auth";

/// A server with collections of both types to describe.
fn server() -> (Server, String) {
    let mut server = Server::new(&[("DEBUG", "true"), ("RATE_LIMIT_ENABLED", "false")]);
    server.start();
    let token = server.set_up();
    let base = json!({
        "name": "articles",
        "schema": [
            {"name": "title", "type": "text", "validation": {"required": true, "max_length": 100}},
            {"name": "body", "type": "editor"}, {"name": "views", "type": "number", "validation": {"min": 0}},
            {"name": "published", "type": "bool"}, {"name": "contact", "type": "email"}, {"name": "link", "type": "url"},
            {"name": "meta", "type": "json"}, {"name": "state", "type": "select", "select": {"values": ["draft", "live"]}},
            {"name": "at", "type": "datetime"}, {"name": "day", "type": "date"},
            {"name": "pictures", "type": "file", "file": {"max_files": 3}},
        ],
        "list_rule": "", "view_rule": "", "create_rule": "", "update_rule": "", "delete_rule": "",
    });
    let auth =
        json!({"name": "members", "type": "auth", "schema": [], "list_rule": "", "view_rule": "", "create_rule": ""});
    for collection in [base, auth] {
        let made = server.call("POST", "/api/v1/collections", Some(&token), Some(&collection));
        assert_eq!(made.status, 201, "{}", String::from_utf8_lossy(&made.body));
    }
    (server, token)
}

fn examine(server: &Server, header: Option<&str>, leave_out: Option<&str>) {
    let program = std::env::var("SCHEMATHESIS")
        .expect("SCHEMATHESIS names no program: run `cargo xtask test`, which installs it");
    let examples = std::env::var("SCHEMATHESIS_EXAMPLES").unwrap_or_else(|_| EXAMPLES.to_owned());
    let mut command = Command::new(program);
    command
        .current_dir(server.folder.path())
        .env("PYTHONPATH", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("SCHEMATHESIS_HOOKS", "schemathesis_hooks")
        .args(["run", &format!("http://127.0.0.1:{}/openapi.json", server.port)])
        .args(["--url", &format!("http://127.0.0.1:{}", server.port)])
        .args(["--checks", CHECKS, "--max-examples", &examples, "--phases", "examples,coverage,fuzzing"])
        .args(["--continue-on-failure", "--seed", "1", "--no-color", "--warnings", "off", "--workers", "1"])
        .args(["--suppress-health-check", "all", "--generation-database", "none", "--no-shrink"]);
    if let Some(header) = header {
        command.args(["--header", header]);
    }
    if let Some(pattern) = leave_out {
        command.args(["--exclude-path-regex", pattern]);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_stranger_meets_only_documented_answers() {
    let (server, _) = server();
    examine(&server, None, None);
}

/// Left out are the routes that end the very session the run needs, or what it is good for.
#[test]
fn an_admin_meets_only_documented_answers() {
    let (server, token) = server();
    examine(
        &server,
        Some(&format!("Authorization: Bearer {token}")),
        Some("/auth/(logout|logout-all|sessions|me|change-password)|/users/require-password-change"),
    );
}
