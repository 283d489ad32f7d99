//! What a team wrote down about a time: releases, campaigns, outages.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::format;
use super::period::Period;
use crate::app::App;
use crate::error::ApiError;
use crate::meta::projects::Project;
use crate::saved::Kind;
use crate::saved::desk::Desk;

/// A note.
#[derive(Debug, Clone)]
pub struct Note {
    /// When.
    pub at: String,
    /// What.
    pub text: String,
}

/// The annotations that hold within a period.
///
/// # Errors
/// When the database fails.
pub async fn of(app: &App, project: &Project, period: &Period) -> Result<Vec<Note>, ApiError> {
    let tz = TimeZone::get(&period.tz_name).unwrap_or(TimeZone::UTC);
    let ms = |date: Date| date.to_zoned(tz.clone()).map_or(0, |at| at.timestamp().as_millisecond());
    let now_ms = app.clock.now_ms();
    let desk = Desk { meta: &app.meta, project, kind: Kind::Annotation, now_ms };
    let mut all = desk.list(Some(ms(period.from)..ms(period.to))).await?;
    let text = |body: &serde_json::Map<String, Value>, field: &str| {
        body.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    all.sort_by_key(|saved| text(&saved.body, "at"));
    let note = |saved: crate::meta::saved::Saved| {
        let at = text(&saved.body, "at");
        let day = at.get(..10).and_then(|day| day.parse().ok()).map(format::day);
        Note { at: day.unwrap_or(at), text: text(&saved.body, "text") }
    };
    Ok(all.into_iter().map(note).collect())
}
