//! Active people: how many different people did something, per day, week and month.
//!
//! A person is *active* on a local day when a qualifying event of theirs lies in it: the event of
//! the question, or by default any event but heartbeats, exposures, deliveries and errors. Weekly
//! and monthly figures of a day look back 7 and 30 days, that day included; so the scan begins 29
//! days before the range. They count people, they are never sums of days. Days count whole: a range
//! that begins at noon includes the morning.
//!
//! People whose id is made anew every day cannot be counted over several days: where one of them is
//! in a figure, the figure is `null`, and `reason` says so. Daily figures stay.
//!
//! Invariant: `dau ≤ wau ≤ mau` on every day, and `active_days` adds up to `persons`.
//!
//! Deliberately elsewhere: days (`time_bucket`), finding a person's days (`presence`).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::answer::{Answer, AnswerBody, Facts, LATENESS_MS, Reason, ratio};
use crate::events::{EventSet, ScanPlan};
use crate::filter::{Columns, Matcher};
use crate::kernel::{Analysis, Kernel, Key, Partial};
use crate::presence::bits::{BitCounts, range_mask, smear, smear_word};
use crate::presence::{
    DayBlock, DayKernel, IDENTITY, Presence, PresencePlan, RowDays, RowSets, active_events,
};
use crate::question::{Common, Compiled, Context, QuestionError, definition, parse};
use crate::time_bucket::{Buckets, Unit, date_of, start_of};

#[cfg(test)]
mod tests;

/// A person is active in the week of a day when active on it or the six days before.
const WEEK: usize = 7;
/// The same for the month: the 29 days before.
pub(crate) const MONTH: usize = 30;

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
    /// People active on the day or the six before; `null` where it is not defined.
    pub wau: Vec<Option<u64>>,
    /// People active on the day or the 29 before; `null` where it is not defined.
    pub mau: Vec<Option<u64>>,
    /// `dau / mau` of the day; `null` when nobody was active in the month, or it is not defined.
    pub stickiness: Vec<Option<f64>>,
    /// Mean of the days' ratios, days without one left out (not mean DAU over mean MAU).
    pub stickiness_mean: Option<f64>,
    /// People active on exactly `index + 1` days of the range; `null` where it is not defined.
    pub active_days: Option<Vec<u64>>,
    /// People active at least once in the range; `null` where it is not defined.
    pub persons: Option<u64>,
    /// Why a figure is not defined; `null` when all are.
    pub reason: Option<Reason>,
}

struct Active {
    plan: ScanPlan,
    rows: RowSets,
    shape: Shape,
    presence: PresencePlan,
    /// Every row of the events counts, so that days are all there is to know.
    is_unfiltered: bool,
}

#[derive(Debug, Clone)]
struct Shape {
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
    let first = month_before(&common)?;
    let days = Arc::new(Buckets::new(Unit::Day, &common.calendar, first, common.to_ms, 0)?);
    let shape = Shape { lead_in: days.index(common.from_ms), days };
    let events = events_of(question.event.as_deref());
    let mut columns = Columns::default();
    let filter = common.filter.bind(&mut columns);
    let is_unfiltered = filter.is_always();
    let rows = RowSets {
        matcher: Matcher::new(vec![(None, filter)]),
        times: std::iter::once(first..common.to_ms).collect(),
        identity: Some(columns.text(IDENTITY)),
    };
    let presence = PresencePlan {
        tz: common.tz_name.clone(),
        days: Arc::clone(&shape.days),
        to_ms: common.to_ms,
        before: false,
        sets: vec![events.clone()],
    };
    let plan = ScanPlan::with(columns, first, common.to_ms, events);
    let definition = definition(&common, &question);
    let analysis = Active { plan, rows, shape, presence, is_unfiltered };
    Ok(Compiled::new(definition, analysis))
}

/// The event of the question, or any active one.
pub(crate) fn events_of(event: Option<&str>) -> EventSet {
    event.map_or_else(
        || active_events(std::iter::empty()),
        |event| EventSet::Only(vec![event.into()]),
    )
}

/// Start of the first day that is in the month of the range's first day.
pub(crate) fn month_before(common: &Common) -> Result<i64, QuestionError> {
    date_of(common.from_ms, &common.calendar.tz)
        .and_then(|date| date.checked_sub(jiff::Span::new().days(MONTH as i64 - 1)).ok())
        .and_then(|date| start_of(date, &common.calendar.tz))
        .ok_or_else(|| QuestionError::Time {
            field: "from".into(),
            value: common.rfc3339(common.from_ms),
        })
}

impl Analysis for Active {
    fn scan(&self) -> &ScanPlan {
        &self.plan
    }

    fn kernel(&self) -> Box<dyn Kernel> {
        let days = Arc::clone(&self.shape.days);
        Box::new(RowDays::new(&self.plan, Presence::kernel(self), days, self.rows.clone()))
    }

    fn presence(&self) -> Option<&dyn Presence> {
        self.is_unfiltered.then_some(self)
    }

    fn answer(&self, partial: &Partial, facts: &Facts) -> Answer {
        let Shape { days, lead_in } = &self.shape;
        let range = *lead_in..days.len();
        let cell = |day: usize, column| partial.count(&[Key::Int(0), day.into()], column);
        let dau: Vec<u64> = range.clone().map(|day| cell(day, DAY)).collect();
        // A span of days with somebody of a daily id in it has no figure.
        let over_days = |column: usize, daily: usize| -> Vec<Option<u64>> {
            range.clone().map(|day| (cell(day, daily) == 0).then(|| cell(day, column))).collect()
        };
        let wau = over_days(IN_WEEK, DAILY_IN_WEEK);
        let mau = over_days(IN_MONTH, DAILY_IN_MONTH);
        let stickiness: Vec<Option<f64>> =
            dau.iter().zip(&mau).map(|(day, month)| ratio(*day, (*month)?)).collect();
        let known: Vec<f64> = stickiness.iter().flatten().copied().collect();
        let is_defined = range.len() == 1 || partial.count(&[Key::Int(2)], 0) == 0;
        let active_days: Option<Vec<u64>> = is_defined.then(|| {
            (1..=range.len()).map(|days| partial.count(&[Key::Int(1), days.into()], 0)).collect()
        });
        let is_known = is_defined && wau.iter().chain(&mau).all(Option::is_some);
        let body = ActiveAnswer {
            days: days.labels[range].to_vec(),
            dau,
            wau,
            stickiness_mean: (!known.is_empty() && mau.iter().all(Option::is_some))
                .then(|| known.iter().sum::<f64>() / known.len() as f64),
            mau,
            stickiness,
            persons: active_days.as_ref().map(|counts| counts.iter().sum()),
            active_days,
            reason: (!is_known).then_some(Reason::DAILY_IDS),
        };
        Answer {
            complete: facts.now_ms >= self.presence.to_ms + LATENESS_MS,
            body: AnswerBody::Active(body),
        }
    }
}

impl Presence for Active {
    fn plan(&self) -> &PresencePlan {
        &self.presence
    }

    fn kernel(&self) -> Box<dyn DayKernel> {
        Box::new(Counter::new(&self.shape))
    }
}

/// Columns of a day's row: people active on it, in its week, in its month, and those with a daily id
/// among the latter two.
const DAY: usize = 0;
const IN_WEEK: usize = 1;
const IN_MONTH: usize = 2;
const DAILY_IN_WEEK: usize = 3;
const DAILY_IN_MONTH: usize = 4;

/// Keys: `(0, day)` → the columns above; `(1, days)` → persons with that many active days; `(2)` →
/// persons with a daily id in the range.
///
/// A person active on a day is active in the week of that day and of the six after it: so bits are
/// smeared upwards, and counted by position.
struct Counter {
    /// Bit of the first day of the range.
    first: usize,
    days: usize,
    /// The range's bits.
    range: Vec<u64>,
    /// By bit, from the first day of the range when all fits into a word.
    counts: [BitCounts; 5],
    active_days: Vec<u64>,
    daily_persons: u64,
    row: Vec<u64>,
}

impl Counter {
    fn new(shape: &Shape) -> Self {
        let days = shape.days.len();
        let first = shape.lead_in + 1;
        let range = range_mask(days + 2, first..days + 1);
        Self {
            first,
            days,
            counts: std::array::from_fn(|_| BitCounts::new(range.len())),
            active_days: vec![0; days - shape.lead_in + 1],
            daily_persons: 0,
            row: vec![0; range.len()],
            range,
        }
    }

    fn add(&mut self, persons: &[u64]) {
        let [range] = self.range[..] else { return self.add_rows(persons) };
        let range = range >> self.first;
        let bytes = (self.days + 1 - self.first).div_ceil(8);
        // Bits before the first day and after the last one have no place here.
        let is_day = (range << self.first) | ((1 << self.first) - 2);
        let [day, week, month, ..] = &mut self.counts;
        for &word in persons {
            let word = word & is_day;
            if word == 0 {
                continue;
            }
            let own = word >> self.first;
            day.add_low(own, bytes);
            week.add_low(smear_word(word, WEEK) >> self.first & range, bytes);
            month.add_low(smear_word(word, MONTH) >> self.first & range, bytes);
            self.active_days[own.count_ones() as usize] += 1;
        }
    }

    /// The same for longer ranges.
    fn add_rows(&mut self, persons: &[u64]) {
        for person in persons.chunks_exact(self.range.len()) {
            self.take_row(person);
            let days: u32 = self
                .row
                .iter()
                .zip(&self.range)
                .map(|(word, range)| (word & range).count_ones())
                .sum();
            self.active_days[days as usize] += 1;
            self.counts[DAY].add(&self.row);
            smear(&mut self.row, WEEK);
            self.counts[IN_WEEK].add(&self.row);
            self.take_row(person);
            smear(&mut self.row, MONTH);
            self.counts[IN_MONTH].add(&self.row);
        }
    }

    fn add_daily(&mut self, persons: &[u64]) {
        for person in persons.chunks_exact(self.range.len()) {
            if person.iter().all(|word| *word == 0) {
                continue;
            }
            self.take_row(person);
            let in_range = self.row.iter().zip(&self.range).any(|(word, range)| word & range != 0);
            self.daily_persons += u64::from(in_range);
            for (width, column) in [(WEEK, DAILY_IN_WEEK), (MONTH, DAILY_IN_MONTH)] {
                self.take_row(person);
                smear(&mut self.row, width);
                self.counts[column].add(&self.row);
            }
        }
    }

    /// A person's days, without what is before and after them.
    fn take_row(&mut self, person: &[u64]) {
        self.row.copy_from_slice(person);
        let last = self.days + 1;
        self.row[0] &= !1;
        self.row[last / 64] &= !(1 << (last % 64));
    }
}

impl DayKernel for Counter {
    fn days(&mut self, block: &DayBlock<'_>) {
        self.add(block.sets[0]);
        if let Some(daily) = block.daily.first() {
            self.add_daily(daily);
        }
    }

    fn finish(self: Box<Self>) -> Partial {
        let mut partial = Partial::default();
        let Self { first, days, range, counts, active_days, daily_persons, .. } = *self;
        let shifted = if range.len() == 1 { first } else { 0 };
        let counts = counts.map(BitCounts::finish);
        for bit in first..=days {
            // Daily ids are rare, and counted where they are.
            let columns: [u64; 5] = std::array::from_fn(|column| {
                counts[column][if column < DAILY_IN_WEEK { bit - shifted } else { bit }]
            });
            if columns != [0; 5] {
                partial.add(vec![Key::Int(0), (bit - 1).into()], &columns.map(|n| n as f64));
            }
        }
        for (days, persons) in active_days.iter().enumerate().skip(1) {
            if *persons > 0 {
                partial.add(vec![Key::Int(1), days.into()], &[*persons as f64]);
            }
        }
        if daily_persons > 0 {
            partial.add(vec![Key::Int(2)], &[daily_persons as f64]);
        }
        partial
    }
}
