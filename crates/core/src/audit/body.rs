//! An event as it is shown: by the API, by an export, and to places outside.

use fastcms_store::audit::AuditRow;
use serde::Serialize;
use serde_json::value::RawValue;

/// An event as it is answered (contract 9.7).
#[derive(Serialize)]
pub struct EventBody {
    id: String,
    event_type: String,
    event_action: String,
    severity: String,
    user_id: Option<String>,
    user_email: Option<String>,
    ip_address: Option<String>,
    user_agent: Option<String>,
    resource_type: Option<String>,
    resource_id: Option<String>,
    description: String,
    details: Option<Box<RawValue>>,
    outcome: String,
    error_message: Option<String>,
    created: String,
}

impl From<AuditRow> for EventBody {
    fn from(row: AuditRow) -> Self {
        Self {
            id: row.id,
            event_type: row.event_type,
            event_action: row.event_action,
            severity: row.severity,
            user_id: row.user_id,
            user_email: row.user_email,
            ip_address: row.ip_address,
            user_agent: row.user_agent,
            resource_type: row.resource_type,
            resource_id: row.resource_id,
            description: row.description,
            // What somebody wrote past us may be no JSON: it is not answered as if it were.
            details: row.details.and_then(|details| RawValue::from_string(details).ok()),
            outcome: row.outcome,
            error_message: row.error_message,
            created: row.created,
        }
    }
}
