//! The kernel of trends: one cell per series, group and column.
//!
//! Table: `(0, series, group, chunk)` → cells of [`CHUNK`] columns, each `events, persons` and, for
//! measures of sums, the digits of an exact sum. Columns are buckets and totals of all periods in
//! a row. Bags: `(1, series, group, column)` → values, for extremes and quantiles. A group is a
//! value of the breakdown. A second pass counts the events of values that are not listed, and only
//! those, as one group: [`OTHER`].

use std::ops::Range;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::{Measure, Shape};
use crate::columns::{Block, Span, Times};
use crate::events::{ABSENT, Dictionaries};
use crate::exact_sum::{DIGITS, ExactSum};
use crate::filter::{Mask, Masks, Matcher};
use crate::kernel::{Kernel, Key, Partial};

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
    /// By slot: which series the block's rows belong to.
    masks: Vec<Masks>,
    /// In the second pass: the listed values, by series.
    listed: Option<Arc<Vec<HashSet<Key>>>>,
    /// In the second pass: by breakdown code, the series that do not list the value, as bits.
    beyond: Vec<u64>,
    width: usize,
    cells: Vec<Cells>,
    /// By series.
    last: Vec<Last>,
    /// Number of the person, from 1.
    person: u64,
}

/// The cells of one series.
#[derive(Debug, Default)]
struct Cells {
    /// Where the cell of `group × width + column` lies, plus one; large indices in the map.
    dense: Vec<u32>,
    sparse: HashMap<u64, u32>,
    keys: Vec<u64>,
    counts: Vec<Counts>,
    sums: Vec<ExactSum>,
    /// Extremes are one value, quantiles all of them.
    bags: Vec<Vec<f64>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    events: u64,
    persons: u64,
    /// The last person counted.
    last: u64,
}

/// The cell of the row before: most rows of a person belong to the same one.
#[derive(Debug, Clone, Copy)]
struct Last {
    key: u64,
    cell: usize,
}

impl Last {
    const NONE: Self = Self { key: u64::MAX, cell: 0 };
}

/// Above this an index lives in a map: 16 MiB of dense index.
const DENSE: u64 = 1 << 22;

impl Cells {
    #[inline]
    fn at(&mut self, key: u64) -> usize {
        if key < DENSE {
            let place = key as usize;
            if place >= self.dense.len() {
                self.dense.resize((place + 1).next_power_of_two().max(64), 0);
            }
            if self.dense[place] == 0 {
                self.keys.push(key);
                self.dense[place] = self.keys.len() as u32;
                self.counts.push(Counts::default());
            }
            return self.dense[place] as usize - 1;
        }
        if let Some(cell) = self.sparse.get(&key) {
            return *cell as usize;
        }
        self.keys.push(key);
        let cell = self.keys.len() - 1;
        self.sparse.insert(key, cell as u32);
        self.counts.push(Counts::default());
        cell
    }

    fn bytes(&self) -> usize {
        let bags: usize = self.bags.iter().map(|bag| size_of_val(&bag[..])).sum();
        self.dense.len() * size_of::<u32>()
            + self.sparse.len() * 24
            + self.keys.len() * (size_of::<u64>() + size_of::<Counts>())
            + self.sums.len() * size_of::<ExactSum>()
            + bags
    }

    /// Count a person, once. Says whether they are new to the cell.
    #[inline]
    fn person(&mut self, cell: usize, person: u64) -> bool {
        let counts = &mut self.counts[cell];
        let is_new = counts.last != person;
        counts.persons += u64::from(is_new);
        counts.last = person;
        is_new
    }

    fn value(&mut self, cell: usize, value: f64, measure: Measure) {
        match measure {
            Measure::Count | Measure::Persons => {}
            Measure::Sum | Measure::Avg | Measure::PerPerson => {
                if self.sums.len() <= cell {
                    self.sums.resize(cell + 1, ExactSum::default());
                }
                self.sums[cell].add(value);
            }
            Measure::Min
            | Measure::Max
            | Measure::P50
            | Measure::P90
            | Measure::P95
            | Measure::P99 => {
                if self.bags.len() <= cell {
                    self.bags.resize(cell + 1, Vec::new());
                }
                let bag = &mut self.bags[cell];
                match (measure, bag.first_mut()) {
                    (Measure::Min, Some(least)) => *least = least.min(value),
                    (Measure::Max, Some(most)) => *most = most.max(value),
                    _ => bag.push(value),
                }
            }
        }
    }
}

impl Counter {
    pub(super) fn new(
        shape: Arc<Shape>,
        matcher: Matcher,
        times: Range<i64>,
        listed: Option<Arc<Vec<HashSet<Key>>>>,
    ) -> Self {
        let series = shape.lines.len();
        Self {
            width: shape.width(),
            cells: (0..series).map(|_| Cells::default()).collect(),
            beyond: Vec::new(),
            last: vec![Last::NONE; series],
            person: 0,
            masks: Vec::new(),
            shape,
            times,
            matcher,
            listed,
        }
    }

    /// In the second pass: leave rows alone whose value is absent or listed.
    fn keep_beyond(&mut self, slot: usize, block: &Block, dictionaries: &Dictionaries) {
        let (Some(listed), Some(column)) = (&self.listed, self.shape.breakdown) else { return };
        let dictionary = column.dictionary(dictionaries);
        for code in self.beyond.len()..dictionary.len() {
            let value = Key::from_text(dictionary.text(code as u32));
            let is_beyond = |listed: &HashSet<Key>| value != Key::None && !listed.contains(&value);
            let bits = listed.iter().enumerate().map(|(at, set)| u64::from(is_beyond(set)) << at);
            self.beyond.push(bits.sum());
        }
        self.masks[slot].restrict(block, column.of_block(block), &self.beyond);
    }

    fn group_key(&self, group: u64, dictionaries: &Dictionaries) -> Key {
        match self.shape.breakdown {
            None => Key::None,
            Some(_) if self.listed.is_some() => OTHER,
            Some(column) => Key::from_text(column.dictionary(dictionaries).text(group as u32)),
        }
    }
}

impl Counter {
    /// Count the rows of one span. `period` is the range they are in, which only moves on.
    fn count<M: Mask>(
        &mut self,
        span: &Span<'_>,
        masks: &[M],
        at_ms: impl Fn(usize) -> i64,
        period: &mut usize,
    ) {
        let Self { shape, cells, last, person, width, .. } = self;
        let block = span.block;
        let codes = shape.breakdown.filter(|_| self.listed.is_none());
        let codes = codes.map(|column| column.of_block(block));
        let masks = &masks[..span.rows.end];
        // The column of the bucket and that of the period's total.
        let (mut bucket_end_ms, mut column, mut total) = (i64::MIN, 0, 0);
        let mut next = span.rows.start;
        while let Some(row) = M::find(masks, next, u64::MAX) {
            next = row + 1;
            let at_ms = at_ms(row);
            if at_ms >= bucket_end_ms {
                // The range before comes first in time.
                if *period == 1 && at_ms >= shape.from_ms {
                    *period = 0;
                }
                let buckets = &shape.periods[*period];
                let bucket = buckets.index(at_ms);
                bucket_end_ms = buckets.end_ms(bucket);
                if *period == 1 {
                    bucket_end_ms = bucket_end_ms.min(shape.from_ms);
                }
                let first = if *period == 0 { 0 } else { shape.periods[0].len() + 1 };
                (column, total) = (first + bucket, first + buckets.len());
            }
            let group = u64::from(codes.map_or(ABSENT, |codes| codes.get(row))) * *width as u64;
            let mut mask = masks[row].bits();
            while mask != 0 {
                let series = mask.trailing_zeros() as usize;
                mask &= mask - 1;
                let line = &shape.lines[series];
                let value = line.number.map_or(0.0, |column| block.numbers[column].get(row));
                if value.is_nan() {
                    continue;
                }
                let (cells, last) = (&mut cells[series], &mut last[series]);
                let key = group + column as u64;
                if last.key != key {
                    let cell = cells.at(key);
                    if line.measure.counts_persons() && cells.person(cell, *person) {
                        let total = cells.at(group + total as u64);
                        cells.person(total, *person);
                    }
                    *last = Last { key, cell };
                }
                cells.counts[last.cell].events += 1;
                if line.number.is_some() {
                    cells.value(last.cell, value, line.measure);
                }
            }
        }
    }

    fn count_span<M: Mask>(&mut self, span: &Span<'_>, masks: &[M], period: &mut usize) {
        match &*span.block.ts {
            Times::Narrow { base_ms, offsets } => {
                self.count(span, masks, |row| base_ms + i64::from(offsets[row]), period);
            }
            Times::Wide(times) => self.count(span, masks, |row| times[row], period),
        }
    }
}

impl Kernel for Counter {
    fn block(&mut self, slot: usize, block: &Block, dictionaries: &Dictionaries) {
        if self.masks.len() <= slot {
            self.masks.resize_with(slot + 1, Masks::default);
        }
        self.matcher.look(block, dictionaries, &self.times, &mut self.masks[slot]);
        self.keep_beyond(slot, block, dictionaries);
    }

    fn person(&mut self, _: u64, spans: &[Span<'_>], _: &Dictionaries) {
        self.person += 1;
        self.last.fill(Last::NONE);
        let mut period = self.shape.periods.len() - 1;
        let masks = std::mem::take(&mut self.masks);
        for span in spans {
            match &masks[span.slot] {
                Masks::Small(masks) => self.count_span(span, masks, &mut period),
                Masks::Large(masks) => self.count_span(span, masks, &mut period),
            }
        }
        self.masks = masks;
    }

    fn bytes(&self) -> usize {
        let chunks = self.width.div_ceil(CHUNK);
        let bytes = self.cells.iter().zip(&self.shape.lines).map(|(cells, line)| {
            let columns = fields(line.sums()) * CHUNK.min(self.width);
            let groups = cells.dense.len() / self.width + 1 + cells.sparse.len();
            let rows = cells.keys.len().min(groups * chunks);
            cells.bytes() + rows * (columns * size_of::<f64>() + ROW_BYTES)
        });
        bytes.sum()
    }

    fn finish(mut self: Box<Self>, dictionaries: &Dictionaries) -> Partial {
        let mut partial = Partial::default();
        for (series, mut cells) in std::mem::take(&mut self.cells).into_iter().enumerate() {
            let sums = self.shape.lines[series].sums();
            let fields = fields(sums);
            // Cells of one row next to each other, so that each row is made once.
            let mut order: Vec<usize> = (0..cells.keys.len()).collect();
            order.sort_unstable_by_key(|cell| cells.keys[*cell]);
            let row_of = |key: u64| {
                let column = key % self.width as u64;
                (key / self.width as u64, column / CHUNK as u64)
            };
            for row in order.chunk_by(|a, b| row_of(cells.keys[*a]) == row_of(cells.keys[*b])) {
                let (group, chunk) = row_of(cells.keys[row[0]]);
                let group = self.group_key(group, dictionaries);
                let mut values = vec![0.0; fields * CHUNK.min(self.width)];
                for cell in row {
                    let column = (cells.keys[*cell] % self.width as u64) as usize;
                    let place = &mut values[column % CHUNK * fields..][..fields];
                    place[0] = cells.counts[*cell].events as f64;
                    place[1] = cells.counts[*cell].persons as f64;
                    if let Some(sum) = cells.sums.get(*cell).filter(|_| sums) {
                        place[2..].copy_from_slice(&sum.columns());
                    }
                    if let Some(bag) = cells.bags.get_mut(*cell).filter(|bag| !bag.is_empty()) {
                        let key = vec![Key::Int(1), series.into(), group.clone(), column.into()];
                        partial.put(key, std::mem::take(bag));
                    }
                }
                partial.add(
                    vec![Key::Int(0), series.into(), group, Key::from(chunk as usize)],
                    &values,
                );
            }
        }
        partial
    }
}

/// Columns of one cell.
pub(super) fn fields(sums: bool) -> usize {
    if sums { 2 + DIGITS } else { 2 }
}
