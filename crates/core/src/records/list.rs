//! Listing records.

use fastcms_expr::{NoRequest, Place, Predicate, RuleKind, SortKey};
use fastcms_store::records::{self as rows, ListQuery, Listed, Order, Shape};
use fastcms_store::schema::Offer;

use super::{Door, Failure, MAX_ATTEMPTS, expand, never_settled, settled};
use crate::access::{self, Permission, RequestFacts};
use crate::app::App;
use crate::caller::Caller;
use crate::error::{Error, QueryPart, Result};

/// Furthest record a page may reach: `page` × `per_page` (contract 16).
pub const MAX_WINDOW: u64 = 10_000_000;

/// What was asked for.
#[derive(Debug, Clone, Default)]
pub struct ListParameters {
    /// From 1.
    pub page: u64,
    pub per_page: u64,
    pub filter: Option<String>,
    pub sort: Option<String>,
    pub fields: Option<String>,
    pub search: Option<String>,
    pub expand: Option<String>,
    pub skip_total: bool,
}

/// A page of records.
#[derive(Debug)]
pub struct Page {
    /// A JSON array of records.
    pub items: Vec<u8>,
    /// How many records there are on all pages; `None` when that was not wanted.
    pub total: Option<u64>,
    pub page: u64,
    pub per_page: u64,
}

impl Page {
    /// The page as JSON: `items`, `total`, `page`, `per_page`, `total_pages`.
    pub fn into_json(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.items.len() + 96);
        out.extend_from_slice(b"{\"items\":");
        out.extend_from_slice(&self.items);
        let null = || "null".to_owned();
        let total = self.total.map_or_else(null, |total| total.to_string());
        let pages = self.total.map_or_else(null, |total| total.div_ceil(self.per_page.max(1)).to_string());
        let tail = format!(
            ",\"total\":{total},\"page\":{},\"per_page\":{},\"total_pages\":{pages}}}",
            self.page, self.per_page
        );
        out.extend_from_slice(tail.as_bytes());
        out
    }
}

/// The page of the records that the list rule shows this caller.
pub async fn list(
    caller: &Caller,
    app: &App,
    request: RequestFacts<'_>,
    collection: &str,
    parameters: &ListParameters,
) -> Result<Page> {
    let (page, per_page) = (parameters.page.max(1), parameters.per_page.max(1));
    if page.saturating_mul(per_page) > MAX_WINDOW {
        return Err(Error::field("page", format!("page × per_page must be at most {MAX_WINDOW}")));
    }
    for _ in 0..MAX_ATTEMPTS {
        let door = Door::open(caller, app, request, collection)?;
        let attempt = attempt(&door, parameters, page, per_page).await;
        if let Some(Listed { items, total }) = settled(app, attempt).await? {
            return Ok(Page { items, total, page, per_page });
        }
    }
    Err(never_settled())
}

async fn attempt(door: &Door<'_>, parameters: &ListParameters, page: u64, per_page: u64) -> Result<Listed, Failure> {
    let rule = door.rule(RuleKind::List)?;
    let filter = filter(door, parameters.filter.as_deref())?;
    let sort = sort(door, parameters.sort.as_deref())?;
    let shape = shape(door, parameters.fields.as_deref())?;
    let expansions = expand::read(door, parameters.expand.as_deref())?;
    let search = parameters.search.clone().filter(|search| !search.is_empty());
    if search.as_deref().is_some_and(|search| search.contains('\0')) {
        return Err(Error::field("search", "Must not contain the NUL character").into());
    }
    if rule == Predicate::False {
        return Ok(Listed { items: b"[]".to_vec(), total: (!parameters.skip_total).then_some(0) });
    }
    let columns = filter.columns();
    let paths = columns.iter().map(|column| column.path.as_slice()).chain(sort.iter().filter_map(|key| match key {
        SortKey::Column { column, .. } => Some(column.path.as_slice()),
        SortKey::Random | SortKey::RowId { .. } => None,
    }));
    let sight = access::sight(&door.facts(), &door.collection, paths, door.now);
    let view = door.view_with(sight, shape);
    let query = ListQuery {
        rule,
        filter,
        search,
        order: Order(sort),
        offset: (page - 1) * per_page,
        limit: per_page,
        with_total: !parameters.skip_total,
        expansions,
    };
    let plan = query.plan(door.app.store.dialect());
    let read = door.read(plan, move |reader| Box::pin(async move { Ok(rows::list(reader, &view, &query).await?) }));
    read.await?.ok_or_else(|| {
        let most = rows::MAX_PAGE_BYTES / (1024 * 1024);
        let message = format!("The records of this page have more than {most} MiB: ask for fewer, or name `fields`");
        Error::field("per_page", message).into()
    })
}

fn filter(door: &Door<'_>, text: Option<&str>) -> Result<Predicate> {
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else { return Ok(Predicate::True) };
    let offer = Offer::to_queries(&door.schema, &door.collection, door.caller.holds(Permission::RecordsRead));
    let checked =
        fastcms_expr::parse(text).and_then(|expression| fastcms_expr::check(&expression, &offer, Place::Filter));
    let checked = checked.map_err(|error| invalid(QueryPart::Filter, sealed_or(door, error)))?;
    checked.bind(&NoRequest, door.now).map_err(|error| invalid_at(QueryPart::Filter, 0, error.to_string()))
}

fn sort(door: &Door<'_>, text: Option<&str>) -> Result<Vec<SortKey>> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let offer = Offer::to_queries(&door.schema, &door.collection, door.caller.holds(Permission::RecordsRead));
    fastcms_expr::parse_sort(text, &offer).map_err(|error| invalid(QueryPart::Sort, sealed_or(door, error)))
}

fn shape(door: &Door<'_>, text: Option<&str>) -> Result<Shape> {
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else { return Ok(Shape::all()) };
    let offer = Offer::to_shapes(&door.schema, &door.collection, door.caller.holds(Permission::RecordsRead));
    let list = fastcms_expr::parse_fields(text, &offer).map_err(|error| invalid(QueryPart::Fields, error))?;
    Ok(Shape::of(&door.collection, &list))
}

/// Says of an encrypted field that it is one, in the place of "unknown".
fn sealed_or(door: &Door<'_>, mut error: fastcms_expr::Error) -> fastcms_expr::Error {
    if let Some(reason) = crate::collections::sealed_reason(&door.collection, &error.reason) {
        error.reason = reason;
    }
    error
}

fn invalid(part: QueryPart, error: fastcms_expr::Error) -> Error {
    invalid_at(part, error.position, error.reason)
}

pub(super) fn invalid_at(part: QueryPart, position: usize, reason: String) -> Error {
    Error::InvalidQuery { part, position, reason }
}
