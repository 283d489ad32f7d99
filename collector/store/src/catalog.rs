//! The catalog: which segments are real.
//!
//! In: one [`CatalogChange`] per flush or merge. Out: the [`CatalogState`] at start, and the
//! quarantine and schema tables that were committed with the segments.
//!
//! Invariant: a change is applied whole or not at all. A segment file that no catalog names does
//! not exist; the store deletes it at the next start.
//!
//! Deliberately elsewhere: SQL. The collector implements [`Catalog`] on SQLite; [`MemoryCatalog`]
//! is for tests of this crate and for programs that keep nothing.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex};

use tallymark_analysis::answer::LATENESS_MS;

use crate::error::CatalogError;
use crate::people::{PeopleDelta, PeopleState};
use crate::row::Row;
use crate::schema::{Schema, SchemaDelta};

/// Where the truth about segments is kept. Called from the store's own threads, and blocking.
pub trait Catalog: Send + Sync {
    /// What is there. Called once, when the store opens, and after a failed commit.
    ///
    /// # Errors
    /// [`CatalogError`] with what the database said.
    fn load(&self) -> Result<CatalogState, CatalogError>;

    /// Apply a change in one durable transaction: when this returns `Ok`, it survives loss of power.
    ///
    /// `flushed_seq` never goes down: the larger of the stored and the given one is kept. Refused
    /// rows may be capped per project, dropping the oldest; schema and usage rows are added to
    /// what is there. Refused rows that name an id of [`PeopleDelta::erasing`] go.
    ///
    /// # Errors
    /// [`CatalogError`]: the store then asks [`Catalog::load`] whether the change happened.
    fn commit(&self, change: &CatalogChange) -> Result<(), CatalogError>;

    /// The newest refused rows of a project, newest first, at most `limit`.
    ///
    /// # Errors
    /// [`CatalogError`] with what the database said.
    fn refused(&self, project: u32, limit: usize) -> Result<Vec<RefusedRow>, CatalogError>;

    /// The sum of all schema deltas of a project.
    ///
    /// # Errors
    /// [`CatalogError`] with what the database said.
    fn schema(&self, project: u32) -> Result<Schema, CatalogError>;

    /// Which of these days (since 1970-01-01, end excluded) of a project were changed after they
    /// were closed.
    ///
    /// # Errors
    /// [`CatalogError`] with what the database said.
    fn restated(&self, project: u32, days: Range<i32>) -> Result<BTreeSet<i32>, CatalogError>;

    /// The sums of usage deltas of a project, or of all, in hours that begin in `hours`.
    ///
    /// # Errors
    /// [`CatalogError`] with what the database said.
    fn used(
        &self,
        project: Option<u32>,
        hours: Range<i64>,
    ) -> Result<Vec<UsageDelta>, CatalogError>;
}

/// What the catalog knows at start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CatalogState {
    /// All live segments, in any order.
    pub segments: Vec<SegmentMeta>,
    /// Log frames up to this number are in segments.
    pub flushed_seq: u64,
    /// Who is who, and who was erased.
    pub people: PeopleState,
}

/// One transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CatalogChange {
    /// Segments that become real.
    pub add: Vec<SegmentMeta>,
    /// Segments that are replaced.
    pub remove: Vec<SegmentId>,
    /// Log frames up to this number are in segments now.
    pub flushed_seq: u64,
    /// Quarantined events that were in those frames.
    pub refused: Vec<RefusedRow>,
    /// Event names and properties that were in those frames.
    pub schema: Vec<SchemaDelta>,
    /// Counters of those frames.
    pub usage: Vec<UsageDelta>,
    /// Days that those frames changed after they were closed.
    pub restated: Vec<RestatedDay>,
    /// What those frames say about people, and what became of erasures.
    pub people: PeopleDelta,
    /// Segments that were found to need no change for links up to an epoch.
    pub link_epochs: Vec<(SegmentId, u64)>,
}

/// Number of a segment; never used twice while its file exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(pub u64);

/// What the catalog keeps about a segment: enough to leave it out of a scan without opening it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentMeta {
    /// Its number, and its file name.
    pub id: SegmentId,
    /// ISO week of all its rows, as in `2026-W47`; its folder.
    pub week: String,
    /// Size class: 0 as flushed, one more with each merge.
    pub level: u8,
    /// Rows in it.
    pub rows: u64,
    /// Length of the file in bytes.
    pub bytes: u64,
    /// Smallest project.
    pub project_min: u32,
    /// Largest project.
    pub project_max: u32,
    /// Earliest event time, Unix milliseconds.
    pub ts_min_ms: i64,
    /// Latest event time, Unix milliseconds.
    pub ts_max_ms: i64,
    /// Smallest person.
    pub person_min: u64,
    /// Largest person.
    pub person_max: u64,
    /// First day (since 1970-01-01) inside the UUIDv7 event ids; above the last when there is none.
    pub id_day_min: i32,
    /// Last day inside the UUIDv7 event ids.
    pub id_day_max: i32,
    /// Rows whose event id has no believable day.
    pub odd_ids: u64,
    /// Whether the event ids are still in the file.
    pub has_ids: bool,
    /// Identity links up to this epoch are applied to the person column.
    pub link_epoch: u64,
    /// CRC-32 of every 16 KiB of the file, little-endian, four bytes each. Empty when the file was
    /// written before there were any: then a changed bit in it may go unnoticed.
    pub sums: Arc<[u8]>,
}

impl SegmentMeta {
    /// The file below the data folder, with `/` between folders: `seg/2026-W47/12.parquet`.
    pub fn path(&self) -> String {
        format!("seg/{}/{}.parquet", self.week, self.id.0)
    }
}

/// An event that was not taken, kept so that it can be looked at and sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRow {
    /// The tenant.
    pub project: u32,
    /// Our clock when it arrived, Unix milliseconds.
    pub received_ms: i64,
    /// Why: a permanent code of the protocol.
    pub code: String,
    /// The event as it came, possibly shortened. Ids of persons and devices are in it as events have
    /// them: 16 hexadecimal digits between quotes.
    pub raw: Box<str>,
}

impl RefusedRow {
    /// The ids that it names.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u64> + '_ {
        let digits =
            self.raw.as_bytes().split(|byte| *byte == b'"').filter(|text| {
                text.len() == 16 && text.iter().all(|byte| byte.is_ascii_hexdigit())
            });
        digits.filter_map(|digits| u64::from_str_radix(str::from_utf8(digits).ok()?, 16).ok())
    }
}

/// A day that got events after it was closed: see [`RestatedDay::of`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RestatedDay {
    /// The tenant.
    pub project: u32,
    /// Days since 1970-01-01, UTC.
    pub day: i32,
}

impl RestatedDay {
    /// The day that this row changes after figures of it were called complete: it arrived more than
    /// [`LATENESS_MS`] after the day's end.
    pub(crate) fn of(row: &Row) -> Option<Self> {
        let day = late_day(row.ts_ms, row.received_ms)?;
        Some(Self { project: row.project, day })
    }
}

/// The day of an event that arrived after that day was closed.
pub(crate) fn late_day(ts_ms: i64, received_ms: i64) -> Option<i32> {
    // Nearly always decided by this.
    if received_ms.saturating_sub(ts_ms) <= LATENESS_MS {
        return None;
    }
    let day = day_of(ts_ms);
    let end_ms = (i64::from(day) + 1).saturating_mul(DAY_MS);
    (received_ms.saturating_sub(end_ms) > LATENESS_MS).then_some(day)
}

const DAY_MS: i64 = 86_400_000;

/// The day of a time, since 1970-01-01, UTC.
pub(crate) fn day_of(ts_ms: i64) -> i32 {
    let day = ts_ms.div_euclid(DAY_MS);
    i32::try_from(day).unwrap_or(if day < 0 { i32::MIN } else { i32::MAX })
}

/// What a project stored in one hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageDelta {
    /// The tenant.
    pub project: u32,
    /// Start of the hour of receipt, Unix milliseconds.
    pub hour_ms: i64,
    /// What was counted.
    pub kind: UsageKind,
    /// How many more.
    pub count: u64,
    /// How many more bytes, as text sizes of the events.
    pub bytes: u64,
}

/// What a usage row counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UsageKind {
    /// Events stored, each once.
    Events,
    /// Events refused.
    Refused,
    /// Events that were too old and are gone, in the hour in which they went.
    Expired,
    /// What servers say was used, by metric.
    Metered(Arc<str>),
}

impl UsageKind {
    /// The first in order.
    pub(crate) const FIRST: Self = Self::Events;

    /// The name in tables: of what servers say `usage:` and the metric.
    pub fn name(&self) -> Cow<'static, str> {
        match self {
            Self::Events => "events".into(),
            Self::Refused => "refused".into(),
            Self::Expired => "expired".into(),
            Self::Metered(metric) => format!("{METERED}{metric}").into(),
        }
    }

    /// The kind of this name, `None` for names that the store does not give.
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "events" => Some(Self::Events),
            "refused" => Some(Self::Refused),
            "expired" => Some(Self::Expired),
            name => name.strip_prefix(METERED).map(|metric| Self::Metered(metric.into())),
        }
    }
}

const METERED: &str = "usage:";

/// A catalog that forgets everything when it is dropped.
#[derive(Debug, Default)]
pub struct MemoryCatalog {
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    state: CatalogState,
    refused: Vec<RefusedRow>,
    schema: BTreeMap<u32, Schema>,
    usage: BTreeMap<(u32, i64, UsageKind), (u64, u64)>,
    restated: BTreeSet<RestatedDay>,
}

impl MemoryCatalog {
    /// Refused rows kept in all.
    const REFUSED_MAX: usize = 10_000;

    /// An empty catalog.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sum of the usage rows of a project: count and bytes.
    pub fn usage(&self, project: u32, kind: UsageKind) -> (u64, u64) {
        let tables = self.lock();
        let of_project = tables.usage.iter().filter(|(key, _)| key.0 == project && key.2 == kind);
        of_project.fold((0, 0), |sum, (_, n)| (sum.0 + n.0, sum.1 + n.1))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Catalog for MemoryCatalog {
    fn load(&self) -> Result<CatalogState, CatalogError> {
        Ok(self.lock().state.clone())
    }

    fn commit(&self, change: &CatalogChange) -> Result<(), CatalogError> {
        let mut tables = self.lock();
        let tables = &mut *tables;
        tables.state.segments.retain(|segment| !change.remove.contains(&segment.id));
        tables.state.segments.extend(change.add.iter().cloned());
        tables.state.flushed_seq = tables.state.flushed_seq.max(change.flushed_seq);
        tables.state.people.add(&change.people);
        for segment in &mut tables.state.segments {
            let found = change.link_epochs.iter().find(|(id, _)| *id == segment.id);
            segment.link_epoch = found.map_or(segment.link_epoch, |(_, epoch)| *epoch);
        }
        tables.refused.extend(change.refused.iter().cloned());
        let erasing = &change.people.erasing;
        let names =
            |row: &RefusedRow, id| erasing.iter().any(|gone| (gone.0, gone.1) == (row.project, id));
        tables.refused.retain(|row| !row.ids().any(|id| names(row, id)));
        let surplus = tables.refused.len().saturating_sub(Self::REFUSED_MAX);
        tables.refused.drain(..surplus);
        for delta in &change.schema {
            tables.schema.entry(delta.project).or_default().add(delta);
        }
        for delta in &change.usage {
            let key = (delta.project, delta.hour_ms, delta.kind.clone());
            let sum = tables.usage.entry(key).or_default();
            *sum = (sum.0 + delta.count, sum.1 + delta.bytes);
        }
        tables.restated.extend(&change.restated);
        Ok(())
    }

    fn refused(&self, project: u32, limit: usize) -> Result<Vec<RefusedRow>, CatalogError> {
        let tables = self.lock();
        let newest_first = tables.refused.iter().rev().filter(|row| row.project == project);
        Ok(newest_first.take(limit).cloned().collect())
    }

    fn restated(&self, project: u32, days: Range<i32>) -> Result<BTreeSet<i32>, CatalogError> {
        let day = |day| RestatedDay { project, day };
        let tables = self.lock();
        Ok(tables.restated.range(day(days.start)..day(days.end)).map(|day| day.day).collect())
    }

    fn used(
        &self,
        project: Option<u32>,
        hours: Range<i64>,
    ) -> Result<Vec<UsageDelta>, CatalogError> {
        let tables = self.lock();
        let wanted = tables.usage.iter().filter(|((of, hour_ms, _), _)| {
            project.is_none_or(|project| project == *of) && hours.contains(hour_ms)
        });
        let delta = |((project, hour_ms, kind), &(count, bytes)): (&(u32, i64, UsageKind), _)| {
            UsageDelta { project: *project, hour_ms: *hour_ms, kind: kind.clone(), count, bytes }
        };
        Ok(wanted.map(delta).collect())
    }

    fn schema(&self, project: u32) -> Result<Schema, CatalogError> {
        Ok(self.lock().schema.get(&project).cloned().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::any_row;
    use proptest::strategy::{Strategy, ValueTree};
    use proptest::test_runner::TestRunner;
    use rstest::rstest;

    #[rstest]
    #[case::at_once(0, 0, None)]
    #[case::as_late_as_a_day_stays_open(0, DAY_MS + LATENESS_MS, None)]
    #[case::a_millisecond_later(0, DAY_MS + LATENESS_MS + 1, Some(0))]
    #[case::the_last_moment_of_a_day(DAY_MS - 1, DAY_MS + LATENESS_MS + 1, Some(0))]
    #[case::the_first_of_the_next(DAY_MS, DAY_MS + LATENESS_MS + 1, None)]
    #[case::before_1970(-1, LATENESS_MS + 1, Some(-1))]
    #[case::a_clock_beyond_all_calendars(i64::MIN, i64::MAX, Some(i32::MIN))]
    fn a_row_restates(#[case] ts_ms: i64, #[case] received_ms: i64, #[case] day: Option<i32>) {
        let row = any_row().new_tree(&mut TestRunner::deterministic()).unwrap().current();
        let row = Row { project: 7, ts_ms, received_ms, ..row };
        assert_eq!(RestatedDay::of(&row), day.map(|day| RestatedDay { project: 7, day }));
    }
    #[rstest]
    #[case::person_and_device(r#"{"$kept":{"who":{"person":"00000000000000ff","actor":"000000000000000A"}}}"#, &[255, 10])]
    #[case::none(r#"{"$kept":{},"name":"a"}"#, &[])]
    #[case::cut_in_the_middle(r#"{"$kept":{"who":{"person":"0000000000000"#, &[])]
    #[case::longer_texts(r#"{"id":"00000000000000ff0"}"#, &[])]
    fn a_refused_row_names(#[case] raw: &str, #[case] want: &[u64]) {
        let row = RefusedRow { project: 1, received_ms: 0, code: "a".into(), raw: raw.into() };
        assert_eq!(row.ids().collect::<Vec<_>>(), want);
    }
}
