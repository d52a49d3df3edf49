//! The invariants of ARCHITECTURE.md as checks of the source itself: each fails when the house is built sideways.

use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("crates/server lies two levels down").to_owned()
}

/// Every Rust source below `folder` (relative to the root), with its path relative to the root.
pub fn sources(folder: &str) -> Vec<(String, String)> {
    fn walk(at: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    assert!(!found.is_empty(), "no sources below {folder}");
    let name = |path: &Path| path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
    found.into_iter().map(|path| (name(&path), fs::read_to_string(&path).unwrap())).collect()
}

/// Sources without their tests: neither `mod tests` within a file nor modules that exist for tests alone.
fn code(folder: &str) -> Vec<(String, String)> {
    let for_tests = Regex::new(r"#\[cfg\(test\)\]\s*(?:pub(?:\([a-z]+\))? )?mod (\w+);").unwrap();
    let mut modules: Vec<String> = vec!["tests".to_owned()];
    for (_, text) in sources(folder) {
        modules.extend(for_tests.captures_iter(&text).map(|found| found[1].to_owned()));
    }
    let is_test = |path: &str| {
        modules.iter().any(|name| path.ends_with(&format!("/{name}.rs")) || path.contains(&format!("/{name}/")))
    };
    let code = |text: String| text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
    sources(folder).into_iter().filter(|(path, _)| !is_test(path)).map(|(path, text)| (path, code(text))).collect()
}

fn dependencies(manifest: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(manifest)).unwrap();
    let section = text.split("[dependencies]").nth(1).unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    section
        .lines()
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_crate_uses_only_what_is_to_its_right() {
    let allowed: [(&str, &[&str]); 6] = [
        ("expr", &[]),
        ("secrets", &[]),
        ("guard", &["fastcms-secrets"]),
        ("store", &["fastcms-expr", "fastcms-secrets"]),
        ("core", &["fastcms-expr", "fastcms-store", "fastcms-guard", "fastcms-secrets"]),
        ("server", &["fastcms-core", "fastcms-expr", "fastcms-store", "fastcms-guard", "fastcms-secrets"]),
    ];
    for (name, allowed) in allowed {
        for dependency in dependencies(&format!("crates/{name}/Cargo.toml")) {
            let is_ours = dependency.starts_with("fastcms");
            assert!(!is_ours || allowed.contains(&dependency.as_str()), "crates/{name} must not use {dependency}");
        }
    }
}

#[test]
fn the_language_is_pure() {
    let dependencies = dependencies("crates/expr/Cargo.toml");
    for dependency in &dependencies {
        assert!(
            ["jiff", "regex", "strsim", "thiserror"].contains(&dependency.as_str()),
            "crates/expr must not use {dependency}"
        );
    }
    let impure = Regex::new(r"\bstd::(fs|net|process|env|thread)\b|\basync fn\b").unwrap();
    for (path, text) in code("crates/expr/src") {
        assert!(!impure.is_match(&text), "{path} does input, output or waiting");
    }
}

#[test]
fn http_is_known_to_the_server_alone() {
    let web = Regex::new(r"\b(axum|hyper|tower|tower_http|http)::").unwrap();
    for name in ["expr", "store", "secrets", "core", "guard"] {
        for (path, text) in code(&format!("crates/{name}/src")) {
            // Managers of secrets are asked over it; nothing is answered there.
            if path == "crates/secrets/src/https.rs" {
                continue;
            }
            let found = text.lines().find(|line| !line.trim_start().starts_with("//") && web.is_match(line));
            assert!(found.is_none(), "{path} speaks HTTP: {found:?}");
        }
    }
}

#[test]
fn sql_text_stands_in_the_store_alone() {
    let sql = Regex::new(
        r#""\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE (TABLE|INDEX|UNIQUE)|ALTER TABLE|DROP TABLE) "#,
    )
    .unwrap();
    for name in ["expr", "secrets", "core", "guard", "server"] {
        for (path, text) in code(&format!("crates/{name}/src")) {
            let found = text.lines().find(|line| sql.is_match(line));
            assert!(found.is_none(), "{path} holds SQL: {found:?}");
        }
    }
}

#[test]
fn each_database_driver_is_named_in_one_place() {
    for (path, text) in code("crates/store/src") {
        for (driver, place) in
            [("rusqlite", "crates/store/src/sqlite"), ("tokio_postgres", "crates/store/src/postgres")]
        {
            let used =
                text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(&format!("{driver}::")));
            assert!(!used || path.starts_with(place), "{path} names {driver}");
        }
    }
}

/// Statement text is `&'static str` by the builder's signature; only its own file may turn run-time text into SQL.
#[test]
fn run_time_text_enters_sql_as_name_or_bind_only() {
    let builder = fs::read_to_string(root().join("crates/store/src/sql.rs")).unwrap();
    assert!(builder.contains("pub fn push(&mut self, text: &'static str)"), "Sql::push must take static text");
    assert!(
        !Regex::new(r"pub fn \w+\(&mut self, \w+: &str\b").unwrap().is_match(&builder),
        "Sql must have no door for run-time text"
    );
    let leak = Regex::new(r"\.leak\(\)|Box::leak").unwrap();
    for (path, text) in code("crates/store/src") {
        assert!(!leak.is_match(&text), "{path} makes static text at run time");
    }
}

#[test]
fn every_operation_of_core_takes_the_caller_first() {
    // What makes the caller, and what runs before there is anyone to call.
    let exempt = ["authenticate", "authenticate_cookie", "gather", "open", "load", "reload"];
    let operation = Regex::new(r"(?m)^pub async fn (\w+)(<[^>]*>)?\(\s*([^,)]*)").unwrap();
    let mut seen = 0;
    for noun in [
        "accounts",
        "api_keys",
        "audit",
        "collections",
        "files",
        "keys",
        "mail",
        "records",
        "request_log",
        "roles",
        "limits",
        "ip_rules",
        "secrets",
    ] {
        let all = code("crates/core/src");
        for (path, text) in all.iter().filter(|(path, _)| path.contains(&format!("/{noun}"))) {
            for found in operation.captures_iter(text) {
                let (name, first) = (&found[1], found[3].trim());
                seen += 1;
                let takes_caller =
                    ["caller: &Caller", "_caller: &Caller", "_operator: &Caller", "caller: &Recent"].contains(&first);
                assert!(
                    takes_caller || exempt.contains(&name),
                    "{path}: `{name}` takes `{first}` first, not the caller"
                );
            }
        }
    }
    assert!(seen > 20, "only {seen} operations were found: the check looks in the wrong place");
}

/// A write goes through the audit door, which cannot be left without an event; what is no event is named here.
#[test]
fn every_write_of_core_is_audited_or_decided_not_to_be() {
    let decided = [
        ("accounts/cookie_sessions.rs", 1, "when a session was last used"),
        ("accounts/proof.rs", 1, "a hash of an older kind is replaced"),
        ("accounts/sign_in.rs", 1, "sessions that ended are swept"),
        ("accounts/one_time_code.rs", 2, "codes that wait, and guesses at them"),
        ("accounts/reset.rs", 1, "links that wait"),
        (
            "accounts/two_factor.rs",
            2,
            "a secret that waits for its first code; a code that is used up with the sign-in",
        ),
        ("api_keys/live.rs", 1, "when a key was last used"),
        ("attempts.rs", 6, "counters of guesses and their key, and a mail about who sprays"),
        ("attempts/slot.rs", 4, "counters of guesses"),
        ("attempts/unlock.rs", 1, "counters that ended are swept"),
        ("audit/chain.rs", 1, "links of the log itself"),
        ("audit/queue.rs", 1, "events of the log itself"),
        ("audit/sinks.rs", 3, "how far places outside have taken the log"),
        ("audit/reading.rs", 1, "rows of a segment whose end is in the log"),
        ("audit/trail.rs", 3, "the door"),
        ("data_keys.rs", 2, "keys of the product's own, which are told of where they are used"),
        ("data_keys/rewrapping.rs", 1, "wrapping of keys, which changes nothing that they protect"),
        ("keys.rs", 2, "which keys are in use"),
        ("keys/ledger.rs", 1, "until when tokens of a key may live"),
        ("limits/sharing.rs", 2, "counts of requests, which nodes share"),
        ("mail.rs", 2, "mails that wait"),
        ("mail/worker.rs", 4, "mails that wait"),
        ("secrets/ages.rs", 1, "what admins were told"),
        ("secrets/rotation.rs", 1, "who is about to rotate a secret"),
        ("sealing/renewal.rs", 4, "a data key that waits, and values sealed anew, which say the same"),
        ("request_log.rs", 1, "rows of the request log; who has them deleted is an event"),
        ("request_log/writer.rs", 1, "rows of the request log"),
    ];
    let write = Regex::new(r"(?:\bstore|self|link)\s*\.write\(|\.write_within\(").unwrap();
    for (path, text) in code("crates/core/src") {
        let file = path.strip_prefix("crates/core/src/").unwrap();
        let found = write.find_iter(&text).count();
        let known = decided.iter().find(|(known, ..)| *known == file).map_or(0, |(_, count, _)| *count);
        assert!(found <= known, "{path}: {found} writes past `audit::write`, {known} were decided upon");
    }
}

#[test]
fn there_are_no_globals() {
    let global = Regex::new(r"(?m)^\s*(pub(\([a-z]+\))? )?static (mut )?\w+: .*(Mutex|RwLock|Atomic|OnceLock|OnceCell|ArcSwap|LazyLock<Mutex)").unwrap();
    for name in ["expr", "store", "secrets", "guard", "core", "server"] {
        for (path, text) in code(&format!("crates/{name}/src")) {
            let found = global.find(&text);
            assert!(found.is_none(), "{path} keeps state in a global: {:?}", found.map(|found| found.as_str()));
        }
    }
}

#[test]
fn there_is_no_way_around_the_checks_of_the_compiler() {
    let around = Regex::new(r"#!?\[allow\(|\bunsafe\b *\{|\btodo!\(|\bunimplemented!\(").unwrap();
    for name in ["expr", "store", "secrets", "guard", "core", "server"] {
        for (path, text) in code(&format!("crates/{name}/src")) {
            let found = text.lines().find(|line| !line.trim_start().starts_with("//") && around.is_match(line));
            assert!(found.is_none(), "{path}: {found:?}");
        }
    }
    for (path, text) in code("crates") {
        let unwrapped = text.lines().find(|line| !line.trim_start().starts_with("//") && line.contains(".unwrap()"));
        assert!(unwrapped.is_none(), "{path} unwraps: {unwrapped:?}");
    }
}

#[test]
fn files_stay_short_enough_to_be_read() {
    for (path, text) in sources("crates") {
        let lines = text.lines().count();
        assert!(lines <= 800, "{path} has {lines} lines: which noun hides inside?");
    }
}

#[test]
fn the_code_map_names_every_crate_and_module() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for name in ["expr", "store", "guard", "secrets", "core", "server"] {
        assert!(map.contains(&format!("crates/{name}")), "ARCHITECTURE.md does not name crates/{name}");
        for entry in fs::read_dir(root().join(format!("crates/{name}/src"))).unwrap() {
            let file = entry.unwrap().file_name().into_string().unwrap();
            let Some(module) = file.strip_suffix(".rs").filter(|module| !matches!(*module, "lib" | "main")) else {
                continue;
            };
            assert!(map.contains(&format!("`{module}`")), "ARCHITECTURE.md does not name `{module}` of crates/{name}");
        }
    }
}
