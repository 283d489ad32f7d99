//! What rules make of a person's returns, for `explain`.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::rule::{Difference, Rule};
use super::{Pattern, Patterns};
use crate::answer::LATENESS_MS;
use crate::events::{Dictionaries, Run, ScanPlan};
use crate::explain::answer::{Outcome, OutcomeCohort};
use crate::explain::{Asked, Counted, Explain, Mark, Rules};
use crate::filter::{Columns, Matcher};
use crate::question::{Common, Compiled, Context, QuestionError, definition, parse};
use crate::time_bucket::Buckets;

/// What can be a reason: its code, and what it means.
pub(crate) const REASONS: &[(&str, &str)] = Rule::SAID;

/// Understand a question for retention that is explained.
///
/// # Errors
/// [`QuestionError`] when a field is wrong, or one that the rules decide.
pub(crate) fn compile(
    mut body: Map<String, Value>,
    context: &Context,
    asked: Asked,
) -> Result<Compiled, QuestionError> {
    for field in ["clock", "mode", "cohort_by", "brackets", "minimum", "sum"] {
        if body.get(field).is_some_and(|given| !given.is_null()) {
            let detail = format!("leave `{field}` out: the rules decide how returns are counted");
            return Err(QuestionError::Field { field: "rules", detail });
        }
    }
    let common = Common::take(&mut body, context)?.without_breakdown()?;
    let mut question: super::Question = parse(body)?;
    let mut of = [0; 2];
    for (bits, name) in of.iter_mut().zip(&asked.rules) {
        *bits = Rule::parse("rules", name)?.0;
    }
    let (periods, period_ms) = super::periods(&mut question, &[])?;
    let mut columns = Columns::default();
    let Patterns { matcher, events, .. } =
        Pattern::bind([&question.start, &question.back], &common, &mut columns)?;
    let (from_ms, to_ms) = (common.from_ms, common.to_ms);
    let cohorts = Buckets::new(question.bucket, &common.calendar, from_ms, to_ms, 0)?.len();
    let buckets = Buckets::new(question.bucket, &common.calendar, from_ms, to_ms, periods)?;
    let shape = Arc::new(Shape { buckets, periods, period_ms, range: from_ms..to_ms });
    let last_ms = shape.buckets.end_ms(cohorts - 1);
    let complete_after_ms = last_ms
        .saturating_add((periods as i64 + 1).saturating_mul(period_ms))
        .saturating_add(LATENESS_MS);
    let definition = asked.definition("retention", definition(&common, &question));
    let of_kernel = Arc::clone(&shape);
    let counted = move || Returns { shape: Arc::clone(&of_kernel), matcher: matcher.clone() };
    let read = move |marks: &[Mark]| Outcome::Retention { cohorts: shape.read(marks) };
    let rules = Rules { of, said: REASONS };
    let plan = ScanPlan::with(columns, i64::MIN, i64::MAX, events);
    Ok(Compiled::new(definition, Explain { plan, asked, rules, counted, read, complete_after_ms }))
}

struct Shape {
    /// The cohorts, and as many more as there are periods.
    buckets: Buckets,
    periods: usize,
    period_ms: i64,
    /// Where a start counts.
    range: std::ops::Range<i64>,
}

impl Shape {
    /// A mark `[cohort, 0]` is a start, a mark `[cohort, period]` a return.
    fn read(&self, marks: &[Mark]) -> Vec<OutcomeCohort> {
        let cohorts = marks.chunk_by(|a, b| a.what[0] == b.what[0]);
        let cohort = |marks: &[Mark]| OutcomeCohort {
            from: self.buckets.labels[marks[0].what[0]].clone(),
            start: marks[0].at_ms,
            returned: marks[1..].iter().map(|mark| mark.what[1]).collect(),
        };
        cohorts.map(cohort).collect()
    }

    /// How many periods after a start something happened.
    fn period(&self, rule: Rule, start: Mark, at_ms: i64) -> usize {
        if rule.has(Difference::RollingClock) {
            return ((at_ms - start.at_ms) / self.period_ms) as usize;
        }
        match at_ms >= self.buckets.end_ms(self.buckets.len() - 1) {
            true => usize::MAX,
            false => self.buckets.index(at_ms) - start.what[0],
        }
    }
}

/// The cohorts of a person and their returns, by rule.
struct Returns {
    shape: Arc<Shape>,
    matcher: Matcher,
}

impl Counted for Returns {
    fn outcome(&mut self, run: &Run<'_>, dictionaries: &Dictionaries, rule: u8) -> Vec<Mark> {
        self.matcher.learn(dictionaries);
        let (shape, rule) = (&*self.shape, Rule(rule));
        let matches = |row: &usize, pattern: u64| self.matcher.mask(run, *row) & pattern != 0;
        let rows = 0..run.len();
        let all = rows.clone().filter(|row| matches(row, 1)).map(|row| run.ts[row]);
        let takes = if rule.has(Difference::EveryCohort) { usize::MAX } else { 1 };
        let is_hourly = rule.has(Difference::RollingClock) && rule.has(Difference::FromTheHour);
        let unit_ms = if is_hourly { super::HOUR_MS } else { 1 };
        let mut starts: Vec<(i64, Mark)> = Vec::new();
        for at_ms in all.take(takes).filter(|at_ms| shape.range.contains(at_ms)) {
            let cohort = shape.buckets.index(at_ms);
            if starts.last().is_none_or(|(_, last)| last.what[0] < cohort) {
                let start_ms = at_ms - at_ms.rem_euclid(unit_ms);
                starts.push((at_ms, Mark { what: [cohort, 0], at_ms: start_ms }));
            }
        }
        let mut marks = Vec::new();
        for (at_ms, start) in starts {
            marks.push(start);
            let mut reached = 0;
            for row in rows.clone().filter(|row| run.ts[*row] > at_ms && matches(row, 2)) {
                let period = shape.period(rule, start, run.ts[row]);
                let first = match rule.has(Difference::OnOrAfter) {
                    true => reached + 1,
                    false => period.max(1),
                };
                for period in first..=period.min(shape.periods) {
                    if period > reached {
                        marks.push(Mark { what: [start.what[0], period], at_ms: run.ts[row] });
                        reached = period;
                    }
                }
            }
        }
        marks
    }
}
