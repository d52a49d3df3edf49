//! The request log from outside: what stands in it, who may look, and what it never holds.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fastcms_core::request_log::{self, Answered};
use fastcms_core::{Caller, Error};
use http::Method;
use serde_json::{Value, json};

use crate::callers::{Bearer, Calls, request};
use crate::on_both_engines;
use crate::process::{PASSWORD, Server};
use crate::product::{Product, text};

const LOGS: &str = "/api/v1/logs";
const ME: &str = "/api/v1/auth/me";
const DAY: i64 = 24 * 3600;

on_both_engines!(
    a_value_of_a_query_is_in_no_row_and_no_line,
    a_row_says_who_asked_what_and_from_where,
    health_and_pages_are_not_logged_and_refusals_are,
    rows_are_found_by_method_status_account_and_age,
    pages_come_newest_first_and_do_not_overlap,
    statistics_count_requests_and_errors,
    old_rows_go_and_young_ones_stay,
    only_admins_look_and_clean,
    parameters_have_limits,
    a_flood_is_counted_and_never_waited_for,
);

/// All rows, newest first, once everything noted is written. Asking is a row too, of the next time.
async fn rows(product: &Product, admin: &impl Calls, parameters: &str) -> Vec<Value> {
    request_log::flush(&Caller::operator(), &product.app).await;
    let page = admin.get(&format!("{LOGS}?{parameters}")).await.expect(200).json();
    page["items"].as_array().unwrap().clone()
}

async fn sign_in(product: &Product) -> Bearer<'_> {
    let body = json!({"email": "root@example.com", "password": PASSWORD});
    let answer = product.guest().post("/api/v1/auth/login", &body).await;
    let token = text(&answer.expect(200).json()["token"]["access_token"]);
    Bearer { product, token }
}

/// The lines of the process's log, kept.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// D-43: tokens and filter values, encoded or not, refused or served.
async fn a_value_of_a_query_is_in_no_row_and_no_line(product: &Product) {
    let admin = product.admin().await;
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    let listening = tracing::subscriber::set_default(subscriber);
    for path in [
        format!("{ME}?token=m4rker"),
        format!("{ME}?unknown=m4rker&other=m4rker"),
        format!("{ME}?m4rker"),
        format!("{ME}?m4rker=="),
        format!("{ME}?x%3Dm4rker=1"),
        format!("{LOGS}?user_id=m4rker&limit=1"),
        format!("{LOGS}/?user_id=m4rker"),
        "/nothing?filter=secret%3D'm4rker'".to_owned(),
        "/api/v1/collections/posts/records?filter=secret='m4rker'".to_owned(),
    ] {
        admin.get(&path).await;
        product.guest().get(&path).await;
    }
    let items = rows(product, &admin, "limit=1000").await;
    drop(listening);
    assert!(items.len() >= 18, "{items:?}");
    let written = Value::from(items).to_string();
    assert!(!written.contains("m4rker"), "{written}");
    assert!(written.contains("/api/v1/auth/me?token=[redacted]"));
    assert!(written.contains("/api/v1/logs?user_id=[redacted]&limit=[redacted]"));
    let said = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(said.contains("GET /api/v1/auth/me?[redacted] 400"), "{said}");
    assert!(!said.contains("m4rker"), "{said}");
}

async fn a_row_says_who_asked_what_and_from_where(product: &Product) {
    let admin = product.admin().await;
    let user = product.user("carol").await;
    let peer = SocketAddr::from(([203, 0, 113, 7], 4711));
    let of_user = request(Some(&user.token), Method::GET, ME, None);
    product.send_from(peer, of_user).await.expect(200);
    let mut of_nobody = request(Some("junk"), Method::GET, ME, None);
    let claimed = http::HeaderValue::from_static("198.51.100.9");
    of_nobody.headers_mut().insert("x-forwarded-for", claimed);
    product.send_from(peer, of_nobody).await.expect(401);

    let items = rows(product, &admin, "limit=2").await;
    let (refused, served) = (&items[0], &items[1]);
    assert_eq!(served["user_id"], json!(user.id));
    assert_eq!(refused["user_id"], Value::Null);
    for (row, status) in [(served, 200), (refused, 401)] {
        assert_eq!(row["method"], "GET");
        assert_eq!(row["url"], ME);
        assert_eq!(row["status"], status);
        assert_eq!(row["ip_address"], "203.0.113.7");
        assert!(row["duration_ms"].as_f64().unwrap() >= 0.0);
        assert_eq!(text(&row["id"]).len(), 36);
        // 1 780 000 000 s, when every test begins, less what it took to be written.
        let created = text(&row["created"]);
        assert!(created.starts_with("2026-05-28T20:2") && created.ends_with('Z'), "{created}");
    }
}

async fn health_and_pages_are_not_logged_and_refusals_are(product: &Product) {
    let admin = product.admin().await;
    for path in ["/health", "/health/live", "/health/ready", "/api/v1/health", "/health/x", "/"] {
        product.guest().get(path).await;
    }
    for path in ["/healthy", "/admin/nothing", "/.env"] {
        product.guest().get(path).await.expect(404);
    }
    let items = rows(product, &admin, "").await;
    let urls: Vec<_> = items.iter().map(|row| text(&row["url"])).collect();
    assert_eq!(urls, ["/.env", "/admin/nothing", "/healthy", "/api/v1/setup"]);
}

async fn rows_are_found_by_method_status_account_and_age(product: &Product) {
    let admin = product.admin().await;
    let user = product.user("carol").await;
    user.get(ME).await.expect(200);
    user.patch(ME, &json!({"name": "C"})).await.expect(200);
    user.get("/api/v1/nothing").await.expect(404);
    product.guest().get(ME).await.expect(401);
    assert_eq!(rows(product, &admin, "").await.len(), 6);
    let by_user = format!("user_id={}", user.id);
    for (parameters, count) in [
        ("method=PATCH", 1),
        ("method=patch", 1),
        ("method=PUT", 0),
        ("status=401", 1),
        ("status=404&method=GET", 1),
        ("status=404&method=PATCH", 0),
        (by_user.as_str(), 3),
        (&format!("{by_user}&status=200"), 2),
        ("user_id=01912345-0000-7000-8000-000000000001", 0),
        ("user_id=%27OR%271%27=%271", 0),
    ] {
        let found = rows(product, &admin, parameters).await;
        assert_eq!(found.len(), count, "{parameters}: {found:?}");
    }
    product.clock.advance_seconds(8 * DAY + 60);
    let admin = sign_in(product).await;
    assert_eq!(rows(product, &admin, &by_user).await.len(), 0);
    assert_eq!(rows(product, &admin, &format!("{by_user}&days=8")).await.len(), 0);
    assert_eq!(rows(product, &admin, &format!("{by_user}&days=9")).await.len(), 3);
}

async fn pages_come_newest_first_and_do_not_overlap(product: &Product) {
    let admin = product.admin().await;
    for number in 0..250 {
        product.guest().get(&format!("/nothing/{number}")).await.expect(404);
    }
    request_log::flush(&Caller::operator(), &product.app).await;
    let mut seen = Vec::new();
    for offset in [0, 100, 200] {
        let page = admin.get(&format!("{LOGS}?status=404&offset={offset}")).await.expect(200).json();
        assert_eq!((&page["limit"], &page["offset"]), (&json!(100), &json!(offset)));
        seen.extend(page["items"].as_array().unwrap().iter().map(|row| text(&row["url"])));
    }
    let wanted: Vec<_> = (0..250).rev().map(|number| format!("/nothing/{number}")).collect();
    assert_eq!(seen, wanted);
}

async fn statistics_count_requests_and_errors(product: &Product) {
    let admin = product.admin().await;
    let statistics = format!("{LOGS}/statistics");
    let note = |status, took| {
        product.app.request_log.note(&Answered {
            method: "GET",
            path: "/api/v1/x",
            query: None,
            status,
            started: tokio::time::Instant::now(),
            took: Duration::from_micros(took),
            client: IpAddr::from([127, 0, 0, 1]),
            caller: &Caller::guest(),
            request_id: [b'0'; 32],
            credential_refused: false,
        });
    };
    request_log::flush(&Caller::operator(), &product.app).await;
    product.clock.advance_seconds(8 * DAY);
    let admin_now = sign_in(product).await;
    let empty = Totals::of(&admin_now.get(&statistics).await.expect(200).json());
    assert_eq!((empty.errors_4xx, empty.errors_5xx), (0, 0));
    admin.get(ME).await.expect(401);
    for (status, took) in [(200, 1_000), (404, 2_000), (499, 3_000), (500, 4_000), (503, 5_000)] {
        note(status, took);
    }
    request_log::flush(&Caller::operator(), &product.app).await;
    let now = Totals::of(&admin_now.get(&statistics).await.expect(200).json());
    // The sign-in, the question before, the refused request, and the five.
    assert_eq!((now.total, now.errors_4xx, now.errors_5xx), (8, 3, 2));
    assert!(now.average >= 15.0 / 8.0, "{}", now.average);
    let all = admin_now.get(&format!("{statistics}?days=90")).await.expect(200);
    // Setup, eight days ago.
    assert_eq!(Totals::of(&all.json()).total, 9);
}

struct Totals {
    total: i64,
    average: f64,
    errors_4xx: i64,
    errors_5xx: i64,
}

impl Totals {
    fn of(body: &Value) -> Self {
        Self {
            total: body["total_requests"].as_i64().unwrap(),
            average: body["avg_duration_ms"].as_f64().unwrap(),
            errors_4xx: body["errors_4xx"].as_i64().unwrap(),
            errors_5xx: body["errors_5xx"].as_i64().unwrap(),
        }
    }
}

async fn old_rows_go_and_young_ones_stay(product: &Product) {
    product.admin().await;
    let cleanup = format!("{LOGS}/cleanup");
    for _ in 0..3 {
        product.guest().get("/old").await.expect(404);
    }
    request_log::flush(&Caller::operator(), &product.app).await;
    product.clock.advance_seconds(5 * DAY);
    let admin = sign_in(product).await;
    request_log::flush(&Caller::operator(), &product.app).await;
    let none = admin.post(&cleanup, &json!({})).await.expect(200).json();
    assert_eq!(none, json!({"deleted": 0}));
    // Setup and the three.
    let old = admin.post(&format!("{cleanup}?retention_days=4"), &json!({})).await;
    assert_eq!(old.expect(200).json(), json!({"deleted": 4}));
    let left = rows(product, &admin, "days=90").await;
    assert!(left.iter().all(|row| row["url"] != "/old"), "{left:?}");
    assert_eq!(left.len(), 3, "{left:?}");

    // More than are taken away in one transaction.
    for _ in 0..6_000 {
        product.app.request_log.note(&flood(&Caller::guest()));
    }
    request_log::flush(&Caller::operator(), &product.app).await;
    product.clock.advance_seconds(8 * DAY);
    let app = &product.app;
    let deleted = request_log::cleanup(&Caller::operator(), app, request_log::RETENTION_DAYS).await;
    assert_eq!(deleted.unwrap(), 6_004);
}

async fn only_admins_look_and_clean(product: &Product) {
    product.admin().await;
    let user = product.user("carol").await;
    for path in [LOGS.to_owned(), format!("{LOGS}/statistics")] {
        product.guest().get(&path).await.refused(401, "authentication_required");
        user.get(&path).await.refused(403, "forbidden");
    }
    let cleanup = format!("{LOGS}/cleanup");
    product.guest().post(&cleanup, &json!({})).await.refused(401, "authentication_required");
    user.post(&cleanup, &json!({})).await.refused(403, "forbidden");
    let by_guest = request_log::cleanup(&Caller::guest(), &product.app, 1).await;
    assert!(matches!(by_guest, Err(Error::AuthenticationRequired)), "{by_guest:?}");
}

async fn parameters_have_limits(product: &Product) {
    let admin = product.admin().await;
    let long = "x".repeat(65);
    for parameters in [
        "limit=0",
        "limit=1001",
        "offset=-1",
        "offset=99999999999999999999",
        "days=0",
        "days=91",
        "status=99",
        "status=600",
        "status=x",
        "user_id=%00",
        "method=%00",
        "user_id=%F0%9F%90%9E",
        &format!("method={long}"),
        &format!("user_id={long}"),
    ] {
        admin.get(&format!("{LOGS}?{parameters}")).await.refused(422, "validation_failed");
    }
    let edge = format!("limit=1000&offset=10000000&days=90&status=599&user_id={}&method={0}", "x".repeat(64));
    admin.get(&format!("{LOGS}?{edge}")).await.expect(200);
    admin.get(&format!("{LOGS}/statistics?days=91")).await.refused(422, "validation_failed");
    for days in ["0", "366"] {
        let path = format!("{LOGS}/cleanup?retention_days={days}");
        admin.post(&path, &json!({})).await.refused(422, "validation_failed");
    }
    admin.get(&format!("{LOGS}?nope=1")).await.refused(400, "unknown_parameter");
}

fn flood(caller: &Caller) -> Answered<'_> {
    Answered {
        method: "GET",
        path: "/api/v1/flood",
        query: Some("a=1&b=2"),
        status: 200,
        started: tokio::time::Instant::now(),
        took: Duration::from_millis(1),
        client: IpAddr::from([127, 0, 0, 1]),
        caller,
        request_id: [b'0'; 32],
        credential_refused: false,
    }
}

/// Ten times what the queue holds, at once: every request is either a row or a count.
async fn a_flood_is_counted_and_never_waited_for(product: &Product) {
    const FLOOD: u64 = 100_000;
    let admin = product.admin().await;
    let log = &product.app.request_log;
    let started = Instant::now();
    for _ in 0..FLOOD {
        log.note(&flood(&Caller::guest()));
    }
    let took = started.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(log.lost() > 0, "the queue has room for all of them");
    admin.get(ME).await.expect(200);
    request_log::flush(&Caller::operator(), &product.app).await;
    let statistics = admin.get(&format!("{LOGS}/statistics")).await.expect(200).json();
    let written = statistics["total_requests"].as_u64().unwrap();
    // Setup and the request for the own profile came on top.
    assert_eq!(written + log.lost(), FLOOD + 2);
}

/// What was answered just before the end is written all the same, and nothing of its query.
#[test]
fn the_end_of_the_process_loses_no_row() {
    let mut server = Server::new(&[]);
    server.start();
    for _ in 0..20 {
        let answer = server.call("GET", "/api/v1/auth/me?token=m4rker", None, None);
        assert_eq!(answer.status, 400);
    }
    assert!(server.terminate().0.success());
    let file = rusqlite::Connection::open(server.folder.path().join("app.db")).unwrap();
    let count = "SELECT count(*) FROM request_logs WHERE url = '/api/v1/auth/me?token=[redacted]'";
    let written: i64 = file.query_row(count, [], |row| row.get(0)).unwrap();
    assert_eq!(written, 20);
    assert!(!server.log().contains("m4rker"));
}
