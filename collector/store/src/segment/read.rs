//! Columns of a segment file as the driver wants them.

use std::sync::{Arc, PoisonError, Weak};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float64Type, Int32Type, TimestampMillisecondType, UInt8Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use hashbrown::HashMap;
use tallymark_analysis::columns::Codes;

use super::arrays::id;
use super::info::PromotedKind;
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
            ColumnKey::Runs => {
                let columns = self.columns(group, &["project", "person"])?;
                let projects = self.primitive::<UInt32Type>(&columns[0])?;
                let persons = self.primitive::<UInt64Type>(&columns[1])?;
                let rows = projects.iter().copied().zip(persons.iter().copied());
                Column::Runs(Runs::collect(rows))
            }
            ColumnKey::Ts => {
                let column = self.column(group, "ts")?;
                Column::of_times(self.primitive::<TimestampMillisecondType>(&column)?)
            }
            // Whoever asks for ties puts them together from what is decoded already.
            ColumnKey::Actor | ColumnKey::Ties => {
                let columns = self.columns(group, &["person", "actor"])?;
                let persons = self.primitive::<UInt64Type>(&columns[0])?;
                let actors = self.actors(&columns[1], persons)?;
                Column::Actors((persons != actors).then(|| Arc::new(actors)))
            }
            ColumnKey::Base => {
                let columns = self.columns(group, &["person", "actor", "flags"])?;
                let persons = self.primitive::<UInt64Type>(&columns[0])?;
                let actors = self.actors(&columns[1], persons)?;
                let flags = self.primitive::<UInt8Type>(&columns[2])?;
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
            ColumnKey::Session => {
                let columns = self.columns(group, &["session", "flags"])?;
                let flags = self.primitive::<UInt8Type>(&columns[1])?;
                let rows = self.fixed(&columns[0])?.iter().zip(flags);
                let numbers =
                    rows.map(|(bytes, flags)| session_number(id(bytes), *flags)).collect();
                Column::Sessions(Arc::new(numbers))
            }
            ColumnKey::Event => self.shared(key, self.texts(group, "event")?),
            ColumnKey::Text(property) => self.shared(key, self.text_property(group, property)?),
            ColumnKey::Number(Property::Key(name)) => {
                Column::of_numbers(self.key_numbers(group, name)?)
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
        if self.arrow.schema().column_with_name(ORIGIN).is_none() {
            return Ok(None); // Written before there were links.
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
            Property::Identity => {
                let column = self.column(group, "flags")?;
                Ok(identity_texts(self.primitive::<UInt8Type>(&column)?))
            }
            Property::Dim(dim) => self.dim_texts(group, *dim),
            Property::Key(name) => self.key_texts(group, name),
        }
    }

    /// A column with the codes that all blocks of the segment share, if it has few values.
    fn shared(&self, key: &ColumnKey, texts: Texts) -> Column {
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
        let Some(codes) = shared.codes_of(&texts.values) else { return Column::of_texts(texts) };
        let largest = codes.iter().max().map_or(0, |code| *code as usize);
        let code = |own: u32| if own == 0 { 0 } else { codes[own as usize - 1] };
        let codes = Codes::new(texts.codes.into_iter().map(code), largest + 1);
        Column::Texts(TextColumn { codes: Arc::new(codes), values })
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
    fn key_numbers(&self, group: u32, name: &str) -> Result<Vec<f64>, ScanError> {
        let rows = self.group_rows(group);
        let column = format!("p.{name}");
        let mut numbers = match self.info.promoted(name).map(|promoted| promoted.kind) {
            None | Some(PromotedKind::Bool) => vec![f64::NAN; rows],
            Some(PromotedKind::Text) => {
                Column::of_texts(self.texts(group, &column)?).texts().numbers()
            }
            Some(PromotedKind::Number) => {
                let column = self.column(group, &column)?;
                let column =
                    column.as_primitive_opt::<Float64Type>().ok_or_else(|| self.wrong_type())?;
                column.iter().map(|number| number.unwrap_or(f64::NAN)).collect()
            }
        };
        if self.info.rest_may_hold(name) {
            self.each_rest(group, |row, object| {
                if let Some(entry) = props::find(object, name) {
                    numbers[row] = entry.number();
                }
            })?;
        }
        Ok(numbers)
    }

    fn each_rest(&self, group: u32, mut each: impl FnMut(usize, &str)) -> Result<(), ScanError> {
        let column = self.column(group, "props")?;
        let rest = column.as_string_opt::<i32>().ok_or_else(|| self.wrong_type())?;
        for (row, object) in rest.iter().enumerate() {
            if let Some(object) = object {
                each(row, object);
            }
        }
        Ok(())
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
