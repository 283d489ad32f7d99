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
//! a number is each row's own: then the wanted rows are listed and counted one by one. Where nobody asks for
//! persons, a block is counted as a whole.

use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashSet;

use super::alike::Alike;
use super::cells::Cells;
use super::{Bucket, Shape, Tally};
use crate::columns::{Block, Coded, Span};
use crate::each_width;
use crate::events::{ABSENT, Dictionaries};
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
    /// Memory for the times of some rows.
    looked_up: [i64; TOGETHER],
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
    /// Whether rows are counted one by one, and which.
    is_listed: bool,
    wanted: Wanted,
    /// By column of numbers: where in the list of those that have one the row before was.
    numbers: Vec<usize>,
    /// Where all rows are of one bucket, by code of the group the cell, plus one.
    cells: Vec<u32>,
    /// The bucket of all rows, if it is the same.
    bucket: Option<Bucket>,
}

/// Rows whose times are looked up together.
const TOGETHER: usize = 64;

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
            looked_up: [0; TOGETHER],
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

    /// Whether every row counts for itself: neighbours are of different groups, or have numbers.
    fn is_row_by_row(&self) -> bool {
        let has_numbers = self.shape.tallies.iter().any(|tally| tally.number.is_some());
        self.listed.is_none() && (self.shape.breakdown.is_some() || has_numbers)
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
        if !shown.is_listed {
            return match &shown.masks {
                Masks::Small(masks) => self.count_alike(span, masks, shown.bucket),
                Masks::Large(masks) => self.count_alike(span, masks, shown.bucket),
            };
        }
        let Some(column) = self.shape.breakdown else {
            return match self.shape.is_of_numbers() && self.matcher.is_alike() {
                true => self.count_numbers(span, shown),
                false => self.count_rows(span, shown, |_| u64::from(ABSENT)),
            };
        };
        let Coded { codes, global } = column.of_block(span.block);
        let is_plain = matches!(&self.shape.tallies[..], [only] if only.number.is_none());
        each_width!(&**codes, codes => match shown.bucket {
            Some(bucket) if is_plain => {
                let rows = shown.wanted.within(&span.rows);
                let rows = shown.wanted.rows()[rows].iter().map(|row| codes[*row as usize] as usize);
                self.count_codes(bucket, rows, global, &mut shown.cells);
            }
            _ => self.count_rows(span, shown, |row| u64::from(global[codes[row] as usize])),
        });
    }

    /// The wanted rows, one by one.
    fn count_rows(&mut self, span: &Span<'_>, shown: &mut Shown, group_of: impl Fn(usize) -> u64) {
        let Span { block, rows, .. } = span;
        let Shown { masks, wanted, numbers, bucket: all, .. } = shown;
        let Self { shape, cells, person, width, looked_up, matcher, .. } = self;
        // Of every tally, where the list says all.
        let alike =
            matcher.is_alike().then_some(u64::MAX >> (u64::BITS as usize - shape.tallies.len()));
        let mut bucket = all.unwrap_or(Bucket::NONE);
        let places = wanted.within(rows);
        for rows in wanted.rows()[places].chunks(TOGETHER) {
            if all.is_none() {
                block.ts.gather(rows, looked_up);
            }
            for (row, at_ms) in rows.iter().zip(&*looked_up) {
                let at_ms = *at_ms;
                let row = *row as usize;
                if all.is_none() && !bucket.holds(at_ms) {
                    bucket = shape.bucket(at_ms);
                }
                let group = group_of(row) * *width as u64;
                let place = cells.at(group + bucket.column as u64);
                let mut tallies = alike.unwrap_or_else(|| masks.get(row));
                // The number that the tally before was of, and its column.
                let mut number = (usize::MAX, f64::NAN);
                while tallies != 0 {
                    let at = tallies.trailing_zeros() as usize;
                    tallies &= tallies - 1;
                    if let Some((column, measure)) = shape.tallies[at].number {
                        if number.0 != column {
                            let value = block.numbers[column].find(row, &mut numbers[column]);
                            number = (column, value);
                        }
                        if number.1.is_nan() {
                            continue;
                        }
                        cells.value(place + at, number.1, measure);
                    }
                    let counts = &mut cells.counts[place + at];
                    counts.events += 1;
                    let is_new = shape.tallies[at].persons && counts.person(*person);
                    if let Some(total) = bucket.total.filter(|_| is_new) {
                        let total = cells.at(group + total as u64) + at;
                        cells.counts[total].person(*person);
                    }
                }
            }
        }
    }

    /// The numbers of the wanted rows, where these are all there is to count: some rows at once, so that what one row
    /// waits for the others wait for, too.
    fn count_numbers(&mut self, span: &Span<'_>, shown: &mut Shown) {
        let Span { block, rows, .. } = span;
        let Shown { wanted, numbers, bucket: all, .. } = shown;
        let Self { shape, cells, looked_up, .. } = self;
        let all = all.map_or(0, |bucket| cells.at(bucket.column as u64));
        let (mut cell, mut value) = ([all; TOGETHER], [f64::NAN; TOGETHER]);
        let places = wanted.within(rows);
        for rows in wanted.rows()[places].chunks(TOGETHER) {
            if shown.bucket.is_none() {
                block.ts.gather(rows, looked_up);
                for (cell, at_ms) in cell.iter_mut().zip(&looked_up[..rows.len()]) {
                    let (buckets, first) = shape.period(*at_ms);
                    *cell = cells.at((first + buckets.index(*at_ms)) as u64);
                }
            }
            // The column whose values are at hand.
            let mut known = None;
            for (tally, of) in shape.tallies.iter().enumerate() {
                let Some((column, measure)) = of.number else { continue };
                if known.replace(column) != Some(column) {
                    for (value, row) in value.iter_mut().zip(rows) {
                        *value = block.numbers[column].find(*row as usize, &mut numbers[column]);
                    }
                }
                let each = cell[..rows.len()].iter().zip(&value);
                cells.values(each.map(|(cell, value)| (cell + tally, *value)), measure);
            }
        }
    }

    /// Rows of one tally without a number, by their codes, where all of the block are of one bucket: then
    /// a code says the cell.
    fn count_codes(
        &mut self,
        bucket: Bucket,
        codes: impl Iterator<Item = usize>,
        global: &[u32],
        known: &mut Vec<u32>,
    ) {
        let Self { shape, cells, person, width, .. } = self;
        let counts_persons = shape.tallies[0].persons;
        known.resize(global.len(), 0);
        for code in codes {
            let group = u64::from(global[code]) * *width as u64;
            if known[code] == 0 {
                known[code] = cells.at(group + bucket.column as u64) as u32 + 1;
            }
            let counts = &mut cells.counts[known[code] as usize - 1];
            counts.events += 1;
            let is_new = counts_persons && counts.person(*person);
            if let Some(total) = bucket.total.filter(|_| is_new) {
                let total = cells.at(group + total as u64);
                cells.counts[total].person(*person);
            }
        }
    }

    /// Rows that are alike, together.
    fn count_alike<M: Mask>(&mut self, span: &Span<'_>, masks: &[M], all: Option<Bucket>) {
        let (masks, ts) = (&masks[..span.rows.end], &*span.block.ts);
        // Where only persons count, the first row of a bucket says it all.
        let first_says_all = self.shape.tallies.len() == 1 && self.needs(0) == (true, false);
        let mut bucket = all.unwrap_or(Bucket::NONE);
        let mut next = span.rows.start;
        while let Some(row) = M::find(masks, next, u64::MAX) {
            if all.is_none() && !bucket.holds(ts.get(row)) {
                bucket = self.shape.bucket(ts.get(row));
            }
            let mut alike = Alike::default();
            next = row + 1;
            alike.add(masks[row]);
            if first_says_all {
                next = match all {
                    Some(_) => masks.len(),
                    None => ts.seek(next..masks.len(), bucket.to_ms),
                };
                self.add(alike, bucket);
                continue;
            }
            let end = masks.len().min(row + Alike::ROWS_MAX);
            while next < end && (all.is_some() || bucket.holds(ts.get(next))) {
                alike.add(masks[next]);
                next += 1;
            }
            self.add(alike, bucket);
        }
    }

    /// Count rows of one bucket.
    #[inline]
    fn add(&mut self, alike: Alike, bucket: Bucket) {
        let Self { shape, cells, person, .. } = self;
        let place = cells.at(bucket.column as u64);
        for (at, tally) in shape.tallies.iter().enumerate() {
            let (cell, events) = (place + at, alike.of(at));
            if events == 0 {
                continue;
            }
            cells.counts[cell].events += events;
            if tally.persons
                && cells.counts[cell].person(*person)
                && let Some(total) = bucket.total
            {
                let total = cells.at(total as u64) + at;
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
        let Shown { masks, is_listed, wanted, numbers, cells, bucket } = &mut self.shown[slot];
        cells.clear();
        numbers.clear();
        numbers.resize(block.numbers.len(), 0);
        // Of a rare value the rows are few enough to be counted one by one, whatever is counted.
        let is_rare = self.listed.is_none()
            && self.matcher.list_rare(block, dictionaries, &self.times, wanted);
        *is_listed = is_rare || is_row_by_row;
        if is_rare {
            // They are listed.
        } else if is_row_by_row {
            let some = self.shape.with_number(block);
            self.matcher.list_among(block, dictionaries, &self.times, masks, wanted, some);
        } else {
            self.matcher.look(block, dictionaries, &self.times, masks);
        }
        let is_in_time = block.all_in_time && !block.rows.is_empty();
        let first = is_in_time.then(|| self.shape.bucket(block.first_ms));
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
