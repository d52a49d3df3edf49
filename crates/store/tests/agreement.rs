//! The promise of the language: the condition that is written in SQL and the predicate that is evaluated in memory say the same of every
//! row. Random collections, rows and expressions, on `SQLite` always and on `PostgreSQL` when `TEST_DATABASE_URL` names a server on
//! which databases may be created.
//!
//! `AGREEMENT_SEED` and `AGREEMENT_WORLDS` (how many sets of collections) say what is tried; a failure names the seed of its world.

#![expect(clippy::unwrap_used, reason = "a test that meets an error fails, and says where")]

#[path = "agreement/chance.rs"]
mod chance;
#[path = "agreement/database.rs"]
mod database;
#[path = "agreement/grammar.rs"]
mod grammar;
#[path = "agreement/judge.rs"]
mod judge;
#[path = "agreement/known.rs"]
mod known;
#[path = "agreement/operands.rs"]
mod operands;
#[path = "agreement/values.rs"]
mod values;
#[path = "agreement/world.rs"]
mod world;

use fastcms_store::Store;

use crate::chance::Chance;
use crate::judge::{Judge, Tally};
use crate::world::World;

const SEED: u64 = 20_260_315;
const WORLDS: u64 = 25;
const EXPRESSIONS: usize = 60;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

async fn compare(store: Store) {
    let seed = setting("AGREEMENT_SEED", SEED);
    let mut tally = Tally::default();
    for seed in seed..seed + setting("AGREEMENT_WORLDS", WORLDS) {
        let mut chance = Chance::new(seed);
        let world = World::random(&mut chance, store.dialect());
        world.store(&store).await;
        let judge = Judge { store: &store, world: &world, seed };
        for _ in 0..EXPRESSIONS {
            judge.try_one(&mut chance, &mut tally).await;
        }
        world.remove(&store).await;
        assert!(tally.disagreements.len() < 8, "{tally}");
    }
    assert!(tally.disagreements.is_empty(), "{tally}");
    assert!(tally.is_telling(), "{tally}");
    println!("{tally}");
}

#[test]
fn sqlite_and_memory_agree() {
    database::on_sqlite(compare);
}

#[test]
fn postgresql_and_memory_agree() {
    database::on_postgres(compare);
}

#[test]
fn what_once_differed_is_answered_alike() {
    database::on_sqlite(known::cases);
    database::on_postgres(known::cases);
}

#[test]
fn a_rule_over_too_many_values_admits_nobody() {
    database::on_sqlite(known::too_many_values);
    database::on_postgres(known::too_many_values);
}
