//! `/api/v1/audit`: the audit log for admins, with filters, true totals and counts, and its retention.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use fastcms_core::App;
pub use fastcms_core::audit::EventBody as RowBody;
use fastcms_core::audit::{self, Action, Event, EventType, Outcome, Severity, Tally, Wanted};
use fastcms_core::time;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Operation, delete, get};
use crate::error::Answer;
use crate::extract::{Admin, Id, Json, Parameter, Path, Query, Within};

/// Rows of `/audit/security` and `/audit/failed-logins` unless asked otherwise.
const LATEST: u32 = 100;

/// The routes of this noun.
pub fn routes() -> Vec<Operation> {
    let items = || json!({"type": "array", "items": row_schema()});
    let page = json!({"type": "object", "properties": {
        "items": items(), "total": {"type": "integer"}, "limit": {"type": "integer"}, "offset": {"type": "integer"},
    }});
    let counts = || json!({"type": "object", "additionalProperties": {"type": "integer"}});
    let statistics = json!({"type": "object", "properties": {
        "by_event_type": counts(), "by_severity": counts(), "by_outcome": counts(), "total": {"type": "integer"},
    }});
    let deleted =
        json!({"type": "object", "properties": {"deleted": {"type": "integer"}, "message": {"type": "string"}}});
    vec![
        get("/api/v1/audit", list)
            .summary("List audit events, newest first; `total` counts all that match")
            .answers(200, "A page", page)
            .refuses(422, "validation_failed"),
        get("/api/v1/audit/security", security)
            .summary("The newest events of type `security`")
            .answers(200, "Newest first", items())
            .refuses(422, "validation_failed"),
        get("/api/v1/audit/failed-logins", failed_logins)
            .summary("The newest sign-ins that failed")
            .answers(200, "Newest first", items())
            .refuses(422, "validation_failed"),
        get("/api/v1/audit/user/{id}", of_user)
            .summary("The newest events of one account")
            .answers(200, "Newest first", items())
            .refuses(422, "validation_failed"),
        get("/api/v1/audit/statistics", statistics_of)
            .summary("Count audit events by type, severity and outcome")
            .answers(200, "The counts", statistics)
            .refuses(422, "validation_failed"),
        delete("/api/v1/audit/cleanup", cleanup)
            .summary("Delete whole segments that ended more than so many days ago; their ends stay, sealed")
            .answers(200, "How many events are gone", deleted)
            .refuses(422, "validation_failed")
            .long(),
    ]
}

fn row_schema() -> Value {
    let nullable = json!({"type": ["string", "null"]});
    json!({"type": "object", "properties": {
        "id": {"type": "string", "format": "uuid"},
        "event_type": {"type": "string", "enum": EventType::ALL.map(EventType::name)},
        "event_action": {"type": "string"},
        "severity": {"type": "string", "enum": Severity::ALL.map(Severity::name)},
        "user_id": nullable, "user_email": nullable, "ip_address": nullable, "user_agent": nullable,
        "resource_type": nullable, "resource_id": nullable,
        "description": {"type": "string"},
        "details": {"type": ["object", "null"], "additionalProperties": true},
        "outcome": {"type": "string", "enum": Outcome::ALL.map(Outcome::name)},
        "error_message": nullable,
        "created": {"type": "string", "format": "date-time"},
    }})
}

macro_rules! names {
    ($($parameter:ident $of:ty),+ $(,)?) => {$(
        /// One of the contract's names.
        struct $parameter(&'static str);

        impl Parameter for $parameter {
            fn read(text: &str) -> Result<Self, String> {
                let found = <$of>::ALL.iter().map(|one| one.name()).find(|name| *name == text);
                found.map(Self).ok_or_else(|| {
                    let all: Vec<&str> = <$of>::ALL.iter().map(|one| one.name()).collect();
                    format!("Must be one of: {}", all.join(", "))
                })
            }

            fn schema() -> Value {
                json!({"type": "string", "enum": <$of>::ALL.iter().map(|one| one.name()).collect::<Vec<_>>()})
            }
        }
    )+};
}
names!(TypeName EventType, ActionName Action, SeverityName Severity, OutcomeName Outcome);

/// A moment as it is stored, of a moment or a day (UTC): its beginning.
struct Since(String);
/// The same; of a day its end.
struct Until(String);

fn moment(text: &str, of_day: &str) -> Result<String, String> {
    let of_day = format!("{text}{of_day}");
    let millis = time::millis(text).or_else(|| time::millis(&of_day).filter(|_| text.len() == 10));
    millis.map(time::stamp).ok_or_else(|| "Invalid date format".to_owned())
}

fn moment_schema() -> Value {
    json!({"type": "string", "anyOf": [{"format": "date-time"}, {"format": "date"}]})
}

impl Parameter for Since {
    fn read(text: &str) -> Result<Self, String> {
        moment(text, "T00:00:00.000Z").map(Self)
    }

    fn schema() -> Value {
        moment_schema()
    }
}

impl Parameter for Until {
    fn read(text: &str) -> Result<Self, String> {
        moment(text, "T23:59:59.999Z").map(Self)
    }

    fn schema() -> Value {
        moment_schema()
    }
}

/// A text to compare with. Longer than any that is stored finds nothing.
struct Term(String);

impl Parameter for Term {
    fn read(text: &str) -> Result<Self, String> {
        if text.chars().count() > audit::MAX_TEXT {
            return Err(format!("Maximum length is {}", audit::MAX_TEXT));
        }
        if text.contains('\0') { Err("Does not match required pattern".to_owned()) } else { Ok(Self(text.to_owned())) }
    }

    fn schema() -> Value {
        json!({"type": "string", "maxLength": audit::MAX_TEXT})
    }
}

crate::query! {
    struct Listing {
        limit: Within<1, 1000> = Within(100),
        offset: Within<0, 10_000_000> = Within(0),
        event_type: Option<TypeName>,
        event_action: Option<ActionName>,
        user_id: Option<Term>,
        severity: Option<SeverityName>,
        outcome: Option<OutcomeName>,
        from_date: Option<Since>,
        to_date: Option<Until>,
        ip_address: Option<Term>,
    }
}

#[derive(Serialize)]
struct PageBody {
    items: Vec<RowBody>,
    total: i64,
    limit: u32,
    offset: u32,
}

async fn list(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Query(query): Query<Listing>,
) -> Answer<Json<PageBody>> {
    let (limit, offset) = (query.limit.0, query.offset.0);
    let wanted = Wanted {
        event_type: query.event_type.map(|name| name.0),
        event_action: query.event_action.map(|name| name.0),
        severity: query.severity.map(|name| name.0),
        outcome: query.outcome.map(|name| name.0),
        user_id: query.user_id.map(|term| term.0),
        ip_address: query.ip_address.map(|term| term.0),
        from: query.from_date.map(|from| from.0),
        to: query.to_date.map(|to| to.0),
    };
    let page = audit::list(&caller, &app, wanted, limit, offset).await?;
    let items = page.items.into_iter().map(RowBody::from).collect();
    Ok(Json(PageBody { items, total: page.total, limit, offset }))
}

async fn latest(caller: &fastcms_core::Caller, app: &App, wanted: Wanted, limit: u32) -> Answer<Json<Vec<RowBody>>> {
    let rows = audit::latest(caller, app, wanted, limit).await?;
    Ok(Json(rows.into_iter().map(RowBody::from).collect()))
}

crate::query! {
    struct Security {
        severity: Option<SeverityName>,
        limit: Within<1, 1000> = Within(LATEST),
    }
}

async fn security(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Query(query): Query<Security>,
) -> Answer<Json<Vec<RowBody>>> {
    let wanted = Wanted {
        event_type: Some(EventType::Security.name()),
        severity: query.severity.map(|name| name.0),
        ..Wanted::default()
    };
    latest(&caller, &app, wanted, query.limit.0).await
}

crate::query! {
    struct FailedLogins {
        ip_address: Option<Term>,
        from_date: Option<Since>,
        limit: Within<1, 1000> = Within(LATEST),
    }
}

async fn failed_logins(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Query(query): Query<FailedLogins>,
) -> Answer<Json<Vec<RowBody>>> {
    let wanted = Wanted {
        event_type: Some(Event::SignInFailed.event_type().name()),
        event_action: Some(Event::SignInFailed.action().name()),
        ip_address: query.ip_address.map(|term| term.0),
        from: query.from_date.map(|from| from.0),
        ..Wanted::default()
    };
    latest(&caller, &app, wanted, query.limit.0).await
}

crate::query! {
    struct OfUser {
        limit: Within<1, 500> = Within(50),
    }
}

async fn of_user(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Path(Id(id)): Path<Id>,
    Query(query): Query<OfUser>,
) -> Answer<Json<Vec<RowBody>>> {
    latest(&caller, &app, Wanted { user_id: Some(id), ..Wanted::default() }, query.limit.0).await
}

crate::query! {
    struct Span {
        from_date: Option<Since>,
        to_date: Option<Until>,
    }
}

#[derive(Serialize, Default)]
struct StatisticsBody {
    by_event_type: BTreeMap<String, i64>,
    by_severity: BTreeMap<String, i64>,
    by_outcome: BTreeMap<String, i64>,
    total: i64,
}

impl From<Vec<Tally>> for StatisticsBody {
    fn from(tallies: Vec<Tally>) -> Self {
        let mut body = Self::default();
        for Tally { event_type, severity, outcome, count } in tallies {
            *body.by_event_type.entry(event_type).or_default() += count;
            *body.by_severity.entry(severity).or_default() += count;
            *body.by_outcome.entry(outcome).or_default() += count;
            body.total += count;
        }
        body
    }
}

async fn statistics_of(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Query(query): Query<Span>,
) -> Answer<Json<StatisticsBody>> {
    let (from, to) = (query.from_date.map(|from| from.0), query.to_date.map(|to| to.0));
    Ok(Json(audit::statistics(&caller, &app, Wanted { from, to, ..Wanted::default() }).await?.into()))
}

crate::query! {
    struct Retention {
        retention_days: Within<7, 365> = Within(audit::RETENTION_DAYS),
    }
}

async fn cleanup(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Query(query): Query<Retention>,
) -> Answer<Json<Value>> {
    let deleted = audit::cleanup(&caller, &app, query.retention_days.0).await?;
    let message = format!("Segments that ended more than {} days ago were deleted", query.retention_days.0);
    Ok(Json(json!({"deleted": deleted, "message": message})))
}
