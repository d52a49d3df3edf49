//! What a panic leaves behind: one line of the log, under the id of the request that was at work.
//!
//! It says where the panic was, and its text only where that is a literal of the program. A text that was put together at run time may
//! hold anything that was at hand (a slice out of bounds shows the whole text that was cut), so it is not written anywhere, neither here
//! nor by whoever catches the panic.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::Cell;
use std::future::Future;
use std::io::{self, Write as _};
use std::panic::PanicHookInfo;
use std::pin::Pin;

use crate::edge::RequestId;

/// Stands for a text that was put together.
const WITHHELD: &str = "withheld: it was put together at run time";

thread_local! {
    /// The request that this thread is at.
    static REQUEST: Cell<Option<RequestId>> = const { Cell::new(None) };
}

/// Has panics of this process written to the log, and nowhere else. Where there is no log, a line goes to standard error.
pub fn take_over() {
    std::panic::set_hook(Box::new(write));
}

/// The hook.
pub(super) fn write(info: &PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let said = literal(info.payload()).unwrap_or(WITHHELD);
    if !tracing::dispatcher::has_been_set() {
        // Where nobody hears it, nothing is left to do about it.
        drop(writeln!(io::stderr(), "error: a fault of the program at {place}: {}", said.escape_debug()));
        return;
    }
    let request_id = REQUEST.get();
    let request_id = request_id.as_ref().map(RequestId::as_str);
    let thread = std::thread::current();
    // Names of functions, if RUST_BACKTRACE asks for them.
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(request_id, place, thread = thread.name(), backtrace, error = said, "panicked");
}

/// What a panic said, where that stands in the program.
fn literal(payload: &(dyn Any + Send)) -> Option<&'static str> {
    payload.downcast_ref::<&'static str>().copied()
}

/// Runs a future; what panics in it is written under the id of its request.
pub(crate) fn named<F: Future>(request_id: RequestId, mut running: Pin<&mut F>) -> impl Future<Output = F::Output> {
    std::future::poll_fn(move |context| {
        let _at = At(REQUEST.replace(Some(request_id)));
        running.as_mut().poll(context)
    })
}

/// A thread at the work of a request; holds what it was at before.
struct At(Option<RequestId>);

impl Drop for At {
    fn drop(&mut self) {
        REQUEST.set(self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Once;

    use axum::body::Body;
    use axum::extract::Request;
    use fastcms_core::Error;
    use fastcms_secrets::Secret;
    use serde_json::Value;
    use tower::ServiceExt;
    use tracing::level_filters::LevelFilter;

    use crate::api::operation::{Operation, get};
    use crate::edge::Edge;
    use crate::edge::tests::{House, settings};
    use crate::error::Answer;
    use crate::extract::{Anyone, NoContent, Path};
    use crate::logging::{JsonLines, tests::Kept};

    const KEY: &str = "the-key-of-the-house";
    const LITERAL: &str = "a literal\r\nof the program";

    thread_local! {
        static IS_OURS: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    }

    /// Panics of this thread are for our hook, those of other tests for whoever had them before.
    fn take_over() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| if IS_OURS.get() { super::write(info) } else { before(info) }));
        });
        IS_OURS.set(true);
    }

    async fn spills(_: Anyone, Path(how): Path<String>) -> Answer<NoContent> {
        let key = Secret::new(KEY.to_owned());
        match how.as_str() {
            "printed" => panic!("{key:?}"),
            "exposed" => panic!("{key:?}: {}\r\n\u{1b}[31m", key.expose()),
            "cut" => panic!("{}", &key.expose()[..=KEY.len()]),
            "expected" => {
                let number = key.expose().parse::<u16>().map_err(|_| key.expose().clone());
                assert_eq!(number.expect("a number"), 0);
            }
            "elsewhere" => tokio::task::spawn_blocking(move || {
                IS_OURS.set(true);
                panic!("{}", key.expose())
            })
            .await
            .map_err(Error::internal)?,
            _ => panic!("a literal\r\nof the program"),
        }
        Ok(NoContent)
    }

    /// What the log says when a handler panics, and the id of the request.
    async fn logged(how: &str) -> (Vec<Value>, String) {
        take_over();
        let kept = Kept::default();
        let log = tracing::subscriber::set_default(JsonLines::new(LevelFilter::TRACE, kept.clone()));
        let operations: Vec<Operation<House>> = vec![get("/api/v1/spills/{how}", spills)];
        let edge = Edge::new(House, operations, settings());
        let request = Request::get(format!("/api/v1/spills/{how}"));
        let request = request.header("host", "cms.example.com").header("x-forwarded-for", "203.0.113.7");
        let request = request.header("x-forwarded-proto", "https").body(Body::empty()).unwrap();
        let answer = edge.service("10.1.1.1:4000".parse().unwrap()).oneshot(request).await.unwrap();
        drop(log);
        assert_eq!(answer.status(), 500, "{how}");
        let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert!(!text.contains(KEY), "{how}: a secret is in the log: {text}");
        (text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), id)
    }

    #[tokio::test]
    async fn a_panic_is_one_line_under_the_id_of_its_request_and_no_value_is_in_it() {
        for how in ["printed", "exposed", "cut", "expected", "literally"] {
            let (lines, id) = logged(how).await;
            let panics: Vec<&Value> = lines.iter().filter(|line| line["message"] == "panicked").collect();
            let [panic] = panics[..] else { panic!("{how}: {lines:?}") };
            assert_eq!((&panic["level"], &panic["request_id"]), (&"ERROR".into(), &id.as_str().into()), "{how}");
            assert!(panic["place"].as_str().unwrap().starts_with(file!()), "{panic}");
            let said = if how == "literally" { LITERAL } else { super::WITHHELD };
            assert_eq!(panic["exception"], said, "{how}");
            assert!(lines.iter().any(|line| line["message"] == "internal error" && line["request_id"] == id));
        }
    }

    #[tokio::test]
    async fn a_task_that_panics_tells_whoever_waits_for_it_no_value() {
        let (lines, id) = logged("elsewhere").await;
        let internal = lines.iter().find(|line| line["message"] == "internal error").unwrap();
        assert_eq!((&internal["request_id"], &internal["exception"]), (&id.into(), &"a task did not end".into()));
    }

    #[tokio::test]
    async fn between_two_requests_a_thread_is_at_none() {
        logged("printed").await;
        assert!(super::REQUEST.get().is_none());
    }
}
