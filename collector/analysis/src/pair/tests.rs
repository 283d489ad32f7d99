//! Two properties against one that holds both; and what cannot be asked.

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::Context;
use crate::testing::{Event, Memory, Scan};

/// 2026-09-01T00:00:00Z.
const T0: i64 = 1_788_220_800_000;
const HOUR: i64 = 3_600_000;

fn context() -> Context {
    Context::utc(T0 + 30 * 24 * HOUR)
}

fn ask(kind: &str, events: &[Event], mut question: Value, by: Value, scan: Scan) -> Value {
    question["from"] = json!("2026-09-01");
    question["to"] = json!("2026-09-04");
    question["breakdown"] = by;
    let memory = Memory::new(events.to_vec());
    let answer = memory.answer_by(kind, question, &context(), scan).unwrap();
    serde_json::to_value(answer.body).unwrap()
}

#[test]
fn a_pair_is_shown_as_both_values_and_absent_when_neither_is_there() {
    let of = |a: Option<&str>, b: Option<&str>| {
        let event = Event::new(1, T0, "view");
        let event = a.into_iter().fold(event, |event, a| event.with("a", a));
        b.into_iter().fold(event, |event, b| event.with("b", b))
    };
    let all = [
        of(Some("x"), Some("1")),
        of(Some("x"), Some("1")),
        of(Some("x"), None),
        of(None, None),
        of(None, None),
        of(None, None),
        // Texts that would be one if they were only put behind each other.
        of(Some("x1"), Some("")),
    ];
    let by = json!({ "prop": ["a", "b"], "limit": 2 });
    let answer = ask("trend", &all, json!({}), by, Scan::default());
    let series = answer["series"].as_array().unwrap();
    let rows: Vec<_> = series
        .iter()
        .map(|row| (row["group"].clone(), row["value"].clone(), row["total"].as_u64().unwrap()))
        .collect();
    assert_eq!(
        rows,
        [
            (json!("value"), json!(["x", "1"]), 2),
            (json!("value"), json!(["x", null]), 1),
            (json!("absent"), Value::Null, 3),
            (json!("other"), Value::Null, 1),
        ]
    );
}

#[rstest]
#[case::three(json!(["a", "b", "c"]), "question_malformed")]
#[case::none(json!([]), "question_malformed")]
#[case::the_same(json!(["a", "a"]), "field_invalid")]
#[case::no_name(json!(["a", ""]), "question_malformed")]
#[case::a_number(json!({ "prop": ["a", 1] }), "question_malformed")]
#[case::a_mark("\0a\0b".into(), "question_malformed")]
fn what_is_no_pair_is_refused(#[case] by: Value, #[case] code: &str) {
    let error = crate::compile("trend", json!({ "breakdown": by }), &context()).unwrap_err();
    assert_eq!(error.code(), code);
}

#[test]
fn the_definition_names_both() {
    let question = json!({ "breakdown": ["country", "event"] });
    let compiled = crate::compile("trend", question, &context()).unwrap();
    let want = json!({ "prop": ["country", "event"], "limit": 10 });
    assert_eq!(compiled.definition["breakdown"], want);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Events carry both values also in one property, as the text that stands for the pair.
    #[test]
    fn two_properties_are_as_one_that_holds_both(
        all in prop::collection::vec(
            (0u64..6, 0i64..60, prop::option::of(0u8..4), prop::option::of(0u8..3), 0u8..3), 0..60),
        limit in 1usize..5, kernels in 1usize..4, reverse_codes in any::<bool>(),
        (kind, question) in prop::sample::select(vec![
            ("trend", json!({ "series": [{ "event": "e0" }, { "measure": "persons" }] })),
            ("trend", json!({ "series": [{ "measure": "persons" }], "form": "rolling:2" })),
            ("trend", json!({ "series": [{ "event": "e0" }], "where": [{ "prop": "a", "op": "ne", "value": "a1" }] })),
            ("trend", json!({ "series": [{ "event": "e0" }, { "event": "e1" }], "formula": "A - B" })),
            ("funnel", json!({ "steps": [{ "event": "e0" }, { "event": "e1" }] })),
            ("funnel", json!({ "steps": [{ "event": "e0" }, { "event": "e1" }], "attribution": "last" })),
            ("retention", json!({ "periods": 2 })),
            ("trend", json!({ "cohort": { "did": { "event": "e1" } } })),
        ]),
    ) {
        let mut seq = 0;
        let events: Vec<Event> = all.into_iter().map(|(person, at, a, b, name)| {
            let (a, b) = (a.map(|a| format!("a{a}")), b.map(|b| format!("b{b}")));
            seq += 1;
            let mut event = Event::new(person, T0 + at * HOUR, &format!("e{name}")).seq(seq);
            if a.is_some() || b.is_some() {
                event = event.with("both", text([a.as_deref(), b.as_deref()]));
            }
            for (prop, value) in [("a", a), ("b", b)] {
                event = value.into_iter().fold(event, |event, value| event.with(prop, value));
            }
            event
        }).collect();
        let scan = Scan { kernels, reverse_codes };
        let two = json!({ "prop": ["a", "b"], "limit": limit });
        let one = json!({ "prop": "both", "limit": limit });
        prop_assert_eq!(
            ask(kind, &events, question.clone(), two, scan),
            ask(kind, &events, question, one, Scan::default())
        );
    }
}
