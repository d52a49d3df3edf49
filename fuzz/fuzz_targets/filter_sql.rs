//! Any text that is a filter or a rule of the known collections: `SQLite` takes its condition and finds the rows that match in memory;
//! for `PostgreSQL` it can be written.

#![no_main]

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::LazyLock;

use fastcms_expr::{Place, Predicate, RuleKind, check, parse};
use fastcms_store::predicate::{Sight, Trust, push};
use fastcms_store::{DatabaseUrl, Dialect, Error, Plan, Sql, Store, StoreConfig, migrations};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};

#[path = "../../crates/store/tests/agreement/chance.rs"]
mod chance;
mod given;
#[path = "../../crates/store/tests/agreement/values.rs"]
#[expect(dead_code, reason = "shared with the tests of the store")]
mod values;
#[path = "../../crates/store/tests/agreement/world.rs"]
#[expect(dead_code, reason = "shared with the tests of the store")]
mod world;

struct Given {
    runtime: Runtime,
    store: Store,
    world: world::World,
    sight: Sight,
}

static GIVEN: LazyLock<Given> = LazyLock::new(|| {
    let world = given::world();
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("target/filter_sql/{}", std::process::id()));
    let config = StoreConfig { readers: 1, ..StoreConfig::new(DatabaseUrl::sqlite(folder.join("app.db"))) };
    let store = runtime.block_on(async {
        let store = Store::open(config).await.expect("a store");
        migrations::apply(&store).await.expect("its tables");
        world.store(&store).await;
        store
    });
    let seen = |name: &str| format!("id-{name}");
    let own = |source: &str| predicate(&world, source, Place::Rule(RuleKind::List)).expect("a rule");
    let rows = HashMap::from([(seen("home"), own("n != null || title ~ 'a'")), (seen("People"), Predicate::True)]);
    let sight = Sight { sees_all: false, own: Some((seen("People"), "r1".to_owned())), rows };
    Given { runtime, store, world, sight }
});

fn predicate(world: &world::World, source: &str, place: Place) -> Option<Predicate> {
    let checked = check(&parse(source).ok()?, &given::offer(world, place), place).ok()?;
    checked.bind(&given::Call, values::NOW.parse().expect("a known moment")).ok()
}

fn sql(given: &Given, dialect: Dialect, predicate: &Predicate, trust: Trust<'_>) -> Sql {
    let home = &given.world.home().collection;
    let mut sql = Sql::new(dialect);
    sql.push("SELECT t0.id FROM ").table(home.table()).push(" AS t0 WHERE ");
    push(&mut sql, &given.world.schema, home, predicate, trust).expect("a predicate can be written");
    sql
}

fuzz_target!(|source: &str| {
    let given = &*GIVEN;
    for place in [Place::Filter, Place::Rule(RuleKind::Update)] {
        let Some(predicate) = predicate(&given.world, source, place) else {
            continue;
        };
        let sight = (place == Place::Filter).then_some(&given.sight);
        let trust = sight.map_or(Trust::Rule, Trust::Query);
        sql(given, Dialect::Postgres, &predicate, trust);
        let statement = sql(given, Dialect::Sqlite, &predicate, trust);
        let read =
            given.store.read(Plan::Bounded, move |reader| Box::pin(async move { reader.fetch(&statement).await }));
        let rows = match given.runtime.block_on(read) {
            Ok(rows) => rows,
            // Many paths through many relations, on rows that all point at each other.
            Err(Error::Timeout) => continue,
            Err(error) => panic!("{error:?}"),
        };
        let found: BTreeSet<_> = rows.iter().map(|row| row.text(0).expect("an id").to_owned()).collect();
        let rows =
            (0..given.world.home().records.len()).map(|row| world::Seen { world: &given.world, table: 0, row, sight });
        let matched = rows.filter(|row| predicate.matches(row).expect("a row that answers everything"));
        assert_eq!(
            found,
            matched.map(|row| row.record().id.clone()).collect(),
            "database and memory disagree on {predicate:?}"
        );
    }
});
