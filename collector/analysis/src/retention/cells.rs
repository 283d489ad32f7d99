//! Cells with more than the plain rules: brackets of periods, several returns, sums of a property, on or
//! before a period, a breakdown.
//!
//! In: one person's rows. Out: `(0, value, cohort)` → people who started, then per column those who
//! returned; `(1, value, cohort, column)` → the digits of the sum of the property over their returns.
//!
//! Deliberately elsewhere: the plain rules, which are faster (`calendar`, `rolling`).

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::{Asked, CohortBy, Shape};
use crate::events::{ABSENT, Dictionaries, Run};
use crate::exact_sum::ExactSum;
use crate::filter::{Matcher, TextColumn};
use crate::kernel::{Key, Partial, RunKernel};

/// What the question asks for beside the plain rules.
#[derive(Debug, Clone)]
pub(super) struct Cells {
    /// Periods, both ends included; the first column is the start itself.
    pub columns: Vec<[usize; 2]>,
    /// Returns that it takes.
    pub minimum: usize,
    pub breakdown: Option<TextColumn>,
    /// The property to add up.
    pub sum: Option<usize>,
    /// Whether that begins with the start: what they brought by a time, they may have brought at once.
    pub sums_from_start: bool,
}

impl Cells {
    /// The columns without brackets.
    pub(super) fn columns(mode: Asked, periods: usize) -> Vec<[usize; 2]> {
        let column = |period: usize| match (mode, period) {
            (_, 0) => [0, 0],
            (Asked::On, period) => [period, period],
            (Asked::OnOrAfter, period) => [period, usize::MAX],
            (Asked::OnOrBefore, period) => [1, period],
        };
        (0..=periods).map(column).collect()
    }
}

/// The kernel.
pub(super) struct Counter {
    shape: Arc<Shape>,
    cells: Cells,
    matcher: Matcher,
    /// By code of the breakdown and cohort.
    counts: BTreeMap<(u32, usize), Counts>,
    /// The person's cohorts, when they started in each, and in which row.
    starts: Vec<(usize, i64, usize)>,
    /// When the person returned, and what they brought.
    returns: Vec<(i64, f64)>,
}

struct Counts {
    people: Vec<u64>,
    sums: Vec<ExactSum>,
}

impl Counter {
    pub(super) fn new(shape: &Arc<Shape>, cells: Cells, matcher: &Matcher) -> Self {
        Self {
            shape: Arc::clone(shape),
            cells,
            matcher: matcher.clone(),
            counts: BTreeMap::new(),
            starts: Vec::new(),
            returns: Vec::new(),
        }
    }

    /// Find the person's starts and returns; `false` when they are in no cohort.
    fn look(&mut self, run: &Run<'_>) -> bool {
        let shape = &*self.shape;
        let is_first = shape.cohort_by == CohortBy::FirstEver;
        self.starts.clear();
        self.returns.clear();
        let mut has_started = false;
        for (row, &at_ms) in run.ts.iter().enumerate() {
            let mask = self.matcher.mask(run, row);
            if mask & 1 == 1 && !(has_started && is_first) {
                if (shape.from_ms..shape.to_ms).contains(&at_ms) {
                    let bucket = shape.buckets.index(at_ms);
                    if self.starts.last().is_none_or(|(last, ..)| *last < bucket) {
                        self.starts.push((bucket, at_ms, row));
                    }
                } else if is_first {
                    // The first time ever was before the range, or comes after it.
                    return false;
                }
                has_started = true;
            }
            if mask & 2 == 2 && has_started {
                let value = self.cells.sum.map_or(f64::NAN, |column| run.numbers[column][row]);
                self.returns.push((at_ms, value));
            }
        }
        !self.starts.is_empty()
    }
}

/// When the periods of a column are, after a start in a cohort: from a moment on, to another, which is not
/// in it.
fn times(shape: &Shape, cohort: usize, start_ms: i64, [from, to]: [usize; 2]) -> Range<i64> {
    let after = |period: usize| -> i64 {
        match shape.rolling_ms {
            Some(period_ms) => {
                let period = i64::try_from(period).unwrap_or(i64::MAX);
                shape.start_ms(start_ms).saturating_add(period_ms.saturating_mul(period))
            }
            // What lies behind the last bucket is in no period that ends.
            None => {
                let bounds = &shape.buckets.bounds_ms;
                bounds[cohort.saturating_add(period).min(shape.buckets.len())]
            }
        }
    };
    let end_ms = if to == usize::MAX { i64::MAX } else { after(to.saturating_add(1)) };
    after(from).max(start_ms)..end_ms
}

impl RunKernel for Counter {
    fn learn(&mut self, dictionaries: &Dictionaries) {
        self.matcher.learn(dictionaries);
    }

    fn person(&mut self, run: &Run<'_>, _: &Dictionaries) {
        if !self.look(run) {
            return;
        }
        let columns = &self.cells.columns;
        for &(cohort, start_ms, row) in &self.starts {
            let value = self.cells.breakdown.map_or(ABSENT, |column| column.of(run)[row]);
            let counts = self.counts.entry((value, cohort)).or_insert_with(|| Counts {
                people: vec![0; columns.len()],
                sums: vec![ExactSum::default(); columns.len()],
            });
            let within = |column: [usize; 2]| -> &[(i64, f64)] {
                let times = times(&self.shape, cohort, start_ms, column);
                let first = self.returns.partition_point(|(at_ms, _)| *at_ms < times.start);
                let end = self.returns.partition_point(|(at_ms, _)| *at_ms < times.end);
                &self.returns[first..end.max(first)]
            };
            for (column, &[from, to]) in columns.iter().enumerate() {
                let count = within([from, to]).len();
                counts.people[column] += u64::from(column == 0 || count >= self.cells.minimum);
                if self.cells.sum.is_some() {
                    let from = if self.cells.sums_from_start { 0 } else { from };
                    let values = within([from, to]).iter().map(|(_, value)| *value);
                    let values = values.filter(|value| !value.is_nan());
                    values.for_each(|value| counts.sums[column].add(value));
                }
            }
        }
    }

    fn bytes(&self) -> usize {
        let column = size_of::<u64>() + size_of::<ExactSum>();
        self.counts.len() * self.cells.columns.len() * column
    }

    fn finish(self: Box<Self>, dictionaries: &Dictionaries) -> Partial {
        let mut partial = Partial::default();
        for ((code, cohort), counts) in self.counts {
            let value = self.cells.breakdown.map_or(Key::None, |column| {
                Key::from_text(column.dictionary(dictionaries).text(code))
            });
            let row: Vec<f64> = counts.people.iter().map(|count| *count as f64).collect();
            partial.add(vec![Key::Int(0), value.clone(), cohort.into()], &row);
            if self.cells.sum.is_some() {
                for (column, sum) in counts.sums.iter().enumerate() {
                    let key = vec![Key::Int(1), value.clone(), cohort.into(), column.into()];
                    partial.add(key, &sum.columns());
                }
            }
        }
        partial
    }
}
