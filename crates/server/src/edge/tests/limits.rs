//! Limits of contract 16 that are about one request: at the limit, and one past it.

use super::*;

#[tokio::test]
async fn a_url_may_have_16_kib() {
    let at = |length: usize| format!("/api/v1/page?sort={}", "x".repeat(length - "/api/v1/page?sort=".len()));
    assert_eq!(call("GET", &at(16_384)).await.status, 200);
    let past = call("GET", &at(16_385)).await;
    assert_eq!((past.status, past.code().as_str()), (414, "uri_too_long"));
}

#[tokio::test]
async fn a_header_section_may_have_32_kib_and_100_fields() {
    let with_fields = |more: usize| async move {
        let request = (0..more).fold(request("GET", "/health"), |request, n| request.header(format!("x-{n}"), "v"));
        send(request.body(Body::empty()).unwrap()).await
    };
    // Three fields come with every request of these tests.
    assert_eq!(with_fields(97).await.status, 200);
    let past = with_fields(98).await;
    assert_eq!((past.status, past.code().as_str()), (431, "headers_too_large"));

    let base: usize =
        request("GET", "/").headers_ref().unwrap().iter().map(|(n, v)| n.as_str().len() + v.len() + 4).sum();
    let room = 32_768 - base - "x-long".len() - 4;
    assert_eq!(call_with("GET", "/health", &[("x-long", &"v".repeat(room))]).await.status, 200);
    assert_eq!(call_with("GET", "/health", &[("x-long", &"v".repeat(room + 1))]).await.status, 431);
}

#[tokio::test]
async fn a_body_may_have_max_body_size() {
    let padded = |length: usize| format!("{:length$}", "{\"email\":\"a\"}");
    assert_eq!(send_json("/api/v1/login", padded(1000)).await.status, 200);
    let past = send_json("/api/v1/login", padded(1001)).await;
    assert_eq!((past.status, past.code().as_str()), (413, "payload_too_large"));
    assert_eq!(past.header("connection"), Some("close"));
}

#[tokio::test]
async fn an_announced_body_is_refused_unread() {
    let sent = request("POST", "/api/v1/login")
        .header("content-type", "application/json")
        .header("content-length", "200000000")
        .body(Body::from_stream(futures_util::stream::pending::<Result<Bytes, Infallible>>()))
        .unwrap();
    assert_eq!(send(sent).await.status, 413);
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_and_a_stalled_body_end_after_30_seconds() {
    let started = tokio::time::Instant::now();
    let slow = call("GET", "/api/v1/sleeps").await;
    assert_eq!((slow.status, slow.code().as_str()), (503, "timeout"));
    assert_eq!(started.elapsed().as_secs(), 30);

    let stalled = Body::from_stream(futures_util::stream::pending::<Result<Bytes, Infallible>>());
    let reply = send_json("/api/v1/login", stalled).await;
    assert_eq!((reply.status, reply.code().as_str()), (503, "timeout"));
}

/// A body in pieces of `size`, one every `pause` seconds.
fn pieces(size: usize, pause: u64, count: usize) -> Body {
    Body::from_stream(futures_util::stream::unfold(0, move |sent| async move {
        if sent == count {
            return None;
        }
        tokio::time::sleep(Duration::from_secs(pause)).await;
        Some((Ok::<_, Infallible>(Bytes::from(vec![b' '; size])), sent + 1))
    }))
}

async fn send_slowly(body: Body) -> (Reply, u64) {
    let started = Instant::now();
    let sent = request("POST", "/api/v1/login").header("content-type", "application/json");
    let roomy = EdgeSettings { max_body: 1_000_000, ..settings() };
    let reply = send_from(PROXY, roomy, sent.body(body).unwrap()).await;
    (reply, started.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_may_take_its_time_as_long_as_it_moves() {
    let (slow, seconds) = send_slowly(pieces(1024, 25, 10)).await;
    assert_eq!((slow.status, seconds), (422, 250), "read to its end, and then no JSON");
    let (dripping, seconds) = send_slowly(pieces(1, 1, 1_000_000)).await;
    assert_eq!((dripping.status, seconds), (503, 30), "a byte now and then is no sign of life");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_nobody_wants_is_read_off_or_the_connection_is_over() {
    let edge = Edge::new(House, operations(), settings());
    let connection = Connection::new(PROXY.parse().unwrap());
    let small = || Body::from("{\"email\":\"a\"}");
    let stalled = || Body::from_stream(futures_util::stream::pending::<Result<Bytes, Infallible>>());
    for (path, kind, body, expect, over) in [
        ("/api/v1/login", "text/plain", small(), None, false),
        ("/nothing", "application/json", small(), None, false),
        ("/api/v1/login", "application/json", small(), None, false),
        ("/nothing", "application/json", pieces(1024, 0, 60), None, false),
        ("/nothing", "application/json", pieces(1024, 0, 70), None, true),
        ("/nothing", "application/json", Body::from(vec![b' '; 70_000]), None, true),
        ("/nothing", "application/json", stalled(), None, true),
        ("/nothing", "application/json", small(), Some("100-continue"), true),
    ] {
        let mut sent = request("POST", path).header("content-type", kind);
        if let Some(expect) = expect {
            sent = sent.header("expect", expect);
        }
        let started = Instant::now();
        let answer = edge.answer(&connection, sent.body(body).unwrap()).await;
        assert_eq!(connection.unread.load(Ordering::Relaxed), over, "{path} {kind} {expect:?}");
        assert_eq!(answer.headers().get("connection").is_some(), over, "{path} {kind} {expect:?}");
        assert!(started.elapsed() < Duration::from_secs(1));
    }
}

/// A body read into memory takes a place in a room that all share, and gives it back once it was answered.
#[tokio::test(start_paused = true)]
async fn bodies_in_memory_share_a_room() {
    let roomy = EdgeSettings { max_body: 200 * 1024 * 1024, ..settings() };
    let edge = Edge::new(House, operations(), roomy);
    let send = |body: Body| {
        let edge = edge.clone();
        let sent = request("POST", "/api/v1/login").header("content-type", "application/json").body(body).unwrap();
        async move { edge.answer(&Connection::new(PROXY.parse().unwrap()), sent).await.status().as_u16() }
    };
    // Two of 70 MiB that do not end hold twice that each: a third finds no room.
    let endless = || {
        let begun =
            futures_util::stream::iter((0..70).map(|_| Ok::<_, Infallible>(Bytes::from(vec![b' '; 1024 * 1024]))));
        Body::from_stream(futures_util::StreamExt::chain(begun, futures_util::stream::pending()))
    };
    let held = [tokio::spawn(send(endless())), tokio::spawn(send(endless()))];
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(send(pieces(1024 * 1024, 0, 20)).await, 503);
    assert_eq!(send(Body::from("{\"email\":\"a\"}")).await, 200, "small ones need no place");
    for held in held {
        assert_eq!(held.await.unwrap(), 503, "their time is up");
    }
    assert_eq!(send(pieces(1024 * 1024, 0, 20)).await, 422, "there is room again");
}

/// Chunks of a byte: each would keep the buffer that it was read into.
#[tokio::test]
async fn a_body_in_small_pieces_is_read_like_any_other() {
    let text = b"{\"email\":\"a\"}";
    let bytes =
        futures_util::stream::iter(text.iter().map(|byte| Ok::<_, Infallible>(Bytes::copy_from_slice(&[*byte]))));
    assert_eq!(send_json("/api/v1/login", Body::from_stream(bytes)).await.status, 200);
}

/// The more is held of a body, the faster it must come.
#[tokio::test(start_paused = true)]
async fn a_large_body_may_not_drip() {
    let begun = futures_util::stream::iter([Ok::<_, Infallible>(Bytes::from(vec![b' '; 512 * 1024]))]);
    let drip = futures_util::stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        Some((Ok(Bytes::from(vec![b' '; 1024])), ()))
    });
    let (reply, seconds) = send_slowly(Body::from_stream(futures_util::StreamExt::chain(begun, drip))).await;
    assert_eq!((reply.status, seconds), (503, 30));
}
