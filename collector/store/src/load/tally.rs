//! What the catalog learns of an import beside its segments.
//!
//! In: the rows that are written, row group by row group. Out: schema, usage and days that were closed;
//! and the segment's presence, which needs no second look at the rows then.

use std::collections::BTreeSet;

use crate::catalog::{UsageDelta, UsageKind, late_day};
use crate::columns::Columns;
use crate::presence::{Builder, Rows};
use crate::schema::SchemaCounter;
use crate::usage::{USAGE_EVENT, UsageTable, hour_of, metered_by};

/// Sums over the rows of one project.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub schema: SchemaCounter,
    usage: UsageTable,
    /// Days with rows that came after they were closed.
    pub late: BTreeSet<i32>,
}

impl Tally {
    pub(super) fn add(&mut self, project: u32, columns: &Columns) {
        self.schema.add_columns(project, columns);
        let mut last_late = None;
        let rows = columns.text_bytes().into_iter().zip(&columns.received).zip(&columns.ts);
        let (mut hour, mut sum) = (i64::MIN, (0, 0));
        for ((bytes, received_ms), ts_ms) in rows {
            let its_hour = hour_of(*received_ms);
            if its_hour != hour {
                self.add_usage(project, hour, sum);
                (hour, sum) = (its_hour, (0, 0));
            }
            sum = (sum.0 + 1, sum.1 + u64::from(bytes));
            let late = late_day(*ts_ms, *received_ms);
            if late.is_some() && late != last_late {
                self.late.extend(late);
                last_late = late;
            }
        }
        self.add_usage(project, hour, sum);
        self.add_metered(project, columns);
    }

    fn add_usage(&mut self, project: u32, hour_ms: i64, sum: (u64, u64)) {
        if sum.0 > 0 {
            self.usage.add(project, hour_ms, UsageKind::Events, sum);
        }
    }

    /// What servers said was used.
    fn add_metered(&mut self, project: u32, columns: &Columns) {
        let Some(at) = columns.event.values.iter().position(|name| &**name == USAGE_EVENT) else {
            return;
        };
        let mut props = String::new();
        for row in (0..columns.len()).filter(|row| columns.event.code(*row) as usize == at + 1) {
            props.clear();
            columns.push_props(row, &mut props);
            let told = metered_by(USAGE_EVENT, columns.flags[row], &props);
            if let Some((metric, amount)) = told {
                let hour_ms = hour_of(columns.received[row]);
                self.usage.add(project, hour_ms, UsageKind::Metered(metric), (amount, 0));
            }
        }
    }

    pub(super) fn usage(&self) -> Vec<UsageDelta> {
        self.usage.deltas()
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
