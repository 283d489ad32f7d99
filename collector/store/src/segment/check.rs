//! Whether a segment is what the catalog says it is: every byte, the order of its rows, its bounds.
//!
//! Deliberately elsewhere: whether two segments hold the same event (`verify`).

use arrow_array::types::{TimestampMillisecondType, UInt32Type, UInt64Type};

use super::arrays::id;
use super::{Segment, SegmentRows};
use crate::dedupe::Bucket;
use crate::error::ScanError;
use crate::week;

/// What a whole segment was found to be.
#[derive(Debug)]
pub(crate) struct Checked {
    /// Whether a changed bit would have been noticed.
    pub has_sums: bool,
    /// What is wrong, in sentences; empty when nothing is.
    pub problems: Vec<String>,
}

/// Project, person, time, device sequence; the event id too, where the file has them.
type Order = (u32, u64, i64, u32, u128);

/// What the rows say, to be compared with what the catalog says.
#[derive(Default)]
struct Seen {
    rows: u64,
    last: Option<Order>,
    projects: Option<(u32, u32)>,
    persons: Option<(u64, u64)>,
    times: Option<(i64, i64)>,
    id_days: Option<(i32, i32)>,
    odd_ids: u64,
    problems: Vec<String>,
}

impl Segment {
    /// Read all of it. Rows are only looked at when the bytes are those that were written.
    ///
    /// # Errors
    /// [`ScanError::Segment`] when it cannot be read.
    pub(crate) fn check(self: &std::sync::Arc<Self>) -> Result<Checked, ScanError> {
        let damaged = self.file.damaged_blocks().map_err(|error| self.damaged(&error.to_string()));
        let mut problems: Vec<String> = damaged?
            .into_iter()
            .map(|at| format!("the block at byte {at} is not what was written"))
            .collect();
        if problems.is_empty() {
            problems = self.check_rows()?;
        }
        let has_sums = self.file.has_sums();
        if problems.is_empty() && !has_sums {
            // Without checksums, that everything decodes is all we can say.
            let mut rows = SegmentRows::all(self)?;
            while rows.row().is_some() {
                rows.advance()?;
            }
        }
        Ok(Checked { has_sums, problems })
    }

    fn check_rows(&self) -> Result<Vec<String>, ScanError> {
        let mut seen = Seen::default();
        for group in 0..self.info.groups.len() as u32 {
            self.check_group(group, &mut seen)?;
        }
        let meta = &self.meta;
        let mut compare = |what: &str, is_same: bool| {
            if !is_same {
                seen.problems.push(format!("{what} are not those in the catalog"));
            }
        };
        compare("its rows", seen.rows == meta.rows);
        compare("its projects", seen.projects == Some((meta.project_min, meta.project_max)));
        compare("its persons", seen.persons == Some((meta.person_min, meta.person_max)));
        compare("its times", seen.times == Some((meta.ts_min_ms, meta.ts_max_ms)));
        // Folders are weeks or, for old rows, months.
        let is_week = meta.week.contains('W');
        let is_of_week = |ts_ms| week::name(ts_ms) == meta.week;
        let is_within = seen.times.is_some_and(|times| is_of_week(times.0) && is_of_week(times.1));
        compare("the week of its rows", !is_week || is_within);
        if meta.has_ids {
            let days =
                (meta.id_day_min <= meta.id_day_max).then_some((meta.id_day_min, meta.id_day_max));
            compare("the days of its ids", seen.id_days == days);
            compare("its ids without a day", seen.odd_ids == meta.odd_ids);
        }
        Ok(seen.problems)
    }

    fn check_group(&self, group: u32, seen: &mut Seen) -> Result<(), ScanError> {
        let has_ids = self.meta.has_ids;
        let names = ["project", "person", "ts", "seq", "event_id"];
        let columns = self.columns(group, &names[..if has_ids { 5 } else { 4 }])?;
        let projects = self.primitive::<UInt32Type>(&columns[0])?;
        let persons = self.primitive::<UInt64Type>(&columns[1])?;
        let times = self.primitive::<TimestampMillisecondType>(&columns[2])?;
        let seqs = self.primitive::<UInt32Type>(&columns[3])?;
        let ids = if has_ids { Some(self.fixed(&columns[4])?) } else { None };
        let problems_before = seen.problems.len();
        let of_group = |what: &str| format!("row group {group}: {what}");

        let described = &self.info.groups[group as usize];
        let ends = (projects.first().zip(persons.first()), projects.last().zip(persons.last()));
        let is_described = ends.0.map(|(a, b)| (*a, *b)) == Some(described.first)
            && ends.1.map(|(a, b)| (*a, *b)) == Some(described.last)
            && times.iter().min() == Some(&described.ts_min_ms)
            && times.iter().max() == Some(&described.ts_max_ms);
        if !is_described {
            seen.problems.push(of_group("its bounds are not those it lists"));
        }
        if seen.last.is_some_and(|last| (last.0, last.1) == described.first) {
            seen.problems.push(of_group("it begins with the person the one before ends with"));
        }
        for row in 0..projects.len() {
            let event_id = ids.map_or(0, |ids| id(Some(ids.value(row))));
            let order = (projects[row], persons[row], times[row], seqs[row], event_id);
            let is_in_order =
                seen.last.is_none_or(|last| if has_ids { last < order } else { last <= order });
            if !is_in_order && seen.problems.len() == problems_before {
                seen.problems.push(of_group(&format!("row {row} is out of order")));
            }
            seen.last = Some(order);
            widen(&mut seen.projects, projects[row]);
            widen(&mut seen.persons, persons[row]);
            widen(&mut seen.times, times[row]);
            match Bucket::of(event_id) {
                Bucket::ODD => seen.odd_ids += 1,
                Bucket(day) => widen(&mut seen.id_days, day),
            }
        }
        seen.rows += projects.len() as u64;
        Ok(())
    }
}

fn widen<T: Ord + Copy>(bounds: &mut Option<(T, T)>, value: T) {
    let (low, high) = bounds.unwrap_or((value, value));
    *bounds = Some((low.min(value), high.max(value)));
}
