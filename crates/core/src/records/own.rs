//! Reading the record behind one's own account.

use fastcms_expr::Predicate;
use fastcms_store::{Plan, records as rows};

use super::{Door, Failure, MAX_ATTEMPTS, never_settled, settled};
use crate::access::{self, RequestFacts};
use crate::app::App;
use crate::caller::{Caller, Realm};
use crate::error::{Error, Result};

/// The record of the calling account of an auth collection, as JSON, whatever the view rule says: people may see what is kept of them,
/// hidden fields excepted.
pub async fn own(caller: &Caller, app: &App) -> Result<Vec<u8>> {
    let account = access::require_account(caller)?;
    let Realm::Collection(collection) = &account.realm else { return Err(Error::InvalidToken) };
    for _ in 0..MAX_ATTEMPTS {
        let name =
            app.schema.load().by_id(collection).map(|found| found.name().to_owned()).ok_or(Error::InvalidToken)?;
        let door = Door::open(caller, app, RequestFacts::internal(), &name)?;
        let (view, id) = (door.view(), account.id.clone());
        let read = app
            .store
            .read(Plan::Bounded, move |reader| {
                Box::pin(async move { Ok::<_, Failure>(rows::get(reader, &view, &id, &Predicate::True, &[]).await?) })
            })
            .await;
        if let Some(record) = settled(app, read).await? {
            return record.ok_or(Error::InvalidToken);
        }
    }
    Err(never_settled())
}
