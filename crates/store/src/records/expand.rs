//! Related records beside a record: one statement a relation and level, whatever the number of records on the page.

use std::collections::{HashMap, HashSet};

use fastcms_expr::Predicate;
use futures_util::future::BoxFuture;

use super::{View, json, push_and};
use crate::schema::Storage;
use crate::{Columns, Error, Reader, Sql};

/// Most records that one back-relation shows beside one record (contract 16).
pub const MAX_BACK: usize = 1_000;
/// Most records that one request brings along in all.
pub const MAX_EXPANDED: usize = 10_000;
/// Most bytes of JSON that one request brings along in all, each time that a record is shown counted anew: a few records that point at
/// each other multiply with every level. What does not fit is left out.
pub const MAX_EXPANDED_BYTES: usize = 16 * 1024 * 1024;
/// Most ids in one statement.
const CHUNK: usize = 1_000;

/// A relation to follow, and what to follow from there.
#[derive(Debug, Clone)]
pub struct Expansion {
    /// Under which name the records stand.
    pub name: String,
    pub way: Way,
    /// What is shown of the records.
    pub view: View,
    /// Which of them: their view rule, bound.
    pub rule: Predicate,
    pub children: Vec<Expansion>,
}

/// From which side a relation is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To what a field of the record names.
    Forward { field: usize },
    /// To the records whose field names the record.
    Back { field: usize },
}

/// What a request may still bring along.
struct Budget {
    records: usize,
    bytes: usize,
}

impl Budget {
    /// Pays for `bytes` more, if they are still to be had.
    fn affords(&mut self, bytes: usize) -> bool {
        let left = self.bytes.checked_sub(bytes);
        self.bytes = left.unwrap_or(self.bytes);
        left.is_some()
    }
}

/// A record whose `expand` is still empty, with the texts of the columns that were asked for beside it.
pub(super) struct Opened {
    id: String,
    body: Vec<u8>,
    beside: Vec<Option<String>>,
}

impl Opened {
    /// Reads a row: the columns of the view, then those beside it.
    pub(super) fn read(view: &View, row: &dyn Columns, beside: usize) -> Self {
        let width = view.shape.width(&view.collection);
        Self {
            id: row.text(0).unwrap_or_default().to_owned(),
            body: json::record(view, row),
            beside: (width..width + beside).map(|column| row.text(column).map(str::to_owned)).collect(),
        }
    }

    /// Bytes of the record by itself.
    pub(super) fn size(&self) -> usize {
        self.body.len()
    }
}

/// Writes `, column` for each field that `expansions` have to know of a record.
pub(super) fn push_beside(sql: &mut Sql, view: &View, expansions: &[Expansion]) -> usize {
    let fields = expansions.iter().filter_map(|expansion| match expansion.way {
        Way::Forward { field } => Some(field),
        Way::Back { .. } => None,
    });
    let mut count = 0;
    for field in fields {
        sql.push(", ").ident(view.collection.column(field));
        count += 1;
    }
    count
}

/// The records with all that stands beside them, as JSON each.
pub(super) async fn finish(
    reader: &mut Reader<'_>,
    home: &View,
    records: Vec<Opened>,
    expansions: &[Expansion],
) -> Result<Vec<Vec<u8>>, Error> {
    let mut budget = Budget { records: MAX_EXPANDED, bytes: MAX_EXPANDED_BYTES };
    let finished = level(reader, home, records, expansions, &mut budget).await?;
    Ok(finished.into_iter().map(|(_, body)| body).collect())
}

type Finished = Vec<(String, Vec<u8>)>;

fn level<'a>(
    reader: &'a mut Reader<'_>,
    home: &'a View,
    records: Vec<Opened>,
    expansions: &'a [Expansion],
    budget: &'a mut Budget,
) -> BoxFuture<'a, Result<Finished, Error>> {
    Box::pin(async move {
        let mut objects: Vec<Vec<u8>> = records.iter().map(|_| vec![b'{']).collect();
        let mut beside = 0;
        for expansion in expansions {
            match expansion.way {
                Way::Forward { field } => {
                    let is_many = home.collection.storage(field) == Storage::Json;
                    let wanted: Vec<_> =
                        records.iter().map(|record| ids(record.beside[beside].as_deref(), is_many)).collect();
                    let found = forward(reader, expansion, &wanted, budget).await?;
                    for (object, ids) in objects.iter_mut().zip(&wanted) {
                        let bodies = ids.iter().filter_map(|id| found.get(id.as_str())).map(Vec::as_slice);
                        write(object, &expansion.name, is_many, bodies, budget);
                    }
                    beside += 1;
                }
                Way::Back { field } => {
                    let (found, pointing) = back(reader, expansion, field, &records, budget).await?;
                    for (object, record) in objects.iter_mut().zip(&records) {
                        let bodies = pointing
                            .get(&record.id)
                            .into_iter()
                            .flatten()
                            .take(MAX_BACK)
                            .map(|at| found[*at].1.as_slice());
                        write(object, &expansion.name, true, bodies, budget);
                    }
                }
            }
        }
        let spliced = records.into_iter().zip(objects).map(|(mut record, mut object)| {
            if !expansions.is_empty() {
                // A record is written with `"expand":{}}` at its end.
                record.body.truncate(record.body.len() - 3);
                object.extend_from_slice(b"}}");
                record.body.append(&mut object);
            }
            (record.id, record.body)
        });
        Ok(spliced.collect())
    })
}

fn ids(value: Option<&str>, is_many: bool) -> Vec<String> {
    match value {
        None => Vec::new(),
        Some(list) if is_many => serde_json::from_str(list).unwrap_or_default(),
        Some(id) => vec![id.to_owned()],
    }
}

async fn forward(
    reader: &mut Reader<'_>,
    expansion: &Expansion,
    wanted: &[Vec<String>],
    budget: &mut Budget,
) -> Result<HashMap<String, Vec<u8>>, Error> {
    let mut seen = HashSet::new();
    let mut ids: Vec<&String> = wanted.iter().flatten().filter(|id| seen.insert(id.as_str())).collect();
    ids.truncate(budget.records);
    let mut records = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(CHUNK) {
        let mut sql = select(reader, expansion);
        let beside = push_beside(&mut sql, &expansion.view, &expansion.children);
        push_from(&mut sql, &expansion.view);
        sql.push("t0.id IN (").binds_of(chunk.iter().copied()).push(")");
        push_and(&mut sql, &expansion.view, &expansion.rule)?;
        read(reader, &sql, &expansion.view, beside, &mut records, budget).await?;
    }
    budget.records -= records.len().min(budget.records);
    Ok(level(reader, &expansion.view, records, &expansion.children, budget).await?.into_iter().collect())
}

/// The records whose field names one of `parents`, and which of them stand beside which parent.
async fn back(
    reader: &mut Reader<'_>,
    expansion: &Expansion,
    field: usize,
    parents: &[Opened],
    budget: &mut Budget,
) -> Result<(Finished, HashMap<String, Vec<usize>>), Error> {
    let collection = &expansion.view.collection;
    let is_many = collection.storage(field) == Storage::Json;
    let mut records = Vec::new();
    for chunk in parents.chunks(CHUNK) {
        let mut sql = select(reader, expansion);
        let beside = push_beside(&mut sql, &expansion.view, &expansion.children);
        sql.push(", ").ident(collection.column(field));
        push_from(&mut sql, &expansion.view);
        let ids = chunk.iter().map(|parent| parent.id.as_str());
        if is_many {
            sql.pick("EXISTS (SELECT 1 FROM json_each(t0.", "EXISTS (SELECT 1 FROM jsonb_array_elements_text(t0.");
            sql.ident(collection.column(field))
                .pick(") AS e WHERE e.value IN (", "::jsonb) AS e(value) WHERE e.value IN (");
            sql.binds_of(ids).push("))");
        } else {
            sql.push("t0.").ident(collection.column(field)).push(" IN (").binds_of(ids).push(")");
        }
        push_and(&mut sql, &expansion.view, &expansion.rule)?;
        let left = i64::try_from(budget.records.saturating_sub(records.len())).unwrap_or(i64::MAX);
        sql.push(" ORDER BY t0.created DESC, t0.id LIMIT ").bind(left);
        read(reader, &sql, &expansion.view, beside + 1, &mut records, budget).await?;
    }
    budget.records -= records.len().min(budget.records);
    let pointing: Vec<_> =
        records.iter_mut().map(|record| ids(record.beside.pop().flatten().as_deref(), is_many)).collect();
    let finished = level(reader, &expansion.view, records, &expansion.children, budget).await?;
    let mut found: HashMap<String, Vec<usize>> = HashMap::new();
    for (at, parents) in pointing.into_iter().enumerate() {
        for parent in parents {
            found.entry(parent).or_default().push(at);
        }
    }
    Ok((finished, found))
}

fn select(reader: &Reader<'_>, expansion: &Expansion) -> Sql {
    let mut sql = reader.sql();
    sql.push("SELECT ");
    expansion.view.push_columns(&mut sql);
    sql
}

fn push_from(sql: &mut Sql, view: &View) {
    sql.push(" FROM ").table(view.collection.table()).push(" AS t0 WHERE ");
}

async fn read(
    reader: &mut Reader<'_>,
    sql: &Sql,
    view: &View,
    beside: usize,
    records: &mut Vec<Opened>,
    budget: &mut Budget,
) -> Result<(), Error> {
    reader
        .for_each(sql, |row| {
            let record = Opened::read(view, row, beside);
            if budget.affords(record.body.len()) {
                records.push(record);
            }
            Ok(())
        })
        .await
}

/// Writes one member of an `expand` object; a single record that may not be seen is left out.
fn write<'b>(
    object: &mut Vec<u8>,
    name: &str,
    is_many: bool,
    bodies: impl Iterator<Item = &'b [u8]>,
    budget: &mut Budget,
) {
    let mut bodies = bodies.filter(|body| budget.affords(body.len())).peekable();
    if !is_many && bodies.peek().is_none() {
        return;
    }
    if object.len() > 1 {
        object.push(b',');
    }
    object.extend_from_slice(serde_json::Value::from(name).to_string().as_bytes());
    object.push(b':');
    if is_many {
        object.push(b'[');
    }
    for (i, body) in bodies.enumerate() {
        if i > 0 {
            object.push(b',');
        }
        object.extend_from_slice(body);
    }
    if is_many {
        object.push(b']');
    }
}
