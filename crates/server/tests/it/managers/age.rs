//! Secrets in files of age that the tool of that name wrote, with the real binary.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::load::under_load;
use super::{GRACE, REFRESH, refusal, signing_key, wait_for};
use crate::canary::found;
use crate::keys::forge;
use crate::process::{PASSWORD, Server};

const KEY_ONE: &str = "canary-1-4f1c0a9be37d52680c1f9e4ab7d33655-canary";
const KEY_TWO: &str = "canary-2-10e2c98f7ab6d4e3f2019c8b7a6d5e4f-canary";

/// A key pair of `age-keygen`.
pub struct KeyPair {
    folder: TempDir,
    recipient: String,
}

impl KeyPair {
    pub fn make() -> Self {
        let folder = TempDir::new().unwrap();
        let made = Command::new("age-keygen").arg("-o").arg(folder.path().join("identity")).output().unwrap();
        let said = String::from_utf8(made.stderr).unwrap();
        assert!(made.status.success(), "{said}");
        let recipient = said.trim().rsplit(' ').next().unwrap().to_owned();
        assert!(recipient.starts_with("age1"), "{said}");
        Self { folder, recipient }
    }

    /// The file with the private key.
    pub fn identity(&self) -> PathBuf {
        self.folder.path().join("identity")
    }

    /// Encrypts a text to this key pair and puts it there in one step, as whoever deploys should.
    pub fn encrypt(&self, to: &Path, text: &str) {
        encrypt(to, text.as_bytes(), &["-r", &self.recipient]);
    }
}

/// Encrypts with the tool itself.
fn encrypt(to: &Path, text: &[u8], arguments: &[&str]) {
    let fresh = to.with_extension("new");
    let mut age = Command::new("age").args(arguments).arg("-o").arg(&fresh).stdin(Stdio::piped()).spawn().unwrap();
    age.stdin.take().unwrap().write_all(text).unwrap();
    assert!(age.wait().unwrap().success());
    std::fs::rename(fresh, to).unwrap();
}

/// A server that is told of the identity, with `settings`.
fn server(pair: &KeyPair, settings: &[(&str, &str)]) -> Server {
    let mut server =
        Server::new(&[("SECRET_KEY", ""), ("SECRETS_AGE_IDENTITY_FILE", pair.identity().to_str().unwrap())]);
    server.set(settings);
    server
}

/// An access token like this one under another key.
fn under(key: &str, token: &str) -> String {
    forge::honest(key, forge::ACCESS, &forge::read(token).1)
}

#[test]
fn a_key_in_a_file_of_age_is_followed_under_load_when_the_file_is_encrypted_anew() {
    let pair = KeyPair::make();
    let refresh = REFRESH.to_string();
    let by_reference = [("SECRET_KEY", "age:secrets.age#SECRET_KEY"), ("SECRETS_REFRESH_SECONDS", refresh.as_str())];
    let whole_file = [("SECRETS_AGE_FILE", "secrets.age"), ("SECRETS_REFRESH_SECONDS", refresh.as_str())];
    for settings in [by_reference, whole_file] {
        let mut server = server(&pair, &settings);
        let file = server.folder.path().join("secrets.age");
        pair.encrypt(&file, &format!("# ours\nSECRET_KEY={KEY_ONE}\nSMTP_PASSWORD='canary password'\n"));
        server.start();
        let admin = server.set_up();
        assert_eq!(signing_key(&server), forge::kid(KEY_ONE));
        let verifies = || server.call("GET", "/api/v1/auth/me", Some(&under(KEY_TWO, &admin)), None).status == 200;
        assert!(!verifies());
        let (ahead, tally) = under_load(&server, &admin, || {
            pair.encrypt(&file, &format!("SECRET_KEY={KEY_TWO}\n"));
            let patience = Duration::from_secs(REFRESH) * 3 + GRACE * 5;
            wait_for("the new key verifies", patience, verifies);
            let verified = Instant::now();
            wait_for("and signs", patience, || signing_key(&server) == forge::kid(KEY_TWO));
            verified.elapsed()
        });
        assert!(
            ahead > Duration::from_secs(REFRESH) / 2,
            "it signs at once, where other nodes may not know it: {ahead:?}"
        );
        assert!(tally.faults.is_empty(), "{} of {:?}: {:?}", tally.faults.len(), tally.answers, tally.faults.first());
        assert_eq!(server.call("GET", "/api/v1/auth/me", Some(&admin), None).status, 200, "the key before verifies");
        assert_silent(&server);
        // Half a file, as whoever does not write in one step leaves it for a moment.
        let whole = std::fs::read(&file).unwrap();
        std::fs::write(&file, &whole[..whole.len() - 3]).unwrap();
        wait_for("it is said", GRACE * 5, || server.log().contains("those in force stay"));
        assert!(server.log().contains("changed or cut off"), "{}", server.log());
        assert_eq!(signing_key(&server), forge::kid(KEY_TWO));
        assert_silent(&server);
    }
}

/// Nothing of what is inside, and nothing of the identity, is anywhere outside the process.
fn assert_silent(server: &Server) {
    let is_clean = |bytes: &[u8], place: &str| {
        assert_eq!(found(bytes), None, "{place}");
        assert!(!String::from_utf8_lossy(bytes).contains("AGE-SECRET-KEY"), "{place}");
    };
    for file in ["environ", "cmdline"] {
        is_clean(&std::fs::read(format!("/proc/{}/{file}", server.pid())).unwrap(), file);
    }
    for entry in std::fs::read_dir(server.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            is_clean(&std::fs::read(&path).unwrap(), &path.display().to_string());
        }
    }
    for arguments in [&["config"][..], &["config", "--json"], &["secrets", "list"], &["secrets", "check"]] {
        let output = server.run(arguments, "");
        is_clean(&[output.stdout, output.stderr].concat(), &arguments.join(" "));
    }
}

#[test]
fn every_form_that_the_tool_writes_is_read() {
    let (pair, other) = (KeyPair::make(), KeyPair::make());
    let server = server(&pair, &[("SECRETS_AGE_FILE", "secrets.age")]);
    let file = server.folder.path().join("secrets.age");
    let recipients = server.folder.path().join("recipients");
    std::fs::write(&recipients, format!("# both\n{}\n{}\n", other.recipient, pair.recipient)).unwrap();
    let (ours, theirs, list) = (pair.recipient.as_str(), other.recipient.as_str(), recipients.to_str().unwrap());
    let identity = pair.identity();
    let long = format!("{}APP_NAME=inside\n", "# many chunks of text\n".repeat(20_000));
    for (arguments, text) in [
        (&["-r", ours][..], "APP_NAME=inside\n"),
        (&["-a", "-r", ours], "APP_NAME=inside\n"),
        (&["-r", theirs, "-r", ours], "APP_NAME=inside"),
        (&["-a", "-R", list], "\u{feff}export APP_NAME='inside'\r\n"),
        (&["-e", "-i", identity.to_str().unwrap()], "APP_NAME=inside"),
        (&["-a", "-r", ours], &long),
    ] {
        encrypt(&file, text.as_bytes(), arguments);
        let output = server.run(&["config", "--json"], "");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let row = said.split('{').find(|row| row.contains("\"APP_NAME\"")).unwrap_or_default();
        assert!(
            output.status.success() && row.contains("\"inside\"") && row.contains("#APP_NAME"),
            "{arguments:?}: {row}"
        );
    }
    encrypt(&file, b"", &["-r", ours]);
    assert!(server.run(&["config"], "").status.success());
}

#[test]
fn what_was_tampered_with_is_refused_and_nothing_of_it_is_shown() {
    let (pair, other) = (KeyPair::make(), KeyPair::make());
    let server = server(&pair, &[("SECRETS_AGE_FILE", "secrets.age")]);
    let file = server.folder.path().join("secrets.age");
    let sound = |arguments: &[&str]| {
        encrypt(&file, format!("SECRET_KEY={KEY_ONE}\n{}", "# canary\n".repeat(10_000)).as_bytes(), arguments);
        std::fs::read(&file).unwrap()
    };
    let (binary, armored) = (sound(&["-r", &pair.recipient]), sound(&["-a", "-r", &pair.recipient]));
    let strangers = sound(&["-r", &other.recipient]);
    let changed = |at: usize| {
        let mut changed = binary.clone();
        // Another letter of base64, so that it is the meaning that is wrong.
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        changed
    };
    let header_end = binary.windows(5).position(|five| five == b"\n--- ").unwrap();
    let garbage = [&armored[..200], b"!!garbage!!\n", &armored[200..]].concat();
    let huge = [b"age-encryption.org/v1\n".to_vec(), b"-> other kind\n\n".repeat(20_000)].concat();
    for (what, content, told) in [
        ("a changed recipient", changed(40), "is denied (none of the identities"),
        ("a changed HMAC", changed(header_end + 10), "its header was changed"),
        ("a changed first chunk", changed(header_end + 100), "its content was changed or cut off"),
        ("a changed last chunk", changed(binary.len() - 20), "its content was changed or cut off"),
        (
            "the first chunk alone",
            binary[..header_end + 49 + 16 + 65_536 + 16].to_vec(),
            "its content was changed or cut off",
        ),
        ("half a header", binary[..60].to_vec(), "is cut off"),
        ("another's file", strangers, "is denied (none of the identities"),
        ("armor with garbage", garbage, "its armor is damaged"),
        ("half an armor", armored[..armored.len() / 2].to_vec(), "its armor is damaged"),
        ("nothing", Vec::new(), "it is no file of age"),
        ("plain text", format!("SECRET_KEY={KEY_ONE}\n").into_bytes(), "it is no file of age"),
        ("a huge header", huge, "is larger than 64 KiB"),
        ("a huge file", vec![b'-'; 2 << 20], "is larger than 1 MiB"),
    ] {
        std::fs::write(&file, content).unwrap();
        let said = refusal(&server, Duration::from_secs(20));
        assert!(said.contains("SECRETS_AGE_FILE") && said.contains(told), "{what}: {said}");
        assert_eq!(found(said.as_bytes()), None, "{what}");
    }
}

#[test]
fn faults_of_files_of_age_are_said_with_all_others() {
    let pair = KeyPair::make();
    let server = server(
        &pair,
        &[
            ("SECRET_KEY", "age:none.age#SECRET_KEY"),
            ("SMTP_PASSWORD", "age:secrets.age#SMTP_PASSWORD"),
            ("ENCRYPTION_KEY", "age:secrets.age#"),
            ("APP_PORT", "x"),
        ],
    );
    pair.encrypt(&server.folder.path().join("secrets.age"), "OTHER=canary\n");
    let said = refusal(&server, Duration::from_secs(20));
    for line in [
        "SECRET_KEY: `age:none.age#SECRET_KEY` is not there (no such file)",
        "SMTP_PASSWORD: `age:secrets.age#SMTP_PASSWORD` is not there (no field `SMTP_PASSWORD`)",
        "ENCRYPTION_KEY: begins like a reference, but is not `age:/path` or `age:/path#field`",
        "APP_PORT: ",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert_eq!(found(said.as_bytes()), None);
}

/// We hold no recipient to encrypt to, and the file may be under version control: it is changed where it was made.
#[test]
fn a_key_in_a_file_of_age_is_not_rotated_from_here() {
    let pair = KeyPair::make();
    let mut server = server(&pair, &[("SECRETS_AGE_FILE", "secrets.age")]);
    let file = server.folder.path().join("secrets.age");
    pair.encrypt(&file, &format!("SECRET_KEY={KEY_ONE}\n"));
    let before = std::fs::read(&file).unwrap();
    server.start();
    let admin = server.set_up();
    let body = serde_json::json!({"password": PASSWORD});
    let answer = server.call("POST", "/api/v1/admin/secrets/SECRET_KEY/rotate", Some(&admin), Some(&body));
    assert_eq!(answer.status, 409, "{answer:?}");
    assert!(String::from_utf8_lossy(&answer.body).contains("secrets.age#SECRET_KEY: change it there"), "{answer:?}");
    let listed = server.call("GET", "/api/v1/admin/secrets", Some(&admin), None).json().to_string();
    assert!(listed.contains("secrets.age#SECRET_KEY") && listed.contains("SECRETS_AGE_IDENTITY"), "{listed}");
    let refused = server.run(&["keys", "rotate", "--yes"], "");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("change it there"), "{said}");
    assert_eq!(std::fs::read(&file).unwrap(), before);
}
