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

use std::collections::BTreeMap;

use crate::memtable::{RowRef, SortKey};
use crate::props::{self, ValueType};
use crate::row::{self, Dim};
use crate::schema::TypeCounts;
pub(crate) use coded::CodedBuilder;
pub use coded::{Coded, Dictionary};
pub use props::text_of_number;

/// Some rows, in any order.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields of `Row`, which says what they mean")]
pub struct Columns {
    pub project: Vec<u32>,
    pub person: Vec<u64>,
    pub actor: Vec<u64>,
    /// The user that a row came with, where that is not its person any more, else 0; nothing at all
    /// when no row has one.
    pub origin: Vec<u64>,
    pub ts: Vec<i64>,
    pub seq: Vec<u32>,
    /// Nothing at all when no row has one.
    pub writer: Vec<u64>,
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
pub struct PropertyColumn {
    /// Its name.
    pub key: Box<str>,
    /// Its values.
    pub values: Values,
}

/// Values of one type.
#[derive(Debug, Clone)]
pub enum Values {
    /// Texts.
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

    /// A whole row, borrowed; `props` is what [`Columns::push_props`] makes of its properties.
    pub(crate) fn row<'a>(&'a self, row: usize, props: &'a str) -> RowRef<'a> {
        let mut dims = [None; Dim::ALL.len()];
        dims.iter_mut().zip(&self.dims).for_each(|(dim, column)| *dim = column.get(row));
        RowRef {
            project: self.project[row],
            person: self.person[row],
            actor: self.actor[row],
            base: self.base(row),
            ts_ms: self.ts[row],
            seq: self.seq[row],
            writer: self.writer.get(row).copied().unwrap_or(0),
            event_id: self.event_id[row],
            received_ms: self.received[row],
            claimed_ms: self.claimed[row],
            flags: self.flags[row],
            event: self.event.get(row).unwrap_or(""),
            session: self.session[row],
            dims,
            props,
        }
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

    /// How large each row is as text: its event's name and its properties as JSON.
    pub(crate) fn text_bytes(&self) -> Vec<u32> {
        let of_text = |text: &str| {
            let mut quoted = String::new();
            props::quote(text, &mut quoted);
            quoted.len() as u32
        };
        let names: Vec<u32> = self.event.values.iter().map(|name| name.len() as u32).collect();
        let name = |row| (self.event.code(row) as usize).checked_sub(1).map_or(0, |at| names[at]);
        let mut bytes: Vec<u32> = (0..self.len()).map(|row| 2 + name(row)).collect();
        let mut entries = vec![0u32; self.len()];
        for PropertyColumn { key, values } in &self.properties {
            let key = of_text(key) + 1;
            let mut add = |row: usize, value: u32| {
                bytes[row] += key + value;
                entries[row] += 1;
            };
            match values {
                Values::Texts(coded) => {
                    let texts: Vec<u32> = coded.values.iter().map(|text| of_text(text)).collect();
                    let codes = coded.codes.iter().enumerate().filter(|(_, code)| **code != 0);
                    codes.for_each(|(row, code)| add(row, texts[*code as usize - 1]));
                }
                Values::Numbers(numbers) => {
                    let numbers = numbers.iter().enumerate().filter(|(_, n)| !n.is_nan());
                    numbers.for_each(|(row, n)| add(row, props::text_of_number(*n).len() as u32));
                }
                Values::Bools(bools) => {
                    let bools = bools.iter().enumerate().filter(|(_, bool)| **bool != 0);
                    bools.for_each(|(row, bool)| add(row, 6 - u32::from(*bool)));
                }
            }
        }
        for (row, (bytes, entries)) in bytes.iter_mut().zip(entries).enumerate() {
            let rest = (self.rest.get(row).len() as u32).saturating_sub(2);
            *bytes += rest + entries.saturating_sub(u32::from(rest == 0));
        }
        bytes
    }

    /// Memory that the rows take, about.
    pub(crate) fn bytes(&self) -> usize {
        /// Everything but texts and properties.
        const FIXED: usize = 104;
        let coded = |coded: &Coded| {
            let values = coded.values.iter().map(|text| text.len() + 32).sum::<usize>();
            coded.codes.len() * 4 + values
        };
        let properties = self.properties.iter().map(|property| match &property.values {
            Values::Texts(texts) => coded(texts),
            Values::Numbers(numbers) => numbers.len() * 8,
            Values::Bools(bools) => bools.len(),
        });
        let rest = self.rest.text.len() + self.rest.ends.len() * 8;
        let texts = coded(&self.event) + self.dims.iter().map(coded).sum::<usize>();
        self.len() * FIXED + texts + rest + properties.sum::<usize>()
    }

    /// How often each property occurs, by type.
    pub(crate) fn property_counts(&self, counts: &mut BTreeMap<Box<str>, TypeCounts>) {
        let mut add = |key: &str, types: TypeCounts| match counts.get_mut(key) {
            Some(sum) => sum.add(&types),
            None => drop(counts.insert(key.into(), types)),
        };
        for PropertyColumn { key, values } in &self.properties {
            let mut types = TypeCounts::default();
            let rows = (0..self.len()).filter(|&row| values.has(row));
            rows.for_each(|_| types.add_one(values.value_type()));
            if types.total() > 0 {
                add(key, types);
            }
        }
        for row in 0..self.rest.ends.len() {
            for entry in props::entries(self.rest.get(row)).into_iter().flatten() {
                add(&entry.key(), TypeCounts::one(entry.value_type()));
            }
        }
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
    /// Whether a row has one.
    pub fn has(&self, row: usize) -> bool {
        match self {
            Self::Texts(texts) => texts.code(row) != 0,
            Self::Numbers(numbers) => !numbers[row].is_nan(),
            Self::Bools(bools) => bools[row] != 0,
        }
    }

    pub(crate) fn value_type(&self) -> ValueType {
        match self {
            Self::Texts(_) => ValueType::Text,
            Self::Numbers(_) => ValueType::Number,
            Self::Bools(_) => ValueType::Bool,
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
pub struct Rest {
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
    pub fn set(&mut self, row: usize, write: impl FnOnce(&mut String)) {
        debug_assert!(self.ends.len() <= row, "rows come in order");
        self.ends.resize(row, self.text.len());
        write(&mut self.text);
        self.ends.push(self.text.len());
    }
}
