//! How long a start waits for a manager: all of the time that was given, and not a pause longer.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fastcms_core::config::Sources;
use fastcms_core::secrets;
use fastcms_guard::ids::SystemRng;

use super::listener;

#[tokio::test]
async fn a_start_asks_until_the_time_that_it_was_given_is_over() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let times = Arc::clone(&asked);
    let began = Instant::now();
    let port = listener::plain(move |_| {
        times.lock().unwrap().push(began.elapsed());
        Some((503, None, r#"{"errors":["Vault is sealed"]}"#.to_owned()))
    });
    let environment = [
        ("SECRET_KEY", "vault:secret/fastcms/prod#SECRET_KEY"),
        ("VAULT_ADDR", &format!("http://127.0.0.1:{port}")),
        ("VAULT_TOKEN", "a-token"),
        ("SECRETS_BOOT_TIMEOUT", "3"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let (found, _) = secrets::gather(Sources { environment, ..Sources::default() }, &SystemRng).await;
    assert!(found.resolved.values().all(Result::is_err));
    let last = asked.lock().unwrap().last().copied().unwrap();
    // Pauses of a quarter, a half and a whole second, and the next would be too long: somebody who answers after two is not too late.
    assert!(last >= Duration::from_secs(3), "{last:?}");
}
