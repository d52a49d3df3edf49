//! What was once answered differently, and the borders where it would be: collections made for the purpose.

use fastcms_expr::{NoRequest, Place, Predicate, RuleKind, check, parse};
use fastcms_store::predicate::{Sight, Trust, push};
use fastcms_store::schema::{CollectionKind, Definition, FieldType, Offer};
use fastcms_store::{Error, Plan, Row, Store};

use crate::chance::Chance;
use crate::values;
use crate::world::{Datum, Seen, World, defined, made};

fn definitions() -> Vec<Definition> {
    let home = vec![
        made(FieldType::Text, "title", false, None),
        made(FieldType::Number, "n", false, None),
        made(FieldType::Datetime, "at", false, None),
        made(FieldType::Geopoint, "place", false, None),
        made(FieldType::Select, "tags", true, None),
        made(FieldType::Relation, "people", true, Some("People")),
        made(FieldType::Relation, "friend", false, Some("People")),
    ];
    let people = vec![made(FieldType::Text, "name", false, None), made(FieldType::Number, "age", false, None)];
    let order = vec![made(FieldType::Number, "n", false, None)];
    vec![
        defined("home", CollectionKind::Base, home),
        defined("People", CollectionKind::Base, people),
        defined("order", CollectionKind::Base, order),
    ]
}

/// A row with little in it, one with much, one with what is nearly nothing.
fn world(store: &Store, order_rows: usize) -> World {
    let mut world = World::of(definitions(), &mut Chance::new(1), store.dialect());
    let text = |text: &str| Datum::Text(text.to_owned());
    let list = |items: &[&str]| Datum::List(items.iter().map(|item| (*item).to_owned()).collect());
    let rows = [
        [Datum::Null, Datum::Null, Datum::Null, Datum::Null, Datum::Null, Datum::Null, Datum::Null],
        [
            text("ΣΑΣ 50%_\\ İ"),
            Datum::Number(-0.0),
            text("9999-12-31T23:59:59.999Z"),
            Datum::Point(90.0, 0.0),
            list(&["a", "ß\"", "\\"]),
            list(&["r0", "r1"]),
            text("r0"),
        ],
        [
            text(""),
            Datum::Number(1e308),
            text("0000-01-01T00:00:00.000Z"),
            Datum::Point(-90.0, 180.0),
            list(&[]),
            list(&["gone"]),
            text("gone"),
        ],
    ];
    let records = &mut world.tables[0].records;
    records.truncate(rows.len());
    records.iter_mut().zip(rows).for_each(|(record, row)| record.data = row.to_vec());
    let people = &mut world.tables[1].records;
    people[0].data = vec![text("σας"), Datum::Null];
    people[1].data = vec![Datum::Null, Datum::Number(3.0)];
    people.truncate(2);
    let order = &mut world.tables[2].records;
    let first = order[0].clone();
    order.clear();
    for number in 0..order_rows {
        let mut record = first.clone();
        record.id = format!("o{number}");
        record.data = vec![Datum::Number(1.0)];
        order.push(record);
    }
    world
}

fn predicate(world: &World, source: &str, is_rule: bool) -> Predicate {
    let home = &world.home().collection;
    let place = if is_rule { Place::Rule(RuleKind::List) } else { Place::Filter };
    let checked = check(&parse(source).unwrap(), &Offer::to_rules(&world.schema, home), place).unwrap();
    checked.bind(&NoRequest, values::NOW.parse().unwrap()).unwrap()
}

/// The numbers of the rows that match, from the database.
async fn found(store: &Store, world: &World, predicate: &Predicate, trust: Trust<'_>) -> Vec<String> {
    let home = &world.home().collection;
    let mut sql = store.sql();
    sql.push("SELECT t0.id FROM ").table(home.table()).push(" AS t0 WHERE ");
    push(&mut sql, &world.schema, home, predicate, trust).unwrap();
    sql.push(" ORDER BY t0.id");
    let rows: Result<Vec<Row>, Error> =
        store.read(Plan::Scan, move |reader| Box::pin(async move { reader.fetch(&sql).await })).await;
    rows.unwrap().iter().map(|row| row.text(0).unwrap().to_owned()).collect()
}

fn matched(world: &World, predicate: &Predicate) -> Vec<String> {
    let rows = (0..world.home().records.len()).map(|row| Seen { world, table: 0, row, sight: None });
    rows.filter(|row| predicate.matches(row).unwrap()).map(|row| row.record().id.clone()).collect()
}

/// Expressions and the rows they match, as the contract has it.
const CASES: &[(&str, &[&str])] = &[
    // No point has no distance, and `least` of PostgreSQL overlooks a null.
    ("geoDistance(place, 0, 0) >= 0", &["r1", "r2"]),
    ("geoDistance(place, 0, 0) = null", &["r0"]),
    ("geoDistance(place, 0, 0) != null", &["r1", "r2"]),
    ("!(geoDistance(place, 0, 0) < 1)", &["r0", "r1", "r2"]),
    ("geoDistance(place, 90, 77) < 0.001", &["r1"]),
    // The ends of a half circle, where rounding leads out of the domain of the arc sine.
    ("geoDistance(place, 90, 0, 'm') > 20015086 && geoDistance(place, 90, 0, 'm') < 20015087", &["r2"]),
    // No row at the end of a path is one null, and so is the distance of no point.
    ("people.age = geoDistance(place, 0, 0)", &["r0"]),
    ("people.name:length != geoDistance(place, 0, 0)", &["r1", "r2"]),
    ("people.age = @record.friend.age", &["r0", "r1", "r2"]),
    ("people.age = null", &["r0", "r1", "r2"]),
    ("people.age:each = null", &["r0", "r2"]),
    ("people.age:each != null", &[]),
    ("people.age > 2 && people.age != 4", &["r1"]),
    // Null is equal to null alone.
    ("n > 5 || n <= 5", &["r1", "r2"]),
    ("!(n > 5)", &["r0", "r1"]),
    ("n = 0 && n >= 0 && n ?= [-0.0, 7]", &["r1"]),
    ("title != ''", &["r0", "r1"]),
    ("title:length = 0", &["r2"]),
    ("title ~ ''", &["r1", "r2"]),
    ("title !~ ''", &["r0"]),
    // Wildcards are letters; each letter has its own lower case.
    ("title ~ '50%_\\\\'", &["r1"]),
    ("title ~ '5%'", &[]),
    ("title ~ 'σασ' && title !~ 'σας' && title ~ 'i\u{307}'", &["r1"]),
    ("title:upper = 'ΣΑΣ 50%_\\\\ İ' && people.name:upper = 'ΣΑΣ' && title:lower = 'σασ 50%_\\\\ i\u{307}'", &["r1"]),
    // Lists: empty is null, the whole is compared in order, a part by its items.
    ("tags = null", &["r0", "r2"]),
    ("tags:isset", &["r1"]),
    ("tags:length = 0", &["r0", "r2"]),
    ("tags = ['a', 'ß\"', '\\\\']", &["r1"]),
    ("tags = ['ß\"', 'a', '\\\\']", &[]),
    ("tags ?= []", &[]),
    ("tags ?!= []", &["r0", "r1", "r2"]),
    ("tags:each ~ ''", &["r1"]),
    // The ends of the calendar, in whatever zone they are written.
    ("at = '9999-12-31T23:59:59.999Z' && at = '9999-12-31T22:59:59.9999-01:00'", &["r1"]),
    ("at < @year-1000", &["r2"]),
    ("at ~ '9999-12-31t'", &["r1"]),
];

pub async fn cases(store: Store) {
    let world = world(&store, 1);
    world.store(&store).await;
    for (source, wanted) in CASES {
        let predicate = predicate(&world, source, false);
        assert_eq!(matched(&world, &predicate), *wanted, "in memory: {source}");
        assert_eq!(found(&store, &world, &predicate, Trust::Rule).await, *wanted, "in {:?}: {source}", store.dialect());
    }
}

/// A rule that asks a collection of too many values admits nobody, not even where it is negated or only guards a path.
pub async fn too_many_values(store: Store) {
    for (rows, all) in [(1000, vec!["r0", "r1", "r2"]), (1001, Vec::new())] {
        let world = world(&store, rows);
        world.store(&store).await;
        let collection = predicate(&world, "@collection.order.n = 1", true);
        let negated = predicate(&world, "!(@collection.order.n = 2)", true);
        for rule in [&collection, &negated] {
            assert_eq!(found(&store, &world, rule, Trust::Rule).await, all, "{rows}");
            let first = Seen { world: &world, table: 0, row: 0, sight: None };
            assert_eq!(rule.matches(&first).is_ok(), rows == 1000);
            let sight = Sight { rows: [("id-People".to_owned(), rule.clone())].into(), ..Sight::default() };
            let filter = predicate(&world, "people.age = 3", false);
            let wanted: &[&str] = if rows == 1000 { &["r1"] } else { &[] };
            assert_eq!(found(&store, &world, &filter, Trust::Query(&sight)).await, wanted, "{rows}");
        }
        world.remove(&store).await;
    }
}
