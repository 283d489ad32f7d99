//! What a segment file says about itself, beyond what every Parquet file does.
//!
//! One JSON text in the file's key-value metadata, under [`INFO_KEY`]. With it a reader knows
//! which row groups can hold a person or a time, and where a property is, without decoding.
//!
//! This is a disk type: fields are added, never changed; a change of meaning is a new version.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::block::Bounds;
use crate::schema::TypeCounts;

/// Where the text is.
pub(crate) const INFO_KEY: &str = "tallymark";
/// The version we write, and the newest we read.
pub(crate) const SEGMENT_VERSION: u32 = 2;

/// The text's contents.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Info {
    pub format: u32,
    pub groups: Vec<Group>,
    pub promoted: Vec<Promoted>,
    /// Property names with counts of texts, numbers, bools and others.
    pub keys: BTreeMap<String, [u64; 4]>,
    pub keys_complete: bool,
    /// Days of the event ids.
    pub id_days: BTreeSet<i32>,
    pub id_days_complete: bool,
}

/// One row group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Group {
    pub rows: u32,
    pub first: (u32, u64),
    pub last: (u32, u64),
    pub ts_min_ms: i64,
    pub ts_max_ms: i64,
}

/// A property with a column of its own, `p.<key>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Promoted {
    pub key: String,
    pub kind: PromotedKind,
    /// Rows whose value is in `props` because it is of another type or would not come back as it
    /// was written.
    pub misfits: u64,
}

/// The type of such a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PromotedKind {
    Text,
    Number,
    Bool,
}

impl Info {
    /// Keys counted, and days listed, at most; beyond that the lists say that they are not complete.
    pub(super) const LIST_MAX: usize = 4096;

    pub(crate) fn new(promoted: Vec<(String, PromotedKind)>) -> Self {
        let column = |(key, kind)| Promoted { key, kind, misfits: 0 };
        Self {
            format: SEGMENT_VERSION,
            promoted: promoted.into_iter().map(column).collect(),
            keys_complete: true,
            id_days_complete: true,
            ..Self::default()
        }
    }

    /// The place of a property's column; columns are sorted by key while a file is written.
    pub(super) fn column(&self, key: &str) -> Option<usize> {
        self.promoted.binary_search_by(|promoted| (*promoted.key).cmp(key)).ok()
    }

    /// The column of a property.
    pub(crate) fn promoted(&self, key: &str) -> Option<&Promoted> {
        self.promoted.iter().find(|promoted| promoted.key == key)
    }

    /// Whether some row can have this property in its `props`.
    pub(crate) fn rest_may_hold(&self, key: &str) -> bool {
        match self.promoted(key) {
            Some(promoted) => promoted.misfits > 0,
            None => !self.keys_complete || self.keys.contains_key(key),
        }
    }

    pub(crate) fn count_key(&mut self, key: &str, types: TypeCounts) {
        if !self.keys.contains_key(key) {
            if self.keys.len() >= Self::LIST_MAX {
                self.keys_complete = false;
                return;
            }
            self.keys.insert(key.to_owned(), [0; 4]);
        }
        let Some(counts) = self.keys.get_mut(key) else { return };
        for (sum, n) in
            counts.iter_mut().zip([types.texts, types.numbers, types.bools, types.others])
        {
            *sum += n;
        }
    }

    pub(crate) fn add_id_day(&mut self, day: i32) {
        if self.id_days.len() < Self::LIST_MAX || self.id_days.contains(&day) {
            self.id_days.insert(day);
        } else {
            self.id_days_complete = false;
        }
    }
}

impl Group {
    pub(crate) fn bounds(&self) -> Bounds {
        Bounds {
            rows: self.rows,
            first: self.first,
            last: self.last,
            ts_min_ms: self.ts_min_ms,
            ts_max_ms: self.ts_max_ms,
        }
    }
}

/// Of so many rows one must have a property before it gets a column: purchases are often rarer than one event in a
/// hundred, and what is in `props` has to be looked for in the texts of all rows.
const PROMOTE_ONE_OF: u64 = 200;
/// Columns for properties in one segment, at most.
const PROMOTED_MAX: usize = 256;

/// Which properties get a column: those that are frequent, each with the type most rows have.
pub(crate) fn promote<'a>(
    counts: impl Iterator<Item = (&'a str, [u64; 4])>,
    rows: u64,
) -> Vec<(String, PromotedKind)> {
    use PromotedKind::{Bool, Number, Text};
    let mut frequent: Vec<(u64, &str, PromotedKind)> = counts
        .filter_map(|(key, [texts, numbers, bools, _])| {
            let kinds = [(texts, Text), (numbers, Number), (bools, Bool)];
            let (count, kind) = kinds.into_iter().max_by_key(|(count, _)| *count)?;
            let is_frequent = count > 0 && count * PROMOTE_ONE_OF >= rows;
            is_frequent.then_some((count, key, kind))
        })
        .collect();
    frequent.sort_by_key(|(count, key, _)| (std::cmp::Reverse(*count), *key));
    frequent.truncate(PROMOTED_MAX);
    let mut promoted: Vec<(String, PromotedKind)> =
        frequent.into_iter().map(|(_, key, kind)| (key.to_owned(), kind)).collect();
    promoted.sort_by(|a, b| a.0.cmp(&b.0));
    promoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::just_enough([1, 0, 0, 0], 200, Some(PromotedKind::Text))]
    #[case::just_below([1, 0, 0, 0], 201, None)]
    #[case::by_majority([1, 5, 2, 90], 100, Some(PromotedKind::Number))]
    #[case::objects_never([0, 0, 0, 100], 100, None)]
    fn a_property_gets_a_column(
        #[case] counts: [u64; 4],
        #[case] rows: u64,
        #[case] want: Option<PromotedKind>,
    ) {
        let got = promote([("k", counts)].into_iter(), rows);
        assert_eq!(got.first().map(|(_, kind)| *kind), want);
    }

    #[test]
    fn a_list_that_ran_full_does_not_claim_to_be_complete() {
        let mut info = Info::new(Vec::new());
        let one = TypeCounts { texts: 1, ..TypeCounts::default() };
        for n in 0..Info::LIST_MAX {
            info.count_key(&n.to_string(), one);
            info.add_id_day(n as i32);
        }
        assert!(info.keys_complete && info.id_days_complete && !info.rest_may_hold("x"));
        info.count_key("one more", one);
        info.add_id_day(-1);
        assert!(!info.keys_complete && !info.id_days_complete && info.rest_may_hold("x"));
    }
}
