//! The calendar: periods are buckets, so all that counts is on which days somebody started and
//! returned.

use std::sync::Arc;

use super::{CohortBy, Mode, Shape, table};
use crate::kernel::Partial;
use crate::presence::bits::{BitCounts, PairCounts, ones, range_mask, set};
use crate::presence::{Bucketer, DayBlock, DayKernel};

/// See [`table`].
pub(super) struct Counter {
    shape: Arc<Shape>,
    bucketer: Bucketer,
    /// Bits on which a start counts: the days of the range and the time before it.
    starts: Vec<u64>,
    sizes: Vec<u64>,
    /// Per cohort: who returned in which period, by bit.
    returned: Vec<BitCounts>,
    /// Whoever may be in many cohorts, all of them at once: by bit, who returned so much later.
    recurring: Option<PairCounts>,
    /// Per cohort: how many returned last, as far as asked, in which period.
    reached: Vec<u64>,
    /// For longer ranges: starts that count, and both in buckets.
    masked: Vec<u64>,
    rows: [Vec<u64>; 2],
}

impl Counter {
    pub(super) fn new(shape: &Arc<Shape>, bucketer: &Bucketer, start_bits: usize) -> Self {
        let words = (shape.buckets.len() + 2).div_ceil(64);
        let returned = match shape.mode {
            Mode::On => vec![BitCounts::new(words); shape.cohorts],
            Mode::OnOrAfter => Vec::new(),
        };
        let is_recurring =
            words == 1 && shape.cohort_by == CohortBy::Recurring && shape.mode == Mode::On;
        Self {
            bucketer: bucketer.clone(),
            starts: range_mask(start_bits, 0..start_bits),
            sizes: vec![0; shape.cohorts],
            returned,
            recurring: is_recurring.then(|| PairCounts::new(shape.periods)),
            reached: vec![0; shape.cohorts * (shape.periods + 1)],
            masked: Vec::new(),
            rows: std::array::from_fn(|_| vec![0; words]),
            shape: Arc::clone(shape),
        }
    }

    /// One person whose bits are a word each.
    #[inline]
    fn add_word(&mut self, starts: u64, returns: u64) {
        let starts = self.bucketer.word(starts & self.starts[0]);
        let is_first = self.shape.cohort_by == CohortBy::FirstEver;
        if starts == 0 || is_first && starts & 1 == 1 {
            return;
        }
        let returns = self.bucketer.word(returns);
        let mut left = starts & !1;
        if let Some(recurring) = &mut self.recurring {
            recurring.add(left, returns);
            return;
        }
        while left != 0 {
            let bit = left.trailing_zeros() as usize;
            left &= left - 1;
            let cohort = bit - 1;
            self.sizes[cohort] += 1;
            let periods = self.shape.periods;
            let after = returns >> bit & !1;
            match self.shape.mode {
                Mode::On => {
                    let asked = after & ((2 << periods) - 1);
                    self.returned[cohort].add_low(asked, (periods + 1).div_ceil(8));
                }
                Mode::OnOrAfter if after != 0 => {
                    let last = (after.ilog2() as usize).min(periods);
                    self.reached[cohort * (periods + 1) + last] += 1;
                }
                Mode::OnOrAfter => {}
            }
            if is_first {
                break;
            }
        }
    }

    /// The same for longer ranges.
    fn add_row(&mut self, starts: &[u64], returns: &[u64]) {
        let [own, back] = &mut self.rows;
        self.masked.clear();
        self.masked.resize(starts.len(), 0);
        for ((day, start), mask) in self.masked.iter_mut().zip(starts).zip(&self.starts) {
            *day = start & mask;
        }
        self.bucketer.row(&self.masked, own);
        let is_first = self.shape.cohort_by == CohortBy::FirstEver;
        if is_first && own[0] & 1 == 1 {
            return;
        }
        self.bucketer.row(returns, back);
        own[0] &= !1;
        if let Some(recurring) = &mut self.recurring {
            recurring.add(own[0], back[0]);
            return;
        }
        let periods = self.shape.periods;
        for bit in ones(own) {
            let cohort = bit - 1;
            self.sizes[cohort] += 1;
            let after = ones(back).filter(|at| *at > bit).map(|at| at - bit);
            match self.shape.mode {
                Mode::On => {
                    let mut row = vec![0; back.len()];
                    after
                        .take_while(|period| *period <= periods)
                        .for_each(|period| set(&mut row, period));
                    self.returned[cohort].add(&row);
                }
                Mode::OnOrAfter => {
                    if let Some(last) = after.last() {
                        self.reached[cohort * (periods + 1) + last.min(periods)] += 1;
                    }
                }
            }
            if is_first {
                break;
            }
        }
    }
}

impl DayKernel for Counter {
    fn days(&mut self, block: &DayBlock<'_>) {
        let [starts, returns] = block.sets else { return };
        if block.words == 1 {
            for (starts, returns) in starts.iter().zip(*returns) {
                if *starts != 0 {
                    self.add_word(*starts, *returns);
                }
            }
        } else {
            let persons = starts.chunks_exact(block.words).zip(returns.chunks_exact(block.words));
            persons.for_each(|(starts, returns)| self.add_row(starts, returns));
        }
    }

    fn finish(self: Box<Self>) -> Partial {
        let periods = self.shape.periods;
        let mut counts = self.reached;
        for line in counts.chunks_exact_mut(periods + 1) {
            // Who returned in a period or later: add up from the last one.
            (1..line.len()).rev().skip(1).for_each(|at| line[at] += line[at + 1]);
        }
        if let Some(recurring) = self.recurring {
            // Bit 0 is the time before the first cohort.
            let of_bits = recurring.finish();
            let of_bits = of_bits.chunks_exact(64).skip(1);
            for (line, of_bit) in counts.chunks_exact_mut(periods + 1).zip(of_bits) {
                let asked = line.len().min(of_bit.len());
                line[..asked].copy_from_slice(&of_bit[..asked]);
            }
            return table(&counts, periods);
        }
        let of_cohort = counts.chunks_exact_mut(periods + 1);
        for (line, returned) in of_cohort.zip(self.returned) {
            line[1..].copy_from_slice(&returned.finish()[1..=periods]);
        }
        for (line, size) in counts.chunks_exact_mut(periods + 1).zip(self.sizes) {
            line[0] = size;
        }
        table(&counts, periods)
    }
}
