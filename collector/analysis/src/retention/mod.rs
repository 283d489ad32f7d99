//! Retention: who came back, how many periods after they started.
//!
//! A *cohort* is the people whose start event falls into one bucket (day, week or month) of the
//! range. `cohort_by: "first_ever"` counts a person once, in the bucket of their first start event
//! ever, also before the range; `"recurring"` in every bucket in which they did it. Period 0 is
//! the bucket of the start and its share is 1 by definition.
//!
//! `clock: "calendar"` counts local buckets: two minutes over midnight are a day, and a day of 23
//! hours is one. `"rolling24h"` counts from the start event: period N is `[N, N + 1)` times 24
//! hours (7 or 30 days for weeks and months) after it. `mode: "on"` counts a return in period N
//! itself, `"on_or_after"` in N or any later one, up to now, `"on_or_before"` in 1 to N. `brackets` count a
//! return in any of their periods, `minimum` asks for several, `sum` adds up a property of the returns.
//!
//! A cell is known once its last moment is [`LATENESS_MS`](crate::answer::LATENESS_MS) past; until then its ratio is null,
//! never 0. `overall` adds up known cells only.
//!
//! Invariant: with `on_or_after`, `returned` never rises from period to period.
//!
//! Deliberately elsewhere: buckets (`time_bucket`), finding a person's days (`presence`).

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::active;
use crate::answer::{Answer, AnswerBody, Facts};
use crate::events::{EventSet, ScanPlan};
use crate::filter::{Columns, Matcher};
use crate::kernel::{Analysis, ByRun, Kernel, Partial};
use crate::presence::{Bucketer, DayKernel, Presence, PresencePlan, RowDays, RowSets};
use crate::question::{Common, Compiled, Context, QuestionError, definition, parse};
use crate::time_bucket::{Buckets, Unit};
use cells::Cells;
use question::{Asked, Clock, CohortBy, Mode, Pattern, Patterns, Question, brackets, periods};
use rule::{Difference, Rule};

mod answer;
mod calendar;
mod cells;
pub(crate) mod explain;
mod question;
mod rolling;
mod rule;
#[cfg(test)]
mod tests;

pub use answer::{RetentionAnswer, RetentionCohort, RetentionGroup};

/// What the kernels and the answer share.
struct Shape {
    from_ms: i64,
    to_ms: i64,
    /// The cohorts, and as many more as there are periods.
    buckets: Buckets,
    cohorts: usize,
    periods: usize,
    mode: Mode,
    cohort_by: CohortBy,
    /// Length of a period, for the rolling clock.
    rolling_ms: Option<i64>,
    /// That clock begins at a multiple of this.
    starts_ms: i64,
}

struct Retention {
    plan: ScanPlan,
    /// Pattern 0 starts, pattern 1 returns.
    matcher: Matcher,
    shape: Arc<Shape>,
    counting: Counting,
}

enum Counting {
    Calendar(Calendar),
    /// With the length of a period.
    Rolling(i64),
    /// Whatever is asked for beside the plain rules.
    Cells {
        cells: Cells,
        has_brackets: bool,
        limit: usize,
    },
}

/// What counting by the calendar needs.
struct Calendar {
    shape: Arc<Shape>,
    presence: PresencePlan,
    bucketer: Bucketer,
    /// Bits on which a start counts: "before", and the days of the range.
    start_bits: usize,
    /// Whether days are all there is to know: every row of the events counts, and whole days.
    is_plain: bool,
}

/// Understand the question.
///
/// # Errors
/// [`QuestionError`] when a field is wrong or not available yet.
pub(crate) fn compile(
    mut body: Map<String, Value>,
    context: &Context,
) -> Result<Compiled, QuestionError> {
    let common = Common::take(&mut body, context)?;
    let mut question: Question = parse(body)?;
    let rule = Rule::parse("compat", question.compat.as_deref().unwrap_or("tallymark"))?;
    let brackets = brackets(&question)?;
    let (periods, period_ms) = periods(&mut question, &brackets)?;
    let mode = *question.mode.get_or_insert(match rule.has(Difference::OnOrAfter) {
        true if question.brackets.is_none() => Asked::OnOrAfter,
        _ => Asked::On,
    });
    let clock = *question.clock.get_or_insert(match rule.has(Difference::RollingClock) {
        true => Clock::Rolling24h,
        false => Clock::Calendar,
    });
    let cohort_by = *question.cohort_by.get_or_insert(match rule.has(Difference::EveryCohort) {
        true => CohortBy::Recurring,
        false => CohortBy::FirstEver,
    });
    let mut columns = Columns::default();
    let Patterns { matcher, events, is_plain } =
        Pattern::bind([&question.start, &question.back], &common, &mut columns)?;
    let (from_ms, to_ms) = (common.from_ms, common.to_ms);
    let cohorts = Buckets::new(question.bucket, &common.calendar, from_ms, to_ms, 0)?.len();
    let buckets = Buckets::new(question.bucket, &common.calendar, from_ms, to_ms, periods)?;
    let rolling_ms = (clock == Clock::Rolling24h).then_some(period_ms);
    let returns_to_ms = match (mode, rolling_ms) {
        (Asked::OnOrAfter, _) => i64::MAX,
        (_, Some(period_ms)) => {
            to_ms.saturating_add((periods as i64 + 1).saturating_mul(period_ms))
        }
        (_, None) => buckets.end_ms(buckets.len() - 1),
    };
    let scan_from_ms = match cohort_by {
        CohortBy::FirstEver => i64::MIN,
        CohortBy::Recurring => from_ms,
    };
    let shape = Arc::new(Shape {
        from_ms,
        to_ms,
        buckets,
        cohorts,
        periods,
        mode: if mode == Asked::OnOrAfter { Mode::OnOrAfter } else { Mode::On },
        cohort_by,
        rolling_ms,
        starts_ms: if rule.has(Difference::FromTheHour) { HOUR_MS } else { 1 },
    });
    let cells = Cells {
        columns: match &question.brackets {
            None => Cells::columns(mode, periods),
            Some(_) => [[0, 0]].into_iter().chain(brackets.iter().copied()).collect(),
        },
        minimum: question.minimum,
        sums_from_start: mode == Asked::OnOrBefore,
        breakdown: common.breakdown.as_ref().map(|breakdown| breakdown.column(&mut columns)),
        sum: question.sum.as_ref().map(|prop| columns.number(prop)),
    };
    let is_usual = question.brackets.is_none()
        && mode != Asked::OnOrBefore
        && (cells.minimum, cells.breakdown, cells.sum) == (1, None, None);
    let counting = match rolling_ms {
        _ if !is_usual => Counting::Cells {
            cells,
            has_brackets: question.brackets.is_some(),
            limit: common.breakdown.as_ref().map_or(0, |breakdown| breakdown.limit),
        },
        Some(period_ms) => Counting::Rolling(period_ms),
        None => {
            let sets = [&question.start.event, &question.back.event];
            let sets = sets.map(|event| active::events_of(event.as_deref())).into();
            Counting::Calendar(Calendar::new(&shape, &common, returns_to_ms, sets, is_plain)?)
        }
    };
    let analysis = Retention {
        plan: ScanPlan::with(columns, scan_from_ms, returns_to_ms, events),
        matcher,
        shape,
        counting,
    };
    Ok(Compiled::new(definition(&common, &question), analysis))
}

/// The hour that Amplitude's clock begins with.
const HOUR_MS: i64 = 3_600_000;

impl Shape {
    /// From when the rolling clock counts.
    fn start_ms(&self, at_ms: i64) -> i64 {
        at_ms - at_ms.rem_euclid(self.starts_ms)
    }

    /// When the last moment of a cell is over.
    fn end_ms(&self, cohort: usize, period: usize) -> i64 {
        match self.rolling_ms {
            None => self.buckets.end_ms(cohort + period),
            Some(_) if period == 0 => self.buckets.end_ms(cohort),
            Some(period_ms) => self.buckets.end_ms(cohort) + (period as i64 + 1) * period_ms,
        }
    }
}

impl Analysis for Retention {
    fn scan(&self) -> &ScanPlan {
        &self.plan
    }

    fn kernel(&self) -> Box<dyn Kernel> {
        match &self.counting {
            Counting::Calendar(calendar) => {
                let sets = RowSets {
                    matcher: self.matcher.clone(),
                    times: vec![self.shape.from_ms..self.shape.to_ms, i64::MIN..i64::MAX],
                    identity: None,
                };
                let days = Arc::clone(&calendar.presence.days);
                Box::new(RowDays::new(&self.plan, calendar.kernel(), days, sets))
            }
            Counting::Rolling(period_ms) => {
                let counter = rolling::Counter::new(&self.shape, *period_ms, &self.matcher);
                Box::new(ByRun::new(&self.plan, counter))
            }
            Counting::Cells { cells, .. } => {
                let counter = cells::Counter::new(&self.shape, cells.clone(), &self.matcher);
                Box::new(ByRun::new(&self.plan, counter))
            }
        }
    }

    fn presence(&self) -> Option<&dyn Presence> {
        match &self.counting {
            Counting::Calendar(calendar) if calendar.is_plain => Some(calendar),
            _ => None,
        }
    }

    fn answer(&self, partial: &Partial, facts: &Facts) -> Answer {
        let (shape, now_ms) = (&*self.shape, facts.now_ms);
        let (body, complete) = match &self.counting {
            Counting::Cells { cells, has_brackets, limit } => {
                answer::of_cells(partial, cells, *has_brackets, *limit, shape, now_ms)
            }
            _ => answer::plain(partial, shape, now_ms),
        };
        Answer { complete, body: AnswerBody::Retention(body) }
    }
}

impl Calendar {
    fn new(
        shape: &Arc<Shape>,
        common: &Common,
        returns_to_ms: i64,
        sets: Vec<EventSet>,
        is_plain: bool,
    ) -> Result<Self, QuestionError> {
        let Shape { from_ms, to_ms, buckets, .. } = &**shape;
        let end_ms = buckets.end_ms(buckets.len() - 1);
        let days = Buckets::new(Unit::Day, &common.calendar, *from_ms, end_ms, 0)?;
        let is_whole = days.bounds_ms[0] == *from_ms && days.bounds_ms.contains(to_ms);
        Ok(Self {
            shape: Arc::clone(shape),
            bucketer: Bucketer::new(&days, buckets),
            start_bits: days.index(to_ms - 1) + 2,
            presence: PresencePlan {
                tz: common.tz_name.clone(),
                days: Arc::new(days),
                to_ms: returns_to_ms,
                before: shape.cohort_by == CohortBy::FirstEver,
                sets,
            },
            is_plain: is_plain && is_whole,
        })
    }
}

impl Presence for Calendar {
    fn plan(&self) -> &PresencePlan {
        &self.presence
    }

    fn kernel(&self) -> Box<dyn DayKernel> {
        Box::new(calendar::Counter::new(&self.shape, &self.bucketer, self.start_bits))
    }
}

/// A table: cohort → people in period 0, 1, 2 …, from the counts of all cohorts in order.
fn table(counts: &[u64], periods: usize) -> Partial {
    let mut partial = Partial::default();
    for (cohort, counts) in counts.chunks_exact(periods + 1).enumerate() {
        if counts[0] > 0 {
            let row: Vec<f64> = counts.iter().map(|count| *count as f64).collect();
            partial.add(vec![cohort.into()], &row);
        }
    }
    partial
}
