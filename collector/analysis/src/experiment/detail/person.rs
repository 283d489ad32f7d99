//! One person: which arm, and what they have of each metric.

use super::super::bits;
use super::{DAY_MS, Kind, Setting, Source, Summed};
use crate::events::{ABSENT, Run};

/// What a person met.
pub(super) enum Exposed {
    Never,
    /// Only variants that the question does not know.
    Unknown,
    To {
        variant: u32,
        row: usize,
        /// Whether they met another one too.
        several: bool,
    },
}

/// What a person has of a metric.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Values {
    /// The value, its denominator, and both before the exposure.
    pub(super) state: [f64; 4],
    /// Whether there is anything to show.
    pub(super) has_any: bool,
}

/// One person's rows, and what they match.
pub(super) struct Person<'a> {
    pub(super) setting: &'a Setting,
    pub(super) run: &'a Run<'a>,
    /// By row.
    pub(super) masks: &'a [u64],
    /// The codes of the experiment and of "false".
    pub(super) experiment: u32,
    pub(super) not_converted: Option<u32>,
}

/// Rows of a person: those from `first` on with a time of `from_ms..=to_ms`.
#[derive(Clone, Copy)]
pub(super) struct Within {
    first: usize,
    end: usize,
}

impl Person<'_> {
    /// The first exposure in the range to a variant that is known.
    pub(super) fn exposed(&self, known: &[bool]) -> Exposed {
        let shape = &self.setting.shape;
        let experiments = shape.experiment_column.of(self.run);
        let variants = shape.variant_column.of(self.run);
        let mut found = Exposed::Never;
        for row in self.rows(0, shape.from_ms, shape.to_ms - 1).each() {
            let ours = experiments[row] == self.experiment
                && variants[row] != ABSENT
                && self.masks[row] & bits::EXPOSURE != 0;
            if !ours {
                continue;
            }
            match &mut found {
                _ if !known[variants[row] as usize] => {
                    if matches!(found, Exposed::Never) {
                        found = Exposed::Unknown;
                    }
                }
                Exposed::Never | Exposed::Unknown => {
                    found = Exposed::To { variant: variants[row], row, several: false };
                }
                Exposed::To { variant, several, .. } => *several |= *variant != variants[row],
            }
        }
        found
    }

    /// The variant of another experiment, if they met exactly one in the range.
    pub(super) fn only_variant_of(&self, experiment: u32) -> Option<u32> {
        let shape = &self.setting.shape;
        let (experiments, variants) =
            (shape.experiment_column.of(self.run), shape.variant_column.of(self.run));
        let is_exposure = |row: &usize| {
            experiments[*row] == experiment
                && variants[*row] != ABSENT
                && self.masks[*row] & bits::EXPOSURE != 0
        };
        let mut met = self.rows(0, shape.from_ms, shape.to_ms - 1).each().filter(is_exposure);
        let first = variants[met.next()?];
        met.all(|row| variants[row] == first).then_some(first)
    }

    /// Rows from a place on, of a stretch of time whose ends are included.
    fn rows(&self, first: usize, from_ms: i64, to_ms: i64) -> Within {
        let times = &self.run.ts[first..];
        let start = first + times.partition_point(|at| *at < from_ms);
        let end = first + times.partition_point(|at| *at <= to_ms);
        Within { first: start, end: end.max(start) }
    }

    /// Where values count after an exposure, and the last millisecond of it.
    pub(super) fn after(&self, exposure: usize) -> (Within, i64) {
        let opens_ms = self.run.ts[exposure].saturating_add(self.setting.delay_ms);
        let closes_ms = match self.setting.shape.window_ms {
            Some(window_ms) => opens_ms.saturating_add(window_ms),
            None => self.setting.shape.to_ms - 1,
        };
        let first = if self.setting.delay_ms < 0 { 0 } else { exposure + 1 };
        (self.rows(first, opens_ms, closes_ms), closes_ms)
    }

    /// Whether an event counts for this experiment.
    fn counts(&self, row: usize) -> bool {
        if self.masks[row] & bits::CONVERSION == 0 {
            return true;
        }
        let shape = &self.setting.shape;
        let named = shape.experiment_column.of(self.run)[row];
        let converted = shape.converted_column.of(self.run)[row];
        (named == ABSENT || named == self.experiment) && Some(converted) != self.not_converted
    }

    /// Conversions among these rows that named another variant.
    pub(super) fn mismatches(&self, within: Within, variant: u32) -> u64 {
        let named = self.setting.shape.variant_column.of(self.run);
        let wanted = self.setting.sources.iter().fold(0, |mask, source| mask | source.sum.mask);
        let is_other = |row: &usize| {
            let mask = self.masks[*row];
            mask & bits::CONVERSION != 0
                && mask & wanted != 0
                && named[*row] != ABSENT
                && named[*row] != variant
                && self.counts(*row)
        };
        within.each().filter(is_other).count() as u64
    }

    /// Events among these rows, and their sum.
    fn sum(&self, within: Within, summed: &Summed) -> (u64, f64) {
        let (mut events, mut sum) = (0, 0.0);
        for row in within.each() {
            if self.masks[row] & summed.mask != 0 && self.counts(row) {
                events += 1;
                sum += self.value(row, summed).unwrap_or(0.0);
            }
        }
        (events, sum)
    }

    /// What an event adds; `None` without the number.
    fn value(&self, row: usize, summed: &Summed) -> Option<f64> {
        if summed.numbers.is_empty() {
            return Some(1.0);
        }
        let mut values = summed.numbers.iter().map(|column| self.run.numbers[*column][row]);
        values.find(|value| !value.is_nan())
    }

    /// The values of a quantile's events.
    pub(super) fn each_value(&self, within: Within, source: &Source, mut see: impl FnMut(f64)) {
        for row in within.each() {
            if self.masks[row] & source.sum.mask != 0
                && self.counts(row)
                && let Some(value) = self.value(row, &source.sum)
            {
                see(value);
            }
        }
    }

    /// What these rows have of a metric: the value, its denominator, whether there is anything.
    fn have(&self, within: Within, source: &Source) -> (f64, f64, bool) {
        let (events, sum) = self.sum(within, &source.sum);
        let denominator = |summed| self.sum(within, summed).1;
        match source.kind {
            Kind::Conversion | Kind::Retention => {
                (f64::from(u8::from(events > 0)), 0.0, events > 0)
            }
            Kind::Funnel => {
                let done = self.goes_all_steps(within, &source.steps);
                (f64::from(u8::from(done)), 0.0, done)
            }
            Kind::Count => (events as f64, 0.0, events > 0),
            Kind::Mean | Kind::Revenue | Kind::Quantile => (sum, 0.0, events > 0),
            Kind::Ratio => (sum, source.denominator.as_ref().map_or(0.0, denominator), events > 0),
        }
    }

    /// Whether the steps come one after the other. Taking the first of each is enough: all of them start
    /// at the exposure.
    fn goes_all_steps(&self, within: Within, steps: &[u64]) -> bool {
        let mut left = steps;
        for row in within.each() {
            if let Some((step, rest)) = left.split_first()
                && self.masks[row] & step != 0
                && self.counts(row)
            {
                left = rest;
            }
        }
        left.is_empty()
    }

    /// What the person has of a metric after the exposure, and had before it.
    pub(super) fn values(&self, exposure: usize, after: Within, source: &Source) -> Values {
        let at_ms = self.run.ts[exposure];
        let after = match source.days_ms {
            // Days are 24 hours from the exposure on; the conversion window is about other metrics.
            Some((first, end)) => self.rows(
                exposure + 1,
                at_ms.saturating_add(first),
                at_ms.saturating_add(end).saturating_sub(1),
            ),
            None => after,
        };
        let (value, denominator, has_any) = self.have(after, source);
        let (before, denominator_before) = match self.setting.past_ms {
            Some(past_ms) => {
                let from_ms = at_ms.saturating_sub(past_ms);
                let mut past = self.rows(0, from_ms, at_ms.saturating_sub(1));
                past.end = past.end.min(exposure);
                let (value, denominator, _) = self.have(past, source);
                (value, denominator)
            }
            None => (0.0, 0.0),
        };
        Values { state: [value, denominator, before, denominator_before], has_any }
    }

    /// When everything that counts for the person is over.
    pub(super) fn done_ms(&self, exposure: usize, closes_ms: i64) -> i64 {
        let last_day = self.setting.sources.iter().filter_map(|source| source.days_ms);
        let last_day = last_day.map(|(_, end)| self.run.ts[exposure].saturating_add(end) - 1).max();
        debug_assert!(last_day.is_none_or(|at| at >= self.run.ts[exposure] + DAY_MS - 1));
        closes_ms.max(last_day.unwrap_or(closes_ms))
    }
}

impl Within {
    fn each(self) -> std::ops::Range<usize> {
        self.first.min(self.end)..self.end
    }
}
