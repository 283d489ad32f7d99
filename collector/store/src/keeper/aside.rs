//! Rows that get another person in a flush or a merge.
//!
//! In: batches of all sources that may hold such rows. Out: these rows under their new names, sorted,
//! to be merged back in. What does not fit into `moved_bytes` waits in a file as sorted runs (`runs`).
//!
//! Deliberately elsewhere: which rows these are (`rewrite`).

use std::io;
use std::sync::Arc;

use super::Keeper;
use super::ordered::Cursor;
use super::rewrite::{Fate, Rewrite};
use crate::columns::Columns;
use crate::error::FlushError;
use crate::open::Folders;
use crate::row::flags;
use crate::runs::{Blocks, Run, RunFile};
use crate::segment::{GroupBuilder, Info, PromotedKind, io_error};

/// The rows gathered so far.
pub(crate) struct Aside<'a> {
    rewrite: &'a Rewrite,
    folders: &'a Folders,
    promoted: &'a [(String, PromotedKind)],
    bytes_max: usize,
    held: Held,
    written: Option<(Arc<RunFile>, Vec<Run>)>,
}

/// Those in memory, in the order in which they were found.
struct Held {
    info: Info,
    rows: GroupBuilder,
    persons: Vec<u64>,
    origins: Vec<u64>,
    bytes: usize,
}

impl Keeper {
    /// Where a flush or a merge puts such rows.
    pub(super) fn rows_aside<'a>(
        &'a self,
        rewrite: &'a Rewrite,
        promoted: &'a [(String, PromotedKind)],
    ) -> Aside<'a> {
        Aside::new(rewrite, &self.folders, promoted, self.shared.options.moved_bytes)
    }
}

impl<'a> Aside<'a> {
    pub(crate) fn new(
        rewrite: &'a Rewrite,
        folders: &'a Folders,
        promoted: &'a [(String, PromotedKind)],
        bytes_max: usize,
    ) -> Self {
        let held = Held::new(promoted);
        Self { rewrite, folders, promoted, bytes_max, held, written: None }
    }

    /// Take those out of a batch.
    ///
    /// # Errors
    /// When the disk refuses those that do not fit into memory.
    pub(crate) fn take(&mut self, columns: &Columns) -> Result<(), FlushError> {
        let held = &mut self.held;
        let mut order: Vec<(u32, u32)> = Vec::new();
        self.rewrite.each(columns, |row, fate| {
            let Fate::Goes(person) = fate else { return };
            let base = columns.base(row);
            let is_user = columns.flags[row] & flags::IDENTIFIED != 0;
            order.push((0, row as u32));
            held.persons.push(person);
            held.origins.push(if is_user && base != person { base } else { 0 });
        });
        if order.is_empty() {
            return Ok(());
        }
        held.rows.gather(&order, &[columns], &mut held.info);
        held.bytes += columns.bytes() * order.len() / columns.len();
        if held.bytes < self.bytes_max {
            return Ok(());
        }
        self.write().map_err(io_error(&self.folders.tmp))
    }

    /// Write those in memory as a run.
    fn write(&mut self) -> io::Result<()> {
        let (columns, rows) = std::mem::replace(&mut self.held, Held::new(self.promoted)).sorted();
        let (file, runs) = match &mut self.written {
            Some((file, runs)) => (file, runs),
            none => {
                let file = RunFile::create(&*self.folders.disk, &self.folders.tmp)?;
                let (file, runs) = none.insert((Arc::new(file), Vec::new()));
                (file, runs)
            }
        };
        let mut blocks = Blocks::new(file, self.promoted.to_vec());
        let mut run = Run::default();
        let order: Vec<(u32, u32)> = rows.iter().map(|row| (0, *row)).collect();
        blocks.write(&mut run, &order, &[&columns])?;
        runs.push(run);
        Ok(())
    }

    /// All of them, sorted under their new names.
    pub(crate) fn finish(self) -> Vec<Cursor> {
        let mut cursors = Vec::new();
        let tmp = &self.folders.tmp;
        if let Some((file, runs)) = self.written {
            let cursor = |run| {
                let (mut next, tmp) = (file.blocks(run), tmp.clone());
                Cursor::of_batches(Box::new(move || {
                    let columns = next().map_err(io_error(&tmp))?;
                    Ok(columns.map(|columns| (columns, None)))
                }))
            };
            cursors.extend(runs.into_iter().map(cursor));
        }
        let (columns, rows) = self.held.sorted();
        if !rows.is_empty() {
            cursors.push(Cursor::of_columns(Arc::new(columns), rows));
        }
        cursors
    }
}

impl Held {
    fn new(promoted: &[(String, PromotedKind)]) -> Self {
        let info = Info::new(promoted.to_vec());
        let rows = GroupBuilder::new(&info);
        Self { info, rows, persons: Vec::new(), origins: Vec::new(), bytes: 0 }
    }

    /// The rows, and their order.
    fn sorted(self) -> (Columns, Vec<u32>) {
        let columns = self.rows.finish(&self.info);
        let columns = Columns { person: self.persons, origin: self.origins, ..columns };
        let mut rows: Vec<u32> = (0..columns.len() as u32).collect();
        rows.sort_by_key(|&row| columns.sort_key(row as usize));
        (columns, rows)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::keeper::ordered;
    use crate::memtable::{MemRun, SortKey};
    use crate::options::StoreOptions;
    use crate::people::{Apart, ApartIn, To};
    use crate::row::Row;
    use crate::testing::{any_row, folders_in_memory};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn however_little_memory_there_is_the_same_rows_come_back_in_the_same_order(
            rows in prop::collection::vec(any_row(), 1..60),
            batch in 1usize..9,
            bytes_max in prop_oneof![Just(0usize), 1usize..4_000, Just(usize::MAX)],
        ) {
            // Everybody goes to the person 77.
            let moved = rows.iter().map(|row| (row.person, To::Person(77))).collect();
            let of_project = ApartIn { moved, ..ApartIn::default() };
            let projects = BTreeMap::from([(1, of_project)]);
            let options = StoreOptions::new("/");
            let rewrite = Rewrite::new(Arc::new(Apart::new(projects)), &options);
            let folders = folders_in_memory();
            let mut aside = Aside::new(&rewrite, &folders, &[], bytes_max);
            let rows: Vec<Row> = rows.into_iter().map(|row| Row { project: 1, ..row }).collect();
            let mut want: Vec<SortKey> = Vec::new();
            for rows in rows.chunks(batch) {
                let run = MemRun::sort(&[Arc::new(rows.to_vec())]);
                let all: Vec<u32> = (0..run.len() as u32).collect();
                let columns = run.columns(&all, &run.dictionaries());
                let moved = (0..columns.len()).filter(|row| columns.person[*row] != 77);
                want.extend(moved.map(|row| {
                    let (project, _, ts, seq, id) = columns.sort_key(row);
                    (project, 77, ts, seq, id)
                }));
                aside.take(&columns).unwrap();
                prop_assert!(aside.held.bytes < bytes_max.max(1), "more than fits is in memory");
            }
            want.sort_unstable();
            let mut got = Vec::new();
            ordered::merge(aside.finish(), &Rewrite::default(), &mut |order, sources| {
                let key = |&(from, row): &(u32, u32)| sources[from as usize].sort_key(row as usize);
                got.extend(order.iter().map(key));
                Ok(())
            }).unwrap();
            prop_assert_eq!(got, want);
        }
    }
}
