//! The events of one account: all of them and no others, wherever in the log they stand, and whoever hides some is found out.

use fastcms_core::audit::{self, AuditPage, Wanted};
use fastcms_core::{App, Caller};
use serde_json::json;

use super::tampering::{found, linked, note, number, tamper, verified};
use crate::callers::{Calls, User};
use crate::engine::Engine;
use crate::on_both_engines;
use crate::product::Product;

on_both_engines!(
    the_events_of_an_account_are_those_that_name_it_page_by_page,
    events_of_an_account_are_found_before_they_are_linked,
    what_leads_to_the_events_of_an_account_goes_with_them,
    an_event_hidden_from_its_account_is_named,
    an_event_listed_twice_under_its_account_is_named,
);

const DAY: i64 = 24 * 3600;

/// Who writes often, who writes now and then, and who writes once a block.
struct Writers<'p> {
    often: User<'p>,
    sometimes: User<'p>,
    rare: User<'p>,
}

impl Writers<'_> {
    fn ids(&self) -> [&str; 4] {
        [&self.often.id, &self.sometimes.id, &self.rare.id, "nobody"]
    }
}

async fn write(user: &User<'_>) {
    user.post("/api/v1/collections/posts/records", &json!({"data": {"n": 1}})).await.expect(201);
}

/// Events of three accounts: six blocks.
async fn written(product: &Product) -> Writers<'_> {
    let schema = json!([{"name": "n", "type": "number"}]);
    let posts = json!({"name": "posts", "type": "base", "schema": schema, "create_rule": "@request.auth.id != ''"});
    fastcms_core::collections::create(&Caller::operator(), &product.app, posts.as_object().unwrap()).await.unwrap();
    product.admin().await;
    let writers = Writers {
        often: product.user("often").await,
        sometimes: product.user("sometimes").await,
        rare: product.user("rare").await,
    };
    for block in 0..6 {
        for number in 0..40 {
            let writer = match number {
                _ if number == block => &writers.rare,
                _ if number % 7 == 0 => &writers.sometimes,
                _ => &writers.often,
            };
            write(writer).await;
        }
        linked(product).await;
    }
    writers
}

async fn page(app: &App, account: Option<&str>, limit: u32, offset: u32) -> AuditPage {
    let wanted = Wanted { user_id: account.map(str::to_owned), ..Wanted::default() };
    audit::list(&Caller::operator(), app, wanted, limit, offset).await.unwrap()
}

async fn ids(app: &App, account: &str, limit: u32, offset: u32) -> Vec<String> {
    page(app, Some(account), limit, offset).await.items.into_iter().map(|row| row.id).collect()
}

/// What the log has of an account, looked through row by row.
async fn looked_through(app: &App, account: &str) -> Vec<String> {
    let rows = page(app, None, 1_000, 0).await.items.into_iter();
    rows.filter(|row| row.user_id.as_deref() == Some(account)).map(|row| row.id).collect()
}

async fn the_events_of_an_account_are_those_that_name_it_page_by_page(product: &Product) {
    let writers = written(product).await;
    for writer in [&writers.often, &writers.rare, &writers.often] {
        write(writer).await;
    }
    for account in writers.ids() {
        let all = looked_through(&product.app, account).await;
        let whole = page(&product.app, Some(account), 1_000, 0).await;
        assert_eq!(usize::try_from(whole.total).unwrap(), all.len(), "{account}");
        for limit in [1, 7, 1_000] {
            let mut paged = Vec::new();
            for offset in (0..=u32::try_from(all.len()).unwrap()).step_by(limit as usize) {
                paged.extend(ids(&product.app, account, limit, offset).await);
            }
            assert_eq!(paged, all, "{account} by {limit}");
        }
        let wanted = Wanted { user_id: Some(account.to_owned()), ..Wanted::default() };
        let tally = audit::statistics(&Caller::operator(), &product.app, wanted).await.unwrap();
        assert_eq!(tally.iter().map(|of| of.count).sum::<i64>(), whole.total, "{account}");
    }
    assert_eq!(verified(product).await.finding, None);
}

async fn events_of_an_account_are_found_before_they_are_linked(product: &Product) {
    let writers = written(product).await;
    let id = &writers.rare.id;
    let before = page(&product.app, Some(id), 10, 0).await;
    // The one of these that is linked meanwhile is found as well.
    for more in 1..=20 {
        write(&writers.rare).await;
        let after = page(&product.app, Some(id), 10, 0).await;
        assert_eq!(after.total, before.total + more);
        assert_ne!(after.items[0].id, before.items[0].id);
    }
}

async fn what_leads_to_the_events_of_an_account_goes_with_them(product: &Product) {
    let writers = written(product).await;
    let [often, sometimes, rare, _] = writers.ids();
    product.clock.advance_seconds(DAY);
    note(&product.app, 1);
    linked(product).await;
    product.clock.advance_seconds(40 * DAY);
    note(&product.app, 1);
    linked(product).await;
    assert!(audit::cleanup(&Caller::operator(), &product.app, 30).await.unwrap() > 240);
    linked(product).await;
    for account in [often, sometimes, rare] {
        assert_eq!(page(&product.app, Some(account), 10, 0).await.total, 0);
    }
    if product.engine() == Engine::Sqlite {
        assert_eq!(number(product, "SELECT count(*) FROM audit_users"), 0);
    }
    assert_eq!(verified(product).await.finding, None);
}

/// The longest stretch of an account: a block that happens to end after its first event leaves one of a single event.
fn longest(account: &str) -> String {
    let first = format!("SELECT first_seq FROM audit_users WHERE account_id = '{account}'");
    format!("account_id = '{account}' AND first_seq = ({first} ORDER BY last_seq - first_seq DESC LIMIT 1)")
}

/// What hides an event from its account's list, with what verifying says of it. On `PostgreSQL` an index leads there, which nobody can
/// change alone.
async fn an_event_hidden_from_its_account_is_named(product: &Product) {
    let writers = written(product).await;
    let (often, rare) = (&writers.often.id, &writers.rare.id);
    if product.engine() == Engine::Postgres {
        return;
    }
    assert!(number(product, &format!("SELECT count(*) FROM audit_users WHERE account_id = '{rare}'")) >= 6);
    let third =
        format!("(SELECT first_seq FROM audit_users WHERE account_id = '{rare}' ORDER BY first_seq LIMIT 1 OFFSET 2)");
    for (script, account) in [
        (format!("DELETE FROM audit_users WHERE account_id = '{rare}' AND first_seq = {third}"), rare),
        (format!("UPDATE audit_users SET account_id = 'other' WHERE account_id = '{rare}'"), rare),
        (format!("UPDATE audit_users SET last_seq = last_seq - 1 WHERE {}", longest(often)), often),
        (format!("UPDATE audit_users SET first_seq = first_seq + 1 WHERE {}", longest(often)), often),
    ] {
        let events = looked_through(&product.app, account).await;
        tamper(product, "CREATE TABLE kept AS SELECT * FROM audit_users").await;
        tamper(product, &script).await;
        let said = found(&verified(product).await);
        assert!(said.what.contains("not listed under its account"), "{script}: {said:?}");
        assert!(said.row_id.is_some_and(|id| events.contains(&id)), "{script}");
        tamper(product, "DELETE FROM audit_users; INSERT INTO audit_users SELECT * FROM kept; DROP TABLE kept").await;
        assert_eq!(verified(product).await.finding, None);
    }
}

async fn an_event_listed_twice_under_its_account_is_named(product: &Product) {
    let writers = written(product).await;
    if product.engine() == Engine::Postgres {
        return;
    }
    let (often, rare) = (&writers.often.id, &writers.rare.id);
    let after = "(SELECT 1 + max(seq) FROM audit_logs)";
    for put_in in [
        format!("SELECT account_id, first_seq + 1, last_seq FROM audit_users WHERE {}", longest(often)),
        format!("VALUES ('{rare}', {after}, {after})"),
    ] {
        tamper(product, "CREATE TABLE kept AS SELECT * FROM audit_users").await;
        tamper(product, &format!("INSERT INTO audit_users {put_in}")).await;
        let said = found(&verified(product).await);
        assert!(said.what.contains("listed twice under their account"), "{put_in}: {said:?}");
        tamper(product, "DELETE FROM audit_users; INSERT INTO audit_users SELECT * FROM kept; DROP TABLE kept").await;
        assert_eq!(verified(product).await.finding, None);
    }
}
