//! All files, for admins.

use fastcms_store::Plan;
use fastcms_store::files::{self as rows, Wanted};

use super::File;
use crate::access::{self, Permission};
use crate::app::App;
use crate::caller::Caller;
use crate::error::Result;

/// One page of files, newest first.
#[derive(Debug)]
pub struct FilePage {
    pub items: Vec<File>,
    pub total: i64,
}

/// A page of the files of everybody, or of those that belong to a collection or a record. Thumbnails are left out.
pub async fn list(
    caller: &Caller,
    app: &App,
    collection: Option<&str>,
    record: Option<&str>,
    page: u32,
    per_page: u32,
) -> Result<FilePage> {
    access::require(caller, Permission::FilesRead)?;
    let collection_id = match collection {
        Some(name) => match app.schema.load().by_name(name) {
            Some(collection) => Some(collection.id().to_owned()),
            None => return Ok(FilePage { items: Vec::new(), total: 0 }),
        },
        None => None,
    };
    if record.is_some_and(|record| record.contains('\0')) {
        return Ok(FilePage { items: Vec::new(), total: 0 });
    }
    let wanted = Wanted { collection_id, record_id: record.map(str::to_owned) };
    let (limit, offset) = (i64::from(per_page), i64::from(page - 1) * i64::from(per_page));
    let (found, total) = app
        .store
        .read(Plan::Scan, move |reader| Box::pin(async move { rows::page(reader, &wanted, limit, offset).await }))
        .await?;
    Ok(FilePage { items: found.into_iter().map(|stored| File::seen_by(caller, app, stored)).collect(), total })
}
