//! The rolling clock: periods counted from the very moment of the start.

use std::sync::Arc;

use super::{CohortBy, Mode, Shape, table};
use crate::events::{Dictionaries, Run};
use crate::filter::Matcher;
use crate::kernel::{Partial, RunKernel};

/// See [`table`].
pub(super) struct Counter {
    shape: Arc<Shape>,
    period_ms: i64,
    matcher: Matcher,
    /// The person's cohorts, and when they started in each.
    starts: Vec<(usize, i64)>,
    /// When the person returned.
    returns: Vec<i64>,
    /// `cohort × (periods + 1) + period`.
    counts: Vec<u64>,
}

impl Counter {
    pub(super) fn new(shape: &Arc<Shape>, period_ms: i64, matcher: &Matcher) -> Self {
        Self {
            shape: Arc::clone(shape),
            period_ms,
            matcher: matcher.clone(),
            starts: Vec::new(),
            returns: Vec::new(),
            counts: vec![0; shape.cohorts * (shape.periods + 1)],
        }
    }
}

impl RunKernel for Counter {
    fn learn(&mut self, dictionaries: &Dictionaries) {
        self.matcher.learn(dictionaries);
    }

    fn person(&mut self, run: &Run<'_>, _: &Dictionaries) {
        self.starts.clear();
        self.returns.clear();
        let shape = &*self.shape;
        let mut started = false;
        for row in 0..run.len() {
            let at_ms = run.ts[row];
            let mask = self.matcher.mask(run, row);
            if mask & 1 == 1 && !(started && shape.cohort_by == CohortBy::FirstEver) {
                if (shape.from_ms..shape.to_ms).contains(&at_ms) {
                    let bucket = shape.buckets.index(at_ms);
                    if self.starts.last().is_none_or(|(last, _)| *last < bucket) {
                        self.starts.push((bucket, at_ms));
                    }
                } else if !started && shape.cohort_by == CohortBy::FirstEver {
                    // The first time ever was before the range, or comes after it.
                    return;
                }
                started = true;
            }
            if mask & 2 == 2 && started {
                self.returns.push(at_ms);
            }
        }
        for (cohort, start_ms) in &self.starts {
            let counts = &mut self.counts[cohort * (shape.periods + 1)..][..=shape.periods];
            counts[0] += 1;
            let first = self.returns.partition_point(|at_ms| at_ms <= start_ms);
            let mut counted = 0;
            for at_ms in &self.returns[first..] {
                let period = ((at_ms - shape.start_ms(*start_ms)) / self.period_ms) as usize;
                if period <= counted {
                    continue;
                }
                match shape.mode {
                    Mode::On if period > shape.periods => break,
                    Mode::On => counts[period] += 1,
                    Mode::OnOrAfter => {
                        let reached = period.min(shape.periods);
                        counts[counted + 1..=reached].iter_mut().for_each(|count| *count += 1);
                    }
                }
                counted = period.min(shape.periods);
                if counted == shape.periods {
                    break;
                }
            }
        }
    }

    fn finish(self: Box<Self>, _: &Dictionaries) -> Partial {
        table(&self.counts, self.shape.periods)
    }
}
