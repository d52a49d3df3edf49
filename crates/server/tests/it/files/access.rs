//! Who may do what with a file, on every door.

use http::Method;
use serde_json::{Value, json};

use super::{FILES, download, fetch, field, file, on_disk, path, png, protected, thumbnails, upload, uploaded};
use crate::callers::{Bearer, Calls, open, record};
use crate::product::{Answer, Product, text};

crate::on_both_engines!(
    d_24_every_route_for_every_caller,
    cve_2026_25574_an_id_means_nothing_without_its_realm,
    a_record_shows_its_files_to_whoever_may_view_it,
    a_file_given_up_is_given_up,
    a_record_that_comes_back_does_not_bring_its_files_back,
    an_emptied_collection_gives_up_its_files,
    an_upload_for_a_record_wants_the_right_to_change_it,
    a_deleted_file_is_gone_with_everything_made_from_it,
    a_field_says_what_is_uploaded_for_it,
    whatever_changes_a_file_is_audited,
);

/// An account of an auth collection `members`.
pub async fn member(product: &Product) -> (Bearer<'_>, String) {
    let password = crate::process::PASSWORD;
    let body = json!({"email": "m@example.com", "password": password, "password_confirm": password});
    let answer = product.guest().post("/api/v1/collections/members/auth/register", &body).await.expect(201).json();
    (Bearer { product, token: text(&answer["token"]["access_token"]) }, text(&answer["user"]["id"]))
}

async fn asked(caller: &impl Calls, route: &str, id: &str) -> Answer {
    match route {
        "upload" => upload(caller, &[file("a.txt", "text/plain", b"a")]).await,
        "list" => caller.get(FILES).await,
        "show" => caller.get(&format!("{FILES}/{id}")).await,
        "token" => caller.call(Method::POST, &format!("{FILES}/{id}/token"), None).await,
        "protect" => caller.call(Method::PATCH, &format!("{FILES}/{id}/protected?protected=true"), None).await,
        "delete" => caller.delete(&format!("{FILES}/{id}")).await,
        "download" => fetch(caller, &format!("{FILES}/{id}/download"), &[]).await,
        "thumb" => fetch(caller, &format!("{FILES}/{id}/download?thumb=100x100"), &[]).await,
        other => panic!("no route {other}"),
    }
}

/// D-24; CVE-2026-35412, CVE-2025-55746, CVE-2026-39942: every door to a file asks the same question, and a file of somebody else is
/// one that does not exist.
async fn d_24_every_route_for_every_caller(product: &Product) {
    let admin = product.admin().await;
    let (ann, bob) = (product.user("ann").await, product.user("bob").await);
    admin.collection(&json!({"name": "members", "type": "auth", "schema": [], "create_rule": ""})).await;
    let (member, _) = member(product).await;
    let guest = product.guest();
    let content = png(200, 200);
    let unknown = "018f0000-0000-7000-8000-000000000000";
    // Guest, owner, another user, an account of a collection, an admin. What ends the file comes last.
    for (route, statuses, of_unknown) in [
        ("upload", [401, 201, 201, 201, 201], None),
        ("list", [401, 403, 403, 401, 200], None),
        ("show", [404, 200, 404, 404, 200], Some([404, 404])),
        ("token", [401, 200, 404, 404, 200], Some([401, 404])),
        ("protect", [401, 200, 404, 404, 200], Some([401, 404])),
        ("download", [403, 200, 404, 404, 200], Some([404, 404])),
        ("thumb", [403, 200, 404, 404, 200], Some([404, 404])),
        ("delete", [401, 204, 404, 404, 204], Some([401, 404])),
    ] {
        for at in [0, 2, 3, 4, 1] {
            let made = upload(&ann, &[file("a.png", "image/png", &content)]).await.expect(201).json();
            ann.call(Method::PATCH, &format!("{}/protected?protected=true", path(&made)), None).await.expect(200);
            let parts = thumbnails(product, &made).await;
            let own_picture = parts.first().map(|row| row.id.clone()).unwrap();
            for id in [text(&made["id"]), own_picture] {
                if route == "delete" && at == 1 && id != text(&made["id"]) {
                    continue;
                }
                let answer = match at {
                    0 => asked(&guest, route, &id).await,
                    1 => asked(&ann, route, &id).await,
                    2 => asked(&bob, route, &id).await,
                    3 => asked(&member, route, &id).await,
                    _ => asked(&admin, route, &id).await,
                };
                let gone = route == "delete" && at == 4 && id != text(&made["id"]);
                let wanted = if gone { 404 } else { statuses[at] };
                assert_eq!(answer.status.as_u16(), wanted, "{route} by {at} of {made}");
                let code = answer.code();
                match answer.status.as_u16() {
                    403 if route == "list" => assert_eq!(code, "forbidden"),
                    403 => assert_eq!(code, "file_protected"),
                    404 => assert_eq!(code, "not_found"),
                    _ => {}
                }
                if answer.status.as_u16() >= 400 {
                    let body = String::from_utf8_lossy(&answer.bytes);
                    assert!(!body.contains(&id) && !body.contains("a.png"), "{body}");
                }
            }
        }
        if let Some([guests, users]) = of_unknown {
            assert_eq!(asked(&guest, route, unknown).await.status.as_u16(), guests, "{route}");
            assert_eq!(asked(&bob, route, unknown).await.status.as_u16(), users, "{route}");
            for odd in ["..", "%2e%2e%2f%2e%2e%2fapp.db", "../../app.db", "1", "018F0000-0000-7000-8000-000000000000"] {
                let answer = asked(&admin, route, odd).await;
                assert!(matches!(answer.status.as_u16(), 404 | 405), "{route} {odd}: {}", answer.status);
            }
        }
    }
}

async fn cve_2026_25574_an_id_means_nothing_without_its_realm(product: &Product) {
    let admin = product.admin().await;
    admin.collection(&json!({"name": "members", "type": "auth", "schema": [], "create_rule": ""})).await;
    let (member, id) = member(product).await;
    let own = protected(&member).await;
    assert_eq!(own["user_id"], json!(id));
    member.get(&path(&own)).await.expect(200);
    download(&member, &own).await.expect(200);
    // A file of a user of the same id.
    let namesake = crate::file_fields::stored(product, Some(&id)).await;
    let namesake = json!({"id": namesake});
    member.get(&path(&namesake)).await.refused(404, "not_found");
    member.delete(&path(&namesake)).await.refused(404, "not_found");
    admin.get(&path(&namesake)).await.expect(200);
}

/// A collection of posts that their authors may view, with a file field.
async fn posts(admin: &impl Calls) -> Value {
    let mut posts = open(
        "posts",
        &json!([
            {"name": "author", "type": "text"},
            {"name": "docs", "type": "file", "file": {"max_files": 3, "mime_types": ["text/plain", "image/png"], "max_size": 100_000, "thumbs": ["40x20"]}},
        ]),
    );
    posts["view_rule"] =
        json!("author = @request.auth.id && @request.context = 'protectedFile' || author = 'everybody'");
    admin.post("/api/v1/collections", &posts).await.expect(201).json()
}

async fn a_record_shows_its_files_to_whoever_may_view_it(product: &Product) {
    let admin = product.admin().await;
    let (ann, bob) = (product.user("ann").await, product.user("bob").await);
    posts(&admin).await;
    let made = protected(&ann).await;
    download(&bob, &made).await.refused(404, "not_found");
    let post = ann.make("posts", &json!({"author": bob.id, "docs": [made["id"]]})).await;
    let shown = bob.get(&path(&made)).await.expect(200).json();
    assert_eq!(
        [&shown["collection_name"], &shown["record_id"], &shown["field_name"], &shown["storage_path"]],
        [&json!("posts"), &post["id"], &json!("docs"), &Value::Null]
    );
    assert_eq!(download(&bob, &made).await.expect(200).bytes, b"hello file");
    bob.call(Method::POST, &format!("{}/token", path(&made)), None).await.expect(200);
    // Who may view it may not change it.
    bob.delete(&path(&made)).await.refused(404, "not_found");
    bob.call(Method::PATCH, &format!("{}/protected?protected=false", path(&made)), None)
        .await
        .refused(404, "not_found");
    download(&product.guest(), &made).await.refused(403, "file_protected");

    ann.change("posts", &post["id"], &json!({"author": "nobody"})).await.expect(200);
    download(&bob, &made).await.refused(404, "not_found");
    ann.change("posts", &post["id"], &json!({"author": "everybody"})).await.expect(200);
    download(&product.guest(), &made).await.expect(200);
    product.guest().get(&path(&made)).await.expect(200);
}

async fn a_file_given_up_is_given_up(product: &Product) {
    let admin = product.admin().await;
    let (ann, bob) = (product.user("ann").await, product.user("bob").await);
    posts(&admin).await;
    for given_up in [json!([]), Value::Null] {
        let (one, two) = (protected(&ann).await, protected(&ann).await);
        let post = ann.make("posts", &json!({"author": bob.id, "docs": [one["id"], two["id"]]})).await;
        download(&bob, &two).await.expect(200);
        ann.change("posts", &post["id"], &json!({"docs": [one["id"]]})).await.expect(200);
        download(&bob, &two).await.refused(404, "not_found");
        download(&bob, &one).await.expect(200);
        ann.change("posts", &post["id"], &json!({"docs": given_up})).await.expect(200);
        download(&bob, &one).await.refused(404, "not_found");
        // A second record that names a file does not take it from the first.
        let first = ann.make("posts", &json!({"author": bob.id, "docs": [one["id"]]})).await;
        let second = ann.make("posts", &json!({"author": "everybody", "docs": [one["id"]]})).await;
        download(&product.guest(), &one).await.refused(403, "file_protected");
        ann.delete(&record("posts", &second["id"])).await.expect(204);
        download(&bob, &one).await.expect(200);
        ann.delete(&record("posts", &first["id"])).await.expect(204);
        download(&bob, &one).await.refused(404, "not_found");
        download(&ann, &one).await.expect(200);
    }
}

/// Upsert takes ids that callers bring: whoever makes a record of an old id must not come by the files of the old one.
async fn a_record_that_comes_back_does_not_bring_its_files_back(product: &Product) {
    let admin = product.admin().await;
    let (ann, bob) = (product.user("ann").await, product.user("bob").await);
    posts(&admin).await;
    let content = png(50, 50);
    let made = upload(&ann, &[file("a.png", "image/png", &content)]).await.expect(201).json();
    ann.call(Method::PATCH, &format!("{}/protected?protected=true", path(&made)), None).await.expect(200);
    let post = ann.make("posts", &json!({"author": ann.id, "docs": [made["id"]]})).await;
    let picture = json!({"id": thumbnails(product, &made).await[0].id});
    ann.delete(&record("posts", &post["id"])).await.expect(204);
    let again = json!({"records": [{"id": post["id"], "author": bob.id}]});
    let answer = bob.post("/api/v1/collections/posts/records/upsert", &again).await.expect(200).json();
    assert_eq!(answer["created"], 1, "{answer}");
    download(&bob, &made).await.refused(404, "not_found");
    download(&bob, &picture).await.refused(404, "not_found");
}

/// The same where all records went at once.
async fn an_emptied_collection_gives_up_its_files(product: &Product) {
    let admin = product.admin().await;
    let (ann, bob) = (product.user("ann").await, product.user("bob").await);
    posts(&admin).await;
    let made = upload(&ann, &[file("a.png", "image/png", &png(50, 50))]).await.expect(201).json();
    ann.call(Method::PATCH, &format!("{}/protected?protected=true", path(&made)), None).await.expect(200);
    let post = ann.make("posts", &json!({"author": ann.id, "docs": [made["id"]]})).await;
    admin.delete("/api/v1/collections/name/posts/truncate").await.expect(200);
    let again = json!({"records": [{"id": post["id"], "author": bob.id}]});
    bob.post("/api/v1/collections/posts/records/upsert", &again).await.expect(200);
    download(&bob, &made).await.refused(404, "not_found");
    // It can be given to another record, also once its collection is gone.
    let other = ann.make("posts", &json!({"author": ann.id, "docs": [made["id"]]})).await;
    assert_eq!(other["data"]["docs"], json!([made["id"]]), "{other}");
    let posts = admin.get("/api/v1/collections/name/posts").await.expect(200).json();
    admin.delete(&crate::callers::collection_path(&posts)).await.expect(204);
    let shown = ann.get(&path(&made)).await.expect(200).json();
    assert_eq!(shown["record_id"], Value::Null, "{shown}");
}

async fn an_upload_for_a_record_wants_the_right_to_change_it(product: &Product) {
    let admin = product.admin().await;
    let (ann, bob) = (product.user("ann").await, product.user("bob").await);
    let mut closed = open("closed", &json!([{"name": "author", "type": "text"}]));
    closed["update_rule"] = json!("author = @request.auth.id");
    closed["view_rule"] = json!("author != 'secret'");
    admin.collection(&closed).await;
    closed["name"] = json!("admins");
    closed["update_rule"] = Value::Null;
    admin.collection(&closed).await;
    let own = admin.make("closed", &json!({"author": ann.id})).await;
    let secret = admin.make("closed", &json!({"author": "secret"})).await;
    let of_admins = admin.make("admins", &json!({"author": ann.id})).await;
    let unknown = json!("018f0000-0000-7000-8000-000000000000");
    let before = on_disk(product).len();
    for (collection, id, by_ann, by_bob) in [
        ("closed", &own["id"], 201, 403),
        ("closed", &secret["id"], 404, 404),
        ("closed", &unknown, 404, 404),
        ("admins", &of_admins["id"], 403, 403),
        ("admins", &unknown, 403, 403),
    ] {
        let id = text(id);
        let fields = [file("a.txt", "text/plain", b"a"), field("record_id", &id), field("collection_name", collection)];
        for (caller, wanted) in [(&ann, by_ann), (&bob, by_bob)] {
            assert_eq!(upload(caller, &fields).await.status.as_u16(), wanted, "{collection} {id}");
        }
    }
    assert_eq!(on_disk(product).len(), before + 1, "what was refused left nothing");
    for (fields, name) in [
        ([field("collection_name", "nothing"), field("field_name", "")], "collection_name"),
        ([field("record_id", "1"), field("collection_name", "")], "record_id"),
        ([field("field_name", "docs"), field("collection_name", "")], "field_name"),
        ([field("field_name", "author"), field("collection_name", "closed")], "field_name"),
        ([field("odd", "1"), field("collection_name", "closed")], "odd"),
        ([field("collection_name", "closed"), field("collection_name", "closed")], "collection_name"),
    ] {
        let [one, two] = fields;
        let answer = upload(&ann, &[one, two, file("a.txt", "text/plain", b"a")]).await;
        let details = answer.refused(422, "validation_failed").json()["details"].clone();
        assert!(details.get(name).is_some(), "{name}: {details}");
    }
}

async fn a_field_says_what_is_uploaded_for_it(product: &Product) {
    let admin = product.admin().await;
    posts(&admin).await;
    let place = || [field("collection_name", "posts"), field("field_name", "docs")];
    let large = vec![b'a'; 100_001];
    for (sent, taken) in [
        (file("a.txt", "text/plain", b"a"), true),
        (file("a.csv", "text/csv", b"a"), false),
        (file("a.txt", "text/plain", &large), false),
    ] {
        let [one, two] = place();
        let answer = upload(&admin, &[one, two, sent]).await;
        if taken {
            answer.expect(201);
        } else {
            answer.refused(422, "validation_failed");
        }
    }
    // The field's own size is offered for what belongs to it, and for nothing else.
    let content = png(400, 200);
    let [one, two] = place();
    let of_field = upload(&admin, &[one, two, file("a.png", "image/png", &content)]).await.expect(201).json();
    let plain = upload(&admin, &[file("a.png", "image/png", &content)]).await.expect(201).json();
    fetch(&admin, &format!("{}/download?thumb=40x20", path(&of_field)), &[]).await.expect(200);
    fetch(&admin, &format!("{}/download?thumb=40x20", path(&plain)), &[]).await.refused(400, "invalid_thumb");
}

/// D-25: thumbnails survived their file.
async fn a_deleted_file_is_gone_with_everything_made_from_it(product: &Product) {
    let admin = product.admin().await;
    let ann = product.user("ann").await;
    posts(&admin).await;
    let kept = uploaded(&ann).await;
    let content = png(400, 200);
    let made = upload(&ann, &[file("a.png", "image/png", &content)]).await.expect(201).json();
    let picture = json!({"id": thumbnails(product, &made).await[0].id});
    fetch(&ann, &format!("{}/download?thumb=100x100", path(&made)), &[]).await.expect(200);
    fetch(&ann, &format!("{}/download?thumb=300x0", path(&picture)), &[]).await.expect(200);
    let post = ann.make("posts", &json!({"author": ann.id, "docs": [made["id"]]})).await;
    ann.delete(&path(&made)).await.expect(204);
    for gone in [&made, &picture] {
        ann.get(&path(gone)).await.refused(404, "not_found");
        download(&admin, gone).await.refused(404, "not_found");
        fetch(&admin, &format!("{}/download?thumb=100x100", path(gone)), &[]).await.refused(404, "not_found");
    }
    ann.delete(&path(&made)).await.refused(404, "not_found");
    assert_eq!(on_disk(product), [format!("{}/{}", &text(&kept["id"])[34..], text(&kept["id"]))]);
    // The record can be changed on, and what it named cannot be named again.
    ann.change("posts", &post["id"], &json!({"author": "x"})).await.expect(200);
    ann.create("posts", &json!({"docs": [made["id"]]})).await.refused(422, "validation_failed");
}

/// Contract 9.7: whatever changes a file stands in the audit log.
async fn whatever_changes_a_file_is_audited(product: &Product) {
    product.admin().await;
    let (ann, bob) = (product.user("ann").await, product.user("bob").await);
    let made = protected(&ann).await;
    bob.delete(&path(&made)).await.refused(404, "not_found");
    ann.delete(&path(&made)).await.expect(204);
    let select =
        "SELECT event_action, user_id, resource_id, details FROM audit_logs WHERE event_type = 'file' ORDER BY seq";
    let sql = fastcms_store::Sql::new(product.app.store.dialect()).push(select).clone();
    let read = product
        .app
        .store
        .read(fastcms_store::Plan::Scan, move |reader| Box::pin(async move { reader.fetch(&sql).await }));
    let rows = read.await.unwrap();
    let seen: Vec<_> = rows.iter().map(|row| [0, 1, 2].map(|at| row.text(at).unwrap().to_owned())).collect();
    let id = text(&made["id"]);
    let wanted = ["create", "update", "delete"].map(|action| [action.to_owned(), ann.id.clone(), id.clone()]);
    assert_eq!(seen, wanted);
    let details: Value = serde_json::from_str(rows[0].text(3).unwrap()).unwrap();
    assert_eq!((&details["name"], &details["size"]), (&json!("a.txt"), &json!(10)), "{details}");
}
