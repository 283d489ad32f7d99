//! What a batch counts as in the metrics of projects.
//!
//! In: its rows before they are stored, and which of them turned out to be new. Out: counters by event name,
//! and of usage that a server told.

use std::sync::Arc;

use tallymark_store::row::flags;
use tallymark_store::{Appended, Row, USAGE_EVENT, metered};

use crate::app::App;
use crate::meta::projects::Project;
use crate::telemetry::{EventOf, Metered};

/// Of each row, in order.
pub struct Counts(Vec<Counted>);

struct Counted {
    event: Arc<str>,
    by_server: bool,
    /// The metric and the amount that it tells of.
    used: Option<(Arc<str>, u64)>,
}

impl Counts {
    /// Of rows that are about to be stored.
    pub fn of(rows: &[Row]) -> Self {
        let of = |row: &Row| {
            let by_server = row.flags & flags::SERVER != 0;
            let tells = by_server && *row.event == *USAGE_EVENT;
            let used = if tells { metered(&row.props) } else { None };
            Counted { event: Arc::clone(&row.event), by_server, used }
        };
        Self(rows.iter().map(of).collect())
    }

    /// Count those that are new.
    pub fn count(self, app: &App, project: &Project, appended: &Appended) {
        let Appended { duplicate, erased } = appended;
        for (place, Counted { event, by_server, used }) in self.0.into_iter().enumerate() {
            if duplicate.get(place).copied().unwrap_or(false) || erased.contains(&place) {
                continue;
            }
            let tenant = project.slug.clone();
            if let Some((metric, amount)) = used {
                let labels = Metered { tenant: tenant.clone(), metric: metric.to_string() };
                app.telemetry.usage.of(labels).inc_by(amount);
            }
            let source = if by_server { "server" } else { "web" };
            app.telemetry.events_of.of(EventOf { tenant, event: event.to_string(), source }).inc();
        }
    }
}
