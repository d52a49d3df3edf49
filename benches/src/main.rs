//! What the product is measured against: axum, and axum with rusqlite, with nothing around them. No accounts, no rules, no limits, no
//! log: never to be exposed.
//!
//! `bare FILE` serves on a free port of the loopback, which it prints, until it is ended:
//!
//! | path | what it is |
//! |---|---|
//! | `/constant` | a constant JSON answer: what axum, hyper, tokio and the system cost |
//! | `/headers` | the same with the headers that the product puts on every answer |
//! | `/posts/{id}` | one row of the collection `posts` in FILE, a database of the product, written as the product writes it |

use std::cell::RefCell;
use std::error::Error;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};
use tokio::net::TcpListener;

// Linked for its `malloc`, as in the product.
use mimalloc as _;

thread_local! {
    /// The connection of a worker.
    static READER: RefCell<Option<Connection>> = const { RefCell::new(None) };
}

const CONSTANT: &str = r#"{"status":"healthy","service":"bare","version":"0.1.0","environment":"development"}"#;
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const FIELDS: [&str; 5] = ["title", "body", "views", "published", "author"];

/// The set of an answer of the API; the id of the request is a constant here.
const HEADERS: [(&str, &str); 11] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("x-xss-protection", "0"),
    ("referrer-policy", "strict-origin-when-cross-origin"),
    (
        "permissions-policy",
        "accelerometer=(), camera=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), payment=(), usb=()",
    ),
    ("cross-origin-resource-policy", "same-origin"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("vary", "Origin"),
    ("x-request-id", "0123456789abcdef0123456789abcdef"),
    ("cache-control", "no-store, no-cache, must-revalidate, private"),
    ("pragma", "no-cache"),
];

struct Bare {
    file: String,
    select: String,
    headers: HeaderMap,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args().nth(1).ok_or("usage: bare FILE")?;
    let table: String =
        open(&file)?.query_row("SELECT id FROM collections WHERE name = 'posts'", [], |row| row.get(0))?;
    let table: String = table.chars().filter(char::is_ascii_alphanumeric).collect();
    let select =
        format!("SELECT id, created, updated, title, body, views, published, author FROM c_t{table} WHERE id = ?1");
    let parsed = |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    let mut headers = HeaderMap::with_capacity(24);
    headers.extend(HEADERS.map(parsed));
    let routes = Router::new()
        .route("/constant", get(constant))
        .route("/headers", get(with_headers))
        .route("/posts/{id}", get(post))
        .with_state(Arc::new(Bare { file, select, headers }));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("{}", listener.local_addr()?.port());
    axum::serve(listener, routes).await?;
    Ok(())
}

async fn constant() -> Response {
    ([(header::CONTENT_TYPE, JSON)], CONSTANT).into_response()
}

async fn with_headers(State(bare): State<Arc<Bare>>) -> Response {
    let mut response = CONSTANT.into_response();
    let mut headers = bare.headers.clone();
    headers.insert(header::CONTENT_TYPE, JSON);
    *response.headers_mut() = headers;
    response
}

async fn post(State(bare): State<Arc<Bare>>, Path(id): Path<String>) -> Response {
    match read(&bare, &id) {
        Ok(Some(json)) => ([(header::CONTENT_TYPE, JSON)], json).into_response(),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn open(file: &str) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.execute_batch("PRAGMA cache_size = -8192")?;
    Ok(connection)
}

fn read(bare: &Bare, id: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    READER.with_borrow_mut(|reader| {
        let connection = match reader {
            Some(connection) => connection,
            empty => empty.insert(open(&bare.file)?),
        };
        let mut statement = connection.prepare_cached(&bare.select)?;
        let mut rows = statement.query([id])?;
        rows.next()?.map(json).transpose()
    })
}

fn json(row: &Row<'_>) -> rusqlite::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(1024);
    out.extend_from_slice(b"{\"id\":");
    write(&mut out, row.get_ref(0)?, false);
    out.extend_from_slice(b",\"data\":{");
    for (at, field) in FIELDS.iter().enumerate() {
        out.extend_from_slice(if at > 0 { b",\"" } else { b"\"" });
        out.extend_from_slice(field.as_bytes());
        out.extend_from_slice(b"\":");
        write(&mut out, row.get_ref(3 + at)?, *field == "published");
    }
    out.extend_from_slice(b"},\"created\":");
    write(&mut out, row.get_ref(1)?, false);
    out.extend_from_slice(b",\"updated\":");
    write(&mut out, row.get_ref(2)?, false);
    out.extend_from_slice(b",\"expand\":{}}");
    Ok(out)
}

fn write(out: &mut Vec<u8>, value: ValueRef<'_>, is_bool: bool) {
    let written = match value {
        ValueRef::Integer(flag) if is_bool => serde_json::to_writer(&mut *out, &(flag != 0)),
        ValueRef::Integer(number) => serde_json::to_writer(&mut *out, &number),
        ValueRef::Real(number) => serde_json::to_writer(&mut *out, &number),
        ValueRef::Text(text) => serde_json::to_writer(&mut *out, &String::from_utf8_lossy(text)),
        ValueRef::Null | ValueRef::Blob(_) => serde_json::to_writer(&mut *out, &()),
    };
    debug_assert!(written.is_ok(), "writing to memory cannot fail");
}
