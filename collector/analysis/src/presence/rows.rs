//! The row form: the bits of a person's days, found in their rows.
//!
//! Where many rows of a block are wanted, a table says the bit of every quarter of an hour, and each row is looked up
//! without a decision: days mostly begin at one. Else rows are found one by one, and what is left of a day is skipped.

use std::ops::Range;
use std::sync::Arc;

use super::{DayBlock, DayKernel, IDENTITY_DAY};
use crate::columns::{Block, Coded, Span, Times};
use crate::each_width;
use crate::events::{ABSENT, Dictionaries, ScanPlan};
use crate::filter::{Mask, Masks, Matcher, TextColumn};
use crate::kernel::{Kernel, Partial};
use crate::time_bucket::Buckets;

/// Persons handed to the kernel at a time.
const PERSONS: usize = 64;

/// What a set of the plan is made of, in rows.
#[derive(Debug, Clone)]
pub(crate) struct RowSets {
    /// Pattern `i` says which rows belong to set `i`.
    pub matcher: Matcher,
    /// One per set: its times of interest. What lies outside is before or after the days.
    pub times: Vec<Range<i64>>,
    /// Where a row says whose id its person is, if the analysis wants to know.
    pub identity: Option<TextColumn>,
}

/// Feeds a [`DayKernel`] with rows.
pub(crate) struct RowDays {
    kernel: Box<dyn DayKernel>,
    days: Arc<Buckets>,
    sets: RowSets,
    /// The times of the scan.
    scanned: Range<i64>,
    /// By slot.
    blocks: Vec<Shown>,
    words: usize,
    persons: usize,
    /// One per set: the words of the persons that wait.
    bits: Vec<Vec<u64>>,
    daily: Vec<Vec<u64>>,
    has_daily: bool,
}

/// What is known of a block.
#[derive(Default)]
struct Shown {
    /// The sets of each row.
    masks: Masks,
    /// The block's own code of a daily id, if it has one.
    daily: Option<u32>,
    quarters: Option<Quarters>,
}

/// Zones are apart by quarters of an hour, as far as they are of this century.
const QUARTER_MS: u32 = 15 * 60_000;

/// Whether a code is among these. It decides nothing on the way, so a processor looks at many at once.
fn has<C: Copy + PartialEq + TryFrom<usize>>(codes: &[C], code: usize) -> bool {
    let Ok(code) = C::try_from(code) else { return false };
    codes.iter().fold(false, |met, other| met | (*other == code))
}

/// The bit of each quarter of an hour of a block.
struct Quarters {
    /// From the start of the first one to where the block's times are counted from.
    shift_ms: u32,
    /// One per set.
    bits: Vec<Vec<u8>>,
}

impl RowDays {
    /// For a scan by this plan.
    pub(crate) fn new(
        plan: &ScanPlan,
        kernel: Box<dyn DayKernel>,
        days: Arc<Buckets>,
        sets: RowSets,
    ) -> Self {
        let words = (days.len() + 2).div_ceil(64);
        let bits = vec![vec![0; words * PERSONS]; sets.times.len()];
        Self {
            kernel,
            days,
            sets,
            scanned: plan.from_ms..plan.to_ms,
            blocks: Vec::new(),
            words,
            persons: 0,
            daily: bits.clone(),
            bits,
            has_daily: false,
        }
    }

    /// The day of an instant, and until when it is the same day and every set wants it alike.
    fn place(&self, at_ms: i64) -> (usize, i64) {
        let bounds = &self.days.bounds_ms;
        let (bit, end) = if at_ms < bounds[0] {
            (0, bounds[0])
        } else if at_ms >= bounds[self.days.len()] {
            (self.days.len() + 1, i64::MAX)
        } else {
            let day = self.days.index(at_ms);
            (day + 1, self.days.end_ms(day))
        };
        let edges = self.sets.times.iter().flat_map(|times| [times.start, times.end]);
        (bit, edges.filter(|edge| *edge > at_ms).fold(end, i64::min))
    }

    /// The bit of a row of a set, where the instant has this one.
    fn bit_of(&self, times: &Range<i64>, at_ms: i64, bit: usize) -> usize {
        match at_ms {
            _ if at_ms < times.start => 0,
            _ if at_ms >= times.end => self.days.len() + 1,
            _ => bit,
        }
    }

    /// The table of a block, if something of interest begins in it only with a quarter of an hour, and rows are so
    /// dense that it is worth it.
    fn quarters(&self, block: &Block, masks: &Masks) -> Option<Quarters> {
        /// Of so many rows one is wanted.
        const DENSE: usize = 16;
        let Times::Narrow { base_ms, .. } = *block.ts else { return None };
        let rows = &u8::all(masks)[block.rows.clone()];
        // As many as a byte can count at a time: that is many at once.
        let count = |some: &[u8]| some.iter().map(|sets| u8::from(*sets != 0)).sum::<u8>();
        let wanted: usize = rows.chunks(255).map(|some| usize::from(count(some))).sum();
        if self.words > 1 || wanted * DENSE < rows.len() {
            return None;
        }
        let quarter = i64::from(QUARTER_MS);
        let shift_ms = base_ms.rem_euclid(quarter) as u32;
        let start_ms = base_ms - i64::from(shift_ms);
        u32::try_from(block.last_ms - start_ms).ok()?;
        let count = (block.last_ms - start_ms) / quarter + 1;
        let mut bits = vec![Vec::with_capacity(count as usize); self.bits.len()];
        let mut at_ms = base_ms;
        while at_ms <= block.last_ms {
            let (bit, until) = self.place(at_ms);
            let end = match until {
                _ if until > block.last_ms => count,
                _ if until.rem_euclid(quarter) == 0 => (until - start_ms) / quarter,
                _ => return None,
            };
            for (bits, times) in bits.iter_mut().zip(&self.sets.times) {
                bits.resize(end as usize, self.bit_of(times, at_ms, bit) as u8);
            }
            at_ms = until;
        }
        Some(Quarters { shift_ms, bits })
    }

    fn feed(&mut self) {
        let used = self.persons * self.words;
        let bits: Vec<&[u64]> = self.bits.iter().map(|row| &row[..used]).collect();
        let daily: Vec<&[u64]> = match self.has_daily {
            true => self.daily.iter().map(|row| &row[..used]).collect(),
            false => Vec::new(),
        };
        self.kernel.days(&DayBlock { words: self.words, sets: &bits, daily: &daily });
        for row in self.bits.iter_mut().chain(&mut self.daily) {
            row[..used].fill(0);
        }
        self.persons = 0;
        self.has_daily = false;
    }
}

impl Kernel for RowDays {
    fn block(&mut self, slot: usize, block: &Block, dictionaries: &Dictionaries) {
        if self.blocks.len() <= slot {
            self.blocks.resize_with(slot + 1, Default::default);
        }
        let mut shown = std::mem::take(&mut self.blocks[slot]);
        self.sets.matcher.look(block, dictionaries, &self.scanned, &mut shown.masks);
        shown.daily = self.sets.identity.and_then(|column| {
            let wanted = column.dictionary(dictionaries).find(IDENTITY_DAY)?;
            let Coded { codes, global } = column.of_block(block);
            let own = global.iter().position(|code| *code == wanted && wanted != ABSENT)?;
            // A file may know a word that none of these rows has.
            let is_there = each_width!(&**codes, codes => {
                let mut some = codes[block.rows.clone()].chunks(64);
                some.any(|some| has(some, own))
            });
            is_there.then_some(own as u32)
        });
        shown.quarters = match shown.daily {
            Some(_) => None,
            None => self.quarters(block, &shown.masks),
        };
        self.blocks[slot] = shown;
    }

    fn person(&mut self, _: u64, spans: &[Span<'_>], _: &Dictionaries) {
        let word_of = self.persons * self.words;
        let everything = (1 << self.bits.len()) - 1;
        let (mut bit, mut until) = (0, i64::MIN);
        // The sets that have the bit already: most events fall on the day of the event before.
        let (mut done, mut daily_done) = (0, 0);
        for span in spans {
            let Shown { masks, daily, quarters } = &self.blocks[span.slot];
            let masks = &u8::all(masks)[..span.rows.end];
            if let (Some(quarters), Times::Narrow { offsets, .. }) = (quarters, &*span.block.ts) {
                let (masks, offsets) = (&masks[span.rows.start..], &offsets[span.rows.clone()]);
                for (set, (all, bits)) in self.bits.iter_mut().zip(&quarters.bits).enumerate() {
                    let mut word = 0;
                    for (sets, offset) in masks.iter().zip(offsets) {
                        let quarter = (offset + quarters.shift_ms) / QUARTER_MS;
                        word |= u64::from(sets >> set & 1) << bits[quarter as usize];
                    }
                    all[word_of] |= word;
                }
                continue;
            }
            let daily = daily.zip(self.sets.identity.map(|column| column.of_block(span.block)));
            let mut next = span.rows.start;
            while let Some(row) = u8::find(masks, next, u64::MAX) {
                next = row + 1;
                let at_ms = span.block.ts.get(row);
                if at_ms >= until {
                    (bit, until) = self.place(at_ms);
                    (done, daily_done) = (0, 0);
                }
                let is_daily = daily.is_some_and(|(code, column)| column.codes.get(row) == code);
                if (if is_daily { daily_done } else { done }) == everything {
                    continue;
                }
                let sets = masks[row];
                for (set, times) in self.sets.times.iter().enumerate() {
                    if sets >> set & 1 == 1 {
                        let bit = self.bit_of(times, at_ms, bit);
                        self.bits[set][word_of + bit / 64] |= 1 << (bit % 64);
                        if is_daily {
                            self.daily[set][word_of + bit / 64] |= 1 << (bit % 64);
                        }
                    }
                }
                done |= sets;
                if done == everything && daily.is_none() {
                    // Nothing is new until the next day.
                    next = span.block.ts.seek(next..masks.len(), until);
                }
                if is_daily {
                    daily_done |= sets;
                    self.has_daily = true;
                }
            }
        }
        self.persons += 1;
        if self.persons == PERSONS {
            self.feed();
        }
    }

    fn finish(mut self: Box<Self>, _: &Dictionaries) -> Partial {
        self.feed();
        self.kernel.finish()
    }
}
