//! `/api/v1/admin/limits`: who is called often, who is refused, and whose address the limits take clients for.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::State;
use fastcms_core::App;
use fastcms_core::limits::{self, Report};
use fastcms_core::time::stamp;
use fastcms_guard::limits::{Counter, Usage};
use http::HeaderMap;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Operation, get};
use crate::edge::EdgeSettings;
use crate::error::Answer;
use crate::extract::{Admin, Client, Json};

/// The routes of this noun.
pub fn routes() -> Vec<Operation> {
    vec![
        get("/api/v1/admin/limits", report)
            .summary("The rate limits: the busiest callers, those who were refused, and how client addresses are found")
            .answers(200, "As this node sees it", schema()),
    ]
}

fn schema() -> Value {
    let usage = json!({"type": "object", "properties": {
        "used": {"type": "integer"}, "limit": {"type": "integer"}, "reset_seconds": {"type": "integer"},
    }});
    json!({"type": "object", "properties": {
        "enabled": {"type": "boolean"},
        "backend": {"type": "object", "properties": {"name": {"type": "string"}, "degraded": {"type": "boolean"}}},
        "counters": {"type": "array", "items": {"type": "object", "properties": {
            "identity": {"type": "string"}, "class": {"type": "string"}, "minute": usage, "hour": usage,
        }}},
        "top_offenders": {"type": "array", "items": {"type": "object", "properties": {
            "identity": {"type": "string"}, "refused_last_hour": {"type": "integer"}, "last_seen": {"type": "string", "format": "date-time"},
        }}},
        "proxy": {"type": "object", "properties": {
            "peer": {"type": "string"}, "trusted": {"type": "boolean"}, "header": {"type": "string"},
            "header_value": {"type": ["string", "null"]}, "client_address": {"type": "string"}, "finding": {"type": ["string", "null"]},
        }},
    }})
}

#[derive(Serialize)]
struct ReportBody {
    enabled: bool,
    backend: BackendBody,
    counters: Vec<CounterBody>,
    top_offenders: Vec<OffenderBody>,
    proxy: ProxyBody,
}

#[derive(Serialize)]
struct BackendBody {
    name: &'static str,
    degraded: bool,
}

#[derive(Serialize)]
struct CounterBody {
    identity: String,
    class: &'static str,
    minute: UsageBody,
    hour: UsageBody,
}

#[derive(Serialize)]
struct UsageBody {
    used: u32,
    limit: u32,
    reset_seconds: u32,
}

#[derive(Serialize)]
struct OffenderBody {
    identity: String,
    refused_last_hour: u32,
    last_seen: String,
}

#[derive(Serialize)]
struct ProxyBody {
    peer: IpAddr,
    trusted: bool,
    header: &'static str,
    header_value: Option<String>,
    client_address: IpAddr,
    finding: Option<String>,
}

impl From<Usage> for UsageBody {
    fn from(usage: Usage) -> Self {
        Self { used: usage.used, limit: usage.limit, reset_seconds: usage.reset_seconds }
    }
}

impl From<Counter> for CounterBody {
    fn from(counter: Counter) -> Self {
        Self {
            identity: counter.key.identity.to_string(),
            class: counter.key.class.as_str(),
            minute: counter.minute.into(),
            hour: counter.hour.into(),
        }
    }
}

async fn report(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    client: Client,
    headers: HeaderMap,
) -> Answer<Json<ReportBody>> {
    let Report { enabled, backend, degraded, counters, offenders, finding } = limits::report(&caller, &app)?;
    let settings = EdgeSettings::new(&app.config).map_err(fastcms_core::Error::internal)?;
    let header = settings.address.header.name();
    // Its lines as one, the way they are read. Of a value that is no text, what is.
    let lines: Vec<_> = headers.get_all(header).iter().map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
    Ok(Json(ReportBody {
        enabled,
        backend: BackendBody { name: backend, degraded },
        counters: counters.into_iter().map(CounterBody::from).collect(),
        top_offenders: offenders
            .into_iter()
            .map(|offender| OffenderBody {
                identity: offender.key.identity.to_string(),
                refused_last_hour: offender.refused_last_hour,
                last_seen: stamp(offender.last_seen),
            })
            .collect(),
        proxy: ProxyBody {
            peer: client.peer,
            trusted: settings.address.proxies.trusts_peer(client.peer),
            header,
            header_value: (!lines.is_empty()).then(|| lines.join(", ")),
            client_address: client.address,
            finding,
        },
    }))
}
