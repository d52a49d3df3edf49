//! Every test of the suite runs once an engine, each time on a database of its own.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tempfile::TempDir;

use crate::canary;
use crate::product::Product;

/// Where a test's data lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// Makes a module `sqlite` and a module `postgres` of tests out of functions `async fn name(product: &Product)`.
#[macro_export]
macro_rules! on_both_engines {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[test] fn $test() { $crate::engine::run($crate::engine::Engine::Sqlite, |product| Box::pin(super::$test(product))); })*
        }
        mod postgres {
            $(#[test] fn $test() { $crate::engine::run($crate::engine::Engine::Postgres, |product| Box::pin(super::$test(product))); })*
        }
    };
}

/// Runs one test on one engine and takes its database away, whatever became of it.
pub fn run<F>(engine: Engine, test: F)
where
    F: for<'p> FnOnce(&'p Product) -> std::pin::Pin<Box<dyn Future<Output = ()> + 'p>>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let folder = TempDir::new().unwrap();
        let database = Database::make(engine, &folder).await;
        let product = Product::start(&database.url, folder.path(), &[]).await;
        let outcome = AssertUnwindSafe(test(&product)).catch_unwind().await;
        product.close().await;
        database.drop().await;
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
        canary::assert_quiet();
        canary::assert_sealed(&folder.path().join("data"));
    });
}

/// The same for a test that starts processes and waits for them: it gets an address and blocks as it likes.
pub fn run_blocking(engine: Engine, test: impl FnOnce(&str)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = TempDir::new().unwrap();
    let database = runtime.block_on(Database::make(engine, &folder));
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| test(&database.url)));
    runtime.block_on(database.drop());
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

/// A database that belongs to one test.
struct Database {
    url: String,
    /// Server and name, where one has to be dropped.
    made: Option<(String, String)>,
}

impl Database {
    async fn make(engine: Engine, folder: &TempDir) -> Self {
        if engine == Engine::Sqlite {
            return Self { url: format!("sqlite:///{}/data/app.db", folder.path().display()), made: None };
        }
        let server = std::env::var("TEST_DATABASE_URL")
            .expect("TEST_DATABASE_URL names no PostgreSQL: run `cargo xtask test`, which starts one and sets it");
        let name = format!("it_{}", uuid::Uuid::now_v7().simple());
        execute(&server, &format!("CREATE DATABASE {name}")).await;
        let mut url = url::Url::parse(&server).unwrap();
        url.set_path(&name);
        Self { url: url.into(), made: Some((server, name)) }
    }

    async fn drop(self) {
        if let Some((server, name)) = self.made {
            execute(&server, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
        }
    }
}

/// Runs statements on a PostgreSQL database, past the product.
pub async fn statement(url: &str, statement: &str) {
    execute(url, statement).await;
}

async fn execute(server: &str, statement: &str) {
    let (client, connection) =
        tokio_postgres::connect(server, tokio_postgres::NoTls).await.expect("the test server answers");
    let driving = tokio::spawn(connection);
    client.batch_execute(statement).await.unwrap();
    drop(client);
    let _ = driving.await;
}
