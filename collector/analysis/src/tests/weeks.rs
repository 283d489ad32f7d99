//! Weeks that do not start on Monday: questions against the words of the definition.
//!
//! A week of a person's project is found by walking back, day by day, to the day that starts it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::question::Context;
use crate::registry::compile;
use crate::testing::{Event, Memory, Scan};
use crate::time_bucket::{HOUR_MS, WeekStart, date_of, instant, time_zone};

/// Hours of the range: thirteen weeks in which clocks change once in Berlin and in Santiago.
const HOURS: i64 = 13 * 7 * 24;
const FROM: &str = "2026-08-20";
const TO: &str = "2026-11-19";

fn context(zone: &str, week_starts: WeekStart) -> Context {
    // Long after the range, so that everything is known.
    let now_ms = instant("now", "2027-06-01", &TimeZone::UTC).unwrap();
    Context { tz: zone.into(), week_starts, ..Context::utc(now_ms) }
}

/// The day on which the week of an instant began.
fn began(at_ms: i64, tz: &TimeZone, start: WeekStart) -> Date {
    let day = date_of(at_ms, tz).unwrap();
    let names_it = |day: &Date| day.strftime("%A").to_string().to_lowercase() == start.name();
    (0..7).map(|back| day.checked_sub(back.days()).unwrap()).find(names_it).unwrap()
}

fn ask(kind: &str, events: &[Event], mut question: Value, context: &Context) -> Value {
    let common = json!({ "from": FROM, "to": TO, "bucket": "week" });
    question.as_object_mut().unwrap().extend(common.as_object().unwrap().clone());
    let scan = Scan { kernels: 2, reverse_codes: true };
    let answer = Memory::new(events.to_vec()).answer_by(kind, question, context, scan).unwrap();
    serde_json::to_value(answer.body).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn trends_and_retention_go_by_the_weeks_of_the_project(
        start in prop::sample::select(&WeekStart::ALL[..]),
        zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/Santiago"]),
        did in prop::collection::vec((1u64..6, 0..HOURS, 0i64..2), 1..60),
    ) {
        let tz = time_zone(zone).unwrap();
        let [first_ms, end_ms] = [FROM, TO].map(|day| instant("day", day, &tz).unwrap());
        // At the hour itself or just before it, where weeks begin and end. Where clocks went forward the range has
        // an hour less.
        let at = |hour: i64, before: i64| (first_ms + hour * HOUR_MS - before).clamp(first_ms, end_ms - 1);
        let did: Vec<(u64, i64)> = did.iter().map(|(who, hour, before)| (*who, at(*hour, *before))).collect();
        let events: Vec<Event> = did.iter().map(|(who, at_ms)| Event::new(*who, *at_ms, "view")).collect();
        let context = context(zone, start);

        let mut weeks: BTreeMap<Date, (u64, BTreeSet<u64>)> = BTreeMap::new();
        for (who, at_ms) in &did {
            let (count, people) = weeks.entry(began(*at_ms, &tz, start)).or_default();
            *count += 1;
            people.insert(*who);
        }
        let series = json!({ "series": [{ "event": "view" }, { "event": "view", "measure": "persons" }] });
        let trend = ask("trend", &events, series, &context);
        let days: Vec<Date> =
            trend["buckets"].as_array().unwrap().iter().map(|day| day.as_str().unwrap().parse().unwrap()).collect();
        for (at, day) in days.iter().enumerate() {
            let (count, people) = weeks.get(day).cloned().unwrap_or_default();
            prop_assert_eq!(trend["series"][0]["data"][at].as_f64(), Some(count as f64), "{}", day);
            prop_assert_eq!(trend["series"][1]["data"][at].as_f64(), Some(people.len() as f64), "{}", day);
        }
        prop_assert!(weeks.keys().all(|week| days.contains(week)), "{:?} {:?}", weeks, days);

        let retention = ask("retention", &events, json!({ "periods": 3 }), &context);
        let mut first: BTreeMap<u64, Date> = BTreeMap::new();
        for (who, at_ms) in &did {
            let week = began(*at_ms, &tz, start);
            first.entry(*who).and_modify(|known| *known = week.min(*known)).or_insert(week);
        }
        for cohort in retention["cohorts"].as_array().unwrap() {
            let week: Date = cohort["from"].as_str().unwrap().parse().unwrap();
            let people: Vec<&u64> = first.iter().filter(|(_, began)| **began == week).map(|(who, _)| who).collect();
            prop_assert_eq!(cohort["size"].as_u64(), Some(people.len() as u64), "{}", week);
            for later in 0..3i64 {
                let then = weeks.get(&week.checked_add((7 * later).days()).unwrap());
                let here = people.iter().filter(|who| then.is_some_and(|(_, here)| here.contains(who)));
                let got = cohort["returned"][later as usize].as_u64();
                prop_assert_eq!(got, Some(here.count() as u64), "{} {}", week, later);
            }
        }
    }
}

/// Everything that counts by weeks has the same ones, and says in its definition which.
#[test]
fn every_question_by_week_goes_by_the_weeks_of_the_project() {
    let steps = json!([{ "event": "view" }, { "event": "buy" }]);
    let kinds = [
        ("trend", json!({})),
        ("trend", json!({ "form": "cumulative" })),
        ("lifecycle", json!({})),
        ("stickiness", json!({})),
        ("retention", json!({})),
        ("sessions", json!({})),
        ("content", json!({})),
        ("revenue", json!({})),
        ("funnel", json!({ "steps": steps })),
    ];
    let context = context("Europe/Berlin", WeekStart::Saturday);
    // A Friday evening and the Saturday after it, in summer and in winter time.
    let instants = ["2026-09-04T21:59:59.999Z", "2026-09-04T22:00:00Z", "2026-11-06T22:59:59.999Z"];
    let at = |text: &str| instant("at", text, &TimeZone::UTC).unwrap();
    let events: Vec<Event> = instants.iter().map(|text| Event::new(1, at(text), "view")).collect();
    for (kind, question) in kinds {
        let mut asked = question.clone();
        let common = json!({ "from": FROM, "to": TO, "bucket": "week" });
        asked.as_object_mut().unwrap().extend(common.as_object().unwrap().clone());
        let definition = compile(kind, asked.clone(), &context).unwrap().definition;
        assert_eq!(definition["week_starts"], "saturday", "{kind}");
        let again = compile(kind, definition.clone(), &Context::utc(context.now_ms)).unwrap();
        assert_eq!(again.definition, definition, "{kind}");
        // Dates of the answer are those of Saturdays.
        let answer = ask(kind, &events, question, &context).to_string();
        let dates: Vec<Date> = answer.split('"').filter_map(|text| text.parse().ok()).collect();
        let is_known = |day: &Date| {
            began(
                at("2026-09-04T22:00:00Z"),
                &time_zone("Europe/Berlin").unwrap(),
                WeekStart::Saturday,
            ) == *day
        };
        assert!(kind == "stickiness" || dates.iter().any(is_known), "{kind}: {answer}");
        let is_saturday = |day: &Date| day.weekday() == jiff::civil::Weekday::Saturday;
        assert!(dates.iter().all(is_saturday), "{kind}: {dates:?}");
    }
}

#[test]
fn a_day_that_is_none_is_refused() {
    let question = json!({ "week_starts": "someday" });
    let error = compile("trend", question, &context("UTC", WeekStart::Monday)).unwrap_err();
    assert!(error.to_string().contains("someday"), "{error}");
}
