//! What must be written nowhere: the secrets that all tests use, and markers that stand for secrets. Every line of the log (at trace, of
//! this process), every answer, every database on `SQLite` and every log of a started server is searched for them, plain and in the forms
//! that text takes on its way: hex, base64 at any offset, percent-encoded. What is found fails the test that is under way.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::{LazyLock, Mutex, Once};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::process::{PASSWORD, SECRET};

/// How every marker begins and ends.
pub const MARKER: &str = "canary";

/// The secret settings that change nothing here, each with a marker.
pub const MARKED: [(&str, &str); 8] = [
    ("AWS_ACCESS_KEY_ID", "canary-aws-id-canary"),
    ("AWS_SECRET_ACCESS_KEY", "canary-aws-key-canary"),
    ("AZURE_STORAGE_CONNECTION_STRING", "canary-azure-connection-canary"),
    ("AZURE_STORAGE_ACCOUNT_KEY", "canary-azure-key-canary"),
    ("GOOGLE_CLIENT_SECRET", "canary-google-canary"),
    ("GITHUB_CLIENT_SECRET", "canary-github-canary"),
    ("FACEBOOK_CLIENT_SECRET", "canary-facebook-canary"),
    ("MICROSOFT_CLIENT_SECRET", "canary-microsoft-canary"),
];

/// A set of needles that is looked through a haystack in one pass.
struct Needles {
    /// Whether a needle begins with these two bytes.
    begins: Vec<bool>,
    needles: Vec<Vec<u8>>,
}

impl Needles {
    fn new(secrets: &[&str]) -> Self {
        let needles: Vec<Vec<u8>> = secrets.iter().flat_map(|secret| forms(secret)).collect();
        let mut begins = vec![false; 1 << 16];
        for needle in &needles {
            begins[usize::from(u16::from_be_bytes([needle[0], needle[1]]))] = true;
        }
        Self { begins, needles }
    }

    fn find(&self, bytes: &[u8]) -> Option<usize> {
        let begins = |at: usize| self.begins[usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]))];
        let is_there = |at: &usize| self.needles.iter().any(|needle| bytes[*at..].starts_with(needle));
        (0..bytes.len().saturating_sub(1)).filter(|at| begins(*at)).find(is_there)
    }
}

/// Every byte written by itself.
fn encoded(bytes: &[u8], each: fn(&mut String, u8)) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        each(&mut text, *byte);
        text
    })
}

/// The forms in which a secret is looked for.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let bytes = secret.as_bytes();
    let encoded = |each| encoded(bytes, each);
    let mut forms = vec![
        secret.to_owned(),
        encoded(|text, byte| write!(text, "{byte:02x}").unwrap()),
        encoded(|text, byte| write!(text, "{byte:02X}").unwrap()),
        encoded(|text, byte| write!(text, "%{byte:02X}").unwrap()),
        encoded(|text, byte| write!(text, "%{byte:02x}").unwrap()),
    ];
    // What stands before and behind changes the letters at both ends: those between are the secret's alone.
    for before in 0..3 {
        let text = STANDARD_NO_PAD.encode([vec![0; before], bytes.to_vec()].concat());
        let first = (before * 8).div_ceil(6);
        let whole = (before + bytes.len()) * 8 / 6;
        forms.push(text[first..whole].to_owned());
        forms.push(text[first..whole].replace('+', "-").replace('/', "_"));
    }
    forms.into_iter().map(String::into_bytes).collect()
}

/// Markers, and the key and the password that tests use.
static SECRETS: LazyLock<Needles> = LazyLock::new(|| Needles::new(&[MARKER, SECRET, PASSWORD]));
/// The head of every signed token: none is written down.
static TOKENS: LazyLock<Needles> = LazyLock::new(|| Needles::new(&["{\"alg\":\"HS256\""]));

/// Where one of the secrets stands in what was read, with what is around it.
pub fn found(bytes: &[u8]) -> Option<String> {
    let at = SECRETS.find(bytes)?;
    let around = &bytes[at.saturating_sub(60)..(at + 60).min(bytes.len())];
    Some(String::from_utf8_lossy(around).into_owned())
}

/// The same, for signed tokens too.
fn found_at_rest(bytes: &[u8]) -> Option<String> {
    found(bytes).or_else(|| {
        let at = TOKENS.find(bytes)?;
        Some(String::from_utf8_lossy(&bytes[at.saturating_sub(60)..(at + 60).min(bytes.len())]).into_owned())
    })
}

/// What was found in the log of this process.
static LOGGED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Has every line that this process logs looked at, from now on.
pub fn watch() {
    static WATCHING: Once = Once::new();
    WATCHING.call_once(|| {
        tracing::subscriber::set_global_default(Watch).expect("nobody else takes the log of the tests for all of them");
    });
}

/// Fails if anything was found in the log so far.
pub fn assert_quiet() {
    let logged = std::mem::take(&mut *LOGGED.lock().unwrap());
    assert!(logged.is_empty(), "a secret is in the log: {logged:#?}");
}

/// Fails if anything is found in the files of a folder, those of the database.
pub fn assert_sealed(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        let is_database = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("app.db"));
        if is_database && let Some(found) = found_at_rest(&std::fs::read(&path).unwrap()) {
            panic!("a secret lies in {}: {found}", path.display());
        }
    }
}

struct Watch;

/// The fields of an event as text.
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, "{}={value:?} ", field.name());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = write!(self.0, "{}={value} ", field.name());
    }
}

fn look(text: &Text, metadata: &Metadata<'_>) {
    if let Some(found) = found_at_rest(text.0.as_bytes()) {
        LOGGED.lock().unwrap().push(format!("{} {}: {found}", metadata.level(), metadata.target()));
    }
}

impl Subscriber for Watch {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        look(&text, event.metadata());
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut text = Text::default();
        attributes.record(&mut text);
        look(&text, attributes.metadata());
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn a_secret_is_found_in_every_form_and_nothing_else_is() {
    let percent = encoded(MARKER.as_bytes(), |text, byte| write!(text, "%{byte:02x}").unwrap());
    let mut shown = vec![format!("x{SECRET}y"), format!("a{PASSWORD}"), percent];
    for before in ["", "1", "22", "333"] {
        let text = format!("{before}{MARKER}17-behind");
        shown.push(STANDARD_NO_PAD.encode(&text));
        shown.push(base64::engine::general_purpose::URL_SAFE.encode(&text));
        shown.push(encoded(text.as_bytes(), |text, byte| write!(text, "{byte:02X}").unwrap()));
    }
    for text in shown {
        assert!(found(text.as_bytes()).is_some(), "{text}");
    }
    let token = STANDARD_NO_PAD.encode(r#"{"alg":"HS256","kid":"x"}"#);
    assert!(found(token.as_bytes()).is_none() && found_at_rest(token.as_bytes()).is_some());
    for text in ["", "c", "canar", "Correct-Horse7", &SECRET[1..]] {
        assert_eq!(found(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn what_is_logged_of_a_secret_fails_a_test() {
    // A place of its own: what other tests log at the same time is none of this one's business.
    let mut text = Text::default();
    let _ = write!(text.0, "path=/x?password={PASSWORD} ");
    assert!(found_at_rest(text.0.as_bytes()).is_some());
}
