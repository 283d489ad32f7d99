//! Columns of a segment file as the driver wants them.

use std::borrow::Cow;
use std::sync::{Arc, PoisonError, Weak};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float64Type, Int32Type, TimestampMillisecondType, UInt8Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use hashbrown::HashMap;
use tallymark_analysis::columns::{Codes, Numbers, Times};
use tallymark_analysis::events::UNNAMED_SESSION;

use super::arrays::id;
use super::info::PromotedKind;
use super::layout;
use super::{ORIGIN, Segment};
use crate::block::{
    Column, ColumnKey, Property, Runs, SharedValues, TextColumn, Texts, TextsBuilder, Values,
    session_number,
};
use crate::error::ScanError;
use crate::memtable::{identity_texts, session_texts};
use crate::props;
use crate::row::{self, Dim};

impl Segment {
    /// Decode one column of one row group in the driver's form.
    pub(super) fn decode(&self, group: u32, key: &ColumnKey) -> Result<Column, ScanError> {
        Ok(match key {
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
                let origins = self.origins(group)?;
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
            ColumnKey::Event => self.shared_texts(group, key, &Property::Event)?,
            ColumnKey::Text(property) => self.shared_texts(group, key, property)?,
            ColumnKey::Number(Property::Key(name)) => {
                Column::Numbers(Arc::new(self.key_numbers(group, name)?))
            }
            ColumnKey::Presence(_) => unreachable!("presence is decoded from its own file"),
            ColumnKey::Number(Property::Session | Property::Identity) => {
                Column::of_numbers(vec![f64::NAN; self.group_rows(group)])
            }
            ColumnKey::Number(property) => {
                let texts = Column::of_texts(self.text_property(group, property)?);
                Column::of_numbers(texts.texts().numbers())
            }
        })
    }

    fn runs(&self, group: u32) -> Result<Runs, ScanError> {
        let mut projects = self.pages(group, "project", &DataType::UInt32)?;
        let table = projects.table(u32::from_le_bytes)?;
        let projects = projects.runs(&table)?;
        let mut persons = self.pages(group, "person", &DataType::UInt64)?;
        let table = persons.table(u64::from_le_bytes)?;
        if let (Some(projects), Some(persons)) = (projects, persons.runs(&table)?) {
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
        let read = pages.differences(|times| {
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

    fn flags(&self, group: u32) -> Result<Vec<u8>, ScanError> {
        let mut pages = self.pages(group, "flags", &DataType::UInt8)?;
        let table = pages.table(|bytes| u32::from_le_bytes(bytes) as u8)?;
        match pages.by_code(&table, 0)? {
            Some(flags) => Ok(flags),
            None => Ok(self.primitive::<UInt8Type>(&self.column(group, "flags")?)?.to_vec()),
        }
    }

    /// A text column with the codes that all blocks of the segment share, if it has few values.
    fn shared_texts(
        &self,
        group: u32,
        key: &ColumnKey,
        property: &Property,
    ) -> Result<Column, ScanError> {
        if let Some(name) = self.sole_column(property) {
            let mut pages = self.pages(group, &name, &layout::text())?;
            let (values, codes) = self.share(key, &pages.texts()?);
            let count = 1 + codes.iter().max().map_or(0, |code| *code as usize);
            let codes = match Codes::new(codes.into_iter(), count) {
                Codes::U8(codes) => pages.by_code(&codes, 0)?.map(Codes::U8),
                Codes::U16(codes) => pages.by_code(&codes, 0)?.map(Codes::U16),
                Codes::U32(codes) => pages.by_code(&codes, 0)?.map(Codes::U32),
            };
            if let Some(codes) = codes {
                return Ok(Column::Texts(TextColumn { codes: Arc::new(codes), values }));
            }
        }
        let texts = self.text_property(group, property)?;
        let (values, codes) = self.share(key, &texts.values);
        let count = 1 + codes.iter().max().map_or(0, |code| *code as usize);
        let code = |own: u32| if own == 0 { 0 } else { codes[own as usize - 1] };
        let codes = Codes::new(texts.codes.into_iter().map(code), count);
        Ok(Column::Texts(TextColumn { codes: Arc::new(codes), values }))
    }

    /// The text column that has all there is of a property.
    fn sole_column(&self, property: &Property) -> Option<Cow<'static, str>> {
        match property {
            Property::Event => Some("event".into()),
            Property::Dim(dim) => {
                let column = self.arrow.schema().column_with_name(dim.name());
                column.map(|_| dim.name().into())
            }
            Property::Key(name) if !self.info.rest_may_hold(name) => {
                let promoted = self.info.promoted(name)?;
                (promoted.kind == PromotedKind::Text).then(|| format!("p.{name}").into())
            }
            Property::Session | Property::Identity | Property::Key(_) => None,
        }
    }

    /// Values that blocks of the segment share, and what those of this block are there; its own when
    /// there are too many.
    fn share<T: AsRef<str>>(&self, key: &ColumnKey, own: &[T]) -> (Arc<Values>, Vec<u32>) {
        let values = {
            let mut known = self.values.lock().unwrap_or_else(PoisonError::into_inner);
            match known.get(key).and_then(Weak::upgrade) {
                Some(values) => values,
                None => {
                    let values = Arc::new(Values::Shared(SharedValues::default()));
                    known.insert(key.clone(), Arc::downgrade(&values));
                    values
                }
            }
        };
        let Values::Shared(shared) = &*values else { unreachable!("made above") };
        if let Some(codes) = shared.codes_of(own) {
            return (values, codes);
        }
        let values = own.iter().map(|value| value.as_ref().into()).collect();
        (Arc::new(Values::Own(values)), (1..=own.len() as u32).collect())
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

    /// The users that rows came with, where those are not their persons any more, else 0; `None` when
    /// there are none.
    fn origins(&self, group: u32) -> Result<Option<Vec<u64>>, ScanError> {
        let is_there = self.arrow.schema().column_with_name(ORIGIN).is_some();
        if !is_there || self.is_absent(group, ORIGIN) {
            return Ok(None); // Without, it was written before there were links.
        }
        let column = self.column(group, ORIGIN)?;
        let origins = column.as_primitive_opt::<UInt64Type>().ok_or_else(|| self.wrong_type())?;
        let has_some = origins.null_count() < origins.len();
        Ok(has_some.then(|| origins.iter().map(Option::unwrap_or_default).collect()))
    }

    fn text_property(&self, group: u32, property: &Property) -> Result<Texts, ScanError> {
        match property {
            Property::Event => self.texts(group, "event"),
            Property::Session => {
                let column = self.column(group, "session")?;
                let sessions: Vec<u128> = self.fixed(&column)?.iter().map(id).collect();
                Ok(session_texts(&sessions))
            }
            Property::Identity => Ok(identity_texts(&self.flags(group)?)),
            Property::Dim(dim) => self.dim_texts(group, *dim),
            Property::Key(name) => self.key_texts(group, name),
        }
    }

    /// A dimension that was added later has no column in older files.
    fn dim_texts(&self, group: u32, dim: Dim) -> Result<Texts, ScanError> {
        match self.arrow.schema().column_with_name(dim.name()) {
            Some(_) => self.texts(group, dim.name()),
            None => Ok(Texts { codes: vec![0; self.group_rows(group)], values: Vec::new() }),
        }
    }

    /// A property as text: from its column, if it has one, and from the rest, if it can be there.
    fn key_texts(&self, group: u32, name: &str) -> Result<Texts, ScanError> {
        let rows = self.group_rows(group);
        let column = format!("p.{name}");
        let mut texts = match self.info.promoted(name).map(|promoted| promoted.kind) {
            None => Texts { codes: vec![0; rows], values: Vec::new() },
            Some(PromotedKind::Text) => self.texts(group, &column)?,
            Some(PromotedKind::Number) => {
                let column = self.column(group, &column)?;
                texts_of_numbers(
                    column
                        .as_primitive_opt::<Float64Type>()
                        .ok_or_else(|| self.wrong_type())?
                        .iter(),
                )
            }
            Some(PromotedKind::Bool) => {
                let column = self.column(group, &column)?;
                let bools = column.as_boolean_opt().ok_or_else(|| self.wrong_type())?;
                let code = |value: Option<bool>| value.map_or(0, |yes| 1 + u32::from(yes));
                Texts {
                    codes: bools.iter().map(code).collect(),
                    values: vec!["false".into(), "true".into()],
                }
            }
        };
        if self.info.rest_may_hold(name) {
            let mut rest = TextsBuilder::continue_from(texts.values);
            self.each_rest(group, |row, object| {
                if let Some(entry) = props::find(object, name) {
                    texts.codes[row] = rest.code_of(entry.text().as_deref());
                }
            })?;
            texts.values = rest.finish().values;
        }
        Ok(texts)
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
                match pages.by_code(&table, f64::NAN)? {
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

    fn each_rest(&self, group: u32, show: impl FnMut(usize, &str)) -> Result<(), ScanError> {
        self.pages(group, "props", &DataType::Utf8)?.each_text(show)
    }

    /// A text column as it is in the file.
    fn texts(&self, group: u32, name: &str) -> Result<Texts, ScanError> {
        let column = self.column(group, name)?;
        let column = column.as_dictionary_opt::<Int32Type>().ok_or_else(|| self.wrong_type())?;
        let values = column.values().as_string_opt::<i32>().ok_or_else(|| self.wrong_type())?;
        let keys = column.keys();
        let codes = match keys.nulls() {
            None => keys.values().iter().map(|&key| key as u32 + 1).collect(),
            Some(nulls) => {
                let keys = keys.values().iter().zip(nulls);
                keys.map(|(&key, present)| if present { key as u32 + 1 } else { 0 }).collect()
            }
        };
        Ok(Texts { codes, values: values.iter().map(|text| text.unwrap_or("").into()).collect() })
    }
}

/// Each distinct number is written as text once.
fn texts_of_numbers(numbers: impl Iterator<Item = Option<f64>>) -> Texts {
    let mut texts = Texts::default();
    let mut codes: HashMap<u64, u32> = HashMap::new();
    for number in numbers {
        let code = number.map_or(0, |number| {
            *codes.entry(number.to_bits()).or_insert_with(|| {
                texts.values.push(props::text_of_number(number).into());
                texts.values.len() as u32
            })
        });
        texts.codes.push(code);
    }
    texts
}
