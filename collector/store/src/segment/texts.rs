//! Properties as text, decoded from a segment file: from a column of their own, from the JSON of what
//! has none, or from both.
//!
//! Out: codes that all blocks of the segment share, if there are few values; of columns that few rows
//! have, only those rows.

use std::borrow::Cow;
use std::sync::{Arc, PoisonError, Weak};

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type};
use arrow_schema::DataType;
use hashbrown::HashMap;
use tallymark_analysis::columns::Codes;

use super::Segment;
use super::arrays::id;
use super::info::PromotedKind;
use super::layout;
use super::packed::{Decoded, Packed};
use super::pages::{Pages, Which};
use crate::block::{Column, Property, SharedValues, TextColumn, Texts, TextsBuilder, Values};
use crate::error::ScanError;
use crate::memtable::{identity_texts, session_texts};
use crate::props;
use crate::row::{IDENTITIES, identity_code};

impl Segment {
    /// A text column with the codes that all blocks of the segment share, if it has few values; with its
    /// table, if that is known.
    pub(super) fn shared_texts(
        &self,
        group: u32,
        property: &Property,
        table: Option<&TextColumn>,
    ) -> Result<Decoded, ScanError> {
        if let Some(name) = self.sole_column(property) {
            let which = if table.is_some() { Which::Codes } else { Which::All };
            self.read_ahead(group, &name, which);
            let mut pages = self.some_pages(group, &name, &layout::text(), which)?;
            let TextColumn { codes: table, values } = match table {
                Some(table) => table.clone(),
                None => self.share(property, &pages.texts()?),
            };
            let rows = self.group_rows(group);
            let is_sparse = |present| Packed::is_sparse(present, rows);
            let decoded = if self.present(group, &name).is_some_and(is_sparse) {
                let present = match &*table {
                    Codes::U8(table) => present_by(pages, table, Codes::U8)?,
                    Codes::U16(table) => present_by(pages, table, Codes::U16)?,
                    Codes::U32(table) => present_by(pages, table, Codes::U32)?,
                };
                present.map(|(present, codes)| Decoded::of_present(present, codes, rows, values))
            } else if self.is_in_runs(group, &name) {
                let runs = match &*table {
                    Codes::U8(table) => runs_by(pages, table, Codes::U8)?,
                    Codes::U16(table) => runs_by(pages, table, Codes::U16)?,
                    Codes::U32(table) => runs_by(pages, table, Codes::U32)?,
                };
                runs.map(|(codes, ends)| Decoded::of_runs(ends, codes, rows, values))
            } else {
                let codes = match &*table {
                    Codes::U8(table) => pages.by_code(table, 0)?.map(Codes::U8),
                    Codes::U16(table) => pages.by_code(table, 0)?.map(Codes::U16),
                    Codes::U32(table) => pages.by_code(table, 0)?.map(Codes::U32),
                };
                codes.map(|codes| Decoded::Dense(TextColumn { codes: Arc::new(codes), values }))
            };
            if let Some(decoded) = decoded {
                return Ok(decoded);
            }
        }
        if *property == Property::Identity {
            // Three values of every row, which most questions about people may ask for.
            let TextColumn { codes: shared, values } = self.share(property, &IDENTITIES);
            let code = |flags| shared.get(usize::from(identity_code(flags)) - 1) as u8;
            let codes = Arc::new(Codes::U8(self.by_flags(group, code)?));
            return Ok(Decoded::Dense(TextColumn { codes, values }));
        }
        if self.is_outside_columns(property) {
            let (present, texts) = self.rest_texts(group, property)?;
            let TextColumn { codes: table, values } = self.share(property, &texts.values);
            let codes = Codes::narrow(texts.codes.iter().map(|own| table.get(*own as usize - 1)));
            return Ok(Decoded::of_present(present, codes, self.group_rows(group), values));
        }
        let texts = self.text_property(group, property)?;
        let TextColumn { codes: table, values } = self.share(property, &texts.values);
        let code = |own: &u32| own.checked_sub(1).map_or(0, |own| table.get(own as usize));
        let codes = Codes::narrow(texts.codes.iter().map(code));
        Ok(Column::Texts(TextColumn { codes: Arc::new(codes), values }).into())
    }

    /// The text column that has all there is of a property.
    pub(super) fn sole_column(&self, property: &Property) -> Option<Cow<'static, str>> {
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
            Property::Session
            | Property::Identity
            | Property::Writer
            | Property::Seq
            | Property::Key(_) => None,
        }
    }

    /// Whether a property's texts have a table that is worth keeping, and says which there are: it is as good
    /// as a filter, and whoever reads the column again need not read its dictionary.
    pub(super) fn has_table(&self, group: u32, property: &Property) -> bool {
        self.bloom_range(group, property).is_some()
            && self.sole_column(property).is_some_and(|name| self.is_coded(group, &name))
    }

    /// Bytes of a part of the column that has all there is of a property.
    pub(super) fn bytes_of(&self, group: u32, property: &Property, which: Which) -> Option<u64> {
        Some(which.range(self.chunk(group, &self.sole_column(property)?)?).1)
    }

    /// What the codes of a file are in a text column, if it has any.
    pub(super) fn table(&self, group: u32, property: &Property) -> Result<TextColumn, ScanError> {
        let name = self.sole_column(property).filter(|name| self.is_coded(group, name));
        let Some(name) = name else { return Ok(self.share::<&str>(property, &[])) };
        self.read_ahead(group, &name, Which::Dictionary);
        let mut pages = self.some_pages(group, &name, &layout::text(), Which::Dictionary)?;
        Ok(self.share(property, &pages.texts()?))
    }

    /// The rows that have one of some codes in a property's column, by its table. `None` where that takes
    /// more than a look at the column.
    pub(super) fn rows_having(
        &self,
        group: u32,
        property: &Property,
        table: &TextColumn,
        wanted: &[u32],
    ) -> Result<Option<Vec<u32>>, ScanError> {
        let all = 0..table.codes.len() as u32;
        let own: Vec<u32> =
            all.filter(|own| wanted.contains(&table.codes.get(*own as usize))).collect();
        if own.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let Some(name) = self.sole_column(property) else { return Ok(None) };
        // Most row groups have no such row, and of one that has the time is wanted next.
        self.will_read(group, "ts", Which::All);
        self.some_pages(group, &name, &layout::text(), Which::Codes)?.rows_with(&own)
    }

    /// Whether a property has no column here.
    pub(super) fn is_outside_columns(&self, property: &Property) -> bool {
        match property {
            // A dimension that was added later.
            Property::Dim(dim) => self.arrow.schema().column_with_name(dim.name()).is_none(),
            Property::Key(name) => self.info.promoted(name).is_none(),
            Property::Event | Property::Session | Property::Identity => false,
            // Only numbers.
            Property::Writer | Property::Seq => true,
        }
    }

    /// The rows that have a property without having a column for it, and their texts.
    fn rest_texts(&self, group: u32, property: &Property) -> Result<(Vec<u32>, Texts), ScanError> {
        let (mut present, mut texts) = (Vec::new(), TextsBuilder::default());
        if let Property::Key(name) = property
            && self.info.rest_may_hold(name)
        {
            self.each_rest(group, |row, object| {
                let text = props::find(object, name).and_then(|entry| entry.text());
                if let Some(text) = text {
                    present.push(row as u32);
                    texts.push(Some(&text));
                }
            })?;
        }
        Ok((present, texts.finish()))
    }

    /// Values that blocks of the segment share, and what those of this block are there; its own when
    /// there are too many.
    fn share<T: AsRef<str>>(&self, property: &Property, own: &[T]) -> TextColumn {
        let values = {
            let mut known = self.values.lock().unwrap_or_else(PoisonError::into_inner);
            match known.get(property).and_then(Weak::upgrade) {
                Some(values) => values,
                None => {
                    let values = Arc::new(Values::Shared(SharedValues::default()));
                    known.insert(property.clone(), Arc::downgrade(&values));
                    values
                }
            }
        };
        let Values::Shared(shared) = &*values else { unreachable!("made above") };
        if let Some(codes) = shared.codes_of(own) {
            return TextColumn { codes: Arc::new(Codes::narrow(codes.into_iter())), values };
        }
        let values = own.iter().map(|value| value.as_ref().into()).collect();
        let codes = Codes::new(1..=own.len() as u32, own.len() + 1);
        TextColumn { codes: Arc::new(codes), values: Arc::new(Values::Own(values)) }
    }

    pub(super) fn text_property(
        &self,
        group: u32,
        property: &Property,
    ) -> Result<Texts, ScanError> {
        match property {
            Property::Event => self.texts(group, "event"),
            Property::Session => {
                let column = self.column(group, "session")?;
                let sessions: Vec<u128> = self.fixed(&column)?.iter().map(id).collect();
                Ok(session_texts(&sessions))
            }
            Property::Identity => Ok(identity_texts(&self.flags(group)?)),
            Property::Writer | Property::Seq => unreachable!("outside of columns"),
            Property::Dim(dim) => self.texts(group, dim.name()),
            Property::Key(name) => self.key_texts(group, name),
        }
    }

    /// A property as text: from its column, and from the rest, if it can be there.
    fn key_texts(&self, group: u32, name: &str) -> Result<Texts, ScanError> {
        let column = format!("p.{name}");
        let mut texts = match self.info.promoted(name).map(|promoted| promoted.kind) {
            None => unreachable!("outside of columns"),
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

    pub(super) fn each_rest(
        &self,
        group: u32,
        show: impl FnMut(usize, &str),
    ) -> Result<(), ScanError> {
        self.pages(group, "props", &DataType::Utf8)?.each_text(show)
    }

    /// A text column as it is in the file.
    pub(super) fn texts(&self, group: u32, name: &str) -> Result<Texts, ScanError> {
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

/// The rows that have a value, and their codes.
fn present_by<T: Copy>(
    pages: Pages<'_>,
    table: &[T],
    width: impl FnOnce(Vec<T>) -> Codes,
) -> Result<Option<(Vec<u32>, Codes)>, ScanError> {
    Ok(pages.present_by_code(table)?.map(|(rows, codes)| (rows, width(codes))))
}

/// The codes of runs of equal rows, and the rows behind them.
fn runs_by<T: Copy + Default + PartialEq>(
    pages: Pages<'_>,
    table: &[T],
    width: impl FnOnce(Vec<T>) -> Codes,
) -> Result<Option<(Codes, Vec<u32>)>, ScanError> {
    let runs = pages.runs(table, Some(T::default()))?;
    Ok(runs.map(|runs| {
        let (codes, ends): (Vec<T>, Vec<u32>) = runs.into_iter().unzip();
        (width(codes), ends)
    }))
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
