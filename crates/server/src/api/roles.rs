//! `/api/v1/admin/roles`: sets of permissions, and who holds them.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use fastcms_core::App;
use fastcms_core::access::Permission;
use fastcms_core::roles::{self, Role};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Operation, delete, get, patch, post, put};
use crate::error::Answer;
use crate::extract::{Admin, Id, Json, NoContent, Path, Recent};

/// The routes of this noun.
pub fn routes() -> Vec<Operation> {
    let list = json!({"type": "object", "required": ["items", "total"], "properties": {
        "items": {"type": "array", "items": role_schema()}, "total": {"type": "integer"},
    }});
    let held = json!({"type": "object", "required": ["roles"], "properties": {
        "roles": {"type": "array", "items": {"type": "object", "required": ["id", "name"], "properties": {
            "id": {"type": "string", "format": "uuid"}, "name": {"type": "string"},
        }}},
    }});
    vec![
        get("/api/v1/admin/roles", list_all).summary("List roles by name").answers(200, "All of them", list),
        post("/api/v1/admin/roles", create)
            .summary("Make a role of permissions that you hold yourself; needs a recent sign-in")
            .answers(201, "The role", role_schema())
            .refuses(409, "already_exists")
            .refuses(422, "validation_failed"),
        patch("/api/v1/admin/roles/{id}", change)
            .summary("Change a role; it counts for its holders from their next request. Needs a recent sign-in")
            .answers(200, "The role", role_schema())
            .refuses(404, "not_found")
            .refuses(409, "already_exists")
            .refuses(422, "validation_failed"),
        delete("/api/v1/admin/roles/{id}", remove)
            .summary("Delete a role and take it from its holders; needs a recent sign-in")
            .answers_empty(204, "Deleted")
            .refuses(404, "not_found"),
        put("/api/v1/admin/users/{id}/roles", give)
            .summary("Give a user exactly these roles; needs a recent sign-in")
            .answers(200, "The roles that the user holds now", held)
            .refuses(400, "self_action")
            .refuses(404, "not_found")
            .refuses(422, "validation_failed"),
    ]
}

fn role_schema() -> Value {
    let names: Vec<&str> = Permission::ALL.iter().map(|permission| permission.name()).collect();
    json!({"type": "object", "required": ["id", "name", "permissions", "users", "created", "updated"], "properties": {
        "id": {"type": "string", "format": "uuid"}, "name": {"type": "string", "maxLength": roles::MAX_NAME},
        "permissions": {"type": "array", "items": {"type": "string", "enum": names}},
        "users": {"type": "integer"},
        "created": {"type": "string", "format": "date-time"}, "updated": {"type": "string", "format": "date-time"},
    }})
}

#[derive(Serialize)]
struct RoleBody {
    id: String,
    name: String,
    permissions: Vec<&'static str>,
    users: i64,
    created: String,
    updated: String,
}

impl From<Role> for RoleBody {
    fn from(role: Role) -> Self {
        Self {
            id: role.id,
            name: role.name,
            permissions: role.permissions.iter().map(Permission::name).collect(),
            users: role.users,
            created: role.created,
            updated: role.updated,
        }
    }
}

#[derive(Serialize)]
struct ListBody {
    items: Vec<RoleBody>,
    total: usize,
}

async fn list_all(Admin(caller): Admin, State(app): State<Arc<App>>) -> Answer<Json<ListBody>> {
    let items: Vec<RoleBody> = roles::list(&caller, &app).await?.into_iter().map(RoleBody::from).collect();
    Ok(Json(ListBody { total: items.len(), items }))
}

crate::form! {
    struct Create {
        name: String,
        permissions: Vec<String>,
    }
}

async fn create(caller: Recent<Admin>, State(app): State<Arc<App>>, Json(body): Json<Create>) -> Answer {
    let role = roles::create(&caller, &app, &body.name, &body.permissions).await?;
    Ok((StatusCode::CREATED, Json(RoleBody::from(role))).into_response())
}

crate::form! {
    struct Change {
        name: Option<String>,
        permissions: Option<Vec<String>>,
    }
}

async fn change(
    caller: Recent<Admin>,
    State(app): State<Arc<App>>,
    Path(Id(id)): Path<Id>,
    Json(body): Json<Change>,
) -> Answer<Json<RoleBody>> {
    let (name, permissions) = (body.name.as_deref(), body.permissions.as_deref());
    Ok(Json(roles::update(&caller, &app, &id, name, permissions).await?.into()))
}

async fn remove(caller: Recent<Admin>, State(app): State<Arc<App>>, Path(Id(id)): Path<Id>) -> Answer<NoContent> {
    roles::delete(&caller, &app, &id).await?;
    Ok(NoContent)
}

crate::form! {
    struct Give {
        roles: Vec<String>,
    }
}

#[derive(Serialize)]
struct GivenBody {
    roles: Vec<GivenRole>,
}

#[derive(Serialize)]
struct GivenRole {
    id: String,
    name: String,
}

async fn give(
    caller: Recent<Admin>,
    State(app): State<Arc<App>>,
    Path(Id(id)): Path<Id>,
    Json(body): Json<Give>,
) -> Answer<Json<GivenBody>> {
    let given = roles::set_of_user(&caller, &app, &id, &body.roles).await?;
    let roles = given.into_iter().map(|role| GivenRole { id: role.id, name: role.name }).collect();
    Ok(Json(GivenBody { roles }))
}
