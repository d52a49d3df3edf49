//! Secrets that grow old: admins are told in good time, once each; a key whose age the operator limits is made anew by itself, once.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use fastcms_core::{Caller, secrets};

use super::smtp::Smtp;
use crate::callers::{Admin, Calls};
use crate::keys::KEY_B;
use crate::on_both_engines;
use crate::process::SECRET;
use crate::product::Product;

on_both_engines!(
    admins_hear_of_a_secret_that_grows_old_before_it_is_and_again_when_it_is,
    a_key_whose_age_is_limited_is_made_anew_by_one_node_alone,
);

const DAY: i64 = 86_400;

/// The file was written that many days ago.
fn written_ago(product: &Product, file: &Path, days: i64) {
    let at = UNIX_EPOCH + Duration::from_secs(u64::try_from(product.app.now_seconds() - days * DAY).unwrap());
    std::fs::File::options().write(true).open(file).unwrap().set_modified(at).unwrap();
}

/// Two nodes look at the same moment.
async fn look(one: &Product, other: &Product) {
    let caller = Caller::background();
    let look = |node| Box::pin(secrets::watch_ages(&caller, node));
    let (one, other) = tokio::join!(look(&*one.app), look(&*other.app));
    one.and(other).unwrap();
}

async fn admins_hear_of_a_secret_that_grows_old_before_it_is_and_again_when_it_is(product: &Product) {
    let smtp = Smtp::start().await;
    let file = product.folder().join("mail-password");
    std::fs::write(&file, "smtp-password").unwrap();
    let (port, path) = (smtp.port.to_string(), file.to_str().unwrap());
    let settings =
        [("SMTP_USER", "cms"), ("SMTP_PASSWORD_FILE", path), ("SMTP_HOST", "localhost"), ("SMTP_PORT", port.as_str())];
    let (node, other) = (product.with(&settings).await, product.with(&settings).await);
    node.admin().await;
    let state = |days: i64, state: &'static str, mail: Option<&'static str>| {
        let (node, other, smtp, file) = (&node, &other, &smtp, &file);
        async move {
            written_ago(node, file, days);
            Box::pin(look(node, other)).await;
            Box::pin(look(node, other)).await;
            super::deliver(node, smtp).await;
            let mails = smtp.take();
            let subjects: Vec<String> = mails.iter().map(|mail| mail.header("Subject").unwrap()).collect();
            assert_eq!(subjects, mail.into_iter().collect::<Vec<_>>(), "{days} days");
            for mail in &mails {
                assert!(mail.raw.contains(&format!("is {days} days old")), "{}", mail.raw);
                assert!(!mail.raw.contains("smtp-password"));
            }
            let items = secrets::list(&Caller::operator(), &node.app).await.unwrap();
            let item = items.iter().find(|item| item.name == "SMTP_PASSWORD").unwrap();
            assert_eq!((item.age_days, item.state.name()), (Some(days), state));
        }
    };
    state(300, "fresh", None).await;
    state(330, "fresh", Some("SMTP_PASSWORD is due for rotation soon")).await;
    state(365, "too_old", Some("SMTP_PASSWORD is due for rotation")).await;
    // Whoever writes a new one is told of it anew when that is old.
    state(0, "fresh", None).await;
    state(366, "too_old", Some("SMTP_PASSWORD is due for rotation")).await;
    node.close().await;
    other.close().await;
}

async fn a_key_whose_age_is_limited_is_made_anew_by_one_node_alone(product: &Product) {
    let (key, previous) = (product.folder().join("key"), product.folder().join("previous"));
    std::fs::write(&key, SECRET).unwrap();
    std::fs::write(&previous, KEY_B).unwrap();
    let settings = [
        ("SECRET_KEY", ""),
        ("SECRET_KEY_FILE", key.to_str().unwrap()),
        ("SECRET_KEY_PREVIOUS_FILE", previous.to_str().unwrap()),
        ("SECRET_MAX_AGE_DAYS", "30"),
    ];
    let (node, other) = (product.with(&settings).await, product.with(&settings).await);
    let admin = node.admin().await;
    let admin = Admin { product: &node, ..admin };
    written_ago(&node, &key, 28);
    Box::pin(look(&node, &other)).await;
    assert_eq!(std::fs::read_to_string(&key).unwrap(), SECRET);
    written_ago(&node, &key, 29);
    Box::pin(look(&node, &other)).await;
    Box::pin(look(&node, &other)).await;
    let fresh = std::fs::read_to_string(&key).unwrap();
    assert_eq!(fresh.len(), 96);
    // The one that nothing depends on any more is gone, the one that was in force is kept.
    assert_eq!(std::fs::read_to_string(&previous).unwrap(), SECRET);
    let rotated = admin.get("/api/v1/audit?event_action=secret_rotate").await.expect(200).json();
    assert_eq!(rotated["items"].as_array().unwrap().len(), 1, "{rotated}");
    node.close().await;
    other.close().await;
}
