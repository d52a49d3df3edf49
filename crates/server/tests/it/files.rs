//! Files: what is taken, who may have it, how it is served, and what is left of it.

mod access;
mod refused;
mod serving;
mod storage;
mod thumbs;
mod tokens;

use axum::body::Body;
use http::{Method, Request, header};
use serde_json::{Value, json};

use crate::callers::Calls;
use crate::product::{Answer, Product, text};

crate::on_both_engines!(
    an_upload_is_described_and_comes_back_as_it_was,
    an_image_gets_its_thumbnails,
    twenty_uploads_at_once_are_twenty_files,
    a_list_is_for_admins_and_knows_records,
);

pub const FILES: &str = "/api/v1/files";
pub const BOUNDARY: &str = "----boundary";

/// One part of a form: a file if it has a name and a type.
pub struct Field<'a> {
    pub name: &'a str,
    pub file: Option<(&'a str, &'a str)>,
    pub content: &'a [u8],
}

pub fn field<'a>(name: &'a str, content: &'a str) -> Field<'a> {
    Field { name, file: None, content: content.as_bytes() }
}

pub fn file<'a>(name: &'a str, media_type: &'a str, content: &'a [u8]) -> Field<'a> {
    Field { name: "file", file: Some((name, media_type)), content }
}

/// A multipart body.
pub fn form(fields: &[Field<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for field in fields {
        body.extend_from_slice(
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{}\"", field.name).as_bytes(),
        );
        if let Some((name, media_type)) = field.file {
            body.extend_from_slice(format!("; filename=\"{}\"", name.replace('"', "\\\"")).as_bytes());
            if !media_type.is_empty() {
                body.extend_from_slice(format!("\r\nContent-Type: {media_type}").as_bytes());
            }
        }
        body.extend_from_slice(b"\r\n\r\n");
        body.extend_from_slice(field.content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

pub fn posting(token: Option<&str>, body: Body) -> Request<Body> {
    let mut request = Request::post(FILES)
        .header(header::HOST, "localhost:8000")
        .header(header::CONTENT_TYPE, format!("multipart/form-data; boundary={BOUNDARY}"));
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    request.body(body).unwrap()
}

/// Sends a form to the upload route.
pub async fn upload(caller: &impl Calls, fields: &[Field<'_>]) -> Answer {
    caller.product().send(posting(caller.token(), Body::from(form(fields)))).await
}

/// Uploads a text; it must be taken. The file.
pub async fn uploaded(caller: &impl Calls) -> Value {
    upload(caller, &[file("a.txt", "text/plain", b"hello file")]).await.expect(201).json()
}

/// The same, protected.
pub async fn protected(caller: &impl Calls) -> Value {
    let file = uploaded(caller).await;
    caller.call(Method::PATCH, &format!("{}/protected?protected=true", path(&file)), None).await.expect(200).json()
}

pub fn path(file: &Value) -> String {
    format!("{FILES}/{}", text(&file["id"]))
}

/// Asks for bytes, with these headers.
pub async fn fetch(caller: &impl Calls, path: &str, headers: &[(&str, &str)]) -> Answer {
    fetch_as(caller, Method::GET, path, headers).await
}

pub async fn fetch_as(caller: &impl Calls, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(path).header(header::HOST, "localhost:8000");
    if let Some(token) = caller.token() {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    caller.product().send(request.body(Body::empty()).unwrap()).await
}

pub async fn download(caller: &impl Calls, file: &Value) -> Answer {
    fetch(caller, &format!("{}/download", path(file)), &[]).await
}

/// A picture whose left half is red and whose right half is transparent.
pub fn png(width: u32, height: u32) -> Vec<u8> {
    let pixel = |x: u32, _: u32| if x < width / 2 { [255, 0, 0, 255] } else { [0, 0, 0, 0] };
    let picture = image::RgbaImage::from_fn(width, height, |x, y| image::Rgba(pixel(x, y)));
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Everything that lies in the storage, relative to it.
pub fn on_disk(product: &Product) -> Vec<String> {
    fn walk(at: &std::path::Path, root: &std::path::Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(at).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, found);
            } else {
                found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let root = &product.app.config.storage.local_path;
    let mut found = Vec::new();
    walk(root, root, &mut found);
    found.sort();
    found
}

async fn an_upload_is_described_and_comes_back_as_it_was(product: &Product) {
    let admin = product.admin().await;
    let ann = product.user("ann").await;
    let content: Vec<u8> = "Grüße\r\n--".bytes().cycle().take(300_001).chain("\r\n------boundar".bytes()).collect();
    let made = upload(&ann, &[file("notes.txt", "text/plain; charset=utf-8", &content)]).await.expect(201).json();
    let id = text(&made["id"]);
    let wanted = json!({
        "id": id, "filename": format!("{id}.txt"), "original_filename": "notes.txt", "mime_type": "text/plain",
        "size": content.len(), "storage_path": null, "storage_type": "local", "collection_name": null, "record_id": null,
        "field_name": null, "user_id": ann.id, "is_thumbnail": false, "protected": false, "parent_file_id": null,
        "created": made["created"], "updated": made["created"], "url": format!("{FILES}/{id}/download"),
    });
    assert_eq!(made, wanted);
    assert_eq!(ann.get(&path(&made)).await.expect(200).json(), made);
    let stored = admin.get(&path(&made)).await.expect(200).json()["storage_path"].clone();
    assert_eq!(stored, json!(format!("{}/{id}", &id[34..])), "only for admins");
    assert_eq!(on_disk(product), [text(&stored)]);

    let answer = download(&product.guest(), &made).await.expect(200);
    assert_eq!(answer.bytes, content);
    assert_eq!(answer.header("content-length"), Some(content.len().to_string().as_str()));
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
}

async fn an_image_gets_its_thumbnails(product: &Product) {
    let admin = product.admin().await;
    let ann = product.user("ann").await;
    let content = png(400, 200);
    let made = upload(&ann, &[file("red.png", "image/png", &content)]).await.expect(201).json();
    assert_eq!(on_disk(product).len(), 4, "{:?}", on_disk(product));
    assert_eq!(admin.get(FILES).await.expect(200).json()["total"], 1, "thumbnails are not listed");

    let thumbnails = thumbnails(product, &made).await;
    let described: Vec<_> = thumbnails
        .iter()
        .map(|row| (row.original_filename.as_str(), row.mime_type.as_str(), row.protected, row.owner.is_some()))
        .collect();
    let wanted = [100, 300, 600].map(|side| format!("thumb_{side}_red.png"));
    assert_eq!(described, [0, 1, 2].map(|at| (wanted[at].as_str(), "image/jpeg", false, true)));
    for (row, size) in thumbnails.iter().zip([(100, 50), (300, 150), (400, 200)]) {
        let answer = download(&product.guest(), &json!({"id": row.id})).await.expect(200);
        let picture = image::load_from_memory_with_format(&answer.bytes, image::ImageFormat::Jpeg).unwrap().to_rgb8();
        assert_eq!(picture.dimensions(), size, "never enlarged");
        let (red, white) = (picture.get_pixel(2, 2).0, picture.get_pixel(size.0 - 3, 2).0);
        assert!(red[0] > 240 && red[1] < 20, "{red:?}");
        assert!(white.iter().all(|channel| *channel > 240), "transparent becomes white: {white:?}");
        let shown = ann.get(&format!("{FILES}/{}", row.id)).await.expect(200).json();
        assert_eq!((&shown["is_thumbnail"], &shown["parent_file_id"]), (&json!(true), &made["id"]));
    }
}

/// The rows of a file's thumbnails, by their names.
pub async fn thumbnails(product: &Product, file: &Value) -> Vec<fastcms_store::files::StoredFile> {
    let parent = text(&file["id"]);
    let mut found: Vec<fastcms_store::files::StoredFile> = Vec::new();
    for path in on_disk(product) {
        let id = path[3..].to_owned();
        if id.len() != 36 {
            continue;
        }
        let row = product
            .app
            .store
            .read(fastcms_store::Plan::Bounded, move |reader| {
                Box::pin(async move { fastcms_store::files::by_id(reader, &id).await })
            })
            .await
            .unwrap();
        found.extend(row.filter(|row| row.parent_file_id.as_ref() == Some(&parent)));
    }
    found.sort_by(|one, other| one.original_filename.cmp(&other.original_filename));
    found
}

async fn twenty_uploads_at_once_are_twenty_files(product: &Product) {
    let admin = product.admin().await;
    let ann = product.user("ann").await;
    let contents: Vec<Vec<u8>> = (0..20).map(|at| format!("file {at} ").repeat(20_000).into_bytes()).collect();
    let sending = contents
        .iter()
        .map(|content| async { upload(&ann, &[file("a.txt", "text/plain", content)]).await.expect(201).json() });
    let made = futures_util::future::join_all(sending).await;
    for (file, content) in made.iter().zip(&contents) {
        assert!(download(&ann, file).await.expect(200).bytes == *content);
    }
    assert_eq!(admin.get(FILES).await.expect(200).json()["total"], 20);
    assert_eq!(on_disk(product).len(), 20);
}

async fn a_list_is_for_admins_and_knows_records(product: &Product) {
    let admin = product.admin().await;
    let ann = product.user("ann").await;
    admin.collection(&crate::callers::open("posts", &json!([{"name": "title", "type": "text"}]))).await;
    let post = admin.make("posts", &json!({"title": "a"})).await;
    let id = text(&post["id"]);
    let mut of_post = [field("collection_name", "posts"), field("record_id", &id), file("a.txt", "text/plain", b"a")];
    let attached = upload(&ann, &of_post).await.expect(201).json();
    assert_eq!((&attached["collection_name"], &attached["record_id"]), (&json!("posts"), &post["id"]));
    of_post.rotate_right(1);
    let second = upload(&admin, &of_post).await.expect(201).json();
    uploaded(&ann).await;

    let ids = |answer: Answer| {
        let page = answer.expect(200).json();
        let mut ids: Vec<_> = page["items"].as_array().unwrap().iter().map(|item| text(&item["id"])).collect();
        ids.sort();
        (ids, page["total"].clone(), page["total_pages"].clone())
    };
    let mut both = vec![text(&attached["id"]), text(&second["id"])];
    both.sort();
    assert_eq!(ids(admin.get(&format!("{FILES}?collection_name=posts")).await), (both.clone(), json!(2), json!(1)));
    assert_eq!(ids(admin.get(&format!("{FILES}?record_id={id}")).await), (both, json!(2), json!(1)));
    assert_eq!(ids(admin.get(&format!("{FILES}?collection_name=nothing")).await), (vec![], json!(0), json!(0)));
    let page = admin.get(&format!("{FILES}?page=2&per_page=2")).await.expect(200).json();
    assert_eq!((page["items"].as_array().unwrap().len(), &page["total_pages"]), (1, &json!(2)));
    admin.get(&format!("{FILES}?per_page=101")).await.refused(422, "validation_failed");
    // Another name, the same files.
    let collection = admin.get("/api/v1/collections").await.expect(200).json()["items"][0].clone();
    admin.reshape(&collection, &json!({"name": "articles"})).await;
    assert_eq!(ids(admin.get(&format!("{FILES}?collection_name=articles")).await).1, json!(2));
    assert_eq!(ann.get(&path(&attached)).await.expect(200).json()["collection_name"], "articles");
}
