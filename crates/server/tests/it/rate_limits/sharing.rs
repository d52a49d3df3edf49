//! One limit for several nodes: through PostgreSQL, through Redis, and by oneself where those fail.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http::Method;

use super::ROOT;
use crate::callers::{Calls, request};
use crate::engine::{Engine, run};
use crate::external::External;
use crate::product::Product;

async fn nodes(product: &Product, settings: &[(&str, &str)]) -> (Product, Product) {
    (super::limited(product, settings).await, super::limited(product, settings).await)
}

/// How many of so many requests at once, at one node and the other in turn, are admitted.
async fn admitted(nodes: &(Product, Product), count: usize) -> usize {
    let calls = (0..count).map(|n| {
        let node = if n % 2 == 0 { &nodes.0 } else { &nodes.1 };
        node.send(request(None, Method::GET, ROOT, None))
    });
    join_all(calls).await.iter().filter(|answer| answer.status == 200).count()
}

async fn backend(node: &Product, token: &str) -> (String, bool) {
    let answer = node.send(request(Some(token), Method::GET, "/api/v1/admin/limits", None)).await.expect(200).json();
    (answer["backend"]["name"].as_str().unwrap().to_owned(), answer["backend"]["degraded"].as_bool().unwrap())
}

/// D-21: two workers passed 119 of 150 at 60 a minute.
async fn sixty_of_a_hundred_and_fifty_pass(product: &Product, settings: &[(&str, &str)], name: &str) {
    let token = product.admin().await.token;
    let mut all = vec![("RATE_LIMIT_PER_MINUTE", "60")];
    all.extend_from_slice(settings);
    let both = nodes(product, &all).await;
    assert_eq!(admitted(&both, 150).await, 60);
    assert_eq!(backend(&both.0, &token).await, (name.to_owned(), false));
    // Who waits as long as told is admitted, at whichever node.
    let refused = both.0.guest().get(ROOT).await.refused(429, "rate_limited");
    let seconds: i64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=66).contains(&seconds), "{seconds}");
    product.clock.advance_seconds(seconds);
    both.1.guest().get(ROOT).await.expect(200);
    // And never more than sixty in any minute, however they are spread.
    product.clock.advance_seconds(3_600);
    let mut times: Vec<i64> = Vec::new();
    for _ in 0..40 {
        product.clock.advance_millis(3_100);
        let now = product.app.now_millis();
        let more = admitted(&both, 8).await;
        times.extend(std::iter::repeat_n(now, more));
        let within = times.iter().filter(|at| now - **at < 60_000).count();
        assert!(within <= 60, "{within} within a minute");
    }
    assert!(times.len() > 60, "the window slides");
    both.0.close().await;
    both.1.close().await;
}

#[test]
fn two_nodes_on_postgresql_admit_sixty_of_a_hundred_and_fifty() {
    run(Engine::Postgres, |product| Box::pin(sixty_of_a_hundred_and_fifty_pass(product, &[], "postgresql")));
}

#[test]
fn two_nodes_with_redis_admit_sixty_of_a_hundred_and_fifty() {
    let redis = External::redis();
    let url = format!("redis://127.0.0.1:{}/0", redis.port);
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let url = url.clone();
        run(engine, |product| {
            Box::pin(async move {
                flush(&url).await;
                let settings = [("REDIS_ENABLED", "true"), ("REDIS_URL", url.as_str())];
                sixty_of_a_hundred_and_fifty_pass(product, &settings, "redis").await;
            })
        });
    }
}

/// What one engine's run left behind is not the other's.
async fn flush(url: &str) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let address = url.trim_start_matches("redis://").trim_end_matches("/0");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(b"FLUSHALL\r\n").await.unwrap();
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"+OK\r\n");
}

/// D-63, R108: where the shared store fails each node keeps to the limit by itself, nobody waits for it, and admins see it.
#[test]
fn without_its_redis_a_node_limits_by_itself_and_says_so() {
    run(Engine::Sqlite, |product| {
        Box::pin(async move {
            let token = product.admin().await.token;
            let mut redis = External::redis();
            let url = format!("redis://127.0.0.1:{}/0", redis.port);
            let settings = [("REDIS_ENABLED", "true"), ("REDIS_URL", url.as_str()), ("RATE_LIMIT_PER_MINUTE", "10")];
            let node = super::limited(product, &settings).await;
            node.guest().get(ROOT).await.expect(200);
            assert_eq!(backend(&node, &token).await, ("redis".to_owned(), false));
            redis.kill();
            // The lease of the first request has ended: the next would have to ask.
            node.clock.advance_seconds(10);
            let mut codes = Vec::new();
            for _ in 0..15 {
                codes.push(node.guest().get(ROOT).await.status.as_u16());
            }
            assert_eq!(codes.iter().filter(|code| **code == 200).count(), 9, "{codes:?}");
            assert_eq!(backend(&node, &token).await, ("redis".to_owned(), true));
            let started = Instant::now();
            for n in 0..50 {
                let peer = format!("203.0.113.{n}:1").parse().unwrap();
                node.send_from(peer, request(None, Method::GET, ROOT, None)).await.expect(200);
            }
            assert!(started.elapsed() < Duration::from_secs(2), "{:?}: somebody waited", started.elapsed());
            node.close().await;
        })
    });
}

#[test]
fn without_any_redis_the_product_starts_serves_and_says_so() {
    run(Engine::Sqlite, |product| {
        Box::pin(async move {
            let token = product.admin().await.token;
            let url = format!("redis://127.0.0.1:{}/0", crate::process::free_port());
            let settings = [("REDIS_ENABLED", "true"), ("REDIS_URL", url.as_str()), ("RATE_LIMIT_PER_MINUTE", "3")];
            let node = super::limited(product, &settings).await;
            let mut codes = Vec::new();
            for _ in 0..5 {
                codes.push(node.guest().get(ROOT).await.status.as_u16());
            }
            assert_eq!(codes, [200, 200, 200, 429, 429]);
            assert_eq!(backend(&node, &token).await, ("redis".to_owned(), true));
            node.close().await;
        })
    });
}
