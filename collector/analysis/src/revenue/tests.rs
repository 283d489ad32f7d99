//! Rules of revenue, one named test each.

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::{Recurring, RevenueAnswer, RevenueCurrency};
use crate::testing::{Event, Memory, Scan};
use crate::{AnswerBody, Context};

/// 2026-09-01T00:00:00Z.
const T0: i64 = 1_788_220_800_000;
const DAY: i64 = 86_400_000;

fn ask_by(events: Vec<Event>, extra: Value, scan: Scan) -> RevenueAnswer {
    let mut question = json!({ "from": "2026-09-01", "to": "2026-11-01" });
    question.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    let context = Context::utc(T0 + 90 * DAY);
    match Memory::new(events).answer_by("revenue", question, &context, scan).unwrap().body {
        AnswerBody::Revenue(answer) => answer,
        other => panic!("{other:?}"),
    }
}

fn ask(events: Vec<Event>) -> RevenueAnswer {
    ask_by(events, json!({}), Scan::default())
}

fn event(person: u64, day: i64, name: &str) -> Event {
    Event::new(person, T0 + day * DAY, name)
}

/// Somebody's only item, at so much a month.
fn subscribes(person: u64, day: i64, amount: f64) -> Event {
    event(person, day, "subscription.created").with("amount", amount).with("currency", "EUR")
}

fn changes(person: u64, day: i64, amount: f64) -> Event {
    event(person, day, "subscription.changed").with("amount", amount)
}

fn cancels(person: u64, day: i64) -> Event {
    event(person, day, "subscription.cancelled")
}

fn pays(person: u64, day: i64, amount: f64) -> Event {
    event(person, day, "payment.completed").with("amount", amount).with("currency", "EUR")
}

fn euros(answer: &RevenueAnswer) -> &RevenueCurrency {
    answer.currencies.iter().find(|found| found.currency.as_deref() == Some("EUR")).unwrap()
}

/// Start, new, reactivation, expansion, contraction, churn, end.
fn bridge(recurring: &Recurring) -> [f64; 7] {
    let Recurring { start, new, reactivation, expansion, contraction, churn, end, .. } = recurring;
    [*start, *new, *reactivation, *expansion, *contraction, *churn, *end]
}

#[test]
fn vector_23_a_year_a_month_and_a_week_are_41_67_by_the_month() {
    let item = |name: &str, amount: f64, interval: &str| {
        subscribes(1, 3, amount).with("subscription", name).with("interval", interval)
    };
    let events = vec![item("a", 120.0, "year"), item("b", 10.0, "month"), item("c", 5.0, "week")];
    let answer = ask(events);
    let september = &euros(&answer).recurring[0];
    assert_eq!((september.end, september.new), (41.67, 41.67));
    assert_eq!(september.arr, 500.0, "twelve times what it is before it is rounded");
    assert_eq!(september.customers.end, 1);
}

#[test]
fn vector_24_a_month_from_100_to_110() {
    let events = vec![
        subscribes(1, -9, 60.0),
        subscribes(2, -9, 28.0),
        subscribes(3, -9, 12.0),
        changes(1, 5, 65.0),
        changes(2, 6, 25.0),
        cancels(3, 7),
        subscribes(4, 8, 20.0),
    ];
    let answer = ask(events);
    let september = &euros(&answer).recurring[0];
    assert_eq!(bridge(september), [100.0, 20.0, 0.0, 5.0, 3.0, 12.0, 110.0]);
    assert_eq!(september.revenue_churn_ratio, Some(0.15));
    assert_eq!(september.net_retention_ratio, Some(0.9));
    assert_eq!(september.customer_churn_ratio, Some(1.0 / 3.0), "one of three");
    assert_eq!(
        bridge(&euros(&answer).recurring[1])[..2],
        [110.0, 0.0],
        "the end is the next start"
    );
}

#[test]
fn a_currency_stands_by_itself() {
    let dollars = subscribes(2, 3, 7.0).with("currency", "USD");
    let answer = ask(vec![subscribes(1, 3, 10.0), dollars]);
    let ends: Vec<_> = answer
        .currencies
        .iter()
        .map(|found| (found.currency.as_deref(), found.recurring[0].end))
        .collect();
    assert_eq!(ends, [(Some("EUR"), 10.0), (Some("USD"), 7.0)]);
}

/// Everything one person can say without a currency, and the same with one.
fn with_and_without(currency: Option<&str>) -> Vec<Event> {
    let said = |event: Event| match currency {
        Some(currency) => event.with("currency", currency),
        None => event,
    };
    vec![
        said(event(1, 2, "subscription.created").with("amount", 10.0)),
        said(event(1, 3, "payment.completed").with("amount", 10.0).with("payment_id", "a")),
        event(1, 4, "payment.refunded").with("amount", 4.0).with("payment_id", "a"),
        said(event(1, 5, "payment.refunded").with("amount", 1.0)),
        changes(1, 6, 12.0),
        pays(1, 7, 5.0),
        subscribes(2, 8, 3.0),
        pays(2, 9, 3.0).with("currency", "USD"),
    ]
}

#[test]
fn an_amount_that_names_no_currency_is_in_that_of_the_project_or_the_question() {
    for scan in [Scan::default(), Scan { kernels: 2, reverse_codes: true }] {
        let by = |events, extra| ask_by(events, extra, scan);
        let named = by(with_and_without(Some("EUR")), json!({}));
        let euros_by_default = json!({ "default_currency": "EUR" });
        assert_eq!(by(with_and_without(None), euros_by_default.clone()), named);
        assert_eq!(euros(&named).taken[0].payers, 1, "once, whichever way it is said");
        // Nobody says it, and yet it has a name; what is said stands.
        let krona = by(with_and_without(None), json!({ "default_currency": "SEK" }));
        let names = |answer: &RevenueAnswer| -> Vec<Option<String>> {
            answer.currencies.iter().map(|found| found.currency.clone()).collect()
        };
        assert_eq!(names(&krona), ["EUR", "SEK", "USD"].map(|name| Some(name.to_owned())));
        assert_eq!(krona.currencies[1].taken[0].refunded, 5.0, "with the payment's");
        assert_eq!(names(&by(with_and_without(None), json!({})))[0], None, "apart without one");
    }
}

#[test]
fn the_project_s_currency_is_in_the_definition_and_the_question_s_goes_before_it() {
    let currency = crate::currency::Currency::parse("CHF");
    let context = Context { currency, ..Context::utc(T0) };
    let said = |question: Value| {
        let compiled = crate::compile("revenue", question, &context).unwrap();
        compiled.definition["default_currency"].clone()
    };
    assert_eq!(said(json!({})), "CHF");
    assert_eq!(said(json!({ "default_currency": "EUR" })), "EUR");
    let wrong = crate::compile("revenue", json!({ "default_currency": "euro" }), &context);
    assert!(wrong.err().unwrap().to_string().contains("write three capital letters: EUR"));
}

#[test]
fn who_comes_back_is_no_new_customer() {
    let answer = ask(vec![
        subscribes(1, -40, 10.0),
        cancels(1, -20),
        subscribes(1, 3, 8.0),
        subscribes(2, 3, 5.0),
        cancels(2, 4),
        subscribes(2, 5, 6.0),
    ]);
    let september = &euros(&answer).recurring[0];
    assert_eq!(bridge(september), [0.0, 6.0, 8.0, 0.0, 0.0, 0.0, 14.0]);
    assert_eq!((september.customers.new, september.customers.reactivated), (1, 1));
}

#[rstest]
#[case::a_trial_counts_when_it_is_over("trialing", "active", [0.0, 9.0])]
#[case::a_pause_counts_nothing("active", "paused", [9.0, 0.0])]
#[case::a_late_payment_counts("active", "past_due", [9.0, 9.0])]
fn what_an_items_status_means(#[case] first: &str, #[case] then: &str, #[case] ends: [f64; 2]) {
    let answer = ask(vec![
        subscribes(1, 3, 9.0).with("status", first),
        event(1, 33, "subscription.changed").with("status", then),
        // Something of an item in October for the currency to be in the answer.
        subscribes(2, 40, 0.01).with("subscription", "other"),
        cancels(2, 41).with("subscription", "other"),
    ]);
    let got = answer.currencies.iter().find(|found| found.currency.as_deref() == Some("EUR"));
    let got = got.map_or([0.0; 2], |found| [0, 1].map(|bucket| found.recurring[bucket].end));
    assert_eq!(got, ends);
}

#[test]
fn an_item_counts_to_the_end_of_what_was_paid() {
    let ends_at = T0 + 40 * DAY;
    let answer = ask(vec![subscribes(1, 3, 9.0), cancels(1, 10).with("ends_at", ends_at)]);
    let euros = euros(&answer);
    assert_eq!((euros.recurring[0].end, euros.recurring[1].end), (9.0, 0.0));
    assert_eq!(euros.recurring[1].churn, 9.0);
    let renewed = event(1, 30, "subscription.renewed");
    let answer = ask(vec![subscribes(1, 3, 9.0), cancels(1, 10).with("ends_at", ends_at), renewed]);
    assert_eq!(self::euros(&answer).recurring[1].end, 9.0, "who renews stays, at the same price");
}

#[test]
fn one_off_payments_are_apart_and_recur_never() {
    let answer = ask(vec![pays(1, 3, 30.0), pays(1, 4, 10.0).with("subscription", "a")]);
    let euros = euros(&answer);
    let september = &euros.taken[0];
    assert_eq!((september.gross, september.one_off, september.payments), (40.0, 30.0, 2));
    assert_eq!(euros.recurring[0].end, 0.0);
}

#[test]
fn a_refund_counts_on_its_own_day_and_in_the_currency_of_its_payment() {
    let refund = event(1, 35, "payment.refunded").with("amount", 4).with("payment_id", "p");
    let lost = event(1, 36, "payment.refunded").with("amount", 1).with("currency", "EUR");
    let answer = ask(vec![pays(1, 3, 30.0).with("payment_id", "p"), refund, lost]);
    let [september, october] = &euros(&answer).taken[..] else { panic!() };
    assert_eq!((september.net, september.refunded), (30.0, 0.0));
    assert_eq!((october.net, october.refunded), (-5.0, 5.0));
    assert_eq!((october.refunds, october.unlinked_refunds), (2, 1));
}

#[test]
fn revenue_by_people_is_net_and_without_tax() {
    let refund = event(1, 4, "payment.refunded").with("amount", 3).with("currency", "EUR");
    let answer = ask(vec![
        pays(1, 3, 11.9).with("tax", 1.9),
        pays(2, 3, 5.0),
        refund,
        event(3, 3, "$pageview"),
        event(4, 3, "$pageview"),
    ]);
    let september = &euros(&answer).taken[0];
    assert_eq!((september.gross, september.net), (15.0, 12.0));
    assert_eq!((answer.active[0], answer.paying[0]), (4, 2));
    assert_eq!((september.arpu, september.arppu), (Some(3.0), Some(6.0)));
    assert_eq!(euros(&answer).taken[1].arpu, None, "nobody was there");
}

#[test]
fn a_life_is_worth_its_margin_by_churn_and_unknown_while_nobody_leaves() {
    let mut events: Vec<Event> = (1..=4).map(|person| subscribes(person, -9, 10.0)).collect();
    events.extend((1..=4).map(|person| pays(person, 3, 10.0)));
    let ltv = |events: Vec<Event>| {
        euros(&ask_by(events, json!({ "margin": 0.8 }), Scan::default())).taken[0].ltv
    };
    assert_eq!(ltv(events.clone()), None);
    events.push(cancels(4, 20));
    assert_eq!(ltv(events), Some(10.0 * 0.8 / 0.25));
}

#[test]
fn conversion_is_of_first_payments_ever_among_those_who_were_there() {
    let answer = ask(vec![
        pays(1, -40, 5.0),
        pays(1, 3, 5.0),
        pays(2, 3, 5.0),
        pays(2, 9, 5.0),
        event(3, 3, "$pageview"),
        event(4, 3, "$pageview"),
    ]);
    assert_eq!((answer.first_paying[0], answer.paying[0]), (1, 2));
    assert_eq!(answer.conversion_ratio, [Some(0.25), None]);
}

#[test]
fn what_cannot_be_read_is_counted() {
    let answer = ask(vec![
        subscribes(1, 3, 9.0).with("interval", "fortnight"),
        subscribes(2, 3, 9.0).with("status", "?"),
        event(3, 3, "payment.completed"),
        subscribes(4, 3, 9.0),
    ]);
    assert_eq!(answer.not_understood, 3);
}

#[rstest]
#[case(json!({ "bucket": "hour" }), "field_invalid")]
#[case(json!({ "margin": 0 }), "field_invalid")]
#[case(json!({ "margin": 1.01 }), "field_invalid")]
#[case(json!({ "digits": 7 }), "field_invalid")]
#[case(json!({ "breakdown": "plan" }), "unsupported")]
#[case(json!({ "margin": 1, "digits": 6 }), "understood")]
fn a_question_is(#[case] question: Value, #[case] code: &str) {
    let context = Context::utc(T0);
    let got = crate::compile("revenue", question, &context);
    assert_eq!(got.map_or_else(|error| error.code(), |_| "understood"), code);
}

/// A history of items, and what is paid by the month at its end, in twelfths of a cent.
fn item_events() -> impl Strategy<Value = Vec<Event>> {
    let one = (1u64..5, -60i64..60, 0u32..4, 1u32..3_000, 0usize..4, 0usize..2);
    prop::collection::vec(one, 0..40).prop_map(|all| {
        let make = |(person, day, kind, cents, interval, item): (_, _, _, u32, usize, usize)| {
            let name = ["created", "changed", "renewed", "cancelled"][kind as usize];
            let event = event(person, day, &format!("subscription.{name}"))
                .with("subscription", ["a", "b"][item]);
            if kind > 1 {
                return event;
            }
            event
                .with("amount", f64::from(cents) / 100.0)
                .with("currency", "EUR")
                .with("interval", ["day", "week", "month", "year"][interval])
        };
        all.into_iter().map(make).collect()
    })
}

proptest! {
    #[test]
    fn a_bridge_adds_up_to_the_cent_and_leads_to_the_next(
        events in item_events(),
        kernels in 1usize..4,
        reverse_codes: bool,
    ) {
        let question = json!({ "bucket": "week" });
        let answer = ask_by(events.clone(), question.clone(), Scan::default());
        let shared = ask_by(events, question, Scan { kernels, reverse_codes });
        prop_assert_eq!(&answer, &shared);
        for found in &answer.currencies {
            let cents = |amount: f64| (amount * 100.0).round() as i64;
            for week in &found.recurring {
                let [start, new, back, more, less, lost, end] = bridge(week).map(cents);
                prop_assert_eq!(start + new + back + more - less - lost, end);
                let Recurring { customers, .. } = week;
                prop_assert_eq!(
                    customers.start + customers.new + customers.reactivated - customers.churned,
                    customers.end
                );
            }
            for pair in found.recurring.windows(2) {
                prop_assert_eq!(cents(pair[0].end), cents(pair[1].start));
            }
        }
    }
}
