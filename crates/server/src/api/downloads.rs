//! `/api/v1/files/{id}/download`: the bytes of files and of the pictures made from them, served so that nothing in them can act.

mod conditions;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, State};
use axum::response::IntoResponse;
use fastcms_core::App;
use fastcms_core::files::{self, Download};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use self::conditions::{Served, Validators};
use super::{Operation, get};
use crate::edge::{Exchange, FilesDoor};
use crate::error::{Answer, Refusal};
use crate::extract::{Anyone, Argument, Facts, Id, Path, Query};

const X_FILE_TOKEN: HeaderName = HeaderName::from_static("x-file-token");
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Characters that `filename*` takes as they are (RFC 8187 section 3.2.1).
const PLAIN: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The one route.
pub fn routes() -> Vec<Operation> {
    vec![
        get("/api/v1/files/{id}/download", download)
            .summary("The bytes of a file, or of a picture made from it; a protected one wants who may view it, or a file token")
            .takes_file_token()
            .answers_as(200, "All bytes", "application/octet-stream")
            .answers_as(206, "The range that was asked for", "application/octet-stream")
            .answers_empty(304, "What the client has is current")
            .refuses(400, "invalid_thumb, multiple_credentials")
            .refuses(403, "file_protected, invalid_file_token")
            .refuses(404, "not_found")
            .refuses(416, "range_not_satisfiable")
            .refuses(422, "validation_failed"),
    ]
}

crate::query! {
    struct DownloadQuery {
        thumb: Option<String>,
        token: Option<String>,
    }
}

/// What of a request decides how its answer is made.
struct Asked {
    method: Method,
    headers: HeaderMap,
    door: FilesDoor,
}

impl Argument for Asked {}

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let door = Exchange::of(&parts.extensions)?.door;
        Ok(Self { method: parts.method.clone(), headers: parts.headers.clone(), door })
    }
}

async fn download(
    Anyone(caller): Anyone,
    State(app): State<Arc<App>>,
    Path(Id(id)): Path<Id>,
    Asked { method, headers, door }: Asked,
    facts: Facts,
    Query(query): Query<DownloadQuery>,
) -> Answer {
    let token = one_token(query.token.as_deref(), &headers)?;
    let found = files::download(&caller, &app, facts.request(), &id, query.thumb.as_deref(), token).await?;
    let validators = Validators::new(&found.etag, &found.created);
    let served = conditions::judge(&method, &headers, &validators, found.size);
    let mut response = match &served {
        Served::NotModified => StatusCode::NOT_MODIFIED.into_response(),
        Served::NoSuchRange => Refusal::RangeNotSatisfiable { size: found.size }.into_response(),
        Served::Whole | Served::Part(_) => bytes(&app, &found, &method, &served).await?,
    };
    describe(response.headers_mut(), &found, &validators, door);
    if token.is_some() {
        response.headers_mut().insert(header::REFERRER_POLICY, const { HeaderValue::from_static("no-referrer") });
    }
    Ok(response)
}

/// The file token, from the one place where it stands.
fn one_token<'r>(in_query: Option<&'r str>, headers: &'r HeaderMap) -> Result<Option<&'r str>, Refusal> {
    let mut in_headers = headers.get_all(X_FILE_TOKEN).iter();
    match (in_query, in_headers.next(), in_headers.next()) {
        (token, None, _) => Ok(token),
        // What is no text is no token of ours either.
        (None, Some(token), None) => Ok(Some(token.to_str().unwrap_or_default())),
        _ => Err(Refusal::MultipleCredentials),
    }
}

/// The answer that carries bytes.
async fn bytes(app: &App, found: &Download, method: &Method, served: &Served) -> Answer {
    let (status, range) = match served {
        Served::Part(range) => (StatusCode::PARTIAL_CONTENT, range.clone()),
        _ => (StatusCode::OK, 0..found.size),
    };
    let length = range.end - range.start;
    let body =
        if method == Method::HEAD { Body::empty() } else { Body::from_stream(found.bytes(app, range.clone()).await?) };
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, length.into());
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {}-{}/{}", range.start, range.end - 1, found.size);
        headers.insert(header::CONTENT_RANGE, HeaderValue::try_from(range).expect("numbers are a valid header value"));
    }
    let kind = match found.media_type {
        "text/plain" => "text/plain; charset=utf-8",
        "text/csv" => "text/csv; charset=utf-8",
        kind => kind,
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}

/// What every answer about a file carries, whatever its status (contract 8, R139).
fn describe(headers: &mut HeaderMap, found: &Download, validators: &Validators, door: FilesDoor) {
    let mut set = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set(header::ACCEPT_RANGES, "bytes");
    set(header::CACHE_CONTROL, "private, no-store");
    set(header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'");
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::CONTENT_DISPOSITION, &disposition(&found.name, found.inline && door != FilesDoor::Beside));
    set(header::ETAG, &validators.etag);
    if let Some(modified) = &validators.modified {
        set(header::LAST_MODIFIED, modified);
    }
    if door == FilesDoor::Own {
        // That origin is there to be embedded from; pages of ours live elsewhere.
        set(CROSS_ORIGIN_RESOURCE_POLICY, "cross-origin");
    }
}

/// `Content-Disposition` (RFC 6266): a name in ASCII for everybody, and the real one where they differ.
fn disposition(name: &str, inline: bool) -> String {
    let kind = if inline { "inline" } else { "attachment" };
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') || c == ' ';
    let fallback: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    if fallback == name {
        return format!("{kind}; filename=\"{fallback}\"");
    }
    format!("{kind}; filename=\"{fallback}\"; filename*=UTF-8''{}", utf8_percent_encode(name, &PLAIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_within_its_header() {
        assert_eq!(disposition("a b.png", true), "inline; filename=\"a b.png\"");
        assert_eq!(
            disposition("Grüße \"1\"%.txt", false),
            "attachment; filename=\"Gr__e _1__.txt\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe%20%221%22%25.txt"
        );
        let forged = disposition("a\r\nSet-Cookie: x=y", false);
        assert!(!forged.contains(['\r', '\n']), "{forged}");
        assert!(HeaderValue::from_str(&disposition("😀\u{7f}", false)).is_ok());
    }
}
