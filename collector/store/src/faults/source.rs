//! Events for the proofs: of a small world, so that persons, days and times meet again.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tallymark_protocol::uuid7;

use super::random::Random;
use crate::row::{Dim, Row, flags};

/// The tenants.
pub(crate) const PROJECTS: [u32; 2] = [1, 2];
/// Ids of users and of their devices.
const USERS: Range<u64> = 1..5;
const DEVICES: Range<u64> = 100..106;

/// An id that events may have.
pub(crate) fn any_id(random: &mut Random) -> u64 {
    let ids = if random.percent(50) { USERS } else { DEVICES };
    random.within(ids)
}

/// Makes events, each with an id of its own, also among clones.
#[derive(Debug, Clone, Default)]
pub(crate) struct Source {
    next: Arc<AtomicU64>,
    has_users: bool,
}

impl Source {
    /// Events of devices, some of them of users: they join one with the other.
    pub(crate) fn of_users() -> Self {
        Self { has_users: true, ..Self::default() }
    }

    /// Some rows, at least one.
    pub(crate) fn rows(&self, random: &mut Random, at_most: u64) -> Vec<Row> {
        (0..random.within(1..at_most + 1)).map(|_| self.row(random)).collect()
    }

    /// Forty, of one project and week: each flush of them makes one segment.
    pub(crate) fn rows_of_a_week(&self, random: &mut Random) -> Vec<Row> {
        let of_a_week = |row| Row { project: 1, ts_ms: 1_700_000_000_000, ..row };
        (0..40).map(|_| of_a_week(self.row(random))).collect()
    }

    pub(crate) fn row(&self, random: &mut Random) -> Row {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let week = random.below(2) as i64;
        let ts_ms = 1_700_000_000_000 + week * 604_800_000 + random.below(5) as i64;
        let mut tail = [0; 10];
        tail[2..].copy_from_slice(&n.to_be_bytes());
        // Mostly of the same days, sometimes without a believable one.
        let event_id = match random.below(8) {
            0 => u128::from(n),
            day => uuid7::make((19_670 + day) * 86_400_000, tail),
        };
        let mut dims = [const { None }; Dim::ALL.len()];
        dims[Dim::Path as usize] = Some((*random.pick(&["/", "/a", "/größe"])).into());
        let (mut person, mut actor, mut row_flags) = (random.below(5), None, n as u8 & 15);
        if self.has_users {
            let device = DEVICES.start + random.below(DEVICES.end - DEVICES.start);
            let user = random.percent(30).then(|| random.within(USERS));
            (person, actor) = (user.unwrap_or(device), Some(device));
            row_flags &= !flags::IDENTIFIED;
            row_flags |= if user.is_some() { flags::IDENTIFIED } else { 0 };
        }
        Row {
            project: *random.pick(&PROJECTS),
            person,
            actor: actor.unwrap_or(person),
            ts_ms,
            seq: n as u32,
            writer: (n % 3) * 7,
            event_id,
            received_ms: ts_ms + 5,
            claimed_ms: ts_ms - 1,
            flags: row_flags,
            event: (*random.pick(&["view", "add", "buy"])).into(),
            session: u128::from(random.below(3)),
            dims: dims.into(),
            props: (*random.pick(&[
                "{}",
                "{\"plan\":\"team\",\"seats\":5}",
                "{\"plan\":7,\"ok\":true}",
                "{\"seats\":5.0,\"note\":\"a long text that the log has to keep as it is\"}",
            ]))
            .into(),
        }
    }
}
