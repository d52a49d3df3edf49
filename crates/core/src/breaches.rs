//! Passwords that are known from breaches elsewhere (R53). A service is asked with the first five digits of a password's SHA-1 and answers
//! with the rest of all that begin so: what leaves fits a million passwords, and the answer is compared here. Only where
//! `PASSWORD_BREACH_URL` names a service; where it does not answer, nobody is refused for it.
//!
//! How the service is reached is unknown here.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use fastcms_guard::password::{BREACH_PREFIX, breach_digest};
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

/// How long a new password waits for the service.
const PATIENCE: Duration = Duration::from_secs(2);
/// Questions under way; who comes when so many are is not asked for.
const AT_ONCE: usize = 16;

/// Whoever knows breached passwords by the head of their digest.
pub trait Ranges: Send + Sync {
    /// The rest of every digest that begins with `head`, one a line, each with a colon and how often it was seen.
    fn range(&self, head: String) -> BoxFuture<'_, Result<String, String>>;
}

/// The service that is asked, if there is one.
pub struct Breaches {
    service: OnceLock<Box<dyn Ranges>>,
    room: Semaphore,
}

impl Default for Breaches {
    fn default() -> Self {
        Self { service: OnceLock::new(), room: Semaphore::new(AT_ONCE) }
    }
}

impl fmt::Debug for Breaches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaches").field("asks", &self.service.get().is_some()).finish_non_exhaustive()
    }
}

impl Breaches {
    /// Has this service asked from now on. The first one stays.
    pub fn ask_at(&self, service: Box<dyn Ranges>) {
        let _ = self.service.set(service);
    }

    /// Whether this password is known to the service.
    pub(crate) async fn know(&self, password: &str) -> bool {
        let Some(service) = self.service.get() else { return false };
        let Ok(_place) = self.room.try_acquire() else { return false };
        let digest = breach_digest(password);
        let (head, rest) = digest.expose().split_at(BREACH_PREFIX);
        let fault = match tokio::time::timeout(PATIENCE, service.range(head.to_owned())).await {
            Ok(Ok(lines)) => return is_listed(&lines, rest),
            Ok(Err(fault)) => fault,
            Err(_) => "it does not answer in time".to_owned(),
        };
        tracing::warn!(fault, "a new password could not be compared with those of breaches (PASSWORD_BREACH_URL)");
        false
    }
}

/// Whether a digest's rest is among the lines. Lines that were seen no times are padding.
fn is_listed(lines: &str, rest: &str) -> bool {
    lines.lines().filter_map(|line| line.trim().split_once(':')).any(|(known, times)| {
        known.eq_ignore_ascii_case(rest) && times.trim().parse::<u64>().is_ok_and(|times| times > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Says(Result<&'static str, &'static str>);

    impl Ranges for Says {
        fn range(&self, head: String) -> BoxFuture<'_, Result<String, String>> {
            assert_eq!(head, "5BAA6", "nothing but the head leaves");
            Box::pin(async move { self.0.map(str::to_owned).map_err(str::to_owned) })
        }
    }

    async fn knows(says: Says) -> bool {
        let breaches = Breaches::default();
        breaches.ask_at(Box::new(says));
        breaches.know("password").await
    }

    #[tokio::test]
    async fn a_password_is_known_by_the_rest_of_its_digest_alone() {
        let rest = "1E4C9B93F3F0682250B6CF8331B7EE68FD8";
        assert!(is_listed(&format!("00000:4\r\n{rest}:3861493\r\n"), rest));
        assert!(
            knows(Says(Ok("003D68EB55068C33ACE09247EE4C639306B:3\r\n1e4c9b93f3f0682250b6cf8331b7ee68fd8:12\r\n")))
                .await
        );
        assert!(!knows(Says(Ok("1E4C9B93F3F0682250B6CF8331B7EE68FD8:0\r\n"))).await, "padding");
        assert!(!knows(Says(Ok("1E4C9B93F3F0682250B6CF8331B7EE68FD9:3\r\n"))).await);
        assert!(!knows(Says(Ok("<html>not what was asked for</html>"))).await);
    }

    #[tokio::test]
    async fn without_an_answer_nobody_is_refused() {
        assert!(!knows(Says(Err("down"))).await);
        assert!(!Breaches::default().know("password").await);
    }

    struct Silent;

    impl Ranges for Silent {
        fn range(&self, _: String) -> BoxFuture<'_, Result<String, String>> {
            Box::pin(std::future::pending())
        }
    }

    #[tokio::test]
    async fn a_silent_service_is_waited_for_two_seconds_and_by_sixteen_at_once() {
        let breaches = Breaches::default();
        breaches.ask_at(Box::new(Silent));
        let began = tokio::time::Instant::now();
        let all = futures_util::future::join_all((0..40).map(|_| breaches.know("password"))).await;
        assert!(all.iter().all(|known| !known));
        let took = began.elapsed();
        assert!(took >= PATIENCE && took < 5 * PATIENCE, "{took:?}");
    }
}
