//! Rules of running forms, one named test each; and people against plain sets.

use std::collections::BTreeSet;

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use crate::testing::{Event, Memory, Scan};
use crate::{AnswerBody, Context};

/// 2026-09-01T00:00:00Z.
const T0: i64 = 1_788_220_800_000;
const DAY: i64 = 86_400_000;

fn context() -> Context {
    Context::utc(T0 + 30 * DAY)
}

/// The figures of one series.
fn running(events: Vec<Event>, extra: Value) -> (Vec<Option<f64>>, Option<f64>) {
    let mut question = json!({ "from": "2026-09-04", "to": "2026-09-08" });
    question.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    let scan = Scan { kernels: 2, reverse_codes: true };
    let answer = Memory::new(events).answer_by("trend", question, &context(), scan).unwrap();
    let AnswerBody::Trend(trend) = answer.body else { panic!("a trend answers a trend") };
    let series = &trend.series[0];
    assert_eq!(series.data.len(), trend.buckets.len());
    (series.data.iter().map(|figure| figure.0).collect(), series.total.0)
}

/// Person 1 on day 1, 5 and 6, person 2 on day 3 and 5.
fn comers() -> Vec<Event> {
    let on = |(person, day): (u64, i64)| {
        Event::new(person, T0 + day * DAY, "view").with("value", 2 * day)
    };
    [(1, 1), (1, 5), (1, 6), (2, 3), (2, 5)].into_iter().map(on).collect()
}

#[rstest]
// The range is day 3 to 6.
#[case::events("cumulative", "count", [1.0, 1.0, 3.0, 4.0], 4.0)]
#[case::people("cumulative", "persons", [1.0, 1.0, 2.0, 2.0], 2.0)]
#[case::sums("cumulative", "sum", [6.0, 6.0, 26.0, 38.0], 38.0)]
#[case::rolling_events("rolling:3", "count", [2.0, 1.0, 3.0, 3.0], 4.0)]
#[case::rolling_people("rolling:3", "persons", [2.0, 1.0, 2.0, 2.0], 2.0)]
#[case::rolling_sums("rolling:2", "sum", [6.0, 6.0, 20.0, 32.0], 38.0)]
fn a_running_form_stands_for_the_buckets_before(
    #[case] form: &str,
    #[case] measure: &str,
    #[case] want: [f64; 4],
    #[case] total: f64,
) {
    let mut series = json!({ "event": "view", "measure": measure });
    if measure == "sum" {
        series["prop"] = json!("value");
    }
    let got = running(comers(), json!({ "series": [series], "form": form }));
    assert_eq!(got, (want.map(Some).to_vec(), Some(total)));
}

#[rstest]
#[case(json!({ "form": "rolling:1" }), "field_invalid")]
#[case(json!({ "form": "growing" }), "field_invalid")]
#[case(json!({ "form": "cumulative", "compare": "previous" }), "field_invalid")]
#[case(json!({ "form": "cumulative", "series": [{ "measure": "p50", "prop": "x" }] }), "field_invalid")]
fn running_forms_that_make_no_sense_are_refused(#[case] question: Value, #[case] code: &str) {
    assert_eq!(crate::compile("trend", question, &context()).unwrap_err().code(), code);
}

proptest! {
    #[test]
    fn running_people_are_those_of_the_buckets_stood_for(
        comers in prop::collection::vec((0u64..6, 0i64..10, 0u8..3), 0..40), rolling in 2usize..5,
        is_cumulative in any::<bool>(),
    ) {
        let events: Vec<Event> = comers.iter().map(|(person, day, kind)| {
            Event::new(*person, T0 + day * DAY, "view").with("kind", kind.to_string())
        }).collect();
        let form = if is_cumulative { "cumulative".to_owned() } else { format!("rolling:{rolling}") };
        let question = json!({ "series": [{ "event": "view", "measure": "persons" }], "form": form });
        let (data, total) = running(events.clone(), question);
        let distinct = |days: std::ops::RangeInclusive<i64>| {
            let within = comers.iter().filter(|(_, day, _)| days.contains(day));
            within.map(|(person, ..)| person).collect::<BTreeSet<_>>().len() as f64
        };
        for (day, figure) in (3..7).zip(data) {
            let first = if is_cumulative { 3 } else { day - rolling as i64 + 1 };
            prop_assert_eq!(figure, Some(distinct(first..=day)));
        }
        prop_assert_eq!(total, Some(distinct(3..=6)));
        // Events by value add up to all of them.
        let question = json!({ "from": "2026-09-04", "to": "2026-09-08", "form": form,
            "series": [{ "event": "view" }], "breakdown": { "prop": "kind", "limit": 1 } });
        let answer = Memory::new(events.clone()).answer("trend", question, &context()).unwrap();
        let AnswerBody::Trend(trend) = answer.body else { panic!("a trend answers a trend") };
        let (all, _) = running(events, json!({ "series": [{ "event": "view" }], "form": form }));
        for (bucket, all) in all.into_iter().enumerate() {
            let sum: f64 = trend.series.iter().filter_map(|line| line.data[bucket].0).sum();
            prop_assert_eq!(Some(sum), all);
        }
    }
}
