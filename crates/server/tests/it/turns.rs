//! Searches that take long: they take the turns of whoever asks for them, not those of others.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http::Method;
use serde_json::json;

use crate::callers::{Calls, open, records, request, with_query};
use crate::on_both_engines;
use crate::product::{Answer, Product};

on_both_engines!(slow_searches_of_guests_keep_nobody_else_from_searching, a_page_has_no_more_bytes_than_it_may_have);

const SLOW: usize = 6;

async fn as_guest(product: &Product, last: u8, path: &str) -> (Answer, Duration) {
    let asked = Instant::now();
    let peer = SocketAddr::from(([203, 0, 113, last], 50_000));
    let answer = product.send_from(peer, request(None, Method::GET, path, None)).await;
    (answer, asked.elapsed())
}

/// A guest who comes back when told to: on a busy machine the turn before may last longer than a guest waits.
async fn patient_guest(product: &Product, path: &str) -> (Answer, Duration) {
    let mut asked = as_guest(product, 7, path).await;
    for _ in 0..5 {
        if asked.0.status != 503 {
            break;
        }
        assert!(asked.0.header("retry-after").is_some(), "{:?}", asked.0);
        tokio::time::sleep(Duration::from_secs(1)).await;
        asked = as_guest(product, 7, path).await;
    }
    asked
}

/// Six of them, well under the rate limit, had everybody else's filtered lists answered 503 after ten seconds.
async fn slow_searches_of_guests_keep_nobody_else_from_searching(product: &Product) {
    let admin = product.admin().await;
    admin.collection(&open("large", &json!([{"name": "t", "type": "text"}]))).await;
    admin.collection(&open("small", &json!([{"name": "n", "type": "number"}]))).await;
    let user = product.user("ann").await;
    user.make("small", &json!({"n": 5})).await;
    let batch = json!({"records": vec![json!({"t": "z".repeat(5_000)}); 100]});
    for _ in 0..24 {
        user.post(&format!("{}/batch", records("large")), &batch).await.expect(201);
    }
    let conditions: Vec<String> = (0..100).map(|n| format!("t ~ 'zz{n}'")).collect();
    let slow = with_query(&records("large"), &[("filter", &conditions.join(" || "))]);
    let quick = with_query(&records("small"), &[("filter", "n = 5")]);

    let attack = futures_util::future::join_all((0..SLOW).map(|_| as_guest(product, 66, &slow)));
    let others = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let mut found = Vec::new();
        for _ in 0..3 {
            let asked = Instant::now();
            found.push((user.get(&quick).await, asked.elapsed()));
            found.push(patient_guest(product, &quick).await);
            let asked = Instant::now();
            found.push((user.get(&records("small")).await, asked.elapsed()));
        }
        found
    };
    let (attacked, others) = tokio::join!(attack, others);
    for (answer, took) in others {
        let answer = answer.expect(200).json();
        assert_eq!(answer["items"][0]["data"]["n"], json!(5), "{answer}");
        assert!(took < Duration::from_secs(9), "{took:?}");
    }
    assert!(
        attacked.iter().all(|(answer, took)| answer.status == 503 && *took < Duration::from_secs(15)),
        "{attacked:?}"
    );
    let mut codes: Vec<(String, bool)> =
        attacked.iter().map(|(answer, _)| (answer.code(), answer.header("retry-after").is_some())).collect();
    codes.sort();
    codes.dedup();
    assert_eq!(codes, [("overloaded".to_owned(), true), ("timeout".to_owned(), false)], "one had a turn, others none");
    admin.get(&quick).await.expect(200);
}

/// A hundred records of a megabyte stood in memory for everybody who asked for them and did not read.
async fn a_page_has_no_more_bytes_than_it_may_have(product: &Product) {
    let admin = product.admin().await;
    let up = json!({"collection": "large", "type": "many-to-one"});
    let fields = json!([{"name": "t", "type": "text"}, {"name": "up", "type": "relation", "relation": up}]);
    admin.collection(&open("large", &fields)).await;
    let guest = product.guest();
    let text = "z".repeat(1_000_000);
    for _ in 0..17 {
        guest.make("large", &json!({"t": text})).await;
    }
    for more in [("skipTotal", "true"), ("sort", "created"), ("expand", "up")] {
        let refused = guest.list("large", &[("per_page", "100"), more]).await.refused(422, "validation_failed").json();
        assert_eq!(
            refused["details"],
            json!({"per_page": "The records of this page have more than 16 MiB: ask for fewer, or name `fields`"})
        );
        let page = guest.list("large", &[("per_page", "16"), more]).await.expect(200).json();
        assert_eq!(page["items"].as_array().unwrap().len(), 16);
    }
    let ids = guest.list("large", &[("per_page", "100"), ("fields", "id")]).await.expect(200).json();
    assert_eq!(ids["total"], json!(17));
}
