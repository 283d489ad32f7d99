//! Which patterns of a question an event matches.

use std::ops::Range;

use super::by_code::by_code;
use super::{Columns, Condition, Filter};
use crate::columns::{Block, Coded, Codes};
use crate::each_width;
use crate::events::{ABSENT, Dictionaries, Run};
use crate::wanted::{FEW, Wanted};

/// Which of up to 64 event patterns a row matches: a look-up by event code, then the filters of
/// the patterns that have one.
#[derive(Debug, Clone)]
pub struct Matcher {
    names: Vec<Option<String>>,
    filters: Vec<(usize, Filter)>,
    /// By event code.
    table: Vec<u64>,
}

impl Matcher {
    /// Patterns in order; `None` means any event.
    ///
    /// # Panics
    /// Above 64 patterns: questions refuse that many before.
    pub fn new(patterns: Vec<(Option<String>, Filter)>) -> Self {
        assert!(patterns.len() <= 64, "questions take at most 64 patterns");
        let mut names = Vec::with_capacity(patterns.len());
        let mut filters = Vec::new();
        for (index, (name, filter)) in patterns.into_iter().enumerate() {
            names.push(name);
            if !filter.is_always() {
                filters.push((index, filter));
            }
        }
        Self { names, filters, table: Vec::new() }
    }

    /// One pattern: any event that the plan wants.
    pub(crate) fn any() -> Self {
        Self::new(vec![(None, Condition::always().bind(&mut Columns::default()))])
    }

    /// Extend the look-up tables to the values seen meanwhile. Call once per run.
    pub fn learn(&mut self, dictionaries: &Dictionaries) {
        for code in self.table.len()..dictionaries.events.len() {
            let event = dictionaries.events.text(code as u32);
            let mut mask = 0;
            for (index, name) in self.names.iter().enumerate() {
                let same = name.as_deref().is_none_or(|name| event == Some(name));
                mask |= u64::from(same && code as u32 != ABSENT) << index;
            }
            self.table.push(mask);
        }
        for (_, filter) in &mut self.filters {
            filter.learn(dictionaries);
        }
    }

    /// The patterns that an event of this name may match.
    #[inline]
    pub fn by_name(&self, event: u32) -> u64 {
        self.table[event as usize]
    }

    /// Bit `i` is set when the row matches pattern `i`.
    #[inline]
    pub fn mask(&self, run: &Run<'_>, row: usize) -> u64 {
        let mut mask = self.by_name(run.event[row]);
        for (index, filter) in &self.filters {
            if mask >> index & 1 == 1 && !filter.passes(run, row) {
                mask &= !(1 << index);
            }
        }
        mask
    }

    /// The masks of a block's rows; 0 for rows that the plan does not want.
    pub fn look(
        &mut self,
        block: &Block,
        dictionaries: &Dictionaries,
        times: &Range<i64>,
        masks: &mut Masks,
    ) {
        self.learn(dictionaries);
        if self.is_small() {
            self.fill(block, times, masks.small());
        } else {
            self.fill(block, times, masks.large());
        }
    }

    /// The rows of a block that match some pattern, as a list. Where patterns [differ](Self::is_alike), `masks` has
    /// those of these rows; what it has of others means nothing.
    pub(crate) fn list(
        &mut self,
        block: &Block,
        dictionaries: &Dictionaries,
        times: &Range<i64>,
        masks: &mut Masks,
        wanted: &mut Wanted,
    ) {
        self.list_among(block, dictionaries, times, masks, wanted, None);
    }

    /// The same where only some rows, in order, can change anything: others need not be listed.
    pub(crate) fn list_among(
        &mut self,
        block: &Block,
        dictionaries: &Dictionaries,
        times: &Range<i64>,
        masks: &mut Masks,
        wanted: &mut Wanted,
        some: Option<&[u32]>,
    ) {
        if self.filters.is_empty() && block.all_in_time {
            self.learn(dictionaries);
            let by_code: Vec<bool> = self.table.iter().map(|mask| *mask != 0).collect();
            let by_code = block.event.table(&by_code);
            let codes: Vec<u32> =
                (0..).zip(&by_code).filter_map(|(code, wanted)| wanted.then_some(code)).collect();
            match &*block.event.codes {
                column if let Some(some) = some => each_width!(column, column => {
                    wanted.fill_among(some, block.rows.clone(), |row| by_code[column[row] as usize]);
                }),
                column if is_every(column, &block.rows, &by_code) => {
                    wanted.fill_all(block.rows.clone());
                }
                Codes::U8(column) if codes.len() <= FEW => {
                    wanted.fill_few(column, block.rows.clone(), &codes);
                }
                column => each_width!(column, column => {
                    wanted.fill(column, block.rows.clone(), |code| by_code[*code as usize]);
                }),
            }
            match self.is_small() {
                _ if self.is_alike() => {}
                true => self.fill_listed(block, wanted.rows(), masks.small()),
                false => self.fill_listed(block, wanted.rows(), masks.large()),
            }
            return;
        }
        self.look(block, dictionaries, times, masks);
        match masks {
            Masks::Small(masks) => wanted.fill(masks, block.rows.clone(), |mask| *mask != 0),
            Masks::Large(masks) => wanted.fill(masks, block.rows.clone(), |mask| *mask != 0),
        }
    }

    /// The rows of a block that match, where there is one pattern and its filter wants few of many texts: only
    /// rows that have one of them are looked at. `false`, and no list, where it is not so.
    pub(crate) fn list_rare(
        &mut self,
        block: &Block,
        dictionaries: &Dictionaries,
        times: &Range<i64>,
        wanted: &mut Wanted,
    ) -> bool {
        self.learn(dictionaries);
        let ([_], [(_, filter)]) = (&self.names[..], &self.filters[..]) else { return false };
        let Some((column, codes)) = filter.rare(block) else { return false };
        each_width!(&*column.codes, column => {
            wanted.fill_few(column, block.rows.clone(), &codes);
        });
        wanted.retain(|row| {
            self.table[block.event.get(row) as usize] != 0
                && (block.all_in_time || times.contains(&block.ts.get(row)))
                && filter.passes_in(block, row)
        });
        true
    }

    /// The masks of some rows, where nothing but the event's name says them.
    fn fill_listed<M: Mask>(&self, block: &Block, rows: &[u32], masks: &mut Vec<M>) {
        let by_code = block.event.table(&self.table);
        masks.resize(masks.len().max(block.rows.end), M::of(0));
        each_width!(&*block.event.codes, codes => for row in rows {
            let row = *row as usize;
            masks[row] = M::of(by_code[codes[row] as usize]);
        });
    }

    /// Whether a row that matches one pattern matches all of them, as far as names say it.
    pub(crate) fn is_alike(&self) -> bool {
        self.names.len() == 1
            || self.filters.is_empty() && self.names.windows(2).all(|two| two[0] == two[1])
    }

    /// Whether the masks are bytes.
    pub fn is_small(&self) -> bool {
        self.names.len() <= u8::BITS as usize
    }

    fn fill<M: Mask>(&self, block: &Block, times: &Range<i64>, masks: &mut Vec<M>) {
        let table: Vec<M> = self.table.iter().map(|mask| M::of(*mask)).collect();
        let table = block.event.table(&table);
        masks.clear();
        masks.resize(block.rows.end, M::of(0));
        let of_rows = &mut masks[block.rows.clone()];
        by_code(&block.event.codes, block.rows.clone(), &table, of_rows, |_, mask| mask);
        if !block.all_in_time {
            for row in block.rows.clone() {
                if !times.contains(&block.ts.get(row)) {
                    masks[row] = M::of(0);
                }
            }
        }
        for (index, filter) in &self.filters {
            let other = M::of(!(1 << index));
            let rows = &mut masks[block.rows.clone()];
            for (mask, passes) in rows.iter_mut().zip(filter.select(block)) {
                *mask = if passes { *mask } else { *mask & other };
            }
        }
    }
}

/// Whether every row has a wanted code, as far as that is quickly said: all codes are, or all but the first
/// one, which no row has.
fn is_every(column: &Codes, rows: &Range<usize>, wanted: &[bool]) -> bool {
    let [first, rest @ ..] = wanted else { return false };
    rest.iter().all(|wanted| *wanted)
        && (*first || each_width!(column, codes => !codes[rows.clone()].contains(&0)))
}

/// The masks of a block's rows, by row.
#[derive(Debug, Clone)]
pub enum Masks {
    /// Up to eight patterns.
    Small(Vec<u8>),
    /// More.
    Large(Vec<u64>),
}

impl Default for Masks {
    fn default() -> Self {
        Self::Small(Vec::new())
    }
}

impl Masks {
    /// The mask of a row.
    #[inline]
    pub fn get(&self, row: usize) -> u64 {
        match self {
            Self::Small(masks) => u64::from(masks[row]),
            Self::Large(masks) => masks[row],
        }
    }

    /// How many of some rows have a bit.
    pub fn count(&self, rows: Range<usize>) -> usize {
        match self {
            Self::Small(masks) => masks[rows].iter().filter(|mask| **mask != 0).count(),
            Self::Large(masks) => masks[rows].iter().filter(|mask| **mask != 0).count(),
        }
    }

    /// Keep of each row's bits those that the table has for the row's code in a column.
    pub fn restrict(&mut self, block: &Block, column: &Coded, by_code: &[u64]) {
        let table = column.table(by_code);
        match self {
            Self::Small(masks) => restrict(masks, block, column, &table),
            Self::Large(masks) => restrict(masks, block, column, &table),
        }
    }

    /// Take bits away from a row.
    pub fn clear_bits(&mut self, row: usize, bits: u64) {
        match self {
            Self::Small(masks) => masks[row] &= !bits as u8,
            Self::Large(masks) => masks[row] &= !bits,
        }
    }

    fn small(&mut self) -> &mut Vec<u8> {
        if !matches!(self, Self::Small(_)) {
            *self = Self::Small(Vec::new());
        }
        let Self::Small(masks) = self else { unreachable!("made above") };
        masks
    }

    fn large(&mut self) -> &mut Vec<u64> {
        if !matches!(self, Self::Large(_)) {
            *self = Self::Large(Vec::new());
        }
        let Self::Large(masks) = self else { unreachable!("made above") };
        masks
    }
}

fn restrict<M: Mask>(masks: &mut [M], block: &Block, column: &Coded, table: &[u64]) {
    let table: Vec<M> = table.iter().map(|bits| M::of(*bits)).collect();
    let of_rows = &mut masks[block.rows.clone()];
    by_code(&column.codes, block.rows.clone(), &table, of_rows, |mask, bits| mask & bits);
}

/// An integer with a bit per pattern.
pub trait Mask: Copy + PartialEq + std::ops::BitAnd<Output = Self> + 'static {
    /// The low bits.
    fn of(mask: u64) -> Self;
    /// All bits.
    fn bits(self) -> u64;
    /// Masks of this width; none when they have another.
    fn all(masks: &Masks) -> &[Self];
    /// The first place from `from` on whose mask has one of these bits.
    fn find(masks: &[Self], from: usize, bits: u64) -> Option<usize> {
        let at = masks[from..].iter().position(|mask| mask.bits() & bits != 0)?;
        Some(from + at)
    }
    /// The last place whose mask has one of these bits.
    fn find_last(masks: &[Self], bits: u64) -> Option<usize> {
        masks.iter().rposition(|mask| mask.bits() & bits != 0)
    }
}

impl Mask for u64 {
    fn of(mask: u64) -> Self {
        mask
    }
    #[inline]
    fn bits(self) -> u64 {
        self
    }
    fn all(masks: &Masks) -> &[Self] {
        if let Masks::Large(masks) = masks { masks } else { &[] }
    }
}

impl Mask for u8 {
    fn of(mask: u64) -> Self {
        mask as u8
    }
    #[inline]
    fn bits(self) -> u64 {
        u64::from(self)
    }
    fn all(masks: &Masks) -> &[Self] {
        if let Masks::Small(masks) = masks { masks } else { &[] }
    }
    /// Eight rows at a time, and where in them without a look at each: any of them may be the one.
    #[inline]
    fn find(masks: &[Self], from: usize, bits: u64) -> Option<usize> {
        let (words, rest) = masks[from..].as_chunks::<8>();
        for (at, word) in words.iter().enumerate() {
            let found = with(*word, bits);
            if found != 0 {
                return Some(from + at * 8 + found.trailing_zeros() as usize / 8);
            }
        }
        // The last eight, without those before the rest.
        let found = match masks.last_chunk::<8>() {
            Some(last) => {
                with(*last, bits).checked_shr(64 - 8 * rest.len() as u32).unwrap_or_default()
            }
            None => with(padded(rest), bits),
        };
        let at = || from + words.len() * 8 + found.trailing_zeros() as usize / 8;
        (found != 0).then(at)
    }
    #[inline]
    fn find_last(masks: &[Self], bits: u64) -> Option<usize> {
        let (rest, words) = masks.as_rchunks::<8>();
        for (at, word) in words.iter().enumerate().rev() {
            let found = with(*word, bits);
            if found != 0 {
                return Some(rest.len() + at * 8 + found.ilog2() as usize / 8);
            }
        }
        with(padded(rest), bits).checked_ilog2().map(|bit| bit as usize / 8)
    }
}

/// The masks that have one of these bits, and nothing else; the first is lowest.
#[inline]
fn with(masks: [u8; 8], bits: u64) -> u64 {
    u64::from_le_bytes(masks) & u64::from_ne_bytes([bits as u8; 8])
}

/// Less than eight masks, and none behind them.
#[inline]
fn padded(masks: &[u8]) -> [u8; 8] {
    let mut all = [0; 8];
    all[..masks.len()].copy_from_slice(masks);
    all
}
