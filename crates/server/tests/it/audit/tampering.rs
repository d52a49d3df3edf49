//! Whoever gets at the database itself is found out: the first bad row is named, on both engines.

use fastcms_core::Caller;
use fastcms_core::audit::{self, CHECKPOINTS, Checkpoint, Finding, Report};
use fastcms_core::{App, audit::Event};

use crate::engine::Engine;
use crate::on_both_engines;
use crate::product::Product;

on_both_engines!(
    a_log_that_nobody_touched_verifies,
    an_edited_row_is_named,
    an_edit_of_every_single_column_is_named,
    a_deleted_row_is_named,
    a_row_put_between_others_is_named,
    a_row_put_at_the_end_is_named,
    a_good_row_put_in_once_more_is_named,
    rows_in_another_order_are_named,
    links_taken_out_with_their_rows_are_named,
    a_log_cut_off_at_its_end_disagrees_with_a_checkpoint,
    an_emptied_log_disagrees_with_a_checkpoint,
    a_table_truncated_alone_is_named_by_its_first_row,
    links_alone_taken_away_do_not_hide_what_is_missing,
    the_tables_refuse_updates_and_deletions,
    what_is_not_linked_yet_is_counted,
    two_nodes_link_one_chain,
    rows_committed_by_many_at_once_are_linked_each_once,
);

/// Ten events, linked.
async fn ten_events(product: &Product) -> Vec<String> {
    note(&product.app, 10);
    linked(product).await;
    let rows = audit::following(&Caller::operator(), &product.app, None).await.unwrap();
    rows.into_iter().map(|placed| placed.row.id).collect()
}

pub fn note(app: &App, count: usize) {
    for number in 0..count {
        audit::note(&Caller::operator(), app, Event::CollectionUpdated.on("collection", format!("c{number}")));
    }
}

/// Waits until everything is linked: on `PostgreSQL` that is when no older transaction of the whole server runs any more.
pub async fn linked(product: &Product) {
    for _ in 0..500 {
        audit::flush(&Caller::operator(), &product.app).await.unwrap();
        if audit::standing(&Caller::operator(), &product.app).await.unwrap().1 == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("rows wait to be linked for ten seconds");
}

pub async fn verified(product: &Product) -> Report {
    let file = product.app.config.data_directory().join(CHECKPOINTS);
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let checkpoints: Vec<Checkpoint> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    audit::verify(&Caller::operator(), &product.app, &checkpoints, &mut |_| {}).await.unwrap()
}

#[track_caller]
pub fn found(report: &Report) -> Finding {
    report.finding.clone().unwrap_or_else(|| panic!("nothing was found: {report:?}"))
}

/// Runs statements past the product, with its triggers taken off, as somebody with the file or the database's password would.
pub async fn tamper(product: &Product, script: &str) {
    match product.engine() {
        Engine::Sqlite => {
            let path = product.url().strip_prefix("sqlite:///").unwrap().to_owned();
            let file = rusqlite::Connection::open(path).unwrap();
            file.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
            let triggers: Vec<String> = file
                .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND name LIKE 'audit%'")
                .unwrap()
                .query_map([], |row| row.get(0))
                .unwrap()
                .map(Result::unwrap)
                .collect();
            for trigger in triggers {
                file.execute_batch(&format!("DROP TRIGGER {trigger}")).unwrap();
            }
            file.execute_batch(script).unwrap();
        }
        Engine::Postgres => {
            postgres(product, &format!("SET session_replication_role = replica; {script}")).await.unwrap();
        }
    }
}

/// What a question to `SQLite` is answered with.
pub fn number(product: &Product, question: &str) -> i64 {
    let path = product.url().strip_prefix("sqlite:///").unwrap().to_owned();
    rusqlite::Connection::open(path).unwrap().query_row(question, [], |row| row.get(0)).unwrap()
}

async fn postgres(product: &Product, script: &str) -> Result<(), tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(product.url(), tokio_postgres::NoTls).await.unwrap();
    let driving = tokio::spawn(connection);
    let done = client.batch_execute(script).await;
    drop(client);
    let _ = driving.await;
    done
}

async fn a_log_that_nobody_touched_verifies(product: &Product) {
    product.admin().await;
    let ids = ten_events(product).await;
    let report = verified(product).await;
    assert_eq!(report.finding, None, "{report:?}");
    assert_eq!((report.links, report.tail), (i64::try_from(ids.len()).unwrap(), 0));
    assert!(report.checkpoints >= 1);
}

async fn an_edited_row_is_named(product: &Product) {
    let ids = ten_events(product).await;
    tamper(product, &format!("UPDATE audit_logs SET severity = 'info' WHERE id = '{}'", ids[4])).await;
    let found = found(&verified(product).await);
    assert_eq!((found.row_id, found.link), (Some(ids[4].clone()), Some(5)));
}

async fn an_edit_of_every_single_column_is_named(product: &Product) {
    let ids = ten_events(product).await;
    for column in [
        "created",
        "event_type",
        "event_action",
        "severity",
        "outcome",
        "user_id",
        "user_email",
        "ip_address",
        "user_agent",
        "resource_type",
        "resource_id",
        "description",
        "details",
        "error_message",
    ] {
        let id = &ids[6];
        tamper(product, &format!("CREATE TABLE kept AS SELECT * FROM audit_logs WHERE id = '{id}'")).await;
        tamper(product, &format!("UPDATE audit_logs SET {column} = 'x' WHERE id = '{id}'")).await;
        assert_eq!(found(&verified(product).await).row_id.as_ref(), Some(id), "{column}");
        let back =
            format!("UPDATE audit_logs SET {column} = (SELECT {column} FROM kept) WHERE id = '{id}'; DROP TABLE kept");
        tamper(product, &back).await;
        assert_eq!(verified(product).await.finding, None);
    }
}

async fn a_deleted_row_is_named(product: &Product) {
    let ids = ten_events(product).await;
    tamper(product, &format!("DELETE FROM audit_logs WHERE id = '{}'", ids[3])).await;
    let found = found(&verified(product).await);
    assert_eq!((found.what.as_str(), found.link), ("a row was deleted", Some(4)));
    assert!(found.seq.is_some());
}

const COPIED: &str = "created, event_type, event_action, severity, outcome, description, key_id, mac";
/// All that is signed, and its signature.
const WHOLE: &str = "id, created, event_type, event_action, severity, outcome, user_id, user_email, ip_address, user_agent, \
    resource_type, resource_id, description, details, error_message, key_id, mac";

async fn a_row_put_between_others_is_named(product: &Product) {
    let ids = ten_events(product).await;
    tamper(product, &format!("DELETE FROM audit_logs WHERE id = '{}'", ids[3])).await;
    let place = match product.engine() {
        Engine::Sqlite => ("seq", "seq", ""),
        Engine::Postgres => ("position, seq", "position, seq", " OVERRIDING SYSTEM VALUE"),
    };
    // In the place of the one that went: a copy of a good row under another id.
    let script = format!(
        "INSERT INTO audit_logs ({}, id, {COPIED}){} SELECT {}, 'forged', {COPIED} FROM \
         (SELECT *, seq AS old FROM audit_logs WHERE id = '{}') AS good",
        place.0,
        place.2,
        place.1.replace("seq", "seq - 1"),
        ids[4]
    );
    tamper(product, &script).await;
    assert_eq!(found(&verified(product).await).row_id.as_deref(), Some("forged"));
}

async fn a_row_put_at_the_end_is_named(product: &Product) {
    let ids = ten_events(product).await;
    let position = match product.engine() {
        Engine::Sqlite => ("", ""),
        Engine::Postgres => ("position, ", "pg_current_xact_id()::text::bigint, "),
    };
    let script = format!(
        "INSERT INTO audit_logs ({}id, {COPIED}) SELECT {}'forged', {COPIED} FROM audit_logs WHERE id = '{}'",
        position.0, position.1, ids[0]
    );
    tamper(product, &script).await;
    assert_eq!(found(&verified(product).await).row_id.as_deref(), Some("forged"));
    // Linking it in good faith does not make it good.
    linked(product).await;
    let found = found(&verified(product).await);
    assert_eq!((found.row_id.as_deref(), found.link), (Some("forged"), Some(11)));
}

async fn a_good_row_put_in_once_more_is_named(product: &Product) {
    let ids = ten_events(product).await;
    let position = match product.engine() {
        Engine::Sqlite => ("", ""),
        Engine::Postgres => ("position, ", "pg_current_xact_id()::text::bigint, "),
    };
    // Its signature is good, and no index knows its id.
    let (id, (column, now)) = (&ids[2], position);
    let copy =
        format!("INSERT INTO audit_logs ({column}{WHOLE}) SELECT {now}{WHOLE} FROM audit_logs WHERE id = '{id}'");
    tamper(product, &copy).await;
    for is_linked in [false, true] {
        if is_linked {
            linked(product).await;
        }
        let found = found(&verified(product).await);
        assert_eq!(
            (found.what.as_str(), found.row_id.as_ref()),
            ("two rows have the same id", Some(id)),
            "{is_linked}"
        );
    }
}

async fn rows_in_another_order_are_named(product: &Product) {
    let ids = ten_events(product).await;
    let swap = |a: &str, b: &str| format!("UPDATE audit_logs SET id = '{b}' WHERE id = '{a}';");
    // The ids alone, then the whole rows.
    let (second, eighth) = (ids[1].as_str(), ids[7].as_str());
    let ids_alone = [swap(second, "x"), swap(eighth, second), swap("x", eighth)].concat();
    tamper(product, &ids_alone).await;
    assert_eq!(found(&verified(product).await).link, Some(2));
    tamper(product, &ids_alone).await;
    assert_eq!(verified(product).await.finding, None);
    let number = |a: &str, seq: &str| format!("UPDATE audit_logs SET seq = {seq} WHERE id = '{a}';");
    if product.engine() == Engine::Postgres {
        tamper(product, "ALTER TABLE audit_logs ALTER COLUMN seq DROP IDENTITY").await;
    }
    let script = [
        format!("CREATE TABLE kept AS SELECT id, seq FROM audit_logs WHERE id IN ('{second}', '{eighth}');"),
        number(second, "-1"),
        number(eighth, &format!("(SELECT seq FROM kept WHERE id = '{second}')")),
        number(second, &format!("(SELECT seq FROM kept WHERE id = '{eighth}')")),
    ];
    tamper(product, &script.concat()).await;
    let found = found(&verified(product).await);
    assert_eq!((found.row_id.as_deref(), found.link), (Some(eighth), Some(2)));
}

async fn links_taken_out_with_their_rows_are_named(product: &Product) {
    ten_events(product).await;
    ten_events(product).await;
    ten_events(product).await;
    let middle = "SELECT after_position FROM audit_blocks WHERE number = 2";
    let end = "SELECT last_position FROM audit_blocks WHERE number = 2";
    let place = if product.engine() == Engine::Sqlite { "seq" } else { "position" };
    let rows = format!("DELETE FROM audit_logs WHERE {place} > ({middle}) AND {place} <= ({end});");
    tamper(product, &format!("{rows} DELETE FROM audit_blocks WHERE number = 2")).await;
    let finding = found(&verified(product).await);
    assert!(finding.what.contains("does not follow") && finding.link == Some(11), "{finding:?}");
    // Nor does it help to make the next block look as if it followed.
    let script = "UPDATE audit_blocks SET first_link = 11, after_position = \
        (SELECT last_position FROM audit_blocks WHERE number = 1) WHERE number = 3";
    tamper(product, script).await;
    assert_eq!(found(&verified(product).await).link, Some(11));
}

async fn a_log_cut_off_at_its_end_disagrees_with_a_checkpoint(product: &Product) {
    ten_events(product).await;
    let place = if product.engine() == Engine::Sqlite { "seq" } else { "position" };
    ten_events(product).await;
    // The file knows both ends: whoever cuts the second off leaves a sound chain of the first.
    let cut = format!(
        "DELETE FROM audit_logs WHERE {place} > (SELECT last_position FROM audit_blocks WHERE number = 1);
         DELETE FROM audit_blocks WHERE number > 1"
    );
    tamper(product, &cut).await;
    let found = found(&verified(product).await);
    assert!(found.what.contains("knows link 20") && found.link == Some(11), "{found:?}");
}

async fn an_emptied_log_disagrees_with_a_checkpoint(product: &Product) {
    ten_events(product).await;
    tamper(product, "DELETE FROM audit_logs; DELETE FROM audit_blocks; DELETE FROM audit_segments").await;
    assert_eq!(found(&verified(product).await).link, Some(1));
}

async fn a_table_truncated_alone_is_named_by_its_first_row(product: &Product) {
    ten_events(product).await;
    let truncate = match product.engine() {
        Engine::Sqlite => "DELETE FROM audit_logs",
        // Triggers of statements do not hold whoever owns the table.
        Engine::Postgres => "ALTER TABLE audit_logs DISABLE TRIGGER USER; TRUNCATE audit_logs",
    };
    tamper(product, truncate).await;
    let finding = found(&verified(product).await);
    assert_eq!((finding.what.as_str(), finding.link), ("a row was deleted", Some(1)));
    assert!(finding.seq.is_some());
}

async fn links_alone_taken_away_do_not_hide_what_is_missing(product: &Product) {
    let ids = ten_events(product).await;
    // Without its links the log looks as if nothing had been linked yet: what is outside knows better.
    tamper(product, "DELETE FROM audit_blocks").await;
    let finding = found(&verified(product).await);
    assert!(finding.what.contains("knows link 10") && finding.link == Some(1), "{finding:?}");
    // Linked anew by us in good faith, without the row that somebody wanted gone.
    tamper(product, &format!("DELETE FROM audit_logs WHERE id = '{}'", ids[3])).await;
    linked(product).await;
    let finding = found(&verified(product).await);
    assert!(finding.link.is_some(), "{finding:?}");
}

async fn the_tables_refuse_updates_and_deletions(product: &Product) {
    product.admin().await;
    ten_events(product).await;
    for statement in [
        "UPDATE audit_logs SET severity = 'info'",
        "DELETE FROM audit_logs",
        "UPDATE audit_blocks SET created = ''",
        "DELETE FROM audit_blocks",
        "DELETE FROM audit_segments",
        "UPDATE audit_segments SET first_link = 1",
        "UPDATE audit_users SET account_id = ''",
        "DELETE FROM audit_users",
    ] {
        // There it is an index of the server's.
        if product.engine() == Engine::Postgres && statement.contains("audit_users") {
            continue;
        }
        let refused = match product.engine() {
            Engine::Sqlite => {
                let path = product.url().strip_prefix("sqlite:///").unwrap().to_owned();
                rusqlite::Connection::open(path).unwrap().execute_batch(statement).unwrap_err().to_string()
            }
            Engine::Postgres => {
                let error = postgres(product, statement).await.unwrap_err();
                error.as_db_error().unwrap().message().to_owned()
            }
        };
        assert!(refused.contains("is append-only"), "{statement}: {refused}");
    }
    if product.engine() == Engine::Postgres {
        for table in ["audit_logs", "audit_blocks", "audit_segments", "audit_logs, audit_blocks, audit_segments"] {
            let error = postgres(product, &format!("TRUNCATE {table}")).await.unwrap_err();
            assert!(error.as_db_error().unwrap().message().contains("is append-only"), "{table}: {error}");
        }
    }
    assert_eq!(verified(product).await.finding, None);
}

async fn what_is_not_linked_yet_is_counted(product: &Product) {
    ten_events(product).await;
    let body = serde_json::json!({"name": "posts", "type": "base"});
    let admin = Caller::operator();
    fastcms_core::collections::create(&admin, &product.app, body.as_object().unwrap()).await.unwrap();
    fastcms_core::collections::truncate(&admin, &product.app, "posts").await.unwrap();
    let (links, tail) = audit::standing(&Caller::operator(), &product.app).await.unwrap();
    let report = verified(product).await;
    assert_eq!((report.finding.clone(), report.links + report.tail), (None, links + tail));
    assert!(links + tail > 10, "{report:?}");
}

async fn two_nodes_link_one_chain(product: &Product) {
    let other = product.with(&[]).await;
    for _ in 0..10 {
        note(&product.app, 20);
        note(&other.app, 20);
        let operator = Caller::operator();
        let (one, two) = tokio::join!(audit::flush(&operator, &product.app), audit::flush(&operator, &other.app));
        one.unwrap();
        two.unwrap();
    }
    linked(product).await;
    let report = verified(product).await;
    assert_eq!((report.finding.clone(), report.tail), (None, 0), "{report:?}");
    assert!(report.links > 100, "{report:?}");
    other.close().await;
}

async fn rows_committed_by_many_at_once_are_linked_each_once(product: &Product) {
    let mut writers = Vec::new();
    for writer in 0..8 {
        let app = std::sync::Arc::clone(&product.app);
        writers.push(tokio::spawn(async move {
            for number in 0..50 {
                let email = format!("u{writer}x{number}@example.com");
                let body = serde_json::json!({"name": format!("c{writer}x{number}"), "type": "base"});
                let made =
                    fastcms_core::collections::create(&Caller::operator(), &app, body.as_object().unwrap()).await;
                made.unwrap_or_else(|error| panic!("{email}: {error}"));
                if number % 10 == 0 {
                    audit::flush(&Caller::operator(), &app).await.unwrap();
                }
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    linked(product).await;
    let report = verified(product).await;
    assert_eq!((report.finding.clone(), report.tail), (None, 0));
}
