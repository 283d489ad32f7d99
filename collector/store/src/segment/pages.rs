//! The pages of a column of a row group, decoded straight into the form that is kept.
//!
//! In: a column by its name, and what its values become. Out: one value per row, or runs of equal
//! ones. Nothing in between is as long as the column: a page is unpacked in small parts, and what a
//! value of the dictionary becomes is found out once for all rows that have it.
//!
//! Invariant: as many rows as the row group has, or an error with the file's name. A column that is
//! laid out as we seldom write it (its dictionary outgrew a page) is `None` and left to Arrow's
//! reader, which knows every way.
//!
//! Deliberately elsewhere: bits (`bits`), bytes and their checksums (`file`).

use std::hint::select_unpredictable;
use std::sync::Arc;

use arrow_schema::{DataType, Field};
use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::column::page::{Page, PageReader};
use parquet::column::reader::{ColumnReader, get_column_reader};
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescPtr;

use super::Segment;
use super::bits::{self, Part};
use super::file::Fetched;
use crate::error::ScanError;

/// A column of a row group, read from its first page to its last.
pub(super) struct Pages<'a> {
    segment: &'a Segment,
    reader: SerializedPageReader<Fetched>,
    column: ColumnDescPtr,
    rows: usize,
    /// The values that codes stand for, as they are written, and how many those are.
    dictionary: (Bytes, usize),
    /// Pages without any of these rows, which are in order, are passed over.
    only: Option<&'a [u32]>,
}

/// What is read of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    All,
    /// The values that codes stand for.
    Dictionary,
    /// The codes.
    Codes,
}

impl Which {
    /// Where it is in the file, and how long it is.
    pub(super) fn range(self, chunk: &ColumnChunkMetaData) -> (u64, u64) {
        let (start, len) = chunk.byte_range();
        let before = u64::try_from(chunk.data_page_offset()).ok();
        let before = before.and_then(|at| at.checked_sub(start)).unwrap_or(0).min(len);
        match self {
            Self::All => (start, len),
            Self::Dictionary => (start, before),
            Self::Codes => (start + before, len - before),
        }
    }
}

/// Row groups between what is decoded and what the disk is asked for.
pub(super) const READ_AHEAD: u32 = 12;

/// A column in runs has at most a byte for so many rows.
pub(super) const ROWS_A_BYTE: usize = 16;

/// Rows that are not null, and what each has.
pub(super) type Present<T> = (Vec<u32>, Vec<T>);

impl Segment {
    /// What the file says of a column of a row group; `None` where there is no such one.
    pub(super) fn chunk(&self, group: u32, name: &str) -> Option<&ColumnChunkMetaData> {
        let (index, _) = self.arrow.schema().column_with_name(name)?;
        Some(self.arrow.metadata().row_groups().get(group as usize)?.column(index))
    }

    /// How many rows of a column are not null, as the file's description has it.
    pub(super) fn present(&self, group: u32, name: &str) -> Option<usize> {
        let statistics = self.chunk(group, name)?.statistics();
        let nulls = statistics.and_then(Statistics::null_count_opt)?;
        self.group_rows(group).checked_sub(usize::try_from(nulls).ok()?)
    }

    /// Whether every row of a column is null.
    pub(super) fn is_absent(&self, group: u32, name: &str) -> bool {
        self.present(group, name) == Some(0)
    }

    /// Whether a column has so few bytes that its rows must be equal to their neighbours mostly.
    pub(super) fn is_in_runs(&self, group: u32, name: &str) -> bool {
        let bytes = self.chunk(group, name).map(ColumnChunkMetaData::uncompressed_size);
        let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok());
        bytes.is_some_and(|bytes| bytes * ROWS_A_BYTE <= self.group_rows(group))
    }

    /// Whether every row of a column has a code of its dictionary, or is null.
    pub(super) fn is_coded(&self, group: u32, name: &str) -> bool {
        let Some(chunk) = self.chunk(group, name) else { return false };
        let encodings = chunk.page_encoding_stats_mask();
        chunk.dictionary_page_offset().is_some()
            && encodings.is_some_and(|mask| mask.is_only(Encoding::RLE_DICTIONARY))
    }

    /// Open a column that has values of this type.
    pub(super) fn pages(
        &self,
        group: u32,
        name: &str,
        data_type: &DataType,
    ) -> Result<Pages<'_>, ScanError> {
        self.read_ahead(group, name, Which::All);
        self.some_pages(group, name, data_type, Which::All)
    }

    /// Whoever reads a column mostly goes on with the next row groups.
    pub(super) fn read_ahead(&self, group: u32, name: &str, which: Which) {
        self.will_read(group + READ_AHEAD, name, which);
    }

    /// A part of a column is read soon.
    pub(super) fn will_read(&self, group: u32, name: &str, which: Which) {
        if let Some(chunk) = self.chunk(group, name) {
            self.file.will_read(which.range(chunk));
        }
    }

    /// Open a part of a column.
    pub(super) fn some_pages(
        &self,
        group: u32,
        name: &str,
        data_type: &DataType,
        which: Which,
    ) -> Result<Pages<'_>, ScanError> {
        let chunk = self.chunk(group, name).ok_or_else(|| self.damaged("a column is missing"))?;
        if self.arrow.schema().field_with_name(name).map(Field::data_type).ok() != Some(data_type) {
            return Err(self.wrong_type());
        }
        let rows = self.group_rows(group);
        let open = || {
            let (start, len) = which.range(chunk);
            let bytes = Arc::new(self.file.fetch(std::iter::once((start, len)))?);
            if which != Which::Codes {
                return SerializedPageReader::new(bytes, chunk, rows, None);
            }
            // Of a column that had no dictionary the first page is the first of its rows.
            let without = chunk.clone().into_builder().set_dictionary_page_offset(None);
            let without = without.set_total_compressed_size(len as i64).build()?;
            SerializedPageReader::new(bytes, &without, rows, None)
        };
        let reader = open().map_err(|error| self.damaged(&error.to_string()))?;
        let (column, dictionary) = (chunk.column_descr_ptr(), Default::default());
        Ok(Pages { segment: self, reader, column, rows, dictionary, only: None })
    }
}

impl<'a> Pages<'a> {
    /// Leave out pages without any of these rows, which are in order.
    pub(super) fn only(self, rows: &'a [u32]) -> Self {
        Self { only: Some(rows), ..self }
    }

    fn read_dictionary(&mut self) -> Result<(), ScanError> {
        let mut read = || match self.reader.peek_next_page()? {
            Some(first) if first.is_dict => self.reader.get_next_page(),
            _ => Ok(None),
        };
        if let Some(page) = read().map_err(|error| self.segment.damaged(&error.to_string()))? {
            self.dictionary = (page.buffer().clone(), page.num_values() as usize);
        }
        Ok(())
    }

    /// The dictionary's values, which have so many bytes each.
    pub(super) fn table<const BYTES: usize, T>(
        &mut self,
        of: impl Fn([u8; BYTES]) -> T,
    ) -> Result<Vec<T>, ScanError> {
        self.read_dictionary()?;
        let (bytes, count) = &self.dictionary;
        let (values, rest) = bytes.as_chunks();
        let is_whole = values.len() == *count && rest.is_empty();
        if !is_whole {
            return Err(malformed(self.segment));
        }
        Ok(values.iter().copied().map(of).collect())
    }

    /// The dictionary's values, which are texts.
    pub(super) fn texts(&mut self) -> Result<Vec<&str>, ScanError> {
        self.read_dictionary()?;
        let (bytes, count) = &self.dictionary;
        let mut rest = &**bytes;
        let mut text = || {
            let (len, behind) = rest.split_first_chunk()?;
            let (text, behind) = behind.split_at_checked(u32::from_le_bytes(*len) as usize)?;
            rest = behind;
            std::str::from_utf8(text).ok()
        };
        let texts: Option<Vec<&str>> = (0..*count).map(|_| text()).collect();
        texts.filter(|_| rest.is_empty()).ok_or_else(|| malformed(self.segment))
    }

    /// What each row has in `table`, which has an entry for every value; `absent` for null.
    pub(super) fn by_code<T: Copy>(
        self,
        table: &[T],
        absent: T,
    ) -> Result<Option<Vec<T>>, ScanError> {
        let mut rows = Vec::with_capacity(self.rows);
        let mut present = Vec::new();
        let read = self.each(Encoding::RLE_DICTIONARY, |page| {
            if page.present == 0 {
                rows.resize(rows.len() + page.rows, absent);
                return Some(());
            }
            if page.present == page.rows {
                return page.codes(|part| append(&mut rows, table, part));
            }
            present.clear();
            page.codes(|part| append(&mut present, table, part))?;
            page.spread(&mut present, absent, &mut rows)
        });
        Ok(read?.map(|()| rows))
    }

    /// The rows that are not null, and what they have in `table`.
    pub(super) fn present_by_code<T: Copy>(
        self,
        table: &[T],
    ) -> Result<Option<Present<T>>, ScanError> {
        let (mut rows, mut values) = (Vec::new(), Vec::new());
        let read = self.each(Encoding::RLE_DICTIONARY, |page| {
            if page.present > 0 {
                page.present_rows(&mut rows)?;
                page.codes(|part| append(&mut values, table, part))?;
            }
            Some(())
        });
        // They are kept as they are.
        rows.shrink_to_fit();
        values.shrink_to_fit();
        Ok(read?.map(|()| (rows, values)))
    }

    /// The rows that have one of these codes, of which there are few.
    pub(super) fn rows_with(self, wanted: &[u32]) -> Result<Option<Vec<u32>>, ScanError> {
        let (mut rows, mut places, mut present) = (Vec::new(), Vec::new(), Vec::new());
        let read = self.each(Encoding::RLE_DICTIONARY, |page| {
            if page.present == 0 {
                return Some(());
            }
            places.clear();
            let mut at = 0;
            page.codes(|part| {
                at += match part {
                    Part::Same(code, count) => {
                        if wanted.contains(&code) {
                            places.extend(at..at + count);
                        }
                        count
                    }
                    Part::Each(codes) => {
                        // Most parts have none, which is soon seen.
                        let has =
                            |of: &u32| codes.iter().fold(false, |has, code| has | (code == of));
                        if wanted.iter().any(has) {
                            let found = (at..).zip(codes).filter(|(_, code)| wanted.contains(code));
                            places.extend(found.map(|(place, _)| place));
                        }
                        codes.len()
                    }
                };
                Some(())
            })?;
            if !places.is_empty() {
                present.clear();
                page.present_rows(&mut present)?;
                rows.extend(places.iter().map(|place| present[*place]));
            }
            Some(())
        });
        Ok(read?.map(|()| rows))
    }

    /// Runs of rows that have the same in `table`, each with the row behind it; `absent` for null, where
    /// there may be any.
    pub(super) fn runs<T: Copy + PartialEq>(
        self,
        table: &[T],
        absent: Option<T>,
    ) -> Result<Option<Vec<(T, u32)>>, ScanError> {
        let mut runs: Vec<(T, u32)> = Vec::new();
        let mut row = 0;
        let mut push = |value: T, count: usize| {
            row += count as u32;
            match runs.last_mut() {
                Some((last, end)) if *last == value => *end = row,
                _ => runs.push((value, row)),
            }
        };
        let (mut present, mut rows) = (Vec::new(), Vec::new());
        let read = self.each(Encoding::RLE_DICTIONARY, |page| {
            if page.present == page.rows {
                return page.codes(|part| {
                    match part {
                        Part::Same(code, count) => push(*table.get(code as usize)?, count),
                        Part::Each(codes) => {
                            for code in codes {
                                push(*table.get(*code as usize)?, 1);
                            }
                        }
                    }
                    Some(())
                });
            }
            let absent = absent?;
            if page.present == 0 {
                push(absent, page.rows);
                return Some(());
            }
            present.clear();
            rows.clear();
            page.codes(|part| append(&mut present, table, part))?;
            page.spread(&mut present, absent, &mut rows)?;
            rows.iter().for_each(|value| push(*value, 1));
            Some(())
        });
        Ok(read?.map(|()| runs))
    }

    /// Shows numbers of which the differences are packed, some at a time, each time with the row of the
    /// first. No row is null.
    pub(super) fn differences(
        self,
        mut show: impl FnMut(usize, &[i64]),
    ) -> Result<Option<()>, ScanError> {
        self.each(Encoding::DELTA_BINARY_PACKED, |page| {
            let mut first = page.first;
            let numbers = bits::differences(&page.values, page.present, |numbers| {
                show(first, numbers);
                first += numbers.len();
            });
            numbers.filter(|()| page.present == page.rows)
        })
    }

    /// Shows texts without a dictionary, each with its row.
    pub(super) fn each_text(self, mut show: impl FnMut(usize, &str)) -> Result<(), ScanError> {
        let (segment, rows) = (self.segment, self.rows);
        let reader = get_column_reader(self.column, Box::new(self.reader));
        let ColumnReader::ByteArrayColumnReader(mut reader) = reader else {
            return Err(segment.wrong_type());
        };
        let (mut levels, mut texts) = (Vec::new(), Vec::new());
        let read = reader.read_records(rows, Some(&mut levels), None, &mut texts);
        read.map_err(|error| segment.damaged(&error.to_string()))?;
        if levels.len() != rows {
            return Err(segment.too_short());
        }
        let present = (0..rows).filter(|row| levels[*row] != 0);
        for (row, text) in present.zip(&texts) {
            show(row, text.as_utf8().map_err(|error| segment.damaged(&error.to_string()))?);
        }
        Ok(())
    }

    /// How many rows the next page has, if none of them is wanted.
    fn passes_over(&mut self, first: usize) -> Result<Option<usize>, ParquetError> {
        let Some(only) = self.only else { return Ok(None) };
        let next = self.reader.peek_next_page()?.filter(|next| !next.is_dict);
        let unwanted = next.and_then(|next| next.num_rows).filter(|rows| {
            let wanted = only.partition_point(|row| (*row as usize) < first);
            only.get(wanted).is_none_or(|row| *row as usize >= first + rows)
        });
        if unwanted.is_some() {
            self.reader.skip_next_page()?;
        }
        Ok(unwanted)
    }

    /// Shows every page, if they are encoded like this.
    fn each(
        mut self,
        usual: Encoding,
        mut show: impl FnMut(&Data) -> Option<()>,
    ) -> Result<Option<()>, ScanError> {
        let mut rows = 0;
        let damaged = |error: ParquetError| self.segment.damaged(&error.to_string());
        loop {
            if let Some(count) = self.passes_over(rows).map_err(damaged)? {
                rows += count;
                continue;
            }
            let Some(page) = self.reader.get_next_page().map_err(damaged)? else { break };
            let encoding = page.encoding();
            let Some(data) = Data::of(page, rows) else { return Ok(None) };
            if encoding != usual && data.present > 0 {
                return Ok(None);
            }
            rows += data.rows;
            let shown = (rows <= self.rows).then(|| show(&data)).flatten();
            shown.ok_or_else(|| malformed(self.segment))?;
        }
        if rows != self.rows {
            return Err(self.segment.too_short());
        }
        Ok(Some(()))
    }
}

fn malformed(segment: &Segment) -> ScanError {
    segment.damaged("a page is not what it says")
}

/// Rows of a column.
struct Data {
    /// The first of them.
    first: usize,
    rows: usize,
    /// Rows that are not null.
    present: usize,
    /// Which those are; empty where none can be.
    levels: Bytes,
    /// What those have.
    values: Bytes,
}

impl Data {
    /// A page as we write them; `None` for others.
    fn of(page: Page, first: usize) -> Option<Self> {
        let Page::DataPageV2 {
            mut buf,
            num_rows,
            num_values,
            num_nulls,
            def_levels_byte_len: levels_len,
            rep_levels_byte_len: 0,
            ..
        } = page
        else {
            return None;
        };
        let present = num_rows.checked_sub(num_nulls).filter(|_| num_rows == num_values)?;
        let levels_len = levels_len as usize;
        let levels = (levels_len <= buf.len()).then(|| buf.split_to(levels_len))?;
        let (rows, present) = (num_rows as usize, present as usize);
        Some(Self { first, rows, present, levels, values: buf })
    }

    /// Shows the codes of the rows that are not null.
    fn codes(&self, show: impl FnMut(Part<'_>) -> Option<()>) -> Option<()> {
        let (width, packed) = self.values.split_first()?;
        bits::runs(packed, *width, self.present, show)
    }

    /// Add the rows that are not null.
    fn present_rows(&self, rows: &mut Vec<u32>) -> Option<()> {
        let (before, first) = (rows.len(), self.first as u32);
        if self.present == self.rows {
            rows.extend(first..first + self.rows as u32);
        } else {
            bits::ones(&self.levels, first, self.rows, rows)?;
        }
        (rows.len() - before == self.present).then_some(())
    }

    /// Put what the rows that are not null have among those that are.
    fn spread<T: Copy>(&self, present: &mut Vec<T>, absent: T, rows: &mut Vec<T>) -> Option<()> {
        present.push(absent); // So that there is always a next one.
        let mut next = 0;
        bits::runs(&self.levels, 1, self.rows, |part| {
            match part {
                Part::Same(0, count) => rows.resize(rows.len() + count, absent),
                Part::Same(_, count) => {
                    rows.extend_from_slice(present.get(next..next + count)?);
                    next += count;
                }
                Part::Each(levels) => {
                    let count = levels.iter().sum::<u32>() as usize;
                    let values = present.get(next..=next + count)?;
                    // Which rows are null is often as good as random: nothing here may branch.
                    let mut at = 0;
                    rows.extend(levels.iter().map(|level| {
                        let value = values[at];
                        at += *level as usize;
                        select_unpredictable(*level == 0, absent, value)
                    }));
                    next += count;
                }
            }
            Some(())
        })?;
        (next == self.present).then_some(())
    }
}

/// Add what codes have in a table; all of them must be in it.
fn append<T: Copy>(rows: &mut Vec<T>, table: &[T], part: Part<'_>) -> Option<()> {
    match part {
        Part::Same(code, count) => rows.resize(rows.len() + count, *table.get(code as usize)?),
        Part::Each(codes) => {
            let largest = codes.iter().copied().max().unwrap_or(0);
            let _ = table.get(largest as usize)?;
            rows.extend(codes.iter().map(|code| table[*code as usize]));
        }
    }
    Some(())
}
