//! One row, wherever it lies: borrowed from a run of the memtable, from columns of a segment, or from a
//! row that belongs to somebody else than it is stored under.
//!
//! Deliberately elsewhere: the row as a value of its own (`row`).

use std::sync::Arc;

use crate::row::{Dim, Row};

/// One row of a block, borrowed.
#[derive(Debug, Clone)]
pub(crate) struct RowRef<'a> {
    pub project: u32,
    pub person: u64,
    pub actor: u64,
    /// The id that the event came with, before anybody was joined.
    pub base: u64,
    pub ts_ms: i64,
    pub seq: u32,
    pub writer: u64,
    pub event_id: u128,
    pub received_ms: i64,
    pub claimed_ms: i64,
    pub flags: u8,
    pub event: &'a str,
    pub session: u128,
    pub dims: [Option<&'a str>; Dim::ALL.len()],
    pub props: &'a str,
}

/// A row that belongs to somebody else than it is stored under.
#[derive(Debug)]
pub(crate) struct Aside {
    pub row: Row,
    /// See [`RowRef::base`].
    pub base: u64,
}

impl Aside {
    pub(crate) fn row_ref(&self) -> RowRef<'_> {
        RowRef { base: self.base, ..RowRef::of(&self.row) }
    }
}

impl<'a> RowRef<'a> {
    fn of(row: &'a Row) -> Self {
        let mut dims = [None; Dim::ALL.len()];
        dims.iter_mut().zip(row.dims.iter()).for_each(|(to, from)| *to = from.as_deref());
        Self {
            project: row.project,
            person: row.person,
            actor: row.actor,
            base: row.person,
            ts_ms: row.ts_ms,
            seq: row.seq,
            writer: row.writer,
            event_id: row.event_id,
            received_ms: row.received_ms,
            claimed_ms: row.claimed_ms,
            flags: row.flags,
            event: &row.event,
            session: row.session,
            dims,
            props: &row.props,
        }
    }

    pub(crate) fn to_row(&self) -> Row {
        Row {
            project: self.project,
            person: self.person,
            actor: self.actor,
            ts_ms: self.ts_ms,
            seq: self.seq,
            writer: self.writer,
            event_id: self.event_id,
            received_ms: self.received_ms,
            claimed_ms: self.claimed_ms,
            flags: self.flags,
            event: self.event.into(),
            session: self.session,
            dims: Arc::new(self.dims.map(|dim| dim.map(Into::into))),
            props: self.props.into(),
        }
    }

    /// What rows are sorted by.
    pub(crate) fn sort_key(&self) -> SortKey {
        (self.project, self.person, self.ts_ms, self.seq, self.event_id)
    }
}

/// Project, person, time, device sequence, event id.
pub(crate) type SortKey = (u32, u64, i64, u32, u128);
