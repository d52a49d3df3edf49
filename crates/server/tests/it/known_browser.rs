//! R43 as it is on a network: who locks an account from one address locks out strangers, and its owner nowhere.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::process::{PASSWORD, Server};

/// One sign-in from this address of the loopback network: its status, and the browser cookie that it sets.
async fn sign_in(server: &Server, from: &str, password: &str, cookie: Option<&str>) -> (u16, Option<String>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    let mut stream = socket.connect(format!("127.0.0.1:{}", server.port).parse().unwrap()).await.unwrap();
    let body: Value = json!({"email": "root@example.com", "password": password});
    let body = body.to_string();
    let cookie = cookie.map(|value| format!("Cookie: fastcms_device={value}\r\n")).unwrap_or_default();
    let request = format!(
        "POST /api/v1/auth/login HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n{cookie}\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        server.port,
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let set = answer.lines().find_map(|line| line.split_once("fastcms_device="));
    (status, set.map(|(_, value)| value.split(';').next().unwrap().to_owned()))
}

#[test]
fn an_attacker_locks_strangers_out_and_never_a_known_browser() {
    let mut server = Server::new(&[]);
    server.start();
    server.set_up();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let known = runtime.block_on(async {
        let (attacker, owner, stranger) = ("127.0.0.2", "127.0.0.3", "127.0.0.4");
        let (status, known) = sign_in(&server, owner, PASSWORD, None).await;
        let known = known.expect("a sign-in gives the browser a cookie");
        assert_eq!(status, 200);
        for _ in 0..6 {
            assert_eq!(sign_in(&server, attacker, "Wrong-Horse1-battery", None).await, (401, None));
        }
        assert_eq!(sign_in(&server, attacker, PASSWORD, None).await.0, 401);
        assert_eq!(sign_in(&server, stranger, PASSWORD, None).await.0, 401);
        assert_eq!(sign_in(&server, stranger, PASSWORD, Some("made-up")).await.0, 401);
        assert_eq!(sign_in(&server, owner, PASSWORD, Some(&known)).await.0, 200);
        known
    });
    // The lock outlives the process; so does the browser.
    server.kill();
    server.start();
    runtime.block_on(async {
        assert_eq!(sign_in(&server, "127.0.0.4", PASSWORD, None).await.0, 401);
        assert_eq!(sign_in(&server, "127.0.0.3", PASSWORD, Some(&known)).await.0, 200);
    });
    let unlocked = server.run(&["users", "unlock", "root@example.com"], "");
    assert!(unlocked.status.success(), "{unlocked:?}");
    runtime.block_on(async {
        assert_eq!(sign_in(&server, "127.0.0.4", PASSWORD, None).await.0, 200);
    });
    let nobody = server.run(&["users", "unlock", "nobody@example.com"], "");
    assert_eq!(nobody.status.code(), Some(1));
}
