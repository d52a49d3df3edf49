//! Records: made, read, changed and deleted by whoever the collection's rules admit. A rule is part of the statement that reads or
//! writes, or is decided in the same transaction; nothing is read first and filtered later.

mod batch;
pub(crate) mod belongings;
mod bulk;
mod create;
mod delete;
mod expand;
mod get;
mod list;
mod own;
mod password;
pub(crate) mod pointers;
mod turns;
mod update;
mod upsert;

pub use batch::{BatchOutcome, ItemFailure, MAX_ITEMS, create_many};
pub use bulk::{delete_many, update_many};
pub(crate) use create::create_at_the_door;
pub use create::{Created, create};
pub use delete::delete;
pub use get::get;
pub use list::{ListParameters, MAX_WINDOW, Page, list};
pub use own::own;
pub use turns::Turns;
pub use update::update;
pub use upsert::{UpsertOutcome, upsert};

use std::sync::Arc;

use fastcms_expr::{Predicate, RuleKind};
use fastcms_store::predicate::Sight;
use fastcms_store::records::{Shape, View};
use fastcms_store::schema::{Collection, CollectionKind, Schema};
use fastcms_store::{BoxFuture, Plan, Reader};
use jiff::Timestamp;
use serde_json::{Map, Value as Json};

use crate::access::{self, Facts, RequestFacts};
use crate::app::App;
use crate::caller::Caller;
use crate::error::{Error, Result};

/// How often an operation starts again when collections change under it.
const MAX_ATTEMPTS: usize = 5;
/// How long it waits before that.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(5);

/// One request at the door of one collection, with the snapshot it is served from.
#[derive(Clone)]
struct Door<'a> {
    caller: &'a Caller,
    app: &'a App,
    request: RequestFacts<'a>,
    schema: Arc<Schema>,
    collection: Arc<Collection>,
    data: Option<&'a Map<String, Json>>,
    now: Timestamp,
}

impl<'a> Door<'a> {
    fn open(caller: &'a Caller, app: &'a App, request: RequestFacts<'a>, collection: &str) -> Result<Self> {
        app.following.check()?;
        let schema = app.schema.load_full();
        let collection = schema.by_name(collection).cloned().ok_or(Error::NotFound)?;
        if collection.kind() == CollectionKind::View {
            return Err(Error::WrongCollectionType);
        }
        let now = Timestamp::from_millisecond(app.now_millis()).map_err(Error::internal)?;
        Ok(Self { caller, app, request, schema, collection, data: None, now })
    }

    fn with_data(self, data: &'a Map<String, Json>) -> Self {
        Self { data: Some(data), ..self }
    }

    fn facts(&self) -> Facts<'_> {
        Facts { caller: self.caller, request: self.request, schema: &self.schema, data: self.data }
    }

    fn rule(&self, kind: RuleKind) -> Result<Predicate> {
        access::rule(&self.facts(), &self.collection, kind, self.now)
    }

    /// The collection as this caller sees it, all visible fields shown.
    fn view(&self) -> View {
        self.view_with(access::sight(&self.facts(), &self.collection, std::iter::empty(), self.now), Shape::all())
    }

    fn view_with(&self, sight: Sight, shape: Shape) -> View {
        View {
            schema: Arc::clone(&self.schema),
            collection: Arc::clone(&self.collection),
            sight: Arc::new(sight),
            shape,
            unseal: self.app.sealing.opener(&self.collection),
        }
    }

    /// Reads as `plan` says, when it is this caller's turn.
    async fn read<T, F>(&self, plan: Plan, job: F) -> Result<T, Failure>
    where
        F: for<'r> FnOnce(&'r mut Reader<'_>) -> BoxFuture<'r, Result<T, Failure>> + Send + 'static,
        T: Send + 'static,
    {
        if plan == Plan::Bounded {
            return self.app.store.read(plan, job).await;
        }
        // On the heap: what is read by its key would have room for it too.
        Box::pin(self.scan(job)).await
    }

    /// Reads what may walk a table, when it is this caller's turn.
    async fn scan<T, F>(&self, job: F) -> Result<T, Failure>
    where
        F: for<'r> FnOnce(&'r mut Reader<'_>) -> BoxFuture<'r, Result<T, Failure>> + Send + 'static,
        T: Send + 'static,
    {
        let turn = self.app.turns.take(self.caller).await?;
        let plan = turn.plan;
        // The turn goes along: who gives up waiting does not make room while the scan goes on.
        let read = self.app.store.read(plan, move |reader| {
            Box::pin(async move {
                let done = job(reader).await;
                drop(turn);
                done
            })
        });
        read.await
    }

    /// The instant of this request as records keep it.
    fn stamp(&self) -> String {
        crate::time::stamp(self.now.as_millisecond())
    }
}

/// How an attempt failed.
#[derive(Debug)]
enum Failure {
    /// The collection changed under it: read the snapshot again and start over.
    Stale,
    Final(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

impl From<fastcms_store::Error> for Failure {
    fn from(error: fastcms_store::Error) -> Self {
        if fastcms_store::records::is_stale(&error) { Self::Stale } else { Self::Final(error.into()) }
    }
}

/// What became of an attempt: an answer for the caller, or `None` when it is to be made again over a fresh snapshot.
async fn settled<T>(app: &App, attempt: Result<T, Failure>) -> Result<Option<T>> {
    match attempt {
        Ok(answer) => Ok(Some(answer)),
        Err(Failure::Final(error)) => Err(error),
        Err(Failure::Stale) => {
            // Another node's change may still be on its way to what this one keeps prepared, on each of its connections.
            tokio::time::sleep(PAUSE).await;
            crate::collections::reload(app).await?;
            Ok(None)
        }
    }
}

/// The answer when collections change faster than an operation can be made.
fn never_settled() -> Error {
    Error::Overloaded { retry_after_seconds: 1 }
}

/// A failed write of a record, in the words of its fields.
fn write_failure(collection: &Collection, dialect: fastcms_store::Dialect, error: fastcms_store::Error) -> Failure {
    use fastcms_store::records::{conflicting_field, is_taken_id};
    match conflicting_field(collection, dialect, &error) {
        Some("email") if collection.is_auth() => Failure::Final(Error::EmailTaken),
        Some(field) => Failure::Final(Error::UniqueConflict(field.to_owned())),
        None if is_taken_id(collection, dialect, &error) => {
            Failure::Final(Error::AlreadyExists("A record with this id".to_owned()))
        }
        None => error.into(),
    }
}

/// Whether a rule of the collection reads this query parameter (`@request.query.name`): then it is known on the routes of its records.
pub fn reads_query(app: &App, collection: &str, name: &str) -> bool {
    let schema = app.schema.load();
    let Some(collection) = schema.by_name(collection) else { return false };
    fastcms_store::schema::RULE_KINDS.into_iter().any(|kind| match collection.rules().get(kind) {
        fastcms_store::schema::Rule::When(checked) => checked.query_names().contains(name),
        _ => false,
    })
}
