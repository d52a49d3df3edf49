//! A page of records.

use fastcms_expr::{Predicate, SortKey, lower};

use super::{Expansion, View, count_all, expand, json};
use crate::predicate::{Trust, push_lowered, push_sort};
use crate::schema::FieldType;
use crate::{Error, Plan, Reader, Sql};

/// In what order.
#[derive(Debug, Clone, Default)]
pub struct Order(pub Vec<SortKey>);

/// Which records are wanted.
#[derive(Debug, Clone)]
pub struct ListQuery {
    /// The list rule, bound.
    pub rule: Predicate,
    /// The caller's filter, bound.
    pub filter: Predicate,
    /// A text that any visible text field contains, whatever the case.
    pub search: Option<String>,
    pub order: Order,
    pub offset: u64,
    pub limit: u64,
    pub with_total: bool,
    /// What to put beside each record.
    pub expansions: Vec<Expansion>,
}

/// Most bytes that the records of a page may have, as JSON: each stands in memory until its reader has taken it.
pub const MAX_PAGE_BYTES: usize = 16 * 1024 * 1024;
/// Rows past which a page is no longer a handful of index steps.
const BOUNDED_WINDOW: u64 = 1_000;

impl ListQuery {
    /// Where this may run: only a page of the default order, near its start and unconditional, is bounded.
    pub fn plan(&self, dialect: crate::Dialect) -> Plan {
        let counts_for_free = !self.with_total || dialect == crate::Dialect::Sqlite;
        let is_bounded = self.is_unconditional()
            && self.order.0.is_empty()
            && self.expansions.is_empty()
            && counts_for_free
            && self.offset.saturating_add(self.limit) <= BOUNDED_WINDOW;
        if is_bounded { Plan::Bounded } else { Plan::Scan }
    }

    fn is_unconditional(&self) -> bool {
        self.rule == Predicate::True && self.filter == Predicate::True && self.search.is_none()
    }
}

/// A page.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// A JSON array of records.
    pub items: Vec<u8>,
    /// How many there are on all pages, if that was asked.
    pub total: Option<u64>,
}

/// Reads a page; `None` when its records have more than [`MAX_PAGE_BYTES`].
pub async fn list(reader: &mut Reader<'_>, view: &View, query: &ListQuery) -> Result<Option<Listed>, Error> {
    let mut condition = reader.sql();
    push_where(&mut condition, view, query)?;
    let mut sql = reader.sql();
    sql.push("SELECT ");
    view.push_columns(&mut sql);
    let beside = expand::push_beside(&mut sql, view, &query.expansions);
    sql.push(" FROM ").table(view.collection.table()).push(" AS t0").append(&condition);
    sql.push(" ORDER BY ");
    push_sort(&mut sql, &view.schema, &view.collection, &query.order.0, Trust::Query(&view.sight))?;
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    sql.push(" LIMIT ").bind(number(query.limit)).push(" OFFSET ").bind(number(query.offset));

    let items = if query.expansions.is_empty() {
        plain(reader, view, &sql).await?
    } else {
        expanded(reader, view, query, &sql, beside).await?
    };
    let Some(items) = items else { return Ok(None) };
    let total = if query.with_total { Some(total(reader, view, query, &condition).await?) } else { None };
    Ok(Some(Listed { items, total }))
}

/// Rows straight to JSON.
async fn plain(reader: &mut Reader<'_>, view: &View, sql: &Sql) -> Result<Option<Vec<u8>>, Error> {
    let mut items = Vec::with_capacity(2048);
    items.push(b'[');
    let read = reader
        .for_each(sql, |row| {
            if items.len() > 1 {
                items.push(b',');
            }
            json::write_record(&mut items, view, row);
            if items.len() > MAX_PAGE_BYTES { Err(too_much()) } else { Ok(()) }
        })
        .await;
    if items.len() > MAX_PAGE_BYTES {
        return Ok(None);
    }
    read?;
    items.push(b']');
    Ok(Some(items))
}

/// The same with what stands beside each, which has a limit of its own.
async fn expanded(
    reader: &mut Reader<'_>,
    view: &View,
    query: &ListQuery,
    sql: &Sql,
    beside: usize,
) -> Result<Option<Vec<u8>>, Error> {
    let (mut records, mut bytes) = (Vec::new(), 0);
    let read = reader
        .for_each(sql, |row| {
            let record = expand::Opened::read(view, row, beside);
            bytes += record.size();
            records.push(record);
            if bytes > MAX_PAGE_BYTES { Err(too_much()) } else { Ok(()) }
        })
        .await;
    if bytes > MAX_PAGE_BYTES {
        return Ok(None);
    }
    read?;
    let mut items = expand::finish(reader, view, records, &query.expansions).await?.join(&b',');
    items.insert(0, b'[');
    items.push(b']');
    Ok(Some(items))
}

/// Ends the reading of rows; nobody else gets to see it.
fn too_much() -> Error {
    Error::internal("a page has more bytes than it may have")
}

async fn total(reader: &mut Reader<'_>, view: &View, query: &ListQuery, condition: &Sql) -> Result<u64, Error> {
    let count = if query.is_unconditional() {
        count_all(reader, &view.collection).await?
    } else {
        let mut sql = reader.sql();
        sql.push("SELECT count(*) FROM ").table(view.collection.table()).push(" AS t0").append(condition);
        reader.count(&sql).await?
    };
    Ok(u64::try_from(count).unwrap_or(0))
}

fn push_where(sql: &mut Sql, view: &View, query: &ListQuery) -> Result<(), Error> {
    if query.is_unconditional() {
        return Ok(());
    }
    sql.push(" WHERE (");
    view.push_condition(sql, &query.rule, Trust::Rule)?;
    sql.push(")");
    if query.filter != Predicate::True {
        sql.push(" AND (");
        view.push_condition(sql, &query.filter, Trust::Query(&view.sight))?;
        sql.push(")");
    }
    if let Some(search) = &query.search {
        push_search(sql, view, search);
    }
    Ok(())
}

fn push_search(sql: &mut Sql, view: &View, search: &str) {
    let needle = lower(search);
    sql.push(" AND (FALSE");
    for at in view.collection.visible() {
        let field = &view.collection.fields()[*at];
        let is_text = matches!(field.kind, FieldType::Text | FieldType::Editor | FieldType::Email | FieldType::Url);
        let is_searched = is_text && !field.encrypted;
        if !is_searched {
            continue;
        }
        sql.pick(" OR instr(", " OR strpos(");
        push_lowered(sql, |sql| {
            sql.push("t0.").ident(view.collection.column(*at));
        });
        sql.push(", ").bind_typed(needle.as_str()).push(") > 0");
        if view.collection.is_account_email(*at) && !view.sight.sees_all {
            sql.push(" AND (t0.email_visibility");
            if let Some((_, id)) = view.sight.own.as_ref().filter(|(home, _)| home == view.collection.id()) {
                sql.push(" OR t0.id = ").bind(id);
            }
            sql.push(")");
        }
    }
    sql.push(")");
}
