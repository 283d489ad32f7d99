//! Whole rows, in the order of (project, person, time): for exports and event lists.

use std::ops::ControlFlow;

use crate::error::ScanError;
use crate::memtable::MemRun;
use crate::row::Row;
use crate::shared::View;
use crate::store::RowRange;

/// Give the rows of a project in a range.
///
/// # Errors
/// [`ScanError`] when a segment cannot be read.
pub(crate) fn scan(
    view: &View,
    project: u32,
    range: RowRange,
    each: &mut dyn FnMut(Row) -> ControlFlow<()>,
) -> Result<(), ScanError> {
    let frozen = view.frozen.iter().flat_map(|frozen| &frozen.rows.runs);
    let runs: Vec<&MemRun> =
        frozen.chain(&view.active.runs).chain(&view.active.sorted).map(|run| &**run).collect();
    let mut keys: Vec<_> = runs
        .iter()
        .enumerate()
        .flat_map(|(i, run)| (0..run.len()).map(move |row| (run.sort_key(row), i, row)))
        .filter(|(key, ..)| key.0 == project && (range.from_ms..range.to_ms).contains(&key.2))
        .filter(|(key, ..)| range.person.is_none_or(|person| key.1 == person))
        .collect();
    keys.sort_unstable();
    for (_, run, row) in keys {
        if each(runs[run].row(row).to_row()).is_break() {
            break;
        }
    }
    Ok(())
}
