//! A node that was not told of a change of rules: it finds out by itself, and until then nothing is written under the old ones.

use std::time::Duration;

use serde_json::json;

use crate::callers::{Calls, open, record, records};
use crate::engine::{Engine, statement};
use crate::product::Product;

crate::on_both_engines!(
    rules_that_changed_unheard_are_found_out,
    no_record_is_deleted_under_rules_that_changed_unheard,
);

/// Closes a collection past the product, as another node does whose announcement is lost.
async fn close_unheard(product: &Product) {
    let closing = "UPDATE collections SET list_rule = NULL, view_rule = NULL, delete_rule = NULL, version = version + 1 \
        WHERE name = 'notes'; UPDATE schema_generation SET generation = generation + 1";
    match product.engine() {
        Engine::Sqlite => {
            let path = product.url().strip_prefix("sqlite:///").unwrap().to_owned();
            let file = rusqlite::Connection::open(path).unwrap();
            file.busy_timeout(Duration::from_secs(10)).unwrap();
            file.execute_batch(closing).unwrap();
        }
        Engine::Postgres => statement(product.url(), closing).await,
    }
}

async fn rules_that_changed_unheard_are_found_out(product: &Product) {
    let admin = product.admin().await;
    admin.collection(&open("notes", &json!([{"name": "text", "type": "text"}]))).await;
    product.guest().get(&records("notes")).await.expect(200);
    close_unheard(product).await;
    for _ in 0..100 {
        if product.guest().get(&records("notes")).await.status == 401 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the old rules are still in force");
}

async fn no_record_is_deleted_under_rules_that_changed_unheard(product: &Product) {
    let admin = product.admin().await;
    admin.collection(&open("notes", &json!([{"name": "text", "type": "text"}]))).await;
    let (one, two) =
        (admin.make("notes", &json!({"text": "a"})).await, admin.make("notes", &json!({"text": "b"})).await);
    product.guest().delete(&record("notes", &one["id"])).await.expect(204);
    close_unheard(product).await;
    product.guest().delete(&record("notes", &two["id"])).await.refused(401, "authentication_required");
    admin.get(&record("notes", &two["id"])).await.expect(200);
}
