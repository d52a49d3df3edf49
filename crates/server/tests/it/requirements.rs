//! Where each requirement on keys, sessions, the edge and the doors is shown, and each known vulnerability of our peers of that kind: an index that fails
//! when a test it names is gone.

mod tokens;

use crate::architecture::sources;

/// Requirements by number, and tests that show them.
const REQUIREMENTS: &[(u16, &[&str])] = &[
    // Sign-in, lockout, enumeration.
    (
        39,
        &[
            "five_wrong_passwords_lock_and_the_right_one_is_refused_until_time_or_an_admin_unlocks",
            "lockout_enabled_false_locks_nothing",
        ],
    ),
    (40, &["a_success_forgives_and_old_failures_are_forgotten", "locks_survive_a_restart_and_hold_on_every_node"]),
    (
        41,
        &[
            "unknown_names_lock_like_accounts_and_nothing_tells_them_apart",
            "a_request_for_a_reset_says_nothing_about_the_address",
            "an_address_that_nobody_has_gets_the_same_answer_and_no_mail",
            "lockout_reveal_says_so_for_names_that_nobody_has_too",
        ],
    ),
    (42, &["refusals_of_every_kind_take_the_same_time", "the_test_would_see_refusals_that_are_not_made_alike"]),
    (43, &["a_known_browser_keeps_a_counter_of_its_own", "an_attacker_locks_strangers_out_and_never_a_known_browser"]),
    (
        44,
        &["who_sprays_passwords_is_limited_by_where_it_comes_from", "one_account_is_no_spray_and_ten_are_for_an_hour"],
    ),
    (45, &["the_setup_link_is_good_once_and_for_half_an_hour", "setup_makes_one_admin_of_fifty_callers"]),
    (
        46,
        &[
            "every_mail_arrives_and_only_the_planned_ones_carry_a_link",
            "another_address_is_agreed_to_from_there_and_told_to_the_old_one",
        ],
    ),
    (47, &["whoever_has_no_mail_is_told_so", "admins_see_how_mail_is_set_up_and_whether_it_works"]),
    (
        48,
        &[
            "of_two_hundred_guesses_at_once_five_are_looked_at",
            "five_hundred_sign_ins_at_once_leave_the_server_small_and_quick",
        ],
    ),
    (
        49,
        &[
            "five_wrong_passwords_lock_and_the_right_one_is_refused_until_time_or_an_admin_unlocks",
            "every_operation_leaves_its_event",
        ],
    ),
    // Passwords.
    (
        50,
        &[
            "no_door_takes_what_another_refuses",
            "the_command_line_takes_no_password_that_the_api_refuses",
            "the_password_policy_stands_on_every_door",
        ],
    ),
    (
        51,
        &[
            "a_password_has_up_to_128_characters_that_all_count",
            "what_looks_the_same_is_the_same_password",
            "length_counts_code_points_from_the_minimum_to_128_and_no_further",
        ],
    ),
    (52, &["common_passwords_are_refused_in_every_form", "context_words_are_in_no_password"]),
    (
        53,
        &[
            "password_breach_url_is_told_five_digits_and_refuses_what_it_knows",
            "password_breach_url_that_does_not_answer_refuses_nobody",
        ],
    ),
    (54, &["password_history_count_is_how_many_earlier_ones_are_refused", "an_admin_cannot_go_around_the_history"]),
    (
        55,
        &[
            "an_old_hash_opens_and_is_replaced_by_a_strong_one",
            "a_hash_is_argon2id_with_the_recommended_cost_and_verifies",
        ],
    ),
    (
        56,
        &[
            "an_old_hash_opens_and_is_replaced_by_a_strong_one",
            "old_bcrypt_hashes_verify_with_the_cut_they_were_made_with",
        ],
    ),
    (
        58,
        &[
            "a_new_password_by_link_ends_every_session",
            "a_change_of_password_or_address_voids_links",
            "a_link_dies_at_its_time_and_not_before",
        ],
    ),
    (59, &["what_an_admin_sets_must_be_changed_at_once"]),
    // What is shown to strangers.
    (71, &["debug_shows_the_documentation_and_is_refused_in_production"]),
    (
        72,
        &[
            "d38_documentation_is_an_unknown_path_unless_it_is_on",
            "hidden_documentation_is_an_unknown_path_in_every_spelling",
        ],
    ),
    (
        73,
        &[
            "environment_production_hardens_without_any_further_switch",
            "whatever_is_missing_doubled_or_too_much_is_seen",
        ],
    ),
    (
        74,
        &[
            "d54_no_input_makes_a_fault_of_ours",
            "faults_of_ours_say_nothing_of_themselves",
            "a_body_is_sixty_four_deep",
        ],
    ),
    (76, &["the_schema_is_printed_offline"]),
    // CORS, cookies, CSRF.
    (77, &["cors_origins_of_several_are_all_of_them_in_either_writing", "a_refused_preflight_grants_nothing"]),
    (
        78,
        &[
            "cors_origins_of_one_is_that_one_and_nobody_else",
            "cors_origins_of_several_are_all_of_them_in_either_writing",
        ],
    ),
    (79, &["cors_origins_of_one_is_that_one_and_nobody_else", "a_listed_origin_may_read_every_answer_and_others_none"]),
    (80, &["cors_origins_that_could_never_match_or_match_everybody_are_refused_at_the_start"]),
    (81, &["other_types_of_body_are_refused"]),
    (83, &["production_marks_cookies_secure", "https_at_a_trusted_proxy_marks_cookies_secure"]),
    (84, &["every_cookie_is_http_only_lax_host_only_and_for_the_whole_site"]),
    (85, &["cookie_host_prefix_is_in_the_name_of_the_cookies", "the_same_cookie_twice_is_refused"]),
    (86, &["unsafe_methods_need_an_own_page", "an_unsafe_request_acts_by_cookie_only_for_an_own_page"]),
    (87, &["no_safe_method_changes_what_is_stored"]),
    // Headers, proxies.
    (89, &["whatever_is_missing_doubled_or_too_much_is_seen", "d37_every_answer_carries_the_security_headers"]),
    (90, &["d37_every_answer_carries_the_security_headers", "answers_of_the_api_are_kept_by_nobody"]),
    (92, &["d37_every_answer_carries_the_security_headers", "development_sends_no_hsts"]),
    (93, &["every_link_opens_a_page_that_uses_nothing_up", "the_page_policy_names_the_nonce_and_nothing_unsafe"]),
    (
        96,
        &[
            "https_at_a_trusted_proxy_marks_cookies_secure",
            "behind_a_real_nginx_the_client_is_who_connected_to_it",
            "behind_a_real_caddy_the_client_is_who_connected_to_it",
        ],
    ),
    (97, &["plain_http_is_not_served_in_production"]),
    (
        98,
        &[
            "no_forged_header_changes_whose_request_it_is",
            "trusted_proxies_are_believed_and_nobody_else",
            "client_ip_header_is_the_one_header_that_is_read",
        ],
    ),
    (
        99,
        &[
            "allowed_hosts_are_the_hosts_that_are_served",
            "base_url_is_the_issuer_whatever_host_is_asked_for",
            "a_link_names_the_configured_address_alone",
        ],
    ),
    (101, &["what_cannot_be_verified_gets_nothing_from_us"]),
    (102, &["a_length_that_two_servers_would_read_differently_is_refused"]),
    // Limits.
    (
        103,
        &[
            "rate_limit_per_minute_seven_refuses_the_eighth",
            "rate_limit_enabled_false_limits_nothing",
            "the_limit_of_an_hour_binds_over_minutes",
        ],
    ),
    (
        104,
        &[
            "a_refusal_carries_what_every_answer_does",
            "the_eighth_of_seven_in_any_minute_is_refused_and_says_for_how_long",
        ],
    ),
    (
        105,
        &[
            "people_behind_one_address_have_budgets_of_their_own",
            "an_account_has_a_budget_wherever_it_is_called_from",
            "a_credential_that_is_not_verified_counts_for_its_address",
            "the_doors_have_budgets_that_other_traffic_does_not_eat",
        ],
    ),
    (106, &["an_address_of_ipv6_is_its_subscriber_and_a_mapped_one_is_ipv4"]),
    (107, &["a_million_addresses_take_no_more_room_and_forgive_nobody"]),
    (
        108,
        &[
            "two_nodes_on_postgresql_admit_sixty_of_a_hundred_and_fifty",
            "two_nodes_with_redis_admit_sixty_of_a_hundred_and_fifty",
            "without_its_redis_a_node_limits_by_itself_and_says_so",
        ],
    ),
    (
        109,
        &[
            "a_head_has_10_seconds_and_an_idle_connection_75",
            "a_client_that_reads_too_slowly_is_let_go",
            "a_slow_answer_and_a_stalled_body_end_after_30_seconds",
            "a_url_has_sixteen_kibibytes",
            "max_body_size_is_the_largest_body",
        ],
    ),
    (110, &["a_body_is_not_compressed"]),
    (111, &["a_pattern_matches_the_whole_value"]),
    // Addresses.
    (
        112,
        &[
            "a_blocked_network_is_told_nothing_but_health",
            "once_a_rule_allows_only_the_allowed_come_in",
            "every_node_hears_of_a_rule",
            "ip_filter_enabled_applies_the_rules",
        ],
    ),
    (113, &["nobody_locks_themselves_out_without_saying_so", "the_command_line_is_the_way_back_in"]),
    (
        114,
        &[
            "admin_allowed_cidrs_are_where_admins_come_from",
            "what_is_for_admins_is_reached_from_where_the_setting_says",
        ],
    ),
];

/// Requirements of these groups that nothing here shows.
const ELSEWHERE: &[(u16, &str)] = &[
    (57, "there is no pepper"),
    (75, "there is no GraphQL"),
    (82, "there is no WebSocket yet"),
    (88, "with the admin UI"),
    (91, "with the admin UI"),
    (94, "by hand, with the scanner of MDN"),
    (95, "with the admin UI"),
    (100, "TLS ends at a proxy"),
];

/// What befell our peers at their edges and doors, and what shows that it does not befall us.
const PEERS: &[(&str, &str)] = &[
    ("CVE-2021-46440: a secret in a cookie", "every_cookie_is_http_only_lax_host_only_and_for_the_whole_site"),
    ("CVE-2023-22893: alg none", "no_forged_token_is_taken_on_any_route"),
    (
        "CVE-2023-22492, CVE-2024-34709, CVE-2025-3930, CVE-2025-4643, CVE-2025-30351: sessions that outlive their end",
        "sessions_end_with_the_next_request",
    ),
    ("CVE-2023-22621: templates that run code", "a_template_is_data_and_runs_no_code"),
    ("CVE-2023-38507: a limit by the raw path", "another_spelling_of_a_door_is_no_other_budget"),
    (
        "CVE-2023-39345, CVE-2026-54693: chosen role or verification",
        "a_registration_takes_what_the_schema_offers_and_nothing_else",
    ),
    (
        "CVE-2023-49097, CVE-2025-48936, CVE-2025-64101, GHSA-pfrf-9r5f-73f5: links by the host asked for",
        "a_link_names_the_configured_address_alone",
    ),
    (
        "CVE-2024-1722, CVE-2026-19607: locking the owner out",
        "an_attacker_locks_strangers_out_and_never_a_known_browser",
    ),
    ("CVE-2024-4629: parallel sign-ins past the limit", "of_two_hundred_guesses_at_once_five_are_looked_at"),
    ("CVE-2024-7318: a code that outlives its time", "a_code_is_good_for_ten_minutes_and_not_a_millisecond_longer"),
    ("CVE-2024-27295: a mail to a look-alike address", "a_request_for_a_reset_says_nothing_about_the_address"),
    (
        "CVE-2024-32868, CVE-2025-64102: codes that nobody counts",
        "of_two_hundred_wrong_codes_at_once_every_one_counts_and_three_are_looked_at",
    ),
    ("CVE-2024-47822, CVE-2025-53886: credentials in the log", "a_value_of_a_query_is_in_no_row_and_no_line"),
    (
        "CVE-2025-2559: memory bounded by what a stranger chooses",
        "a_million_addresses_take_no_more_room_and_forgive_nobody",
    ),
    ("CVE-2025-25298: passwords cut at 72 bytes", "a_password_has_up_to_128_characters_that_all_count"),
    ("CVE-2025-53092: any origin with credentials", "cors_origins_of_one_is_that_one_and_nobody_else"),
    ("CVE-2025-64526: a limit by what the body says", "the_doors_have_budgets_that_other_traffic_does_not_eat"),
    ("CVE-2025-64749, CVE-2026-4633, CVE-2026-26185: who has an account", "refusals_of_every_kind_take_the_same_time"),
    (
        "CVE-2026-9798, CVE-2026-16103: a lock that another door does not know",
        "a_lock_holds_at_every_door_that_gives_tokens",
    ),
    ("CVE-2026-9803: a malformed Authorization header", "no_authorization_header_is_a_fault_of_ours"),
    ("CVE-2026-34749: a cookie that speaks for another page", "unsafe_methods_need_an_own_page"),
    ("CVE-2026-34751: parameters of a reset that nobody checked", "a_new_password_by_link_ends_every_session"),
    ("CVE-2026-35441: a costly health check", "preflights_health_and_exempt_addresses_are_free"),
    (
        "CVE-2026-61836, CVE-2024-45596: an answer kept for somebody else",
        "what_a_cookie_made_visible_is_kept_by_no_cache",
    ),
    ("GHSA-wc43-73w7-x2f5: a second factor that is skipped", "a_sign_in_wants_the_second_factor_once_it_is_enabled"),
];

#[test]
fn every_requirement_on_keys_sessions_the_edge_and_the_doors_is_shown_by_a_test_that_exists() {
    let all: String = sources("crates").into_iter().map(|(_, text)| text).collect();
    let exists = |test: &str| all.contains(&format!("fn {test}("));
    let requirements = || REQUIREMENTS.iter().chain(tokens::REQUIREMENTS);
    for (number, tests) in requirements() {
        assert!(!tests.is_empty(), "R{number}");
        for test in *tests {
            assert!(exists(test), "R{number}: there is no test `{test}`");
        }
    }
    for (what, test) in PEERS.iter().chain(tokens::PEERS) {
        assert!(exists(test), "{what}: there is no test `{test}`");
    }
    for number in (1..=23).chain(26..=59).chain(64..=114) {
        let shown = requirements().filter(|(known, _)| *known == number).count();
        let left = ELSEWHERE.iter().filter(|(known, why)| *known == number && !why.is_empty()).count();
        assert_eq!(shown + left, 1, "R{number} is decided on {} times", shown + left);
    }
}
