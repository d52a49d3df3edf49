//! Collections from outside (contract 5.7, 7).

use serde_json::Value;

use crate::callers::{Admin, Calls};

pub mod changes;
pub mod definitions;
pub mod transfer;

/// A collection of type base that everybody may do everything with.
pub async fn open_collection(admin: &Admin<'_>, name: &str, schema: Value) -> Value {
    admin.post("/api/v1/collections", &crate::callers::open(name, &schema)).await.expect(201).json()
}
