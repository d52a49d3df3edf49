//! How the log is kept: by whole segments, under keys that rotations do not touch, and through a flood.

use fastcms_core::audit::{self, Event};
use fastcms_core::{App, Caller};
use serde_json::json;

use crate::callers::Calls;
use crate::on_both_engines;
use crate::product::Product;

on_both_engines!(
    old_segments_go_as_a_whole_and_the_rest_still_verifies,
    a_rotated_signing_key_leaves_the_log_as_it_is,
    a_lost_key_opens_a_new_segment_that_says_so,
    a_flood_from_one_source_becomes_few_rows_and_a_count,
    filters_totals_and_counts_agree,
    ten_thousand_events_are_kept_and_verify,
);

async fn flushed(product: &Product) {
    for _ in 0..500 {
        audit::flush(&Caller::operator(), &product.app).await.unwrap();
        if audit::standing(&Caller::operator(), &product.app).await.unwrap().1 == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("rows wait to be linked for ten seconds");
}

async fn verified(app: &App) -> audit::Report {
    audit::verify(&Caller::operator(), app, &[], &mut |_| {}).await.unwrap()
}

fn note(app: &App, count: usize) {
    for number in 0..count {
        audit::note(&Caller::operator(), app, Event::FileDeleted.on("file", format!("f{number}")));
    }
}

async fn old_segments_go_as_a_whole_and_the_rest_still_verifies(product: &Product) {
    for _ in 0..3 {
        note(&product.app, 10);
        flushed(product).await;
        product.clock.advance_seconds(40 * 24 * 3600);
    }
    note(&product.app, 5);
    flushed(product).await;
    let gone = audit::cleanup(&Caller::operator(), &product.app, 60).await.unwrap();
    // The segment of the first day ended when that of the second began, 80 days ago.
    assert_eq!(gone, 10);
    flushed(product).await;
    let report = verified(&product.app).await;
    assert_eq!((report.finding.clone(), report.pruned, report.links), (None, 10, 26), "{report:?}");
    assert_eq!(audit::cleanup(&Caller::operator(), &product.app, 60).await.unwrap(), 0);
}

async fn a_rotated_signing_key_leaves_the_log_as_it_is(product: &Product) {
    note(&product.app, 10);
    flushed(product).await;
    let secret = crate::process::SECRET;
    let other = "another-secret-key-of-0123456789-abcdef-letters";
    let node = product.with(&[("SECRET_KEY", other), ("SECRET_KEY_PREVIOUS", secret)]).await;
    let report = verified(&node.app).await;
    assert_eq!((report.finding.clone(), report.links, report.unreadable), (None, 10, 0));
    node.close().await;
    // The key was wrapped anew before the port opened: the old one may go.
    let node = product.with(&[("SECRET_KEY", other)]).await;
    let report = verified(&node.app).await;
    assert_eq!((report.finding.clone(), report.links, report.unreadable), (None, 10, 0));
    node.close().await;
}

async fn a_lost_key_opens_a_new_segment_that_says_so(product: &Product) {
    note(&product.app, 10);
    flushed(product).await;
    let node = product.with(&[("SECRET_KEY", "another-secret-key-of-0123456789-abcdef-letters")]).await;
    note(&node.app, 5);
    flushed(&node).await;
    let report = verified(&node.app).await;
    assert_eq!((report.finding.clone(), report.unreadable, report.is_sound()), (None, 10, false), "{report:?}");
    assert_eq!(report.links, 6);
    let rows = audit::following(&Caller::operator(), &node.app, None).await.unwrap();
    let first = &rows[10].row;
    assert_eq!((&*first.event_type, &*first.event_action, &*first.severity), ("system", "create", "critical"));
    assert!(first.details.as_ref().unwrap().contains("cannot be opened"));
    node.close().await;
}

async fn a_flood_from_one_source_becomes_few_rows_and_a_count(product: &Product) {
    note(&product.app, 500);
    flushed(product).await;
    let rows = audit::following(&Caller::operator(), &product.app, None).await.unwrap();
    assert_eq!(rows.len(), audit::ONE_BY_ONE as usize + 1);
    assert!(
        rows.iter().any(|row| row
            .row
            .details
            .as_ref()
            .is_some_and(|details| details.contains("\"further_events\":440")))
    );
}

async fn filters_totals_and_counts_agree(product: &Product) {
    let admin = product.admin().await;
    let user = product.user("ada").await;
    for _ in 0..3 {
        let wrong = json!({"email": "ada@example.com", "password": "wrong"});
        product.guest().post("/api/v1/auth/login", &wrong).await.refused(401, "invalid_credentials");
    }
    admin.get("/api/v1/admin/users?per_page=1").await.expect(200);
    user.get("/api/v1/admin/users").await.refused(403, "forbidden");
    flushed(product).await;
    let page = admin.get("/api/v1/audit?event_action=login_failed&limit=2").await.expect(200).json();
    assert_eq!((page["total"].as_i64(), page["items"].as_array().unwrap().len()), (Some(3), 2));
    assert_eq!(page["items"][0]["user_id"], user.id);
    assert_eq!(page["items"][0]["ip_address"], "127.0.0.1");
    let failed = admin.get("/api/v1/audit/failed-logins?ip_address=127.0.0.1").await.expect(200).json();
    assert_eq!(failed.as_array().unwrap().len(), 3);
    let denied = admin.get("/api/v1/audit/security").await.expect(200).json();
    assert_eq!((&denied[0]["event_action"], &denied[0]["user_id"]), (&json!("access_denied"), &json!(user.id)));
    let of_ada = admin.get(&format!("/api/v1/audit/user/{}", user.id)).await.expect(200).json();
    assert!(of_ada.as_array().unwrap().len() >= 5, "{of_ada}");
    let counts = admin.get("/api/v1/audit/statistics").await.expect(200).json();
    let all = admin.get("/api/v1/audit?limit=1").await.expect(200).json();
    assert_eq!(counts["total"], all["total"]);
    let sum: i64 = counts["by_outcome"].as_object().unwrap().values().map(|count| count.as_i64().unwrap()).sum();
    assert_eq!(counts["total"], sum);
    for wrong in ["event_type=nope", "severity=high", "from_date=yesterday", "limit=1001"] {
        admin.get(&format!("/api/v1/audit?{wrong}")).await.refused(422, "validation_failed");
    }
    let later = admin.get("/api/v1/audit?from_date=2100-01-01").await.expect(200).json();
    assert_eq!(later["total"], 0);
    admin.delete("/api/v1/audit/cleanup?retention_days=6").await.refused(422, "validation_failed");
    user.get("/api/v1/audit").await.refused(403, "forbidden");
    product.guest().get("/api/v1/audit").await.refused(401, "authentication_required");
}

async fn ten_thousand_events_are_kept_and_verify(product: &Product) {
    const EVENTS: i64 = 10_000;
    let body = json!({"name": "posts", "type": "base", "schema": [{"name": "n", "type": "number"}]});
    fastcms_core::collections::create(&Caller::operator(), &product.app, body.as_object().unwrap()).await.unwrap();
    let began = std::time::Instant::now();
    let mut writers = Vec::new();
    for _ in 0..50 {
        let app = std::sync::Arc::clone(&product.app);
        writers.push(tokio::spawn(async move {
            let items: Vec<_> = (0..100).map(|n| json!({"n": n})).collect();
            let caller = Caller::operator();
            for _ in 0..2 {
                for item in &items {
                    let facts = fastcms_core::access::RequestFacts::internal();
                    let made = fastcms_core::records::create(&caller, &app, facts, "posts", item.as_object().unwrap());
                    made.await.unwrap();
                }
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let took = began.elapsed();
    flushed(product).await;
    println!("{EVENTS} audited creates in {took:?}, linked after {:?}", began.elapsed());
    let report = verified(&product.app).await;
    assert_eq!((report.finding.clone(), report.links, report.tail), (None, EVENTS + 1, 0));
}
