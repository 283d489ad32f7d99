//! `tallymark demo`: a project filled with data made on the spot.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tallymark_protocol::uuid7;
use tallymark_store::row::flags;

use super::at::{AtFormat, AtReader};
use super::cell::Cell;
use super::draft::Drafter;
use super::mapping::{Field, Target};
use super::people::{Ids, People};
use super::sink::Sink;
use crate::app::App;
use crate::console::{Console, Progress};
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
    let mut drafter = Drafter::new(
        project.id,
        People::new(&project.salt, &hasher, Ids::Raw),
        at,
        app.clock.now_ms(),
    );
    let mut sink = Sink::new(&app.store);
    let mut made = 0u64;
    let mut outcome = Ok(());
    generate(&spec, &mut |event| {
        if outcome.is_err() {
            return;
        }
        made += 1;
        outcome = store(&mut drafter, &mut sink, &event);
        if outcome.is_ok() && made.is_multiple_of(8_192) {
            let progress = Progress { done: made.min(spec.events), total: spec.events, rows: made };
            outcome = console.progress(progress).map_err(Into::into);
        }
    });
    outcome?;
    let stored = sink.finish()?;
    let day = |ms: i64| {
        let zone = jiff::tz::TimeZone::get(&project.tz)?;
        let moment = jiff::Timestamp::from_millisecond(ms)?.to_zoned(zone);
        anyhow::Ok(moment.date().to_string())
    };
    let from_ms = end_ms - i64::from(spec.days) * 24 * HOUR_MS;
    Ok(json!({
        "events": made, "stored": stored.new, "duplicate": stored.duplicate,
        "from": day(from_ms)?, "to": day(end_ms + 24 * HOUR_MS)?,
    }))
}

fn store(drafter: &mut Drafter<'_>, sink: &mut Sink<'_>, event: &DemoEvent) -> anyhow::Result<()> {
    let id = uuid7::format(event.id);
    let session = uuid7::format(event.session);
    let props = serde_json::to_string(&event.props)?;
    let mut draft = drafter.draft();
    let mut put = |field, cell| drafter.put(&mut draft, &Target::Field(field), cell);
    put(Field::Id, Cell::Untyped(&id));
    put(Field::Name, Cell::Untyped(event.name));
    put(Field::At, Cell::Int(event.ts_ms));
    put(Field::Seq, Cell::Int(event.seq.into()));
    put(Field::Device, Cell::Untyped(&event.device_id));
    if let Some(user) = &event.user_id {
        put(Field::User, Cell::Untyped(user));
    }
    put(Field::Session, Cell::Untyped(&session));
    put(Field::Props, Cell::Json(&props));
    for (dim, text) in &event.dims {
        put(Field::Dim(*dim), Cell::Untyped(text));
    }
    let mut row = drafter
        .finish(draft)
        .map_err(|code| anyhow::anyhow!("a demo event is refused: {}", code.as_str()))?;
    // It tells of browsers, so it shall look like them.
    row.flags &= !flags::SERVER;
    sink.push(row)?;
    Ok(())
}
