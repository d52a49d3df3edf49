//! Hashing in a bounded pool.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use argon2::Block;
use fastcms_secrets::Secret;
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization;

use super::MAX_BYTES;
use super::stored::{self, Argon2Hash, SALT_BYTES, Stored};
use crate::ids::{self, Rng};

/// How many may wait for a hash where nothing else is said; one more is refused.
pub const DEFAULT_QUEUE: usize = 64;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Too many wait already: try again later (503).
    #[error("too many passwords are being hashed")]
    Overloaded,
    /// A NUL, or far too long: no policy lets it through, so nothing is stored of it.
    #[error("the text cannot be a password")]
    Unfit,
    /// The hash could not be computed: parameters out of bounds, or the runtime is shutting down.
    #[error("the password could not be hashed")]
    Failed,
}

/// Whether a password is the stored one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Match {
        /// The stored hash is of an older kind or weaker than one made now: replace it, the
        /// password being at hand.
        needs_rehash: bool,
    },
    /// It is not, or there is no such account, or what is stored is no hash at all. All take the
    /// time of one hash.
    Mismatch,
}

impl Verdict {
    /// Whether the password is the stored one.
    pub const fn is_match(self) -> bool {
        matches!(self, Self::Match { .. })
    }
}

/// What one Argon2id hash costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes, computed one after another.
    pub lanes: u32,
}

impl Cost {
    /// OWASP Password Storage cheat sheet: m = 19 MiB, t = 2, p = 1.
    pub const RECOMMENDED: Self = Self { memory_kib: 19_456, passes: 2, lanes: 1 };

    /// Whether this is weaker than the recommendation.
    pub const fn is_weak(self) -> bool {
        self.memory_kib < Self::RECOMMENDED.memory_kib || self.passes < Self::RECOMMENDED.passes
    }
}

/// Makes and checks password hashes: so many at once, so many waiting, no more. Cheap to clone.
///
/// The 19 MiB a hash works in go from one job to the next while there is work, and are freed when
/// there is none.
#[derive(Clone)]
pub struct Hasher {
    pool: Arc<Pool>,
}

struct Pool {
    cost: Cost,
    rng: Arc<dyn Rng>,
    /// Jobs that run.
    slots: Arc<Semaphore>,
    /// Jobs that run or wait.
    admitted: AtomicUsize,
    limit: usize,
    /// Memory of jobs that are done, while others are not. Never more pieces than slots.
    spare: Mutex<Vec<Vec<Block>>>,
    computed: AtomicU64,
    compared: AtomicU64,
}

/// The right to run or wait, for one hash; the last one to leave frees the memory.
///
/// Whoever does something before a hash that must not be done in vain (count a guess, say) asks for this first.
pub struct Admission(Arc<Pool>);

impl std::fmt::Debug for Admission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Admission")
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if self.0.admitted.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.spare().clear();
        }
    }
}

impl Pool {
    fn spare(&self) -> std::sync::MutexGuard<'_, Vec<Vec<Block>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_memory<T>(&self, job: impl FnOnce(&mut Vec<Block>) -> T) -> T {
        let mut memory = self.spare().pop().unwrap_or_default();
        let result = job(&mut memory);
        self.computed.fetch_add(1, Ordering::Relaxed);
        self.spare().push(memory);
        result
    }

    /// As much work as checking a password, with nothing to check it against.
    fn burn(&self, password: &str) {
        let head = &password[..password.floor_char_boundary(MAX_BYTES)];
        let hash = self.with_memory(|memory| Argon2Hash::make(head, [0; SALT_BYTES], self.cost, memory));
        std::hint::black_box(hash);
    }

    fn verify(&self, password: &str, stored: Option<&str>) -> Verdict {
        let stored = stored.filter(|_| is_fit(password)).and_then(Stored::parse);
        self.compared.fetch_add(u64::from(stored.is_some()), Ordering::Relaxed);
        let (matches, needs_rehash) = match &stored {
            None => {
                self.burn(password);
                (false, false)
            }
            Some(Stored::Argon2(hash)) => {
                let normal = Secret::new(normal_form(password));
                let matches = self.with_memory(|memory| hash.matches(normal.expose(), memory));
                (matches, hash.is_weaker_than(self.cost))
            }
            Some(Stored::Bcrypt(hash)) => {
                self.computed.fetch_add(1, Ordering::Relaxed);
                (stored::bcrypt_matches(password, hash), true)
            }
        };
        if matches { Verdict::Match { needs_rehash } } else { Verdict::Mismatch }
    }
}

impl Hasher {
    /// The pool of production: recommended cost, half the cores (at least one) at once,
    /// [`DEFAULT_QUEUE`] waiting.
    pub fn new(rng: Arc<dyn Rng>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self::with_limits(rng, Cost::RECOMMENDED, (cores / 2).max(1), DEFAULT_QUEUE)
    }

    /// A pool of `concurrency` hashes at once (at least one) and `queue` more waiting.
    pub fn with_limits(rng: Arc<dyn Rng>, cost: Cost, concurrency: usize, queue: usize) -> Self {
        let concurrency = concurrency.clamp(1, Semaphore::MAX_PERMITS);
        let pool = Pool {
            cost,
            rng,
            slots: Arc::new(Semaphore::new(concurrency)),
            admitted: AtomicUsize::new(0),
            limit: concurrency.saturating_add(queue),
            spare: Mutex::default(),
            computed: AtomicU64::new(0),
            compared: AtomicU64::new(0),
        };
        Self { pool: Arc::new(pool) }
    }

    /// The string to store for `password`: Argon2id in PHC form, under a fresh salt.
    ///
    /// # Errors
    /// [`HashError::Overloaded`] at once when the queue is full; [`HashError::Unfit`] for a text no
    /// policy lets through.
    pub async fn hash(&self, password: Secret<String>) -> Result<String, HashError> {
        if !is_fit(password.expose()) {
            return Err(HashError::Unfit);
        }
        let job = move |pool: &Pool| {
            let normal = Secret::new(normal_form(password.expose()));
            let salt = ids::bytes::<SALT_BYTES>(&*pool.rng);
            pool.with_memory(|memory| Argon2Hash::make(normal.expose(), salt, pool.cost, memory))
        };
        self.run(self.admit()?, job).await?.map(|hash| hash.to_string()).ok_or(HashError::Failed)
    }

    /// Whether `password` is the one `stored` was made of. `None` (no such account), an unknown
    /// format and a text that can be no password all cost one hash and match nothing.
    ///
    /// A bcrypt string takes bcrypt's time: a caller that must not show which kind is stored waits
    /// for a common deadline.
    ///
    /// # Errors
    /// [`HashError::Overloaded`] at once when the queue is full.
    pub async fn verify(&self, password: Secret<String>, stored: Option<&str>) -> Result<Verdict, HashError> {
        self.verify_admitted(self.admit()?, password, stored).await
    }

    /// As [`Hasher::verify`], on a place in the queue that was taken before.
    ///
    /// # Errors
    /// [`HashError::Failed`] while the runtime shuts down.
    pub async fn verify_admitted(
        &self,
        admission: Admission,
        password: Secret<String>,
        stored: Option<&str>,
    ) -> Result<Verdict, HashError> {
        let stored = stored.map(str::to_owned);
        self.run(admission, move |pool| pool.verify(password.expose(), stored.as_deref())).await
    }

    /// Jobs running or waiting now.
    pub fn admitted(&self) -> usize {
        self.pool.admitted.load(Ordering::Relaxed)
    }

    /// Hashes computed since the start, those against nothing included.
    pub fn computed(&self) -> u64 {
        self.pool.computed.load(Ordering::Relaxed)
    }

    /// Those of them that a password was compared with: the others took their time for nobody.
    pub fn compared(&self) -> u64 {
        self.pool.compared.load(Ordering::Relaxed)
    }

    async fn run<T: Send + 'static>(
        &self,
        admission: Admission,
        job: impl FnOnce(&Pool) -> T + Send + 'static,
    ) -> Result<T, HashError> {
        let slot = Arc::clone(&self.pool.slots).acquire_owned().await.map_err(|_| HashError::Failed)?;
        // Slot and admission go along: a caller that gives up does not make room for work that
        // still goes on.
        let work = move || {
            let result = job(&admission.0);
            drop(slot);
            result
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| HashError::Failed)
    }

    /// Takes a place in the queue.
    ///
    /// # Errors
    /// [`HashError::Overloaded`] at once when the queue is full.
    pub fn admit(&self) -> Result<Admission, HashError> {
        let limit = self.pool.limit;
        let more = |admitted| (admitted < limit).then_some(admitted + 1);
        match self.pool.admitted.fetch_update(Ordering::AcqRel, Ordering::Relaxed, more) {
            Ok(_) => Ok(Admission(Arc::clone(&self.pool))),
            Err(_) => Err(HashError::Overloaded),
        }
    }
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hasher")
            .field("cost", &self.pool.cost)
            .field("admitted", &self.admitted())
            .finish_non_exhaustive()
    }
}

fn is_fit(password: &str) -> bool {
    password.len() <= MAX_BYTES && !password.contains('\0')
}

fn normal_form(password: &str) -> String {
    // Room for the longest outcome, so that growing leaves no copy behind in freed memory.
    let mut text = String::with_capacity(password.len().saturating_mul(3));
    text.extend(password.nfc());
    text
}

#[cfg(test)]
mod tests;
