//! Lifecycle: of the people active in a bucket, who is new, who returns, who came back after a
//! pause, and who of the bucket before stayed away.
//!
//! A person active in a bucket (day, week or month) is *new* when it holds their first active day
//! ever, also before the range; *returning* when they were active in the bucket before as well;
//! *resurrected* otherwise. *Dormant* are those who were active in the bucket before and not in this
//! one. Active means what it means for active people: the event of the question, or any event but
//! heartbeats, exposures, deliveries and errors. The first bucket counts whole, also where the range
//! begins inside it; the last one ends with the range.
//!
//! Somebody whose id is made anew every day would be new each day: a bucket with one of them in it,
//! or in the one before, is `null`, and `reason` says so.
//!
//! Invariant: new + returning + resurrected = active, and dormant = active before − returning.
//!
//! Deliberately elsewhere: days and buckets (`time_bucket`), finding a person's days (`presence`).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::active::events_of;
use crate::answer::{Answer, AnswerBody, Facts, LATENESS_MS, Reason};
use crate::events::ScanPlan;
use crate::filter::{Columns, Matcher};
use crate::kernel::{Analysis, Kernel, Key, Partial};
use crate::presence::bits::{BitCounts, smear};
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

/// People by how long they have been around, per bucket. All lists are as long as `buckets`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LifecycleAnswer {
    /// First day of each bucket.
    pub buckets: Vec<String>,
    /// People whose first active day ever lies in the bucket.
    pub new: Vec<Option<u64>>,
    /// People active in it and in the one before.
    pub returning: Vec<Option<u64>>,
    /// People active in it, not in the one before, but earlier.
    pub resurrected: Vec<Option<u64>>,
    /// People active in the one before and not in it. A number of people, so never negative.
    pub dormant: Vec<Option<u64>>,
    /// Why a figure is not defined; `null` when all are.
    pub reason: Option<Reason>,
}

struct Lifecycle {
    plan: ScanPlan,
    rows: RowSets,
    presence: PresencePlan,
    /// The bucket before the range, and those of the range.
    buckets: Buckets,
    bucketer: Bucketer,
    is_unfiltered: bool,
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
            detail: "a lifecycle counts days, weeks or months".into(),
        });
    }
    let of_range =
        |from_ms| Buckets::new(question.bucket, &common.calendar, from_ms, common.to_ms, 0);
    // The bucket of the last moment before the first one is the one before it.
    let buckets = of_range(of_range(common.from_ms)?.bounds_ms[0] - 1)?;
    let first_ms = buckets.bounds_ms[0];
    let days = Arc::new(Buckets::new(Unit::Day, &common.calendar, first_ms, common.to_ms, 0)?);
    let events = events_of(question.event.as_deref());
    let mut columns = Columns::default();
    let filter = common.filter.bind(&mut columns);
    let is_unfiltered = filter.is_always();
    let rows = RowSets {
        matcher: Matcher::new(vec![(None, filter)]),
        times: std::iter::once(i64::MIN..common.to_ms).collect(),
        identity: Some(columns.text(IDENTITY)),
    };
    let presence = PresencePlan {
        tz: common.tz_name.clone(),
        days: Arc::clone(&days),
        to_ms: common.to_ms,
        before: true,
        sets: vec![events.clone()],
    };
    let bucketer = Bucketer::new(&days, &buckets);
    let plan = ScanPlan::with(columns, i64::MIN, common.to_ms, events);
    let definition = definition(&common, &question);
    let analysis = Lifecycle { plan, rows, presence, buckets, bucketer, is_unfiltered };
    Ok(Compiled::new(definition, analysis))
}

impl Analysis for Lifecycle {
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
        let cell = |bucket: usize, column| partial.count(&[bucket.into()], column);
        let column = |column: usize| -> Vec<Option<u64>> {
            let defined = |bucket: &usize| cell(*bucket, DAILY) == 0;
            (1..self.buckets.len())
                .map(|bucket| Some(bucket).filter(defined).map(|bucket| cell(bucket, column)))
                .collect()
        };
        let new = column(NEW);
        let body = LifecycleAnswer {
            buckets: self.buckets.labels[1..].to_vec(),
            returning: column(RETURNING),
            resurrected: column(RESURRECTED),
            dormant: column(DORMANT),
            reason: new.contains(&None).then_some(Reason::DAILY_IDS),
            new,
        };
        Answer {
            complete: facts.now_ms >= self.presence.to_ms + LATENESS_MS,
            body: AnswerBody::Lifecycle(body),
        }
    }
}

impl Presence for Lifecycle {
    fn plan(&self) -> &PresencePlan {
        &self.presence
    }

    fn kernel(&self) -> Box<dyn DayKernel> {
        // "Before" and "after" have a bit each.
        let words = (self.buckets.len() + 2).div_ceil(64);
        Box::new(Counter {
            bucketer: self.bucketer.clone(),
            buckets: self.buckets.len(),
            counts: std::array::from_fn(|_| BitCounts::new(words)),
            row: vec![0; words],
            parts: std::array::from_fn(|_| vec![0; words]),
        })
    }
}

const NEW: usize = 0;
const RETURNING: usize = 1;
const RESURRECTED: usize = 2;
const DORMANT: usize = 3;
/// People with a daily id, active in the bucket or the one before.
const DAILY: usize = 4;

/// Table: bucket → the columns above.
struct Counter {
    bucketer: Bucketer,
    buckets: usize,
    counts: [BitCounts; 5],
    row: Vec<u64>,
    parts: [Vec<u64>; 4],
}

/// One word of a person's buckets, the word before it, and whether something is set before it.
#[inline]
fn parts(word: u64, previous: u64, seen: bool) -> [u64; 4] {
    let before = word << 1 | previous >> 63;
    let new = if seen { 0 } else { word & word.wrapping_neg() };
    [new, word & before, word & !before & !new, before & !word]
}

impl DayKernel for Counter {
    fn days(&mut self, block: &DayBlock<'_>) {
        let Self { bucketer, counts, row, parts: rows, .. } = self;
        if block.words == 1 {
            for &days in block.sets[0] {
                if days != 0 {
                    for (count, part) in counts.iter_mut().zip(parts(bucketer.word(days), 0, false))
                    {
                        count.add(&[part]);
                    }
                }
            }
        } else {
            for days in block.sets[0].chunks_exact(block.words) {
                bucketer.row(days, row);
                let (mut previous, mut seen) = (0, false);
                for (at, &word) in row.iter().enumerate() {
                    let parts = parts(word, previous, seen);
                    rows.iter_mut().zip(parts).for_each(|(row, part)| row[at] = part);
                    previous = word;
                    seen |= word != 0;
                }
                counts.iter_mut().zip(&*rows).for_each(|(count, row)| count.add(row));
            }
        }
        for days in block.daily.iter().flat_map(|daily| daily.chunks_exact(block.words)) {
            bucketer.row(days, row);
            smear(row, 2);
            counts[DAILY].add(row);
        }
    }

    fn finish(self: Box<Self>) -> Partial {
        let mut partial = Partial::default();
        let counts = self.counts.map(BitCounts::finish);
        // The first bucket is the one before the range; its bit is 1.
        for bucket in 1..self.buckets {
            let columns: [u64; 5] = std::array::from_fn(|column| counts[column][bucket + 1]);
            if columns != [0; 5] {
                partial.add(vec![Key::from(bucket)], &columns.map(|n| n as f64));
            }
        }
        partial
    }
}
