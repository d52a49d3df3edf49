//! Deleting a record.

use fastcms_expr::{Predicate, RuleKind};
use fastcms_store::records::{self as rows, Deleted, View};
use fastcms_store::{BoxFuture, Tx};

use super::update::Access;
use super::{Door, Failure, MAX_ATTEMPTS, never_settled, settled};
use crate::access::{Permission, RequestFacts};
use crate::app::App;
use crate::audit::{self, Entry, Event as AuditEvent};
use crate::caller::Caller;
use crate::error::{Error, Result};

/// Deletes the record with this id, if the delete rule admits it and no relation forbids it.
pub async fn delete(caller: &Caller, app: &App, request: RequestFacts<'_>, collection: &str, id: &str) -> Result<()> {
    if id.contains('\0') {
        return Err(Error::NotFound);
    }
    for _ in 0..MAX_ATTEMPTS {
        let door = Door::open(caller, app, request, collection)?;
        let attempt = attempt(&door, id).await;
        if let Some(()) = settled(app, attempt).await? {
            return Ok(());
        }
    }
    Err(never_settled())
}

async fn attempt(door: &Door<'_>, id: &str) -> Result<(), Failure> {
    let removal = prepare(door, id)?;
    audit::write_of(door.caller, door.app, removal.event(), move |tx| removal.run(tx)).await
}

/// All that a deletion takes but its transaction.
pub(super) fn prepare(door: &Door<'_>, id: &str) -> Result<Removal> {
    let access = Access::of(door, RuleKind::Delete)?;
    let sees_all = door.caller.holds(Permission::RecordsRead);
    Ok(Removal { id: id.to_owned(), now: door.stamp(), view: door.view(), access, sees_all })
}

/// A deletion that is ready to run.
pub(super) struct Removal {
    id: String,
    now: String,
    view: View,
    access: Access,
    /// The caller sees every collection: others are told the names of those that show themselves.
    sees_all: bool,
}

impl Removal {
    /// What the audit log says of it.
    pub(super) fn event(&self) -> Entry {
        let event = AuditEvent::RecordDeleted.on("record", self.id.as_str());
        event.with("collection", self.view.collection.name())
    }

    pub(super) fn run<'a>(self, tx: &'a mut Tx<'_>) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let Self { id, now, view, access, sees_all } = self;
            let collection = &*view.collection;
            access.decide(tx, &view, &id, &Predicate::False).await?;
            rows::decide(tx, &view, &id, &[]).await?.ok_or(Error::NotFound)?;
            match rows::delete(tx, &view.schema, collection, &id, &now).await? {
                Deleted::Done => {}
                Deleted::Restricted { collection } => {
                    let by_name = view.schema.by_name(&collection).filter(|found| sees_all || found.shows_itself());
                    let who =
                        by_name.map_or("Other records".to_owned(), |found| format!("Records of `{}`", found.name()));
                    return Err(Error::RelationRestricted(format!("{who} point at this record")).into());
                }
                Deleted::TooMany => {
                    let limit = rows::MAX_AFFECTED;
                    return Err(
                        Error::RelationRestricted(format!("More than {limit} records point at this record")).into()
                    );
                }
            }
            Ok(())
        })
    }
}
