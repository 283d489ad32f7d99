//! The kernel of trends: one cell per tally, group and column.
//!
//! Table: `(0, tally, group, chunk)` → cells of [`CHUNK`] columns, each `events, persons` and, for
//! measures of sums, the digits of an exact sum; events and persons are 0 where no series needs
//! them. Columns are buckets and totals of all periods in a row; the total of a period of one bucket is
//! that bucket's. Bags: `(1, tally, group, column)` → values, for extremes and quantiles. A group is a
//! value of the breakdown. A second pass counts the people of values that are not listed, as one
//! group: [`OTHER`].
//!
//! Without a breakdown a person's rows of one day are next to each other: they are found first and
//! counted at once ([`Alike`]). With one, each row is likely to be of another group than the row before, and
//! rows are counted one by one. Where nobody asks for persons, a block is counted as a whole.

use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashSet;

use super::alike::{Alike, ByCode, Groups, OneGroup};
use super::cells::Cells;
use super::{Bucket, Shape, Tally};
use crate::columns::{Block, Coded, Span, Times};
use crate::each_width;
use crate::events::Dictionaries;
use crate::exact_sum::DIGITS;
use crate::filter::{Mask, Masks, Matcher};
use crate::kernel::{Kernel, Key, Partial};
use crate::wanted::Wanted;

/// Columns of one row of the table at most: a value seen on one day should not cost a year of
/// columns.
pub(super) const CHUNK: usize = 32;
/// What a row of the table takes beside its columns, about.
const ROW_BYTES: usize = 200;

/// The group of all values that are not listed.
pub(super) const OTHER: Key = Key::Int(0);

pub(super) struct Counter {
    shape: Arc<Shape>,
    times: Range<i64>,
    matcher: Matcher,
    /// By slot.
    shown: Vec<Shown>,
    /// In the second pass: the listed values, by series.
    listed: Option<Arc<Vec<HashSet<Key>>>>,
    /// In the second pass: by breakdown code, the tallies that do not list the value, as bits.
    beyond: Vec<u64>,
    width: usize,
    cells: Cells,
    /// Number of the person, from 1.
    person: u32,
}

/// What is known of a block.
#[derive(Default)]
struct Shown {
    /// Which tallies the rows belong to.
    masks: Masks,
    /// Where rows are counted one by one: which.
    wanted: Wanted,
    /// And, where they are all of one bucket, by code the cell, plus one.
    cells: Vec<u32>,
    /// The bucket of all rows, if it is the same.
    bucket: Option<Bucket>,
}

impl Counter {
    pub(super) fn new(
        shape: Arc<Shape>,
        matcher: Matcher,
        times: Range<i64>,
        listed: Option<Arc<Vec<HashSet<Key>>>>,
    ) -> Self {
        Self {
            width: shape.width(),
            cells: Cells::new(shape.tallies.len()),
            beyond: Vec::new(),
            person: 0,
            shown: Vec::new(),
            shape,
            times,
            matcher,
            listed,
        }
    }

    /// Whether somebody looks at the persons, or at the number of events, of a tally.
    fn needs(&self, tally: usize) -> (bool, bool) {
        let tally = &self.shape.tallies[tally];
        (tally.persons, tally.events && self.listed.is_none())
    }

    /// Whether every row counts for itself: neighbours are of different groups, and a mask says no more
    /// than that the row is wanted.
    fn is_row_by_row(&self) -> bool {
        let is_plain = matches!(&self.shape.tallies[..], [only] if only.number.is_none());
        is_plain && self.shape.breakdown.is_some() && self.listed.is_none()
    }

    /// In the second pass: leave rows alone whose value is absent or listed.
    fn keep_beyond(&mut self, slot: usize, block: &Block, dictionaries: &Dictionaries) {
        let (Some(listed), Some(column)) = (&self.listed, self.shape.breakdown) else { return };
        let dictionary = column.dictionary(dictionaries);
        for code in self.beyond.len()..dictionary.len() {
            let value = Key::from_text(dictionary.text(code as u32));
            let is_beyond = |listed: &HashSet<Key>| value != Key::None && !listed.contains(&value);
            // What adds up is known from the first pass.
            let asked = listed.iter().zip(&self.shape.lines);
            let asked = asked.filter(|(_, line)| line.measure.counts_persons());
            let bits = asked.map(|(set, line)| u64::from(is_beyond(set)) << line.tally);
            self.beyond.push(bits.sum());
        }
        self.shown[slot].masks.restrict(block, column.of_block(block), &self.beyond);
    }

    fn group_key(&self, group: u64, dictionaries: &Dictionaries) -> Key {
        match self.shape.breakdown {
            None => Key::None,
            Some(_) if self.listed.is_some() => OTHER,
            Some(column) => Key::from_text(column.dictionary(dictionaries).text(group as u32)),
        }
    }

    fn count_span(&mut self, span: &Span<'_>, shown: &mut Shown) {
        if let Some(column) = self.shape.breakdown.filter(|_| self.is_row_by_row()) {
            let places = shown.wanted.within(&span.rows);
            let rows = &shown.wanted.rows()[places];
            let Coded { codes, global } = column.of_block(span.block);
            return each_width!(&**codes, codes => {
                let groups = ByCode { codes, global };
                match shown.bucket {
                    Some(bucket) => self.count_rows_of(bucket, rows, groups, &mut shown.cells),
                    None => self.count_rows(&span.block.ts, rows, groups),
                }
            });
        }
        match &shown.masks {
            Masks::Small(masks) => self.count_grouped(span, masks, shown.bucket),
            Masks::Large(masks) => self.count_grouped(span, masks, shown.bucket),
        }
    }

    /// Rows of one tally without a number, one by one.
    fn count_rows(&mut self, ts: &Times, rows: &[u32], groups: impl Groups) {
        let mut bucket = Bucket::NONE;
        for &row in rows {
            let row = row as usize;
            if !bucket.holds(ts.get(row)) {
                bucket = self.shape.bucket(ts.get(row));
            }
            let group = u64::from(groups.of(row)) * self.width as u64;
            let cell = self.cells.at(group + bucket.column as u64);
            self.count_row(cell, group, bucket);
        }
    }

    /// The same where all of the block are of one bucket, so that a code says the cell.
    fn count_rows_of<T: Copy + TryInto<usize>>(
        &mut self,
        bucket: Bucket,
        rows: &[u32],
        groups: ByCode<'_, T>,
        known: &mut Vec<u32>,
    ) {
        let ByCode { codes, global } = groups;
        known.resize(global.len(), 0);
        for &row in rows {
            let code = codes[row as usize].try_into().unwrap_or(0);
            let group = u64::from(global[code]) * self.width as u64;
            if known[code] == 0 {
                known[code] = self.cells.at(group + bucket.column as u64) as u32 + 1;
            }
            self.count_row(known[code] as usize - 1, group, bucket);
        }
    }

    #[inline]
    fn count_row(&mut self, cell: usize, group: u64, bucket: Bucket) {
        let Self { shape, cells, person, .. } = self;
        let counts = &mut cells.counts[cell];
        counts.events += 1;
        let is_new = shape.tallies[0].persons && counts.person(*person);
        if let Some(total) = bucket.total.filter(|_| is_new) {
            let total = cells.at(group + total as u64);
            cells.counts[total].person(*person);
        }
    }

    fn count_grouped<M: Mask>(&mut self, span: &Span<'_>, masks: &[M], all: Option<Bucket>) {
        match self.shape.breakdown.filter(|_| self.listed.is_none()) {
            None => self.count_timed(span, masks, all, &OneGroup),
            Some(column) => {
                let Coded { codes, global } = column.of_block(span.block);
                each_width!(&**codes, codes => {
                    self.count_timed(span, masks, all, &ByCode { codes, global });
                });
            }
        }
    }

    fn count_timed<M: Mask>(
        &mut self,
        span: &Span<'_>,
        masks: &[M],
        all: Option<Bucket>,
        groups: &impl Groups,
    ) {
        match &*span.block.ts {
            Times::Narrow { base_ms, offsets } => {
                let at_ms = |row: usize| base_ms + i64::from(offsets[row]);
                self.count_alike(span, masks, all, at_ms, groups);
            }
            Times::Wide(times) => self.count_alike(span, masks, all, |row| times[row], groups),
        }
    }

    /// Rows that are alike, together.
    fn count_alike<M: Mask>(
        &mut self,
        span: &Span<'_>,
        masks: &[M],
        all: Option<Bucket>,
        at_ms: impl Fn(usize) -> i64,
        groups: &impl Groups,
    ) {
        let masks = &masks[..span.rows.end];
        // Where only persons count, the first row of a bucket says it all.
        let first_says_all =
            groups.is_one() && self.shape.tallies.len() == 1 && self.needs(0) == (true, false);
        let mut bucket = all.unwrap_or(Bucket::NONE);
        let mut next = span.rows.start;
        while let Some(row) = M::find(masks, next, u64::MAX) {
            if all.is_none() && !bucket.holds(at_ms(row)) {
                bucket = self.shape.bucket(at_ms(row));
            }
            let is_in = |row: usize| all.is_some() || bucket.holds(at_ms(row));
            let mut alike = Alike::default();
            next = row + 1;
            alike.add(masks[row]);
            if first_says_all {
                next = match all {
                    Some(_) => masks.len(),
                    None => next + (next..masks.len()).take_while(|row| is_in(*row)).count(),
                };
                self.add(span.block, row, &masks[row..=row], alike, 0, bucket);
                continue;
            }
            let end = masks.len().min(row + Alike::ROWS_MAX);
            while next < end && is_in(next) && groups.same(row, next) {
                alike.add(masks[next]);
                next += 1;
            }
            let group = u64::from(groups.of(row)) * self.width as u64;
            self.add(span.block, row, &masks[row..next], alike, group, bucket);
        }
    }

    /// Count rows of one group and bucket, the first of which belongs to some tally.
    #[inline]
    fn add<M: Mask>(
        &mut self,
        block: &Block,
        first: usize,
        masks: &[M],
        alike: Alike,
        group: u64,
        bucket: Bucket,
    ) {
        let Self { shape, cells, person, .. } = self;
        let place = cells.at(group + bucket.column as u64);
        for (at, tally) in shape.tallies.iter().enumerate() {
            let cell = place + at;
            let mut events = alike.of(at);
            if let Some((column, measure)) = tally.number {
                let numbers = &block.numbers[column];
                let is_in = |(_, mask): &(usize, &M)| mask.bits() >> at & 1 == 1;
                for (row, _) in (first..).zip(masks).filter(is_in) {
                    let value = numbers.get(row);
                    if value.is_nan() {
                        events -= 1;
                    } else {
                        cells.value(cell, value, measure);
                    }
                }
            }
            if events == 0 {
                continue;
            }
            cells.counts[cell].events += events;
            if tally.persons
                && cells.counts[cell].person(*person)
                && let Some(total) = bucket.total
            {
                let total = cells.at(group + total as u64) + at;
                cells.counts[total].person(*person);
            }
        }
    }
}

impl Kernel for Counter {
    fn block(&mut self, slot: usize, block: &Block, dictionaries: &Dictionaries) {
        if self.shown.len() <= slot {
            self.shown.resize_with(slot + 1, Shown::default);
        }
        let is_row_by_row = self.is_row_by_row();
        let Shown { masks, wanted, cells, bucket } = &mut self.shown[slot];
        cells.clear();
        if is_row_by_row {
            self.matcher.list(block, dictionaries, &self.times, masks, wanted);
        } else {
            self.matcher.look(block, dictionaries, &self.times, masks);
        }
        let is_timed = block.all_in_time && !block.rows.is_empty();
        let first = is_timed.then(|| self.shape.bucket(block.first_ms));
        *bucket = first.filter(|bucket| bucket.holds(block.last_ms));
        self.keep_beyond(slot, block, dictionaries);
    }

    fn whole(&mut self, slot: usize, block: &Block) -> bool {
        if self.shape.tallies.iter().any(|tally| tally.persons) {
            return false;
        }
        let mut shown = std::mem::take(&mut self.shown[slot]);
        self.count_span(&Span { slot, block, rows: block.rows.clone() }, &mut shown);
        self.shown[slot] = shown;
        true
    }

    fn person(&mut self, _: u64, spans: &[Span<'_>], _: &Dictionaries) {
        self.person += 1;
        let mut shown = std::mem::take(&mut self.shown);
        for span in spans {
            self.count_span(span, &mut shown[span.slot]);
        }
        self.shown = shown;
    }

    fn bytes(&self) -> usize {
        let tallies = &self.shape.tallies;
        let columns: usize = tallies.iter().map(|tally| fields(tally.sums())).sum();
        let columns = columns * CHUNK.min(self.width);
        let groups = self.cells.groups_max(self.width);
        let rows = self.cells.keys.len().min(groups * self.width.div_ceil(CHUNK));
        self.cells.bytes() + rows * (columns * size_of::<f64>() + tallies.len() * ROW_BYTES)
    }

    fn finish(mut self: Box<Self>, dictionaries: &Dictionaries) -> Partial {
        let mut partial = Partial::default();
        // Cells of one row next to each other, so that each row is made once.
        let mut cells = std::mem::replace(&mut self.cells, Cells::new(0));
        let mut order: Vec<usize> = (0..cells.keys.len()).collect();
        order.sort_unstable_by_key(|cell| cells.keys[*cell]);
        let row_of = |key: u64| {
            let column = key % self.width as u64;
            (key / self.width as u64, column / CHUNK as u64)
        };
        let mut rows = Vec::new();
        for row in order.chunk_by(|a, b| row_of(cells.keys[*a]) == row_of(cells.keys[*b])) {
            let (group, chunk) = row_of(cells.keys[row[0]]);
            let group = self.group_key(group, dictionaries);
            for (tally, sums) in self.shape.tallies.iter().map(Tally::sums).enumerate() {
                let (persons, events) = self.needs(tally);
                let cell = |place: &usize| *place * self.shape.tallies.len() + tally;
                let is_used = |place: &usize| {
                    let counts = &cells.counts[cell(place)];
                    counts.events > 0 && events || counts.persons > 0 && persons
                };
                if !row.iter().any(is_used) {
                    continue;
                }
                let fields = fields(sums);
                let mut values = vec![0.0; fields * CHUNK.min(self.width)];
                for place in row {
                    let column = (cells.keys[*place] % self.width as u64) as usize;
                    let (at, place) = (cell(place), &mut values[column % CHUNK * fields..]);
                    place[0] = if events { cells.counts[at].events as f64 } else { 0.0 };
                    place[1] = if persons { f64::from(cells.counts[at].persons) } else { 0.0 };
                    if let Some(sum) = cells.sums.get(at).filter(|_| sums) {
                        place[2..fields].copy_from_slice(&sum.columns());
                    }
                    if let Some(bag) = cells.bags.get_mut(at).filter(|bag| !bag.is_empty()) {
                        let key = vec![Key::Int(1), tally.into(), group.clone(), column.into()];
                        partial.put(key, std::mem::take(bag));
                    }
                }
                let key = vec![Key::Int(0), tally.into(), group.clone(), Key::Int(chunk as i64)];
                rows.push((key, values));
            }
        }
        partial.rows = rows.into_iter().collect();
        partial
    }
}

/// Columns of one cell.
pub(super) fn fields(sums: bool) -> usize {
    if sums { 2 + DIGITS } else { 2 }
}
