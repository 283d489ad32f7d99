//! What flushes and merges do to rows on their way, beyond putting them in order.
//!
//! In: whom to set apart as of a frame of the log, taken when a flush or merge begins. Out: for each
//! batch of rows, which are kept, which get another person, and which are dropped; and how many.
//!
//! - **Erased** persons: their rows are dropped.
//! - **Retention**: rows that are too old for their project and event are dropped.
//! - **Moved** persons: their rows get the person they belong to now, and with it another place.
//!   They are taken out of their sources before the merge, sorted, and merged back in (`aside`).
//!
//! Invariant: no rule, no cost. A row that is given away keeps the id it came with (`origin`), so
//! that taking a link back finds it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::{UsageDelta, UsageKind};
use crate::columns::Columns;
use crate::memtable::MemRun;
use crate::options::StoreOptions;
use crate::people::{Apart, ApartIn, Whose};
use crate::retention::{Cuts, Retention};
use crate::usage::hour_of;

/// The rules in force.
#[derive(Debug, Default)]
pub(crate) struct Rewrite {
    apart: Arc<Apart>,
    retention: Retention,
    now_ms: i64,
    dropped: RefCell<Dropped>,
}

/// Rows that were left out.
#[derive(Debug, Default)]
pub(crate) struct Dropped {
    /// By project and erased id.
    pub erased: BTreeMap<(u32, u64), u64>,
    /// Too old, by project.
    pub expired: BTreeMap<u32, u64>,
}

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Stays,
    /// It belongs to this person now.
    Goes(u64),
    /// It is dropped: it came with this id, which is erased.
    Erased(u64),
    /// It is dropped: it is too old.
    Expired,
}

impl Rewrite {
    /// Write down what is known about people, and leave out what is too old now.
    pub(crate) fn new(apart: Arc<Apart>, options: &StoreOptions) -> Self {
        let (retention, now_ms) = (options.retention.clone(), (options.now_ms)());
        Self { apart, retention, now_ms, dropped: RefCell::default() }
    }

    /// Whom it concerns.
    pub(crate) fn apart(&self) -> &Apart {
        &self.apart
    }

    /// The rows that stay where they are, in order; `None` when all do. Counts what is dropped.
    pub(crate) fn kept(&self, columns: &Columns) -> Option<Vec<u32>> {
        if self.apart.is_empty() && !self.ends_some(columns) {
            return None;
        }
        let mut kept = Vec::with_capacity(columns.len());
        let mut dropped = self.dropped.borrow_mut();
        self.each(columns, |row, fate| match fate {
            Fate::Stays => kept.push(row as u32),
            Fate::Goes(_) => {}
            Fate::Erased(id) => {
                *dropped.erased.entry((columns.project[row], id)).or_default() += 1;
            }
            Fate::Expired => *dropped.expired.entry(columns.project[row]).or_default() += 1,
        });
        (kept.len() < columns.len()).then_some(kept)
    }

    /// Those of some rows of a run, in order, that are of persons set apart.
    pub(crate) fn concerned(&self, run: &MemRun, rows: &[u32]) -> Vec<u32> {
        if self.apart.is_empty() {
            return Vec::new();
        }
        let is_apart = |row: &&u32| {
            let (project, person) = run.who(**row as usize);
            self.apart.of(project).is_some_and(|apart| apart.skip.binary_search(&person).is_ok())
        };
        rows.iter().filter(is_apart).copied().collect()
    }

    /// What was dropped.
    pub(crate) fn into_dropped(self) -> Dropped {
        self.dropped.into_inner()
    }

    /// Whether some row may be too old.
    fn ends_some(&self, columns: &Columns) -> bool {
        columns.project.chunk_by(|a, b| a == b).any(|rows| self.cuts(rows[0]).is_some())
    }

    fn cuts(&self, project: u32) -> Option<Cuts> {
        self.retention.cuts(project, self.now_ms)
    }

    /// Decide for every row; most of the work is done once per person.
    pub(super) fn each(&self, columns: &Columns, mut each: impl FnMut(usize, Fate)) {
        let mut last = None;
        let mut whose: Option<(&ApartIn, Whose)> = None;
        // By code of the event.
        let mut cuts: Option<Vec<i64>> = None;
        for row in 0..columns.len() {
            let (project, person) = (columns.project[row], columns.person[row]);
            if last.is_none_or(|(before, _)| before != project) {
                cuts = self.cuts(project).map(|cuts| cuts.by_code(&columns.event));
            }
            if last.replace((project, person)) != Some((project, person)) {
                whose = self.apart.of(project).map(|apart| (&**apart, apart.whose(person)));
            }
            let fate = match whose {
                None => Fate::Stays,
                Some((_, Whose::Nobody)) => Fate::Erased(person),
                Some((_, Whose::Person(now))) if now == person => Fate::Stays,
                Some((_, Whose::Person(now))) => Fate::Goes(now),
                Some((apart, Whose::ByBase(otherwise))) => {
                    let base = columns.base(row);
                    match apart.of_base(base, otherwise) {
                        Some(now) if now == person => Fate::Stays,
                        Some(now) => Fate::Goes(now),
                        None => Fate::Erased(base),
                    }
                }
            };
            let cut_ms = cuts.as_ref().map(|cuts| cuts[columns.event.code(row) as usize]);
            let is_old = cut_ms.is_some_and(|cut_ms| columns.ts[row] < cut_ms);
            let is_gone = matches!(fate, Fate::Erased(_));
            each(row, if is_old && !is_gone { Fate::Expired } else { fate });
        }
    }
}

/// What the catalog learns of rows that were too old.
pub(crate) fn expired_usage(rows: &BTreeMap<u32, u64>, now_ms: i64) -> Vec<UsageDelta> {
    let usage = |(&project, &count)| UsageDelta {
        project,
        hour_ms: hour_of(now_ms),
        kind: UsageKind::Expired,
        count,
        bytes: 0,
    };
    rows.iter().map(usage).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::keeper::aside::Aside;
    use crate::keeper::ordered;
    use crate::people::To;
    use crate::retention::Keep;
    use crate::testing::{any_row, folders_in_memory};
    use proptest::strategy::{Strategy, ValueTree};
    use proptest::test_runner::TestRunner;

    use crate::row::{Row, flags};

    const DAY_MS: i64 = 86_400_000;

    /// Rows of (person, device, whether a user was named), of the time 0.
    fn columns(rows: &[(u64, u64, bool)]) -> Columns {
        let any = any_row().new_tree(&mut TestRunner::deterministic()).unwrap().current();
        let row = |(n, &(person, actor, is_user)): (u128, &(u64, u64, bool))| {
            let flags = if is_user { flags::IDENTIFIED } else { 0 };
            let (project, ts_ms, seq) = (1, 0, 0);
            Row { project, person, actor, ts_ms, seq, event_id: n, flags, ..any.clone() }
        };
        let rows: Vec<Row> = (0..).zip(rows).map(row).collect();
        let run = MemRun::sort(&[Arc::new(rows)]);
        let all: Vec<u32> = (0..run.len() as u32).collect();
        run.columns(&all, &run.dictionaries())
    }

    fn rewrite(moved: Vec<(u64, To)>, erased: Vec<u64>, bases: &[(u64, u64)]) -> Rewrite {
        let bases = bases.iter().copied().collect();
        let of_project = ApartIn { moved, erased, bases, ..ApartIn::default() };
        let apart = Arc::new(Apart::new(BTreeMap::from([(1, of_project)])));
        Rewrite { apart, ..Rewrite::default() }
    }

    /// Person, device and origin of the rows that move, as they are merged back in.
    fn aside(rewrite: &Rewrite, columns: &Columns) -> Vec<(u64, u64, u64)> {
        let folders = folders_in_memory();
        let moved = |bytes| {
            let mut aside = Aside::new(rewrite, &folders, &[], bytes);
            aside.take(columns).unwrap();
            let mut moved = Vec::new();
            let each = &mut |order: &[(u32, u32)], sources: &[&Columns]| {
                moved.extend(order.iter().map(|&(from, row)| {
                    let (of, row) = (sources[from as usize], row as usize);
                    (of.person[row], of.actor[row], of.origin[row])
                }));
                Ok(())
            };
            ordered::merge(aside.finish(), &Rewrite::default(), each).unwrap();
            moved
        };
        let in_memory = moved(usize::MAX);
        assert_eq!(moved(0), in_memory, "by way of a file");
        in_memory
    }

    #[test]
    fn without_links_and_erasures_all_rows_stay_and_nobody_looks() {
        let columns = columns(&[(1, 1, false), (2, 2, false)]);
        assert_eq!(Rewrite::default().kept(&columns), None);
        assert_eq!(aside(&Rewrite::default(), &columns), []);
    }

    #[test]
    fn rows_of_a_device_that_was_linked_go_to_the_user_and_know_their_device() {
        let columns = columns(&[(5, 5, false), (7, 7, false), (7, 7, false), (9, 7, true)]);
        let rewrite = rewrite(vec![(7, To::Person(9)), (9, To::Person(9))], vec![], &[]);
        assert_eq!(rewrite.kept(&columns), Some(vec![0, 3]));
        assert_eq!(aside(&rewrite, &columns), [(9, 7, 0), (9, 7, 0)]);
    }

    #[test]
    fn rows_of_a_user_that_was_joined_remember_the_user() {
        let columns = columns(&[(3, 7, true), (3, 7, false)]);
        let rewrite = rewrite(vec![(3, To::Person(4)), (4, To::Person(4))], vec![], &[]);
        assert_eq!(rewrite.kept(&columns), Some(vec![]));
        assert_eq!(aside(&rewrite, &columns), [(4, 7, 3), (4, 7, 0)]);
    }

    #[test]
    fn rows_of_a_person_taken_apart_go_to_whom_they_came_with() {
        // The device 7 and the user 9 were one person, and are two again.
        let columns = columns(&[(9, 7, false), (9, 7, true)]);
        let rewrite =
            rewrite(vec![(9, To::ByBase(9)), (7, To::ByBase(7))], vec![], &[(7, 7), (9, 9)]);
        assert_eq!(rewrite.kept(&columns), Some(vec![1]));
        assert_eq!(aside(&rewrite, &columns), [(7, 7, 0)]);
    }

    #[test]
    fn rows_of_erased_persons_are_dropped_and_counted_by_the_id_they_came_with() {
        let columns = columns(&[(2, 2, false), (9, 7, false), (9, 7, true), (9, 9, true)]);
        let rewrite = rewrite(vec![(9, To::ByBase(9))], vec![2, 7], &[(9, 9)]);
        assert_eq!(rewrite.kept(&columns), Some(vec![2, 3]));
        assert_eq!(aside(&rewrite, &columns), []);
        assert_eq!(rewrite.into_dropped().erased, BTreeMap::from([((1, 2), 1), ((1, 7), 1)]));
    }

    #[test]
    fn rows_that_are_too_old_are_dropped_and_counted_once_whoever_they_go_to() {
        let columns = columns(&[(5, 5, false), (7, 7, false), (9, 9, true)]);
        let moved = rewrite(vec![(7, To::Person(9)), (9, To::Person(9))], vec![9], &[]);
        let keep = |days| Keep { days, ..Keep::default() };
        let retention = Retention::new(move |_| keep(Some(1)));
        for (now_ms, is_old) in [(DAY_MS, false), (DAY_MS + 1, true)] {
            let (apart, retention) = (Arc::clone(&moved.apart), retention.clone());
            let rewrite = Rewrite { apart, retention, now_ms, ..Rewrite::default() };
            let stays = if is_old { vec![] } else { vec![0] };
            assert_eq!(rewrite.kept(&columns), Some(stays));
            assert_eq!(aside(&rewrite, &columns).len(), if is_old { 0 } else { 1 });
            let dropped = rewrite.into_dropped();
            assert_eq!(dropped.erased, BTreeMap::from([((1, 9), 1)]));
            assert_eq!(dropped.expired.get(&1), is_old.then_some(&2));
        }
    }
}
