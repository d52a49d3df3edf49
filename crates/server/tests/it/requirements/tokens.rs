//! Where each requirement on keys, tokens, sessions, API keys and impersonation is shown, and what befell our peers there.

/// Requirements by number, and tests that show them.
pub const REQUIREMENTS: &[(u16, &[&str])] = &[
    (1, &["production_marks_cookies_secure", "environment_production_hardens_without_any_further_switch"]),
    (2, &["the_documented_rotation_works_on_sqlite", "the_documented_rotation_works_on_postgres"]),
    (
        3,
        &[
            "the_documented_rotation_works_on_sqlite",
            "the_documented_rotation_works_on_postgres",
            "a_cookie_outlives_every_key",
            "a_key_outlives_a_change_of_the_signing_key",
        ],
    ),
    (
        4,
        &[
            "the_documented_rotation_works_on_postgres",
            "a_lost_key_opens_a_new_segment_that_says_so",
            "an_encryption_key_keeps_what_is_sealed_apart_from_tokens",
        ],
    ),
    (5, &["a_generated_key_is_fit_for_production_and_new_each_time", "keys_rotate_reaches_a_running_server"]),
    (6, &["a_key_that_protects_nothing_does_not_start_in_production"]),
    (7, &["without_a_secret_key_a_file_keeps_what_is_sealed", "the_development_secret_is_kept_and_private"]),
    (8, &["no_forged_token_is_taken_on_any_route", "no_forged_impersonation_token_is_taken_on_any_route"]),
    (9, &["each_kind_opens_its_own_place_alone", "each_token_that_was_issued_opens_its_own_place_alone"]),
    (
        10,
        &[
            "a_key_may_go_once_nothing_depends_on_it",
            "file_and_impersonation_tokens_hold_a_key_until_they_run_out",
            "a_data_key_holds_the_key_that_wraps_it",
        ],
    ),
    (
        11,
        &[
            "a_key_that_changes_in_a_file_refuses_nobody",
            "a_change_in_the_settings_is_taken_up_in_two_steps",
            "a_rolling_rotation_by_next_refuses_nobody",
            "a_rolling_rotation_without_next_refuses_people",
        ],
    ),
    (12, &["the_cut_off_is_that_of_the_first_node_and_survives_it"]),
    (13, &["an_admin_rotates_and_nobody_notices"]),
    (
        14,
        &[
            "an_emergency_ends_every_session_and_token_and_the_key",
            "an_emergency_works_where_the_key_cannot_be_written",
            "an_emergency_keeps_what_is_sealed",
            "a_previous_key_signs_nothing_new",
            "keys_rotate_reaches_a_running_server",
        ],
    ),
    (15, &["no_forged_token_is_taken_on_any_route", "a_token_of_another_audience_is_refused"]),
    (16, &["no_forged_token_is_taken_on_any_route"]),
    (17, &["a_forged_token_is_neither_followed_nor_logged"]),
    (18, &["each_kind_opens_its_own_place_alone"]),
    (19, &["no_forged_token_is_taken_on_any_route", "lifetimes_are_those_of_the_settings"]),
    (20, &["no_forged_token_is_taken_on_any_route", "no_forged_file_token_opens_the_file"]),
    (21, &["lifetimes_are_those_of_the_settings"]),
    (22, &["a_credential_in_a_url_is_refused", "a_forged_token_is_neither_followed_nor_logged"]),
    (23, &["two_credentials_are_refused"]),
    (26, &["no_forged_refresh_token_is_taken", "each_token_that_was_issued_opens_its_own_place_alone"]),
    (27, &["a_hundred_uses_at_once_make_one_successor_and_a_replay_ends_the_family"]),
    (
        28,
        &[
            "a_hundred_uses_at_once_make_one_successor_and_a_replay_ends_the_family",
            "a_used_refresh_token_ends_the_family_after_the_grace",
        ],
    ),
    (29, &["a_hundred_uses_at_once_make_one_successor_and_a_replay_ends_the_family"]),
    (30, &["a_family_ends_when_it_was_to_end_however_often_it_is_renewed"]),
    (31, &["what_ends_a_session_ends_every_credential_of_it_on_every_node"]),
    (
        32,
        &[
            "what_ends_a_session_ends_every_credential_of_it_on_every_node",
            "a_new_address_ends_every_session_and_voids_a_code_for_the_old_one",
        ],
    ),
    (33, &["a_session_shows_its_device_its_address_and_its_last_use", "an_admin_sees_and_ends_anybodys"]),
    (
        34,
        &[
            "a_forged_token_is_neither_followed_nor_logged",
            "only_hashes_are_stored",
            "no_token_is_ever_in_the_database",
        ],
    ),
    (35, &["nobody_adopts_a_cookie_that_was_planted"]),
    (36, &["an_idle_session_ends", "a_session_ends_absolutely_however_busy"]),
    (37, &["every_sensitive_route_wants_a_recent_sign_in", "a_new_access_token_is_not_a_new_sign_in"]),
    (38, &["whatever_signs_out_clears_what_the_browser_kept"]),
    (
        64,
        &["a_key_is_shown_once_and_found_again_by_its_head", "only_hashes_are_stored", "a_key_ends_when_it_is_told_to"],
    ),
    (65, &["a_key_loses_what_its_owner_loses"]),
    (66, &["it_wants_a_recent_sign_in_and_a_reason_and_ends_in_time", "its_token_follows_the_signing_key"]),
    (67, &["both_names_stand_in_the_audit_log", "an_admin_sees_what_the_user_sees"]),
    (68, &["it_reaches_no_admin_no_credential_and_no_key", "it_ends_when_it_is_told_to"]),
    (
        69,
        &[
            "a_token_opens_one_file_in_url_and_header",
            "a_token_ends_with_its_time",
            "a_token_asks_the_view_rule_again",
            "no_forged_file_token_opens_the_file",
        ],
    ),
    (70, &["d_43_a_token_stands_in_no_log", "a_token_opens_one_file_in_url_and_header"]),
];

/// Vulnerabilities of peers, and the test that shows that ours is none.
pub const PEERS: &[(&str, &str)] = &[
    (
        "CVE-2023-22492, CVE-2025-3930: refresh tokens that outlive a lock or a suspension",
        "nobody_who_is_shut_out_renews_a_session",
    ),
    (
        "CVE-2024-34709, CVE-2025-4643, CVE-2025-30351: tokens that outlive a sign-out or a suspension",
        "what_ends_a_session_ends_every_credential_of_it_on_every_node",
    ),
    ("CVE-2025-2559: a memory of tokens that callers fill", "what_is_remembered_is_bounded"),
    (
        "CVE-2025-4644: an id, or an address, that is given out again",
        "whoever_comes_next_under_an_address_inherits_nothing",
    ),
    ("CVE-2025-24353: a delegated credential above its maker", "a_key_loses_what_its_owner_loses"),
    ("CVE-2025-46815: a token that can be used again", "of_many_uses_of_one_link_at_once_one_counts"),
    ("CVE-2026-1486: what was disabled and is trusted still", "a_key_ends_when_it_is_told_to"),
    ("CVE-2026-9803: a malformed credential", "a_malformed_credential_is_refused_and_nothing_more"),
    ("CVE-2026-25574: one id in two collections of accounts", "nobody_sees_or_ends_the_sessions_of_somebody_else"),
    ("CVE-2026-27840: a truncated token", "no_forged_token_is_taken_on_any_route"),
    (
        "CVE-2026-34749: a cookie on the one route that did not look",
        "no_route_that_changes_something_takes_a_cookie_from_a_foreign_page",
    ),
    ("CVE-2026-55669: another audience", "a_token_of_another_audience_is_refused"),
    (
        "CVE-2026-61836, CVE-2024-45596: an answer kept for somebody else",
        "an_answer_to_one_caller_is_kept_for_no_other",
    ),
];
