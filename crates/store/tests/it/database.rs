//! Databases for tests: made for one claim, and gone afterwards, whether it held or not.

use fastcms_store::{BoxFuture, DatabaseUrl, Dialect, Error, Plan, Result, Row, Sql, Store, StoreConfig, migrations};
use futures_util::FutureExt;
use std::panic::{AssertUnwindSafe, resume_unwind};
use tempfile::TempDir;

/// A database of its own; stores can be opened on it.
pub struct Database {
    url: DatabaseUrl,
    /// The same as text, of PostgreSQL.
    text: Option<url::Url>,
    pub folder: TempDir,
    pub dialect: Dialect,
}

impl Database {
    /// The address with another user.
    pub fn url_of(&self, user: &str, password: &str) -> String {
        let mut url = self.text.clone().expect("of PostgreSQL only");
        url.set_username(user).unwrap();
        url.set_password(Some(password)).unwrap();
        url.into()
    }

    /// A connection past the store.
    pub async fn admin(&self) -> tokio_postgres::Client {
        let text = self.text.as_ref().expect("of PostgreSQL only").as_str();
        let (client, connection) = tokio_postgres::connect(text, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// The defaults, on this database.
    pub fn config(&self) -> StoreConfig {
        StoreConfig::new(self.url.clone())
    }

    /// Opens a store with every migration applied.
    pub async fn store(&self) -> Store {
        self.store_with(self.config()).await
    }

    /// As [`Database::store`], with other settings.
    pub async fn store_with(&self, config: StoreConfig) -> Store {
        let store = Store::open(config).await.unwrap();
        migrations::apply(&store).await.unwrap();
        store
    }
}

/// Runs a claim on each engine there is.
pub fn on_each_engine(claim: impl for<'a> Fn(&'a Database) -> BoxFuture<'a, ()>) {
    on_sqlite(&claim);
    on_postgres(&claim);
}

/// Runs a claim on `SQLite`.
pub fn on_sqlite(claim: impl for<'a> Fn(&'a Database) -> BoxFuture<'a, ()>) {
    let folder = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::sqlite(folder.path().join("data/app.db"));
    let database = Database { url, text: None, folder, dialect: Dialect::Sqlite };
    runtime().block_on(claim(&database));
}

/// Runs a claim on `PostgreSQL`, if there is a server.
pub fn on_postgres(claim: impl for<'a> Fn(&'a Database) -> BoxFuture<'a, ()>) {
    let Ok(server) = std::env::var("TEST_DATABASE_URL") else {
        return;
    };
    let name = format!("test_{}", uuid::Uuid::now_v7().simple());
    let mut url = url::Url::parse(&server).unwrap();
    url.set_path(&name);
    let folder = tempfile::tempdir().unwrap();
    let parsed = DatabaseUrl::parse(url.as_str()).unwrap();
    let database = Database { url: parsed, text: Some(url), folder, dialect: Dialect::Postgres };
    let runtime = runtime();
    runtime.block_on(administer(&server, &format!("CREATE DATABASE {name}")));
    let held = runtime.block_on(AssertUnwindSafe(claim(&database)).catch_unwind());
    runtime.block_on(administer(&server, &format!("DROP DATABASE {name} WITH (FORCE)")));
    if let Err(panic) = held {
        resume_unwind(panic);
    }
}

async fn administer(server: &str, statement: &str) {
    let (client, connection) = tokio_postgres::connect(server, tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    client.batch_execute(statement).await.unwrap();
    drop(client);
    driver.await.unwrap().unwrap();
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap()
}

/// Changes tables by a text of the test's own.
pub async fn ddl(store: &Store, sqlite: &'static str, postgres: &'static str) {
    store
        .write(move |tx| {
            Box::pin(async move {
                let mut sql = tx.sql();
                sql.pick(sqlite, postgres);
                tx.ddl(&sql).await
            })
        })
        .await
        .unwrap();
}

/// Runs one statement in a transaction of its own.
pub async fn execute(store: &Store, sql: Sql) -> Result<u64> {
    store.write(move |tx| Box::pin(async move { tx.execute(&sql).await })).await
}

/// Reads rows.
pub async fn fetch(store: &Store, plan: Plan, sql: Sql) -> Result<Vec<Row>> {
    store.read(plan, move |reader| Box::pin(async move { reader.fetch(&sql).await })).await
}

/// Reads one number.
pub async fn number(store: &Store, text: &'static str) -> i64 {
    let rows = fetch(store, Plan::Bounded, statement(store, text)).await.unwrap();
    rows[0].int(0).unwrap()
}

/// A statement without binds.
pub fn statement(store: &Store, text: &'static str) -> Sql {
    let mut sql = store.sql();
    sql.push(text);
    sql
}

/// An error of a test's own.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("the job changed its mind")]
    OnPurpose,
    #[error(transparent)]
    Store(#[from] Error),
}
