//! Trends: how often something happened, by how many people, with which values, over time.
//!
//! Each series counts one event (or any) under its own filters, by one measure: `count` events,
//! `persons`, `sum`, `avg`, `min`, `max` and quantiles of a number property, and `per_person`
//! (events, or with `prop` their sum, per person who did it). Events without the number do not
//! count for measures of it. A figure of nothing is zero for `count`, `persons` and `sum`, and not
//! known for the others.
//!
//! Persons are counted once per line and bucket, and once in the total: totals are not sums of
//! buckets. With a breakdown the lines are the values with the largest totals (for averages,
//! extremes, quantiles and `per_person`: the most events), then events without the property, then
//! `other`. People may have several values, so persons of `other` need to know which values are
//! listed: that is a second pass ([`Analysis::refine`]); without it they are not known. A formula has a line for
//! each value that the first series lists.
//!
//! `form` makes every bucket stand for those before it, too (`running`).
//!
//! Invariant: without filters by value, the lines of `count` add up to the trend without breakdown.
//!
//! Deliberately elsewhere: buckets (`time_bucket`), arithmetic with series (`formula`).

use std::sync::Arc;

use hashbrown::HashSet;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::answer::{Answer, AnswerBody, Facts, LATENESS_MS};
use crate::columns::{Block, Numbers};
use crate::events::{EventSet, Need, ScanPlan};
use crate::filter::{Columns, Condition, Matcher, TextColumn};
use crate::kernel::{Analysis, Kernel, Key, Partial};
use crate::presence::Presence;
use crate::question::{Common, Compiled, Context, QuestionError, definition, parse};
use crate::time_bucket::{Buckets, Unit, date_of, start_of};

mod alike;
pub mod answer;
mod cells;
mod counter;
mod days;
mod formula;
mod measure;
mod read;
mod running;
#[cfg(test)]
mod tests;

use measure::Measure;

/// Series of one question.
const MAX_SERIES: usize = 10;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    #[serde(default = "any_event")]
    series: Vec<Series>,
    #[serde(default = "day")]
    bucket: Unit,
    compare: Option<String>,
    formula: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    form: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Series {
    event: Option<String>,
    #[serde(default)]
    measure: Measure,
    prop: Option<String>,
    #[serde(default, rename = "where", skip_serializing_if = "Value::is_null")]
    filter: Value,
}

fn any_event() -> Vec<Series> {
    vec![Series { event: None, measure: Measure::Count, prop: None, filter: Value::Null }]
}
fn day() -> Unit {
    Unit::Day
}

/// One series, bound to columns.
#[derive(Debug, Clone)]
struct Line {
    event: Option<String>,
    measure: Measure,
    /// The column of its number.
    number: Option<usize>,
    tally: usize,
}

impl Line {
    fn counts_events(&self) -> bool {
        self.measure != Measure::Persons
    }
}

/// What series share that look at the same rows: one counts events, the other persons.
#[derive(Debug, Clone, Copy)]
struct Tally {
    /// Whether a series needs the number of its events.
    events: bool,
    /// Whether a series needs persons. One at most: which values are listed is its own.
    persons: bool,
    /// The column of the number, and what is done with it. Nobody shares such a tally.
    number: Option<(usize, Measure)>,
}

impl Tally {
    fn sums(&self) -> bool {
        self.number.is_some_and(|(_, measure)| measure.sums())
    }
}

/// Where a row is counted.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    from_ms: i64,
    to_ms: i64,
    /// The column of the bucket, and that of the period's total, if it is not the same.
    column: usize,
    total: Option<usize>,
}

impl Bucket {
    /// It holds nothing.
    const NONE: Self = Self { from_ms: 0, to_ms: 0, column: 0, total: None };

    #[inline]
    fn holds(&self, at_ms: i64) -> bool {
        self.from_ms <= at_ms && at_ms < self.to_ms
    }
}

/// What the kernels and the answer of one question share.
#[derive(Debug)]
struct Shape {
    lines: Vec<Line>,
    tallies: Vec<Tally>,
    /// The range, then with `compare` the range before.
    periods: Vec<Buckets>,
    from_ms: i64,
    to_ms: i64,
    breakdown: Option<TextColumn>,
    limit: usize,
    formula: Option<formula::Formula>,
}

impl Shape {
    /// Figures per group: a column per bucket and one for the total, period after period.
    fn width(&self) -> usize {
        self.periods.iter().map(|period| period.len() + 1).sum()
    }

    /// Whether numbers are all there is to count: no groups, and nobody looks at persons.
    fn is_of_numbers(&self) -> bool {
        let is_number = |tally: &Tally| tally.number.is_some() && !tally.persons;
        self.breakdown.is_none() && self.tallies.iter().all(is_number)
    }

    /// Where every tally is of one number that few rows of a block have: those rows.
    fn with_number<'a>(&self, block: &'a Block) -> Option<&'a [u32]> {
        let (column, _) = self.tallies.first()?.number?;
        let is_of_it = |tally: &Tally| tally.number.is_some_and(|(other, _)| other == column);
        match &*block.numbers[column] {
            Numbers::Sparse { rows, .. } if self.tallies.iter().all(is_of_it) => Some(rows),
            _ => None,
        }
    }

    /// The buckets that a time which the plan wants is in, and their first column. The range before has the later
    /// columns.
    #[inline]
    fn period(&self, at_ms: i64) -> (&Buckets, usize) {
        match &self.periods[..] {
            [range, before] if at_ms < self.from_ms => (before, range.len() + 1),
            periods => (&periods[0], 0),
        }
    }

    /// The bucket of a time that the plan wants.
    #[inline]
    fn bucket(&self, at_ms: i64) -> Bucket {
        let is_before = self.periods.len() > 1 && at_ms < self.from_ms;
        let (buckets, first) = self.period(at_ms);
        let bucket = buckets.index(at_ms);
        let end_ms = buckets.end_ms(bucket);
        let start_ms = buckets.bounds_ms[bucket];
        Bucket {
            from_ms: if is_before { start_ms } else { start_ms.max(self.from_ms) },
            to_ms: if is_before { end_ms.min(self.from_ms) } else { end_ms },
            column: first + bucket,
            total: (buckets.len() > 1).then_some(first + buckets.len()),
        }
    }
}

struct Trend {
    plan: ScanPlan,
    matcher: Matcher,
    shape: Arc<Shape>,
    /// In the second pass: the listed values, by series.
    listed: Option<Arc<Vec<HashSet<Key>>>>,
    /// What can be read from days alone.
    days: Option<days::Days>,
}

/// Understand the question.
///
/// # Errors
/// [`QuestionError`] when a field is wrong.
pub(crate) fn compile(
    mut body: Map<String, Value>,
    context: &Context,
) -> Result<Compiled, QuestionError> {
    let common = Common::take(&mut body, context)?;
    let question: Question = parse(body)?;
    if !(1..=MAX_SERIES).contains(&question.series.len()) {
        return Err(QuestionError::Count {
            what: "series of a trend",
            got: question.series.len(),
            min: 1,
            max: MAX_SERIES,
        });
    }
    let mut columns = Columns::default();
    let mut patterns = Vec::new();
    let mut tallies: Vec<Tally> = Vec::new();
    // What rows of every tally have.
    let mut needs: Option<Vec<Need>> = None;
    // The series that each tally was made for.
    let mut first_of: Vec<&Series> = Vec::new();
    let mut lines = Vec::new();
    for series in &question.series {
        if series.measure.needs_number() && series.prop.is_none() {
            return Err(QuestionError::Field {
                field: "series.prop",
                detail: format!("`{}` needs the name of a number property", series.measure.name()),
            });
        }
        if matches!(series.measure, Measure::Count | Measure::Persons) && series.prop.is_some() {
            return Err(QuestionError::Field {
                field: "series.prop",
                detail: format!("`{}` measures no property; leave it out", series.measure.name()),
            });
        }
        let number = series.prop.as_ref().map(|prop| columns.number(prop));
        let persons = series.measure.counts_persons();
        let is_shared = |(first, tally): (&&Series, &Tally)| {
            let is_same = first.event == series.event && first.filter == series.filter;
            is_same && number.is_none() && tally.number.is_none() && !(persons && tally.persons)
        };
        let tally = match first_of.iter().zip(&tallies).position(is_shared) {
            Some(tally) => tally,
            None => {
                let condition = Condition::parse(&series.filter)?.and(common.filter.clone());
                let these = condition.needs();
                match &mut needs {
                    Some(needs) => needs.retain(|need| these.contains(need)),
                    None => needs = Some(these),
                }
                patterns.push((series.event.clone(), condition.bind(&mut columns)));
                first_of.push(series);
                let number = number.map(|column| (column, series.measure));
                tallies.push(Tally { events: false, persons: false, number });
                tallies.len() - 1
            }
        };
        let line = Line { event: series.event.clone(), measure: series.measure, number, tally };
        tallies[tally].events |= line.counts_events();
        tallies[tally].persons |= persons;
        lines.push(line);
    }
    let formula = question
        .formula
        .as_ref()
        .map(|text| formula::Formula::parse(text, lines.len()))
        .transpose()?;
    let form = question.form.as_deref().map(running::Form::parse).transpose()?;
    let (periods, scan_from_ms) = match form {
        Some(form) => running::buckets(&common, &question, form)?,
        None => periods(&common, &question)?,
    };
    let breakdown = common.breakdown.as_ref().map(|breakdown| breakdown.column(&mut columns));
    let names: Option<Vec<String>> = lines.iter().map(|line| line.event.clone()).collect();
    let events = names.map_or(EventSet::All, |mut names| {
        names.sort();
        names.dedup();
        EventSet::Only(names)
    });
    let limit = common.breakdown.as_ref().map_or(0, |breakdown| breakdown.limit);
    if let Some(form) = form {
        let [buckets] = <[Buckets; 1]>::try_from(periods).expect("a running form has one period");
        let bound = running::Bound { lines, buckets, events, formula, from_ms: scan_from_ms };
        return running::compile(&common, &question, form, bound);
    }
    let shape = Shape {
        lines,
        tallies,
        periods,
        from_ms: common.from_ms,
        to_ms: common.to_ms,
        breakdown,
        limit,
        formula,
    };
    let shape = Arc::new(shape);
    let days = match patterns.iter().all(|(_, filter)| filter.is_always()) {
        true => days::Days::of(&shape, &common, question.bucket, scan_from_ms)?,
        false => None,
    };
    let needs = needs.unwrap_or_default();
    let analysis = Trend {
        plan: ScanPlan { needs, ..ScanPlan::with(columns, scan_from_ms, common.to_ms, events) },
        matcher: Matcher::new(patterns),
        shape,
        listed: None,
        days,
    };
    Ok(Compiled::new(definition(&common, &question), analysis))
}

/// The buckets of the range, with `compare` also of the one before it; and where the scan begins.
///
/// The range before has as many local days when the range consists of whole days, else the same
/// length; its buckets are matched by position.
fn periods(common: &Common, question: &Question) -> Result<(Vec<Buckets>, i64), QuestionError> {
    let (from_ms, to_ms, tz) = (common.from_ms, common.to_ms, &common.calendar.tz);
    let range = Buckets::new(question.bucket, &common.calendar, from_ms, to_ms, 0)?;
    match question.compare.as_deref() {
        None => Ok((vec![range], from_ms)),
        Some("previous") => {
            let whole_days = || {
                let (first, end) = (date_of(from_ms, tz)?, date_of(to_ms, tz)?);
                let whole = start_of(first, tz)? == from_ms && start_of(end, tz)? == to_ms;
                let days = first.until(end).ok()?.get_days();
                start_of(first.checked_sub(jiff::Span::new().days(days)).ok()?, tz)
                    .filter(|_| whole)
            };
            let before_ms = whole_days().unwrap_or(from_ms - (to_ms - from_ms));
            let before = Buckets::new(question.bucket, &common.calendar, before_ms, from_ms, 0)?;
            Ok((vec![range, before], before_ms))
        }
        Some(other) => Err(QuestionError::Field {
            field: "compare",
            detail: format!("`{other}` is not known; write `previous`"),
        }),
    }
}

impl Trend {
    fn counts_persons(&self) -> bool {
        self.shape.lines.iter().any(|line| line.measure.counts_persons())
    }
}

impl Analysis for Trend {
    fn scan(&self) -> &ScanPlan {
        &self.plan
    }

    fn kernel(&self) -> Box<dyn Kernel> {
        Box::new(counter::Counter::new(
            Arc::clone(&self.shape),
            self.matcher.clone(),
            self.plan.from_ms..self.plan.to_ms,
            self.listed.clone(),
        ))
    }

    fn is_timeless(&self, first_ms: i64, last_ms: i64) -> bool {
        self.plan.from_ms <= first_ms
            && last_ms < self.plan.to_ms
            && self.shape.bucket(first_ms).holds(last_ms)
    }

    fn presence(&self) -> Option<&dyn Presence> {
        self.days.as_ref().map(|days| days as &dyn Presence)
    }

    fn looks(&self) -> u32 {
        if self.shape.breakdown.is_some() && self.counts_persons() { 2 } else { 1 }
    }

    fn refine(&self, partial: &Partial) -> Option<Box<dyn Analysis>> {
        if self.listed.is_some() || self.shape.breakdown.is_none() || !self.counts_persons() {
            return None;
        }
        let (listed, beyond) = read::listed(partial, &self.shape);
        beyond.then(|| -> Box<dyn Analysis> {
            Box::new(Trend {
                plan: self.plan.clone(),
                matcher: self.matcher.clone(),
                shape: Arc::clone(&self.shape),
                days: None,
                listed: Some(Arc::new(listed)),
            })
        })
    }

    fn answer(&self, partial: &Partial, facts: &Facts) -> Answer {
        Answer {
            complete: facts.now_ms >= self.shape.to_ms + LATENESS_MS,
            body: AnswerBody::Trend(read::answer(partial, &self.shape)),
        }
    }
}
