//! The waist between a store and the analyses: kernels read blocks and give partial tables.
//!
//! In: a compiled question ([`Analysis`]), blocks of rows, and where in them each person's rows are.
//! Out: one [`Partial`] per kernel, merged by adding rows with equal keys.
//!
//! A kernel is shown a block once, and then the spans of person after person. So what depends on
//! values only is worked out for a block at once, and nothing is copied for a person. A kernel that
//! would rather have one person's rows as plain columns is a [`RunKernel`] in a [`ByRun`].
//!
//! Invariant: persons are disjoint between kernels (threads, shards), so merging is always
//! "group by the keys, add the rest", in any order, and the merged table equals the one a single
//! kernel would have made.
//!
//! Deliberately elsewhere: threads and files (the store), reading a table as an answer (each
//! analysis), who may ask (the collector).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;

use crate::answer::{Answer, Facts};
use crate::cohort::{Cohort, Members};
use crate::columns::{Block, Span};
use crate::events::{Dictionaries, Run, ScanPlan};
use crate::presence::Presence;

pub use crate::by_run::ByRun;

/// A compiled question: what to scan, how to count, how to read the result.
pub trait Analysis: Send + Sync {
    /// What the kernels need to see.
    fn scan(&self) -> &ScanPlan;
    /// A fresh kernel for one thread.
    fn kernel(&self) -> Box<dyn Kernel>;
    /// Whether it is all the same when in a span, both ends included, a row of it lies: a store may then leave
    /// out [times](Block::ts).
    fn is_timeless(&self, _first_ms: i64, _last_ms: i64) -> bool {
        false
    }
    /// The form of this question that needs nothing but days, if it has one: a store that keeps
    /// [presence](crate::presence) may take it in place of the scan, and gets the same table.
    fn presence(&self) -> Option<&dyn Presence> {
        None
    }
    /// Cohorts whose people the kernels must know. They are found first, in the same snapshot, and
    /// what [`knowing`](Self::knowing) makes of them is asked in place of this.
    fn cohorts(&self) -> &[Cohort] {
        &[]
    }
    /// The same question, knowing who is in each of its cohorts.
    fn knowing(&self, _members: Vec<Members>) -> Option<Box<dyn Analysis>> {
        None
    }
    /// A further question that the table so far makes necessary. It is asked of the same
    /// snapshot, its table is added, and it reads the answer or asks on, up to
    /// [`LOOKS_MAX`](crate::question::LOOKS_MAX) times in all.
    /// [`Compiled::ask`](crate::question::Compiled::ask) takes care of it.
    fn refine(&self, _partial: &Partial) -> Option<Box<dyn Analysis>> {
        None
    }
    /// How often it may be asked in all: more than once where it may [`refine`](Self::refine).
    fn looks(&self) -> u32 {
        1
    }
    /// The answer a person reads.
    fn answer(&self, partial: &Partial, facts: &Facts) -> Answer;
}

/// Counts over one thread's persons.
pub trait Kernel: Send {
    /// A block takes the place of whatever was in this slot before. Slots are small numbers.
    fn block(&mut self, slot: usize, block: &Block, dictionaries: &Dictionaries);
    /// Count all rows of the block that was shown last, in this slot, whoever they belong to; then no
    /// person of it is shown. `false` when the kernel has to meet the persons.
    fn whole(&mut self, _slot: usize, _block: &Block) -> bool {
        false
    }
    /// Everything one person did, as spans in the order of time; two spans never share a
    /// millisecond. Called once per person. Rows that the plan does not want are among them:
    /// [`Matcher::look`](crate::filter::Matcher::look) tells them apart.
    fn person(&mut self, person: u64, spans: &[Span<'_>], dictionaries: &Dictionaries);
    /// Bytes held, about, and those its table will need: a store gives up a question that needs
    /// too many. Leave it out where they do not grow with what is counted.
    fn bytes(&self) -> usize {
        0
    }
    /// The partial table. Codes become texts here, so tables of different threads can merge.
    fn finish(self: Box<Self>, dictionaries: &Dictionaries) -> Partial;
}

/// A kernel that reads one person's wanted rows as plain columns.
pub trait RunKernel: Send {
    /// There may be new texts: look-up tables by code are made longer. Called before the first person that can have
    /// one, so that nobody's rows have to ask for it.
    fn learn(&mut self, _: &Dictionaries) {}
    /// Everything one person did in the scan. Called once per person.
    fn person(&mut self, run: &Run<'_>, dictionaries: &Dictionaries);
    /// Bytes held, about, and those its table will need: a store gives up a question that needs
    /// too many. Leave it out where they do not grow with what is counted.
    fn bytes(&self) -> usize {
        0
    }
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
/// Additive columns are `f64`: counts below 2^53 are exact in it. A sum of values is several
/// columns of whole numbers ([`exact_sum`](crate::exact_sum)), so that it does not depend on the
/// order of adding, and is rounded once, by the analysis that reads it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Partial {
    /// Rows by key. Rows whose keys start alike have the same number of additive columns.
    pub rows: BTreeMap<Vec<Key>, Vec<f64>>,
    /// Bags of values by key, for what cannot be added up (medians): merging puts them together.
    /// The order inside a bag means nothing; whoever reads it sorts it.
    pub bags: BTreeMap<Vec<Key>, Vec<f64>>,
}

impl Partial {
    /// Add to a row, making it if it is not there.
    pub fn add(&mut self, key: Vec<Key>, values: &[f64]) {
        match self.rows.entry(key) {
            Entry::Vacant(row) => {
                row.insert(values.to_vec());
            }
            Entry::Occupied(mut row) => {
                for (sum, value) in row.get_mut().iter_mut().zip(values) {
                    *sum += value;
                }
            }
        }
    }

    /// Put values into a bag.
    pub fn put(&mut self, key: Vec<Key>, values: Vec<f64>) {
        match self.bags.entry(key) {
            Entry::Vacant(bag) => {
                bag.insert(values);
            }
            Entry::Occupied(mut bag) => bag.get_mut().extend(values),
        }
    }

    /// Group by the keys, add the rest.
    pub fn merge(&mut self, other: Self) {
        if self.rows.is_empty() {
            self.rows = other.rows;
        } else if self.rows.len() < 2 * other.rows.len() {
            // Both are in order: walking through them once costs less than as many searches.
            let mut both: Vec<(Vec<Key>, Vec<f64>)> =
                std::mem::take(&mut self.rows).into_iter().collect();
            both.extend(other.rows);
            both.sort_by(|(a, _), (b, _)| a.cmp(b));
            both.dedup_by(|(key, more), (kept, values)| {
                let is_same = key == kept;
                if is_same {
                    values.iter_mut().zip(more).for_each(|(sum, value)| *sum += *value);
                }
                is_same
            });
            self.rows = both.into_iter().collect();
        } else {
            for (key, values) in other.rows {
                self.add(key, &values);
            }
        }
        for (key, values) in other.bags {
            self.put(key, values);
        }
    }

    /// A cell of a row; zero where there is no such row.
    pub fn cell(&self, key: &[Key], column: usize) -> f64 {
        self.rows.get(key).and_then(|row| row.get(column)).copied().unwrap_or(0.0)
    }

    /// The same as a count.
    pub fn count(&self, key: &[Key], column: usize) -> u64 {
        self.cell(key, column) as u64
    }

    /// The rows whose key starts with this one, the rest of the key beside them.
    pub fn starting_with<'a>(
        &'a self,
        start: &'a [Key],
    ) -> impl Iterator<Item = (&'a [Key], &'a [f64])> + 'a {
        self.rows
            .range::<[Key], _>((Bound::Included(start), Bound::Unbounded))
            .take_while(move |(key, _)| key.starts_with(start))
            .map(move |(key, row)| (&key[start.len()..], &row[..]))
    }
}

impl Key {
    /// A dictionary's text, `None` for "absent".
    pub fn from_text(text: Option<&str>) -> Self {
        text.map_or(Self::None, |text| Self::Text(text.into()))
    }

    /// The text, if this is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::None | Self::Int(_) => None,
        }
    }

    /// The number, if this is one.
    pub fn int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            Self::None | Self::Text(_) => None,
        }
    }
}

impl From<usize> for Key {
    fn from(number: usize) -> Self {
        Self::Int(number as i64)
    }
}
