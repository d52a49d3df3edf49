//! `/api/v1/files`: uploads and what is known of them. Their bytes are served by [`super::downloads`].

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use fastcms_core::App;
use fastcms_core::api_keys::{Action, Area};
use fastcms_core::files::{self, File, Sent, Upload};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use super::page::{Page, page_schema};
use super::{Operation, delete, get, patch, post};
use crate::error::{Answer, Refusal};
use crate::extract::{Admin, Anyone, Facts, Id, Json, Multipart, NoContent, Part, Path, Query, SignedIn, Within};

/// The routes of this noun.
pub fn routes() -> Vec<Operation> {
    let page = page_schema(&file_schema());
    let token = json!({"type": "object", "required": ["token", "expires_in"], "properties": {
        "token": {"type": "string"}, "expires_in": {"type": "integer"},
    }});
    vec![
        post("/api/v1/files", upload)
            .summary("Upload a file, for a record if one is named")
            .form(upload_schema())
            .file_sized()
            .answers(201, "The file", file_schema())
            .refuses(403, "forbidden")
            .refuses(404, "not_found")
            .refuses(413, "payload_too_large")
            .refuses(415, "unsupported_media_type")
            .refuses(422, "validation_failed"),
        get("/api/v1/files", list).summary("List files, newest first, without thumbnails").answers(200, "A page", page),
        get("/api/v1/files/{id}", show)
            .summary("What is known of a file")
            .answers(200, "The file", file_schema())
            .refuses(404, "not_found"),
        post("/api/v1/files/{id}/token", make_token)
            .scope(Area::Files, Action::Read)
            .summary("Make a token that opens this one file for two minutes")
            .answers(200, "The token", token)
            .refuses(404, "not_found"),
        patch("/api/v1/files/{id}/protected", protect)
            .summary("Protect a file and its thumbnails, or give them free")
            .answers(200, "The file", file_schema())
            .refuses(404, "not_found"),
        delete("/api/v1/files/{id}", remove)
            .summary("Delete a file, its thumbnails and all their bytes")
            .answers_empty(204, "Deleted")
            .refuses(404, "not_found"),
    ]
}

fn upload_schema() -> Value {
    let text = |what: &str| json!({"type": "string", "description": what});
    json!({"type": "object", "required": ["file"], "properties": {
        "file": {"type": "string", "format": "binary"},
        "collection_name": text("What the file is for; its field says which files it takes"),
        "record_id": text("A record that the caller may change"),
        "field_name": text("A field of type file"),
    }})
}

fn file_schema() -> Value {
    let nullable = || json!({"type": ["string", "null"]});
    json!({"type": "object", "properties": {
        "id": {"type": "string", "format": "uuid"}, "filename": {"type": "string"}, "original_filename": {"type": "string"},
        "mime_type": {"type": "string"}, "size": {"type": "integer"}, "storage_path": nullable(), "storage_type": {"type": "string"},
        "collection_name": nullable(), "record_id": nullable(), "field_name": nullable(), "user_id": nullable(),
        "is_thumbnail": {"type": "boolean"}, "protected": {"type": "boolean"}, "parent_file_id": nullable(),
        "created": {"type": "string", "format": "date-time"}, "updated": {"type": "string", "format": "date-time"},
        "url": {"type": "string"},
    }})
}

#[derive(Serialize)]
struct FileBody {
    id: String,
    filename: String,
    original_filename: String,
    mime_type: String,
    size: i64,
    storage_path: Option<String>,
    storage_type: String,
    collection_name: Option<String>,
    record_id: Option<String>,
    field_name: Option<String>,
    user_id: Option<String>,
    is_thumbnail: bool,
    protected: bool,
    parent_file_id: Option<String>,
    created: String,
    updated: String,
    url: String,
}

impl From<File> for FileBody {
    fn from(file: File) -> Self {
        let File { stored, collection_name, storage_path, url } = file;
        Self {
            id: stored.id,
            filename: stored.filename,
            original_filename: stored.original_filename,
            mime_type: stored.mime_type,
            size: stored.size,
            storage_path,
            storage_type: stored.storage_type,
            collection_name,
            record_id: stored.record_id,
            field_name: stored.field_name,
            user_id: stored.owner.map(|(_, id)| id),
            is_thumbnail: stored.is_thumbnail,
            protected: stored.protected,
            parent_file_id: stored.parent_file_id,
            created: stored.created,
            updated: stored.updated,
            url,
        }
    }
}

async fn upload(SignedIn(caller): SignedIn, State(app): State<Arc<App>>, facts: Facts, mut form: Multipart) -> Answer {
    let (mut sent, mut received) = (Sent::default(), None);
    while let Some(part) = form.next().await? {
        let name = part.name().to_owned();
        let place = match name.as_str() {
            "file" if received.is_some() => return Err(Refusal::field("file", "Must be given once")),
            "file" => {
                sent.file_name = part.file_name().map(str::to_owned);
                sent.declared = part.content_type().map(str::to_owned);
                if sent.file_name.as_deref().is_none_or(|name| name.trim().is_empty()) {
                    return Err(Refusal::field("file", "A file name is required"));
                }
                received = Some(receive(part, files::receive(&caller, &app).await?).await?);
                continue;
            }
            "collection_name" => &mut sent.collection_name,
            "record_id" => &mut sent.record_id,
            "field_name" => &mut sent.field_name,
            _ => return Err(Refusal::field(name, "Unknown field")),
        };
        if place.is_some() {
            return Err(Refusal::field(name, "Must be given once"));
        }
        *place = Some(part.text().await?);
    }
    let received = received.ok_or_else(|| Refusal::field("file", "This field is required"))?;
    let file = files::store(&caller, &app, facts.request(), received, sent).await?;
    Ok((StatusCode::CREATED, Json(FileBody::from(file))).into_response())
}

async fn receive(mut part: Part, mut upload: Upload) -> Answer<Upload> {
    while let Some(chunk) = part.chunk().await? {
        upload.write(chunk).await?;
    }
    Ok(upload)
}

crate::query! {
    struct ListQuery {
        page: Within<1, 10_000_000> = Within(1),
        per_page: Within<1, 100> = Within(20),
        collection_name: Option<String>,
        record_id: Option<String>,
    }
}

async fn list(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Query(query): Query<ListQuery>,
) -> Answer<Json<Page<FileBody>>> {
    let (page, per_page) = (query.page.0, query.per_page.0);
    let (collection, record) = (query.collection_name.as_deref(), query.record_id.as_deref());
    let found = files::list(&caller, &app, collection, record, page, per_page).await?;
    Ok(Json(Page::of(found.items, found.total, page, per_page)))
}

async fn show(
    Anyone(caller): Anyone,
    State(app): State<Arc<App>>,
    Path(Id(id)): Path<Id>,
    facts: Facts,
) -> Answer<Json<FileBody>> {
    Ok(Json(files::get(&caller, &app, facts.request(), &id).await?.into()))
}

#[derive(Serialize)]
struct TokenBody {
    token: String,
    expires_in: i64,
}

async fn make_token(
    SignedIn(caller): SignedIn,
    State(app): State<Arc<App>>,
    Path(Id(id)): Path<Id>,
    facts: Facts,
) -> Answer<Json<TokenBody>> {
    let made = files::make_token(&caller, &app, facts.request(), &id).await?;
    Ok(Json(TokenBody { token: made.token, expires_in: made.expires_in }))
}

crate::query! {
    struct Protection {
        protected: bool,
    }
}

async fn protect(
    SignedIn(caller): SignedIn,
    State(app): State<Arc<App>>,
    Path(Id(id)): Path<Id>,
    Query(query): Query<Protection>,
) -> Answer<Json<FileBody>> {
    Ok(Json(files::protect(&caller, &app, &id, query.protected).await?.into()))
}

async fn remove(SignedIn(caller): SignedIn, State(app): State<Arc<App>>, Path(Id(id)): Path<Id>) -> Answer<NoContent> {
    files::delete(&caller, &app, &id).await?;
    Ok(NoContent)
}
