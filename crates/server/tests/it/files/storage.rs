//! What the disk holds: nothing without a row once a sweep has gone by, and nothing under way is taken.

use bytes::Bytes;
use fastcms_core::access::RequestFacts;
use fastcms_core::files::{self, Sent};
use fastcms_core::{Caller, accounts};
use serde_json::json;

use super::{FILES, download, file, on_disk, png, upload, uploaded};
use crate::callers::Calls;
use crate::process::Server;
use crate::product::Product;

crate::on_both_engines!(
    a_sweep_takes_leftovers_and_nothing_else,
    the_folder_is_for_its_owner_alone,
    nothing_else_serves_the_storage
);

async fn a_sweep_takes_leftovers_and_nothing_else(product: &Product) {
    let admin = product.admin().await;
    let content = png(200, 200);
    let made = upload(&admin, &[file("a.png", "image/png", &content)]).await.expect(201).json();
    let all = on_disk(product);
    let root = &product.app.config.storage.local_path;
    // As a process leaves it that ended at the worst moments.
    for leftover in [
        "incoming/018f0000-0000-7000-8000-0000000000aa",
        "aa/018f0000-0000-7000-8000-0000000000aa",
        "aa/018f0000-0000-7000-8000-0000000000aa_100x100",
    ] {
        std::fs::create_dir_all(root.join(leftover).parent().unwrap()).unwrap();
        std::fs::write(root.join(leftover), b"half").unwrap();
    }
    let foreign = root.join("aa/notes.txt");
    std::fs::write(&foreign, b"not ours").unwrap();
    // Somebody is in the middle of an upload, here and on another node.
    let caller = accounts::authenticate(&product.app, &admin.token).await.unwrap();
    let other = product.with(&[]).await;
    let mut under_way = files::receive(&caller, &other.app).await.unwrap();
    under_way.write(Bytes::from(vec![b'a'; 200_000])).await.unwrap();

    assert_eq!(files::sweep(&Caller::background(), &product.app).await.unwrap(), 3);
    std::fs::remove_file(foreign).unwrap();
    let sent = Sent { file_name: Some("a.txt".to_owned()), ..Sent::default() };
    files::store(&caller, &other.app, RequestFacts::internal(), under_way, sent).await.unwrap();
    assert_eq!(files::sweep(&Caller::background(), &product.app).await.unwrap(), 0);
    assert_eq!(on_disk(product).len(), all.len() + 1);
    download(&admin, &made).await.expect(200);
    let guest = Caller::guest();
    assert!(files::sweep(&guest, &product.app).await.is_err(), "not for strangers");
}

#[cfg(unix)]
async fn the_folder_is_for_its_owner_alone(product: &Product) {
    use std::os::unix::fs::PermissionsExt;
    let admin = product.admin().await;
    uploaded(&admin).await;
    let root = &product.app.config.storage.local_path;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(root), 0o700);
    for path in on_disk(product) {
        assert_eq!(mode(&root.join(&path)), 0o600, "{path}");
        assert_eq!(mode(root.join(&path).parent().unwrap()), 0o700, "{path}");
    }
}

async fn nothing_else_serves_the_storage(product: &Product) {
    let admin = product.admin().await;
    let made = uploaded(&admin).await;
    let id = made["id"].as_str().unwrap();
    let stored = admin.get(&format!("{FILES}/{id}")).await.json()["storage_path"].as_str().unwrap().to_owned();
    for path in [
        format!("/{stored}"),
        format!("/data/files/{stored}"),
        format!("/files/{stored}"),
        format!("/static/{stored}"),
        format!("/uploads/{stored}"),
        format!("{FILES}/{stored}"),
        format!("{FILES}/{id}/download/..%2f..%2fapp.db"),
        format!("{FILES}/..%2f..%2f..%2fapp.db/download"),
        format!("{FILES}/{}/download", id.to_uppercase()),
    ] {
        let answer = admin.get(&path).await;
        assert_eq!(answer.status.as_u16(), 404, "{path}");
    }
}

/// The process ends in the middle of an upload: nothing of it is left once the next one has started.
#[test]
fn an_upload_that_a_kill_cuts_off_leaves_nothing() {
    use std::io::Write;
    let mut server = Server::new(&[("LOG_LEVEL", "INFO")]);
    server.start();
    let body = json!({"email": "root@example.com", "password": crate::process::PASSWORD, "password_confirm": crate::process::PASSWORD});
    let admin = server.call("POST", "/api/v1/setup", None, Some(&body)).json();
    let token = admin["token"]["access_token"].as_str().unwrap().to_owned();
    let folder = server.folder.path().join("data/files");
    let left = |part: &str| std::fs::read_dir(folder.join(part)).map_or(0, Iterator::count);

    let mut socket = std::net::TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    write!(
        socket,
        "POST {FILES} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\nContent-Length: 5000000\r\n\
         Content-Type: multipart/form-data; boundary=B\r\n\r\n--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n"
    )
    .unwrap();
    socket.write_all(&vec![b'a'; 1_000_000]).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while left("incoming") == 0 {
        assert!(std::time::Instant::now() < deadline, "the upload never began");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    server.kill();
    assert_eq!(left("incoming"), 1, "the kill left it there");
    server.start();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !server.log().contains("leftovers of uploads were removed") {
        assert!(std::time::Instant::now() < deadline, "it was never swept: {}", server.log());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(left("incoming"), 0, "what is said to be removed");
}
