//! Making a record.

use fastcms_expr::{Predicate, RuleKind};
use fastcms_guard::limits::Class;
use fastcms_store::files::Reach;
use fastcms_store::records::{self as rows, Event, View};
use fastcms_store::{BoxFuture, Plan, Tx};
use serde_json::{Map, Value as Json};

use super::{Door, Failure, MAX_ATTEMPTS, never_settled, password, pointers, settled, write_failure};
use crate::access::{self, Permission, RequestFacts};
use crate::app::App;
use crate::audit::{self, Entry, Event as AuditEvent};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::fields::{self, Draft, Mode, Rights};
use crate::limits;
use crate::sealing;

/// A record that was made.
#[derive(Debug)]
pub struct Created {
    pub id: String,
    /// As JSON.
    pub record: Vec<u8>,
}

/// Makes a record of `data` in a collection, if the create rule admits it.
pub async fn create(
    caller: &Caller,
    app: &App,
    request: RequestFacts<'_>,
    collection: &str,
    data: &Map<String, Json>,
) -> Result<Created> {
    create_with_id(caller, app, request, collection, data, None).await
}

/// The same, under an id that the caller brought. It is a UUID.
pub(super) async fn create_with_id(
    caller: &Caller,
    app: &App,
    request: RequestFacts<'_>,
    collection: &str,
    data: &Map<String, Json>,
    id: Option<&str>,
) -> Result<Created> {
    charge_registration(caller, app, collection).await?;
    create_at_the_door(caller, app, request, collection, data, id).await
}

/// Whoever makes an account by way of its record has the budget of registration, as at its door.
pub(super) async fn charge_registration(caller: &Caller, app: &App, collection: &str) -> Result<()> {
    let is_account = app.schema.load().by_name(collection).is_some_and(|collection| collection.is_auth());
    if !is_account || caller.holds(Permission::RecordsWrite) {
        return Ok(());
    }
    limits::charge_also(caller, app, Class::Register).await
}

/// The same for who was charged as a registration already.
pub(crate) async fn create_at_the_door(
    caller: &Caller,
    app: &App,
    request: RequestFacts<'_>,
    collection: &str,
    data: &Map<String, Json>,
    id: Option<&str>,
) -> Result<Created> {
    for _ in 0..MAX_ATTEMPTS {
        let door = Door::open(caller, app, request, collection)?.with_data(data);
        let attempt = attempt(&door, data, id).await;
        if let Some(created) = settled(app, attempt).await? {
            return Ok(created);
        }
    }
    Err(never_settled())
}

async fn attempt(door: &Door<'_>, data: &Map<String, Json>, id: Option<&str>) -> Result<Created, Failure> {
    let insert = prepare(door, data, id).await?;
    audit::write_of(door.caller, door.app, insert.event(), move |tx| insert.run(tx)).await
}

/// Everything about a new record that needs no transaction: who may, what is valid, the hash of a password.
pub(super) async fn prepare(door: &Door<'_>, data: &Map<String, Json>, id: Option<&str>) -> Result<Insert, Failure> {
    let rule = door.rule(RuleKind::Create)?;
    if rule == Predicate::False {
        return Err(access::refusal(door.caller).into());
    }
    if id.is_some() && door.collection.is_auth() && !door.caller.holds(Permission::RecordsWrite) {
        // Rules know accounts by their id alone: one that could be chosen would be somebody else's.
        return Err(Error::field("id", "Not writable by this caller").into());
    }
    if fields::is_dear(&door.collection, data) {
        precheck(door, &rule).await?;
    }
    let cleaned = door.app.cleaning.run(&door.collection, data, door.app.longest_value()).await?;
    let mut draft = fields::check(&door.collection, &cleaned, Mode::Create)?;
    fields::check_rights(&door.collection, data, Mode::Create, rights(door))?;
    password::check(door, &draft, None).await?;
    password::hash(door, &mut draft).await?;

    let id = id.map_or_else(|| door.app.new_id(), str::to_owned);
    sealing::seal_draft(door.app, &door.collection, &id, &mut draft)?;
    let (refusal, reach) = (access::refusal(door.caller), access::usable_files(door.caller));
    Ok(Insert { id, now: door.stamp(), view: door.view(), rule, refusal, reach, draft })
}

/// A look ahead, outside the transaction: nobody has dear work done for a record that they may not make.
async fn precheck(door: &Door<'_>, rule: &Predicate) -> Result<(), Failure> {
    if *rule == Predicate::True {
        return Ok(());
    }
    let (view, rule) = (door.view(), rule.clone());
    let job =
        door.read(Plan::Scan, move |reader| Box::pin(async move { Ok(rows::would_hold(reader, &view, &rule).await?) }));
    if job.await? { Ok(()) } else { Err(access::refusal(door.caller).into()) }
}

/// On a record that does not exist yet, a manage rule can only speak of the caller and the request.
fn rights(door: &Door<'_>) -> Rights {
    let is_admin = door.caller.holds(Permission::RecordsWrite);
    let manages = is_admin
        || (door.collection.is_auth() && door.rule(RuleKind::Manage).is_ok_and(|rule| rule == Predicate::True));
    Rights { manages, is_admin }
}

/// A record that is ready to be stored.
pub(super) struct Insert {
    id: String,
    now: String,
    view: View,
    rule: Predicate,
    refusal: Error,
    reach: Reach,
    draft: Draft,
}

impl Insert {
    /// What the audit log says of it. What is in it is the record's, not the log's.
    pub(super) fn event(&self) -> Entry {
        AuditEvent::RecordCreated.on("record", self.id.as_str()).with("collection", self.view.collection.name())
    }

    /// Stores it, if the rule holds and what it points at exists.
    pub(super) fn run<'a>(self, tx: &'a mut Tx<'_>) -> BoxFuture<'a, Result<Created, Failure>> {
        Box::pin(async move {
            let Self { id, now, view, rule, refusal, reach, draft } = self;
            let collection = &*view.collection;
            if !rows::holds(tx, &view, &rule).await? {
                return Err(refusal.into());
            }
            pointers::check(tx, &view, &draft, &reach, pointers::Holder::New(&id)).await?;
            let dialect = tx.dialect();
            let written = rows::insert(tx, &view, &id, &draft.sets, &now).await;
            let written = written.map_err(|error| write_failure(collection, dialect, error))?;
            if written.version != collection.version() {
                return Err(Failure::Stale);
            }
            rows::announce(tx, collection, Event::Created, &id, &now);
            Ok(Created { id, record: written.record })
        })
    }
}
