//! Ways around the key: rows where no link looks, segments that name another key, an end that is cut off between two checkpoints, and
//! commands that are run with keys of somebody else. Each was found by trying, on a log that verified all the same.

use fastcms_core::app::{self, OlderSchema, Opening, Process, WithoutSecret};
use fastcms_core::audit::{self, CHECKPOINTS, Checkpoint, Finding, HEAD, Report};
use fastcms_core::config::{Command, Config, Sources};
use fastcms_core::{App, Caller};

use super::tampering::{found, linked, note, tamper, verified};
use crate::engine::Engine;
use crate::on_both_engines;
use crate::product::Product;

on_both_engines!(
    a_row_put_before_the_first_is_named,
    a_row_put_where_retention_left_none_is_named,
    a_segment_that_names_a_key_that_never_was_is_named,
    retention_under_a_key_that_never_was_is_named,
    what_no_key_opens_is_not_called_sound,
    a_checkpoint_holds_against_links_that_no_key_opens,
    an_end_cut_off_between_two_checkpoints_is_missed,
    a_command_with_other_keys_takes_the_log_from_nobody,
);

const DAY: i64 = 24 * 3600;
const COPIED: &str = "created, event_type, event_action, severity, outcome, description, key_id, mac";

/// A copy of a good row in this place, under another id.
async fn forge(product: &Product, at: i64) {
    let (columns, values, overriding) = match product.engine() {
        Engine::Sqlite => ("seq", at.to_string(), ""),
        Engine::Postgres => ("position, seq", format!("{at}, {}", at - 1_000), " OVERRIDING SYSTEM VALUE"),
    };
    let script = format!(
        "INSERT INTO audit_logs ({columns}, id, {COPIED}){overriding} SELECT {values}, 'forged', {COPIED} \
         FROM (SELECT * FROM audit_logs ORDER BY seq DESC LIMIT 1) AS good"
    );
    tamper(product, &script).await;
}

async fn a_row_put_before_the_first_is_named(product: &Product) {
    note(&product.app, 5);
    linked(product).await;
    for place in [0, -7] {
        forge(product, place).await;
        let said = found(&verified(product).await);
        assert_eq!(
            (said.row_id.as_deref(), said.what.contains("before the first")),
            (Some("forged"), true),
            "{said:?}"
        );
        tamper(product, "DELETE FROM audit_logs WHERE id = 'forged'").await;
        assert_eq!(verified(product).await.finding, None);
    }
}

/// Two segments of five events; the first has ended.
async fn two_days(product: &Product) {
    for _ in 0..2 {
        note(&product.app, 5);
        linked(product).await;
        product.clock.advance_seconds(10 * DAY);
    }
    assert_eq!(verified(product).await.finding, None);
}

async fn a_row_put_where_retention_left_none_is_named(product: &Product) {
    two_days(product).await;
    let first = match product.engine() {
        Engine::Sqlite => 1,
        // Numbers of transactions are any: the one before the end of what goes.
        Engine::Postgres => -1,
    };
    assert_eq!(audit::cleanup(&Caller::operator(), &product.app, 7).await.unwrap(), 5);
    linked(product).await;
    assert_eq!(verified(product).await.finding, None);
    forge(product, if first == 1 { 1 } else { 2 }).await;
    if first == -1 {
        tamper(
            product,
            "UPDATE audit_logs SET position = (SELECT last_position FROM audit_segments WHERE number = 1) WHERE id = 'forged'",
        )
        .await;
    }
    assert_eq!(found(&verified(product).await).row_id.as_deref(), Some("forged"));
}

async fn a_segment_that_names_a_key_that_never_was_is_named(product: &Product) {
    two_days(product).await;
    let script = "UPDATE audit_segments SET key_id = 99 WHERE number = 1;
        UPDATE audit_logs SET key_id = 99, description = 'forged' WHERE seq = (SELECT min(seq) FROM audit_logs)";
    tamper(product, script).await;
    let said = found(&verified(product).await);
    assert_eq!((said.what.as_str(), said.link), ("segment 1 names a key that does not exist", Some(1)));
}

async fn retention_under_a_key_that_never_was_is_named(product: &Product) {
    two_days(product).await;
    let place = if product.engine() == Engine::Sqlite { "seq" } else { "position" };
    let script = format!(
        "DELETE FROM audit_logs WHERE {place} <= (SELECT last_position FROM audit_segments WHERE number = 1);
         DELETE FROM audit_blocks WHERE segment = 1;
         UPDATE audit_segments SET key_id = 99, pruned = '2026-06-01T00:00:00.000Z', prune_seal = seal WHERE number = 1"
    );
    tamper(product, &script).await;
    assert_eq!(found(&verified(product).await).link, Some(1));
}

/// Makes the key of the log one that no key of the ring opens, as if another had wrapped it.
pub const LOCK: &str = "UPDATE data_keys SET wrapped = 'w1.AAAAAAAAAAA' || substr(wrapped, 15) WHERE purpose = 'audit'";

async fn what_no_key_opens_is_not_called_sound(product: &Product) {
    note(&product.app, 5);
    linked(product).await;
    assert!(verified(product).await.is_sound());
    tamper(product, LOCK).await;
    let node = product.with(&[]).await;
    linked(&node).await;
    let report = verified(&node).await;
    assert_eq!((report.finding.clone(), report.unreadable, report.is_sound()), (None, 5, false), "{report:?}");
    node.close().await;
}

async fn a_checkpoint_holds_against_links_that_no_key_opens(product: &Product) {
    note(&product.app, 5);
    linked(product).await;
    tamper(product, LOCK).await;
    let node = product.with(&[]).await;
    // The new key's word on a link of the old one.
    linked(&node).await;
    let head = std::fs::read_to_string(node.app.config.data_directory().join(HEAD)).unwrap();
    let head: Checkpoint = serde_json::from_str(&head).unwrap();
    assert_eq!(head.link, 6);
    tamper(&node, "UPDATE audit_segments SET key_id = 1; UPDATE audit_blocks SET segment = 1, entries = (SELECT entries FROM audit_blocks WHERE number = 1) WHERE number = 2; DELETE FROM audit_segments WHERE number = 2").await;
    let report = audit::verify(&Caller::operator(), &node.app, &[head], &mut |_| {}).await.unwrap();
    assert_eq!(found(&report).link, Some(6), "{report:?}");
    node.close().await;
}

/// What `fastcms audit verify` says, which reads both files.
pub async fn with_all_files(product: &Product) -> Report {
    let folder = product.app.config.data_directory();
    let text = [CHECKPOINTS, HEAD].map(|name| std::fs::read_to_string(folder.join(name)).unwrap_or_default()).concat();
    let known: Vec<Checkpoint> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    audit::verify(&Caller::operator(), &product.app, &known, &mut |_| {}).await.unwrap()
}

/// Waits until the server itself has linked everything: no checkpoint is due for that.
pub async fn linked_by_itself(product: &Product, links: i64) {
    for _ in 0..500 {
        let (done, waiting) = audit::standing(&Caller::operator(), &product.app).await.unwrap();
        if done >= links && waiting == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{links} rows are not linked within ten seconds");
}

async fn an_end_cut_off_between_two_checkpoints_is_missed(product: &Product) {
    note(&product.app, 5);
    linked(product).await;
    note(&product.app, 5);
    linked_by_itself(product, 10).await;
    let place = if product.engine() == Engine::Sqlite { "seq" } else { "position" };
    let cut = format!(
        "DELETE FROM audit_logs WHERE {place} > (SELECT last_position FROM audit_blocks WHERE number = 1);
         DELETE FROM audit_blocks WHERE number > 1"
    );
    tamper(product, &cut).await;
    let said = found(&with_all_files(product).await);
    assert!(said.what.contains("knows link 10") && said.link == Some(6), "{said:?}");
    // That the server goes on does not cover it up, nor does the time until somebody looks.
    for links in [9, 13] {
        note(&product.app, 4);
        linked_by_itself(product, links).await;
        linked(product).await;
        let said = found(&with_all_files(product).await);
        let is_named: fn(&Finding) -> bool = |said| said.link.is_some_and(|link| (6..=10).contains(&link));
        assert!(is_named(&said), "{said:?}");
    }
}

/// A command on the same database with this key.
async fn command(product: &Product, secret_key: &str) -> std::sync::Arc<App> {
    let environment = [("DATABASE_URL", product.url()), ("SECRET_KEY", secret_key)];
    let sources = Sources {
        environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        directory: product.folder().to_owned(),
        ..Sources::default()
    };
    let opening = Opening {
        config: Config::load(&sources, Command::Other).unwrap(),
        clock: product.clock.clone(),
        rng: std::sync::Arc::new(fastcms_guard::ids::SystemRng),
        without_secret: WithoutSecret::Forget,
        older_schema: OlderSchema::Refuse,
        process: Process::Command,
        custody: None,
        alike_refusals: true,
    };
    app::open(opening).await.unwrap()
}

async fn a_command_with_other_keys_takes_the_log_from_nobody(product: &Product) {
    note(&product.app, 5);
    linked(product).await;
    let stranger = command(product, "another-secret-key-of-0123456789-abcdef-letters").await;
    let report = audit::verify(&Caller::operator(), &stranger, &[], &mut |_| {}).await.unwrap();
    assert_eq!((report.finding.clone(), report.unreadable, report.is_sound()), (None, 5, false));
    let body = serde_json::json!({"name": "posts", "type": "base"});
    let refused = fastcms_core::collections::create(&Caller::operator(), &stranger, body.as_object().unwrap()).await;
    assert!(format!("{:?}", refused.unwrap_err()).contains("cannot be opened with the keys given"));
    audit::flush(&Caller::operator(), &stranger).await.unwrap();
    stranger.store.close().await;
    // The server goes on with its key, and so does the next one.
    note(&product.app, 5);
    linked(product).await;
    assert!(verified(product).await.is_sound());
    let node = product.with(&[]).await;
    note(&node.app, 5);
    linked(&node).await;
    let report = verified(&node).await;
    assert!(report.is_sound() && report.links == 15, "{report:?}");
    node.close().await;
}
