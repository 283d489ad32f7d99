//! Which texts a row group may have: so that a question for a rare one decodes the few groups that do.
//!
//! In: a text property of a row group. Out: its Bloom filter, as the format has it: any engine that
//! reads our files may use it. Written for columns of many different texts ([`with_many_texts`]); where
//! there are few, nearly every group has each of them.
//!
//! Invariant: what a filter says is not there is in no row of the group. A property that can be anywhere
//! but in the column has no filter here.

use parquet::bloom_filter::Sbbf;

use super::Segment;
use super::pages::READ_AHEAD;
use crate::block::{Column, Property};
use crate::columns::{Coded, Columns, Values};
use crate::error::ScanError;
use crate::row::Dim;

/// Different texts of a row group from which on its column has a filter.
const MANY: usize = 200;
/// A filter has room for so many texts, and is cut to those it got.
pub(super) const TEXTS_MAX: u64 = 1 << 16;
/// How often it may be wrong: about ten bits a text.
pub(super) const WRONG_RATIO: f64 = 0.01;

/// The columns of many different texts, by their names in a file, as its first row group has them.
pub(super) fn with_many_texts(group: &Columns) -> Vec<String> {
    let is_many = |texts: &Coded| texts.values.len() >= MANY;
    let dims = Dim::ALL.iter().zip(&group.dims).filter(|(_, texts)| is_many(texts));
    let dims = dims.map(|(dim, _)| dim.name().to_owned());
    let properties = group.properties.iter().filter_map(|property| match &property.values {
        Values::Texts(texts) if is_many(texts) => Some(format!("p.{}", property.key)),
        Values::Texts(_) | Values::Numbers(_) | Values::Bools(_) => None,
    });
    dims.chain(properties).collect()
}

impl Segment {
    /// Where the filter of a property is, if the file has one: start and length.
    pub(super) fn bloom_range(&self, group: u32, property: &Property) -> Option<(u64, u64)> {
        let name = self.sole_column(property)?;
        let chunk = self.chunk(group, &name)?;
        let start = u64::try_from(chunk.bloom_filter_offset()?).ok()?;
        Some((start, u64::try_from(chunk.bloom_filter_length()?).ok()?))
    }

    /// Read it.
    pub(super) fn bloom(&self, group: u32, property: &Property) -> Result<Column, ScanError> {
        let range = self.bloom_range(group, property);
        let range = range.ok_or_else(|| self.damaged("a filter is missing"))?;
        if let Some(next) = self.bloom_range(group + READ_AHEAD, property) {
            self.file.will_read(next);
        }
        let bloom = self.file.bytes(range).and_then(|bytes| Ok(Sbbf::from_bytes(&bytes)?));
        bloom.map(Column::Bloom).map_err(|error| self.damaged(&error.to_string()))
    }
}
