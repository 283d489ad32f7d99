//! Columns of a segment file as the driver wants them.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float64Type, TimestampMillisecondType, UInt8Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use tallymark_analysis::columns::{Numbers, Times};
use tallymark_analysis::events::UNNAMED_SESSION;

use super::arrays::id;
use super::info::PromotedKind;
use super::layout;
use super::packed::Decoded;
use super::pages::Which;
use super::{ORIGIN, Segment, WRITER};
use crate::block::{Column, ColumnKey, Property, Runs, session_number};
use crate::error::ScanError;
use crate::props;
use crate::row;

impl Segment {
    /// Decode one column of one row group.
    pub(super) fn decode(&self, group: u32, key: &ColumnKey) -> Result<Decoded, ScanError> {
        let column = match key {
            ColumnKey::Runs => Column::Runs(self.runs(group)?),
            ColumnKey::Ts => Column::Times(Arc::new(self.times(group)?)),
            // Whoever asks for ties puts them together from what is decoded already.
            ColumnKey::Actor | ColumnKey::Ties if self.is_absent(group, "actor") => {
                Column::Actors(None)
            }
            ColumnKey::Actor | ColumnKey::Ties => {
                let columns = self.columns(group, &["person", "actor"])?;
                let persons = self.primitive::<UInt64Type>(&columns[0])?;
                let actors = self.actors(&columns[1], persons)?;
                Column::Actors((persons != actors).then(|| Arc::new(actors)))
            }
            ColumnKey::Base => {
                let columns = self.columns(group, &["person", "actor"])?;
                let persons = self.primitive::<UInt64Type>(&columns[0])?;
                let actors = self.actors(&columns[1], persons)?;
                let flags = self.flags(group)?;
                let origins = self.numbers_or_nothing(group, ORIGIN)?;
                let base = |row: usize| {
                    let origin = origins.as_ref().map_or(0, |origins| origins[row]);
                    row::base(persons[row], actors[row], flags[row], origin)
                };
                let bases: Vec<u64> = (0..persons.len()).map(base).collect();
                Column::Actors((bases != persons).then(|| Arc::new(bases)))
            }
            ColumnKey::Order => {
                let names = &["seq", "event_id"][..if self.meta.has_ids { 2 } else { 1 }];
                let columns = self.columns(group, names)?;
                let seqs = self.primitive::<UInt32Type>(&columns[0])?.iter().copied();
                Column::Order(match columns.get(1) {
                    Some(ids) => seqs.zip(self.fixed(ids)?.iter().map(id)).collect(),
                    None => seqs.map(|seq| (seq, 0)).collect(),
                })
            }
            ColumnKey::Session => Column::Sessions(Arc::new(self.session_numbers(group)?)),
            ColumnKey::Event => return self.shared_texts(group, &Property::Event, None),
            ColumnKey::Text(property) => return self.shared_texts(group, property, None),
            ColumnKey::Table(property) => Column::Texts(self.table(group, property)?),
            ColumnKey::Number(Property::Key(name)) => {
                Column::Numbers(Arc::new(self.key_numbers(group, name)?))
            }
            ColumnKey::AreFew(_) | ColumnKey::OfFew(..) => {
                unreachable!("made of columns that are decoded")
            }
            ColumnKey::Bloom(property) => self.bloom(group, property)?,
            ColumnKey::Presence(_) => unreachable!("presence is decoded from its own file"),
            ColumnKey::Number(Property::Writer) => {
                let writers = self.numbers_or_nothing(group, WRITER)?;
                match writers {
                    Some(writers) => {
                        Column::of_numbers(writers.into_iter().map(row::writer_number).collect())
                    }
                    None => Column::no_numbers(self.group_rows(group)),
                }
            }
            ColumnKey::Number(Property::Seq) => {
                let column = self.column(group, "seq")?;
                let seqs = self.primitive::<UInt32Type>(&column)?;
                Column::of_numbers(seqs.iter().map(|seq| f64::from(*seq)).collect())
            }
            ColumnKey::Number(property @ (Property::Event | Property::Dim(_)))
                if !self.is_outside_columns(property) =>
            {
                let texts = Column::of_texts(self.text_property(group, property)?);
                Column::of_numbers(texts.texts().numbers())
            }
            ColumnKey::Number(_) => Column::no_numbers(self.group_rows(group)),
        };
        Ok(column.into())
    }

    fn runs(&self, group: u32) -> Result<Runs, ScanError> {
        let mut projects = self.pages(group, "project", &DataType::UInt32)?;
        let table = projects.table(u32::from_le_bytes)?;
        let projects = projects.runs(&table, None)?;
        let mut persons = self.pages(group, "person", &DataType::UInt64)?;
        let table = persons.table(u64::from_le_bytes)?;
        if let (Some(projects), Some(persons)) = (projects, persons.runs(&table, None)?) {
            return Ok(Runs::of(&projects, &persons));
        }
        let columns = self.columns(group, &["project", "person"])?;
        let projects = self.primitive::<UInt32Type>(&columns[0])?;
        let persons = self.primitive::<UInt64Type>(&columns[1])?;
        Ok(Runs::collect(projects.iter().copied().zip(persons.iter().copied())))
    }

    fn times(&self, group: u32) -> Result<Times, ScanError> {
        let pages = self.pages(group, "ts", &layout::time())?;
        let base_ms = self.info.groups[group as usize].ts_min_ms;
        let mut offsets = Vec::with_capacity(self.group_rows(group));
        // Has a bit that no offset can have, if one time is too far from the first.
        let mut bits = 0;
        let read = pages.differences(|_, times| {
            let some = times.iter().map(|at| at.wrapping_sub(base_ms) as u64);
            bits |= some.clone().fold(0, |bits, offset| bits | offset);
            offsets.extend(some.map(|offset| offset as u32));
        })?;
        if read.is_some() && u32::try_from(bits).is_ok() {
            return Ok(Times::Narrow { base_ms, offsets });
        }
        let column = self.column(group, "ts")?;
        Ok(Times::new(self.primitive::<TimestampMillisecondType>(&column)?))
    }

    /// The times of some rows, which are in order.
    pub(super) fn times_of(&self, group: u32, rows: &[u32]) -> Result<Times, ScanError> {
        let pages = self.some_pages(group, "ts", &layout::time(), Which::All)?.only(rows);
        let mut picked = Vec::with_capacity(rows.len());
        let read = pages.differences(|first, times| {
            let wanted = rows[picked.len()..].iter().map(|row| *row as usize - first);
            picked.extend(wanted.map_while(|at| times.get(at).copied()));
        })?;
        if read.is_none() {
            picked.resize(rows.len(), 0);
            self.times(group)?.gather(rows, &mut picked);
        }
        Ok(Times::new(&picked))
    }

    fn session_numbers(&self, group: u32) -> Result<Vec<u64>, ScanError> {
        let mut pages = self.pages(group, "session", &DataType::FixedSizeBinary(16))?;
        // What a row without a session is depends on the row.
        let named = pages.table(|bytes| session_number(u128::from_be_bytes(bytes), 0))?;
        let mut numbers = match pages.by_code(&named, UNNAMED_SESSION)? {
            Some(numbers) => numbers,
            None => {
                let ids = self.column(group, "session")?;
                self.fixed(&ids)?.iter().map(|bytes| session_number(id(bytes), 0)).collect()
            }
        };
        if numbers.contains(&UNNAMED_SESSION) {
            let flags = self.flags(group)?;
            let unnamed = numbers.iter_mut().zip(flags).filter(|(of, _)| **of == UNNAMED_SESSION);
            unnamed.for_each(|(number, flags)| *number = session_number(0, flags));
        }
        Ok(numbers)
    }

    pub(super) fn flags(&self, group: u32) -> Result<Vec<u8>, ScanError> {
        self.by_flags(group, |flags| flags)
    }

    /// What each row's flags are to somebody.
    pub(super) fn by_flags(&self, group: u32, of: impl Fn(u8) -> u8) -> Result<Vec<u8>, ScanError> {
        let mut pages = self.pages(group, "flags", &DataType::UInt8)?;
        let table = pages.table(|bytes| of(u32::from_le_bytes(bytes) as u8))?;
        match pages.by_code(&table, 0)? {
            Some(rows) => Ok(rows),
            None => {
                let flags = self.column(group, "flags")?;
                Ok(self.primitive::<UInt8Type>(&flags)?.iter().map(|flags| of(*flags)).collect())
            }
        }
    }

    /// The devices of rows: the person where the column says nothing.
    fn actors(&self, column: &ArrayRef, persons: &[u64]) -> Result<Vec<u64>, ScanError> {
        let mut actors = self.primitive::<UInt64Type>(column)?.to_vec();
        if let Some(nulls) = column.nulls() {
            let missing = nulls.iter().enumerate().filter(|(_, is_there)| !is_there);
            missing.for_each(|(row, _)| actors[row] = persons[row]);
        }
        Ok(actors)
    }

    /// A column of numbers in which null means 0; `None` when all are, or an earlier version wrote the
    /// file and had no such column.
    fn numbers_or_nothing(&self, group: u32, name: &str) -> Result<Option<Vec<u64>>, ScanError> {
        let is_there = self.arrow.schema().column_with_name(name).is_some();
        if !is_there || self.is_absent(group, name) {
            return Ok(None);
        }
        let column = self.column(group, name)?;
        let numbers = column.as_primitive_opt::<UInt64Type>().ok_or_else(|| self.wrong_type())?;
        let has_some = numbers.null_count() < numbers.len();
        Ok(has_some.then(|| numbers.iter().map(Option::unwrap_or_default).collect()))
    }

    /// A property as numbers; see [`Segment::key_texts`].
    fn key_numbers(&self, group: u32, name: &str) -> Result<Numbers, ScanError> {
        let column = format!("p.{name}");
        let mut numbers = match self.info.promoted(name).map(|promoted| promoted.kind) {
            None | Some(PromotedKind::Bool) => return self.rest_numbers(group, name),
            Some(PromotedKind::Text) => {
                Column::of_texts(self.texts(group, &column)?).texts().numbers()
            }
            Some(PromotedKind::Number) => {
                let mut pages = self.pages(group, &column, &DataType::Float64)?;
                let table = pages.table(f64::from_le_bytes)?;
                let is_sparse = self.present(group, &column).is_some_and(|present| {
                    Numbers::is_sparse(present, self.group_rows(group))
                        && !self.info.rest_may_hold(name)
                        && !table.iter().any(|number| number.is_nan())
                });
                let dense = if is_sparse {
                    if let Some((rows, values)) = pages.present_by_code(&table)? {
                        return Ok(Numbers::Sparse { rows, values });
                    }
                    None
                } else {
                    pages.by_code(&table, f64::NAN)?
                };
                match dense {
                    Some(numbers) => numbers,
                    None => {
                        let column = self.column(group, &column)?;
                        let column = column.as_primitive_opt::<Float64Type>();
                        let numbers = column.ok_or_else(|| self.wrong_type())?.iter();
                        numbers.map(|number| number.unwrap_or(f64::NAN)).collect()
                    }
                }
            }
        };
        if self.info.rest_may_hold(name) {
            self.each_rest(group, |row, object| {
                if let Some(entry) = props::find(object, name) {
                    numbers[row] = entry.number();
                }
            })?;
        }
        Ok(Numbers::new(numbers))
    }

    /// The numbers of a property that has no column for them.
    fn rest_numbers(&self, group: u32, name: &str) -> Result<Numbers, ScanError> {
        let (mut rows, mut values) = (Vec::new(), Vec::new());
        if self.info.rest_may_hold(name) {
            self.each_rest(group, |row, object| {
                let number = props::find(object, name).map_or(f64::NAN, |entry| entry.number());
                if !number.is_nan() {
                    rows.push(row as u32);
                    values.push(number);
                }
            })?;
        }
        Ok(Numbers::of_present(rows, values, self.group_rows(group)))
    }
}
