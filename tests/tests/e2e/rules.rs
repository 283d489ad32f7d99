//! Every vector and every numbered rule of the definitions and every law of the answers has a test of its own: which one,
//! and that it is there.
//!
//! The sources are read as text. A row names the rule, the file or folder and the test; a test that is renamed or removed fails
//! here until the table says where the rule is shown now.

use std::collections::BTreeSet;
use std::path::Path;

use tallymark_tests::peer::root;

const FUNNEL: &str = "collector/analysis/src/funnel/tests.rs";
const WALK: &str = "collector/analysis/src/funnel/walk/tests.rs";
const RETENTION: &str = "collector/analysis/src/retention/tests.rs";
const ACTIVE: &str = "collector/analysis/src/active/tests.rs";
const STICKINESS: &str = "collector/analysis/src/stickiness/tests.rs";
const LIFECYCLE: &str = "collector/analysis/src/lifecycle/tests.rs";
const SESSIONS: &str = "collector/analysis/src/sessions/tests.rs";
const CUT: &str = "collector/analysis/src/sessions/cut.rs";
const ATTRIBUTION: &str = "collector/analysis/src/attribution/tests.rs";
const MODELS: &str = "collector/analysis/src/attribution/models.rs";
const REVENUE: &str = "collector/analysis/src/revenue/tests.rs";
const LEDGER: &str = "collector/analysis/src/revenue/ledger.rs";
const EXPERIMENT: &str = "collector/analysis/src/experiment";
const TIME: &str = "collector/src/ingest/time.rs";
const EXPLAIN: &str = "collector/analysis/src/explain/tests.rs";
const ONCE: &str = "tests/tests/e2e/exactly_once.rs";
const COHORT: &str = "collector/analysis/src/cohort/tests.rs";
const LAWS_OF_ALL: &str = "collector/analysis/src/laws.rs";
const STORE: &str = "collector/store/tests/store";
const HTTP: &str = "collector/tests/http";

const VECTORS: &str = "the_vectors_of_the_definition_hold";
const OTHERS: &str = "the_rules_of_others";

/// Vectors of the tables of cases.
const CASES: &[(u32, &str, &str)] = &[
    (1, FUNNEL, VECTORS),
    (1, WALK, OTHERS),
    (2, FUNNEL, VECTORS),
    (2, WALK, OTHERS),
    (3, FUNNEL, VECTORS),
    (3, FUNNEL, "clickhouse_lets_one_event_serve_two_steps"),
    (4, FUNNEL, VECTORS),
    (5, FUNNEL, VECTORS),
    (6, WALK, "strict_steps_follow_each_other"),
    (7, FUNNEL, VECTORS),
    (7, WALK, OTHERS),
    (8, FUNNEL, VECTORS),
    (9, FUNNEL, VECTORS),
    (10, WALK, "steps_of_any_order_count_within_one_window"),
    (11, FUNNEL, VECTORS),
    (12, FUNNEL, "forty_steps_are_forty_steps"),
    (13, RETENTION, VECTORS),
    (14, RETENTION, VECTORS),
    (15, RETENTION, VECTORS),
    (16, RETENTION, "a_cell_is_unknown_until_its_day_is_over_and_lateness_has_passed"),
    (17, ACTIVE, "who_was_active_on_the_first_day_is_in_the_month_of_day_30_and_not_of_day_31"),
    (
        18,
        STICKINESS,
        "three_active_days_of_thirty_are_exactly_three_and_at_least_one_two_and_three",
    ),
    (19, SESSIONS, "vector_19"),
    (20, EXPERIMENT, "the_srm_vectors_hold_and_a_mismatch_blocks_the_verdict"),
    (21, EXPERIMENT, "only_what_follows_the_exposure_counts"),
    (22, EXPERIMENT, "who_met_two_variants_is_in_no_arm_and_counted"),
    (23, REVENUE, "vector_23_a_year_a_month_and_a_week_are_41_67_by_the_month"),
    (24, REVENUE, "vector_24_a_month_from_100_to_110"),
    (25, ONCE, "events_sent_three_times_in_any_order_across_restarts_are_stored_once"),
    (26, ATTRIBUTION, "vector_26_a_hundred_euros_over_three_touches"),
    (26, MODELS, "vector_26_the_last_touch_gets_the_remainder"),
];

/// Rules by chapter and number, or by what they are about where the chapter has no numbers.
const RULES: &[(&str, &str, &str)] = &[
    ("1 rules of others", WALK, OTHERS),
    ("1 why they differ", EXPLAIN, "a_reason_is_what_changes_the_outcome"),
    ("2.1 order of events", FUNNEL, VECTORS),
    ("2.2 ties of devices", FUNNEL, "devices_that_share_a_millisecond_have_no_order"),
    ("2.2 any order of a tie", FUNNEL, "a_level_over_devices_is_what_trying_every_order_finds"),
    ("2.3 level", FUNNEL, "a_level_is_what_trying_everything_finds"),
    ("2.3 one event serves one step", FUNNEL, "a_tie_lets_one_event_serve_one_step"),
    ("2.4 entry", FUNNEL, "a_start_lies_in_the_range_and_later_steps_may_lie_after_it"),
    ("2.4 complete", FUNNEL, "a_funnel_is_complete_when_window_and_lateness_have_passed"),
    ("2.5 time to convert", FUNNEL, "the_time_of_a_step_is_the_time_since_the_step_before"),
    ("2.5 by the start's day", WALK, "conversion_over_time_goes_by_the_bucket_of_the_start"),
    ("2.6 strict", WALK, "strict_is_what_trying_everything_finds"),
    ("2.7 any order", WALK, "any_order_is_what_trying_everything_finds"),
    ("2.7 step 1 first", WALK, "steps_of_any_order_may_have_the_first_one_first"),
    ("2.8 exclusion", FUNNEL, "an_exclusion_in_a_tie_spares_the_chain_that_went_on"),
    ("2.9 totals", WALK, "totals_count_every_attempt_and_no_event_twice"),
    ("2.10 hold", WALK, "held_properties_keep_chains_apart_and_absent_ones_equal_nothing"),
    ("2.11 breakdown", WALK, "a_breakdown_reads_the_event_that_attribution_names"),
    ("2.11 nobody is dropped", FUNNEL, "a_breakdown_takes_the_value_at_the_start_and_drops_nobody"),
    ("2.12 rates", FUNNEL, "a_step_nobody_could_enter_has_no_ratio"),
    ("2.12 64 steps", FUNNEL, "steps_that_make_no_funnel_are_refused"),
    ("2.13 window", FUNNEL, "a_window_is_a_length_of_time_and_no_calendar_day"),
    ("2.13 sessions", WALK, "sessions_are_counted_when_all_of_it_happened_in_one"),
    ("2.14 value at the event", FUNNEL, "a_filter_reads_the_value_at_the_event"),
    ("2.14 as of now", COHORT, "a_filter_as_of_now_reads_the_last_value_and_not_that_of_the_event"),
    ("3 clocks", TIME, "clocks_are_corrected_as_in_the_vectors"),
    ("3 arrival", TIME, "an_event_never_lies_after_its_arrival"),
    ("3 restated days", STORE, "a_day_that_gets_rows_after_it_was_closed_is_restated"),
    ("3 restated answers", HTTP, "an_answer_names_the_days_that_late_events_changed"),
    ("4 cohorts and periods", RETENTION, "retention_is_what_the_definition_says"),
    (
        "4 incomplete cells",
        RETENTION,
        "a_cell_is_unknown_until_its_day_is_over_and_lateness_has_passed",
    ),
    ("4 overall", RETENTION, "overall_weighs_cohorts_by_their_people_and_leaves_unknown_cells_out"),
    ("4 brackets", RETENTION, "a_bracket_counts_a_return_in_any_of_its_periods"),
    ("4 minimum", RETENTION, "so_many_returns_must_lie_in_the_period"),
    ("4 on or before", RETENTION, "on_or_before_never_falls_and_sums_what_was_brought_by_then"),
    ("4 rules of others", EXPLAIN, "returns_are_explained_too"),
    ("5 active", ACTIVE, "active_people_are_what_sets_of_people_hold"),
    (
        "5 daily ids",
        ACTIVE,
        "a_figure_over_days_with_a_daily_id_in_it_is_null_and_the_daily_one_stays",
    ),
    ("5 stickiness", STICKINESS, "the_ratio_is_the_mean_of_the_days_ratios"),
    ("5 lifecycle", LIFECYCLE, "the_parts_are_what_the_definition_says_and_add_up"),
    ("5 new is new ever", LIFECYCLE, "who_was_there_long_before_the_range_is_not_new_in_it"),
    ("6 silence", CUT, "silence_ends_a_session"),
    ("6 age", CUT, "a_session_without_silence_is_over_after_a_day"),
    ("6 servers", SESSIONS, "servers_join_only_the_session_they_name"),
    ("6 bounce", SESSIONS, "a_bounce_has_one_view_no_conversion_and_little_attention"),
    ("7 exposure", EXPERIMENT, "within_one_millisecond_the_counter_decides"),
    ("7 window", EXPERIMENT, "a_window_includes_its_last_millisecond_and_reaches_beyond_the_range"),
    (
        "7 merged identities",
        EXPERIMENT,
        "who_met_several_variants_because_identities_were_joined_is_told_apart",
    ),
    ("7 sizes from a hundred on", EXPERIMENT, "sizes_say_nothing_below_a_hundred_people"),
    ("7 interim looks", EXPERIMENT, "a_fixed_test_may_be_read_at_its_planned_end_only"),
    ("7 plain events", EXPERIMENT, "plain_experiment_events_mean_the_same"),
    ("8 touches", ATTRIBUTION, "a_touch_is_known_by_what_it_came_with"),
    ("8 look-back", ATTRIBUTION, "the_look_back_includes_its_last_moment"),
    ("8 direct", ATTRIBUTION, "direct_never_replaces_a_known_touch_unless_it_is_the_only_one"),
    ("8 shares", MODELS, "shares_add_up_to_one_and_parts_to_the_amount"),
    ("9 intervals", LEDGER, "an_interval_counts_its_part_of_a_month"),
    ("9 discount and tax", LEDGER, "an_amount_counts_after_its_discount_and_without_its_tax"),
    ("9 trial, pause, past due", REVENUE, "what_an_items_status_means"),
    ("9 cancelled", REVENUE, "an_item_counts_to_the_end_of_what_was_paid"),
    ("9 one-off", REVENUE, "one_off_payments_are_apart_and_recur_never"),
    ("9 currencies", REVENUE, "a_currency_stands_by_itself"),
    ("9 reactivation", REVENUE, "who_comes_back_is_no_new_customer"),
    ("9 bridge", REVENUE, "a_bridge_adds_up_to_the_cent_and_leads_to_the_next"),
    ("9 churn and retention", REVENUE, "vector_24_a_month_from_100_to_110"),
    ("9 ARPU and ARPPU", REVENUE, "revenue_by_people_is_net_and_without_tax"),
    ("9 LTV", REVENUE, "a_life_is_worth_its_margin_by_churn_and_unknown_while_nobody_leaves"),
    (
        "9 conversion rate",
        REVENUE,
        "conversion_is_of_first_payments_ever_among_those_who_were_there",
    ),
    ("9 refunds", REVENUE, "a_refund_counts_on_its_own_day_and_in_the_currency_of_its_payment"),
];

/// What holds for all answers.
const LAWS: &[(&str, &str, &str)] = &[
    ("a funnel never widens", FUNNEL, "a_funnel_never_widens_and_scanning_does_not_show"),
    ("nor one with other rules", WALK, "scanning_does_not_show_and_nothing_widens"),
    ("on or after never rises", LAWS_OF_ALL, "returns_on_or_after_never_rise"),
    (
        "new, returning and resurrected are the active",
        LAWS_OF_ALL,
        "new_returning_and_resurrected_are_all_who_are_active",
    ),
    ("edges of paths conserve flow", LAWS_OF_ALL, "edges_of_paths_conserve_flow"),
    ("a range cut between days", LAWS_OF_ALL, "a_range_that_is_cut_between_two_days_adds_up"),
    ("a range cut anywhere", LAWS_OF_ALL, "a_range_that_is_cut_at_any_moment_adds_up"),
    ("the time of asking", LAWS_OF_ALL, "the_time_of_asking_does_not_show"),
    ("threads and flushes", STORE, "an_answer_does_not_depend_on_threads_flushes_or_the_cache"),
    (
        "compaction while it is asked",
        STORE,
        "a_snapshot_answers_the_same_twice_and_whole_while_everything_goes_on",
    ),
    (
        "batches, order of arrival, flushes, merges",
        STORE,
        "any_history_leaves_what_a_plain_list_would",
    ),
];

/// Whether a file has a test of this name: an attribute or a block of properties stands before it.
fn has_test(source: &str, name: &str) -> bool {
    let Some(at) = source.find(&format!("fn {name}(")) else { return false };
    let before = &source[..at];
    let marks = ["#[test]", "#[rstest]", "#[tokio::test"];
    let last = marks.iter().filter_map(|mark| before.rfind(mark)).max();
    // Between the mark and the test there is no other function.
    last.is_some_and(|mark| {
        !before[mark..].contains("\nfn ") && !before[mark..].contains("    fn ")
    })
}

/// The text of a file, or of all Rust files below a folder.
fn sources(path: &Path) -> Vec<String> {
    match std::fs::read_dir(path) {
        Ok(entries) => entries.flatten().flat_map(|entry| sources(&entry.path())).collect(),
        Err(_) => std::fs::read_to_string(path).into_iter().collect(),
    }
}

#[test]
fn every_rule_and_vector_has_its_test() {
    let numbers =
        CASES.iter().map(|(number, file, test)| (format!("vector {number}"), *file, *test));
    let rules = RULES.iter().map(|(rule, file, test)| ((*rule).to_owned(), *file, *test));
    let laws = LAWS.iter().map(|(law, file, test)| ((*law).to_owned(), *file, *test));
    let missing: Vec<String> = numbers
        .chain(rules)
        .chain(laws)
        .filter(|(_, file, test)| {
            !sources(&root().join(file)).iter().any(|source| has_test(source, test))
        })
        .map(|(rule, file, test)| format!("{rule}: {test} is not in {file}"))
        .collect();
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn the_table_is_whole() {
    let cases: BTreeSet<u32> = CASES.iter().map(|(number, ..)| *number).collect();
    assert_eq!(cases, (1..=26).collect());
    let has = |start: &str| RULES.iter().any(|(rule, ..)| rule.starts_with(start));
    for rule in 1..=14 {
        assert!(has(&format!("2.{rule} ")), "2.{rule}");
    }
    for chapter in ["1 ", "3 ", "4 ", "5 ", "6 ", "7 ", "8 ", "9 "] {
        assert!(has(chapter), "{chapter}");
    }
}

#[test]
fn a_test_is_told_from_a_function_of_that_name() {
    let source = "#[test]\nfn one() {}\n\nfn two() {}\n\n    #[test]\n    fn three(x: u8) {}\n";
    assert!(has_test(source, "one") && has_test(source, "three"));
    assert!(!has_test(source, "two") && !has_test(source, "four"));
}
