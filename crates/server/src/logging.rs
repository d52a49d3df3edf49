//! The log: JSON lines on standard output, or text for people. Secrets never come this far: they have no way to be printed, and the
//! edge writes paths without their query.

mod access;
mod line;
mod output;
pub(crate) mod panics;
mod visible;

use std::io::{self, Stdout, Write};
use std::sync::Arc;

use fastcms_core::config::{LogFormat, LogLevel, Logging};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

pub(crate) use self::access::Access;
use self::{output::Output, visible::Visible};

/// Target of the access log, so that it can be told apart: a line a request.
const ACCESS: &str = "fastcms::access";

/// Starts writing the log of this process, as the settings say. Does nothing where a log is being written already.
pub fn start(settings: &Logging) {
    let level = match settings.level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warning => LevelFilter::WARN,
        LogLevel::Error | LogLevel::Critical => LevelFilter::ERROR,
    };
    let started = match settings.format {
        LogFormat::Json => {
            let lines = JsonLines::<Stdout>::new(level, io::stdout());
            let gathering = lines.output.gather();
            let started = tracing::subscriber::set_global_default(lines);
            if let Err(error) = gathering {
                tracing::warn!(%error, "the access log has no thread of its own");
            }
            started
        }
        LogFormat::Text => {
            let builder = tracing_subscriber::fmt().with_max_level(level).with_writer(|| Visible(io::stdout()));
            tracing::subscriber::set_global_default(builder.with_target(false).with_ansi(false).finish())
        }
    };
    if started.is_err() {
        tracing::debug!("a log is being written already");
    }
}

/// One object a line with the keys of contract 9.8; further fields of an event stand beside them. There are no spans.
struct JsonLines<W> {
    level: LevelFilter,
    output: Arc<Output<W>>,
}

impl<W: Write + Send + 'static> JsonLines<W> {
    fn new(level: LevelFilter, writer: W) -> Self {
        Self { level, output: Arc::new(Output::new(writer)) }
    }
}

impl<W: Write + Send + 'static> Subscriber for JsonLines<W> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= self.level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn event(&self, event: &Event<'_>) {
        let is_access = event.metadata().target() == ACCESS;
        line::write(event, |line| if is_access { self.output.push_later(line) } else { self.output.push(line) });
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use serde_json::Value;

    use super::*;

    #[derive(Clone, Default)]
    pub(super) struct Kept(pub(super) Arc<Mutex<Vec<u8>>>);

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
        tracing::subscriber::with_default(JsonLines::new(LevelFilter::INFO, kept.clone()), || {
            tracing::debug!("below the level");
            tracing::warn!(user_agent = "a\nb\u{1b}[31m", status = 404, "a \"line\"\r\nand another");
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["level"], "WARNING");
        assert_eq!(line["message"], "a \"line\"\r\nand another");
        assert_eq!(line["user_agent"], "a\nb\u{1b}[31m");
        assert_eq!(line["status"], 404);
        assert!(!text.contains('\u{1b}'));
        let quoted = r#"a "path" \ or two"#;
        kept.0.lock().unwrap().clear();
        tracing::subscriber::with_default(JsonLines::new(LevelFilter::INFO, kept.clone()), || {
            tracing::info!(message = quoted, path = quoted, client = "192.0.2.1", error = "none");
        });
        let said: Value = serde_json::from_slice(&kept.0.lock().unwrap()).unwrap();
        assert_eq!([&said["message"], &said["path"], &said["client"]], [quoted, quoted, "192.0.2.1"]);
        assert_eq!((&said["exception"], said["line"] != line["line"]), (&Value::from("none"), true), "{said}");
        for key in ["timestamp", "logger", "message", "module", "function", "line"] {
            assert!(!line[key].is_null(), "{key} in {text}");
        }
    }
}
