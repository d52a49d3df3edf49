//! The log: JSON lines on standard output, or text for people. Secrets never come this far: they have no way to be printed, and the
//! edge writes paths without their query.

use std::fmt;

use fastcms_core::config::{LogFormat, LogLevel, Logging};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Starts writing the log of this process, as the settings say. Does nothing where a log is being written already.
pub fn start(settings: &Logging) {
    let level = match settings.level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warning => LevelFilter::WARN,
        LogLevel::Error | LogLevel::Critical => LevelFilter::ERROR,
    };
    let builder = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stdout);
    let started = match settings.format {
        LogFormat::Json => tracing::subscriber::set_global_default(builder.event_format(JsonLines).finish()),
        LogFormat::Text => {
            tracing::subscriber::set_global_default(builder.with_target(false).with_ansi(false).finish())
        }
    };
    if started.is_err() {
        tracing::debug!("a log is being written already");
    }
}

/// One object a line with the keys of contract 9.8; further fields of an event stand beside them.
struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        let mut line = Map::new();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let stamp = fastcms_core::time::stamp(i64::try_from(now.as_millis()).unwrap_or(i64::MAX));
        line.insert("timestamp".to_owned(), stamp.into());
        line.insert("level".to_owned(), level_name(*metadata.level()).into());
        line.insert("logger".to_owned(), "fastcms".into());
        line.insert("message".to_owned(), Value::Null);
        line.insert("module".to_owned(), metadata.module_path().unwrap_or_default().into());
        line.insert("function".to_owned(), metadata.target().rsplit("::").next().unwrap_or_default().into());
        line.insert("line".to_owned(), metadata.line().into());
        event.record(&mut Fields(&mut line));
        writeln!(writer, "{}", Value::Object(line))
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

/// Puts an event's fields into the line. Control characters end up escaped: a field cannot begin a line of its own (ASVS 16.4.1).
struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: Value) {
        let name = if field.name() == "error" { "exception" } else { field.name() };
        self.0.insert(name.to_owned(), value);
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_is_one_line_whatever_it_says() {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = tracing_subscriber::fmt().event_format(JsonLines).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(user_agent = "a\nb\u{1b}[31m", status = 404, "a \"line\"\r\nand another");
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["level"], "WARNING");
        assert_eq!(line["user_agent"], "a\nb\u{1b}[31m");
        assert_eq!(line["status"], 404);
        assert!(!text.contains('\u{1b}'));
        for key in ["timestamp", "logger", "message", "module", "function", "line"] {
            assert!(!line[key].is_null(), "{key} in {text}");
        }
    }
}
