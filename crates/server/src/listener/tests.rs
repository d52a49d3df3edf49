//! The listener over real sockets, with the routes of the edge's tests behind it.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::oneshot,
    task::JoinHandle,
    time::Instant,
};

use super::*;
use crate::edge::{
    EdgeSettings,
    tests::{House, operations, settings},
};

struct Running {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
}

async fn start() -> Running {
    let listener = bind("127.0.0.1", 0).await.unwrap();
    let address = listener.local_addr().unwrap();
    let edge = Edge::new(House, operations(), EdgeSettings { loopback: true, ..settings() });
    let (stop, stopped) = oneshot::channel::<()>();
    let served = tokio::spawn(serve(listener, edge, async move { drop(stopped.await) }));
    Running { address, stop: Some(stop), served }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends raw bytes and reads until the server closes.
    async fn exchange(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_ref()).await.unwrap();
        to_end(&mut stream).await
    }
}

async fn to_end(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    stream.read_to_end(&mut text).await.unwrap();
    String::from_utf8(text).unwrap()
}

fn status(answer: &str) -> &str {
    answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).unwrap_or(answer)
}

/// The runtime's own backlog is 128: what came past it got in a second later, or three.
#[tokio::test]
async fn connections_that_come_at_once_wait_to_be_taken_and_are_not_sent_away() {
    let listener = bind("127.0.0.1", 0).await.unwrap();
    let address = listener.local_addr().unwrap();
    // Nobody takes any: what does not fit is tried for minutes.
    let coming = futures_util::future::join_all((0..300).map(|_| TcpStream::connect(address)));
    let came = tokio::time::timeout(Duration::from_secs(20), coming).await.expect("there is room for all");
    assert!(came.iter().all(Result::is_ok));
}

const HOST: &str = "Host: cms.example.com\r\nConnection: close\r\n";

#[tokio::test]
async fn requests_on_one_connection_are_answered_in_turn() {
    let server = start().await;
    let both = format!("GET /health HTTP/1.1\r\nHost: cms.example.com\r\n\r\nHEAD /nothing HTTP/1.1\r\n{HOST}\r\n");
    let answer = server.exchange(both).await;
    assert_eq!(status(&answer), "200");
    let second = answer.split("HTTP/1.1 404 Not Found").nth(1).unwrap();
    assert!(second.ends_with("\r\n\r\n"), "an answer to HEAD has no body: {second}");
    assert!(answer.contains("date: "));
}

#[tokio::test]
async fn heads_that_are_too_large_get_our_answer_even_past_the_ceilings_of_the_parser() {
    let server = start().await;
    let url = |length: usize| format!("GET /{} HTTP/1.1\r\n{HOST}\r\n", "x".repeat(length));
    let fields = |count: usize| {
        let fields = (0..count).map(|n| format!("x-{n}: v\r\n")).collect::<Vec<_>>().concat();
        format!("GET /health HTTP/1.1\r\n{HOST}{fields}\r\n")
    };
    let field = |length: usize| format!("GET /health HTTP/1.1\r\n{HOST}x-long: {}\r\n\r\n", "v".repeat(length));
    for (request, expected, code) in [
        (url(17_000), "414", "uri_too_long"),
        (url(60_000), "414", "uri_too_long"),
        (url(100_000), "414", "uri_too_long"),
        (fields(99), "431", "headers_too_large"),
        (fields(1_000), "431", "headers_too_large"),
        (field(33_000), "431", "headers_too_large"),
        (field(60_000), "431", "headers_too_large"),
        (field(400_000), "431", "headers_too_large"),
    ] {
        let answer = server.exchange(&request).await;
        assert_eq!(status(&answer), expected, "{} bytes", request.len());
        assert!(answer.contains(&format!("{{\"error\":\"{code}\"")), "{answer}");
        for header in
            ["x-content-type-options: nosniff", "content-security-policy: default-src 'none'", "x-request-id: "]
        {
            assert!(answer.contains(header), "{header} in {answer}");
        }
    }
}

/// Clients send head and body in two pieces. A refusal that is ready before the second must not cost the connection.
#[tokio::test]
async fn a_refusal_that_comes_before_the_body_leaves_the_connection_usable() {
    let server = start().await;
    let mut stream = server.connect().await;
    for _ in 0..20 {
        let head = "POST /nothing HTTP/1.1\r\nHost: cms.example.com\r\nContent-Length: 13\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        stream.write_all(b"{\"email\":\"a\"}").await.unwrap();
        let mut answer = vec![0; 4096];
        let length = stream.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        assert_eq!(status(&answer), "404");
        assert!(!answer.contains("connection: close"), "{answer}");
    }
}

/// What else was done to a body in chunks, somebody on the way may have undone.
#[tokio::test]
async fn only_chunked_itself_is_a_transfer_encoding() {
    let server = start().await;
    for (encoding, expected) in [
        ("chunked", "404"),
        ("Chunked", "404"),
        ("gzip, chunked", "400"),
        ("chunked, chunked", "400"),
        ("identity", "400"),
    ] {
        let request = format!("POST /nothing HTTP/1.1\r\n{HOST}Transfer-Encoding: {encoding}\r\n\r\n0\r\n\r\n");
        assert_eq!(status(&server.exchange(request).await), expected, "{encoding}");
    }
}

/// A body that does not come ends the connection, and the answer says so.
#[tokio::test]
async fn a_refusal_says_that_the_connection_is_over_when_the_body_does_not_come() {
    let server = start().await;
    let answer =
        server.exchange("POST /nothing HTTP/1.1\r\nHost: cms.example.com\r\nContent-Length: 13\r\n\r\n{").await;
    assert_eq!(status(&answer), "404");
    assert!(answer.contains("connection: close"), "{answer}");
}

#[tokio::test]
async fn an_announced_body_is_refused_at_once_and_the_connection_is_over() {
    let server = start().await;
    let mut stream = server.connect().await;
    let head = "POST /api/v1/login HTTP/1.1\r\nHost: cms.example.com\r\nContent-Type: application/json\r\nContent-Length: 200000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b' '; 65_536]).await.unwrap();
    let started = Instant::now();
    let answer = to_end(&mut stream).await;
    assert_eq!(status(&answer), "413");
    assert!(answer.contains("connection: close"));
    assert!(started.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn a_body_of_unknown_length_is_cut_where_it_is_too_large() {
    let server = start().await;
    let head = format!(
        "POST /api/v1/login HTTP/1.1\r\n{HOST}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let chunk = format!("400\r\n{}\r\n", " ".repeat(1024));
    let answer = server.exchange(format!("{head}{chunk}{chunk}")).await;
    assert_eq!(status(&answer), "413");
    let fine = server.exchange(format!("{head}d\r\n{{\"email\":\"a\"}}\r\n0\r\n\r\n")).await;
    assert_eq!(status(&fine), "200", "{fine}");
}

#[tokio::test]
async fn a_length_that_two_servers_would_read_differently_is_refused() {
    let server = start().await;
    let heads = [
        "Content-Length: 2\r\nContent-Length: 3\r\n",
        "Content-Length: 2, 3\r\n",
        "Content-Length: +2\r\n",
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Content-Length : 2\r\n",
        "X-Folded: a\r\n b\r\n",
        "X-Bare: a\rb\r\n",
        "X-Null: a\0b\r\n",
    ];
    for head in heads {
        let request = format!(
            "POST /api/v1/login HTTP/1.1\r\nHost: cms.example.com\r\nContent-Type: application/json\r\n{head}\r\n{{}}GET /smuggled HTTP/1.1\r\n\r\n"
        );
        let answer = server.exchange(request).await;
        assert_eq!(status(&answer), "400", "{head:?}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{head:?}: the connection is over");
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_has_10_seconds_and_an_idle_connection_75() {
    let server = start().await;
    for sent in ["", "GET /health HTT", "GET /health HTTP/1.1\r\nHost: cms.example.com\r\n"] {
        let mut stream = server.connect().await;
        let started = Instant::now();
        stream.write_all(sent.as_bytes()).await.unwrap();
        assert_eq!(to_end(&mut stream).await, "");
        assert_eq!(started.elapsed().as_secs(), 10, "{sent:?}");
    }
    let mut stream = server.connect().await;
    let started = Instant::now();
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: cms.example.com\r\n\r\n").await.unwrap();
    assert_eq!(status(&to_end(&mut stream).await), "200");
    assert_eq!(started.elapsed().as_secs(), 75);
}

#[tokio::test(start_paused = true)]
async fn a_head_in_drops_has_no_more_time_than_one_in_one_piece() {
    let server = start().await;
    let mut stream = server.connect().await;
    let started = Instant::now();
    let mut answer = [0; 1];
    loop {
        let dropped = stream.write_all(b"x").await.is_err();
        let read = tokio::time::timeout(Duration::from_secs(3), stream.read(&mut answer)).await;
        if dropped || read.is_ok() {
            break;
        }
    }
    assert!((9..=12).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_stop_lets_accepted_requests_finish_and_takes_no_more() {
    let mut server = start().await;
    let idle = server.connect().await;
    let mut busy = server.connect().await;
    let body = b"{\"email\":\"a\"}";
    let head = format!(
        "POST /api/v1/login HTTP/1.1\r\nHost: cms.example.com\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    busy.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.stop.take().unwrap().send(()).unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!server.served.is_finished(), "a request is under way");
    assert!(TcpStream::connect(server.address).await.is_err());
    busy.write_all(body).await.unwrap();
    let answer = to_end(&mut busy).await;
    assert_eq!(status(&answer), "200", "{answer}");
    tokio::time::timeout(Duration::from_secs(5), &mut server.served).await.unwrap().unwrap();
    drop(idle);
}

/// Slow reading: a byte now and then would hold an answer in memory for days.
#[tokio::test]
async fn a_client_that_reads_too_slowly_is_let_go() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (served, peer) = listener.accept().await.unwrap();
    let mut socket = Socket::new(served, Line::new(peer), Box::new(|_| None), Arc::new(Semaphore::new(1)));
    tokio::time::pause();
    let began = Instant::now();
    let writing = tokio::spawn(async move {
        loop {
            if let Err(error) = socket.write_all(&[0; 16 * 1024]).await {
                return error.kind();
            }
        }
    });
    let mut drop_by_drop = [0; 1024];
    while !writing.is_finished() && began.elapsed() < Duration::from_mins(10) {
        let _ = client.read(&mut drop_by_drop).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    assert_eq!(writing.await.unwrap(), io::ErrorKind::TimedOut);
    assert!(began.elapsed() >= Duration::from_secs(30));
}

/// Slow heads: each holds a buffer until its time is up, so the large ones share a room.
#[tokio::test]
async fn a_large_head_needs_a_place_and_a_small_one_none() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let places = Arc::new(Semaphore::new(1));
    let mut open = Vec::new();
    for (sent, outcome) in
        [(SMALL, Ok(SMALL)), (2 * SMALL, Ok(2 * SMALL)), (2 * SMALL, Err("busy")), (SMALL, Ok(SMALL))]
    {
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (served, peer) = listener.accept().await.unwrap();
        let refuse = |status: StatusCode| (status == StatusCode::SERVICE_UNAVAILABLE).then(|| Bytes::from("busy"));
        let mut socket = Socket::new(served, Line::new(peer), Box::new(refuse), Arc::clone(&places));
        client.write_all(&vec![b'x'; sent]).await.unwrap();
        let came = socket.read_exact(&mut vec![0; sent]).await;
        let mut answer = [0; 4];
        if let Ok(came) = came {
            assert_eq!(Ok(came), outcome);
        } else {
            client.read_exact(&mut answer).await.unwrap();
            assert_eq!(Err(std::str::from_utf8(&answer).unwrap()), outcome);
        }
        open.push((client, socket));
    }
    open.clear();
    assert_eq!(places.available_permits(), 1);
}

const SMALL: usize = 8 * 1024;

/// The system takes connections for us before we do; closing the listener under them would reset them, requests and all.
#[tokio::test]
async fn who_came_before_the_stop_is_answered() {
    let listener = bind("127.0.0.1", 0).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET /health HTTP/1.1\r\nHost: cms.example.com\r\n\r\n").await.unwrap();
        clients.push(client);
    }
    let edge = Edge::new(House, operations(), EdgeSettings { loopback: true, ..settings() });
    serve(listener, edge, std::future::ready(())).await;
    for mut client in clients {
        let answer = to_end(&mut client).await;
        assert_eq!(status(&answer), "200");
    }
    assert!(TcpStream::connect(address).await.is_err());
}
