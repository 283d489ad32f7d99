//! Active people: how many different people did something, per day, week and month.
//!
//! A person is *active* on a local day when a qualifying event of theirs lies in it: the event of
//! the question, or by default any event but heartbeats, exposures, deliveries and errors. Weekly
//! and monthly figures of a day look back 7 and 30 days, that day included; so the scan begins 29
//! days before the range. They count people, they are never sums of days. Days count whole: a range
//! that begins at noon includes the morning.
//!
//! Invariant: `dau ≤ wau ≤ mau` on every day, and `active_days` adds up to `persons`.
//!
//! Deliberately elsewhere: days (`time_bucket`). People whose anonymous id changes daily: weekly
//! and monthly figures are not defined for them and will be left out once a run says who they are.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::answer::{Answer, AnswerBody, Facts, LATENESS_MS, ratio};
use crate::events::{Dictionaries, EventSet, Run, ScanPlan};
use crate::filter::{Columns, Filter};
use crate::kernel::{Analysis, ByRun, Kernel, Key, Partial, RunKernel};
use crate::question::{Common, Compiled, Context, QuestionError, definition, parse};
use crate::time_bucket::{Buckets, Unit, date_of, start_of};

/// Events that happen without the person doing anything: they make nobody active.
pub const PASSIVE: &[&str] = &[
    "$heartbeat",
    "heartbeat",
    "$exposure",
    "experiment_exposure",
    "$delivery",
    "$error",
    "error",
];

/// A person is active in the week of a day when active on it or the six days before.
const WEEK: usize = 7;
/// The same for the month: the 29 days before.
const MONTH: usize = 30;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    event: Option<String>,
}

/// Active people per day.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ActiveAnswer {
    /// Local days.
    pub days: Vec<String>,
    /// People active on the day.
    pub dau: Vec<u64>,
    /// People active on the day or the six before.
    pub wau: Vec<u64>,
    /// People active on the day or the 29 before.
    pub mau: Vec<u64>,
    /// `dau / mau` of the day; `null` when nobody was active in the month.
    pub stickiness: Vec<Option<f64>>,
    /// Mean of the days' ratios, days without one left out (not mean DAU over mean MAU).
    pub stickiness_mean: Option<f64>,
    /// People active on exactly `index + 1` days of the range.
    pub active_days: Vec<u64>,
    /// People active at least once in the range.
    pub persons: u64,
}

struct Active {
    plan: ScanPlan,
    filter: Filter,
    to_ms: i64,
    /// The lead-in and the range.
    days: Arc<Buckets>,
    lead_in: usize,
}

/// Understand the question.
///
/// # Errors
/// [`QuestionError`] when a field is wrong.
pub(crate) fn compile(
    mut body: Map<String, Value>,
    context: &Context,
) -> Result<Compiled, QuestionError> {
    let common = Common::take(&mut body, context)?.without_breakdown()?;
    let question: Question = parse(body)?;
    let beyond =
        || QuestionError::Time { field: "from".into(), value: common.rfc3339(common.from_ms) };
    let first = date_of(common.from_ms, &common.tz)
        .and_then(|date| date.checked_sub(jiff::Span::new().days(MONTH as i64 - 1)).ok())
        .and_then(|date| start_of(date, &common.tz))
        .ok_or_else(beyond)?;
    let days = Buckets::new(Unit::Day, &common.tz, first, common.to_ms, 0)?;
    let lead_in = days.index(common.from_ms);
    let mut columns = Columns::default();
    let filter = common.filter.bind(&mut columns);
    let events = match &question.event {
        Some(event) => EventSet::Only(vec![event.clone()]),
        None => EventSet::Except(PASSIVE.iter().map(|name| (*name).into()).collect()),
    };
    let plan = ScanPlan::with(columns, first, common.to_ms, events);
    let definition = definition(&common, &question);
    let analysis = Active { plan, filter, to_ms: common.to_ms, days: Arc::new(days), lead_in };
    Ok(Compiled { analysis: Box::new(analysis), definition })
}

impl Analysis for Active {
    fn scan(&self) -> &ScanPlan {
        &self.plan
    }

    fn kernel(&self) -> Box<dyn Kernel> {
        let days = self.days.len();
        let counter = Counter {
            filter: self.filter.clone(),
            days: Arc::clone(&self.days),
            lead_in: self.lead_in,
            spans: [vec![0; days + 1], vec![0; days + 1], vec![0; days + 1]],
            active_days: vec![0; days - self.lead_in + 1],
        };
        Box::new(ByRun::new(&self.plan, counter))
    }

    fn answer(&self, partial: &Partial, facts: &Facts) -> Answer {
        let range = self.lead_in..self.days.len();
        let column = |column: usize| -> Vec<u64> {
            range.clone().map(|day| partial.count(&[Key::Int(0), day.into()], column)).collect()
        };
        let (dau, wau, mau) = (column(0), column(1), column(2));
        let stickiness: Vec<Option<f64>> =
            dau.iter().zip(&mau).map(|(day, month)| ratio(*day, *month)).collect();
        let known: Vec<f64> = stickiness.iter().flatten().copied().collect();
        let active_days: Vec<u64> =
            (1..=range.len()).map(|days| partial.count(&[Key::Int(1), days.into()], 0)).collect();
        let body = ActiveAnswer {
            days: self.days.labels[range].to_vec(),
            dau,
            wau,
            mau,
            stickiness_mean: (!known.is_empty())
                .then(|| known.iter().sum::<f64>() / known.len() as f64),
            stickiness,
            persons: active_days.iter().sum(),
            active_days,
        };
        Answer {
            complete: facts.now_ms >= self.to_ms + LATENESS_MS,
            body: AnswerBody::Active(body),
        }
    }
}

/// Keys: `(0, day)` → active on the day, in its week, in its month; `(1, days)` → persons with
/// that many active days.
///
/// A person active on day `a` is active in the week of the days `a ..= a + 6`. The union of those
/// spans is written as +1 where one opens and −1 where it closes; summing up gives the counts.
/// So a person costs as much as they have active days, however long the range.
struct Counter {
    filter: Filter,
    days: Arc<Buckets>,
    lead_in: usize,
    /// Day, week and month: opened minus closed, by day.
    spans: [Vec<i64>; 3],
    active_days: Vec<u64>,
}

impl RunKernel for Counter {
    fn person(&mut self, run: &Run<'_>, dictionaries: &Dictionaries) {
        self.filter.learn(dictionaries);
        let end = self.days.len();
        let mut day = 0;
        // Where the spans written so far end; days before are taken.
        let mut taken = [0; 3];
        let mut in_range = 0;
        for row in 0..run.len() {
            let at = run.ts[row];
            // Most events fall on the day of the event before: nothing new.
            if taken[0] == day + 1 && at < self.days.end_ms(day) {
                continue;
            }
            if !self.filter.passes(run, row) {
                continue;
            }
            day = self.days.index(at);
            if taken[0] > day {
                continue;
            }
            for (span, (length, taken)) in
                self.spans.iter_mut().zip([1, WEEK, MONTH].into_iter().zip(&mut taken))
            {
                let until = (day + length).min(end);
                let from = day.max(*taken);
                if from < until {
                    span[from] += 1;
                    span[until] -= 1;
                    *taken = until;
                }
            }
            in_range += usize::from(day >= self.lead_in);
        }
        self.active_days[in_range] += 1;
    }

    fn finish(self: Box<Self>, _: &Dictionaries) -> Partial {
        let mut partial = Partial::default();
        let mut active = [0i64; 3];
        for day in 0..self.days.len() {
            for (count, span) in active.iter_mut().zip(&self.spans) {
                *count += span[day];
            }
            if active != [0; 3] {
                partial.add(vec![Key::Int(0), day.into()], &active.map(|count| count as f64));
            }
        }
        for (days, persons) in self.active_days.iter().enumerate().skip(1) {
            if *persons > 0 {
                partial.add(vec![Key::Int(1), days.into()], &[*persons as f64]);
            }
        }
        partial
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::testing::{Event, Memory, Scan};
    use crate::time_bucket::DAY_MS;
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    /// 2026-09-01T00:00:00Z.
    const T0: i64 = 1_788_220_800_000;

    fn ask_by(events: Vec<Event>, question: Value, scan: Scan) -> ActiveAnswer {
        let context = Context { tz: "UTC".into(), now_ms: T0 + 90 * DAY_MS };
        match Memory::new(events).answer_by("active", question, &context, scan).unwrap().body {
            AnswerBody::Active(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    fn ask(events: Vec<Event>, question: Value) -> ActiveAnswer {
        ask_by(events, question, Scan::default())
    }

    #[test]
    fn who_was_active_on_the_first_day_is_in_the_month_of_day_30_and_not_of_day_31() {
        let question = json!({ "from": "2026-09-01", "to": "2026-10-02" });
        let answer = ask(vec![Event::new(1, T0 + DAY_MS - 1, "a")], question);
        assert_eq!(answer.mau[29], 1);
        assert_eq!(answer.mau[30], 0);
        assert_eq!((answer.wau[6], answer.wau[7]), (1, 0));
        assert_eq!((answer.dau[0], answer.dau[1]), (1, 0));
        assert_eq!(answer.stickiness[0], Some(1.0));
        assert_eq!(answer.stickiness[30], None);
    }

    #[test]
    fn three_active_days_of_thirty_are_three() {
        let events = [0, 10, 10, 29].map(|day| Event::new(1, T0 + day * DAY_MS, "a"));
        let question = json!({ "from": "2026-09-01", "to": "2026-10-01" });
        let answer = ask(events.to_vec(), question);
        assert_eq!(answer.active_days[2], 1);
        assert_eq!(answer.persons, 1);
    }

    #[test]
    fn the_days_before_the_range_count_for_week_and_month_only() {
        let events =
            vec![Event::new(1, T0 - 6 * DAY_MS, "a"), Event::new(2, T0 - 29 * DAY_MS, "a")];
        let answer = ask(events, json!({ "from": "2026-09-01", "to": "2026-09-02" }));
        assert_eq!(
            (&answer.dau[..], &answer.wau[..], &answer.mau[..]),
            (&[0][..], &[1][..], &[2][..])
        );
        assert_eq!(answer.persons, 0);
    }

    #[rstest]
    #[case::anything_a_person_does("page_read", json!({}), 1)]
    #[case::an_exposure("$exposure", json!({}), 0)]
    #[case::an_error("$error", json!({}), 0)]
    #[case::unless_asked_for("$error", json!({ "event": "$error" }), 1)]
    #[case::another_event("page_read", json!({ "event": "bought" }), 0)]
    fn active_makes(#[case] event: &str, #[case] question: Value, #[case] want: u64) {
        let mut full = json!({ "from": "2026-09-01", "to": "2026-09-02" });
        full.as_object_mut().unwrap().extend(question.as_object().unwrap().clone());
        assert_eq!(ask(vec![Event::new(1, T0, event)], full).dau, [want]);
    }

    #[test]
    fn a_day_is_a_day_of_the_zone() {
        let question = json!({ "from": "2026-09-01", "to": "2026-09-03", "tz": "Asia/Tokyo" });
        let answer = ask(vec![Event::new(1, T0 + 15 * 3_600_000, "a")], question);
        assert_eq!(answer.dau, [0, 1]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

        #[test]
        fn active_people_are_what_sets_of_people_hold(
            events in prop::collection::vec((0u64..6, -35i64..40), 0..50),
            kernels in 1usize..4,
        ) {
            let stored = events.iter().map(|(person, day)| Event::new(*person, T0 + day * DAY_MS + 5, "a"));
            let question = json!({ "from": "2026-09-01", "to": "2026-10-11" });
            let scan = Scan { kernels, reverse_codes: true };
            let answer = ask_by(stored.collect(), question, scan);
            for day in 0..40i64 {
                let active = |back: i64| {
                    let people: BTreeSet<u64> = events.iter()
                        .filter(|event| (day - back + 1..=day).contains(&event.1)).map(|event| event.0).collect();
                    people.len() as u64
                };
                let at = day as usize;
                prop_assert_eq!((answer.dau[at], answer.wau[at], answer.mau[at]), (active(1), active(7), active(30)));
            }
            let in_range: BTreeSet<u64> = events.iter().filter(|event| event.1 >= 0).map(|event| event.0).collect();
            prop_assert_eq!(answer.persons, in_range.len() as u64);
        }
    }
}
