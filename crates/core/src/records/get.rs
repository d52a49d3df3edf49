//! Reading one record.

use fastcms_expr::{Predicate, RuleKind};
use fastcms_store::{Plan, records as rows};

use super::{Door, Failure, MAX_ATTEMPTS, expand, never_settled, settled};
use crate::access::RequestFacts;
use crate::app::App;
use crate::caller::Caller;
use crate::error::{Error, Result};

/// The record with this id, as JSON, if the view rule admits it, with the relations of `expand` beside it.
pub async fn get(
    caller: &Caller,
    app: &App,
    request: RequestFacts<'_>,
    collection: &str,
    id: &str,
    expand: Option<&str>,
) -> Result<Vec<u8>> {
    for _ in 0..MAX_ATTEMPTS {
        let door = Door::open(caller, app, request, collection)?;
        let attempt = attempt(&door, id, expand).await;
        if let Some(record) = settled(app, attempt).await? {
            return record.ok_or(Error::NotFound);
        }
    }
    Err(never_settled())
}

async fn attempt(door: &Door<'_>, id: &str, expand: Option<&str>) -> Result<Option<Vec<u8>>, Failure> {
    let rule = door.rule(RuleKind::View)?;
    let expansions = expand::read(door, expand)?;
    if rule == Predicate::False || id.contains('\0') {
        return Ok(None);
    }
    let (view, id) = (door.view(), id.to_owned());
    // One row by its id: a rule over that row is a handful of steps, one over whole collections may be more.
    let plan = if rule.collections().is_empty() && expansions.is_empty() { Plan::Bounded } else { Plan::Scan };
    door.read(plan, move |reader| Box::pin(async move { Ok(rows::get(reader, &view, &id, &rule, &expansions).await?) }))
        .await
}
