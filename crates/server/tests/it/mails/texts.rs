//! Texts of mails that admins write: what may stand in them, and that none of them loses a mail.

use std::time::{Duration, Instant};

use fastcms_core::audit;
use fastcms_store::mails::templates::{self, StoredTemplate};
use http::Method;

use super::*;
use crate::callers::Admin;
use crate::on_both_engines;
use crate::product::Answer;

on_both_engines!(
    a_text_is_shown_written_previewed_and_taken_back,
    a_text_that_could_do_anything_but_name_values_is_refused,
    a_text_that_has_become_unfit_loses_no_mail,
    a_text_counts_on_every_node,
);

const TEMPLATES: &str = "/api/v1/admin/email/templates";
const RESET: &str = "/api/v1/auth/request-password-reset";

async fn put(admin: &Admin<'_>, kind: &str, subject: &str, body: &str) -> Answer {
    let text = json!({"subject": subject, "body": body});
    admin.call(Method::PUT, &format!("{TEMPLATES}/{kind}"), Some(&text)).await
}

async fn ask_for_reset(node: &Product) {
    node.guest().post(RESET, &json!({"email": "bob@example.com"})).await.expect(204);
}

/// How often a text was found unfit.
async fn unfit(product: &Product) -> i64 {
    audit::flush(&Caller::operator(), &product.app).await.unwrap();
    let wanted =
        audit::Wanted { event_action: Some("settings_change"), outcome: Some("error"), ..audit::Wanted::default() };
    audit::list(&Caller::operator(), &product.app, wanted, 1, 0).await.unwrap().total
}

async fn a_text_is_shown_written_previewed_and_taken_back(product: &Product) {
    let smtp = Smtp::start().await;
    let node = node_with(product, &smtp).await;
    let admin = node.admin().await;
    node.user("bob").await;
    post(&node, &smtp).await;
    let all = admin.get(TEMPLATES).await.expect(200).json();
    assert_eq!(all["total"], fastcms_core::mail::Kind::ALL.len());
    let path = format!("{TEMPLATES}/password_reset");
    let delivered = admin.get(&path).await.expect(200).json();
    assert_eq!((&delivered["edited"], &delivered["subject"]), (&json!(false), &json!("Choose a new password")));
    assert!(delivered["variables"].as_array().unwrap().contains(&json!("link")));

    let body = "Hello {{ email }},\n\n{% if link %}{{ link }}{% endif %}\n\n<b>{{ app_name }}</b>";
    let preview = json!({"subject": "Forgotten?", "body": body});
    let seen = admin.post(&format!("{path}/preview"), &preview).await.expect(200).json();
    assert_eq!(seen["subject"], "Forgotten?");
    assert!(seen["text"].as_str().unwrap().contains("http://localhost:8000/admin/reset-password#example"));
    assert!(seen["html"].as_str().unwrap().contains("&lt;b&gt;FastCMS&lt;"), "what is written is never markup");
    ask_for_reset(&node).await;
    assert!(post(&node, &smtp).await.contains_key("Choose a new password"), "a preview changes nothing");

    let written = put(&admin, "password_reset", "Forgotten, {{ email }}?", body).await.expect(200).json();
    assert_eq!((&written["edited"], &written["fault"]), (&json!(true), &Value::Null));
    ask_for_reset(&node).await;
    let mails = post(&node, &smtp).await;
    let mail = &mails["Forgotten, bob@example.com?"];
    assert!(mail.link().is_some() && mail.text().contains("Hello bob@example.com,"));
    let in_force = admin.post(&format!("{path}/preview"), &json!({})).await.expect(200).json();
    assert_eq!(in_force["subject"], "Forgotten, somebody@example.com?");

    admin.delete(&path).await.expect(204);
    admin.delete(&path).await.expect(204);
    assert_eq!(admin.get(&path).await.expect(200).json(), delivered);
    ask_for_reset(&node).await;
    assert!(post(&node, &smtp).await.contains_key("Choose a new password"));
    let unknown = format!("{TEMPLATES}/nothing");
    admin.get(&unknown).await.refused(404, "not_found");
    put(&admin, "nothing", "s", "b").await.refused(404, "not_found");
    admin.delete(&unknown).await.refused(404, "not_found");
    admin.post(&format!("{unknown}/preview"), &json!({})).await.refused(404, "not_found");
    node.close().await;
}

/// CVE-2023-22621: templates of another product ran code.
async fn a_text_that_could_do_anything_but_name_values_is_refused(product: &Product) {
    let admin = product.admin().await;
    for body in [
        "{{ link }} {{ 7 * 7 }}",
        "{{ link }} {% set a = link ~ link %}",
        "{{ link }} {% for c in link %}x{% endfor %}",
        "{{ link }} {% include 'html' %}",
        "{{ link }} {{ link|safe }}",
        "{{ link }} {{ password }}",
        "{{ link }} {% if link %}",
        "{{ link",
        "no link at all",
        "{% if not link %}{{ link }}{% endif %}",
        "a\u{0}b {{ link }}",
    ] {
        let refused = put(&admin, "password_reset", "s", body).await.refused(422, "validation_failed").json();
        assert!(refused["details"]["body"].is_string(), "{body}: {refused}");
        let path = format!("{TEMPLATES}/password_reset/preview");
        admin.post(&path, &json!({"subject": "s", "body": body})).await.refused(422, "validation_failed");
    }
    for subject in ["", "two\nlines", "{{ link ~ link }}", "{{ nothing }}"] {
        let refused = put(&admin, "password_reset", subject, "{{ link }}").await.refused(422, "validation_failed");
        assert!(refused.json()["details"]["subject"].is_string(), "{subject}");
    }
    put(&admin, "password_reset", "s", &"x".repeat(10_001)).await.refused(422, "validation_failed");
    put(&admin, "one_time_code", "s", "no code").await.refused(422, "validation_failed");
    put(&admin, "one_time_code", "{{ code }}", "{{ code }}").await.expect(200);
    let path = format!("{TEMPLATES}/password_reset/preview");
    admin.post(&path, &json!({"subject": "s"})).await.refused(422, "validation_failed");
}

async fn a_text_that_has_become_unfit_loses_no_mail(product: &Product) {
    let smtp = Smtp::start().await;
    let node = node_with(product, &smtp).await;
    let admin = node.admin().await;
    node.user("bob").await;
    post(&node, &smtp).await;
    for body in ["{{ gone }} {{ link }}", "{% for a in link %}{{ link }}{% endfor %}", "without it", "{{ unclosed"] {
        let before = unfit(&node).await;
        let row = StoredTemplate {
            kind: "password_reset".to_owned(),
            subject: "Edited".to_owned(),
            body: body.to_owned(),
            updated: "2026-01-01T00:00:00.000Z".to_owned(),
        };
        let written = node.app.store.write(move |tx| Box::pin(async move { templates::put(tx, &row).await }));
        written.await.unwrap();
        let begun = Instant::now();
        loop {
            ask_for_reset(&node).await;
            let mails = post(&node, &smtp).await;
            assert!(mails.len() == 1 && mails.values().all(|mail| mail.link().is_some()), "{body}: {mails:?}");
            if unfit(&node).await > before {
                assert!(mails.contains_key("Choose a new password"), "{body}");
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "{body} was never looked at");
        }
        let shown = admin.get(&format!("{TEMPLATES}/password_reset")).await.expect(200).json();
        assert_eq!(shown["fault"].is_string(), body != "without it", "{body}: {shown}");
    }
    node.close().await;
}

async fn a_text_counts_on_every_node(product: &Product) {
    let smtp = Smtp::start().await;
    let node = node_with(product, &smtp).await;
    let admin = product.admin().await;
    node.user("bob").await;
    post(&node, &smtp).await;
    put(&admin, "password_reset", "Another subject", "{{ link }}").await.expect(200);
    let begun = Instant::now();
    loop {
        ask_for_reset(&node).await;
        if post(&node, &smtp).await.contains_key("Another subject") {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "the other node did not hear of it");
    }
    node.close().await;
}
