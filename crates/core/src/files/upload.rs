//! Taking a file: received into a spool, looked at, kept, and only then given a row.
//!
//! Until the row is committed nothing of it can be seen; whatever goes wrong before that takes the bytes away, and if the process ends,
//! the next sweep does.

use std::io::BufReader;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use fastcms_store::files::{self as rows, Held, StoredFile};
use fastcms_store::schema::{Collection, Field, FieldType};
use tokio::time::Instant;

use super::media::{self, Inspector, Mismatch};
use super::picture::{self, Ceiling, Unusable};
use super::storage::{Kept, Key, Spool, blocking, fault};
use super::{File, Seat, name};
use crate::access::{self, RequestFacts};
use crate::accounts::realm_text;
use crate::app::App;
use crate::audit::{self, Entry, Event};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::fields;
use crate::records::belongings::Addition;
use crate::time::stamp;

/// Longest text that comes with a file, bytes.
pub const MAX_FIELD: usize = 64 * 1024;
/// Bytes that are written at a time.
const PIECE: usize = 64 * 1024;
/// Longest time that one upload may take to arrive, however slowly it comes.
const PATIENCE: Duration = Duration::from_mins(10);

/// A file on its way in. Dropped, it was never there.
pub struct Upload {
    spool: Option<Spool>,
    buffer: BytesMut,
    received: u64,
    limit: u64,
    deadline: Instant,
    seat: Seat,
}

/// What comes with a file.
#[derive(Debug, Default)]
pub struct Sent {
    pub file_name: Option<String>,
    /// The media type that the sender gave it.
    pub declared: Option<String>,
    /// What it is to belong to: a record that the caller may change. A collection and a field alone only say what it must fit.
    pub collection_name: Option<String>,
    pub record_id: Option<String>,
    pub field_name: Option<String>,
}

/// Begins to take a file of the caller's.
pub async fn receive(caller: &Caller, app: &App) -> Result<Upload> {
    let account = access::require_account(caller)?;
    let seat = app.files.seat(&account.id)?;
    let (folder, name) = (app.files.incoming.clone(), app.new_id());
    let spool = blocking(move || Spool::begin(&folder, &name)).await.map_err(|error| fault(&error))?;
    Ok(Upload {
        spool: Some(spool),
        buffer: BytesMut::new(),
        received: 0,
        limit: app.config.limits.max_file_size,
        deadline: Instant::now() + PATIENCE,
        seat,
    })
}

impl Upload {
    /// Takes the next bytes.
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.received += bytes.len() as u64;
        if self.received > self.limit {
            return Err(Error::FileTooLarge { limit: self.limit });
        }
        if Instant::now() > self.deadline {
            return Err(Error::Timeout);
        }
        self.buffer.extend_from_slice(&bytes);
        if self.buffer.len() >= PIECE { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<()> {
        let (Some(mut spool), bytes) = (self.spool.take(), self.buffer.split().freeze()) else {
            return Err(Error::internal("an upload that failed was written to"));
        };
        let write = move || spool.write(&bytes).map(|()| spool);
        self.spool = Some(blocking(write).await.map_err(|error| fault(&error))?);
        Ok(())
    }

    async fn finish(mut self) -> Result<(Spool, Seat)> {
        self.flush().await?;
        let spool = self.spool.ok_or_else(|| Error::internal("an upload that failed was finished"))?;
        Ok((spool, self.seat))
    }
}

/// Stores a file that has arrived, if it is of a kind that is taken.
pub async fn store(
    caller: &Caller,
    app: &Arc<App>,
    request: RequestFacts<'_>,
    upload: Upload,
    sent: Sent,
) -> Result<File> {
    let account = access::require_account(caller)?;
    let owner = (realm_text(&account.realm).to_owned(), account.id.clone());
    let file_name = sent.file_name.as_deref().and_then(name::clean);
    let file_name = file_name.ok_or_else(|| Error::field("file", "A file name is required"))?;
    let place = Place::of(caller, app, request, &sent)?;
    let (spool, seat) = upload.finish().await?;

    let (spool, media_type) = inspected(app, spool, &file_name, sent.declared.as_deref()).await?;
    check_kind(app, &spool, media_type, place.field.as_ref())?;
    let (spool, thumbnails) = thumbnails(app, spool, media_type).await?;

    let now = stamp(app.now_millis());
    let row = |id: String, spool: &Spool, media_type: &str| -> Result<(Key, StoredFile)> {
        let key = Key::of(&id).ok_or_else(|| Error::internal("a new id is no id"))?;
        let row = StoredFile {
            filename: format!("{id}.{}", media::extension_of(media_type)),
            original_filename: file_name.clone(),
            mime_type: media_type.to_owned(),
            size: i64::try_from(spool.size()).unwrap_or(i64::MAX),
            storage_path: key.path(),
            storage_type: app.files.storage.name().to_owned(),
            collection_id: place.collection.as_ref().map(|collection| collection.id().to_owned()),
            record_id: place.record_id.clone(),
            field_name: place.field.as_ref().map(|field| field.name.clone()),
            owner: Some(owner.clone()),
            is_thumbnail: false,
            protected: false,
            parent_file_id: None,
            checksum: spool.checksum(),
            created: now.clone(),
            updated: now.clone(),
            id,
        };
        Ok((key, row))
    };
    let (key, parent) = row(app.new_id(), &spool, media_type)?;
    let mut stored = vec![(key, parent.clone(), spool)];
    for (side, spool) in thumbnails {
        let (key, thumbnail) = row(app.new_id(), &spool, "image/jpeg")?;
        let thumbnail = StoredFile {
            original_filename: name::clean(&format!("thumb_{side}_{file_name}")).unwrap_or_default(),
            is_thumbnail: true,
            parent_file_id: Some(parent.id.clone()),
            ..thumbnail
        };
        stored.push((key, thumbnail, spool));
    }
    commit(caller, app, stored, place.addition, seat).await?;
    Ok(File::seen_by(caller, app, parent))
}

/// What a file is to belong to.
struct Place {
    collection: Option<Arc<Collection>>,
    record_id: Option<String>,
    field: Option<Field>,
    addition: Option<Addition>,
}

impl Place {
    fn of(caller: &Caller, app: &App, request: RequestFacts<'_>, sent: &Sent) -> Result<Self> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let (collection, record_id) = (given(&sent.collection_name), given(&sent.record_id));
        let Some(collection) = collection else {
            let without = [("record_id", record_id), ("field_name", given(&sent.field_name))];
            return match without.into_iter().find(|(_, text)| text.is_some()) {
                Some((name, _)) => Err(Error::field(name, "Wants a collection_name")),
                None => Ok(Self { collection: None, record_id: None, field: None, addition: None }),
            };
        };
        let schema = app.schema.load_full();
        let collection = schema.by_name(&collection).cloned();
        let collection = collection.ok_or_else(|| Error::field("collection_name", "Unknown collection"))?;
        let field = match given(&sent.field_name) {
            Some(name) => {
                let field = collection.field(&name).filter(|field| field.kind == FieldType::File);
                Some(field.cloned().ok_or_else(|| Error::field("field_name", "Must be the name of a file field"))?)
            }
            None => None,
        };
        let addition = match &record_id {
            Some(id) => Some(Addition::to(caller, app, request, &collection, id)?),
            None => None,
        };
        Ok(Self { collection: Some(collection), record_id, field, addition })
    }
}

/// What the content is, and whether its name and its sender agree.
async fn inspected(app: &App, spool: Spool, file_name: &str, declared: Option<&str>) -> Result<(Spool, &'static str)> {
    let inspector: Arc<Inspector> = Arc::clone(&app.files.inspector);
    let inspect = move || inspector.inspect(spool.content()).map(|content| (spool, content));
    let (spool, content) = blocking(inspect).await.map_err(|error| fault(&error))?;
    let found = content.media_type(name::extension(file_name).as_deref(), declared);
    let media_type = found.map_err(|(media_type, why)| {
        let what = match why {
            Mismatch::Extension => "extension",
            Mismatch::Declared => "declared type",
        };
        Error::field("file", format!("The {what} does not fit the content, which is {media_type}"))
    })?;
    Ok((spool, media_type))
}

fn check_kind(app: &App, spool: &Spool, media_type: &str, field: Option<&Field>) -> Result<()> {
    let allowed = &app.config.storage.allowed_types;
    if !allowed.iter().any(|allowed| allowed == media_type) {
        return Err(Error::field("file", format!("Files of type {media_type} are not taken")));
    }
    let Some(field) = field else { return Ok(()) };
    let held = Held { mime_type: media_type.to_owned(), size: spool.size() };
    match fields::file_faults(field, &["it"], &[("it".to_owned(), held)].into()).into_iter().next() {
        Some(fault) => Err(Error::field("file", fault)),
        None => Ok(()),
    }
}

/// Decodes a picture, which proves it to be one, and makes its thumbnails. Other files have none.
async fn thumbnails(app: &App, spool: Spool, media_type: &str) -> Result<(Spool, Vec<(u32, Spool)>)> {
    let Some(format) = picture::format_of(media_type) else { return Ok((spool, Vec::new())) };
    let (sides, ceiling) = (app.config.images.thumbnail_sizes.clone(), ceiling(app));
    let work = move || {
        let mut content = spool.content();
        std::io::Seek::rewind(&mut content).map_err(|_| Unusable::Damaged)?;
        let picture = picture::decode(BufReader::new(content), format)?;
        let made = sides.into_iter().map(|side| (side, picture::within(&picture, side, ceiling)));
        Ok((spool, made.collect::<Vec<_>>()))
    };
    let (spool, made) = app.files.pictures.run(work).await?.map_err(|unusable| Error::field("file", said(unusable)))?;
    let (folder, names) = (app.files.incoming.clone(), made.iter().map(|_| app.new_id()).collect::<Vec<_>>());
    let spool_all = move || {
        let spooled = made.iter().zip(&names).map(|((side, jpeg), name)| Ok((*side, Spool::of(&folder, name, jpeg)?)));
        spooled.collect::<std::io::Result<Vec<_>>>()
    };
    Ok((spool, blocking(spool_all).await.map_err(|error| fault(&error))?))
}

/// What generated pictures must keep to.
pub(super) fn ceiling(app: &App) -> Ceiling {
    let images = &app.config.images;
    Ceiling { width: images.max_width, height: images.max_height, quality: images.quality }
}

/// Why a picture is refused, for its sender.
pub(super) fn said(unusable: Unusable) -> &'static str {
    match unusable {
        Unusable::Damaged => "The image cannot be read",
        Unusable::TooLarge => "The image is too large: it may have 40 million pixels",
    }
}

/// Keeps the bytes and stores the rows, as one thing. It goes on to its end even if nobody waits for it any more: a row without bytes
/// must not be.
async fn commit(
    caller: &Caller,
    app: &Arc<App>,
    stored: Vec<(Key, StoredFile, Spool)>,
    addition: Option<Addition>,
    seat: Seat,
) -> Result<()> {
    let (caller, app) = (caller.clone(), Arc::clone(app));
    let committing = tokio::spawn(async move {
        let _seat = seat;
        let (mut kept, mut all) = (Vec::new(), Vec::new());
        for (key, row, spool) in stored {
            kept.push(app.files.storage.keep(key, spool).await.map_err(|error| fault(&error))?);
            all.push(row);
        }
        let written = audit::write(&caller, &app, move |tx, trail| {
            Box::pin(async move {
                if let Some(addition) = addition {
                    addition.decide(tx).await?;
                }
                for row in &all {
                    rows::insert(tx, row).await?;
                }
                Ok::<_, Error>(trail.record(tx, uploaded(&all[0])).with(()))
            })
        })
        .await;
        if written.is_ok() || written.as_ref().is_err_and(is_in_doubt) {
            kept.into_iter().for_each(Kept::confirm);
        }
        written
    });
    committing.await.map_err(Error::internal)?
}

/// What the audit log says of a new file: all but its content.
fn uploaded(file: &StoredFile) -> Entry {
    let about = Event::FileUploaded.on("file", &file.id).with("name", file.original_filename.as_str());
    about.with("mime_type", file.mime_type.as_str()).with("size", file.size).with("record", file.record_id.as_deref())
}

/// Whether a write that failed may have been committed all the same: bytes stay then, and a sweep takes them if there is no row.
fn is_in_doubt(error: &Error) -> bool {
    matches!(error, Error::Unavailable(_) | Error::Timeout | Error::Internal(_))
}
