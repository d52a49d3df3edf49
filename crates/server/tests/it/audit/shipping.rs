//! The log outside the database: every event gets there, in order, whatever happens in between.

use std::sync::{Arc, Mutex};

use fastcms::shipping;
use fastcms_core::audit::{self, Event, Wanted};
use fastcms_core::config::Sources;
use fastcms_core::{App, Caller, secrets};
use fastcms_secrets::Secret;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::on_both_engines;
use crate::product::Product;

on_both_engines!(
    every_event_is_appended_to_the_file_in_the_order_of_the_chain,
    what_a_receiver_refuses_waits_on_disk_and_comes_later_signed,
    another_secret_and_token_of_the_receiver_count_from_the_next_batch,
    two_nodes_hand_each_event_out_once,
    retention_waits_for_a_place_outside_within_bounds,
);

fn note(app: &App, count: usize) {
    for number in 0..count {
        audit::note(&Caller::operator(), app, Event::CollectionUpdated.on("collection", format!("c{number}")));
    }
}

/// Has everything linked: nothing else is handed out.
async fn linked(app: &App) {
    for _ in 0..500 {
        audit::flush(&Caller::operator(), app).await.unwrap();
        if audit::standing(&Caller::operator(), app).await.unwrap().1 == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("rows wait to be linked for ten seconds");
}

/// The ids of all events, in the order of the log.
async fn logged(app: &App) -> Vec<String> {
    let rows = audit::following(&Caller::operator(), app, None).await.unwrap();
    rows.into_iter().filter(|placed| placed.row.event_action != USE).map(|placed| placed.row.id).collect()
}

/// The action of an event that comes of handing out, whenever it is written: it is looked at by itself.
const USE: &str = "secret_use";

fn ids(lines: &[u8]) -> Vec<String> {
    let events = std::str::from_utf8(lines).unwrap().lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter(|event| event["event_action"] != USE).map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

async fn every_event_is_appended_to_the_file_in_the_order_of_the_chain(product: &Product) {
    let file = product.folder().join("outside/audit.jsonl");
    let node = product.with(&[("AUDIT_FILE", "outside/audit.jsonl")]).await;
    note(&node.app, 30);
    linked(&node.app).await;
    assert_eq!(shipping::once(&node.app).await.unwrap(), 30);
    assert_eq!(shipping::once(&node.app).await.unwrap(), 0);
    assert_eq!(ids(&std::fs::read(&file).unwrap()), logged(&node.app).await);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    // Moved away, as by a rotation of logs: another is begun, and nothing comes twice.
    std::fs::rename(&file, file.with_extension("1")).unwrap();
    note(&node.app, 5);
    linked(&node.app).await;
    assert_eq!(shipping::once(&node.app).await.unwrap(), 5);
    assert_eq!(ids(&std::fs::read(&file).unwrap()), logged(&node.app).await[30..]);
    node.close().await;
}

/// A request as it came: its head in lower case, and its body.
type Taken = (String, Vec<u8>);

/// Answers every request with the status that is set, and keeps those it answered with 200.
struct Receiver {
    url: String,
    status: Arc<Mutex<u16>>,
    taken: Arc<Mutex<Vec<Taken>>>,
}

impl Receiver {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/audit?from=here", listener.local_addr().unwrap());
        let (status, taken) = (Arc::new(Mutex::new(200)), Arc::new(Mutex::new(Vec::new())));
        let this = Self { url, status: Arc::clone(&status), taken: Arc::clone(&taken) };
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let (head, body) = request(&mut socket).await;
                let answer = *status.lock().unwrap();
                if answer == 200 {
                    taken.lock().unwrap().push((head, body));
                }
                let said = format!("HTTP/1.1 {answer} x\r\ncontent-length: 0\r\n\r\n");
                socket.write_all(said.as_bytes()).await.unwrap();
            }
        });
        this
    }

    fn ids(&self) -> Vec<String> {
        self.taken.lock().unwrap().iter().flat_map(|(_, body)| ids(body)).collect()
    }
}

async fn request(socket: &mut tokio::net::TcpStream) -> Taken {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let read = socket.read(&mut chunk).await.unwrap();
        bytes.extend_from_slice(&chunk[..read]);
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_ascii_lowercase();
        let length: usize = value(&head, "content-length").parse().unwrap();
        if read == 0 || bytes.len() >= end + 4 + length {
            return (head, bytes[end + 4..].to_vec());
        }
    }
}

fn value(head: &str, name: &str) -> String {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(known, _)| *known == name).map(|(_, value)| value.to_owned()).next().unwrap_or_default()
}

async fn what_a_receiver_refuses_waits_on_disk_and_comes_later_signed(product: &Product) {
    const SECRET: &str = "what the receiver checks with";
    let receiver = Receiver::start().await;
    let settings = [("AUDIT_WEBHOOK_URL", receiver.url.as_str()), ("AUDIT_WEBHOOK_SECRET", SECRET)];
    let node = product.with(&settings).await;
    *receiver.status.lock().unwrap() = 503;
    note(&node.app, 20);
    linked(&node.app).await;
    assert_eq!(shipping::once(&node.app).await.unwrap(), 0);
    let status = audit::sink_status(&Caller::operator(), &node.app).await.unwrap();
    let (_, why) = status[0].failing.clone().unwrap();
    assert!(why.contains("503"), "{why}");
    node.close().await;

    // The process is another, the receiver still not well: nothing is lost.
    let node = product.with(&settings).await;
    product.clock.advance_seconds(6);
    assert_eq!(shipping::once(&node.app).await.unwrap(), 0);
    *receiver.status.lock().unwrap() = 200;
    product.clock.advance_seconds(6);
    assert!(shipping::once(&node.app).await.unwrap() >= 20);
    assert_eq!(receiver.ids(), logged(&node.app).await);
    assert_eq!(audit::sink_status(&Caller::operator(), &node.app).await.unwrap()[0].failing, None);

    let (head, body) = receiver.taken.lock().unwrap()[0].clone();
    assert!(head.starts_with("post /audit?from=here http/1.1"), "{head}");
    let (id, timestamp) = (value(&head, "webhook-id"), value(&head, "webhook-timestamp"));
    let signed =
        fastcms_guard::webhook::signature(&Secret::new(SECRET.to_owned()), &id, timestamp.parse().unwrap(), &body);
    assert_eq!(value(&head, "webhook-signature"), signed.to_ascii_lowercase());
    node.close().await;
}

async fn another_secret_and_token_of_the_receiver_count_from_the_next_batch(product: &Product) {
    let (receiver, elsewhere) = (Receiver::start().await, Receiver::start().await);
    let settings = |url: &str, secret: &str| {
        [("AUDIT_WEBHOOK_URL", url), ("AUDIT_WEBHOOK_SECRET", secret)]
            .map(|(name, it)| (name.to_owned(), it.to_owned()))
    };
    let first = settings(&receiver.url, "the first secret");
    let node = product.with(&first.each_ref().map(|(name, value)| (name.as_str(), value.as_str()))).await;
    let look = async |url: &str, secret: &str| {
        let sources = Sources { environment: settings(url, secret).into(), ..Sources::default() };
        secrets::take_up(&Caller::background(), &node.app, &sources).await;
    };
    // Path and signature of what the receiver got last.
    let ship = async || {
        note(&node.app, 1);
        linked(&node.app).await;
        let shipped = shipping::once(&node.app).await.unwrap();
        let (head, body) = receiver.taken.lock().unwrap().last().cloned().unwrap();
        let by = |secret: &str| {
            let at = value(&head, "webhook-timestamp").parse().unwrap();
            let secret = Secret::new(secret.to_owned());
            let signed = fastcms_guard::webhook::signature(&secret, &value(&head, "webhook-id"), at, &body);
            value(&head, "webhook-signature") == signed.to_ascii_lowercase()
        };
        (shipped >= 1, head.lines().next().unwrap().to_owned(), by("the first secret"), by("the second secret"))
    };
    let line = |path: &str| format!("post {path} http/1.1");
    assert_eq!(ship().await, (true, line("/audit?from=here"), true, false));
    look(&receiver.url.replace("from=here", "token=another"), "the second secret").await;
    assert_eq!(ship().await, (true, line("/audit?token=another"), false, true));
    // Another server is not taken up, and with it nothing.
    look(&elsewhere.url, "the first secret").await;
    assert_eq!(ship().await, (true, line("/audit?token=another"), false, true));
    assert!(elsewhere.ids().is_empty());
    // That the secret is used is an event for each of the two, and none for each batch.
    linked(&node.app).await;
    let wanted = Wanted { event_action: Some(USE), ..Wanted::default() };
    let uses = audit::list(&Caller::operator(), &node.app, wanted, 10, 0).await.unwrap();
    assert_eq!(uses.total, 2);
    assert!(uses.items.iter().all(|event| event.resource_id.as_deref() == Some("AUDIT_WEBHOOK_SECRET")));
    node.close().await;
}

async fn two_nodes_hand_each_event_out_once(product: &Product) {
    let receiver = Receiver::start().await;
    let settings = [("AUDIT_WEBHOOK_URL", receiver.url.as_str())];
    let (one, two) = (product.with(&settings).await, product.with(&settings).await);
    for _ in 0..5 {
        note(&one.app, 20);
        note(&two.app, 20);
        linked(&one.app).await;
        linked(&two.app).await;
        let (first, second) = tokio::join!(shipping::once(&one.app), shipping::once(&two.app));
        first.unwrap();
        second.unwrap();
    }
    // Whoever found the other at it left the rest to it.
    shipping::once(&one.app).await.unwrap();
    assert_eq!(receiver.ids(), logged(&one.app).await);
    one.close().await;
    two.close().await;
}

async fn retention_waits_for_a_place_outside_within_bounds(product: &Product) {
    const DAY: i64 = 24 * 3600;
    let receiver = Receiver::start().await;
    let node = product.with(&[("AUDIT_WEBHOOK_URL", receiver.url.as_str())]).await;
    note(&node.app, 10);
    linked(&node.app).await;
    product.clock.advance_seconds(DAY);
    note(&node.app, 1);
    linked(&node.app).await;
    product.clock.advance_seconds(15 * DAY);
    let clean = async || audit::cleanup(&Caller::operator(), &node.app, 10).await.unwrap();
    assert_eq!(clean().await, 0, "nobody outside has these events yet");
    shipping::once(&node.app).await.unwrap();
    assert_eq!(clean().await, 10);

    note(&node.app, 10);
    linked(&node.app).await;
    *receiver.status.lock().unwrap() = 500;
    product.clock.advance_seconds(DAY);
    note(&node.app, 1);
    linked(&node.app).await;
    shipping::once(&node.app).await.unwrap();
    product.clock.advance_seconds(15 * DAY);
    let waiting = async || {
        let taken = receiver.ids();
        logged(&node.app).await.into_iter().filter(|id| !taken.contains(id)).collect::<Vec<_>>()
    };
    let before = waiting().await;
    assert!(before.len() > 10, "{before:?}");
    clean().await;
    let after = waiting().await;
    assert!(before.iter().all(|id| after.contains(id)), "what waits stays");
    product.clock.advance_seconds(15 * DAY);
    clean().await;
    let after = waiting().await;
    assert!(!after.contains(&before[0]), "a place that is gone for good does not keep the log for ever");
    node.close().await;
}
