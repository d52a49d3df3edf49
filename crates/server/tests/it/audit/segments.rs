//! Stretches of the chain: whoever takes one away, or says that it ended otherwise or was given leave to go, is found out; and so is a chain
//! that was linked anew.

use fastcms_core::Caller;
use fastcms_core::audit::{self, Finding};

use super::tampering::{found, linked, note, tamper, verified};
use crate::engine::Engine;
use crate::on_both_engines;
use crate::product::Product;

on_both_engines!(
    a_segment_taken_out_with_all_that_is_in_it_is_missed,
    the_end_of_a_segment_is_sealed,
    rows_go_only_with_leave_that_we_gave,
    a_chain_linked_anew_is_not_the_one_that_a_checkpoint_knows,
    a_row_put_behind_the_last_of_a_block_is_named,
    a_row_kept_from_before_retention_and_put_back_is_named,
);

const DAY: i64 = 24 * 3600;

/// Three segments of five events, the last of which is open.
async fn three_days(product: &Product) {
    for _ in 0..3 {
        note(&product.app, 5);
        linked(product).await;
        product.clock.advance_seconds(DAY);
    }
    let report = verified(product).await;
    assert_eq!((report.finding, report.links), (None, 15));
}

async fn finding(product: &Product) -> Finding {
    found(&verified(product).await)
}

/// The column by which rows are ordered.
fn place(product: &Product) -> &'static str {
    if product.engine() == Engine::Sqlite { "seq" } else { "position" }
}

/// Takes the rows and the blocks of a segment away.
fn emptied(product: &Product, number: i64) -> String {
    let (place, of) = (place(product), format!("FROM audit_segments WHERE number = {number}"));
    format!(
        "DELETE FROM audit_logs WHERE {place} > (SELECT first_position {of}) AND {place} <= (SELECT last_position {of});
         DELETE FROM audit_blocks WHERE segment = {number};"
    )
}

async fn a_segment_taken_out_with_all_that_is_in_it_is_missed(product: &Product) {
    three_days(product).await;
    tamper(product, &format!("{} DELETE FROM audit_segments WHERE number = 2", emptied(product, 2))).await;
    let first = finding(product).await;
    assert!(first.what.contains("segment 3 does not follow") && first.link == Some(6), "{first:?}");
    // Nor does another number help.
    tamper(
        product,
        "UPDATE audit_blocks SET segment = 2 WHERE segment = 3; UPDATE audit_segments SET number = 2 WHERE number = 3",
    )
    .await;
    let second = finding(product).await;
    assert!(second.what.contains("segment 2 does not follow") && second.link == Some(6), "{second:?}");
}

async fn the_end_of_a_segment_is_sealed(product: &Product) {
    three_days(product).await;
    for (column, value, back) in [("links", "4", "5"), ("closed", "'2026-01-01T00:00:00.000Z'", "")] {
        let kept = "CREATE TABLE kept AS SELECT * FROM audit_segments WHERE number = 1";
        tamper(product, &format!("{kept}; UPDATE audit_segments SET {column} = {value} WHERE number = 1")).await;
        let said = finding(product).await;
        assert!(said.what.contains("the end of segment 1 was changed"), "{column} (was {back}): {said:?}");
        let restore = format!("UPDATE audit_segments SET {column} = (SELECT {column} FROM kept) WHERE number = 1");
        tamper(product, &format!("{restore}; DROP TABLE kept")).await;
        assert_eq!(verified(product).await.finding, None);
    }
}

async fn rows_go_only_with_leave_that_we_gave(product: &Product) {
    three_days(product).await;
    let leave = "UPDATE audit_segments SET pruned = '2026-06-01T00:00:00.000Z', prune_seal = seal WHERE number = 1";
    tamper(product, &format!("{} {leave}", emptied(product, 1))).await;
    let said = finding(product).await;
    assert!(said.what.contains("segment 1 was not pruned by us"), "{said:?}");
}

async fn a_chain_linked_anew_is_not_the_one_that_a_checkpoint_knows(product: &Product) {
    note(&product.app, 10);
    linked(product).await;
    let place = place(product);
    let third = format!("(SELECT {place} FROM audit_logs ORDER BY {place}, seq LIMIT 1 OFFSET 2)");
    let seq = "(SELECT seq FROM audit_logs ORDER BY seq LIMIT 1 OFFSET 2)";
    tamper(
        product,
        &format!("DELETE FROM audit_logs WHERE seq = {seq} AND {place} = {third}; DELETE FROM audit_blocks"),
    )
    .await;
    // We link what is left in good faith, and more comes.
    note(&product.app, 5);
    linked(product).await;
    let said = finding(product).await;
    assert!(said.what.contains("is not the one that a checkpoint of") && said.link == Some(10), "{said:?}");
}

async fn a_row_put_behind_the_last_of_a_block_is_named(product: &Product) {
    note(&product.app, 10);
    linked(product).await;
    note(&product.app, 5);
    linked(product).await;
    let copied = "id, created, event_type, event_action, severity, outcome, description, key_id, mac";
    let last = "(SELECT last_position FROM audit_blocks WHERE number = 1)";
    if product.engine() == Engine::Sqlite {
        // There is one row a position: behind the last of a block begins the next.
        let free = format!("SELECT count(*) FROM audit_logs WHERE seq = {last}");
        assert_eq!(super::tampering::number(product, &free), 1);
        return;
    }
    let script = format!(
        "INSERT INTO audit_logs (position, {copied}) SELECT {last}, 'forged', {} FROM audit_logs LIMIT 1",
        copied.trim_start_matches("id, ")
    );
    tamper(product, &script).await;
    let said = finding(product).await;
    assert_eq!((said.row_id.as_deref(), said.what.as_str()), (Some("forged"), "a row was put between others"));
}

/// Its signature is good, and its id stands nowhere else any more.
async fn a_row_kept_from_before_retention_and_put_back_is_named(product: &Product) {
    three_days(product).await;
    note(&product.app, 5);
    linked(product).await;
    tamper(product, "CREATE TABLE copied AS SELECT * FROM audit_logs").await;
    product.clock.advance_seconds(31 * DAY);
    assert_eq!(audit::cleanup(&Caller::operator(), &product.app, 31).await.unwrap(), 10);
    linked(product).await;
    assert_eq!(verified(product).await.finding, None, "the third day's rows follow on two days that went");

    let first = "(SELECT seq FROM copied ORDER BY seq LIMIT 1)";
    let given = if product.engine() == Engine::Sqlite { "" } else { "OVERRIDING SYSTEM VALUE" };
    // Where it was.
    tamper(product, &format!("INSERT INTO audit_logs {given} SELECT * FROM copied WHERE seq = {first}")).await;
    let said = finding(product).await;
    assert!(said.what.contains("that retention took away was put back") && said.row_id.is_some(), "{said:?}");
    assert_eq!(audit::cleanup(&Caller::operator(), &product.app, 31).await.unwrap(), 1);
    assert_eq!(verified(product).await.finding, None);

    // As if it had just happened: it is linked like any other.
    let columns = "id, created, event_type, event_action, severity, outcome, user_id, user_email, ip_address, user_agent, resource_type, \
                   resource_id, description, details, error_message, key_id, mac";
    let (place, now) = match product.engine() {
        Engine::Sqlite => ("seq", "(SELECT 1 + max(seq) FROM audit_logs)"),
        Engine::Postgres => ("position", "txid_current()"),
    };
    let again =
        format!("INSERT INTO audit_logs ({place}, {columns}) SELECT {now}, {columns} FROM copied WHERE seq = {first}");
    tamper(product, &again).await;
    linked(product).await;
    let said = finding(product).await;
    assert!(said.what.contains("of a time that retention took away was put back"), "{said:?}");
}
