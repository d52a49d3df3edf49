//! What a start writes is flushed by its end, whoever starts.

use std::sync::Arc;

use fastcms_core::app::{self, OlderSchema, Opening, Process, WithoutSecret};
use fastcms_core::config::{Command, Config, Sources};
use fastcms_guard::clock::SystemClock;
use fastcms_guard::ids::SystemRng;
use fastcms_store::{Dialect, Sql, Store};

/// What `PRAGMA synchronous` answers where every commit is flushed.
const FULL: i64 = 2;

async fn synchronous(store: &Store) -> i64 {
    let none: [i64; 0] = [];
    let asked = store.write(move |tx| {
        Box::pin(async move { tx.fetch_one(&Sql::with(Dialect::Sqlite, "PRAGMA synchronous", none)).await })
    });
    asked.await.unwrap().unwrap().int(0).unwrap()
}

#[tokio::test]
async fn a_server_and_a_command_flush_every_commit_from_when_they_are_open() {
    for process in [Process::Server, Process::Command] {
        let folder = tempfile::tempdir().unwrap();
        let database = format!("sqlite:///{}", folder.path().join("app.db").display());
        // A new file, and one that is there.
        for _ in 0..2 {
            let environment = [("DATABASE_URL", database.as_str()), ("SECRET_KEY", crate::process::SECRET)];
            let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
            let sources = Sources { environment, directory: folder.path().to_owned(), ..Sources::default() };
            let opening = Opening {
                config: Config::load(&sources, Command::Serve).unwrap(),
                clock: Arc::new(SystemClock),
                rng: Arc::new(SystemRng),
                without_secret: WithoutSecret::Forget,
                older_schema: OlderSchema::Migrate,
                process,
                custody: None,
                alike_refusals: true,
            };
            let app = app::open(opening).await.unwrap();
            assert_eq!(synchronous(&app.store).await, FULL, "{process:?}");
            app.store.close().await;
        }
    }
}
