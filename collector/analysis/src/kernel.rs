//! The waist between a store and the analyses: kernels eat runs and give partial tables.
//!
//! In: a compiled question ([`Analysis`]) and the runs a store feeds to its kernels.
//! Out: one [`Partial`] per kernel, merged by adding rows with equal keys.
//!
//! Invariant: persons are disjoint between kernels (threads, shards), so merging is always
//! "group by the keys, add the rest", in any order, and the merged table equals the one a single
//! kernel would have made.
//!
//! Deliberately elsewhere: threads and files (the store), reading a table as an answer (each
//! analysis), who may ask (the collector).

use std::collections::BTreeMap;

use crate::answer::{Answer, Facts};
use crate::events::{Dictionaries, Run, ScanPlan};

/// A compiled question: what to scan, how to count, how to read the result.
pub trait Analysis: Send + Sync {
    /// What the kernels need to see.
    fn scan(&self) -> &ScanPlan;
    /// A fresh kernel for one thread.
    fn kernel(&self) -> Box<dyn Kernel>;
    /// The answer a person reads.
    fn answer(&self, partial: &Partial, facts: &Facts) -> Answer;
}

/// Counts over one thread's persons.
pub trait Kernel: Send {
    /// Everything one person did in the scan. Called once per person.
    fn person(&mut self, run: &Run<'_>, dictionaries: &Dictionaries);
    /// The partial table. Codes become texts here, so tables of different threads can merge.
    fn finish(self: Box<Self>, dictionaries: &Dictionaries) -> Partial;
}

/// One key of a partial table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// "Absent", sorted first.
    None,
    /// A number: a bucket, a level, an offset, a series index.
    Int(i64),
    /// A text: a breakdown value, a path, a variant.
    Text(Box<str>),
}

/// A table of key columns and additive columns.
///
/// Additive columns are `f64`: counts below 2^53 are exact in it. A sum of values that must not
/// depend on the order of merging is rounded once, by the analysis that reads it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Partial {
    /// Rows by key. Every row of one table has the same number of additive columns.
    pub rows: BTreeMap<Vec<Key>, Vec<f64>>,
}

impl Partial {
    /// Add to a row, making it if it is not there.
    pub fn add(&mut self, key: Vec<Key>, values: &[f64]) {
        match self.rows.entry(key) {
            std::collections::btree_map::Entry::Vacant(row) => {
                row.insert(values.to_vec());
            }
            std::collections::btree_map::Entry::Occupied(mut row) => {
                for (sum, value) in row.get_mut().iter_mut().zip(values) {
                    *sum += value;
                }
            }
        }
    }

    /// Group by the keys, add the rest.
    pub fn merge(&mut self, other: Self) {
        for (key, values) in other.rows {
            self.add(key, &values);
        }
    }
}
