//! Tests of values, groups and what is refused.

use super::*;
use crate::testing::{Event, Memory};
use crate::{AnswerBody, Context};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

fn context() -> Context {
    Context::utc(0)
}

/// Whether an event passes: alone, and by asking how many do. Both must say the same.
fn passes(event: Event, filter: Value) -> bool {
    let alone = Condition::parse(&filter).unwrap().holds(&event);
    let question = json!({ "from": "1970-01-01", "to": "1970-01-02", "where": filter });
    match Memory::new([event]).answer("trend", question, &context()).unwrap().body {
        AnswerBody::Trend(trend) => assert_eq!(trend.series[0].total.0 == Some(1.0), alone),
        other => panic!("{other:?}"),
    }
    alone
}

#[rstest]
#[case::text(json!("team"), "eq", json!("team"), true)]
#[case::other_case(json!("Team"), "eq", json!("team"), false)]
#[case::not_equal(json!("team"), "ne", json!("free"), true)]
#[case::absent_is_not_equal(json!(null), "ne", json!("free"), true)]
#[case::absent_is_no_value(json!(null), "eq", json!("free"), false)]
#[case::numbers_are_numbers(json!(5.0), "eq", json!(5), true)]
#[case::text_that_is_a_number(json!(" 5 "), "eq", json!(5), true)]
#[case::number_as_text(json!(5), "eq", json!("5"), true)]
#[case::number_not_equal(json!(5), "ne", json!(5), false)]
#[case::absent_is_not_a_number(json!(null), "ne", json!(5), true)]
#[case::boolean(json!(true), "eq", json!(true), true)]
#[case::one_of(json!("b"), "in", json!(["a", "b"]), true)]
#[case::one_of_mixed(json!(5), "in", json!(["a", 5]), true)]
#[case::none_of(json!("c"), "not_in", json!(["a", "b"]), true)]
#[case::none_of_numbers(json!(2), "not_in", json!([1, 2]), false)]
#[case::less(json!(4.9), "lt", json!(5), true)]
#[case::not_less(json!(5), "lt", json!(5), false)]
#[case::at_most(json!(5), "lte", json!(5), true)]
#[case::more(json!(5.1), "gt", json!(5), true)]
#[case::at_least(json!(5), "gte", json!(5), true)]
#[case::text_is_not_more(json!("many"), "gt", json!(5), false)]
#[case::absent_is_not_less(json!(null), "lt", json!(5), false)]
#[case::iso_dates(json!("2026-09-01"), "lt", json!("2026-10-01"), true)]
#[case::contains(json!("größe"), "contains", json!("öß"), true)]
#[case::contains_not(json!("größe"), "not_contains", json!("x"), true)]
#[case::absent_contains_not(json!(null), "not_contains", json!("x"), true)]
#[case::starts(json!("/blog/1"), "starts_with", json!("/blog"), true)]
#[case::starts_elsewhere(json!("/a/blog"), "starts_with", json!("/blog"), false)]
#[case::regex(json!("/blog/17"), "regex", json!("^/blog/\\d+$"), true)]
#[case::regex_ignoring_case(json!("ABC"), "regex", json!("(?i)abc"), true)]
#[case::set(json!(""), "set", json!(null), true)]
#[case::object_is_not_set(json!({ "a": 1 }), "set", json!(null), false)]
#[case::not_set(json!(null), "not_set", json!(null), true)]
fn a_value_meets_a_test(
    #[case] value: Value,
    #[case] op: &str,
    #[case] than: Value,
    #[case] want: bool,
) {
    let event = Event::new(1, 0, "e").with("p", value);
    assert_eq!(passes(event, json!([{ "prop": "p", "op": op, "value": than }])), want);
}

#[rstest]
#[case::all(json!([{ "prop": "a", "value": 1 }, { "prop": "b", "value": 2 }]), true)]
#[case::not_all(json!([{ "prop": "a", "value": 1 }, { "prop": "b", "value": 3 }]), false)]
#[case::any(json!({ "any": [{ "prop": "a", "value": 9 }, { "prop": "b", "value": 2 }] }), true)]
#[case::none(json!({ "any": [{ "prop": "a", "value": 9 }, { "prop": "b", "value": 9 }] }), false)]
#[case::any_of_lists(
    json!([{ "any": [[{ "prop": "a", "value": 1 }, { "prop": "b", "value": 9 }], { "prop": "event", "value": "e" }] }]), true)]
#[case::nothing(json!([]), true)]
fn lists_are_and_and_any_is_or(#[case] filter: Value, #[case] want: bool) {
    let event = Event::new(1, 0, "e").with("a", 1).with("b", 2);
    assert_eq!(passes(event, filter), want);
}

#[rstest]
#[case::no_prop(json!([{ "op": "eq", "value": 1 }]))]
#[case::no_such_op(json!([{ "prop": "p", "op": "like", "value": "x" }]))]
#[case::unknown_field(json!([{ "prop": "p", "op": "eq", "value": 1, "valeu": 2 }]))]
#[case::null(json!([{ "prop": "p", "op": "eq", "value": null }]))]
#[case::list_for_eq(json!([{ "prop": "p", "op": "eq", "value": [1] }]))]
#[case::no_list_for_in(json!([{ "prop": "p", "op": "in", "value": 1 }]))]
#[case::empty_list(json!([{ "prop": "p", "op": "in", "value": [] }]))]
#[case::value_for_set(json!([{ "prop": "p", "op": "set", "value": 1 }]))]
#[case::empty_any(json!({ "any": [] }))]
#[case::any_and_more(json!({ "any": [{ "prop": "p", "value": 1 }], "prop": "p" }))]
#[case::text(json!("plan = team"))]
#[case::broken_regex(json!([{ "prop": "p", "op": "regex", "value": "(" }]))]
#[case::regex_that_explodes(json!([{ "prop": "p", "op": "regex", "value": "(a{1000}){1000}" }]))]
#[case::long_regex(json!([{ "prop": "p", "op": "regex", "value": "a".repeat(501) }]))]
#[case::number_for_an_event(json!([{ "prop": "event", "op": "lt", "value": 1 }]))]
#[case::deep(json!([[[[[[[[{ "prop": "p", "value": 1 }]]]]]]]]))]
#[case::too_many(Value::from(vec![json!({ "prop": "p", "value": 1 }); 201]))]
fn what_makes_no_filter_is_refused(#[case] filter: Value) {
    let error = crate::compile("trend", json!({ "where": filter }), &context()).unwrap_err();
    assert_eq!(error.code(), "filter_invalid");
}

#[rstest]
#[case::nothing(json!(null), json!([]))]
#[case::one_text(json!({ "prop": "a", "value": "x" }), json!([["a", ["x"]]]))]
#[case::one_of_some(json!({ "prop": "a", "op": "in", "value": ["x", "y"] }), json!([["a", ["x", "y"]]]))]
#[case::all_of_a_list(
    json!([{ "prop": "a", "value": "x" }, { "prop": "b", "value": "y" }]),
    json!([["a", ["x"]], ["b", ["y"]]])
)]
#[case::either(json!({ "any": [{ "prop": "a", "value": "x" }, { "prop": "b", "value": "y" }] }), json!([]))]
#[case::another(json!({ "prop": "a", "op": "ne", "value": "x" }), json!([]))]
#[case::none_of(json!({ "prop": "a", "op": "not_in", "value": ["x"] }), json!([]))]
#[case::a_number_has_many_texts(json!({ "prop": "a", "value": 5 }), json!([]))]
#[case::a_number_among_texts(json!({ "prop": "a", "op": "in", "value": ["x", 5] }), json!([["a", ["x", "5"]]]))]
#[case::a_beginning(json!({ "prop": "a", "op": "starts_with", "value": "x" }), json!([]))]
fn a_condition_says_what_whoever_passes_has(#[case] filter: Value, #[case] want: Value) {
    let needs = Condition::parse(&filter).unwrap().needs();
    let needs: Vec<Value> = needs.iter().map(|need| json!([need.prop, need.texts])).collect();
    assert_eq!(Value::from(needs), want);
}

proptest! {
    #[test]
    fn masks_are_found_from_either_end_as_by_a_look_at_each(
        masks in prop::collection::vec(prop_oneof![4 => Just(0u8), 1 => any::<u8>()], 0..40),
        from in 0usize..40,
        bits in any::<u8>(),
    ) {
        let has = |at: &usize| masks[*at] & bits != 0;
        if from <= masks.len() {
            let found = <u8 as Mask>::find(&masks, from, bits.into());
            prop_assert_eq!(found, (from..masks.len()).find(has));
        }
        let found = <u8 as Mask>::find_last(&masks, bits.into());
        prop_assert_eq!(found, (0..masks.len()).rev().find(has));
    }
}
