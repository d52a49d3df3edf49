//! Files: uploaded, described, protected, served and deleted. A row says what was uploaded and by whom; the bytes lie in a [`storage`] under
//! the id of the row.
//!
//! Whoever uploaded a file owns it. A file that belongs to a record may be viewed by whoever may view that record. The bytes of a file
//! that is not protected are for anybody who has its id; metadata never are. Every door asks [`viewable`] or [`owned`], pictures made
//! from a file included.

mod delete;
mod download;
mod list;
mod media;
mod name;
mod picture;
mod protect;
mod show;
mod storage;
mod sweep;
mod token;
mod upload;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use fastcms_store::Plan;
use fastcms_store::files::{self as rows, StoredFile};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use delete::delete;
pub use download::{Download, download};
pub use list::{FilePage, list};
pub use protect::protect;
pub use show::get;
pub use storage::Pieces;
pub use sweep::{check, prepare, sweep};
pub use token::{FileToken, make_token};
pub use upload::{MAX_FIELD, Sent, Upload, receive, store};

use crate::access::{self, Permission, RequestFacts};
use crate::app::App;
use crate::caller::Caller;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::records::belongings;

/// Uploads at once, in all and of one account.
const MAX_UPLOADS: usize = 256;
const MAX_UPLOADS_OF_ACCOUNT: usize = 32;

/// What uploads and downloads need.
pub struct Files {
    storage: Box<dyn storage::Storage>,
    /// Where uploads lie until they are complete.
    incoming: PathBuf,
    pictures: picture::Pool,
    inspector: Arc<media::Inspector>,
    seats: Arc<Semaphore>,
    seated: Arc<Mutex<HashMap<String, usize>>>,
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files").field("storage", &self.storage).finish_non_exhaustive()
    }
}

impl Files {
    /// The files of these settings. Touches no disk.
    pub(crate) fn new(config: &Config) -> Self {
        Self::in_folder(&config.storage.local_path)
    }

    fn in_folder(root: &Path) -> Self {
        Self {
            storage: Box::new(storage::Local::new(root)),
            incoming: storage::incoming(root),
            pictures: picture::Pool::new(),
            inspector: Arc::new(media::Inspector::default()),
            seats: Arc::new(Semaphore::new(MAX_UPLOADS)),
            seated: Arc::default(),
        }
    }

    /// A place among the uploads under way.
    fn seat(&self, account: &str) -> Result<Seat> {
        let full = || Error::Overloaded { retry_after_seconds: 1 };
        let permit = Arc::clone(&self.seats).try_acquire_owned().map_err(|_| full())?;
        let mut seated = self.seated.lock().unwrap_or_else(PoisonError::into_inner);
        let own = seated.entry(account.to_owned()).or_default();
        if *own >= MAX_UPLOADS_OF_ACCOUNT {
            return Err(full());
        }
        *own += 1;
        Ok(Seat { _permit: permit, seated: Arc::clone(&self.seated), account: account.to_owned() })
    }
}

/// A place among the uploads under way, given back when dropped.
struct Seat {
    _permit: OwnedSemaphorePermit,
    seated: Arc<Mutex<HashMap<String, usize>>>,
    account: String,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seated = self.seated.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = seated.get_mut(&self.account) {
            *own -= 1;
            if *own == 0 {
                seated.remove(&self.account);
            }
        }
    }
}

/// A file as its viewers see it.
#[derive(Debug, Clone)]
pub struct File {
    pub stored: StoredFile,
    /// As the collection is called now.
    pub collection_name: Option<String>,
    /// For admins alone: where the bytes lie.
    pub storage_path: Option<String>,
    /// Where the bytes are served.
    pub url: String,
}

impl File {
    fn seen_by(caller: &Caller, app: &App, stored: StoredFile) -> Self {
        let schema = app.schema.load();
        let collection = stored.collection_id.as_deref().and_then(|id| schema.by_id(id));
        let origin = app.config.storage.files_origin.as_ref().map_or("", |origin| origin.as_str());
        Self {
            collection_name: collection.map(|collection| collection.name().to_owned()),
            storage_path: caller.is_admin().then(|| stored.storage_path.clone()),
            url: format!("{origin}/api/v1/files/{}/download", stored.id),
            stored,
        }
    }
}

/// The row of a file, whoever asks.
async fn stored(app: &App, id: &str) -> Result<StoredFile> {
    let id = id.to_owned();
    let found =
        app.store.read(Plan::Bounded, move |reader| Box::pin(async move { rows::by_id(reader, &id).await })).await?;
    found.ok_or(Error::NotFound)
}

/// Whether the caller may view a file: its owner, whoever sees all files, or whoever may view the record that it belongs to.
async fn may_view(caller: &Caller, app: &App, request: RequestFacts<'_>, file: &StoredFile) -> Result<bool> {
    if access::owns_file(caller, file, Permission::FilesRead) {
        return Ok(true);
    }
    match (&file.collection_id, &file.record_id) {
        (Some(collection), Some(record)) => belongings::shows(caller, app, request, collection, record).await,
        _ => Ok(false),
    }
}

/// A file that the caller may view; any other is one that does not exist.
async fn viewable(caller: &Caller, app: &App, request: RequestFacts<'_>, id: &str) -> Result<StoredFile> {
    let file = stored(app, id).await?;
    if may_view(caller, app, request, &file).await? { Ok(file) } else { Err(Error::NotFound) }
}

/// A file that is the caller's to change; any other is one that does not exist.
async fn owned(tx: &mut fastcms_store::Tx<'_>, caller: &Caller, id: &str) -> Result<StoredFile> {
    let file = rows::by_id_locked(tx, id).await?.filter(|file| access::owns_file(caller, file, Permission::FilesWrite));
    file.ok_or(Error::NotFound)
}
