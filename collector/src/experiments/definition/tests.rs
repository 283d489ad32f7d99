//! What a definition may be.

use super::*;
use rstest::rstest;
use serde_json::json;

fn experiment() -> Value {
    json!({
        "kind": "experiment", "key": "buy-button", "hypothesis": "Green is seen earlier.",
        "variants": [{ "key": "control" }, { "key": "green", "value": { "color": "#0a0" } }],
        "targeting": { "country": "DE" }, "coverage": 0.5,
        "namespace": { "name": "checkout", "from": 0, "to": 0.5 },
        "starts_at": "2026-11-01T00:00:00Z", "ends_at": "2026-12-01T00:00:00Z",
        "primary": { "event": "purchase" }, "secondary": [{ "event": "purchase", "kind": "mean" }],
        "guardrails": [{ "metric": { "event": "refund" }, "margin": 0.01 }], "mde": 0.02,
    })
}

fn with(field: &str, value: Value) -> Value {
    let mut changed = experiment();
    changed[field] = value;
    changed
}

#[test]
fn a_definition_survives_its_json() {
    let parsed = Definition::parse(experiment()).unwrap();
    assert_eq!(Definition::parse(parsed.json().into()), Ok(parsed));
}

#[test]
fn defaults_are_filled_in() {
    let least =
        json!({ "kind": "experiment", "key": "a", "variants": [{ "key": "x" }, { "key": "y" }] });
    let parsed = Definition::parse(least).unwrap().json();
    assert_eq!((&parsed["coverage"], &parsed["unit"]), (&json!(1.0), &json!("device")));
}

#[rstest]
#[case::spelling("varients", json!([]), "definition", "unknown field")]
#[case::no_key("key", json!(""), "key", "letters")]
#[case::key_for_a_query("key", json!("a&b=1"), "key", "letters")]
#[case::one_variant("variants", json!([{ "key": "a" }]), "variants", "2 to 20")]
#[case::same_variant("variants", json!([{ "key": "a" }, { "key": "a" }]), "variants", "twice")]
#[case::some_weights("variants", json!([{ "key": "a", "weight": 1 }, { "key": "b" }]), "variants", "or none")]
#[case::weights("variants", json!([{ "key": "a", "weight": 0.5 }, { "key": "b", "weight": 0.502 }]), "variants", "sum to 1")]
#[case::coverage("coverage", json!(1.01), "coverage", "0..=1")]
#[case::namespace("namespace", json!({ "name": "n", "from": 0.5, "to": 0.5 }), "namespace", "from")]
#[case::dates("ends_at", json!("2026-11-01T00:00:00Z"), "ends_at", "after")]
#[case::mde("mde", json!(0), "mde", "percent")]
#[case::margin("guardrails", json!([{ "metric": { "event": "a" }, "margin": 2 }]), "guardrails", "margin")]
#[case::analysis_of_nothing("analysis", json!({ "windows": "7d" }), "metrics", "windows")]
#[case::analysis_twice("analysis", json!({ "control": "green" }), "analysis", "other fields")]
#[case::plan_twice("analysis", json!({ "plan": { "lift": 1 } }), "analysis", "other fields")]
#[case::plan("analysis", json!({ "plan": { "alpha": 2 } }), "analysis", "alpha")]
#[case::looks("analysis", json!({ "method": "group_sequential", "plan": { "looks": ["2026-11-09"] } }), "analysis", "instants")]
#[case::late_looks("analysis", json!({ "method": "group_sequential", "plan": { "looks": ["2027-01-01T00:00:00Z"] } }), "analysis", "looks")]
#[case::metric("primary", json!({ "event": "a", "kind": "no such kind" }), "metrics", "no such kind")]
#[case::targeting("targeting", json!({ "user": "ada" }), "targeting", "property")]
fn a_field_is_refused_by_name(
    #[case] field: &str,
    #[case] value: Value,
    #[case] named: &str,
    #[case] hint: &str,
) {
    let wrong = Definition::parse(with(field, value)).unwrap_err();
    assert_eq!(wrong.field, named, "{}", wrong.detail);
    assert!(wrong.detail.contains(hint), "{}", wrong.detail);
}

#[rstest]
#[case::thirds(json!([0.333, 0.333, 0.333]), true)]
#[case::at_the_tolerance(json!([0.5, 0.25, 0.251]), true)]
#[case::beyond(json!([0.5, 0.25, 0.252]), false)]
fn weights_sum_to_one(#[case] weights: Value, #[case] good: bool) {
    let variants: Value = ["a", "b", "c"]
        .iter()
        .zip(weights.as_array().unwrap())
        .map(|(key, weight)| json!({ "key": key, "weight": weight }))
        .collect();
    assert_eq!(Definition::parse(with("variants", variants)).is_ok(), good);
}

#[rstest]
#[case::none(0.0, false)]
#[case::some(0.05, true)]
#[case::half(0.5, true)]
#[case::more(0.51, false)]
fn a_holdout_keeps_out(#[case] share: f64, #[case] good: bool) {
    let holdout = json!({ "kind": "holdout", "key": "q4", "share": share });
    assert_eq!(Definition::parse(holdout).is_ok(), good);
}

#[test]
fn a_rule_of_a_flag_is_refused_by_its_place() {
    let rules = json!([{ "value": 1 }, { "value": 2, "coverage": -0.1 }]);
    let flag = json!({ "kind": "flag", "key": "f", "value": 0, "rules": rules });
    assert_eq!(Definition::parse(flag).unwrap_err().field, "rules[1].coverage");
}
