//! Whose turn it is to look through records. A search that walks a table takes one of the store's few seats for scans, and may take long;
//! so that nobody keeps them all, guests together have half of them and accounts together half, of which no caller has more than half,
//! and guests less time. Who reads all records by a permission waits for nobody here. Reads that take a handful of steps never come here.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastcms_guard::limits::Identity;
use fastcms_store::{Plan, TIME_BUDGET};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::access::Permission;
use crate::caller::{Caller, Channel};
use crate::error::{Error, Result};
use crate::limits;

/// How long a scan of a guest may take (as long as a view, contract 16).
const GUEST_BUDGET: Duration = Duration::from_secs(2);
/// How long it may wait for its turn before: longer than those take that may be ahead of it.
const GUEST_PATIENCE: Duration = Duration::from_secs(6);
/// Scans of one caller that may wait.
const WAITING_EACH: usize = 32;
/// Scans of all guests, or of all accounts, that may wait.
const WAITING: usize = 256;
/// What those are told to wait, seconds, who did not get a turn.
const RETRY_AFTER_SECONDS: u64 = 2;

/// The seats for scans, and who sits on them.
#[derive(Debug)]
pub struct Turns {
    guests: Share,
    accounts: Share,
}

/// A turn. It ends with the scan.
#[derive(Debug)]
pub(super) struct Turn {
    /// The store's own limit, or a shorter one.
    pub plan: Plan,
    _permit: Option<Seat>,
}

impl Turns {
    /// For a store in which this many scans run at once.
    pub fn new(scans: usize) -> Self {
        let half = (scans / 2).max(1);
        Self { guests: Share::new(half), accounts: Share::new(half) }
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when too many wait, or none came in time.
    pub(super) async fn take(&self, caller: &Caller) -> Result<Turn> {
        if caller.holds(Permission::RecordsRead) {
            return Ok(Turn { plan: Plan::Scan, _permit: None });
        }
        let (share, identity, patience, plan) = match caller.account() {
            Some(account) => (&self.accounts, limits::of_account(account), TIME_BUDGET, Plan::Scan),
            None => (&self.guests, of_guest(caller), GUEST_PATIENCE, Plan::Within(GUEST_BUDGET)),
        };
        let overloaded = Error::Overloaded { retry_after_seconds: RETRY_AFTER_SECONDS };
        match tokio::time::timeout(patience, share.take(identity)).await {
            Ok(Some(seat)) => Ok(Turn { plan, _permit: Some(seat) }),
            Ok(None) | Err(_) => Err(overloaded),
        }
    }
}

fn of_guest(caller: &Caller) -> Identity {
    Identity::of_address(match &caller.channel {
        Channel::Network(client) => client.address,
        Channel::CommandLine | Channel::Background => IpAddr::from([127, 0, 0, 1]),
    })
}

/// The seats that many callers share.
#[derive(Debug)]
struct Share {
    seats: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
    /// Most seats of one caller.
    each: usize,
    callers: Callers,
}

/// How many scans of a caller run or wait, and the seats that are theirs at most. Who has none is not among them.
type Callers = Arc<Mutex<HashMap<Identity, (usize, Arc<Semaphore>)>>>;

/// A seat, given back when this goes; its own seat before that of all, and its entry among the callers last.
#[derive(Debug)]
struct Seat {
    _permit: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
    _place: Place,
    _admitted: OwnedSemaphorePermit,
}

impl Share {
    fn new(seats: usize) -> Self {
        Self {
            seats: Arc::new(Semaphore::new(seats)),
            admitted: Arc::new(Semaphore::new(seats + WAITING)),
            each: seats.div_ceil(2),
            callers: Arc::default(),
        }
    }

    /// `None` when too many wait.
    async fn take(&self, identity: Identity) -> Option<Seat> {
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().ok()?;
        let (place, own) = self.place(identity)?;
        // First among one's own, then among all: a caller who asks much waits for himself.
        let own = own.acquire_owned().await.ok()?;
        let seat = Arc::clone(&self.seats).acquire_owned().await.ok()?;
        Some(Seat { _permit: seat, _own: own, _place: place, _admitted: admitted })
    }

    fn place(&self, identity: Identity) -> Option<(Place, Arc<Semaphore>)> {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = callers.entry(identity).or_insert_with(|| (0, Arc::new(Semaphore::new(self.each))));
        if entry.0 >= self.each + WAITING_EACH {
            return None;
        }
        entry.0 += 1;
        Some((Place { identity, callers: Arc::clone(&self.callers) }, Arc::clone(&entry.1)))
    }
}

/// A scan of one caller, running or waiting.
#[derive(Debug)]
struct Place {
    identity: Identity,
    callers: Callers,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = callers.get_mut(&self.identity) {
            entry.0 -= 1;
            if entry.0 == 0 {
                callers.remove(&self.identity);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest(last: u8) -> Identity {
        Identity::of_address(IpAddr::from([203, 0, 113, last]))
    }

    #[tokio::test]
    async fn one_caller_waits_for_himself_while_others_get_their_turn() {
        let share = Share::new(4);
        let (_first, _second) = (share.take(guest(1)).await.unwrap(), share.take(guest(1)).await.unwrap());
        let third = tokio::time::timeout(Duration::from_millis(20), share.take(guest(1)));
        assert!(third.await.is_err(), "half of the seats are one caller's");
        assert!(share.take(guest(2)).await.is_some());
    }

    #[tokio::test]
    async fn those_who_wait_are_counted_and_forgotten() {
        use futures_util::FutureExt;

        let share = Share::new(1);
        let seat = share.take(guest(1)).await.unwrap();
        {
            let mut waiting: Vec<_> = (0..WAITING_EACH).map(|_| Box::pin(share.take(guest(1)))).collect();
            for one in &mut waiting {
                assert!(one.as_mut().now_or_never().is_none());
            }
            assert!(share.take(guest(1)).await.is_none(), "no more wait");
        }
        drop(seat);
        assert!(share.callers.lock().unwrap().is_empty());
        assert_eq!(share.admitted.available_permits(), 1 + WAITING);
        assert!(share.take(guest(1)).await.is_some());
    }
}
