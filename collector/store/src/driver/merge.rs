//! One person found in several sources: put the rows together in order.

use super::Cursor;
use super::piece::Piece;
use crate::block::ColumnKey;
use crate::error::ScanError;

/// Merges, and keeps the memory for the next person.
#[derive(Default)]
pub(super) struct Merger {
    /// The merged rows: one person.
    pub merged: Piece,
    order: Vec<At>,
}

/// A row: its time, its source among those merged, its place in that source's piece.
#[derive(Clone, Copy)]
struct At {
    ts: i64,
    cursor: usize,
    row: usize,
}

impl Merger {
    /// Merge the current persons of the cursors in `same`, which are one and the same person.
    pub(super) fn merge(&mut self, cursors: &[Cursor], same: &[usize]) -> Result<(), ScanError> {
        self.order.clear();
        for &cursor in same {
            let piece = &cursors[cursor].piece;
            let rows = piece.range(cursors[cursor].at);
            self.order.extend(rows.map(|row| At { ts: piece.ts[row], cursor, row }));
        }
        // Stable, and fast on the sorted runs it is made of.
        self.order.sort_by_key(|at| at.ts);
        self.order_ties(cursors)?;

        let any = &cursors[same[0]].piece;
        self.merged.clear(any.texts.len(), any.numbers.len());
        let Self { merged, order } = self;
        merged.persons.push(any.persons[cursors[same[0]].at]);
        merged.starts.extend([0, order.len() as u32]);
        let piece = |at: &At| &cursors[at.cursor].piece;
        merged.ts.extend(order.iter().map(|at| at.ts));
        merged.event.extend(order.iter().map(|at| piece(at).event[at.row]));
        merged.actor.extend(order.iter().map(|at| piece(at).actor[at.row]));
        for (i, column) in merged.texts.iter_mut().enumerate() {
            column.extend(order.iter().map(|at| piece(at).texts[i][at.row]));
        }
        for (i, column) in merged.numbers.iter_mut().enumerate() {
            column.extend(order.iter().map(|at| piece(at).numbers[i][at.row]));
        }
        Ok(())
    }

    /// Rows of one millisecond from several sources are ordered by device sequence and event id.
    fn order_ties(&mut self, cursors: &[Cursor]) -> Result<(), ScanError> {
        for tied in self.order.chunk_by_mut(|a, b| a.ts == b.ts) {
            if tied.iter().all(|at| at.cursor == tied[0].cursor) {
                continue;
            }
            let mut keyed = Vec::with_capacity(tied.len());
            for at in tied.iter() {
                let piece = &cursors[at.cursor].piece;
                let block = piece.block.as_ref().expect("a filled piece knows its block");
                let order = block.column(&ColumnKey::Order)?;
                keyed.push((order.order()[piece.rows[at.row] as usize], *at));
            }
            keyed.sort_by_key(|(key, _)| *key);
            tied.iter_mut().zip(keyed).for_each(|(slot, (_, at))| *slot = at);
        }
        Ok(())
    }
}
