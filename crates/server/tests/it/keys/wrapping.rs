//! What is sealed when `SECRET_KEY` changes, comes or was never there.

use fastcms_guard::totp::{STEP_SECONDS, TotpSecret};
use serde_json::{Value, json};

use super::{KEY_B, KEY_C};
use crate::engine::{Engine, run_blocking};
use crate::process::{Answer, PASSWORD, SECRET, Server};
use crate::product::text;
use crate::two_factor::base32;

const LOGIN: &str = "/api/v1/auth/login";
const PRODUCTION: [(&str, &str); 4] = [
    ("ENVIRONMENT", "production"),
    ("BASE_URL", "https://cms.example.com"),
    ("ALLOWED_HOSTS", "127.0.0.1,cms.example.com"),
    ("CORS_ORIGINS", "https://app.example.com"),
];

/// An admin with an authenticator app on a server in development, which is stopped.
struct Enrolled {
    server: Server,
    app: TotpSecret,
    backup: Vec<String>,
}

impl Enrolled {
    fn on(database: &str, settings: &[(&str, &str)]) -> Self {
        let mut server = Server::new(&[("DATABASE_URL", database)]);
        server.set(settings).start();
        let admin = server.set_up();
        let post = |path: &str, body: Value| {
            let answer = server.call("POST", path, Some(&admin), Some(&body));
            assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
            answer.json()
        };
        let app = base32(&text(&post("/api/v1/auth/2fa/setup", json!({}))["secret"]));
        let enabled = post("/api/v1/auth/2fa/enable", json!({"code": app.code(step())}));
        let backup = enabled["backup_codes"].as_array().unwrap().iter().map(text).collect();
        assert!(server.terminate().0.success());
        Self { server, app, backup }
    }

    fn sign_in(&self, code: &str) -> Answer {
        let body = json!({"email": "root@example.com", "password": PASSWORD, "two_factor_code": code});
        self.server.call("POST", LOGIN, None, Some(&body))
    }

    /// Signs in by the app. A step's code is taken once; the one to come is taken already.
    fn app_opens(&self) -> bool {
        let used = step();
        let answer = (0..2).map(|ahead| self.sign_in(&self.app.code(used + ahead))).find(|answer| answer.status == 200);
        answer.is_some()
    }

    fn restart(&mut self, settings: &[(&str, &str)]) {
        assert!(self.server.terminate().0.success());
        self.server.set(settings).start();
    }
}

fn step() -> i64 {
    jiff::Timestamp::now().as_second().div_euclid(STEP_SECONDS)
}

/// R2, R4: with a key of its own for what is sealed, `SECRET_KEY` may be replaced without the one before it.
#[test]
fn an_encryption_key_keeps_what_is_sealed_apart_from_tokens() {
    run_blocking(Engine::Sqlite, |database| {
        let mut enrolled = Enrolled::on(database, &[("ENCRYPTION_KEY", KEY_C)]);
        enrolled.server.set(&PRODUCTION).set(&[("SECRET_KEY", KEY_B)]).start();
        assert!(enrolled.app_opens());
        let status = enrolled.server.run(&["keys", "status", "--json"], "");
        let status: Value = serde_json::from_slice(&status.stdout).unwrap();
        assert_eq!(status["keys"][0]["wrapped"], 0, "{status}");
        enrolled.restart(&[("ENCRYPTION_KEY", SECRET), ("ENCRYPTION_KEY_PREVIOUS", KEY_C)]);
        enrolled.restart(&[("ENCRYPTION_KEY_PREVIOUS", "")]);
        assert_eq!(enrolled.sign_in(&enrolled.backup[0]).status, 200);
        // Back to SECRET_KEY: the one before unwraps where there is none any more.
        enrolled.restart(&[("ENCRYPTION_KEY", ""), ("ENCRYPTION_KEY_PREVIOUS", SECRET)]);
        let status = enrolled.server.run(&["keys", "status", "--json"], "");
        let status: Value = serde_json::from_slice(&status.stdout).unwrap();
        let before = &status["wrappers"][0];
        assert_eq!((&status["keys"][0]["wrapped"], &before["safe_to_remove"]), (&json!(2), &json!(true)), "{status}");
        enrolled.restart(&[("ENCRYPTION_KEY_PREVIOUS", "")]);
        assert_eq!(enrolled.sign_in(&enrolled.backup[1]).status, 200);
    });
}

/// R7: without `SECRET_KEY` what is sealed hangs on a file that is the owner's alone; with one the file is no longer needed, and goes.
#[test]
fn without_a_secret_key_a_file_keeps_what_is_sealed() {
    run_blocking(Engine::Sqlite, |database| {
        let mut enrolled = Enrolled::on(database, &[("SECRET_KEY", "")]);
        let folder = std::path::Path::new(database.strip_prefix("sqlite:///").unwrap()).parent().unwrap();
        let file = folder.join("wrapping-key");
        let first = std::fs::read_to_string(&file).unwrap();
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions()) & 0o777, 0o600);
        enrolled.server.start();
        assert!(enrolled.server.log().contains("SECRET_KEY is not set"), "{}", enrolled.server.log());
        assert!(enrolled.app_opens());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), first);
        enrolled.restart(&[("SECRET_KEY", SECRET)]);
        assert!(!file.exists());
        assert_eq!(enrolled.sign_in(&enrolled.backup[0]).status, 200);
        enrolled.restart(&[]);
        assert_eq!(enrolled.sign_in(&enrolled.backup[1]).status, 200);
        assert_eq!(enrolled.server.run(&["keys", "status"], "").status.code(), Some(0));
    });
}
