//! What belongs to a record asks the record's rules: whether it shows itself to somebody, and whether somebody may add to it.

use std::sync::Arc;

use fastcms_expr::{Context, Predicate, RuleKind};
use fastcms_store::records::{self as rows, View};
use fastcms_store::schema::{Collection, CollectionKind};
use fastcms_store::{Plan, Tx};

use super::{Door, Failure, MAX_ATTEMPTS, never_settled, settled};
use crate::access::{self, RequestFacts};
use crate::api_keys::{Action, Area, Need};
use crate::app::App;
use crate::caller::Caller;
use crate::error::{Error, Result};

/// Whether the view rule of a collection, by its id, shows this record to the caller who asks for a file of it.
pub(crate) async fn shows(
    caller: &Caller,
    app: &App,
    request: RequestFacts<'_>,
    collection_id: &str,
    id: &str,
) -> Result<bool> {
    for _ in 0..MAX_ATTEMPTS {
        let Some(collection) = app.schema.load().by_id(collection_id).map(|found| found.name().to_owned()) else {
            return Ok(false);
        };
        let door = match Door::open(caller, app, request.within(Context::ProtectedFile), &collection) {
            Err(Error::NotFound | Error::WrongCollectionType) => return Ok(false),
            door => door?,
        };
        if door.collection.id() != collection_id {
            continue;
        }
        let rule = access::rule_on_the_way(&door.facts(), &door.collection, RuleKind::View, door.now);
        let attempt = meets(&door, id, rule).await;
        if let Some(shown) = settled(app, attempt).await? {
            return Ok(shown);
        }
    }
    Err(never_settled())
}

async fn meets(door: &Door<'_>, id: &str, rule: Predicate) -> Result<bool, Failure> {
    if rule == Predicate::False || id.contains('\0') {
        return Ok(false);
    }
    let (view, id) = (door.view(), id.to_owned());
    let plan = if rule.collections().is_empty() { Plan::Bounded } else { Plan::Scan };
    let read = door.read(plan, move |reader| {
        Box::pin(async move { Ok(rows::get(reader, &view, &id, &rule, &[]).await?.is_some()) })
    });
    read.await
}

/// The right to change a record, to be decided in the transaction that adds something to it.
pub(crate) struct Addition {
    view: View,
    id: String,
    rule: Predicate,
    seen: Predicate,
    refusal: Error,
}

impl Addition {
    /// # Errors
    /// [`Error::NotFound`] for an unknown collection, a refusal where only admins may change records.
    pub(crate) fn to(
        caller: &Caller,
        app: &App,
        request: RequestFacts<'_>,
        collection: &Arc<Collection>,
        id: &str,
    ) -> Result<Self> {
        if id.contains('\0') || collection.kind() == CollectionKind::View {
            return Err(Error::NotFound);
        }
        // To add to a record is to write to it, whatever the operation is about besides.
        let request = RequestFacts { need: Need::new(Area::Records, Action::Write), ..request };
        let door = Door::open(caller, app, request, collection.name())?;
        let rule = door.rule(RuleKind::Update)?;
        let seen = access::rule_on_the_way(&door.facts(), &door.collection, RuleKind::View, door.now);
        Ok(Self { view: door.view(), id: id.to_owned(), rule, seen, refusal: access::refusal(caller) })
    }

    /// Decides, with the record locked until the transaction ends.
    pub(crate) async fn decide(self, tx: &mut Tx<'_>) -> Result<()> {
        let answers = rows::decide(tx, &self.view, &self.id, &[&self.rule, &self.seen]).await;
        match answers {
            Err(error) if rows::is_stale(&error) => Err(never_settled()),
            Err(error) => Err(error.into()),
            Ok(answers) => match answers.as_deref() {
                Some([true, _]) => Ok(()),
                Some([false, true]) => Err(self.refusal),
                _ => Err(Error::NotFound),
            },
        }
    }
}
