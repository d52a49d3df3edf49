//! The product with an audit log that can be silenced, to see what the log costs. No setting of the product does that: the log is
//! silenced by a feature of `fastcms-core` that only this program asks for. Never to be exposed.
//!
//! `measured serve` serves as `fastcms serve` does, without its chores; `MEASURED_SILENT=true` silences the log.
//! `measured append` writes events for five seconds, one a transaction, waits until all are linked, verifies them, and says how fast
//! each of these went.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fastcms::{api, listener, logging};
use fastcms_core::app::{self, OlderSchema, Opening, Process, WithoutSecret};
use fastcms_core::config::{Command, Config, Sources};
use fastcms_core::{App, Caller, audit};
use fastcms_guard::clock::SystemClock;
use fastcms_guard::ids::SystemRng;
use tokio::signal::unix::{SignalKind, signal};

// Linked for its `malloc`, as in the product.
use mimalloc as _;

/// Writers at once.
const WRITERS: usize = 64;
/// For how long they write.
const WRITING: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let sources =
        Sources { environment: std::env::vars().collect(), directory: std::env::current_dir()?, ..Sources::default() };
    let config = Config::load(&sources, Command::Serve).map_err(|faults| faults.to_string())?;
    logging::start(&config.logging);
    let opening = Opening {
        config,
        clock: Arc::new(SystemClock),
        rng: Arc::new(SystemRng),
        without_secret: WithoutSecret::Forget,
        older_schema: OlderSchema::Migrate,
        process: Process::Server,
        alike_refusals: true,
        custody: None,
    };
    let app = app::open(opening).await?;
    match std::env::args().nth(1).as_deref() {
        Some("serve") => serve(&app).await?,
        Some("append") => append(&app).await?,
        other => return Err(format!("`serve` or `append`, not {other:?}").into()),
    }
    app.store.close().await;
    Ok(())
}

async fn serve(app: &Arc<App>) -> Result<(), Box<dyn Error>> {
    if std::env::var("MEASURED_SILENT").is_ok_and(|value| value == "true") {
        app.audit.silence();
    }
    let socket = listener::bind(&app.config.server.host, app.config.server.port).await?;
    let mut terminate = signal(SignalKind::terminate())?;
    listener::serve(socket, api::edge(Arc::clone(app)), async move {
        terminate.recv().await;
    })
    .await;
    audit::flush(&Caller::background(), app).await?;
    Ok(())
}

async fn append(app: &Arc<App>) -> Result<(), Box<dyn Error>> {
    let (written, began) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let (app, written) = (Arc::clone(app), Arc::clone(&written));
            tokio::spawn(async move {
                while began.elapsed() < WRITING {
                    audit::note_export(&Caller::operator(), &app).await?;
                    written.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<_, fastcms_core::Error>(())
            })
        })
        .collect();
    for writer in writers {
        writer.await??;
    }
    let (events, writing) = (written.load(Ordering::Relaxed), began.elapsed());
    let operator = Caller::operator();
    while audit::standing(&operator, app).await?.1 > 0 {
        audit::flush(&operator, app).await?;
    }
    let (linking, began) = (began.elapsed().saturating_sub(writing), Instant::now());
    let report = audit::verify(&operator, app, &[], &mut |_| {}).await?;
    let verifying = began.elapsed();
    if let Some(finding) = report.finding {
        return Err(format!("the log does not verify: {finding:?}").into());
    }
    println!(
        "{events} events, one a transaction, {:.0} a second; all linked {:.2} s after the last; {} links verified, {:.0} a second",
        each_second(events, writing),
        linking.as_secs_f64(),
        report.links,
        each_second(report.links.unsigned_abs(), verifying),
    );
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "counts of seconds are far below 2^53")]
fn each_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}
