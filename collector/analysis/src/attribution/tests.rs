//! Rules of attribution, one named test each.

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::{AttributionAnswer, TouchGroup};
use crate::testing::{Event, Memory, Scan};
use crate::{AnswerBody, Context};

/// 2026-09-01T00:00:00Z.
const T0: i64 = 1_788_220_800_000;
const DAY: i64 = 86_400_000;

fn ask_by(events: Vec<Event>, extra: Value, scan: Scan) -> AttributionAnswer {
    let mut question = json!({ "from": "2026-09-01", "to": "2026-10-01", "by": "utm_source",
        "conversion": { "event": "purchase" } });
    question.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    let context = Context::utc(T0 + 60 * DAY);
    match Memory::new(events).answer_by("attribution", question, &context, scan).unwrap().body {
        AnswerBody::Attribution(answer) => answer,
        other => panic!("{other:?}"),
    }
}

fn ask(events: Vec<Event>, extra: Value) -> AttributionAnswer {
    ask_by(events, extra, Scan::default())
}

fn visit(at: i64, source: Option<&str>) -> Event {
    let event = Event::new(1, T0 + at, "$pageview");
    match source {
        Some(source) => event.with("utm_source", source),
        None => event,
    }
}

fn purchase(at: i64, value: f64) -> Event {
    Event::new(1, T0 + at, "purchase").with("value", value).with("currency", "EUR")
}

/// By touch: its share of conversions and its money by one model.
fn shares<'a>(answer: &'a AttributionAnswer) -> Vec<(TouchGroup, Option<&'a str>, f64, f64)> {
    let line = |touch: &'a super::AttributionTouch| {
        let model = &touch.models[0];
        let money = model.amounts.first().map_or(0.0, |amount| amount.value);
        (touch.group, touch.value.as_deref(), model.conversions, money)
    };
    answer.touches.iter().map(line).collect()
}

use TouchGroup::{Direct, Other, Value as Known};

#[test]
fn vector_26_a_hundred_euros_over_three_touches() {
    let events = vec![
        visit(0, Some("a")),
        visit(DAY, Some("b")),
        visit(2 * DAY, Some("c")),
        purchase(2 * DAY + 1, 100.0),
    ];
    let third = 1.0 / 3.0;
    assert_eq!(
        shares(&ask(events, json!({ "models": ["linear"] }))),
        [
            (Known, Some("a"), third, 33.33),
            (Known, Some("b"), third, 33.33),
            (Known, Some("c"), third, 33.34)
        ]
    );
}

#[test]
fn a_value_that_names_no_currency_is_in_the_one_of_the_question() {
    let silent = || Event::new(1, T0 + DAY, "purchase").with("value", 7.0);
    let events = || vec![visit(0, Some("a")), silent(), purchase(2 * DAY, 5.0)];
    for scan in [Scan::default(), Scan { kernels: 2, reverse_codes: true }] {
        let amounts = |extra: Value| -> Vec<(Option<String>, f64)> {
            let answer = ask_by(events(), extra, scan);
            let amounts = &answer.touches[0].models[0].amounts;
            amounts.iter().map(|amount| (amount.currency.clone(), amount.value)).collect()
        };
        assert_eq!(amounts(json!({ "default_currency": "EUR" })), [(Some("EUR".into()), 12.0)]);
        assert_eq!(
            amounts(json!({ "default_currency": "USD" })),
            [(Some("EUR".into()), 5.0), (Some("USD".into()), 7.0)]
        );
        assert_eq!(amounts(json!({})), [(None, 7.0), (Some("EUR".into()), 5.0)]);
    }
}

#[test]
fn direct_never_replaces_a_known_touch_unless_it_is_the_only_one() {
    let known = vec![visit(0, Some("a")), visit(DAY, None), purchase(DAY + 1, 1.0)];
    assert_eq!(shares(&ask(known, json!({ "models": ["last"] }))), [(Known, Some("a"), 1.0, 1.0)]);
    let only = vec![visit(DAY, None), purchase(DAY + 1, 1.0)];
    assert_eq!(shares(&ask(only, json!({ "models": ["last"] }))), [(Direct, None, 1.0, 1.0)]);
    // A server's events are in no session.
    let server = vec![purchase(0, 2.0).from_server()];
    assert_eq!(shares(&ask(server, json!({}))), [(Direct, None, 1.0, 2.0)]);
}

#[rstest]
#[case::included(30 * DAY, Known)]
#[case::one_more(30 * DAY + 1, Direct)]
fn the_look_back_includes_its_last_moment(#[case] after: i64, #[case] want: TouchGroup) {
    let events = vec![visit(-3 * DAY, Some("a")), purchase(-3 * DAY + after, 1.0)];
    assert_eq!(shares(&ask(events, json!({ "models": ["first"] })))[0].0, want);
}

#[rstest]
#[case::a_search(&[("referrer_host", "google.com")], &[], false)]
#[case::the_own_host(&[("referrer_host", "shop.example"), ("host", "shop.example")], &[], true)]
#[case::a_payment_provider(&[("referrer_host", "pay.example")], &["pay.example"], true)]
#[case::a_provider_with_a_campaign(&[("referrer_host", "pay.example"), ("utm_campaign", "x")], &["pay.example"], false)]
#[case::an_own_word_for_it(&[("source", "messenger")], &[], false)]
fn a_touch_is_known_by_what_it_came_with(
    #[case] with: &[(&str, &str)],
    #[case] ignore: &[&str],
    #[case] is_direct: bool,
) {
    let touch = with.iter().fold(visit(0, None), |event, (key, value)| event.with(key, *value));
    let answer = ask(vec![touch, purchase(1, 1.0)], json!({ "ignore_hosts": ignore }));
    assert_eq!(answer.touches[0].group == Direct, is_direct, "{answer:?}");
}

#[test]
fn a_touch_is_the_beginning_of_a_session() {
    let minutes = 60_000;
    let events = vec![
        visit(0, Some("a")),
        visit(10 * minutes, Some("b")),
        purchase(20 * minutes, 1.0),
        visit(90 * minutes, Some("c")),
        purchase(91 * minutes, 1.0),
    ];
    let answer = ask(events, json!({ "models": ["last"] }));
    assert_eq!(shares(&answer), [(Known, Some("a"), 1.0, 1.0), (Known, Some("c"), 1.0, 1.0)]);
    assert_eq!((answer.conversions, answer.persons), (2, 1));
    assert_eq!(answer.touches[0].conversions, Some(2));
}

#[test]
fn amounts_of_different_currencies_are_not_added() {
    let mut dollars = purchase(2, 5.0);
    dollars.props.insert("currency".into(), "USD".into());
    let answer = ask(vec![visit(0, Some("a")), purchase(1, 1.0), dollars], json!({}));
    let amounts: Vec<_> = answer.touches[0].models[0]
        .amounts
        .iter()
        .map(|amount| (amount.currency.as_deref(), amount.value))
        .collect();
    assert_eq!(amounts, [(Some("EUR"), 1.0), (Some("USD"), 5.0)]);
}

#[test]
fn what_is_beyond_the_limit_is_other() {
    let events = vec![
        visit(0, Some("a")),
        purchase(1, 1.0),
        visit(DAY, Some("b")),
        purchase(DAY + 1, 2.0),
        purchase(DAY + 2, 3.0),
        visit(2 * DAY, Some("c")),
        purchase(2 * DAY + 1, 4.0),
    ];
    let answer = ask(events, json!({ "models": ["last"], "limit": 1 }));
    assert_eq!(shares(&answer), [(Known, Some("b"), 2.0, 5.0), (Other, None, 2.0, 5.0)]);
}

#[rstest]
#[case(json!({ "models": [] }), "count_invalid")]
#[case(json!({ "models": ["last", "last"] }), "field_invalid")]
#[case(json!({ "models": ["magic"] }), "question_malformed")]
#[case(json!({ "lookback": "soon" }), "duration_invalid")]
#[case(json!({ "half_life": "0d" }), "duration_invalid")]
#[case(json!({ "limit": 0 }), "count_invalid")]
#[case(json!({ "conversion": { "event": "x", "digits": 9 } }), "count_invalid")]
fn what_makes_no_sense_is_refused(#[case] question: Value, #[case] code: &str) {
    let context = Context::utc(T0);
    assert_eq!(crate::compile("attribution", question, &context).unwrap_err().code(), code);
}

proptest! {
    #[test]
    fn every_model_gives_away_all_there_is(
        played in prop::collection::vec((1u64..4, 0i64..40 * DAY, 0usize..5, 0i64..10_000), 0..40),
        kernels in 1usize..4,
    ) {
        let events: Vec<Event> = played.iter().map(|(person, at, kind, cents)| {
            let at_ms = T0 + at - 10 * DAY;
            let event = match kind {
                0 => Event::new(*person, at_ms, "purchase").with("value", *cents as f64 / 100.0),
                kind => Event::new(*person, at_ms, "$pageview").with("utm_source", format!("s{kind}")),
            };
            if *kind == 4 { Event::new(*person, at_ms, "$pageview") } else { event }
        }).collect();
        let is_in = |event: &&Event| event.name == "purchase" && (T0..T0 + 30 * DAY).contains(&event.ts_ms);
        let cents: f64 = events.iter().filter(is_in)
            .map(|event| (event.props["value"].as_f64().unwrap() * 100.0).round()).sum();
        let count = events.iter().filter(is_in).count();
        let all = json!({ "models": ["first", "last", "linear", "decay", "position", "j", "inverse_j"] });
        let answer = ask_by(events.clone(), all.clone(), Scan { kernels, reverse_codes: true });
        prop_assert_eq!(answer.conversions as usize, count);
        for model in 0..7 {
            let shares: f64 = answer.touches.iter().map(|touch| touch.models[model].conversions).sum();
            prop_assert!((shares - count as f64).abs() < 1e-6);
            let amounts = answer.touches.iter().flat_map(|touch| &touch.models[model].amounts);
            let money: f64 = amounts.map(|amount| (amount.value * 100.0).round()).sum();
            prop_assert_eq!(money, cents);
        }
        prop_assert_eq!(ask(events, all), answer);
    }
}
