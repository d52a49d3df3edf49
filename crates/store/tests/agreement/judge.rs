//! Asks the database and memory the same, and finds the smallest part of an expression on which they differ.

use std::collections::{BTreeSet, HashMap};
use std::fmt::{self, Write as _};

use fastcms_expr::{
    Auth, Context, Input, Kind, Predicate, Request, RuleKind, Schema as _, Value as Constant, check, parse,
};
use fastcms_store::predicate::{Sight, Trust, push};
use fastcms_store::schema::Offer;
use fastcms_store::{Error, Plan, Row, Sql, Store};

use crate::chance::Chance;
use crate::grammar::{Author, Place, Tree};
use crate::values;
use crate::world::{Seen, World};

/// What was tried and how it came out.
#[derive(Debug, Default)]
pub struct Tally {
    triples: usize,
    matched: usize,
    expressions: usize,
    decided: usize,
    denied: usize,
    pub disagreements: Vec<String>,
}

impl Tally {
    /// Whether enough was tried, with both answers often enough, to say something.
    pub fn is_telling(&self) -> bool {
        let share = self.matched * 100 / self.triples.max(1);
        self.triples >= 10_000
            && (15..=85).contains(&share)
            && self.denied * 10 < self.expressions
            && self.decided * 5 < self.expressions
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { triples, matched, expressions, decided, denied, disagreements } = self;
        writeln!(
            f,
            "{triples} triples ({matched} matched) of {expressions} expressions; {decided} decided without a row, {denied} denied"
        )?;
        disagreements.iter().try_for_each(|text| writeln!(f, "\n{text}"))
    }
}

pub struct Judge<'w> {
    pub store: &'w Store,
    pub world: &'w World,
    pub seed: u64,
}

/// Through whose eyes, and on which request.
struct Asker {
    place: Place,
    sight: Sight,
    call: Call,
}

impl Asker {
    fn trust(&self) -> Trust<'_> {
        if self.place == Place::Filter { Trust::Query(&self.sight) } else { Trust::Rule }
    }
}

impl Judge<'_> {
    /// Tries one random expression on all rows.
    pub async fn try_one(&self, chance: &mut Chance, tally: &mut Tally) {
        let place = chance.pick(&[Place::Filter, Place::Filter, Place::ListRule, Place::UpdateRule]);
        let call = Call::random(chance, self.world);
        let asker = Asker { place, sight: self.sight(chance, &call), call };
        let tree = Author { chance, world: self.world, place, table: 0 }.tree(3);
        tally.expressions += 1;
        let Some(predicate) = self.predicate(&tree.to_string(), 0, &asker) else {
            tally.denied += 1;
            return;
        };
        tally.decided += usize::from(predicate.decided().is_some());
        let memory = self.memory(&predicate, &asker);
        tally.triples += self.world.home().records.len();
        tally.matched += memory.len();
        if self.database(&predicate, &asker).await.as_ref() != Ok(&memory) {
            tally.disagreements.push(self.smallest(&tree, &asker).await);
        }
    }

    fn sight(&self, chance: &mut Chance, call: &Call) -> Sight {
        let mut sight =
            Sight { sees_all: chance.one_in(4), follows_all: chance.one_in(4), own: None, rows: HashMap::new() };
        if chance.one_in(2) {
            let people = &self.world.tables[1];
            sight.own = Some((people.collection.id().to_owned(), chance.pick(&people.records).id));
        }
        for (table, seen) in self.world.tables.iter().enumerate() {
            let rows = match chance.below(5) {
                0 => continue,
                1 | 2 => Predicate::True,
                _ => {
                    let tree = Author { chance, world: self.world, place: Place::ListRule, table }.tree(1);
                    let asker = Asker { place: Place::ListRule, sight: Sight::default(), call: call.clone() };
                    self.predicate(&tree.to_string(), table, &asker).unwrap_or(Predicate::False)
                }
            };
            sight.rows.insert(seen.collection.id().to_owned(), rows);
        }
        sight
    }

    /// None if the request denies.
    fn predicate(&self, source: &str, table: usize, asker: &Asker) -> Option<Predicate> {
        let collection = &self.world.tables[table].collection;
        let offer = match asker.place {
            Place::Filter => Offer::to_queries(&self.world.schema, collection, true),
            _ => Offer::to_rules(&self.world.schema, collection),
        };
        let place = match asker.place {
            Place::Filter => fastcms_expr::Place::Filter,
            Place::ListRule => fastcms_expr::Place::Rule(RuleKind::List),
            Place::UpdateRule => fastcms_expr::Place::Rule(RuleKind::Update),
        };
        let checked = parse(source).and_then(|expression| check(&expression, &offer, place));
        let checked = checked.unwrap_or_else(|fault| panic!("{} refused: {source}\n{fault:?}", self.seed));
        checked.bind(&asker.call, values::NOW.parse().unwrap()).ok()
    }

    fn memory(&self, predicate: &Predicate, asker: &Asker) -> BTreeSet<String> {
        let sight = (asker.place == Place::Filter).then_some(&asker.sight);
        let rows = 0..self.world.home().records.len();
        let rows = rows.map(|row| Seen { world: self.world, table: 0, row, sight });
        rows.filter(|row| predicate.matches(row).unwrap()).map(|row| row.record().id.clone()).collect()
    }

    fn sql(&self, predicate: &Predicate, asker: &Asker) -> Result<Sql, Error> {
        let home = &self.world.home().collection;
        let mut sql = self.store.sql();
        sql.push("SELECT t0.id FROM ").table(home.table()).push(" AS t0 WHERE ");
        push(&mut sql, &self.world.schema, home, predicate, asker.trust())?;
        Ok(sql)
    }

    async fn database(&self, predicate: &Predicate, asker: &Asker) -> Result<BTreeSet<String>, String> {
        let sql = self.sql(predicate, asker).map_err(|error| format!("{error:?}"))?;
        let rows = self.store.read(Plan::Scan, move |reader| Box::pin(async move { reader.fetch(&sql).await }));
        let rows: Result<Vec<Row>, Error> = rows.await;
        let ids = rows.and_then(|rows| rows.iter().map(|row| row.text(0).map(str::to_owned)).collect());
        ids.map_err(|error| format!("{error:?}"))
    }

    /// Descends to the smallest part that still tells the two apart, and says what they say of it.
    async fn smallest(&self, tree: &Tree, asker: &Asker) -> String {
        let mut tree = tree;
        'descend: loop {
            for part in tree.parts() {
                if let Some(predicate) = self.predicate(&part.to_string(), 0, asker)
                    && self.database(&predicate, asker).await.as_ref() != Ok(&self.memory(&predicate, asker))
                {
                    tree = part;
                    continue 'descend;
                }
            }
            break;
        }
        let source = tree.to_string();
        let predicate = self.predicate(&source, 0, asker).unwrap();
        let (memory, database) = (self.memory(&predicate, asker), self.database(&predicate, asker).await);
        let sql = self.sql(&predicate, asker).map_or_else(|error| error.to_string(), |sql| sql.text().to_owned());
        let differ: Vec<_> = match &database {
            Ok(database) => memory.symmetric_difference(database).cloned().collect(),
            Err(_) => Vec::new(),
        };
        let seed = self.seed;
        let mut report = format!(
            "seed {seed}, {:?}: {source}\n{predicate:?}\n{sql}\nmemory {memory:?}\ndatabase {database:?}",
            asker.place
        );
        for record in self.world.home().records.iter().filter(|record| differ.contains(&record.id)).take(1) {
            let names = self.world.home().collection.fields().iter().map(|field| field.name.as_str());
            let named: HashMap<_, _> = names.zip(&record.data).filter(|(name, _)| source.contains(name)).collect();
            write!(report, "\n{}: {named:?}", record.id).unwrap();
        }
        report
    }
}

/// A request.
#[derive(Clone)]
struct Call {
    is_signed_in: bool,
    is_verified: bool,
    has_role: bool,
    query: HashMap<&'static str, String>,
    data: HashMap<String, Input>,
}

impl Call {
    fn random(chance: &mut Chance, world: &World) -> Self {
        let query = [
            ("text", values::text(chance)),
            ("x-text", values::text(chance)),
            ("number", values::number(chance).to_string()),
            ("x-number", values::number(chance).to_string()),
            ("bool", chance.one_in(2).to_string()),
            ("instant", values::written_instant(chance)),
            ("date", values::date(chance)),
        ];
        let query = query.into_iter().filter(|_| !chance.one_in(5)).collect();
        let (is_signed_in, is_verified, has_role) = (!chance.one_in(3), chance.one_in(2), chance.one_in(2));
        let mut call = Self { is_signed_in, is_verified, has_role, query, data: HashMap::new() };
        let home = &world.home().collection;
        let offer = Offer::to_rules(&world.schema, home);
        for field in home.fields() {
            let known = offer.field(&field.name).unwrap();
            if let Some(input) = sent(chance, known.kind, known.list) {
                call.data.insert(field.name.clone(), input);
            }
        }
        if !chance.one_in(6) {
            let items = (0..chance.below(4)).map(|_| Constant::Text(values::item(chance)));
            call.data.insert("sent_list".to_owned(), Input::List(items.collect()));
        }
        call
    }
}

fn sent(chance: &mut Chance, kind: Kind, list: bool) -> Option<Input> {
    if chance.one_in(4) {
        return None;
    }
    if chance.one_in(5) {
        return Some(Input::Value(Constant::Null));
    }
    if list {
        let items = (0..chance.below(4)).map(|_| Constant::Text(values::item(chance)));
        return Some(Input::List(items.collect()));
    }
    Some(match kind {
        Kind::Text => Input::Value(Constant::Text(values::text(chance))),
        Kind::Number => Input::Value(Constant::Number(values::number(chance))),
        Kind::Bool => Input::Value(Constant::Bool(chance.one_in(2))),
        Kind::Instant => Input::Value(Constant::Text(values::written_instant(chance))),
        Kind::Date => Input::Value(Constant::Text(values::date(chance))),
        Kind::Json | Kind::Geo => Input::Opaque,
    })
}

impl Request for Call {
    fn auth(&self) -> Option<Auth<'_>> {
        self.is_signed_in.then_some(Auth {
            id: "r1",
            role: self.has_role.then_some("a"),
            verified: self.is_verified,
            email: "Ab1@example.com",
            collection: "People",
        })
    }

    fn method(&self) -> &'static str {
        "PATCH"
    }

    fn context(&self) -> Context {
        Context::Batch
    }

    fn header(&self, name: &str) -> Option<String> {
        self.query.get(name).cloned()
    }

    fn query(&self, name: &str) -> Option<String> {
        self.query.get(name).cloned()
    }

    fn data(&self, path: &[String]) -> Option<Input> {
        match path {
            [name] => self.data.get(name).cloned(),
            _ => None,
        }
    }
}
