//! What is not taken, and that nothing of it stays.

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::Value;

use super::{Field, field, file, form, on_disk, png, posting, upload, uploaded};
use crate::callers::Calls;
use crate::product::{Answer, Product};

crate::on_both_engines!(
    d_25_the_content_decides,
    a_picture_must_be_one_within_its_limits,
    a_form_without_a_file_or_with_a_nameless_one_is_refused,
    sizes_are_limited_while_bytes_come,
    d_25_an_upload_too_large_is_refused_before_it_ends,
    an_upload_that_breaks_off_leaves_nothing,
    a_form_has_limits_of_its_own,
    a_broken_storage_is_503_and_leaves_nothing,
);

#[track_caller]
fn refused_for(answer: Answer, words: &str) {
    let details = answer.refused(422, "validation_failed").json()["details"].clone();
    let said = details["file"].as_str().unwrap_or_default();
    assert!(said.contains(words), "{details}");
}

async fn d_25_the_content_decides(product: &Product) {
    let admin = product.admin().await;
    let content = png(10, 10);
    let html = b"<html><script>alert(1)</script>";
    let exe = [&b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0"[..], &[0; 64]].concat();
    for (sent, words) in [
        (file("a.png", "image/png", html), "does not fit the content, which is text/html"),
        (file("a.html", "text/html", html), "Files of type text/html are not taken"),
        (file("a", "", html), "Files of type text/html are not taken"),
        (file("a.txt", "text/plain", b"a\0b"), "application/octet-stream"),
        (file("a.exe", "application/octet-stream", &exe), "are not taken"),
        (file("a.html", "image/png", &content), "extension does not fit"),
        (file("a.png", "text/plain", &content), "declared type does not fit"),
        (file("a.php", "image/png", &content), "extension does not fit"),
        (file("a.js", "text/plain", b"alert(1)"), "extension does not fit"),
    ] {
        refused_for(upload(&admin, &[sent]).await, words);
    }
    let polyglot = [&content[..], b"<script>alert(1)</script>"].concat();
    refused_for(upload(&admin, &[file("a.png", "image/png", &polyglot)]).await, "application/octet-stream");
    assert_eq!(on_disk(product), Vec::<String>::new());
    for sent in [
        file("a.png", "", &content),
        file("a.png", "application/octet-stream", &content),
        file("a", "image/png", &content),
        file("a.csv", "text/csv", b"a,b"),
        file("a.zip", "application/zip", b"PK\x03\x04\x14\0\0\0\0\0"),
        file("a.pdf", "application/pdf", b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"),
    ] {
        upload(&admin, &[sent]).await.expect(201);
    }
}

/// A PNG of one grey pixel after another that says it is this large: 2 500 MP of them pack into nothing.
fn bomb(width: u32, height: u32) -> Vec<u8> {
    fn crc(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0_u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
        })
    }
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |kind: &[u8; 4], data: &[u8]| {
        let all = [kind, data].concat();
        bytes.extend_from_slice(&u32::try_from(data.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(&all);
        bytes.extend_from_slice(&crc(&all).to_be_bytes());
    };
    chunk(b"IHDR", &[&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 0, 0, 0, 0]].concat());
    chunk(b"IDAT", b"\x78\x9c\x63\x60\x60\x60\x00\x00\x00\x04\x00\x01");
    chunk(b"IEND", b"");
    bytes
}

/// R141: the size is read before anything is decoded.
async fn a_picture_must_be_one_within_its_limits(product: &Product) {
    let admin = product.admin().await;
    let begun = std::time::Instant::now();
    for (width, height) in [(50_000, 50_000), (40_000, 1_001), (i32::MAX as u32, 1), (i32::MAX as u32, i32::MAX as u32)]
    {
        refused_for(upload(&admin, &[file("a.png", "image/png", &bomb(width, height))]).await, "image");
    }
    let mut gif = b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\x02\x4c\x01\0;".to_vec();
    refused_for(upload(&admin, &[file("a.gif", "image/gif", &gif)]).await, "too large");
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    gif.truncate(10);
    refused_for(upload(&admin, &[file("a.gif", "image/gif", &gif)]).await, "cannot be read");
    refused_for(upload(&admin, &[file("a.png", "image/png", &bomb(10, 10))]).await, "cannot be read");
    let cut = &png(50, 50)[..60];
    refused_for(upload(&admin, &[file("a.png", "image/png", cut)]).await, "cannot be read");
    refused_for(
        upload(&admin, &[file("a.jpg", "image/jpeg", b"\xff\xd8\xff\xe0 no picture \0")]).await,
        "cannot be read",
    );
    refused_for(
        upload(&admin, &[file("a.webp", "image/webp", b"RIFF\x10\0\0\0WEBPVP8 \0\0\0\0")]).await,
        "cannot be read",
    );
    assert_eq!(on_disk(product), Vec::<String>::new());
}

async fn a_form_without_a_file_or_with_a_nameless_one_is_refused(product: &Product) {
    let admin = product.admin().await;
    refused_for(upload(&admin, &[]).await, "This field is required");
    refused_for(upload(&admin, &[field("collection_name", "")]).await, "This field is required");
    refused_for(upload(&admin, &[field("file", "text")]).await, "A file name is required");
    refused_for(upload(&admin, &[file("", "text/plain", b"x")]).await, "A file name is required");
    refused_for(upload(&admin, &[file("a.txt", "", b"x"), file("b.txt", "", b"x")]).await, "Must be given once");
    let json = admin.post(super::FILES, &serde_json::json!({})).await;
    json.refused(415, "unsupported_media_type");
    let mut bare = posting(admin.token(), Body::from("x"));
    bare.headers_mut().insert("content-type", "multipart/form-data".parse().unwrap());
    product.send(bare).await.refused(400, "bad_request");
    let mut packed = posting(admin.token(), Body::from(form(&[file("a.txt", "", b"x")])));
    packed.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    product.send(packed).await.refused(415, "unsupported_media_type");
    for cut in [3, 10, 60, 100] {
        let whole = form(&[file("a.txt", "text/plain", b"x")]);
        let part = whole[..whole.len() - cut].to_vec();
        product.send(posting(admin.token(), Body::from(part))).await.refused(400, "bad_request");
    }
    assert_eq!(on_disk(product), Vec::<String>::new());
}

async fn sizes_are_limited_while_bytes_come(product: &Product) {
    let admin = product.admin().await;
    let small = product.with(&[("MAX_FILE_SIZE", "1000")]).await;
    let admin = crate::callers::Bearer { product: &small, token: admin.token.clone() };
    upload(&admin, &[file("a.txt", "text/plain", &[b'a'; 1000])]).await.expect(201);
    let answer = upload(&admin, &[file("a.txt", "text/plain", &[b'a'; 1001])]).await.refused(413, "payload_too_large");
    assert_eq!(answer.json()["details"]["limit_bytes"], 1000);
    assert_eq!(on_disk(product).len(), 1);
}

/// D-25: the size was checked after receipt. Here the body never ends, and says nothing of its length.
async fn d_25_an_upload_too_large_is_refused_before_it_ends(product: &Product) {
    let admin = product.admin().await;
    let head = form(&[file("a.txt", "text/plain", b"")]);
    let head = Bytes::from(head[..head.len() - 20].to_vec());
    let endless = stream::once(async move { Ok::<_, std::io::Error>(head) })
        .chain(stream::repeat_with(|| Ok(Bytes::from(vec![b'a'; 64 * 1024]))));
    let answer = product.send(posting(admin.token(), Body::from_stream(endless))).await;
    answer.refused(413, "payload_too_large");
    let mut announced = posting(admin.token(), Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>()));
    announced.headers_mut().insert("content-length", "11534336".parse().unwrap());
    product.send(announced).await.refused(413, "payload_too_large");
    assert_eq!(on_disk(product), Vec::<String>::new());
}

async fn an_upload_that_breaks_off_leaves_nothing(product: &Product) {
    let admin = product.admin().await;
    let whole = form(&[file("a.txt", "text/plain", &vec![b'a'; 500_000])]);
    let half = Bytes::from(whole[..300_000].to_vec());
    let broken = stream::iter([Ok(half.clone()), Err(std::io::Error::other("the client is gone"))]);
    product.send(posting(admin.token(), Body::from_stream(broken))).await.refused(400, "bad_request");
    assert_eq!(on_disk(product), Vec::<String>::new());
    // The request is dropped while its body is on the way, as when a connection ends.
    let waiting = stream::once(async move { Ok::<_, std::io::Error>(half) }).chain(stream::pending());
    let sending = product.send(posting(admin.token(), Body::from_stream(waiting)));
    assert!(tokio::time::timeout(std::time::Duration::from_millis(300), sending).await.is_err());
    // What was being written is taken away when it was.
    for _ in 0..100 {
        if on_disk(product).is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(on_disk(product), Vec::<String>::new());
    assert_eq!(admin.get(super::FILES).await.expect(200).json()["total"], 0);
}

async fn a_form_has_limits_of_its_own(product: &Product) {
    let admin = product.admin().await;
    let text = "x".repeat(64 * 1024);
    upload(&admin, &[field("collection_name", &text), file("a.txt", "", b"x")]).await.refused(422, "validation_failed");
    let text = "x".repeat(64 * 1024 + 1);
    upload(&admin, &[field("collection_name", &text), file("a.txt", "", b"x")]).await.refused(413, "payload_too_large");
    let name = "n".repeat(100_000);
    upload(&admin, &[file(&name, "", b"x")]).await.refused(413, "payload_too_large");
    let many: Vec<Field<'_>> = (0..60).map(|_| field("file", "")).collect();
    assert!(upload(&admin, &many).await.status.is_client_error());
    assert_eq!(on_disk(product), Vec::<String>::new());
}

/// A storage that cannot be written to: 503, and the rest of the product goes on.
async fn a_broken_storage_is_503_and_leaves_nothing(product: &Product) {
    let admin = product.admin().await;
    let kept = uploaded(&admin).await;
    let blocked = product.app.config.storage.local_path.join("blocked");
    std::fs::write(&blocked, b"not a folder").unwrap();
    let broken = product.with(&[("LOCAL_STORAGE_PATH", blocked.join("files").to_str().unwrap())]).await;
    let admin = crate::callers::Bearer { product: &broken, token: admin.token.clone() };
    upload(&admin, &[file("a.txt", "text/plain", b"x")]).await.refused(503, "unavailable");
    let ready: Value = admin.get("/health/ready").await.expect(200).json();
    assert_eq!(ready["checks"]["storage"], "failed", "{ready}");
    assert_eq!(admin.get(super::FILES).await.expect(200).json()["total"], 1, "no row without bytes");
    admin.get(&super::path(&kept)).await.expect(200);
    let answer = super::download(&admin, &kept).await;
    assert!(matches!(answer.status.as_u16(), 404 | 503), "{}", answer.status);
}
