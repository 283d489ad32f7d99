//! The kernel of experiments: one pass per person, from the first exposure on.
//!
//! Table: `(0, variant)` → people; `(1, variant, metric)` → people converted, then the digits of
//! `Σx` and `Σx²` over people; `(2)` → people of several variants, of unknown ones, conversions
//! that named another variant; `(3, …)` and `(4, …)` as 0 and 1, of those who met several variants, by
//! their first. Bag: `(5)` → the first exposures.

use std::sync::Arc;

use super::{Shape, bits};
use crate::events::{ABSENT, Dictionaries, Run};
use crate::exact_sum::ExactSum;
use crate::filter::Matcher;
use crate::kernel::{Key, Partial, RunKernel};

pub(super) struct Counter {
    shape: Arc<Shape>,
    matcher: Matcher,
    /// The codes of the experiment and of "false", once they were seen.
    experiment: Option<u32>,
    not_converted: Option<u32>,
    /// By code of the variant: whether the question knows it.
    known: Vec<bool>,
    /// By code of the variant.
    arms: Arms,
    /// The same of people who met several variants, by their first.
    aside: Arms,
    /// Unix milliseconds.
    first_ms: i64,
    multi_variant: u64,
    unknown_variant: u64,
    variant_mismatch: u64,
    /// The person's figures by metric: events counted, and their sum.
    figures: Vec<(u64, f64)>,
}

type Arms = Vec<Option<Box<Arm>>>;

#[derive(Clone, Default)]
struct Arm {
    persons: u64,
    metrics: Vec<Sums>,
}

#[derive(Clone, Copy, Default)]
struct Sums {
    converted: u64,
    sum: ExactSum,
    squares: ExactSum,
}

/// What a person met first.
enum Exposed {
    Never,
    /// Only variants that the question does not know.
    Unknown,
    To(Exposure),
}

/// A person's first exposure, in codes.
struct Exposure {
    experiment: u32,
    variant: u32,
    row: usize,
}

/// Rows that are looked at together.
const AT_ONCE: usize = u64::BITS as usize;

impl Counter {
    pub(super) fn new(shape: Arc<Shape>, matcher: Matcher) -> Self {
        Self {
            figures: vec![(0, 0.0); shape.metrics.len()],
            shape,
            matcher,
            experiment: None,
            not_converted: None,
            known: Vec::new(),
            arms: Vec::new(),
            aside: Vec::new(),
            first_ms: i64::MAX,
            multi_variant: 0,
            unknown_variant: 0,
            variant_mismatch: 0,
        }
    }

    fn exposed(&self, run: &Run<'_>, experiment: u32) -> Exposed {
        let experiments = self.shape.experiment_column.of(run);
        let variants = self.shape.variant_column.of(run);
        let mut found = Exposed::Never;
        // Most rows are of other experiments, or of none: nothing else of them is looked at.
        let ours = |from: usize| {
            experiments[from..].iter().position(|of| *of == experiment).map(|at| from + at)
        };
        let mut from = 0;
        while let Some(row) = ours(from) {
            from = row + 1;
            if run.ts[row] >= self.shape.to_ms {
                break;
            }
            let variant = variants[row];
            if variant == ABSENT || self.matcher.mask(run, row) & bits::EXPOSURE == 0 {
                continue;
            }
            if self.known[variant as usize] {
                return Exposed::To(Exposure { experiment, variant, row });
            }
            found = Exposed::Unknown;
        }
        found
    }

    /// Add up the metric events after the exposure; whether the person met another variant too.
    fn follow(&mut self, run: &Run<'_>, exposure: &Exposure) -> bool {
        let Exposure { experiment, variant, row } = *exposure;
        self.figures.fill((0, 0.0));
        let last_ms = match self.shape.window_ms {
            Some(window_ms) => run.ts[row].saturating_add(window_ms),
            None => self.shape.to_ms - 1,
        };
        let experiments = self.shape.experiment_column.of(run);
        let variants = self.shape.variant_column.of(run);
        let converted = self.shape.converted_column.of(run);
        let mut several = false;
        for from in (row + 1..run.len()).step_by(AT_ONCE) {
            let rows = from..run.len().min(from + AT_ONCE);
            // Exposures and metrics come in any order, so a branch for each row would be guessed wrong: first the rows
            // that may say something, which are few, and then those.
            let mut telling = 0u64;
            let columns = run.ts[rows.clone()].iter().zip(&run.event[rows.clone()]);
            for (bit, ((ts, event), named)) in columns.zip(&variants[rows]).enumerate() {
                let mask = self.matcher.by_name(*event);
                let counts = (mask >> bits::METRICS != 0) & (*ts <= last_ms);
                let is_other = (mask & bits::EXPOSURE != 0) & (*named != variant);
                telling |= u64::from(counts | is_other) << bit;
            }
            while telling != 0 {
                let row = from + telling.trailing_zeros() as usize;
                telling &= telling - 1;
                let mask = self.matcher.mask(run, row);
                let (ts, of, named) = (run.ts[row], experiments[row], variants[row]);
                several |= mask & bits::EXPOSURE != 0
                    && of == experiment
                    && named != ABSENT
                    && named != variant
                    && ts < self.shape.to_ms
                    && self.known[named as usize];
                let metrics = mask >> bits::METRICS;
                if metrics == 0 || ts > last_ms {
                    continue;
                }
                if mask & bits::CONVERSION != 0 {
                    let other = of != ABSENT && of != experiment;
                    if other || Some(converted[row]) == self.not_converted {
                        continue;
                    }
                    self.variant_mismatch += u64::from(named != ABSENT && named != variant);
                }
                self.count(run, row, metrics);
            }
        }
        several
    }

    /// Add an event to the figures of the metrics that it is one of.
    fn count(&mut self, run: &Run<'_>, row: usize, metrics: u64) {
        for (index, metric) in self.shape.metrics.iter().enumerate() {
            if metrics >> (2 * index) & 0b11 != 0 {
                let (events, sum) = &mut self.figures[index];
                *events += 1;
                let mut values = metric.numbers.iter().map(|column| run.numbers[*column][row]);
                *sum += values.find(|value| !value.is_nan()).unwrap_or(0.0);
            }
        }
    }
}

impl RunKernel for Counter {
    fn learn(&mut self, dictionaries: &Dictionaries) {
        self.matcher.learn(dictionaries);
        let shape = &*self.shape;
        let experiments = shape.experiment_column.dictionary(dictionaries);
        let converted = shape.converted_column.dictionary(dictionaries);
        self.experiment = experiments.find(&shape.experiment);
        self.not_converted = converted.find("false");
        let variants = self.shape.variant_column.dictionary(dictionaries);
        for code in self.known.len()..variants.len() {
            let known = variants.text(code as u32).is_some_and(|text| {
                self.shape.variants.is_empty()
                    || self.shape.variants.iter().any(|variant| variant.key == text)
            });
            self.known.push(known);
        }
    }

    fn person(&mut self, run: &Run<'_>, _: &Dictionaries) {
        // Nobody was exposed to an experiment whose key was never seen.
        let Some(experiment) = self.experiment else { return };
        match self.exposed(run, experiment) {
            Exposed::Never => {}
            Exposed::Unknown => self.unknown_variant += 1,
            Exposed::To(exposure) => {
                let mismatches = self.variant_mismatch;
                let arms = if self.follow(run, &exposure) {
                    self.multi_variant += 1;
                    self.variant_mismatch = mismatches;
                    &mut self.aside
                } else {
                    self.first_ms = self.first_ms.min(run.ts[exposure.row]);
                    &mut self.arms
                };
                let code = exposure.variant as usize;
                if arms.len() <= code {
                    arms.resize(code + 1, None);
                }
                let metrics = self.shape.metrics.len();
                let arm = arms[code].get_or_insert_with(|| {
                    Box::new(Arm { persons: 0, metrics: vec![Sums::default(); metrics] })
                });
                arm.persons += 1;
                for (sums, (events, sum)) in arm.metrics.iter_mut().zip(&self.figures) {
                    sums.converted += u64::from(*events > 0);
                    if *sum != 0.0 {
                        sums.sum.add(*sum);
                        sums.squares.add_square(*sum);
                    }
                }
            }
        }
    }

    fn finish(self: Box<Self>, dictionaries: &Dictionaries) -> Partial {
        let mut partial = Partial::default();
        let variants = self.shape.variant_column.dictionary(dictionaries);
        for (arms, table) in [(self.arms, 0), (self.aside, 3)] {
            for (code, arm) in arms.into_iter().enumerate() {
                let Some(arm) = arm else { continue };
                let variant = Key::from_text(variants.text(code as u32));
                partial.add(vec![Key::Int(table), variant.clone()], &[arm.persons as f64]);
                for (index, sums) in arm.metrics.iter().enumerate() {
                    let mut row = vec![sums.converted as f64];
                    row.extend(sums.sum.columns());
                    row.extend(sums.squares.columns());
                    partial.add(vec![Key::Int(table + 1), variant.clone(), index.into()], &row);
                }
            }
        }
        if self.first_ms < i64::MAX {
            partial.put(vec![Key::Int(5)], vec![self.first_ms as f64]);
        }
        let excluded = [self.multi_variant, self.unknown_variant, self.variant_mismatch];
        if excluded != [0; 3] {
            partial.add(vec![Key::Int(2)], &excluded.map(|count| count as f64));
        }
        partial
    }
}
