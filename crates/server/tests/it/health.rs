//! What admins are told of the server and the machine under it, and what is counted while requests are answered (contract 5.1, 9.8).

use serde_json::{Value, json};

use crate::callers::Calls;
use crate::on_both_engines;
use crate::product::{Product, text};

on_both_engines!(
    details_are_for_those_who_may_read_metrics,
    a_database_that_is_away_is_said_with_the_rest,
    every_answer_is_counted_by_method_and_status,
    prometheus_is_told_the_same_in_its_format,
);

const DETAILED: &str = "/health/detailed";
const METRICS: &str = "/api/v1/admin/metrics";

async fn details_are_for_those_who_may_read_metrics(product: &Product) {
    let admin = product.admin().await;
    product.guest().get(DETAILED).await.refused(401, "authentication_required");
    product.user("user").await.get(DETAILED).await.refused(403, "forbidden");
    let answer = admin.get(DETAILED).await.expect(200).json();
    assert_eq!(answer["status"], "healthy");
    assert_eq!(answer["readonly"], json!({"enabled": false, "reason": null}));
    assert_eq!(answer["database"]["status"], "connected");
    assert!(["sqlite", "postgresql"].contains(&text(&answer["database"]["type"]).as_str()));
    assert_eq!(answer["storage"]["type"], "local");
    assert!(answer["storage"]["data_dir_size_mb"].as_f64().unwrap() >= 0.0);
    for share in ["memory_percent", "disk_percent"] {
        let share = answer["system"][share].as_f64().unwrap();
        assert!((0.0..=100.0).contains(&share), "{answer}");
    }
    assert!(answer["service"]["version"].is_string() && answer["timestamp"].is_string());
}

async fn a_database_that_is_away_is_said_with_the_rest(product: &Product) {
    let admin = product.admin().await;
    admin.get(DETAILED).await.expect(200);
    product.app.store.close().await;
    let answer = admin.get(DETAILED).await.expect(503).json();
    assert_eq!((&answer["status"], &answer["database"]["status"]), (&json!("unhealthy"), &json!("disconnected")));
    assert!(answer["system"].is_object() && answer["storage"].is_object());
}

fn counted(figures: &Value, method: &str, status: u16) -> u64 {
    let all = figures["requests"].as_array().unwrap();
    let of = all.iter().find(|one| one["method"] == method && one["status"] == status);
    of.map_or(0, |one| one["count"].as_u64().unwrap())
}

async fn every_answer_is_counted_by_method_and_status(product: &Product) {
    let admin = product.admin().await;
    let before = admin.get(METRICS).await.expect(200).json();
    product.guest().get("/health").await.expect(200);
    product.guest().get("/nowhere").await.expect(404);
    product.guest().call("PROPFIND".parse().unwrap(), "/health", None).await.expect(405);
    let after = admin.get(METRICS).await.expect(200).json();
    let more = |method, status| counted(&after, method, status) - counted(&before, method, status);
    // The first look at the figures counts as well.
    assert_eq!((more("GET", 200), more("GET", 404), more("OTHER", 405)), (2, 1, 1));
    let durations = after["durations_ms"].as_array().unwrap().iter().find(|one| one["method"] == "OTHER").unwrap();
    assert_eq!((&durations["count"], &durations["le"]["30000"]), (&json!(1), &json!(1)));
    assert_eq!((&after["request_log_lost"], &after["limits_degraded"]), (&json!(0), &json!(false)));
    product.user("user").await.get(METRICS).await.refused(403, "forbidden");
}

async fn prometheus_is_told_the_same_in_its_format(product: &Product) {
    let admin = product.admin().await;
    product.guest().get("/nowhere").await.expect(404);
    let answer = admin.get(&format!("{METRICS}/prometheus")).await.expect(200);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4"));
    let page = String::from_utf8(answer.bytes).unwrap();
    for line in [
        "# TYPE fastcms_http_request_duration_ms histogram",
        "fastcms_http_requests_total{method=\"GET\",status=\"404\"} 1",
        "fastcms_http_errors_total{method=\"GET\",status=\"404\"} 1",
        "fastcms_uptime_seconds 0",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\n{page}");
    }
}
