//! The bytes of a file, or of a picture made from it: one door for both.

use std::io::Cursor;
use std::ops::Range;

use bytes::Bytes;
use fastcms_store::files::StoredFile;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::picture::{self, Thumb};
use super::storage::{Key, Pieces, Spool, blocking, fault};
use super::upload::{ceiling, said};
use super::{may_view, media, name, stored};
use crate::access::RequestFacts;
use crate::accounts;
use crate::app::App;
use crate::caller::{Caller, Principal};
use crate::error::{Error, Result};

/// Largest file that a picture is made from, bytes: it is held in memory for that.
const MAX_SOURCE: u64 = 64 * 1024 * 1024;

/// Types that a browser shows and does not run.
const INLINE: [&str; 6] = ["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "video/mp4"];

/// Something that the caller may have.
#[derive(Debug)]
pub struct Download {
    /// For people.
    pub name: String,
    /// What it is served as. Whatever a browser would run is served as nothing in particular.
    pub media_type: &'static str,
    /// Whether a browser may show it in place.
    pub inline: bool,
    /// Bytes.
    pub size: u64,
    /// Of exactly these bytes, without quotes.
    pub etag: String,
    /// When these bytes were stored; RFC 3339.
    pub created: String,
    key: Key,
}

/// Admits the caller to the bytes of a file. `thumb` asks for a picture made from it, `token` is a file token.
pub async fn download(
    caller: &Caller,
    app: &App,
    request: RequestFacts<'_>,
    id: &str,
    thumb: Option<&str>,
    token: Option<&str>,
) -> Result<Download> {
    let file = admitted(caller, app, request, id, token).await?;
    let key = Key::of(&file.id).ok_or(Error::NotFound)?;
    match thumb {
        None => Ok(whole(&file, key)),
        Some(thumb) => picture_of(app, &file, &key, thumb).await,
    }
}

/// The file, if the caller may have its bytes. A token that was brought decides: a bad one is never passed over.
async fn admitted(
    caller: &Caller,
    app: &App,
    request: RequestFacts<'_>,
    id: &str,
    token: Option<&str>,
) -> Result<StoredFile> {
    let holder = match token {
        Some(token) => Some(accounts::holder_of(caller, app, token, id).await?),
        None => None,
    };
    let file = stored(app, id).await?;
    if !file.protected || may_view(holder.as_ref().unwrap_or(caller), app, request, &file).await? {
        return Ok(file);
    }
    Err(match caller.principal {
        _ if holder.is_some() => Error::InvalidFileToken,
        Principal::Guest => Error::FileProtected,
        _ => Error::NotFound,
    })
}

fn whole(file: &StoredFile, key: Key) -> Download {
    let media_type = served_as(&file.mime_type);
    Download {
        name: file.original_filename.clone(),
        media_type,
        inline: INLINE.contains(&media_type),
        size: u64::try_from(file.size).unwrap_or_default(),
        etag: file.checksum.get(..32).unwrap_or(&file.checksum).to_owned(),
        created: file.created.clone(),
        key,
    }
}

/// The type that an answer carries: one of those we know, or none.
fn served_as(media_type: &str) -> &'static str {
    if media::is_active(media_type) { media::UNKNOWN } else { media::served_as(media_type) }
}

/// A picture made from a file, in a size that is offered: made once, then kept beside the file.
async fn picture_of(app: &App, file: &StoredFile, key: &Key, asked: &str) -> Result<Download> {
    let thumb = Thumb::parse(asked).ok_or(Error::InvalidThumb("Must be WxH, with f, t or b behind, and not 0x0"))?;
    let format = picture::format_of(&file.mime_type).ok_or(Error::InvalidThumb("The file is no image"))?;
    if !(thumb.is_among(&app.config.images.thumbnail_sizes) || is_offered_by_field(app, file, thumb)) {
        return Err(Error::InvalidThumb("This size is not offered"));
    }
    let made = key.picture(thumb);
    let storage = &app.files.storage;
    let size = match storage.size(made.clone()).await.map_err(|error| fault(&error))? {
        Some(size) => size,
        None => make(app, file, key, thumb, format).await?,
    };
    let whole = whole(file, made);
    Ok(Download {
        name: name::with_extension(&whole.name, "jpg"),
        media_type: "image/jpeg",
        inline: true,
        size,
        etag: format!("{}-{thumb}", whole.etag),
        ..whole
    })
}

/// The sizes of the field that a file belongs to.
fn is_offered_by_field(app: &App, file: &StoredFile, thumb: Thumb) -> bool {
    let (Some(collection), Some(field)) = (&file.collection_id, &file.field_name) else { return false };
    let schema = app.schema.load();
    let Some(field) = schema.by_id(collection).and_then(|collection| collection.field(field)) else { return false };
    let options = field.file.clone().unwrap_or_default();
    options.thumbs.iter().any(|offered| thumb.is_size_of(offered))
}

async fn make(app: &App, file: &StoredFile, key: &Key, thumb: Thumb, format: image::ImageFormat) -> Result<u64> {
    let size = u64::try_from(file.size).unwrap_or_default();
    if size > MAX_SOURCE {
        return Err(Error::field("thumb", "The image is too large"));
    }
    let bytes: Vec<u8> = read(app, key, 0..size)
        .await?
        .try_fold(Vec::new(), |mut all, piece| async move {
            all.extend_from_slice(&piece);
            Ok(all)
        })
        .await
        .map_err(|error| fault(&error))?;
    let ceiling = ceiling(app);
    let work = move || Ok(picture::render(&picture::decode(Cursor::new(bytes), format)?, thumb, ceiling));
    let jpeg = app.files.pictures.run(work).await?.map_err(|unusable| Error::field("thumb", said(unusable)))?;
    let (folder, spool) = (app.files.incoming.clone(), app.new_id());
    let size = jpeg.len() as u64;
    let spool = blocking(move || Spool::of(&folder, &spool, &jpeg)).await.map_err(|error| fault(&error))?;
    app.files.storage.keep(key.picture(thumb), spool).await.map_err(|error| fault(&error))?.confirm();
    Ok(size)
}

async fn read(app: &App, key: &Key, range: Range<u64>) -> Result<Pieces> {
    app.files.storage.read(key.clone(), range).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            tracing::warn!(path = key.path(), "the bytes of a file are missing");
            Error::NotFound
        }
        _ => fault(&error),
    })
}

impl Download {
    /// The bytes of a range that lies within [`Download::size`].
    pub async fn bytes(&self, app: &App, range: Range<u64>) -> Result<Pieces> {
        if range.is_empty() {
            return Ok(stream::iter([Ok(Bytes::new())]).boxed());
        }
        read(app, &self.key, range).await
    }
}
