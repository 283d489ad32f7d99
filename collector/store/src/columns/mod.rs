//! Rows as columns, on their way to a segment: what flushes, merges and imports hand on.
//!
//! In: a sorted run of the memtable, row groups of a segment, or an import. Out: the same rows,
//! gathered column by column into a row group ([`group`](crate::segment)).
//!
//! Properties may be taken apart, one typed column per key, and what has no column is in `rest`, a
//! JSON text per row. A row has the values of its columns and those of `rest`; where both have a
//! key, `rest` counts, as the last of two equal keys does.
//!
//! Invariant: all columns have the same length, or are empty where no row has a value.
//!
//! Deliberately elsewhere: columns for questions (`block`), which are decoded one by one.

mod coded;

use crate::memtable::SortKey;
use crate::props;
use crate::row;
pub(crate) use coded::{Coded, CodedBuilder, Dictionary};

/// Some rows, in any order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Columns {
    pub project: Vec<u32>,
    pub person: Vec<u64>,
    pub actor: Vec<u64>,
    /// The user that a row came with, where that is not its person any more, else 0; nothing at all
    /// when no row has one.
    pub origin: Vec<u64>,
    pub ts: Vec<i64>,
    pub seq: Vec<u32>,
    /// 0 where ids were dropped.
    pub event_id: Vec<u128>,
    pub received: Vec<i64>,
    pub claimed: Vec<i64>,
    pub flags: Vec<u8>,
    pub event: Coded,
    /// 0 for none.
    pub session: Vec<u128>,
    /// By `Dim`.
    pub dims: Vec<Coded>,
    /// Properties with a column, by key, each key once.
    pub properties: Vec<PropertyColumn>,
    pub rest: Rest,
}

/// One property of all rows.
#[derive(Debug, Clone)]
pub(crate) struct PropertyColumn {
    pub key: Box<str>,
    pub values: Values,
}

/// Values of one type.
#[derive(Debug, Clone)]
pub(crate) enum Values {
    Texts(Coded),
    /// `NaN` is absent.
    Numbers(Vec<f64>),
    /// 0 is absent, 1 `false`, 2 `true`.
    Bools(Vec<u8>),
}

impl Columns {
    /// Rows.
    pub(crate) fn len(&self) -> usize {
        self.project.len()
    }

    /// What rows are sorted by.
    pub(crate) fn sort_key(&self, row: usize) -> SortKey {
        (self.project[row], self.person[row], self.ts[row], self.seq[row], self.event_id[row])
    }

    /// The id that a row came with, before anybody was joined.
    pub(crate) fn base(&self, row: usize) -> u64 {
        let origin = self.origin.get(row).copied().unwrap_or(0);
        row::base(self.person[row], self.actor[row], self.flags[row], origin)
    }

    /// The column of a property.
    pub(crate) fn property(&self, key: &str) -> Option<&Values> {
        let found = self.properties.iter().find(|property| *property.key == *key);
        found.map(|property| &property.values)
    }

    /// Append the properties of a row as a JSON object: those with a column first, then the rest
    /// as written.
    pub(crate) fn push_props(&self, row: usize, out: &mut String) {
        let rest = self.rest.get(row);
        let rest = if rest.is_empty() { "{}" } else { rest };
        let Some(rest) = rest.strip_prefix('{') else {
            // Not an object: kept as it came.
            out.push_str(rest);
            return;
        };
        let start = out.len() + 1;
        for property in &self.properties {
            if property.values.has(row) {
                out.push(if out.len() < start { '{' } else { ',' });
                props::quote(&property.key, out);
                out.push(':');
                property.values.push_json(row, out);
            }
        }
        if out.len() < start {
            out.push('{');
        } else if rest != "}" {
            out.push(',');
        }
        out.push_str(rest);
    }
}

impl Values {
    pub(crate) fn has(&self, row: usize) -> bool {
        match self {
            Self::Texts(texts) => texts.code(row) != 0,
            Self::Numbers(numbers) => !numbers[row].is_nan(),
            Self::Bools(bools) => bools[row] != 0,
        }
    }

    /// Append the value of a row that has one, as JSON.
    pub(crate) fn push_json(&self, row: usize, out: &mut String) {
        match self {
            Self::Texts(texts) => props::quote(texts.get(row).unwrap_or(""), out),
            Self::Numbers(numbers) => out.push_str(&props::text_of_number(numbers[row])),
            Self::Bools(bools) => out.push_str(if bools[row] == 2 { "true" } else { "false" }),
        }
    }
}

/// A text per row, empty for most: one string and where each text ends.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rest {
    text: String,
    /// Shorter than the rows when the last ones have nothing.
    ends: Vec<usize>,
}

impl Rest {
    /// A row's text.
    pub(crate) fn get(&self, row: usize) -> &str {
        let Some(&end) = self.ends.get(row) else { return "" };
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.text[start..end]
    }

    /// Whether no row has one.
    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Set the text of a row behind all rows that have one.
    pub(crate) fn set(&mut self, row: usize, write: impl FnOnce(&mut String)) {
        debug_assert!(self.ends.len() <= row, "rows come in order");
        self.ends.resize(row, self.text.len());
        write(&mut self.text);
        self.ends.push(self.text.len());
    }
}
