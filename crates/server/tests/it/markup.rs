//! Markup of `editor` fields: what is kept is what was cleaned, and cleaning costs nobody but its sender.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::callers::{Calls, open};
use crate::on_both_engines;
use crate::process::Server;
use crate::product::Product;

on_both_engines!(
    what_is_left_of_markup_is_held_against_the_field,
    markup_that_is_too_much_is_told_to_those_who_may_write,
);

async fn what_is_left_of_markup_is_held_against_the_field(product: &Product) {
    let admin = product.admin().await;
    let fields = json!([
        {"name": "needed", "type": "editor", "validation": {"required": true, "min_length": 5}},
        {"name": "short", "type": "editor", "validation": {"max_length": 4}},
        {"name": "word", "type": "editor", "validation": {"pattern": "[a-z]*"}},
        {"name": "free", "type": "editor"},
    ]);
    admin.collection(&open("pages", &fields)).await;
    let guest = product.guest();
    let empty = "<script>alert(1)</script>";
    for (data, faults) in [
        (json!({"needed": empty}), json!({"needed": "This field is required"})),
        (json!({"needed": format!("{empty}abcd")}), json!({"needed": "Minimum length is 5"})),
        (json!({"needed": "abcde", "word": "<i></i>1"}), json!({"word": "Does not match required pattern"})),
        (json!({"needed": "abcde", "short": "a & b"}), json!({"short": "Maximum length is 4"})),
        (
            json!({"needed": empty, "short": "abcde"}),
            json!({"needed": "This field is required", "short": "Maximum length is 4"}),
        ),
    ] {
        let answer = guest.create("pages", &data).await.refused(422, "validation_failed").json();
        assert_eq!(answer["details"], faults, "{data}");
    }
    let sent =
        json!({"needed": "abcde", "free": empty, "short": format!("{empty}abcd"), "word": format!("{empty}abc")});
    let made = guest.make("pages", &sent).await;
    assert_eq!(made["data"], json!({"needed": "abcde", "free": Value::Null, "short": "abcd", "word": "abc"}));
    let answer = guest.change("pages", &made["id"], &json!({"needed": empty})).await.refused(422, "validation_failed");
    assert_eq!(answer.json()["details"], json!({"needed": "This field is required"}));
}

async fn markup_that_is_too_much_is_told_to_those_who_may_write(product: &Product) {
    let admin = product.admin().await;
    admin.collection(&open("pages", &json!([{"name": "e", "type": "editor"}, {"name": "n", "type": "number"}]))).await;
    let guest = product.guest();
    let adopted = (0..1000).map(|id| format!("<b id={id}>")).collect::<Vec<_>>().join("<p>") + &"</b>".repeat(1000);
    let nested = "Must not have more than 100 elements within each other";
    for (markup, fault) in [
        ("<div>".repeat(101), nested),
        ("<div>".repeat(60_000), nested),
        (adopted, nested),
        ("<br>".repeat(10_001), "Must not have more than 10000 elements"),
        ("&".repeat(300_000), "Must not have more than 20000 pieces of text, as many as there are `<` and `&`"),
    ] {
        let answer =
            guest.create("pages", &json!({"e": markup, "n": "x"})).await.refused(422, "validation_failed").json();
        assert_eq!(answer["details"], json!({"e": fault, "n": "Must be a number"}));
    }
    for markup in ["<div>".repeat(100) + &"</div>".repeat(100), "<p>word</p>".repeat(5_000), "word ".repeat(200_000)] {
        let made = guest.make("pages", &json!({"e": markup})).await;
        assert_eq!(made["data"]["e"], json!(markup));
    }

    let mut closed = open("closed", &json!([{"name": "e", "type": "editor"}, {"name": "owner", "type": "text"}]));
    closed["update_rule"] = json!("owner = @request.auth.id");
    closed["create_rule"] = json!("@collection.closed.owner ?= @request.auth.id");
    admin.collection(&closed).await;
    let made = admin.make("closed", &json!({"owner": "nobody"})).await;
    let deep = json!({"e": "<div>".repeat(60_000)});
    let mallory = product.user("mallory").await;
    guest.change("closed", &made["id"], &deep).await.refused(401, "authentication_required");
    guest.create("closed", &deep).await.refused(401, "authentication_required");
    mallory.change("closed", &made["id"], &deep).await.refused(403, "forbidden");
    mallory.create("closed", &deep).await.refused(403, "forbidden");
}

/// It took 2.6 s for 200 KB and 15 s for three of 300 KB at once, and nothing else was answered meanwhile.
#[test]
fn markup_of_strangers_keeps_nobody_waiting() {
    let mut server = Server::new(&[("RATE_LIMIT_ENABLED", "false")]);
    server.start();
    let admin = server.set_up();
    let definition = open("pages", &json!([{"name": "e", "type": "editor"}]));
    server.ask("POST", "/api/v1/collections").token(&admin).json(&definition).expect(201);
    let body = json!({"data": {"e": "<div>".repeat(60_000)}});
    // Somebody else may use this machine at the same time: of five rounds the calmest counts.
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let longest = std::thread::scope(|threads| {
            let ask = || {
                let asked = Instant::now();
                server.ask("POST", "/api/v1/collections/pages/records").json(&body).expect(422);
                asked.elapsed()
            };
            let senders: Vec<_> = (0..4).map(|_| threads.spawn(ask)).collect();
            let mut longest = Duration::ZERO;
            while senders.iter().any(|sender| !sender.is_finished()) {
                let asked = Instant::now();
                server.ask("GET", "/health").expect(200);
                longest = longest.max(asked.elapsed());
            }
            senders.into_iter().map(|sender| sender.join().unwrap()).fold(longest, Duration::max)
        });
        best = best.min(longest);
        if best < Duration::from_secs(1) {
            break;
        }
    }
    assert!(best < Duration::from_secs(1), "{best:?}");
}
