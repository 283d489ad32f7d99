//! Sorted rows on the disk, until they are merged into segments: those of an import, and those that
//! change person where they do not fit into memory.
//!
//! In: [`Columns`] in order, some thousands of rows at a time. Out: the same, block by block.
//!
//! Runs are in files without a name, so nothing is left of them when the process ends. A block holds plain
//! numbers: it is written once and read once, by us. What all its rows have in common is written once, and
//! codes are as wide as they must be.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::columns::{Coded, Columns, PropertyColumn, Rest, Values};
use crate::disk::{Disk, DiskFile};
use crate::row::Dim;
use crate::segment::{GroupBuilder, Info, PromotedKind};

/// Rows of a block: what a merge holds of each run.
pub(crate) const BLOCK_ROWS: usize = 8 * 1024;
/// Rows gathered at once. They come from all over their sources, column by column: of so many, some are always neighbours
/// in memory, and what was fetched for one of them is there for the others.
pub(crate) const PIECE_ROWS: usize = 32 * BLOCK_ROWS;

/// The file of all runs.
#[derive(Debug)]
pub(crate) struct RunFile {
    file: Arc<dyn DiskFile>,
    end: AtomicU64,
}

/// Where a block is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockAt {
    offset: u64,
    bytes: usize,
    sum: u32,
}

/// Blocks of sorted rows, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Run {
    pub rows: u64,
    pub blocks: Vec<BlockAt>,
}

impl RunFile {
    /// An empty file.
    pub(crate) fn create(disk: &dyn Disk, tmp: &Path) -> io::Result<Self> {
        // Others may make one at the same moment.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let path = tmp.join(format!("rows-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        let file = disk.create(&path)?;
        disk.remove(&path)?;
        Ok(Self { file, end: AtomicU64::new(0) })
    }

    /// Write some rows as a block behind a run.
    fn push(&self, run: &mut Run, columns: &Columns, rows: Range<usize>) -> io::Result<()> {
        let count = rows.len() as u64;
        let bytes = encode(columns, rows);
        let offset = self.end.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.file.write_all_at(&bytes, offset)?;
        let sum = crc32fast::hash(&bytes);
        run.blocks.push(BlockAt { offset, bytes: bytes.len(), sum });
        run.rows += count;
        Ok(())
    }

    /// The blocks of a run, one after the other.
    pub(crate) fn blocks(
        self: &Arc<Self>,
        run: Run,
    ) -> impl FnMut() -> io::Result<Option<Columns>> + use<> {
        let (file, mut blocks) = (Arc::clone(self), run.blocks.into_iter());
        move || blocks.next().map(|block| file.read(block)).transpose()
    }

    fn read(&self, block: BlockAt) -> io::Result<Columns> {
        let mut bytes = vec![0; block.bytes];
        self.file.read_exact_at(&mut bytes, block.offset)?;
        let whole = (crc32fast::hash(&bytes) == block.sum).then(|| decode(&bytes)).flatten();
        whole.ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "the disk gave back other bytes")
        })
    }
}

/// Writes blocks with the same properties as columns.
pub(crate) struct Blocks<'a> {
    file: &'a RunFile,
    info: Info,
}

impl<'a> Blocks<'a> {
    pub(crate) fn new(file: &'a RunFile, promoted: Vec<(String, PromotedKind)>) -> Self {
        Self { file, info: Info::new(promoted) }
    }

    /// Write rows of `sources`, in this order, behind a run.
    pub(crate) fn write(
        &mut self,
        run: &mut Run,
        order: &[(u32, u32)],
        sources: &[&Columns],
    ) -> io::Result<()> {
        for order in order.chunks(PIECE_ROWS) {
            let mut group = GroupBuilder::new(&self.info);
            group.gather(order, sources, &mut self.info);
            let columns = group.finish(&self.info);
            for from in (0..columns.len()).step_by(BLOCK_ROWS) {
                let rows = from..columns.len().min(from + BLOCK_ROWS);
                self.file.push(run, &columns, rows)?;
            }
        }
        Ok(())
    }
}

/// A number of a column.
trait Number: Copy + PartialEq + Default {
    const BYTES: usize;
    fn put(values: &[Self], out: &mut Vec<u8>);
    fn get(bytes: &[u8]) -> Vec<Self>;
}

macro_rules! numbers {
    ($($type:ty),*) => { $(
        impl Number for $type {
            const BYTES: usize = size_of::<$type>();
            fn put(values: &[Self], out: &mut Vec<u8>) {
                let before = out.len();
                out.resize(before + values.len() * Self::BYTES, 0);
                let (places, _) = out[before..].as_chunks_mut::<{ size_of::<$type>() }>();
                places.iter_mut().zip(values).for_each(|(place, value)| *place = value.to_le_bytes());
            }
            fn get(bytes: &[u8]) -> Vec<Self> {
                let (values, _) = bytes.as_chunks::<{ size_of::<$type>() }>();
                values.iter().map(|bytes| <$type>::from_le_bytes(*bytes)).collect()
            }
        }
    )* };
}
numbers!(u8, u16, u32, u64, i64, u128, f64);

/// How a column is written.
const SAME: u8 = 0;
const PLAIN: u8 = 1;
const ABSENT: u8 = 2;

fn put<T: Number>(values: &[T], out: &mut Vec<u8>) {
    match values {
        [first, rest @ ..] if rest.iter().all(|value| value == first) => {
            out.push(SAME);
            T::put(&[*first], out);
        }
        _ => {
            out.push(PLAIN);
            T::put(values, out);
        }
    }
}

/// A column that usually is not there.
fn put_optional<T: Number>(values: &[T], rows: &Range<usize>, out: &mut Vec<u8>) {
    if values.is_empty() { out.push(ABSENT) } else { put(&values[rows.clone()], out) }
}

/// A column that usually is as another one.
fn put_beside<T: Number>(values: &[T], usual: &[T], out: &mut Vec<u8>) {
    if values == usual { out.push(ABSENT) } else { put(values, out) }
}

/// The texts of these rows alone, numbered as they come.
fn put_coded(coded: &Coded, rows: &Range<usize>, out: &mut Vec<u8>) {
    if coded.codes.is_empty() {
        return out.push(ABSENT);
    }
    let mut numbers = vec![0; coded.values.len() + 1];
    let mut texts = Vec::new();
    let number = |code: &u32| {
        let number = &mut numbers[*code as usize];
        if *code != 0 && *number == 0 {
            texts.push(&*coded.values[*code as usize - 1]);
            *number = texts.len() as u32;
        }
        *number
    };
    let codes: Vec<u32> = coded.codes[rows.clone()].iter().map(number).collect();
    out.push(PLAIN);
    put_count(texts.len(), out);
    texts.iter().for_each(|text| put_text(text, out));
    match texts.len() {
        0..=0xff => put(&codes.iter().map(|code| *code as u8).collect::<Vec<_>>(), out),
        0x100..=0xffff => put(&codes.iter().map(|code| *code as u16).collect::<Vec<_>>(), out),
        _ => put(&codes, out),
    }
}

fn put_count(count: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&(count as u32).to_le_bytes());
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    put_count(text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

/// Some rows.
fn encode(columns: &Columns, rows: Range<usize>) -> Vec<u8> {
    let out = &mut Vec::with_capacity(rows.len() * 96);
    put_count(rows.len(), out);
    put(&columns.project[rows.clone()], out);
    put(&columns.person[rows.clone()], out);
    put_beside(&columns.actor[rows.clone()], &columns.person[rows.clone()], out);
    put_optional(&columns.origin, &rows, out);
    put(&columns.ts[rows.clone()], out);
    put(&columns.seq[rows.clone()], out);
    put_optional(&columns.writer, &rows, out);
    put(&columns.event_id[rows.clone()], out);
    put(&columns.received[rows.clone()], out);
    put_beside(&columns.claimed[rows.clone()], &columns.ts[rows.clone()], out);
    put(&columns.flags[rows.clone()], out);
    put_coded(&columns.event, &rows, out);
    put(&columns.session[rows.clone()], out);
    let none = Coded::default();
    (0..Dim::ALL.len()).for_each(|at| put_coded(columns.dims.get(at).unwrap_or(&none), &rows, out));
    put_count(columns.properties.len(), out);
    for PropertyColumn { key, values } in &columns.properties {
        put_text(key, out);
        match values {
            Values::Texts(coded) => {
                out.push(0);
                put_coded(coded, &rows, out);
            }
            Values::Numbers(numbers) => {
                out.push(1);
                put(&numbers[rows.clone()], out);
            }
            Values::Bools(bools) => {
                out.push(2);
                put(&bools[rows.clone()], out);
            }
        }
    }
    if columns.rest.is_empty() {
        out.push(ABSENT);
    } else {
        out.push(PLAIN);
        rows.for_each(|row| put_text(columns.rest.get(row), out));
    }
    std::mem::take(out)
}

/// The rows of a block; `None` when it is not what [`encode`] makes.
fn decode(bytes: &[u8]) -> Option<Columns> {
    let mut from = Bytes(bytes);
    let rows = from.count()?;
    let mut columns = Columns { project: from.numbers(rows)?, ..Columns::default() };
    columns.person = from.numbers(rows)?;
    columns.actor = from.numbers_beside(rows, &columns.person)?;
    columns.origin = from.numbers_beside(rows, &[])?;
    columns.ts = from.numbers(rows)?;
    columns.seq = from.numbers(rows)?;
    columns.writer = from.numbers_beside(rows, &[])?;
    columns.event_id = from.numbers(rows)?;
    columns.received = from.numbers(rows)?;
    columns.claimed = from.numbers_beside(rows, &columns.ts)?;
    columns.flags = from.numbers(rows)?;
    columns.event = from.coded(rows)?;
    columns.session = from.numbers(rows)?;
    columns.dims = (0..Dim::ALL.len()).map(|_| from.coded(rows)).collect::<Option<_>>()?;
    for _ in 0..from.count()? {
        let key = from.text()?.into();
        let values = match from.byte()? {
            0 => Values::Texts(from.coded(rows)?),
            1 => Values::Numbers(from.numbers(rows)?),
            _ => Values::Bools(from.numbers(rows)?),
        };
        columns.properties.push(PropertyColumn { key, values });
    }
    let mut rest = Rest::default();
    if from.byte()? == PLAIN {
        for row in 0..rows {
            let text = from.text()?;
            if !text.is_empty() {
                rest.set(row, |out| out.push_str(text));
            }
        }
    }
    Some(Columns { rest, ..columns })
}

/// What is left of a block.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|byte| byte[0])
    }

    fn count(&mut self) -> Option<usize> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?) as usize)
    }

    fn text(&mut self) -> Option<&'a str> {
        let len = self.count()?;
        std::str::from_utf8(self.take(len)?).ok()
    }

    fn numbers<T: Number>(&mut self, rows: usize) -> Option<Vec<T>> {
        let form = self.byte()?;
        self.numbers_as(form, rows)
    }

    fn numbers_as<T: Number>(&mut self, form: u8, rows: usize) -> Option<Vec<T>> {
        match form {
            SAME => {
                let one = T::get(self.take(T::BYTES)?);
                Some(vec![*one.first()?; rows])
            }
            _ => Some(T::get(self.take(rows * T::BYTES)?)),
        }
    }

    fn numbers_beside<T: Number>(&mut self, rows: usize, usual: &[T]) -> Option<Vec<T>> {
        match self.byte()? {
            ABSENT => Some(usual.to_vec()),
            form => self.numbers_as(form, rows),
        }
    }

    fn coded(&mut self, rows: usize) -> Option<Coded> {
        if self.byte()? == ABSENT {
            return Some(Coded::default());
        }
        let count = self.count()?;
        let values = (0..count).map(|_| self.text().map(Box::from)).collect::<Option<Vec<_>>>()?;
        let codes = match count {
            0..=0xff => self.numbers::<u8>(rows)?.into_iter().map(u32::from).collect(),
            0x100..=0xffff => self.numbers::<u16>(rows)?.into_iter().map(u32::from).collect(),
            _ => self.numbers(rows)?,
        };
        Some(Coded { codes, values: values.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memtable::MemRun;
    use crate::testing::any_row;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_block_gives_back_its_rows(
            rows in prop::collection::vec(any_row(), 1..40),
            promoted in prop::sample::subsequence(vec!["a.b", "ok", "plan", "seats"], 0..4),
        ) {
            let run = MemRun::sort(&[Arc::new(rows)]);
            let all: Vec<u32> = (0..run.len() as u32).collect();
            let plain = run.columns(&all, &run.dictionaries());
            let kind = |key: &&str| match *key {
                "ok" => PromotedKind::Bool,
                "seats" => PromotedKind::Number,
                _ => PromotedKind::Text,
            };
            let promoted = promoted.iter().map(|key| (key.to_string(), kind(key))).collect();
            let mut info = Info::new(promoted);
            let mut group = GroupBuilder::new(&info);
            let order: Vec<(u32, u32)> = all.iter().map(|&row| (0, row)).collect();
            group.gather(&order, &[&plain], &mut info);
            let columns = group.finish(&info);
            let bytes = encode(&columns, 0..columns.len());
            let again = decode(&bytes).unwrap();
            // A property that is absent may be NaN: compared as it is printed.
            prop_assert_eq!(format!("{again:?}"), format!("{columns:?}"));
            for cut in 0..bytes.len().min(64) {
                prop_assert!(decode(&bytes[..cut]).is_none());
            }
            // Blocks of some of the rows give back those.
            let row_of = |columns: &Columns, row| {
                let mut props = String::new();
                columns.push_props(row, &mut props);
                format!("{:?}", columns.row(row, &props).to_row())
            };
            let middle = columns.len() / 2;
            for rows in [0..middle, middle..columns.len()] {
                let part = decode(&encode(&columns, rows.clone())).unwrap();
                prop_assert_eq!(part.len(), rows.len());
                for (at, row) in rows.enumerate() {
                    prop_assert_eq!(row_of(&part, at), row_of(&columns, row));
                }
            }
        }
    }
}
