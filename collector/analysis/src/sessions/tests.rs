//! Sessions against small worlds whose answer is plain, and against a slow model.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::testing::{Event, Memory, Scan};

/// 2026-09-01T00:00:00Z.
const T0: i64 = 1_788_220_800_000;
const MIN: i64 = 60_000;
const DAY: i64 = 86_400_000;

fn ask_by(events: Vec<Event>, question: Value, scan: Scan) -> SessionsAnswer {
    let mut full = json!({ "from": "2026-09-01", "to": "2026-09-04" });
    full.as_object_mut().unwrap().extend(question.as_object().unwrap().clone());
    let context = Context::utc(T0 + 90 * DAY);
    match Memory::new(events).answer_by("sessions", full, &context, scan).unwrap().body {
        AnswerBody::Sessions(answer) => answer,
        other => panic!("{other:?}"),
    }
}

fn ask(events: Vec<Event>, question: Value) -> SessionsAnswer {
    ask_by(events, question, Scan::default())
}

fn view(person: u64, at: i64, path: &str) -> Event {
    Event::new(person, T0 + at, "$pageview").with("path", path)
}

fn per_bucket(answer: &SessionsAnswer) -> Vec<u64> {
    answer.buckets.iter().map(|bucket| bucket.sessions).collect()
}

#[test]
fn a_session_counts_where_it_began_with_all_of_it() {
    let events = vec![
        view(1, DAY - 10 * MIN, "/in"),
        view(1, DAY + 10 * MIN, "/out"),
        view(2, 3 * DAY - MIN, "/late"),
        view(2, 3 * DAY + MIN, "/after"),
    ];
    let answer = ask(events, json!({}));
    assert_eq!(per_bucket(&answer), [1, 0, 1]);
    let first = &answer.buckets[0];
    assert_eq!((first.views, first.bounces, first.bounce_ratio), (2, 0, Some(0.0)));
    assert_eq!(first.median_duration_ms, Figure(Some(20.0 * MIN as f64)));
    assert_eq!(first.pages_per_session, Some(2.0));
    assert_eq!(answer.buckets[1].median_duration_ms, Figure(None));
    assert_eq!(answer.total.sessions, 2);
    assert_eq!(answer.exit_pages[0].path, "/after", "what lies behind the range belongs to it");
}

#[test]
fn matomo_ends_visits_at_midnight_on_another_campaign_and_after_ten_thousand_actions() {
    let from = |campaign: &str, at: i64| view(1, at, "/").with("utm_campaign", campaign);
    let named = |event: Event| event.with("session", 77);
    let count = |events: Vec<Event>, question: Value| ask(events, question).total.sessions;
    let (ours, matomo) = (json!({}), json!({ "compat": "matomo" }));
    for (events, as_ours, as_matomo) in [
        (vec![view(1, DAY - MIN, "/"), view(1, DAY + MIN, "/")], 1, 2),
        (vec![named(view(1, DAY - MIN, "/")), named(view(1, DAY + MIN, "/"))], 1, 2),
        (vec![from("spring", 0), from("spring", MIN), view(1, 2 * MIN, "/")], 1, 1),
        (vec![from("spring", 0), from("summer", MIN), from("summer", 2 * MIN)], 1, 2),
        (vec![view(1, 0, "/"), from("spring", MIN)], 1, 2),
        (vec![view(1, 0, "/"), view(1, 30 * MIN, "/"), view(1, 60 * MIN + 1, "/")], 2, 2),
        ((0..10_000).map(|at| view(1, at, "/")).collect(), 1, 1),
        ((0..10_001).map(|at| view(1, at, "/")).collect(), 1, 2),
    ] {
        let got = (count(events.clone(), ours.clone()), count(events.clone(), matomo.clone()));
        assert_eq!(got, (as_ours, as_matomo), "{} events from {:?}", events.len(), events[0]);
    }
}

#[test]
fn matomos_midnight_is_that_of_the_question() {
    // 22:30 and 23:30 in Berlin, half an hour on either side of its midnight in UTC.
    let events = vec![
        view(1, DAY - 150 * MIN, "/"),
        view(1, DAY - 125 * MIN, "/"),
        view(1, DAY - 115 * MIN, "/"),
    ];
    let of = |tz: &str| ask(events.clone(), json!({ "compat": "matomo", "tz": tz })).total.sessions;
    assert_eq!((of("UTC"), of("Europe/Berlin")), (1, 2));
}

#[test]
fn a_session_that_began_before_the_range_does_not_count() {
    let events = vec![view(1, -10 * MIN, "/a"), view(1, 10 * MIN, "/b")];
    assert_eq!(ask(events, json!({})).total.sessions, 0);
}

#[test]
fn vector_19() {
    let times = [0, 30 * MIN, 60 * MIN + 1];
    let events = times.iter().map(|at| view(1, *at, "/a")).collect();
    assert_eq!(ask(events, json!({})).total.sessions, 2);
}

#[test]
fn a_long_local_day_holds_the_sessions_of_its_twenty_five_hours() {
    // Clocks go back on 2026-10-25 in Berlin: the day begins at 22:00Z and ends at 23:00Z.
    let day = 1_792_879_200_000;
    let at = |ms: i64| Event::new(1, day + ms, "opened");
    let events = vec![at(0), at(12 * 60 * MIN), at(25 * 60 * MIN - 1), at(26 * 60 * MIN)];
    let question = json!({ "from": "2026-10-25", "to": "2026-10-27", "tz": "Europe/Berlin" });
    assert_eq!(per_bucket(&ask(events, question)), [3, 1]);
}

#[test]
fn a_bounce_has_one_view_no_conversion_and_little_attention() {
    let bounces = |events: Vec<Event>| ask(events, json!({})).total.bounces;
    assert_eq!(bounces(vec![view(1, 0, "/a")]), 1);
    assert_eq!(bounces(vec![view(1, 0, "/a"), view(1, 1, "/a")]), 0);
    assert_eq!(bounces(vec![view(1, 0, "/a"), Event::new(1, T0 + 1, "clicked")]), 1);
    assert_eq!(bounces(vec![view(1, 0, "/a"), Event::new(1, T0 + 1, "$conversion")]), 0);
    assert_eq!(bounces(vec![view(1, 0, "/a").with("engaged_ms", 9_999)]), 1);
    assert_eq!(bounces(vec![view(1, 0, "/a").with("engaged_ms", 10_000)]), 0);
    assert_eq!(bounces(vec![Event::new(1, T0, "opened")]), 0, "a visit without a page");
}

#[test]
fn pages_and_conversions_may_have_other_names() {
    let seen = |name: &str, at: i64| Event::new(1, T0 + at, name).with("path", "/a");
    let question = json!({ "event": "page_view", "conversions": ["purchase"] });
    let answer = ask(vec![seen("page_view", 0), seen("purchase", 1)], question);
    assert_eq!((answer.total.views, answer.total.bounces), (1, 0));
    assert_eq!(answer.entry_pages[0].path, "/a");
}

#[test]
fn servers_join_only_the_session_they_name() {
    let events = vec![
        view(1, 0, "/a").with("session", 7),
        Event::new(1, T0 + 5 * MIN, "paid").from_server(),
        Event::new(1, T0 + 9 * MIN, "shipped").with("session", 7).from_server(),
    ];
    let answer = ask(events, json!({}));
    assert_eq!(answer.total.sessions, 1);
    assert_eq!(answer.total.median_duration_ms, Figure(Some(9.0 * MIN as f64)));
}

#[test]
fn pages_that_sessions_begin_and_end_with() {
    let events = vec![
        view(1, 0, "/a"),
        view(1, 1, "/b"),
        view(2, 0, "/a"),
        view(3, 0, "/b"),
        view(3, 1, "/b"),
    ];
    let answer = ask(events, json!({ "limit": 1 }));
    let entry = &answer.entry_pages;
    assert_eq!(entry.len(), 1);
    assert_eq!((&*entry[0].path, entry[0].sessions, entry[0].bounces), ("/a", 2, 1));
    assert_eq!((&*answer.exit_pages[0].path, answer.exit_pages[0].sessions), ("/b", 2));
}

/// Sessions by the rules, as lists of events.
fn plainly(events: &[Event]) -> Vec<Vec<Event>> {
    let mut sorted = events.to_vec();
    sorted.sort_by_key(|event| (event.person, event.ts_ms, event.seq));
    let mut sessions: Vec<Vec<Event>> = Vec::new();
    for event in sorted {
        let named = event.props.get("session");
        if event.is_server && named.is_none() {
            continue;
        }
        let open = sessions.iter_mut().rev().find(|session| {
            let (first, last) = (&session[0], &session[session.len() - 1]);
            let same = first.person == event.person && first.props.get("session") == named;
            let close = event.ts_ms - last.ts_ms <= 30 * MIN && event.ts_ms - first.ts_ms < DAY;
            let devices = first.actor == event.actor;
            same && (named.is_some() || devices)
                // An older session of the same device is over for good.
                && (named.is_some() || close)
        });
        match open {
            Some(session) => session.push(event),
            None => sessions.push(vec![event]),
        }
    }
    sessions
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn figures_are_those_of_the_definition(
        steps in prop::collection::vec(
            (0u64..4, -600i64..5000, 0i64..MIN, 0u64..4, 0u8..6, prop::bool::weighted(0.2)), 0..150),
        kernels in 1usize..4, reverse_codes: bool,
    ) {
        let events: Vec<Event> = (0..).zip(steps).map(|(seq, (person, minute, ms, session, what, is_server))| {
            let at = minute * MIN + ms;
            let event = match what {
                0 => Event::new(person, T0 + at, "$conversion"),
                1 => Event::new(person, T0 + at, "clicked").with("engaged_ms", 6000),
                path => view(person, at, &format!("/{path}")),
            };
            let event = event.on(person + u64::from(what % 2)).seq(seq);
            let event = if what < 5 { event.with("source", format!("s{what}")) } else { event };
            // Named sessions stay within the day before the range that is looked at.
            let event = if session > 1 && minute >= 0 {
                event.with("session", session + minute as u64 / 700 * 10)
            } else {
                event
            };
            if is_server { event.from_server() } else { event }
        }).collect();
        let in_range = |session: &Vec<Event>| (T0..T0 + 3 * DAY).contains(&session[0].ts_ms);
        let sessions: Vec<_> = plainly(&events).into_iter().filter(in_range).collect();
        let views = |session: &Vec<Event>| session.iter().filter(|event| event.name == "$pageview").count();
        let bounces = sessions.iter().filter(|session| {
            let engaged: f64 = session.iter().filter_map(|event| event.props.get("engaged_ms")?.as_f64()).sum();
            views(session) == 1 && engaged < 10_000.0 && session.iter().all(|event| event.name != "$conversion")
        });
        let mut durations: Vec<f64> = sessions.iter()
            .map(|session| (session[session.len() - 1].ts_ms - session[0].ts_ms) as f64).collect();
        let [median] = crate::quantile::quantiles(&mut durations, [0.5]);

        let by = json!({ "breakdown": { "prop": "source", "limit": 2 } });
        let answer = ask_by(events.clone(), by, Scan { kernels, reverse_codes });
        prop_assert_eq!(answer.total.sessions, sessions.len() as u64);
        prop_assert_eq!(answer.total.bounces, bounces.count() as u64);
        prop_assert_eq!(answer.total.views, sessions.iter().map(views).sum::<usize>() as u64);
        prop_assert_eq!(answer.total.median_duration_ms, Figure(median));
        prop_assert_eq!(per_bucket(&answer).iter().sum::<u64>(), answer.total.sessions);
        let begun = sessions.iter().filter(|session| views(session) > 0).count() as u64;
        prop_assert_eq!(answer.entry_pages.iter().map(|page| page.sessions).sum::<u64>(), begun);

        let source = |session: &Vec<Event>| Some(session[0].props.get("source")?.as_str()?.to_owned());
        let listed: Vec<String> = answer.breakdown.iter()
            .filter_map(|group| Some(group.value.as_ref()?.text()?.to_owned())).collect();
        for group in &answer.breakdown {
            let own: Vec<_> = sessions.iter().filter(|session| match (group.group, source(session)) {
                (Group::Value, Some(source)) => group.value == Some(GroupValue::One(source)),
                (Group::Absent, source) => source.is_none(),
                (_, source) => source.is_some_and(|source| !listed.contains(&source)),
            }).collect();
            let people: std::collections::BTreeSet<u64> = own.iter().map(|session| session[0].person).collect();
            let persons = (group.group != Group::Other).then_some(people.len() as u64);
            let converted = own.iter().filter(|session| session.iter().any(|event| event.name == "$conversion"));
            prop_assert_eq!((group.sessions, group.persons), (own.len() as u64, persons));
            prop_assert_eq!(group.converted, converted.count() as u64);
            prop_assert_eq!(group.views, own.iter().map(|session| views(session)).sum::<usize>() as u64);
        }
        let all = |figure: fn(&SessionsGroup) -> u64| answer.breakdown.iter().map(figure).sum::<u64>();
        prop_assert_eq!(all(|group| group.sessions), answer.total.sessions);
        prop_assert_eq!(all(|group| group.bounces), answer.total.bounces);
    }
}
