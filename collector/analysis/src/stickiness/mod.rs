//! Stickiness: on how many days, weeks or months of the range people were active, and what share of
//! a month's active people a day sees.
//!
//! `exactly[n - 1]` counts the people active in exactly `n` buckets of the range, `at_least[n - 1]`
//! those active in `n` or more. Only days of the range count: a week that the range cuts is the part
//! inside. `ratio_mean` is DAU over MAU of each day of the range, averaged over the days that have
//! one: a mean of ratios, which mean DAU over mean MAU is not; it does not depend on the bucket.
//!
//! With people whose id is made anew every day none of this is defined: then it is `null`, and
//! `reason` says so.
//!
//! Invariant: `at_least` never rises, its first figure is `persons`, and its differences are `exactly`.
//!
//! Deliberately elsewhere: active people per day (`active`), finding a person's days (`presence`).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::active::{MONTH, events_of, month_before};
use crate::answer::{Answer, AnswerBody, Facts, LATENESS_MS, Reason, ratio};
use crate::events::ScanPlan;
use crate::filter::{Columns, Matcher};
use crate::kernel::{Analysis, Kernel, Key, Partial};
use crate::presence::bits::{BitCounts, range_mask, smear, smear_word};
use crate::presence::{
    Bucketer, DayBlock, DayKernel, IDENTITY, Presence, PresencePlan, RowDays, RowSets,
};
use crate::question::{Common, Compiled, Context, QuestionError, definition, parse};
use crate::time_bucket::{Buckets, Unit};

#[cfg(test)]
mod tests;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    event: Option<String>,
    #[serde(default = "day")]
    bucket: Unit,
}

fn day() -> Unit {
    Unit::Day
}

/// People by the number of buckets they were active in.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StickinessAnswer {
    /// Buckets of the range: the length of both lists.
    pub buckets: usize,
    /// People active in exactly `index + 1` buckets.
    pub exactly: Option<Vec<u64>>,
    /// People active in `index + 1` buckets or more.
    pub at_least: Option<Vec<u64>>,
    /// People active at all.
    pub persons: Option<u64>,
    /// Mean over the days of the range of DAU / MAU; `null` when no day has a month with anybody.
    pub ratio_mean: Option<f64>,
    /// Why the figures are not defined; `null` when they are.
    pub reason: Option<Reason>,
}

struct Stickiness {
    plan: ScanPlan,
    rows: RowSets,
    presence: PresencePlan,
    shape: Shape,
    is_unfiltered: bool,
}

#[derive(Debug, Clone)]
struct Shape {
    /// The bits of the range's days.
    range: std::ops::Range<usize>,
    bits: usize,
    buckets: usize,
    bucketer: Bucketer,
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
    if question.bucket.is_short() {
        return Err(QuestionError::Field {
            field: "bucket",
            detail: "stickiness counts days, weeks or months".into(),
        });
    }
    let first = month_before(&common)?;
    let days = Arc::new(Buckets::new(Unit::Day, &common.calendar, first, common.to_ms, 0)?);
    let of_range =
        Buckets::new(question.bucket, &common.calendar, common.from_ms, common.to_ms, 0)?;
    let with_lead_in = Buckets::new(question.bucket, &common.calendar, first, common.to_ms, 0)?;
    let events = events_of(question.event.as_deref());
    let mut columns = Columns::default();
    let filter = common.filter.bind(&mut columns);
    let is_unfiltered = filter.is_always();
    let rows = RowSets {
        matcher: Matcher::new(vec![(None, filter)]),
        times: std::iter::once(first..common.to_ms).collect(),
        identity: Some(columns.text(IDENTITY)),
    };
    let shape = Shape {
        range: days.index(common.from_ms) + 1..days.len() + 1,
        bits: days.len() + 2,
        buckets: of_range.len(),
        bucketer: Bucketer::new(&days, &with_lead_in),
    };
    let presence = PresencePlan {
        tz: common.tz_name.clone(),
        days,
        to_ms: common.to_ms,
        before: false,
        sets: vec![events.clone()],
    };
    let plan = ScanPlan::with(columns, first, common.to_ms, events);
    let definition = definition(&common, &question);
    let analysis = Stickiness { plan, rows, presence, shape, is_unfiltered };
    Ok(Compiled::new(definition, analysis))
}

impl Analysis for Stickiness {
    fn scan(&self) -> &ScanPlan {
        &self.plan
    }

    fn kernel(&self) -> Box<dyn Kernel> {
        let days = Arc::clone(&self.presence.days);
        Box::new(RowDays::new(&self.plan, Presence::kernel(self), days, self.rows.clone()))
    }

    fn presence(&self) -> Option<&dyn Presence> {
        self.is_unfiltered.then_some(self)
    }

    fn answer(&self, partial: &Partial, facts: &Facts) -> Answer {
        let Shape { range, buckets, .. } = &self.shape;
        let is_defined = partial.count(&[Key::Int(2)], 0) == 0;
        let exactly: Vec<u64> =
            (1..=*buckets).map(|n| partial.count(&[Key::Int(1), n.into()], 0)).collect();
        let mut at_least = exactly.clone();
        for at in (1..at_least.len()).rev() {
            at_least[at - 1] += at_least[at];
        }
        let ratios: Vec<f64> = range
            .clone()
            .filter_map(|bit| {
                let cell = |column| partial.count(&[Key::Int(0), bit.into()], column);
                ratio(cell(0), cell(1))
            })
            .collect();
        let mean = (!ratios.is_empty()).then(|| ratios.iter().sum::<f64>() / ratios.len() as f64);
        let body = StickinessAnswer {
            buckets: *buckets,
            persons: is_defined.then(|| at_least[0]),
            exactly: is_defined.then_some(exactly),
            at_least: is_defined.then_some(at_least),
            ratio_mean: mean.filter(|_| is_defined),
            reason: (!is_defined).then_some(Reason::DAILY_IDS),
        };
        Answer {
            complete: facts.now_ms >= self.presence.to_ms + LATENESS_MS,
            body: AnswerBody::Stickiness(body),
        }
    }
}

impl Presence for Stickiness {
    fn plan(&self) -> &PresencePlan {
        &self.presence
    }

    fn kernel(&self) -> Box<dyn DayKernel> {
        let words = self.presence.words();
        let shape = self.shape.clone();
        Box::new(Counter {
            range: range_mask(shape.bits, shape.range.clone()),
            all: range_mask(shape.bits, 1..shape.range.end),
            counts: [BitCounts::new(words), BitCounts::new(words)],
            by_buckets: vec![0; shape.buckets + 1],
            daily_persons: 0,
            rows: [vec![0; words], vec![0; words]],
            shape,
        })
    }
}

/// Keys: `(0, bit of the day)` → active on it, in its month; `(1, n)` → people active in `n` buckets;
/// `(2)` → people with a daily id.
struct Counter {
    shape: Shape,
    /// Bits of the range's days, and of all days.
    range: Vec<u64>,
    all: Vec<u64>,
    counts: [BitCounts; 2],
    by_buckets: Vec<u64>,
    daily_persons: u64,
    rows: [Vec<u64>; 2],
}

impl Counter {
    fn add_word(&mut self, days: u64) {
        let days = days & self.all[0];
        if days == 0 {
            return;
        }
        let in_range = days & self.range[0];
        self.by_buckets[self.shape.bucketer.word(in_range).count_ones() as usize] += 1;
        self.counts[0].add(&[in_range]);
        self.counts[1].add(&[smear_word(days, MONTH)]);
    }

    fn add_row(&mut self, days: &[u64]) {
        let [row, buckets] = &mut self.rows;
        for ((word, days), range) in row.iter_mut().zip(days).zip(&self.range) {
            *word = days & range;
        }
        self.shape.bucketer.row(row, buckets);
        let active: u32 = buckets.iter().map(|word| word.count_ones()).sum();
        self.by_buckets[active as usize] += 1;
        self.counts[0].add(row);
        for ((word, days), all) in row.iter_mut().zip(days).zip(&self.all) {
            *word = days & all;
        }
        smear(row, MONTH);
        self.counts[1].add(row);
    }
}

impl DayKernel for Counter {
    fn days(&mut self, block: &DayBlock<'_>) {
        if block.words == 1 {
            block.sets[0].iter().for_each(|days| self.add_word(*days));
        } else {
            block.sets[0].chunks_exact(block.words).for_each(|days| self.add_row(days));
        }
        for days in block.daily.iter().flat_map(|daily| daily.chunks_exact(block.words)) {
            let counts = days.iter().zip(&self.all).any(|(days, all)| days & all != 0);
            self.daily_persons += u64::from(counts);
        }
    }

    fn finish(self: Box<Self>) -> Partial {
        let mut partial = Partial::default();
        let [days, months] = self.counts.map(BitCounts::finish);
        for bit in self.shape.range {
            if months[bit] > 0 {
                let key = vec![Key::Int(0), bit.into()];
                partial.add(key, &[days[bit] as f64, months[bit] as f64]);
            }
        }
        for (n, persons) in self.by_buckets.into_iter().enumerate().skip(1) {
            if persons > 0 {
                partial.add(vec![Key::Int(1), n.into()], &[persons as f64]);
            }
        }
        if self.daily_persons > 0 {
            partial.add(vec![Key::Int(2)], &[self.daily_persons as f64]);
        }
        partial
    }
}
