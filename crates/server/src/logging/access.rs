//! The line of the access log: one an answered request. Where lines are JSON it is written by hand, since the general way of an event
//! costs more than all else that is done for a small answer; what it says and in which order is the same either way.

use std::io::{Stdout, Write};

use http::StatusCode;
use tracing::dispatcher;

use super::{ACCESS, JsonLines, line};

/// An answered request, as the line shows it.
pub(crate) struct Access<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    /// There was a query, which is not shown: filters and tokens stand there.
    pub(crate) query: bool,
    pub(crate) status: StatusCode,
    /// ASCII.
    pub(crate) request_id: [u8; 32],
    pub(crate) duration_ms: u64,
    /// The client address of contract 9.6, ASCII.
    pub(crate) client: Option<&'a [u8]>,
    pub(crate) account: Option<&'a str>,
}

impl Access<'_> {
    /// Has the line written.
    pub(crate) fn log(&self) {
        let written = dispatcher::get_default(|dispatch| {
            dispatch.downcast_ref::<JsonLines<Stdout>>().is_some_and(|lines| lines.access(self))
        });
        // Outside of that look, where there is nobody to hear it.
        if !written {
            self.event();
        }
    }

    /// The same as an event.
    fn event(&self) {
        let Self { method, path, query, status, ref request_id, duration_ms, client, account } = *self;
        let (request_id, client) = (String::from_utf8_lossy(request_id), client.map(String::from_utf8_lossy));
        let (request_id, client) = (&*request_id, client.as_deref());
        let query = if query { "?[redacted]" } else { "" };
        let message = [method, " ", path, query, " ", status.as_str()].concat();
        let (message, status) = (message.as_str(), status.as_u16());
        tracing::info!(target: ACCESS, message, request_id, method, status, duration_ms, client, account);
    }

    /// The fields behind the place of the line; `false`, with nothing written, where a text does not stand in JSON as it is.
    fn write(&self, out: &mut Vec<u8>) -> bool {
        // What the product itself writes, ids and addresses, has no such characters.
        let texts = [self.method, self.path, self.account.unwrap_or("")];
        if !texts.into_iter().all(line::is_plain) {
            return false;
        }
        let mut put = |pieces: &[&[u8]]| pieces.iter().for_each(|piece| out.extend_from_slice(piece));
        let (method, path, query) = (self.method.as_bytes(), self.path.as_bytes(), self.query);
        let mut digits = itoa::Buffer::new();
        let status = digits.format(self.status.as_u16()).as_bytes();
        put(&[method, b" ", path, if query { b"?[redacted] " } else { b" " }, status]);
        put(&[PLACE.as_bytes(), &self.request_id, b"\",\"method\":\"", method, b"\",\"status\":", status]);
        put(&[b",\"duration_ms\":", itoa::Buffer::new().format(self.duration_ms).as_bytes()]);
        if let Some(client) = self.client {
            put(&[b",\"client\":\"", client, b"\""]);
        }
        if let Some(account) = self.account {
            put(&[b",\"account\":\"", account.as_bytes(), b"\""]);
        }
        put(&[b"}\n"]);
        true
    }
}

/// Where lines of requests come from: what stands between the message and the request id.
const PLACE: &str =
    concat!("\",\"module\":\"", module_path!(), "\",\"function\":\"access\",\"line\":", line!(), ",\"request_id\":\"");

impl<W: Write + Send + 'static> JsonLines<W> {
    /// Writes the line of a request; `false` where it has to be an event.
    fn access(&self, answered: &Access<'_>) -> bool {
        // What is below the level is no line either way.
        tracing::Level::INFO > self.level
            || line::by_hand("INFO", |out| answered.write(out), |line| self.output.push_later(line))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::Value;
    use tracing::level_filters::LevelFilter;

    use super::super::tests::Kept;
    use super::*;

    fn lines(level: LevelFilter, logged: impl FnOnce(&JsonLines<Kept>)) -> Vec<u8> {
        let kept = Kept::default();
        let lines = JsonLines::new(level, kept.clone());
        logged(&lines);
        lines.output.push(b"");
        std::mem::take(&mut kept.0.lock().unwrap())
    }

    /// The keys of a line in their order, and the line without what differs between any two.
    fn said(line: &[u8]) -> (Vec<String>, Value) {
        let text = std::str::from_utf8(line).unwrap();
        let mut value: Value = serde_json::from_str(text).unwrap();
        let mut keys: Vec<(usize, String)> = value
            .as_object()
            .unwrap()
            .keys()
            .map(|key| (text.find(&format!("\"{key}\":")).unwrap(), key.clone()))
            .collect();
        keys.sort();
        for one in ["timestamp", "line", "module"] {
            assert!(!value.as_object_mut().unwrap().remove(one).unwrap().is_null(), "{one} in {text}");
        }
        (keys.into_iter().map(|(_, key)| key).collect(), value)
    }

    #[test]
    fn a_line_by_hand_says_what_the_event_says() {
        let plain = Access {
            method: "GET",
            path: "/api/v1/collections/posts/records",
            query: true,
            status: StatusCode::OK,
            request_id: *b"0123456789abcdef0123456789abcdef",
            duration_ms: 12,
            client: Some(b"2001:db8::1"),
            account: Some("01912345-0000-7000-8000-000000000001"),
        };
        let others = [
            Access { query: false, client: None, account: None, ..plain },
            Access { path: "/a\"b\\c\u{202e}d", ..plain },
            Access { method: "G\"T", status: StatusCode::NOT_FOUND, ..plain },
        ];
        let as_event = |access: &Access<'_>| {
            lines(LevelFilter::INFO, |lines| {
                let lines = JsonLines { level: lines.level, output: Arc::clone(&lines.output) };
                tracing::subscriber::with_default(lines, || access.log());
            })
        };
        for access in [&plain, &others[0]] {
            let by_hand = lines(LevelFilter::INFO, |lines| assert!(lines.access(access)));
            assert_eq!(said(&by_hand), said(&as_event(access)), "{}", access.path);
        }
        for access in &others[1..] {
            assert!(lines(LevelFilter::INFO, |lines| assert!(!lines.access(access))).is_empty(), "{}", access.path);
            assert_eq!(said(&as_event(access)).1["method"], access.method);
        }
        assert!(lines(LevelFilter::WARN, |lines| assert!(lines.access(&plain))).is_empty(), "below the level");
    }
}
