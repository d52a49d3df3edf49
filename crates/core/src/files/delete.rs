//! Deleting a file.

use fastcms_store::files as rows;

use super::owned;
use super::storage::Key;
use crate::app::App;
use crate::audit::{self, Event};
use crate::caller::Caller;
use crate::error::{Error, Result};

/// Deletes a file: its row and those of its thumbnails, then all their bytes. Only for its owner and for admins. Records that name it
/// keep its id, which belongs to nothing any more.
pub async fn delete(caller: &Caller, app: &App, id: &str) -> Result<()> {
    let (asking, id) = (caller.clone(), id.to_owned());
    let gone = audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            let file = owned(tx, &asking, &id).await?;
            let gone = rows::delete(tx, &id).await?;
            let event = Event::FileDeleted.on("file", id).with("name", file.original_filename);
            Ok::<_, Error>(trail.record(tx, event).with(gone))
        })
    })
    .await?;
    for key in gone.iter().filter_map(|id| Key::of(id)) {
        // Without a row nothing of it is served. What the disk does not give up now, the next sweep takes.
        if let Err(error) = app.files.storage.remove(key).await {
            tracing::warn!(%error, "the bytes of a deleted file could not be removed");
        }
    }
    Ok(())
}
