//! `tallymark demo`: a project filled with data made on the spot.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tallymark_protocol::uuid7;
use tallymark_store::row::flags;

use super::at::{AtFormat, AtReader};
use super::cell::Cell;
use super::draft::Drafter;
use super::mapping::Mapping;
use super::people::{Ids, People};
use super::table::{Rows, Table, TableBuilder};
use super::work::{self, Batch, Job};
use crate::app::App;
use crate::console::Console;
use crate::demo::{DemoEvent, DemoSpec, generate};
use crate::meta::projects::Project;

/// How much demo, and where.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DemoTask {
    /// About how many events.
    pub events: Option<u64>,
    /// The project's slug; made if it is not there.
    pub slug: String,
    /// Whether the outcome is printed as JSON.
    pub json: bool,
}

const HOUR_MS: i64 = 3_600_000;
/// Events handed on at a time.
const BATCH_ROWS: usize = 8_192;

/// Fill a project; says what is in it now.
///
/// # Errors
/// When the store cannot write.
pub fn fill(
    app: &App,
    project: &Project,
    task: &DemoTask,
    console: &mut dyn Console,
) -> anyhow::Result<Value> {
    // Whole hours, so that filling twice within one stores nothing twice.
    let end_ms = app.clock.now_ms().div_euclid(HOUR_MS) * HOUR_MS;
    let mut spec = DemoSpec::new(end_ms);
    if let Some(events) = task.events {
        // As many people as the default has for its events, but never so few that figures wobble.
        let persons = (events / 30).clamp(200, 1_000_000);
        spec = DemoSpec { events, persons: u32::try_from(persons).unwrap_or(u32::MAX), ..spec };
    }
    let hasher = app.hasher(project.id);
    let at = AtReader::new(AtFormat::Ms, jiff::tz::TimeZone::UTC);
    let people = People::new(&project.salt, &hasher, Ids::Raw);
    let mapping = Mapping::default();
    let job = Job {
        store: &app.store,
        project: project.id,
        // It tells of browsers, so it shall look like them: not like a server.
        drafter: Drafter::new(project.id, people, at, app.clock.now_ms(), flags::IMPORTED),
        mapping: &mapping,
        total: spec.events,
    };
    let path: Arc<Path> = Arc::from(Path::new("demo"));
    let mut made = 0u64;
    let stored = work::run(&job, console, |give| {
        let mut outcome = Ok(());
        let mut events = Vec::new();
        let mut give = |events: &mut Vec<DemoEvent>, done| {
            let rows = Box::new(DemoRows(std::mem::take(events)));
            give(Batch { path: Arc::clone(&path), rows, done })
        };
        generate(&spec, &mut |event| {
            made += 1;
            events.push(event);
            if outcome.is_ok() && events.len() == BATCH_ROWS {
                outcome = give(&mut events, made);
            } else if outcome.is_err() {
                events.clear();
            }
        });
        outcome?;
        give(&mut events, made)
    })?;
    anyhow::ensure!(stored.refused == 0, "demo events are refused: {:?}", stored.refused_by);
    let day = |ms: i64| {
        let zone = jiff::tz::TimeZone::get(&project.tz)?;
        let moment = jiff::Timestamp::from_millisecond(ms)?.to_zoned(zone);
        anyhow::Ok(moment.date().to_string())
    };
    let from_ms = end_ms - i64::from(spec.days) * 24 * HOUR_MS;
    Ok(json!({
        "events": made, "stored": stored.stored, "duplicate": stored.duplicate,
        "letter": jiff::Timestamp::from_millisecond(spec.letter_ms())?.to_string(),
        "from": day(from_ms)?, "to": day(end_ms + 24 * HOUR_MS)?,
    }))
}

/// Events that were made.
struct DemoRows(Vec<DemoEvent>);

impl Rows for DemoRows {
    fn table<'a>(&'a self, mapping: &'a Mapping) -> anyhow::Result<Table<'a>> {
        let mut table = TableBuilder::new(mapping);
        for event in &self.0 {
            table.row();
            let mut put = |name: &'static str, cell| table.put(name.into(), |_| cell);
            let owned = |text: String| Cell::Text(text.into());
            put("id", owned(uuid7::format(event.id)));
            put("name", Cell::Untyped(event.name));
            put("at", Cell::Int(event.ts_ms));
            put("seq", Cell::Int(event.seq.into()));
            put("device", Cell::Untyped(&event.device_id));
            if let Some(user) = &event.user_id {
                put("user", Cell::Untyped(user));
            }
            put("session", owned(uuid7::format(event.session)));
            put("props", owned(serde_json::to_string(&event.props)?));
            for (dim, text) in &event.dims {
                put(dim.name(), Cell::Untyped(text));
            }
        }
        Ok(table.finish())
    }

    fn place(&self, row: usize) -> u64 {
        row as u64 + 1
    }
}
