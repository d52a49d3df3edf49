//! Redis as the place where nodes share their limits. The windows are computed here and put back only where nobody changed them in
//! between; where somebody did, they are computed again.

use fastcms_guard::limits::Grant;
use fastcms_secrets::Secret;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Script};
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::sharing::Wish;

/// How often windows that others keep changing are computed again before it counts as a failure.
const ATTEMPTS: usize = 32;
/// How long Redis keeps what nobody touches: past an hour nothing of it counts.
const KEPT_MILLIS: u64 = 3_700_000;
const CONNECT_TIMEOUT: Duration = Duration::from_millis(400);

/// Puts each new value where the old one still lies; says of each whether it did.
const SWAP: &str = r"
local done = {}
for i, key in ipairs(KEYS) do
    local found = redis.call('GET', key) or ''
    if found == ARGV[2 * i] then
        redis.call('SET', key, ARGV[2 * i + 1], 'PX', ARGV[1])
        done[i] = 1
    else
        done[i] = 0
    end
end
return done
";

/// A Redis server, connected to when it is first needed, and again whenever it was gone.
pub(super) struct Redis {
    address: Arc<Address>,
    connection: Option<ConnectionManager>,
    swap: Script,
}

/// Where Redis is, and as whom we go there: may change while the server runs.
pub(super) struct Address {
    in_force: Mutex<Secret<String>>,
    /// A connection to another address, which waits to be taken up.
    made: Mutex<Option<ConnectionManager>>,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Address").finish_non_exhaustive()
    }
}

impl Address {
    pub(super) fn new(url: Secret<String>) -> Self {
        Self { in_force: Mutex::new(url), made: Mutex::new(None) }
    }

    /// Puts another address in force once a connection to it was seen to work; whether it is another. Requests never wait for that.
    pub(super) async fn take(&self, url: &Secret<String>) -> Result<bool, String> {
        if lock(&self.in_force).expose() == url.expose() {
            return Ok(false);
        }
        let mut connection = connect(url).await?;
        redis::cmd("PING").exec_async(&mut connection).await.map_err(|error| failed(&error))?;
        *lock(&self.in_force) = url.clone();
        *lock(&self.made) = Some(connection);
        Ok(true)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn connect(url: &Secret<String>) -> Result<ConnectionManager, String> {
    // No text of these errors: they may quote the address, and the password in it.
    let client = Client::open(url.expose().as_str()).map_err(|_| "REDIS_URL is no address of a Redis server")?;
    let config = ConnectionManagerConfig::new()
        .set_number_of_retries(1)
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(CONNECT_TIMEOUT));
    let made = ConnectionManager::new_with_config(client, config).await;
    made.map_err(|error| format!("it cannot be reached ({})", category(&error)))
}

impl Redis {
    pub(super) fn new(address: Arc<Address>) -> Self {
        Self { address, connection: None, swap: Script::new(SWAP) }
    }

    async fn connection(&mut self) -> Result<ConnectionManager, String> {
        if let Some(made) = lock(&self.address.made).take() {
            self.connection = Some(made);
        }
        if let Some(connection) = &self.connection {
            return Ok(connection.clone());
        }
        let url = lock(&self.address.in_force).clone();
        let made = connect(&url).await?;
        self.connection = Some(made.clone());
        Ok(made)
    }

    pub(super) async fn ping(&mut self) -> Result<(), String> {
        let mut connection = self.connection().await?;
        redis::cmd("PING").exec_async(&mut connection).await.map_err(|error| failed(&error))
    }

    /// A grant for each wish, in their order.
    pub(super) async fn fulfil(&mut self, wishes: &[Wish], now: i64) -> Result<Vec<Grant>, String> {
        let mut connection = self.connection().await?;
        let mut grants: Vec<Option<Grant>> = vec![None; wishes.len()];
        for _ in 0..ATTEMPTS {
            let open: Vec<usize> = (0..wishes.len()).filter(|place| grants[*place].is_none()).collect();
            if open.is_empty() {
                break;
            }
            let keys: Vec<String> = open.iter().map(|place| name(&wishes[*place].key)).collect();
            let stored: Vec<Option<Vec<u8>>> =
                redis::cmd("MGET").arg(&keys).query_async(&mut connection).await.map_err(|error| failed(&error))?;
            let mut swap = self.swap.prepare_invoke();
            swap.arg(KEPT_MILLIS);
            let mut computed = Vec::with_capacity(open.len());
            for ((place, key), stored) in open.iter().zip(keys).zip(stored) {
                let stored = stored.unwrap_or_default();
                let (fresh, grant) = wishes[*place].apply(&stored, now);
                swap.key(key).arg(stored).arg(fresh);
                computed.push((*place, grant));
            }
            let done: Vec<u8> = swap
                .invoke_async::<Vec<i64>>(&mut connection)
                .await
                .map_err(|error| failed(&error))?
                .iter()
                .map(|one| u8::from(*one == 1))
                .collect();
            for ((place, grant), _) in computed.into_iter().zip(done).filter(|(_, done)| *done == 1) {
                grants[place] = Some(grant);
            }
        }
        grants
            .into_iter()
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| "other nodes changed the same counts too often".to_owned())
    }
}

fn name(key: &[u8]) -> String {
    key.iter().fold(String::from("fastcms:limits:"), |mut name, byte| {
        let _ = write!(name, "{byte:02x}");
        name
    })
}

fn failed(error: &redis::RedisError) -> String {
    format!("it failed ({})", category(error))
}

fn category(error: &redis::RedisError) -> String {
    error.category().to_owned()
}
