//! What both targets are given besides their text: collections, rows and a request that are always the same.

use fastcms_expr::{Auth, Context, Input, Place, Request, Value};
use fastcms_store::Dialect;
use fastcms_store::schema::{CollectionKind, FieldType, Offer};

use crate::chance::Chance;
use crate::world::{World, defined, made};

/// The collections `home`, `People` and `order`, with a field of every type in the first, and their rows.
pub fn world() -> World {
    let people = Some("People");
    let home = vec![
        made(FieldType::Text, "title", false, None),
        made(FieldType::Editor, "body", false, None),
        made(FieldType::Email, "mail", false, None),
        made(FieldType::Url, "link", false, None),
        made(FieldType::Number, "n", false, None),
        made(FieldType::Number, "m", false, None),
        made(FieldType::Bool, "flag", false, None),
        made(FieldType::Datetime, "at", false, None),
        made(FieldType::Autodate, "made", false, None),
        made(FieldType::Date, "day", false, None),
        made(FieldType::Select, "state", false, None),
        made(FieldType::Select, "tags", true, None),
        made(FieldType::File, "files", true, None),
        made(FieldType::Json, "meta", false, None),
        made(FieldType::Geopoint, "place", false, None),
        made(FieldType::Relation, "owner", false, people),
        made(FieldType::Relation, "writers", true, people),
        made(FieldType::Relation, "parent", false, Some("home")),
    ];
    let people = vec![
        made(FieldType::Text, "name", false, None),
        made(FieldType::Number, "age", false, None),
        made(FieldType::Relation, "teams", true, Some("order")),
    ];
    let order = vec![
        made(FieldType::Text, "label", false, None),
        made(FieldType::Number, "n", false, None),
        made(FieldType::Relation, "lead", false, Some("People")),
        made(FieldType::Select, "tags", true, None),
    ];
    let definitions = vec![
        defined("home", CollectionKind::Base, home),
        defined("People", CollectionKind::Auth, people),
        defined("order", CollectionKind::Base, order),
    ];
    World::of(definitions, &mut Chance::new(1), Dialect::Sqlite)
}

/// The names an expression may use in its place.
pub fn offer(world: &World, place: Place) -> Offer<'_> {
    let home = &world.home().collection;
    if place == Place::Filter { Offer::to_queries(&world.schema, home) } else { Offer::to_rules(&world.schema, home) }
}

/// The request of an account.
pub struct Call;

impl Request for Call {
    fn auth(&self) -> Option<Auth<'_>> {
        Some(Auth { id: "r1", role: None, verified: true, email: "Ab1@example.com", collection: "People" })
    }

    fn method(&self) -> &'static str {
        "PATCH"
    }

    fn context(&self) -> Context {
        Context::Default
    }

    fn header(&self, name: &str) -> Option<String> {
        (name != "x-none").then(|| "1".to_owned())
    }

    fn query(&self, name: &str) -> Option<String> {
        (name != "none").then(|| "2026-03-15".to_owned())
    }

    fn data(&self, path: &[String]) -> Option<Input> {
        let text = |text: &str| Value::Text(text.to_owned());
        Some(match path {
            [name] => match name.as_str() {
                "title" | "body" | "state" => Input::Value(text("Straße 50%")),
                "n" => Input::Value(Value::Number(-0.0)),
                "flag" => Input::Value(Value::Bool(true)),
                "at" => Input::Value(text("9999-12-31T23:59:59Z")),
                "day" => Input::Value(Value::Null),
                "tags" => Input::List(vec![text("a"), text("\"")]),
                "writers" => Input::List(Vec::new()),
                "mixed" => Input::List(vec![text("a"), Value::Null, Value::Number(1.0)]),
                "meta" => Input::Opaque,
                _ => return None,
            },
            _ => return None,
        })
    }
}
