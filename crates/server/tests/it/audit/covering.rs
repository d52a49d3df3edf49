//! Ways to cover up that the end of the log was cut off: each was found by trying, on a log that was called sound afterwards.

use fastcms_core::audit::{CHECKPOINTS, Finding};

use super::tampering::{found, linked, note, tamper};
use super::unkeyed::{LOCK, linked_by_itself, with_all_files};
use crate::engine::Engine;
use crate::on_both_engines;
use crate::product::Product;

on_both_engines!(
    a_made_up_segment_covers_no_cut,
    a_retired_key_covers_no_cut,
    a_key_that_is_spoiled_for_one_start_covers_no_cut,
    a_log_that_was_wiped_with_its_key_is_not_called_sound,
);

/// Five links under a checkpoint, and five more that only this node's own file knows of.
async fn ten_links(product: &Product) {
    note(&product.app, 5);
    linked(product).await;
    note(&product.app, 5);
    linked_by_itself(product, 10).await;
}

/// Takes away all links but those of the first block.
async fn cut(product: &Product) {
    let place = if product.engine() == Engine::Sqlite { "seq" } else { "position" };
    let script = format!(
        "DELETE FROM audit_logs WHERE {place} > (SELECT last_position FROM audit_blocks WHERE number = 1);
         DELETE FROM audit_blocks WHERE number > 1"
    );
    tamper(product, &script).await;
}

/// Ends the product as a kill does: no checkpoint says how far it came.
async fn killed(product: &Product) {
    product.close().await;
    let file = product.app.config.data_directory().join(CHECKPOINTS);
    let text = std::fs::read_to_string(&file).unwrap();
    let (first, _) = text.split_once('\n').unwrap();
    assert!(first.contains("\"link\":5"), "{text}");
    std::fs::write(file, format!("{first}\n")).unwrap();
}

#[track_caller]
fn is_missed(said: &Finding) {
    assert!(said.link.is_some_and(|link| (6..=10).contains(&link)), "{said:?}");
}

async fn a_made_up_segment_covers_no_cut(product: &Product) {
    ten_links(product).await;
    let bytes = if product.engine() == Engine::Sqlite { "x'00'" } else { r"'\x00'" };
    let made_up = format!(
        "INSERT INTO audit_segments (number, key_id, opened, shift, first_link, first_hash, first_position, closed, links, last_hash,
             last_position, seal, pruned, prune_seal)
         VALUES (-1, 1, 'x', 0, 0, {bytes}, 0, 'x', 1000000, {bytes}, 0, {bytes}, 'x', {bytes})"
    );
    tamper(product, &made_up).await;
    cut(product).await;
    // The server looks at its end while the segment is there, and goes on.
    note(&product.app, 1);
    linked_by_itself(product, 6).await;
    tamper(product, "DELETE FROM audit_segments WHERE number = -1").await;
    is_missed(&found(&with_all_files(product).await));
}

async fn a_retired_key_covers_no_cut(product: &Product) {
    ten_links(product).await;
    killed(product).await;
    cut(product).await;
    tamper(product, "UPDATE data_keys SET retired = '2026-01-31T09:30:00.000Z' WHERE purpose = 'audit'").await;
    let node = product.with(&[]).await;
    note(&node.app, 3);
    linked(&node).await;
    is_missed(&found(&with_all_files(&node).await));
    node.close().await;
}

async fn a_key_that_is_spoiled_for_one_start_covers_no_cut(product: &Product) {
    ten_links(product).await;
    killed(product).await;
    cut(product).await;
    tamper(product, "ALTER TABLE data_keys ADD COLUMN was TEXT; UPDATE data_keys SET was = wrapped").await;
    tamper(product, LOCK).await;
    let node = product.with(&[]).await;
    note(&node.app, 3);
    linked(&node).await;
    let report = with_all_files(&node).await;
    assert!(!report.is_sound() && report.strangers > 0, "{report:?}");
    node.close().await;
    tamper(product, "UPDATE data_keys SET wrapped = was WHERE was IS NOT NULL; ALTER TABLE data_keys DROP COLUMN was")
        .await;
    let node = product.with(&[]).await;
    is_missed(&found(&with_all_files(&node).await));
    node.close().await;
}

async fn a_log_that_was_wiped_with_its_key_is_not_called_sound(product: &Product) {
    ten_links(product).await;
    product.close().await;
    let wiped = "DELETE FROM audit_logs; DELETE FROM audit_blocks; DELETE FROM audit_segments;
         DELETE FROM data_keys WHERE purpose = 'audit'";
    tamper(product, wiped).await;
    let node = product.with(&[]).await;
    assert!(!with_all_files(&node).await.is_sound());
    note(&node.app, 3);
    linked(&node).await;
    let report = with_all_files(&node).await;
    assert!(!report.is_sound() && report.strangers > 0 && report.links >= 3, "{report:?}");
    node.close().await;
}
