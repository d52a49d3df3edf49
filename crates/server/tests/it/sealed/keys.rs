//! Sealed values and the keys they depend on: rotations, another data key while everybody writes, and a key that went too early.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fastcms_core::app::{self, OlderSchema, Opening, Process, StartError, WithoutSecret};
use fastcms_core::config::{Command, Config, Sources};
use fastcms_core::keys::KeyStatus;
use fastcms_core::{App, Caller, access, keys, sealing};
use fastcms_guard::ids::SystemRng;
use serde_json::{Value, json};

use super::{notes, refusals, stored};
use crate::callers::{Admin, Calls};
use crate::on_both_engines;
use crate::process::SECRET;
use crate::product::{Product, text};

on_both_engines!(
    rotated_twice_and_sealed_anew_under_writes_nothing_is_lost,
    a_renewal_that_is_broken_off_goes_on,
    second_factors_are_put_under_another_key_too_and_go_on,
    a_key_stays_as_long_as_anything_names_it,
    a_key_removed_too_early_refuses_the_start_and_says_what_it_wraps,
);

const KEY_B: &str = "another-secret-key-of-0123456789-abcdef-letters";
const KEY_C: &str = "a-third-secret-key-of-9876543210-fedcba-letters";
/// Past every access token: its life, the step in which ends are written down, and the leeway.
const ACCESS_TOKENS_RAN_OUT: i64 = 900 + 60 + 60;

/// How many records are sealed anew: a few, or as many as `FASTCMS_SEALED_ROWS` says, by hundreds.
fn records() -> usize {
    std::env::var("FASTCMS_SEALED_ROWS").map_or(600, |count| count.parse().unwrap())
}

/// Records of one call.
const TOGETHER: usize = 100;

async fn renewed(app: &App) {
    let caller = access::recent(Caller::operator(), app).unwrap();
    sealing::renew(&caller, app, Duration::from_millis(10)).await.unwrap();
    while sealing::reseal(&caller, app).await.unwrap() > 0 {}
}

/// Makes so many records; their ids.
async fn seeded(admin: &Admin<'_>, records: usize) -> Vec<String> {
    let mut ids = Vec::with_capacity(records);
    for chunk in 0..records / TOGETHER {
        let numbers = chunk * TOGETHER..(chunk + 1) * TOGETHER;
        let records: Vec<Value> =
            numbers.map(|n| json!({"title": format!("{n}"), "body": format!("body {n}")})).collect();
        let body = json!({"records": records});
        let made = admin.post("/api/v1/collections/notes/records/batch", &body).await.expect(201).json();
        ids.extend(made["records"].as_array().unwrap().iter().map(|record| text(&record["id"])));
    }
    ids
}

async fn rotated_twice_and_sealed_anew_under_writes_nothing_is_lost(product: &Product) {
    let records = records();
    let admin = product.admin().await;
    notes(&admin).await;
    let ids = seeded(&admin, records).await;
    // Somebody changes every third record all the while.
    let app = Arc::clone(&product.app);
    let (writes, stop) = (ids.clone(), Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let stopped = Arc::clone(&stop);
    let writer = tokio::spawn(async move {
        let (caller, mut round) = (Caller::operator(), 0_usize);
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) || round == 0 {
            round += 1;
            for id in writes.iter().step_by(3) {
                let facts = access::RequestFacts::internal();
                let data = json!({"body": format!("round {round}")});
                let written =
                    fastcms_core::records::update(&caller, &app, facts, "notes", id, data.as_object().unwrap()).await;
                written.unwrap();
            }
        }
        round
    });
    let material = |current: &str, previous: &[&str]| keys::Material {
        current: key(current),
        previous: previous.iter().map(|text| key(text)).collect(),
        next: Vec::new(),
    };
    let began = Instant::now();
    product.app.replace_keys(material(KEY_B, &[SECRET])).await.unwrap();
    renewed(&product.app).await;
    let once = began.elapsed();
    product.app.replace_keys(material(KEY_C, &[KEY_B, SECRET])).await.unwrap();
    renewed(&product.app).await;
    println!("{records} records sealed anew in {once:?}, and once more in {:?}", began.elapsed().saturating_sub(once));
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let rounds = writer.await.unwrap();

    // Whoever sealed with the key before has seen the new one by now; what was left is taken along.
    product.clock.advance_seconds(11);
    let caller = access::recent(Caller::operator(), &product.app).unwrap();
    while sealing::reseal(&caller, &product.app).await.unwrap() > 0 {}
    let lies = stored(product, "notes", "body").await;
    assert_eq!(lies.len(), records);
    let head = |text: &str| text.rsplit_once('.').unwrap().0.to_owned();
    assert!(lies.iter().all(|value| head(&value.sealed) == head(&lies[0].sealed)));
    for (number, id) in ids.iter().enumerate() {
        let facts = access::RequestFacts::internal();
        let record =
            fastcms_core::records::get(&Caller::operator(), &product.app, facts, "notes", id, None).await.unwrap();
        let record: Value = serde_json::from_slice(&record).unwrap();
        let wanted = if number % 3 == 0 { format!("round {rounds}") } else { format!("body {number}") };
        assert_eq!(record["data"]["body"], wanted, "{number}");
    }
    assert_eq!(refusals(product).await, 0);
    let status = keys::status(&Caller::operator(), &product.app).await.unwrap();
    assert_eq!(status[0].sealed, i64::try_from(records).unwrap());
    assert!(status[1..].iter().all(|key| key.wrapped == 0 && key.sealed == 0), "{status:?}");

    // Both old keys may go once the one session has moved over and what they signed ran out.
    let refresh = json!({"refresh_token": admin.tokens["refresh_token"]});
    product.guest().post("/api/v1/auth/refresh", &refresh).await.expect(200);
    product.clock.advance_seconds(ACCESS_TOKENS_RAN_OUT);
    let status = keys::status(&Caller::operator(), &product.app).await.unwrap();
    assert_eq!(status.iter().map(KeyStatus::is_safe_to_remove).collect::<Vec<_>>(), [false, true, true], "{status:?}");
    let node = product.with(&[("SECRET_KEY", KEY_C)]).await;
    let record = format!("/api/v1/collections/notes/records/{}", ids[1]);
    assert_eq!(node.guest().get(&record).await.expect(200).json()["data"]["body"], "body 1");
    node.close().await;
}

fn key(text: &str) -> fastcms_guard::keys::SecretKey {
    fastcms_guard::keys::SecretKey::parse(fastcms_secrets::Secret::new(text.to_owned())).unwrap()
}

async fn a_renewal_that_is_broken_off_goes_on(product: &Product) {
    let admin = product.admin().await;
    notes(&admin).await;
    let made = admin.make("notes", &json!({"title": "t", "body": "b"})).await;
    let caller = access::recent(Caller::operator(), &product.app).unwrap();
    // The process ends between the new key and the values; another one knows both and goes on.
    let id = sealing::renew(&caller, &product.app, Duration::from_millis(10)).await.unwrap();
    let node = product.with(&[]).await;
    let record = format!("/api/v1/collections/notes/records/{}", text(&made["id"]));
    assert_eq!(node.guest().get(&record).await.expect(200).json()["data"]["body"], "b");
    assert_eq!(sealing::reseal(&caller, &node.app).await.unwrap(), 1);
    assert_eq!(sealing::reseal(&caller, &node.app).await.unwrap(), 0);
    assert!(stored(product, "notes", "body").await[0].sealed.starts_with(&format!("s1.{id}.")));
    assert_eq!(product.guest().get(&record).await.expect(200).json()["data"]["body"], "b");
    // The key before stays while somebody may still be sealing with it, and is gone for good then.
    assert_eq!(data_keys(&node).await, 3);
    product.clock.advance_seconds(11);
    sealing::reseal(&caller, &node.app).await.unwrap();
    let examined = sealing::examine(&Caller::operator(), &node.app).await.unwrap();
    assert_eq!((examined[0].place.as_str(), examined[0].opened, examined[0].refused), ("data keys", 2, 0));
    node.close().await;
}

/// How many data keys there are, that of the audit log among them.
async fn data_keys(product: &Product) -> u64 {
    let examined = sealing::examine(&Caller::operator(), &product.app).await.unwrap();
    assert_eq!((examined[0].place.as_str(), examined[0].refused), ("data keys", 0));
    examined[0].opened
}

async fn second_factors_are_put_under_another_key_too_and_go_on(product: &Product) {
    product.admin().await;
    let anna = crate::two_factor::owner(product, "anna").await;
    renewed(&product.app).await;
    product.clock.advance_seconds(31);
    let caller = access::recent(Caller::operator(), &product.app).unwrap();
    sealing::reseal(&caller, &product.app).await.unwrap();
    assert_eq!(data_keys(product).await, 2, "nothing names the key before");
    let code = anna.code();
    anna.login(Some(&code)).await.expect(200);
    assert_eq!(refusals(product).await, 0);
}

/// What cannot be opened where it lies may be put back where it belongs: its key is not thrown away.
async fn a_key_stays_as_long_as_anything_names_it(product: &Product) {
    let admin = product.admin().await;
    notes(&admin).await;
    let made = admin.make("notes", &json!({"title": "t", "body": "b"})).await;
    let other = admin.make("notes", &json!({"title": "t", "body": "c"})).await;
    let (id, right) = (text(&made["id"]), sealed_body(product, &made).await);
    let wrong = sealed_body(product, &other).await;
    super::tamper(product, "notes", "body", &id, &right, &wrong).await;
    renewed(&product.app).await;
    for _ in 0..2 {
        product.clock.advance_seconds(11);
        let caller = access::recent(Caller::operator(), &product.app).unwrap();
        sealing::reseal(&caller, &product.app).await.unwrap();
        assert_eq!(data_keys(product).await, 3);
    }
    super::tamper(product, "notes", "body", &id, &wrong, &right).await;
    let path = format!("/api/v1/collections/notes/records/{id}");
    assert_eq!(product.guest().get(&path).await.expect(200).json()["data"]["body"], "b");
}

async fn sealed_body(product: &Product, record: &Value) -> String {
    let lies = stored(product, "notes", "body").await;
    lies.into_iter().find(|value| value.record == text(&record["id"])).unwrap().sealed
}

/// Starts a server in production.
async fn start(product: &Product, settings: &[(&str, &str)]) -> Result<Arc<App>, StartError> {
    let mut environment = vec![
        ("ENVIRONMENT".to_owned(), "production".to_owned()),
        ("DATABASE_URL".to_owned(), product.url().to_owned()),
        ("BASE_URL".to_owned(), "https://cms.example.com".to_owned()),
        ("APP_HOST".to_owned(), "127.0.0.1".to_owned()),
    ];
    environment.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let sources = Sources { environment, directory: product.folder().to_owned(), ..Sources::default() };
    let config = Config::load(&sources, Command::Serve).unwrap_or_else(|faults| panic!("{faults}"));
    let opening = Opening {
        config,
        clock: product.clock.clone(),
        rng: Arc::new(SystemRng),
        without_secret: WithoutSecret::Forget,
        older_schema: OlderSchema::Migrate,
        process: Process::Server,
        alike_refusals: true,
        custody: None,
    };
    app::open(opening).await
}

async fn a_key_removed_too_early_refuses_the_start_and_says_what_it_wraps(product: &Product) {
    let admin = product.admin().await;
    // Nothing of worth is sealed yet: what can be made anew is no reason to refuse.
    start(product, &[("SECRET_KEY", KEY_B)]).await.unwrap().store.close().await;
    start(product, &[("SECRET_KEY", SECRET), ("SECRET_KEY_PREVIOUS", KEY_B)]).await.unwrap().store.close().await;
    notes(&admin).await;
    let node = product.with(&[("SECRET_KEY", SECRET), ("SECRET_KEY_PREVIOUS", KEY_B)]).await;
    let body = json!({"data": {"title": "t", "body": "b"}});
    let admin = crate::callers::Bearer { product: &node, token: admin.token.clone() };
    let made = admin.post("/api/v1/collections/notes/records", &body).await.expect(201).json();

    let refused = start(product, &[("SECRET_KEY", KEY_C)]).await.err().unwrap().to_string();
    for said in ["1 values of `notes.body`", "wrapped by key `", "SECRET_KEY_PREVIOUS", "SEALED_DATA_UNREADABLE=accept"]
    {
        assert!(refused.contains(said), "{refused}");
    }
    // Whoever accepts it starts, and the value reads as missing; that is in the log.
    let settings = [("SECRET_KEY", KEY_C), ("SEALED_DATA_UNREADABLE", "accept")];
    let app = start(product, &settings).await.unwrap();
    let id = text(&made["id"]);
    let facts = access::RequestFacts::internal();
    let record = fastcms_core::records::get(&Caller::operator(), &app, facts, "notes", &id, None).await.unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&record).unwrap()["data"]["body"], Value::Null);
    let operator = Caller::operator();
    let rows = fastcms_core::audit::latest(
        &operator,
        &app,
        fastcms_core::audit::Wanted { event_action: Some("suspicious_activity"), ..Default::default() },
        10,
    );
    let rows = rows.await.unwrap();
    assert!(rows[0].details.as_ref().unwrap().contains("notes.body"), "{rows:?}");
    app.store.close().await;
    // With the key back everything opens again.
    let app = start(product, &[("SECRET_KEY", KEY_C), ("SECRET_KEY_PREVIOUS", SECRET)]).await.unwrap();
    let facts = access::RequestFacts::internal();
    let record = fastcms_core::records::get(&Caller::operator(), &app, facts, "notes", &id, None).await.unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&record).unwrap()["data"]["body"], "b");
    app.store.close().await;
    node.close().await;
}
