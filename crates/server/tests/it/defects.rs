//! One test for each defect of the original program that this product must not have. What another module shows in full is named
//! here and not run twice.

use serde_json::{Value, json};

use crate::callers::{Bearer, COLLECTIONS, Calls, collection_path, open, record, records};
use crate::on_both_engines;
use crate::process::PASSWORD;
use crate::product::{Product, text};

mod edge;

on_both_engines!(
    d01_a_rule_is_never_executed,
    d47_an_address_is_not_changed_by_a_profile,
    d54_no_input_makes_a_fault_of_ours,
    d55_internals_are_for_admins,
    d59_tokens_say_for_whom_they_are_and_no_secret,
    d64_every_time_is_utc_with_milliseconds,
    d66_all_hundred_characters_of_a_password_count,
);

/// Names where a defect is shown in full; fails when a test of that name is no longer listed there.
macro_rules! shown_elsewhere {
    ($($name:ident: $($file:literal [$($test:ident),+]),+;)*) => {$(
        #[test]
        fn $name() {
            $(for test in [$(stringify!($test)),+] {
                assert!(is_listed(include_str!($file), test), "{} lists no test `{test}`", $file);
            })+
        }
    )*};
}

/// Whether a module runs this test on both engines.
fn is_listed(source: &str, test: &str) -> bool {
    let listed = source.split("on_both_engines!(").nth(1).and_then(|rest| rest.split(");").next()).unwrap_or_default();
    listed.split(',').any(|name| name.trim() == test) && source.contains(&format!("async fn {test}(product: &Product)"))
}

shown_elsewhere! {
    d02_deleting_a_collection_drops_one_table: "collections/changes.rs" [deleting_a_collection_drops_exactly_its_table];
    d03_an_account_of_a_collection_is_nobody_elsewhere:
        "auth_collections.rs" [a_registration_takes_what_the_schema_offers_and_nothing_else],
        "auth_collections/standing.rs" [tokens_stay_in_their_audience];
    d04_collections_are_for_admins: "collections/definitions.rs" [only_admins_reach_collections];
    d05_reserved_names_stay_reserved: "collections/definitions.rs" [reserved_names_are_refused_in_any_case];
    d07_a_sort_takes_field_names: "records/reading.rs" [a_sort_that_means_nothing_is_refused_with_its_position];
    d08_a_path_follows_the_relation: "records/related.rs" [a_relation_is_followed_as_far_as_the_caller_sees];
    d10_hidden_values_and_passwords_stay_inside: "fields/secrecy.rs" [hidden_fields_never_leave_the_server, a_password_is_hashed_and_never_shown];
    d12_data_does_not_change_a_rule: "rules/meaning.rs" [data_cannot_change_what_a_rule_means];
    d13_owner_rules_work: "rules.rs" [owner_rules_work_as_documented];
    d14_accounts_of_a_collection_use_their_token: "auth_collections/standing.rs" [an_account_acts_as_itself];
    d15_nobody_has_no_role: "rules.rs" [nobody_has_no_role];
    d17_new_passwords_and_sign_outs_end_sessions:
        "accounts.rs" [sessions_end_with_the_next_request], "auth_collections.rs" [a_new_password_ends_every_session];
    d18_a_refresh_token_has_one_successor:
        "accounts.rs" [fifty_uses_of_one_refresh_token_make_one_successor, a_used_refresh_token_ends_the_family_after_the_grace],
        "auth_collections.rs" [a_token_is_refreshed_once_and_its_family_ends_with_reuse];
    d28_a_batch_is_kept: "records/many.rs" [a_batch_of_sixty_is_kept_under_traffic];
    d29_increments_add_up: "records/writing.rs" [two_hundred_increments_count_two_hundred];
    d30_setup_makes_one_admin_who_stays: "accounts.rs" [
        setup_makes_one_admin_of_fifty_callers, registration_waits_for_setup, admins_manage_users_and_the_last_one_stays
    ];
    d32_values_are_of_their_type: "fields.rs" [
        text_and_editor_take_strings, numbers_are_finite_and_flags_are_flags, addresses_are_addresses,
        days_and_instants_are_kept_in_one_form, a_choice_is_one_of_the_values, a_relation_is_a_record_that_exists,
        json_and_points_come_back_equal, an_autodate_is_set_by_the_server
    ], "fields/presence.rs" [unique_is_a_conflict_that_names_its_field], "records/writing.rs" [a_record_that_others_point_at_stays];
    d43_the_request_log_keeps_no_secret_and_knows_who_asked: "request_log.rs" [
        a_value_of_a_query_is_in_no_row_and_no_line, a_row_says_who_asked_what_and_from_where, statistics_count_requests_and_errors
    ];
    d48_edits_of_admins_are_checked: "accounts.rs" [admins_manage_users_and_the_last_one_stays];
    d49_schema_changes_hold: "collections/changes.rs" [
        records_made_during_a_change_are_all_kept, a_change_happens_whole_or_not_at_all, a_rename_keeps_the_records,
        fields_come_go_and_keep_their_values, a_field_that_becomes_required_or_unique_must_fit_the_records
    ];
    d60_a_refused_upsert_makes_no_copy: "records/many.rs" [an_upsert_that_is_refused_makes_no_copy];
    d61_filters_are_parsed: "records/reading.rs" [
        a_filter_finds_exactly_what_it_says, a_filter_that_means_nothing_is_refused_with_its_position
    ];
    d62_rules_can_be_cleared: "collections/definitions.rs" [a_rule_is_closed_by_null_and_opened_by_an_empty_text];
}

/// The walk that ran a command on the original, and its kin.
async fn d01_a_rule_is_never_executed(product: &Product) {
    let admin = product.admin().await;
    let things = admin.collection(&open("things", &json!([{"name": "title", "type": "text"}]))).await;
    for attack in [
        "().__class__.__mro__[1].__subclasses__()",
        "[c for c in ().__class__.__base__.__subclasses__()]",
        "__import__('os').system('id')",
        "title = title.__class__",
        "@request.auth.__class__ = 'x'",
        "title = (SELECT password FROM users)",
        "title = 'x'; DROP TABLE users",
        "title = 'x' UNION SELECT 1",
        "${7*7} = 49",
    ] {
        for rule in ["list_rule", "view_rule", "create_rule", "update_rule", "delete_rule", "manage_rule"] {
            let details = admin
                .patch(&collection_path(&things), &json!({rule: attack}))
                .await
                .refused(422, "validation_failed")
                .json()["details"]
                .clone();
            assert!(details[rule].is_string(), "{attack}: {details}");
        }
        // On the right of a filter, and there alone, a bare word is text.
        if attack != "title = title.__class__" {
            product.guest().list("things", &[("filter", attack)]).await.refused(400, "invalid_filter");
        }
    }
    assert_eq!(admin.get(&collection_path(&things)).await.expect(200).json(), things);
}

async fn d47_an_address_is_not_changed_by_a_profile(product: &Product) {
    product.admin().await;
    let bob = product.user("bob").await;
    for (body, field) in [
        (json!({"email": "other@example.com"}), "email"),
        (json!({"role": "admin"}), "role"),
        (json!({"verified": true}), "verified"),
        (json!({"nonsense": 1}), "nonsense"),
        (json!({"avatar": "javascript:alert(1)"}), "avatar"),
        (json!({"avatar": "data:text/html,x"}), "avatar"),
    ] {
        let details =
            bob.patch("/api/v1/auth/me", &body).await.refused(422, "validation_failed").json()["details"].clone();
        assert!(details[field].is_string(), "{body}: {details}");
    }
    let shouted = json!({"email": "BOB@example.com", "password": PASSWORD, "password_confirm": PASSWORD});
    product.guest().post("/api/v1/auth/register", &shouted).await.refused(409, "email_taken");
    let me = bob.patch("/api/v1/auth/me", &json!({"email_visibility": false, "name": "Bob"})).await.expect(200).json();
    assert_eq!((&me["email"], &me["name"], &me["role"]), (&json!("bob@example.com"), &json!("Bob"), &json!("user")));
}

#[expect(clippy::too_many_lines, reason = "a table of cases is read best in one piece")]
async fn d54_no_input_makes_a_fault_of_ours(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    admin.collection(&open("things", &json!([{"name": "t", "type": "text", "validation": {"unique": true}}, {"name": "n", "type": "number"}, {"name": "j", "type": "json"}]))).await;
    let mut answers = Vec::new();
    for page in [
        "100000000000000000000",
        "1000000000000000000",
        "9223372036854775807",
        "18446744073709551616",
        "-1",
        "1e3",
        "NaN",
        "\u{0}",
    ] {
        answers.push((format!("page={page}"), guest.list("things", &[("page", page)]).await));
        answers.push((format!("per_page={page}"), guest.list("things", &[("per_page", page)]).await));
    }
    let nul = "nul\u{0}-Horse7-battery";
    for path in ["/api/v1/auth/register", "/api/v1/auth/login", "/api/v1/setup"] {
        answers.push((
            path.to_owned(),
            guest
                .post(path, &json!({"email": "n@example.com", "password": nul, "password_confirm": nul, "nope": 1}))
                .await,
        ));
        answers.push((
            path.to_owned(),
            guest.post(path, &json!({"email": "n\u{0}@example.com", "password": nul, "password_confirm": nul})).await,
        ));
    }
    for (name, text) in [
        ("filter", "t = '\u{0}'"),
        ("search", "\u{0}"),
        ("sort", "\u{0}"),
        ("fields", "\u{0}"),
        ("expand", "\u{0}"),
        ("filter", "n = 1e400"),
        ("filter", "t = '\u{d7ff}' && ("),
    ] {
        answers.push((format!("{name}={text:?}"), guest.list("things", &[(name, text)]).await));
    }
    for body in [
        json!({"data": {"t": "\u{0}"}}),
        json!({"data": {"j": "\u{0}"}}),
        json!({"data": {"j": {"\u{0}": 1}}}),
        json!({"data": {"n": u64::MAX}}),
        json!({"data": {"\u{0}": 1}}),
        json!({"data": {"t+": 1}}),
        json!({"data": {"": 1}}),
        json!({"data": {"t'; --": 1}}),
        json!([]),
        json!("x"),
    ] {
        answers.push((body.to_string(), guest.post(&records("things"), &body).await));
    }
    for path in [
        "nothing/records",
        "nothing/records/x",
        "things/records/%00",
        "things/records/%C3%28",
        "%00/records",
        "things%00/records",
    ] {
        answers.push((path.to_owned(), guest.get(&format!("{COLLECTIONS}/{path}")).await));
        answers.push((path.to_owned(), admin.get(&format!("{COLLECTIONS}/{path}")).await));
    }
    for body in [
        json!({"name": "\u{0}"}),
        json!({"name": "a", "schema": [{"name": "\u{0}", "type": "text"}]}),
        json!({"name": "a", "list_rule": "\u{0}"}),
        json!({"name": "a", "options": {"\u{0}": 1}}),
        json!({"name": "a", "schema": [null]}),
        json!({"name": "a", "schema": [{"name": "l", "type": "text", "label": "\u{0}"}]}),
    ] {
        answers.push((body.to_string(), admin.post(COLLECTIONS, &body).await));
    }
    for body in [json!({}), json!({"name": "\u{0}", "schema": []}), json!({"name": "b", "schema": [], "records": 5})] {
        answers.push((body.to_string(), admin.post(&format!("{COLLECTIONS}/import"), &body).await));
    }
    let long = "a".repeat(900_000);
    for path in ["things/records", "things/records/batch", "things/records/upsert"] {
        answers.push((path.to_owned(), admin.post(&format!("{COLLECTIONS}/{path}"), &json!({"nope": long})).await));
    }
    for (what, answer) in answers {
        let status = answer.status.as_u16();
        assert!((400..500).contains(&status), "{what}: {status} {}", String::from_utf8_lossy(&answer.bytes));
    }
    let unique = guest.create("things", &json!({"t": long})).await;
    assert!(unique.status == 201 || unique.status == 422, "{} {}", unique.status, unique.code());
}

/// As far as there are such routes: who may not see them sees no difference to what is not there.
async fn d55_internals_are_for_admins(product: &Product) {
    let admin = product.admin().await;
    let user = product.user("eve").await;
    let things = admin.collection(&open("things", &json!([{"name": "title", "type": "text"}]))).await;
    let own = collection_path(&things);
    let mut served = 0;
    for path in [
        "/health/detailed",
        "/api/v1/stats",
        "/api/v1/admin/stats",
        "/api/v1/logs",
        "/api/v1/settings",
        "/api/v1/oauth/providers/types",
        "/api/v1/admin/users",
        COLLECTIONS,
        &own,
        "/api/v1/collections/name/things",
    ] {
        let seen = admin.get(path).await;
        if seen.status == 404 {
            product.guest().get(path).await.refused(404, "not_found");
            user.get(path).await.refused(404, "not_found");
            continue;
        }
        served += 1;
        seen.expect(200);
        product.guest().get(path).await.refused(401, "authentication_required");
        user.get(path).await.refused(403, "forbidden");
    }
    assert!(served >= 4);
    let ready = product.guest().get("/health/ready").await.expect(200).json();
    assert_eq!(ready, json!({"status": "ready"}));
    assert!(admin.get("/health/ready").await.expect(200).json()["checks"].is_object());
}

/// The parts of a token that anybody can read.
fn claims(token: &str) -> (Value, Value) {
    let mut parts = token.split('.').map(|part| {
        let mut bits = 0_u32;
        let mut held = 0;
        let mut bytes = Vec::new();
        for letter in part.bytes().take(4096) {
            let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            let Some(value) = alphabet.iter().position(|known| *known == letter) else { break };
            bits = (bits << 6) | u32::try_from(value).unwrap();
            held += 6;
            if held >= 8 {
                held -= 8;
                bytes.push(u8::try_from((bits >> held) & 0xff).unwrap());
            }
        }
        bytes
    });
    let mut next = || serde_json::from_slice(&parts.next().unwrap()).unwrap();
    (next(), next())
}

async fn d59_tokens_say_for_whom_they_are_and_no_secret(product: &Product) {
    let admin = product.admin().await;
    admin.collection(&json!({"name": "members", "type": "auth", "create_rule": ""})).await;
    let members = admin.get("/api/v1/collections/name/members").await.expect(200).json();
    let login = json!({"email": "root@example.com", "password": PASSWORD});
    let mut seen = Vec::new();
    for _ in 0..2 {
        let answer = product.guest().post("/api/v1/auth/login", &login).await.expect(200).json();
        seen.push(answer["token"].clone());
    }
    assert_ne!(seen[0]["access_token"], seen[1]["access_token"], "two sign-ins of one second");
    let body = json!({"email": "ann@example.com", "password": PASSWORD});
    let member = product.guest().post("/api/v1/collections/members/auth/register", &body).await.expect(201).json();
    let of_members = format!("fastcms:collection:{}", text(&members["id"]));
    for (token, kind, life, audience, subject) in [
        (&seen[0]["access_token"], "at+jwt", 900, "fastcms:users", &json!(admin.id)),
        (&seen[0]["refresh_token"], "rt+jwt", 0, "fastcms:users", &json!(admin.id)),
        (&member["token"]["access_token"], "at+jwt", 900, of_members.as_str(), &member["user"]["id"]),
        (&member["token"]["refresh_token"], "rt+jwt", 0, of_members.as_str(), &member["user"]["id"]),
    ] {
        let (head, body) = claims(&text(token));
        assert_eq!((&head["alg"], &head["typ"]), (&json!("HS256"), &json!(kind)));
        assert_eq!(head["kid"].as_str().map(str::len), Some(11));
        assert_eq!(
            (&body["iss"], &body["aud"], &body["sub"]),
            (&json!("http://localhost:8000"), &json!(audience), subject)
        );
        for claim in ["sid", "jti"] {
            assert!(body[claim].is_string(), "{kind}: {body}");
        }
        let lived = body["exp"].as_i64().unwrap() - body["iat"].as_i64().unwrap();
        assert!(if life == 0 { lived > 900 } else { lived == life }, "{kind}: {lived}");
        assert_eq!(body.get("fam").is_some(), kind == "rt+jwt");
        let all = body.to_string();
        assert!(
            !all.contains('@') && !all.contains("role") && !all.contains("key") && !all.contains("argon2"),
            "{all}"
        );
    }
}

/// Every text in every answer that looks like a time, and every member that is one.
fn assert_times(value: &Value, form: &regex::Regex, at: &str, seen: &mut usize) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                let is_time = ["created", "updated", "last_seen", "expires_at", "when", "touched", "last_login"]
                    .contains(&key.as_str());
                if let (true, Value::String(time)) = (is_time, member) {
                    assert!(form.is_match(time), "{at}: {key} is {time}");
                    *seen += 1;
                }
                assert_times(member, form, at, seen);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| assert_times(item, form, at, seen)),
        Value::String(text) => {
            let looks_like_one =
                text.len() > 10 && text.as_bytes()[4] == b'-' && text.as_bytes().get(10) == Some(&b'T');
            assert!(!looks_like_one || form.is_match(text), "{at}: {text}");
        }
        _ => {}
    }
}

async fn d64_every_time_is_utc_with_milliseconds(product: &Product) {
    let form = regex::Regex::new(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$").unwrap();
    let admin = product.admin().await;
    let user = product.user("ann").await;
    let guest = product.guest();
    let things = admin
        .collection(&open(
            "things",
            &json!([{"name": "when", "type": "datetime"}, {"name": "touched", "type": "autodate"}]),
        ))
        .await;
    admin.collection(&json!({"name": "members", "type": "auth", "create_rule": "", "view_rule": ""})).await;
    let body = json!({"email": "m@example.com", "password": PASSWORD});
    let joined = guest.post("/api/v1/collections/members/auth/register", &body).await.expect(201);
    let member = Bearer { product, token: text(&joined.json()["token"]["access_token"]) };
    let made = guest.create("things", &json!({"when": "2026-01-31T10:30:00+01:00"})).await.expect(201);
    let id = made.json()["id"].clone();
    product.clock.advance_millis(7);
    let batch = json!({"records": [{"when": "2026-01-31"}, {"when": "2026-01-31T09:30:00"}]});
    let answers = [
        ("setup", guest.post("/api/v1/auth/login", &json!({"email": "root@example.com", "password": PASSWORD})).await),
        ("me", user.get("/api/v1/auth/me").await),
        ("sessions", user.get("/api/v1/auth/sessions").await),
        ("users", admin.get("/api/v1/admin/users").await),
        ("user", admin.get(&format!("/api/v1/admin/users/{}", user.id)).await),
        ("collections", admin.get(COLLECTIONS).await),
        ("collection", admin.get(&collection_path(&things)).await),
        ("register", joined),
        ("member", member.get("/api/v1/collections/members/auth/me").await),
        ("sessions of a member", member.get("/api/v1/collections/members/auth/sessions").await),
        ("create", made),
        ("update", guest.change("things", &id, &json!({"when": "2026-01-31T09:30:00.5Z"})).await),
        ("get", guest.get(&record("things", &id)).await),
        ("list", guest.list("things", &[]).await),
        ("batch", admin.post(&format!("{}/batch", records("things")), &batch).await),
    ];
    let mut all = 0;
    for (at, answer) in answers {
        assert!(answer.status.is_success(), "{at}: {}", answer.json());
        let mut seen = 0;
        assert_times(&answer.json(), &form, at, &mut seen);
        assert!(seen > 0, "{at} tells no time: {}", answer.json());
        all += seen;
    }
    assert!(all > 30, "{all}");
}

async fn d66_all_hundred_characters_of_a_password_count(product: &Product) {
    product.admin().await;
    let long = "Correct-Horse7-battery ".repeat(5);
    let long = &long[..99];
    let body = |last: char| json!({"email": "long@example.com", "password": format!("{long}{last}"), "password_confirm": format!("{long}{last}")});
    let guest = product.guest();
    guest.post("/api/v1/auth/register", &body('x')).await.expect(201);
    let login = |last: char| json!({"email": "long@example.com", "password": format!("{long}{last}")});
    guest.post("/api/v1/auth/login", &login('y')).await.refused(401, "invalid_credentials");
    guest.post("/api/v1/auth/login", &login('x')).await.expect(200);
    for (password, message) in [
        ("é".repeat(129), "Password must be at most 128 characters long"),
        ("short".to_owned(), "Password must be at least 10 characters long"),
    ] {
        let body = json!({"email": "other@example.com", "password": password, "password_confirm": password});
        let answer = guest.post("/api/v1/auth/register", &body).await.refused(422, "password_policy");
        assert_eq!(answer.json()["details"]["password"], message);
    }
    let full = "é-X7 ".repeat(26)[..].chars().take(128).collect::<String>();
    let body = json!({"email": "full@example.com", "password": full, "password_confirm": full});
    guest.post("/api/v1/auth/register", &body).await.expect(201);
    guest.post("/api/v1/auth/login", &json!({"email": "full@example.com", "password": full})).await.expect(200);
}
