//! Markup of `editor` fields: measured first, then cleaned, and only what came of it is held against the field. Parsing HTML as browsers do is quadratic
//! in how deep it is nested, and can multiply what was sent; both are bounded before the cleaning begins. Whatever is not small is
//! cleaned in a small pool. It does not know who may write: that is found out before work is given to the pool.

mod census;

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use fastcms_store::schema::{Collection, FieldType};
use serde_json::{Map, Value as Json};
use tokio::sync::Semaphore;

use crate::error::{Error, FieldErrors, Result};

/// Markup up to this length, in bytes and all fields together, is cleaned where it is met; more goes to the pool.
const AT_ONCE: usize = 4 * 1024;
/// Values cleaned at once, and those that may wait.
const WORKERS: usize = 2;
const QUEUE: usize = 64;

/// The data of a record, its markup cleaned. Only this can be held against fields.
#[derive(Debug)]
pub struct Cleaned<'d> {
    data: Cow<'d, Map<String, Json>>,
    faults: FieldErrors,
}

impl<'d> Cleaned<'d> {
    /// Cleans here and now: for what is small, and for admins. Cleaned values of more than `most` bytes are faults.
    pub fn now(collection: &Collection, data: &'d Map<String, Json>, most: usize) -> Self {
        let texts = raw(collection, data).map(|(name, text)| (name.clone(), clean(text, most))).collect();
        Self::with(data, texts)
    }

    fn with(data: &'d Map<String, Json>, texts: Vec<(String, Result<String, String>)>) -> Self {
        let mut cleaned = Self { data: Cow::Borrowed(data), faults: FieldErrors::default() };
        for (name, outcome) in texts {
            match outcome {
                Ok(text) => drop(cleaned.data.to_mut().insert(name, Json::String(text))),
                Err(fault) => {
                    cleaned.data.to_mut().remove(&name);
                    cleaned.faults.add(name, fault);
                }
            }
        }
        cleaned
    }

    /// What is left to look at, and what was found wrong already. Fields of which that is so are not among the data any more.
    pub(super) fn parts(&self) -> (&Map<String, Json>, &FieldErrors) {
        (&self.data, &self.faults)
    }
}

/// Whether cleaning this is more than a moment's work: then nobody has it done who may not write.
pub fn is_dear(collection: &Collection, data: &Map<String, Json>) -> bool {
    raw(collection, data).map(|(_, text)| text.len()).sum::<usize>() > AT_ONCE
}

/// Markup as it was sent. A text without any is what it will be.
fn raw<'d>(collection: &Collection, data: &'d Map<String, Json>) -> impl Iterator<Item = (&'d String, &'d str)> {
    let is_markup = |name: &str| collection.field(name).is_some_and(|field| field.kind == FieldType::Editor);
    let texts = data.iter().filter_map(|(name, json)| Some((name, json.as_str()?)));
    texts.filter(move |(name, text)| !text.is_empty() && !text.contains('\0') && is_markup(name))
}

fn clean(text: &str, most: usize) -> Result<String, String> {
    census::take(text, most)?;
    // A little at a time, as it was counted.
    let document = ammonia::Builder::default().clean_from_reader(Slowly(text.as_bytes()));
    let cleaned = document.map_err(|error| error.to_string())?.to_string();
    if cleaned.len() > most {
        return Err(census::too_long(most));
    }
    Ok(cleaned)
}

/// A text that is read a few bytes at a time.
struct Slowly<'t>(&'t [u8]);

impl io::Read for Slowly<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let some = into.len().min(census::STEP);
        self.0.read(&mut into[..some])
    }
}

/// Where markup is cleaned that is not small.
#[derive(Debug)]
pub struct Cleaning {
    admitted: Semaphore,
    workers: Arc<Semaphore>,
}

impl Default for Cleaning {
    fn default() -> Self {
        Self { admitted: Semaphore::new(WORKERS + QUEUE), workers: Arc::new(Semaphore::new(WORKERS)) }
    }
}

impl Cleaning {
    /// Cleans the markup in `data`, of which no value may have more than `most` bytes then.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when the queue is full.
    pub async fn run<'d>(
        &self,
        collection: &Collection,
        data: &'d Map<String, Json>,
        most: usize,
    ) -> Result<Cleaned<'d>> {
        if !is_dear(collection, data) {
            return Ok(Cleaned::now(collection, data, most));
        }
        let _admitted = self.admitted.try_acquire().map_err(|_| Error::Overloaded { retry_after_seconds: 1 })?;
        let worker = Arc::clone(&self.workers).acquire_owned().await.map_err(Error::internal)?;
        let texts: Vec<_> = raw(collection, data).map(|(name, text)| (name.clone(), text.to_owned())).collect();
        // The place goes along: a caller that gives up does not make room for work that still goes on.
        let work = move || {
            let outcomes = texts.into_iter().map(|(name, text)| (name, clean(&text, most))).collect();
            drop(worker);
            outcomes
        };
        let outcomes = tokio::task::spawn_blocking(work).await.map_err(Error::internal)?;
        Ok(Cleaned::with(data, outcomes))
    }
}
