//! Saying who may have the bytes of a file.

use fastcms_store::files as rows;

use super::{File, owned};
use crate::app::App;
use crate::audit::{self, Event};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::time::stamp;

/// Protects a file and its thumbnails, or gives them free. Only for its owner and for admins.
pub async fn protect(caller: &Caller, app: &App, id: &str, protected: bool) -> Result<File> {
    let (asking, id, now) = (caller.clone(), id.to_owned(), stamp(app.now_millis()));
    let stored = audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            owned(tx, &asking, &id).await?;
            rows::protect(tx, &id, protected, &now).await?;
            let file = rows::by_id_locked(tx, &id).await?.ok_or(Error::NotFound)?;
            let event = Event::FileUpdated.on("file", id).with("protected", protected);
            Ok::<_, Error>(trail.record(tx, event).with(file))
        })
    })
    .await?;
    Ok(File::seen_by(caller, app, stored))
}
