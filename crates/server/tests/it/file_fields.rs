//! Fields that hold files: their options, which files they take of whom, and what becomes of them with the schema (contract 7.3).

use fastcms_store::files::{self, StoredFile};
use serde_json::{Value, json};

use crate::callers::{COLLECTIONS, Calls, collection_path, open, record, with_query};
use crate::on_both_engines;
use crate::product::{Product, text};

on_both_engines!(
    options_are_read_and_echoed_whole,
    options_that_mean_nothing_are_named,
    a_caller_uses_their_own_files,
    an_account_of_a_collection_uses_its_own_files,
    what_a_field_holds_stays_whoever_puts_the_rest,
    a_file_fits_its_field,
    a_filter_and_a_rule_see_a_list_of_texts,
    a_file_field_cannot_be_unique_or_indexed,
    file_fields_change_their_type_without_loss,
    an_export_names_files_and_an_import_looks_for_them,
);

const FILES: &str = "The file does not exist";

/// A file of the operator, or of this account of `users`; its id.
pub async fn stored(product: &Product, owner: Option<&str>) -> Value {
    stored_as(product, owner.map(|id| ("users", id)), "image/png", 1000, None).await
}

/// A row of a file, as an upload would leave it; its id.
async fn stored_as(
    product: &Product,
    owner: Option<(&str, &str)>,
    mime_type: &str,
    size: i64,
    parent: Option<&Value>,
) -> Value {
    let id = product.app.new_id();
    let now = "2026-01-31T09:30:00.000Z".to_owned();
    let file = StoredFile {
        id: id.clone(),
        filename: format!("{id}.bin"),
        original_filename: "picture \u{1F600}".to_owned(),
        mime_type: mime_type.to_owned(),
        size,
        storage_path: format!("files/{id}.bin"),
        storage_type: "local".to_owned(),
        collection_id: None,
        record_id: None,
        field_name: None,
        owner: owner.map(|(realm, id)| (realm.to_owned(), id.to_owned())),
        is_thumbnail: parent.is_some(),
        protected: false,
        parent_file_id: parent.map(text),
        checksum: "0".repeat(64),
        created: now.clone(),
        updated: now,
    };
    let write = product.app.store.write(move |tx| Box::pin(async move { files::insert(tx, &file).await }));
    write.await.unwrap();
    json!(id)
}

/// A collection `things` with a field `docs` of these options.
fn things(options: &Value) -> Value {
    open("things", &json!([{"name": "docs", "type": "file", "file": options}, {"name": "n", "type": "number"}]))
}

async fn options_are_read_and_echoed_whole(product: &Product) {
    let admin = product.admin().await;
    let unsaid = json!({
        "max_size": 5_242_880, "max_files": 1, "mime_types": ["image/jpeg", "image/png", "image/gif"],
        "thumbs": ["100x100", "500x500"],
    });
    let whole = json!({
        "max_size": 1, "max_files": 1000, "mime_types": ["application/vnd.api+json", "text/plain"], "thumbs": ["0x40f", "40x0", "9x8t"],
    });
    for (at, (sent, echoed)) in [
        (Value::Null, Value::Null),
        (json!({}), unsaid.clone()),
        (json!({"max_files": null, "mime_types": ["IMAGE/JPEG", "image/png", "image/gif"]}), unsaid),
        (whole.clone(), whole),
        (
            json!({"thumbs": [], "mime_types": ["a/b"]}),
            json!({"max_size": 5_242_880, "max_files": 1, "mime_types": ["a/b"], "thumbs": []}),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("c{at}");
        let made = admin.collection(&open(&name, &json!([{"name": "docs", "type": "file", "file": sent}]))).await;
        assert_eq!(made["schema"][0]["file"], echoed, "{sent}");
        assert_eq!(admin.get(&collection_path(&made)).await.expect(200).json(), made);
    }
}

async fn options_that_mean_nothing_are_named(product: &Product) {
    let admin = product.admin().await;
    for (options, key) in [
        (json!([]), "file"),
        (json!({"max_size": 0}), "file.max_size"),
        (json!({"max_size": 1.5}), "file.max_size"),
        (json!({"max_size": u64::MAX}), "file.max_size"),
        (json!({"max_files": 0}), "file.max_files"),
        (json!({"max_files": 1001}), "file.max_files"),
        (json!({"max_files": "1"}), "file.max_files"),
        (json!({"mime_types": []}), "file.mime_types"),
        (json!({"mime_types": ["png"]}), "file.mime_types"),
        (json!({"mime_types": ["image/*"]}), "file.mime_types"),
        (json!({"mime_types": ["image/png; q=1"]}), "file.mime_types"),
        (json!({"mime_types": [1]}), "file.mime_types"),
        (json!({"thumbs": ["0x0"]}), "file.thumbs"),
        (json!({"thumbs": ["100"]}), "file.thumbs"),
        (json!({"thumbs": ["1x1x1"]}), "file.thumbs"),
        (json!({"thumbs": ["+1x1"]}), "file.thumbs"),
        (json!({"thumbs": ["100x100g"]}), "file.thumbs"),
        (json!({"thumbs": ["5000x1"]}), "file.thumbs"),
        (json!({"max_sizes": 1}), "file.max_sizes"),
    ] {
        let details = admin.post(COLLECTIONS, &things(&options)).await.refused(422, "validation_failed").json();
        let keys: Vec<_> = details["details"].as_object().unwrap().keys().collect();
        assert_eq!(keys, [&format!("schema.0.{key}")], "{options}");
    }
    let text = json!([{"name": "f", "type": "text", "file": {}}]);
    let answer = admin.post(COLLECTIONS, &open("texts", &text)).await.refused(422, "validation_failed").json();
    assert_eq!(answer["details"], json!({"schema.0.file": "Not for a field of type text"}));
}

async fn a_caller_uses_their_own_files(product: &Product) {
    let admin = product.admin().await;
    let (user, other) = (product.user("ann").await, product.user("bob").await);
    admin.collection(&things(&json!({"max_files": 5}))).await;
    let own = stored(product, Some(&user.id)).await;
    let foreign = stored(product, Some(&other.id)).await;
    let nobodys = stored(product, None).await;
    let thumbnail = stored_as(product, Some(("users", &user.id)), "image/png", 10, Some(&own)).await;
    let unknown = json!("018f0000-0000-7000-8000-000000000000");

    let made = user.make("things", &json!({"docs": [own]})).await;
    assert_eq!(made["data"]["docs"], json!([own]));
    assert_eq!(product.guest().get(&record("things", &made["id"])).await.expect(200).json(), made);
    for bad in [&foreign, &nobodys, &thumbnail, &unknown] {
        for answer in [
            user.create("things", &json!({"docs": [own, bad]})).await,
            user.change("things", &made["id"], &json!({"docs": [own, bad]})).await,
        ] {
            assert_eq!(answer.refused(422, "validation_failed").json()["details"], json!({"docs": FILES}), "{bad}");
        }
    }
    let answer = product.guest().create("things", &json!({"docs": [own]})).await.refused(422, "validation_failed");
    assert_eq!(answer.json()["details"], json!({"docs": FILES}), "a guest has no files");
    assert_eq!(
        admin.make("things", &json!({"docs": [nobodys, foreign, own]})).await["data"]["docs"],
        json!([nobodys, foreign, own])
    );
    admin.create("things", &json!({"docs": [unknown]})).await.refused(422, "validation_failed");
    admin.create("things", &json!({"docs": [thumbnail]})).await.refused(422, "validation_failed");
    assert_eq!(product.guest().list("things", &[]).await.expect(200).json()["total"], 2);
    user.change("things", &unknown, &json!({"docs": [own]})).await.refused(404, "not_found");
}

/// An account's id says nothing without its realm.
async fn an_account_of_a_collection_uses_its_own_files(product: &Product) {
    let admin = product.admin().await;
    let members = json!({"name": "members", "type": "auth", "schema": [], "create_rule": ""});
    let members = admin.collection(&members).await;
    admin.collection(&things(&Value::Null)).await;
    let body = json!({"email": "m@example.com", "password": crate::process::PASSWORD, "password_confirm": crate::process::PASSWORD});
    let path = format!("{COLLECTIONS}/members/auth/register");
    let answer = product.guest().post(&path, &body).await.expect(201).json();
    let member = crate::callers::Bearer { product, token: text(&answer["token"]["access_token"]) };
    let id = text(&answer["user"]["id"]);
    let own = stored_as(product, Some((&text(&members["id"]), &id)), "image/png", 1, None).await;
    let namesake = stored(product, Some(&id)).await;
    member.make("things", &json!({"docs": [own]})).await;
    member.create("things", &json!({"docs": [namesake]})).await.refused(422, "validation_failed");
}

async fn what_a_field_holds_stays_whoever_puts_the_rest(product: &Product) {
    let admin = product.admin().await;
    let user = product.user("ann").await;
    admin.collection(&things(&json!({"max_files": 2}))).await;
    let (of_admin, further, own) = (
        stored(product, Some(&admin.id)).await,
        stored(product, Some(&admin.id)).await,
        stored(product, Some(&user.id)).await,
    );
    let made = admin.make("things", &json!({"docs": [of_admin]})).await;
    let both = json!({"docs": [own, of_admin]});
    let changed = user.change("things", &made["id"], &both).await.expect(200).json();
    assert_eq!(changed["data"]["docs"], both["docs"]);
    user.change("things", &made["id"], &json!({"docs": [own, further]})).await.refused(422, "validation_failed");
    user.change("things", &made["id"], &json!({"docs": [own]})).await.expect(200);
    // Given up is given up.
    user.change("things", &made["id"], &both).await.refused(422, "validation_failed");
}

async fn a_file_fits_its_field(product: &Product) {
    let admin = product.admin().await;
    admin.collection(&things(&json!({"max_size": 100, "max_files": 2, "mime_types": ["text/plain"]}))).await;
    let good = stored_as(product, None, "text/plain", 100, None).await;
    let large = stored_as(product, None, "text/plain", 101, None).await;
    let picture = stored_as(product, None, "image/png", 1, None).await;
    let both = stored_as(product, None, "image/png", 101, None).await;
    let (size, kind) = ("Each file must have at most 100 bytes", "Each file must be of a type among: text/plain");
    for (sent, message) in [
        (json!([large]), size.to_owned()),
        (json!([good, picture]), kind.to_owned()),
        (json!([both]), format!("{size}; {kind}")),
        (json!([good, large, picture]), "Must be at most 2 files".to_owned()),
        (json!(good), "Must be an array of file IDs".to_owned()),
    ] {
        let answer = admin.create("things", &json!({"docs": sent})).await.refused(422, "validation_failed").json();
        assert_eq!(answer["details"], json!({"docs": message}), "{sent}");
    }
    let made = admin.make("things", &json!({"docs": [good, good]})).await;
    assert_eq!(made["data"]["docs"], json!([good]), "one file is one file");
}

async fn a_filter_and_a_rule_see_a_list_of_texts(product: &Product) {
    let admin = product.admin().await;
    let (one, two) = (stored(product, None).await, stored(product, None).await);
    let things = admin.collection(&things(&json!({"max_files": 2}))).await;
    admin.make("things", &json!({"n": 1, "docs": [one]})).await;
    admin.make("things", &json!({"n": 2, "docs": [two, one]})).await;
    admin.make("things", &json!({"n": 3})).await;
    let (first, second) = (text(&one), text(&two));
    for (filter, expected) in [
        (format!("docs ?= '{first}'"), vec![json!(1), json!(2)]),
        (format!("docs ?= '{second}'"), vec![json!(2)]),
        ("docs:length = 2".to_owned(), vec![json!(2)]),
        ("docs = null".to_owned(), vec![json!(3)]),
    ] {
        let found = admin.column("things", &[("filter", &filter), ("sort", "n")], "n").await;
        assert_eq!(found, expected, "{filter}");
    }
    admin.reshape(&things, &json!({"list_rule": format!("docs ?= '{second}'")})).await;
    assert_eq!(product.guest().column("things", &[], "n").await, [json!(2)]);
    let expanded = with_query("/api/v1/collections/things/records", &[("expand", "docs")]);
    admin.get(&expanded).await.refused(400, "invalid_expand");
}

async fn a_file_field_cannot_be_unique_or_indexed(product: &Product) {
    let admin = product.admin().await;
    let unique = json!([{"name": "docs", "type": "file", "validation": {"unique": true}}]);
    let answer = admin.post(COLLECTIONS, &open("c", &unique)).await.refused(422, "validation_failed").json();
    assert_eq!(answer["details"], json!({"schema.0.validation.unique": "Not for a field of type file"}));
    let things = admin.collection(&things(&Value::Null)).await;
    let index = json!({"name": "by_docs", "fields": [{"name": "docs"}]});
    let path = format!("{}/indexes", collection_path(&things));
    admin.post(&path, &index).await.refused(422, "validation_failed");
}

async fn file_fields_change_their_type_without_loss(product: &Product) {
    let admin = product.admin().await;
    let file = stored(product, None).await;
    let two = json!([file, stored(product, None).await]);
    let docs = |field: Value| {
        let mut field = field;
        field["name"] = json!("docs");
        json!({"schema": [field]})
    };
    let many = json!({"type": "file", "file": {"max_files": 2}});
    for (at, (value, to, shown)) in [
        (json!([file]), json!({"type": "text"}), Some(file.clone())),
        (json!([]), json!({"type": "text"}), Some(Value::Null)),
        (two.clone(), json!({"type": "json"}), Some(two.clone())),
        (two.clone(), json!({"type": "file"}), Some(two.clone())),
        (two, json!({"type": "text"}), None),
        (json!([file]), json!({"type": "number"}), None),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("c{at}");
        let made = admin.collection(&open(&name, &docs(many.clone())["schema"])).await;
        admin.make(&name, &json!({"docs": value})).await;
        let answer = admin.patch(&collection_path(&made), &docs(to.clone())).await;
        answer.expect(if shown.is_some() { 200 } else { 422 });
        assert_eq!(admin.column(&name, &[], "docs").await, [shown.unwrap_or(value)], "{to}");
    }
    for kind in ["text", "json"] {
        let name = format!("from_{kind}");
        let made = admin.collection(&open(&name, &json!([{"name": "docs", "type": kind}]))).await;
        let value = admin.make(&name, &json!({"docs": "x"})).await;
        admin.patch(&collection_path(&made), &docs(many.clone())).await.refused(422, "validation_failed");
        admin.change(&name, &value["id"], &json!({"docs": null})).await.expect(200);
        admin.reshape(&made, &docs(many.clone())).await;
    }
}

async fn an_export_names_files_and_an_import_looks_for_them(product: &Product) {
    let admin = product.admin().await;
    let file = stored(product, None).await;
    admin.collection(&things(&Value::Null)).await;
    admin.make("things", &json!({"n": 1, "docs": [file]})).await;
    product.clock.advance_millis(1);
    admin.make("things", &json!({"n": 2})).await;
    let mut document = crate::schema_life::export(&admin, "things").await.expect(200).json();
    assert_eq!(document["records"][0]["data"]["docs"], json!([file]));
    document["name"] = json!("copies");
    let import = "/api/v1/collections/import?import_records=true";
    admin.post(import, &document).await.expect(201);
    assert_eq!(admin.column("copies", &[("sort", "n")], "docs").await, [json!([file]), Value::Null]);
    document["name"] = json!("more");
    document["records"][1]["data"]["docs"] = json!(["018f0000-0000-7000-8000-000000000000"]);
    let answer = admin.post(import, &document).await.refused(422, "validation_failed").json();
    assert_eq!(answer["details"], json!({"records.1.data.docs": FILES}));
}
