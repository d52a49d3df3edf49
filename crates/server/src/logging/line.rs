//! One event as one JSON object, written straight into bytes: one a request, so no map and no value in between.

use super::visible;
use std::cell::RefCell;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use fastcms_core::time::{self, STAMP_BYTES};
use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata};

thread_local! {
    static BUFFERS: RefCell<Buffers> = const { RefCell::new(Buffers::new()) };
}

/// What is kept of the buffers between two lines, bytes.
const KEPT: usize = 8 * 1024;

struct Buffers {
    /// The second of the last line, and an instant within it as it is written: most lines differ in the milliseconds alone.
    second: i64,
    stamp: [u8; STAMP_BYTES],
    line: Vec<u8>,
    /// The fields of the event but its message.
    rest: Vec<u8>,
    /// Where the last line came from, and what is written of that: nearly always the same place, that of the access log.
    origin: Option<&'static Metadata<'static>>,
    place: Vec<u8>,
}

/// Hands the line of an event to `done`, its line end included.
pub(super) fn write(event: &Event<'_>, done: impl FnOnce(&[u8])) {
    // An event within an event (a value that logs while it is printed) has buffers of its own.
    BUFFERS.with(|buffers| match buffers.try_borrow_mut() {
        Ok(mut buffers) => done(buffers.fill(event)),
        Err(_) => done(Buffers::new().fill(event)),
    });
}

/// Hands a line to `done` that says its message and all that follows by itself: what `rest` writes behind the opening quote of the
/// message. Where `rest` answers `false` there is no line, and neither is there where one is being written already.
pub(super) fn by_hand(level: &str, rest: impl FnOnce(&mut Vec<u8>) -> bool, done: impl FnOnce(&[u8])) -> bool {
    BUFFERS.with(|buffers| {
        let Ok(mut buffers) = buffers.try_borrow_mut() else { return false };
        let line = buffers.begin(level);
        line.push(b'"');
        let written = rest(line);
        if written {
            done(line);
        }
        written
    })
}

impl Buffers {
    const fn new() -> Self {
        let (second, stamp) = (i64::MIN, [0; STAMP_BYTES]);
        Self { second, stamp, line: Vec::new(), rest: Vec::new(), origin: None, place: Vec::new() }
    }

    /// Empties the buffers, and begins a line up to its message.
    fn begin(&mut self, level: &str) -> &mut Vec<u8> {
        let Self { second, stamp, line, rest, .. } = self;
        for buffer in [&mut *line, rest] {
            buffer.clear();
            buffer.shrink_to(KEPT);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX / 1_000);
        if *second != seconds {
            (*second, *stamp) = (seconds, time::written(seconds * 1_000).unwrap_or(*b"1970-01-01T00:00:00.000Z"));
        }
        time::put_millis(stamp, now.subsec_millis());
        line.extend_from_slice(b"{\"timestamp\":\"");
        line.extend_from_slice(stamp);
        line.extend_from_slice(b"\",\"level\":\"");
        line.extend_from_slice(level.as_bytes());
        line.extend_from_slice(b"\",\"logger\":\"fastcms\",\"message\":");
        line
    }

    fn fill(&mut self, event: &Event<'_>) -> &[u8] {
        let metadata = event.metadata();
        self.begin(level_name(*metadata.level()));
        let Self { line, rest, origin, place, .. } = self;
        let before = line.len();
        event.record(&mut Fields { message: line, rest });
        if line.len() == before {
            line.extend_from_slice(b"null");
        }
        if !origin.is_some_and(|origin| std::ptr::eq(origin, metadata)) {
            *origin = Some(metadata);
            place.clear();
            put(place, "module", &metadata.module_path().unwrap_or_default());
            put(place, "function", &metadata.target().rsplit("::").next().unwrap_or_default());
            put(place, "line", &metadata.line());
        }
        line.extend_from_slice(place);
        line.extend_from_slice(rest);
        line.extend_from_slice(b"}\n");
        visible::in_json(line);
        line
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        Level::DEBUG | Level::TRACE => "DEBUG",
    }
}

/// Writes `,"name":value`.
fn put<T: Serialize + ?Sized>(out: &mut Vec<u8>, name: &str, value: &T) {
    begin(out, name);
    write_json(out, value);
}

/// Writes `,"name":`.
fn begin(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn write_json<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    let written = serde_json::to_writer(out, value);
    debug_assert!(written.is_ok(), "writing to memory cannot fail");
}

/// Puts an event's fields into the line. Control characters end up escaped: a field cannot begin a line of its own (ASVS 16.4.1).
struct Fields<'a> {
    message: &'a mut Vec<u8>,
    rest: &'a mut Vec<u8>,
}

impl Fields<'_> {
    /// Where the value of a field is to be written; its name stands there already.
    fn place(&mut self, field: &Field) -> &mut Vec<u8> {
        let name = match field.name() {
            "message" => return self.message,
            "error" => "exception",
            name => name,
        };
        begin(self.rest, name);
        self.rest
    }

    fn put<T: Serialize + ?Sized>(&mut self, field: &Field, value: &T) {
        write_json(self.place(field), value);
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if !is_plain(value) {
            return self.put(field, value);
        }
        let out = self.place(field);
        out.push(b'"');
        out.extend_from_slice(value.as_bytes());
        out.push(b'"');
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, &value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, &value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, &Printed(value));
    }
}

/// Whether a text stands in JSON as it is. Looks at every byte whatever was found: that is done for many at once.
pub(super) fn is_plain(text: &str) -> bool {
    let odd =
        |byte: u8| u8::from(byte < b' ') | u8::from(byte > b'~') | u8::from(byte == b'"') | u8::from(byte == b'\\');
    text.bytes().fold(0, |found, byte| found | odd(byte)) == 0
}

/// What a value prints, as a JSON text without a `String` in between.
struct Printed<'a>(&'a dyn fmt::Debug);

impl fmt::Display for Printed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Printed<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
