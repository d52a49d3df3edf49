//! Several nodes: one makes a data key, another has to have it unwrapped.

use std::time::Duration;

use fastcms_core::audit::{self, Wanted};
use fastcms_core::{App, Caller, Error, access, keys, sealing};
use serde_json::{Value, json};

use super::{KEY, MARKER};
use crate::callers::{Calls, open};
use crate::managers::openbao::OpenBao;
use crate::on_both_engines;
use crate::product::{Product, text};

on_both_engines!(
    a_data_key_that_one_node_makes_is_unwrapped_by_the_others,
    a_node_that_is_cut_off_from_the_vault_goes_on_and_refuses_to_seal_under_what_it_cannot_open,
);

async fn renew(app: &App) -> Result<i64, Error> {
    let caller = access::recent(Caller::operator(), app).unwrap();
    sealing::renew(&caller, app, Duration::from_millis(10)).await
}

async fn recheck(node: &Product) {
    keys::recheck(&Caller::operator(), &node.app).await.unwrap();
}

/// Looks at the data keys until this record can be read: the vault is asked beside.
async fn opens(node: &Product, id: &str) {
    for _ in 0..100 {
        recheck(node).await;
        if read(node, id).await == MARKER {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("{id} is not opened");
}

/// Makes a record, or says with what status that was refused.
async fn make(node: &Product) -> Result<String, u16> {
    let body = json!({"data": {"body": MARKER}});
    let made = node.guest().post("/api/v1/collections/notes/records", &body).await;
    if made.status == 201 { Ok(text(&made.json()["id"])) } else { Err(made.status.as_u16()) }
}

async fn read(node: &Product, id: &str) -> Value {
    let path = format!("/api/v1/collections/notes/records/{id}");
    node.guest().get(&path).await.expect(200).json()["data"]["body"].clone()
}

/// A node whose data keys the vault wraps, and who shows it the token in this file.
async fn node(product: &Product, bao: &OpenBao, token_file: &str) -> Product {
    let (address, authority) = (format!("https://localhost:{}", bao.port), bao.authority());
    let settings = [
        ("ENCRYPTION_TRANSIT_KEY", KEY),
        ("VAULT_ADDR", &address),
        ("VAULT_CACERT", authority.to_str().unwrap()),
        ("VAULT_TOKEN_FILE", token_file),
    ];
    product.with(&settings).await
}

fn with_token(bao: &OpenBao) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bao.token()).unwrap();
    file
}

async fn notes(product: &Product) {
    let admin = product.admin().await;
    let schema = json!([{"name": "body", "type": "text", "encrypted": true}]);
    admin.collection(&open("notes", &schema)).await;
}

async fn a_data_key_that_one_node_makes_is_unwrapped_by_the_others(product: &Product) {
    let bao = OpenBao::start();
    bao.transit_role();
    notes(product).await;
    let file = with_token(&bao);
    let path = file.path().to_str().unwrap();
    // Two that start at once and both find everything wrapped by the ring.
    let (one, other) = tokio::join!(node(product, &bao, path), node(product, &bao, path));
    let first = make(&one).await.unwrap();
    assert_eq!(read(&other, &first).await, MARKER);
    // The node without the setting holds what it has unwrapped before.
    recheck(product).await;
    assert_eq!(read(product, &make(product).await.unwrap()).await, MARKER);

    renew(&one.app).await.unwrap();
    let second = make(&one).await.unwrap();
    let unwrapped = bao.asked("transit/decrypt/fastcms");
    opens(&other, &second).await;
    for _ in 0..3 {
        recheck(&other).await;
        assert_eq!(read(&one, &make(&other).await.unwrap()).await, MARKER);
    }
    assert!(bao.asked("transit/decrypt/fastcms") - unwrapped <= 1, "once, and not again");

    // In an outage nobody misses anything but a further data key.
    bao.seal();
    assert!(matches!(renew(&one.app).await, Err(Error::Unavailable(why)) if why.contains("is sealed")));
    for node in [&one, &other] {
        recheck(node).await;
        assert_eq!(read(node, &first).await, MARKER);
        assert_eq!(read(node, &make(node).await.unwrap()).await, MARKER);
    }
    one.close().await;
    other.close().await;
}

async fn a_node_that_is_cut_off_from_the_vault_goes_on_and_refuses_to_seal_under_what_it_cannot_open(
    product: &Product,
) {
    let bao = OpenBao::start();
    bao.transit_role();
    notes(product).await;
    let (mine, yours) = (with_token(&bao), with_token(&bao));
    let one = node(product, &bao, mine.path().to_str().unwrap()).await;
    let other = node(product, &bao, yours.path().to_str().unwrap()).await;
    let first = make(&other).await.unwrap();
    let token = std::fs::read_to_string(yours.path()).unwrap();
    bao.run(&["token", "revoke", token.trim()]);

    renew(&one.app).await.unwrap();
    let second = make(&one).await.unwrap();
    for _ in 0..3 {
        recheck(&other).await;
        assert_eq!(read(&other, &first).await, MARKER, "what it holds it opens");
        assert_eq!(make(&other).await, Err(503));
    }
    // It is told of once.
    for _ in 0..100 {
        recheck(&other).await;
        if told(&other).await > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for _ in 0..3 {
        recheck(&other).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(told(&other).await, 1);

    std::fs::write(yours.path(), bao.token()).unwrap();
    opens(&other, &second).await;
    assert_eq!(read(&one, &make(&other).await.unwrap()).await, MARKER);
    one.close().await;
    other.close().await;
}

/// How often it was said that the vault denies a data key. A node without a way to it has its own to say.
async fn told(node: &Product) -> usize {
    audit::flush(&Caller::operator(), &node.app).await.unwrap();
    let wanted = Wanted { event_action: Some("secret_use"), outcome: Some("error"), ..Wanted::default() };
    let rows = audit::latest(&Caller::operator(), &node.app, wanted, 100).await.unwrap();
    rows.iter().filter(|row| row.details.as_ref().is_some_and(|details| details.contains("is denied"))).count()
}
