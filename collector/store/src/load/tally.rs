//! What the catalog learns of an import beside its segments.
//!
//! In: the rows that are written, row group by row group. Out: schema, usage and days that were closed;
//! and the segment's presence, which needs no second look at the rows then.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{UsageDelta, UsageKind, late_day};
use crate::columns::Columns;
use crate::presence::{Builder, Rows};
use crate::schema::SchemaCounter;

const HOUR_MS: i64 = 3_600_000;

/// Sums over the rows of one project.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub schema: SchemaCounter,
    /// Rows and bytes by hour of receipt.
    usage: BTreeMap<i64, (u64, u64)>,
    /// Days with rows that came after they were closed.
    pub late: BTreeSet<i32>,
}

impl Tally {
    pub(super) fn add(&mut self, project: u32, columns: &Columns) {
        self.schema.add_columns(project, columns);
        let mut last_late = None;
        let rows = columns.text_bytes().into_iter().zip(&columns.received).zip(&columns.ts);
        let (mut hour, mut sum) = (0, (0, 0));
        for ((bytes, received_ms), ts_ms) in rows {
            let its_hour = received_ms.div_euclid(HOUR_MS) * HOUR_MS;
            if its_hour != hour {
                self.add_usage(hour, sum);
                (hour, sum) = (its_hour, (0, 0));
            }
            sum = (sum.0 + 1, sum.1 + u64::from(bytes));
            let late = late_day(*ts_ms, *received_ms);
            if late.is_some() && late != last_late {
                self.late.extend(late);
                last_late = late;
            }
        }
        self.add_usage(hour, sum);
    }

    fn add_usage(&mut self, hour: i64, (count, bytes): (u64, u64)) {
        if count > 0 {
            let sum = self.usage.entry(hour).or_default();
            *sum = (sum.0 + count, sum.1 + bytes);
        }
    }

    pub(super) fn usage(&self, project: u32) -> Vec<UsageDelta> {
        let delta = |(&hour_ms, &(count, bytes)): (&i64, &(u64, u64))| UsageDelta {
            project,
            hour_ms,
            kind: UsageKind::Events,
            count,
            bytes,
        };
        self.usage.iter().map(delta).collect()
    }
}

/// Add rows to presence.
pub(super) fn add_presence(presence: &mut Builder, columns: &Columns) {
    // Every row has an event.
    let events: Vec<u32> =
        (0..columns.len()).map(|row| columns.event.code(row).saturating_sub(1)).collect();
    presence.add(&Rows {
        projects: &columns.project,
        persons: &columns.person,
        ts_ms: &columns.ts,
        events: &events,
        names: &columns.event.values.iter().map(|name| &**name).collect::<Vec<_>>(),
        flags: &columns.flags,
    });
}
