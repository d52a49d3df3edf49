//! Databases made for one claim, and gone afterwards.

use std::panic::{AssertUnwindSafe, resume_unwind};

use fastcms_store::{DatabaseUrl, Store, StoreConfig, migrations};
use futures_util::FutureExt;

/// Runs a claim on a `SQLite` of its own.
pub fn on_sqlite<F: Future<Output = ()>>(claim: impl FnOnce(Store) -> F) {
    let folder = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::sqlite(folder.path().join("app.db"));
    runtime().block_on(async { claim(open(url).await).await });
}

/// Runs a claim on a `PostgreSQL` database of its own, if there is a server.
pub fn on_postgres<F: Future<Output = ()>>(claim: impl FnOnce(Store) -> F) {
    let Ok(server) = std::env::var("TEST_DATABASE_URL") else {
        return;
    };
    let name = format!("test_{}", uuid::Uuid::now_v7().simple());
    let mut url = url::Url::parse(&server).unwrap();
    url.set_path(&name);
    let url = DatabaseUrl::parse(url.as_str()).unwrap();
    let runtime = runtime();
    runtime.block_on(administer(&server, &format!("CREATE DATABASE {name}")));
    let held = runtime.block_on(AssertUnwindSafe(async { claim(open(url).await).await }).catch_unwind());
    runtime.block_on(administer(&server, &format!("DROP DATABASE {name} WITH (FORCE)")));
    if let Err(panic) = held {
        resume_unwind(panic);
    }
}

async fn open(url: DatabaseUrl) -> Store {
    let store = Store::open(StoreConfig::new(url)).await.unwrap();
    migrations::apply(&store).await.unwrap();
    store
}

async fn administer(server: &str, statement: &str) {
    let (client, connection) = tokio_postgres::connect(server, tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    client.batch_execute(statement).await.unwrap();
    drop(client);
    driver.await.unwrap().unwrap();
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}
