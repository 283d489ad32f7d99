//! The kernel of trends: one cell per series, group and column.
//!
//! Table: `(0, series, group, chunk)` → cells of [`CHUNK`] columns, each `events, persons` and, for
//! measures of sums, the digits of an exact sum. Columns are buckets and totals of all periods in
//! a row; the total of a period of one bucket is that bucket's. Bags: `(1, series, group, column)` →
//! values, for extremes and quantiles. A group is a value of the breakdown. A second pass counts the
//! people of values that are not listed, as one group: [`OTHER`].
//!
//! A person's rows are in the order of time, so those of one day and one value are often next to
//! each other: they are found first and counted at once.

use std::ops::Range;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::{MAX_SERIES, Measure, Shape};
use crate::columns::{Block, Coded, Span, Times};
use crate::each_width;
use crate::events::{ABSENT, Dictionaries};
use crate::exact_sum::{DIGITS, ExactSum};
use crate::filter::{Mask, Masks, Matcher};
use crate::kernel::{Kernel, Key, Partial};
use crate::presence::bits::SPREAD;

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
    cells: Cells,
    /// Number of the person, from 1.
    person: u64,
}

/// The cells of all series: those of one group and column lie next to each other.
#[derive(Debug)]
struct Cells {
    series: usize,
    /// Where the cells of `group × width + column` lie, plus one; large indices in the map.
    dense: Vec<u32>,
    sparse: HashMap<u64, u32>,
    /// The `group × width + column` of each.
    keys: Vec<u64>,
    /// `place × series + series`, as everything below.
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

/// Above this an index lives in a map: 16 MiB of dense index.
const DENSE: u64 = 1 << 22;

impl Cells {
    fn new(series: usize) -> Self {
        Self {
            series,
            dense: Vec::new(),
            sparse: HashMap::new(),
            keys: Vec::new(),
            counts: Vec::new(),
            sums: Vec::new(),
            bags: Vec::new(),
        }
    }

    /// The cell of the first series.
    #[inline]
    fn at(&mut self, key: u64) -> usize {
        let known = match self.dense.get(key as usize) {
            Some(place) if key < DENSE => *place,
            _ if key < DENSE => 0,
            _ => self.sparse.get(&key).copied().unwrap_or(0),
        };
        let place = if known == 0 { self.make(key) } else { known };
        (place as usize - 1) * self.series
    }

    #[cold]
    fn make(&mut self, key: u64) -> u32 {
        self.keys.push(key);
        self.counts.resize(self.keys.len() * self.series, Counts::default());
        let place = self.keys.len() as u32;
        if key < DENSE {
            let at = key as usize;
            if at >= self.dense.len() {
                self.dense.resize((at + 1).next_power_of_two().max(64), 0);
            }
            self.dense[at] = place;
        } else {
            self.sparse.insert(key, place);
        }
        place
    }

    fn bytes(&self) -> usize {
        let bags: usize = self.bags.iter().map(|bag| size_of_val(&bag[..])).sum();
        self.dense.len() * size_of::<u32>()
            + self.sparse.len() * 24
            + self.keys.len() * size_of::<u64>()
            + self.counts.len() * size_of::<Counts>()
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
        Self {
            width: shape.width(),
            cells: Cells::new(shape.lines.len()),
            beyond: Vec::new(),
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
            // What adds up is known from the first pass.
            let asked = listed.iter().zip(&self.shape.lines).enumerate();
            let asked = asked.filter(|(_, (_, line))| line.measure.counts_persons());
            let bits = asked.map(|(at, (set, _))| u64::from(is_beyond(set)) << at);
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
        group: &impl Groups,
        period: &mut usize,
    ) {
        let masks = &masks[..span.rows.end];
        // The column of the bucket and that of the period's total, if it is not the same.
        let (mut bucket_end_ms, mut column, mut total) = (i64::MIN, 0, None);
        let mut next = span.rows.start;
        while let Some(row) = M::find(masks, next, u64::MAX) {
            let row_ms = at_ms(row);
            if row_ms >= bucket_end_ms {
                let shape = &*self.shape;
                // The range before comes first in time.
                if *period == 1 && row_ms >= shape.from_ms {
                    *period = 0;
                }
                let buckets = &shape.periods[*period];
                let bucket = buckets.index(row_ms);
                bucket_end_ms = buckets.end_ms(bucket);
                if *period == 1 {
                    bucket_end_ms = bucket_end_ms.min(shape.from_ms);
                }
                let first = if *period == 0 { 0 } else { shape.periods[0].len() + 1 };
                column = first + bucket;
                total = (buckets.len() > 1).then_some(first + buckets.len());
            }
            let mut alike = Alike::default();
            next = row;
            let end = masks.len().min(row + Alike::ROWS_MAX);
            while next < end && at_ms(next) < bucket_end_ms && group.same(row, next) {
                alike.add(masks[next]);
                next += 1;
            }
            let group = u64::from(group.of(row)) * self.width as u64;
            let total = total.map(|column| group + column as u64);
            self.add(span.block, row, &masks[row..next], alike, group + column as u64, total);
        }
    }

    /// Count rows of one group and bucket, the first of which belongs to some series.
    #[inline]
    fn add<M: Mask>(
        &mut self,
        block: &Block,
        first: usize,
        masks: &[M],
        alike: Alike,
        key: u64,
        total: Option<u64>,
    ) {
        let Self { shape, cells, person, .. } = self;
        let place = cells.at(key);
        for (series, line) in shape.lines.iter().enumerate() {
            let cell = place + series;
            let mut events = alike.of(series);
            if let Some(column) = line.number {
                let numbers = &block.numbers[column];
                for (at, mask) in masks.iter().enumerate() {
                    let value = numbers.get(first + at);
                    let is_in = mask.bits() >> series & 1;
                    if is_in == 1 && value.is_nan() {
                        events -= 1;
                    } else if is_in == 1 {
                        cells.value(cell, value, line.measure);
                    }
                }
            }
            if events == 0 {
                continue;
            }
            cells.counts[cell].events += events;
            if line.measure.counts_persons()
                && cells.person(cell, *person)
                && let Some(total) = total
            {
                let total = cells.at(total) + series;
                cells.person(total, *person);
            }
        }
    }

    fn count_grouped<M: Mask>(
        &mut self,
        span: &Span<'_>,
        masks: &[M],
        group: &impl Groups,
        period: &mut usize,
    ) {
        match &*span.block.ts {
            Times::Narrow { base_ms, offsets } => {
                let at_ms = |row: usize| base_ms + i64::from(offsets[row]);
                self.count(span, masks, at_ms, group, period);
            }
            Times::Wide(times) => self.count(span, masks, |row| times[row], group, period),
        }
    }

    fn count_span<M: Mask>(&mut self, span: &Span<'_>, masks: &[M], period: &mut usize) {
        match self.shape.breakdown.filter(|_| self.listed.is_none()) {
            None => self.count_grouped(span, masks, &OneGroup, period),
            Some(column) => {
                let Coded { codes, global } = column.of_block(span.block);
                each_width!(&**codes, codes => {
                    self.count_grouped(span, masks, &ByCode { codes, global }, period);
                });
            }
        }
    }
}

/// How many of some rows belong to each series: a counter of a byte each.
#[derive(Debug, Clone, Copy, Default)]
struct Alike([u64; MAX_SERIES.div_ceil(8)]);

impl Alike {
    /// A counter holds no more.
    const ROWS_MAX: usize = u8::MAX as usize;

    #[inline]
    fn add<M: Mask>(&mut self, mask: M) {
        for (lanes, byte) in self.0.iter_mut().zip(mask.bits().to_le_bytes()).take(size_of::<M>()) {
            *lanes += SPREAD[usize::from(byte)];
        }
    }

    #[inline]
    fn of(&self, series: usize) -> u64 {
        self.0[series / 8] >> (8 * (series % 8)) & u64::from(u8::MAX)
    }
}

/// Which rows belong to which group.
trait Groups {
    fn of(&self, row: usize) -> u32;
    /// Whether two rows are known to belong to the same group.
    fn same(&self, row: usize, other: usize) -> bool;
}

struct OneGroup;

impl Groups for OneGroup {
    fn of(&self, _: usize) -> u32 {
        ABSENT
    }
    fn same(&self, _: usize, _: usize) -> bool {
        true
    }
}

/// By the value of a column: its codes, and what they are in the question's dictionary.
struct ByCode<'a, T> {
    codes: &'a [T],
    global: &'a [u32],
}

impl<T: Copy + PartialEq + TryInto<usize>> Groups for ByCode<'_, T> {
    #[inline]
    fn of(&self, row: usize) -> u32 {
        self.codes[row].try_into().map_or(ABSENT, |code| self.global[code])
    }
    #[inline]
    fn same(&self, row: usize, other: usize) -> bool {
        self.codes[row] == self.codes[other]
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
        let columns: usize = self.shape.lines.iter().map(|line| fields(line.sums())).sum();
        let columns = columns * CHUNK.min(self.width);
        let series = self.shape.lines.len();
        let groups = self.cells.dense.len() / self.width + 1 + self.cells.sparse.len();
        let rows = self.cells.keys.len().min(groups * self.width.div_ceil(CHUNK));
        self.cells.bytes() + rows * (columns * size_of::<f64>() + series * ROW_BYTES)
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
            for (series, line) in self.shape.lines.iter().enumerate() {
                let cell = |place: &usize| *place * self.shape.lines.len() + series;
                let is_used = |counts: &Counts| counts.events + counts.persons > 0;
                if !row.iter().any(|place| is_used(&cells.counts[cell(place)])) {
                    continue;
                }
                let fields = fields(line.sums());
                let mut values = vec![0.0; fields * CHUNK.min(self.width)];
                for place in row {
                    let column = (cells.keys[*place] % self.width as u64) as usize;
                    let (at, place) = (cell(place), &mut values[column % CHUNK * fields..]);
                    place[0] = cells.counts[at].events as f64;
                    place[1] = cells.counts[at].persons as f64;
                    if let Some(sum) = cells.sums.get(at).filter(|_| line.sums()) {
                        place[2..fields].copy_from_slice(&sum.columns());
                    }
                    if let Some(bag) = cells.bags.get_mut(at).filter(|bag| !bag.is_empty()) {
                        let key = vec![Key::Int(1), series.into(), group.clone(), column.into()];
                        partial.put(key, std::mem::take(bag));
                    }
                }
                let key = vec![Key::Int(0), series.into(), group.clone(), Key::Int(chunk as i64)];
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
