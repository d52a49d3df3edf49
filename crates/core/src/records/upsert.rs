//! Records changed where they exist and made where they do not, under the ids that their sender knows them by.
//!
//! A record that the caller may neither change nor view is treated as if it were not there: the item is then a creation, and what the
//! create rule refuses it refuses in the same words whether or not the id is taken. Only to a caller whose creation is admitted does a
//! taken id show, as [`Error::AlreadyExists`]; no answer could hide that, since under a free id the record would now be there.

use fastcms_expr::RuleKind;
use serde_json::{Map, Value as Json};

use super::batch::{ItemFailure, begin, in_order, object};
use super::create::create_with_id;
use super::update::Access;
use super::{Door, Failure, MAX_ATTEMPTS, create, never_settled, settled, update};
use crate::access::RequestFacts;
use crate::app::App;
use crate::caller::Caller;
use crate::error::{Error, Result};

/// How often an item is looked at anew when its record comes or goes between the look and the write.
const MAX_LOOKS: usize = 3;

/// What became of the items of an upsert.
#[derive(Debug, Default)]
pub struct UpsertOutcome {
    pub created: usize,
    pub updated: usize,
    /// The records as they stand, in the order of their items, as JSON.
    pub records: Vec<Vec<u8>>,
    pub failures: Vec<ItemFailure>,
}

/// What an item turned out to be.
enum Stored {
    Created(Vec<u8>),
    Updated(Vec<u8>),
}

/// What an item has to be, by what the caller may know of its record.
enum Way {
    Create,
    Update,
}

/// Changes the record that each item names by `id`, makes it under that id where there is none, and under a new one without `id`. A
/// refused change is a failure, never another record.
pub async fn upsert(
    caller: &Caller,
    app: &App,
    request: RequestFacts<'_>,
    collection: &str,
    items: &[Json],
) -> Result<UpsertOutcome> {
    let request = begin(caller, app, request, collection, "records", items.len())?;
    let stored = items.iter().map(|item| store(caller, app, request, collection, item)).collect();
    let mut outcome = UpsertOutcome::default();
    for (index, answer) in in_order(stored).await.into_iter().enumerate() {
        match answer {
            Ok(Stored::Created(record)) => {
                outcome.created += 1;
                outcome.records.push(record);
            }
            Ok(Stored::Updated(record)) => {
                outcome.updated += 1;
                outcome.records.push(record);
            }
            Err(error) => outcome.failures.push(ItemFailure { index, error }),
        }
    }
    Ok(outcome)
}

async fn store(caller: &Caller, app: &App, request: RequestFacts<'_>, collection: &str, item: &Json) -> Result<Stored> {
    let mut data = object(item)?.clone();
    let id = match data.shift_remove("id") {
        None | Some(Json::Null) => {
            let created = create(caller, app, request, collection, &data).await?;
            return Ok(Stored::Created(created.record));
        }
        Some(Json::String(id)) => Id::of(id),
        Some(_) => return Err(Error::field("id", "Must be a string (record ID)")),
    };
    let mut passed = Error::NotFound;
    for _ in 0..MAX_LOOKS {
        let stored = match way(caller, app, request, collection, &id.text, &data).await? {
            Way::Update => update(caller, app, request, collection, &id.text, &data).await.map(Stored::Updated),
            Way::Create if !id.is_uuid => return Err(Error::field("id", "Must be a UUID")),
            Way::Create => {
                let created = create_with_id(caller, app, request, collection, &data, Some(&id.text)).await;
                created.map(|created| Stored::Created(created.record))
            }
        };
        match stored {
            // It went, or it came; or it is there and not for this caller's eyes, which the next look will not change.
            Err(error @ (Error::NotFound | Error::AlreadyExists(_))) => passed = error,
            settled => return settled,
        }
    }
    Err(passed)
}

/// An id as it was sent; a UUID in its one written form, since the same in capitals is no other record.
struct Id {
    text: String,
    is_uuid: bool,
}

impl Id {
    fn of(text: String) -> Self {
        match uuid::Uuid::try_parse(&text) {
            Ok(uuid) if text.len() == uuid::fmt::Hyphenated::LENGTH => {
                Self { text: uuid.hyphenated().to_string(), is_uuid: true }
            }
            _ => Self { text, is_uuid: false },
        }
    }
}

async fn way(
    caller: &Caller,
    app: &App,
    request: RequestFacts<'_>,
    collection: &str,
    id: &str,
    data: &Map<String, Json>,
) -> Result<Way> {
    if id.contains('\0') {
        return Ok(Way::Create);
    }
    for _ in 0..MAX_ATTEMPTS {
        let door = Door::open(caller, app, request, collection)?.with_data(data);
        let look = match Access::on_the_way(&door, RuleKind::Update).precheck(&door, id).await {
            Ok(()) => Ok(Way::Update),
            Err(Failure::Final(Error::NotFound)) => Ok(Way::Create),
            Err(failure) => Err(failure),
        };
        if let Some(way) = settled(app, look).await? {
            return Ok(way);
        }
    }
    Err(never_settled())
}
