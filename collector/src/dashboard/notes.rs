//! What a team wrote down about a time: releases, campaigns, outages.
//!
//! In: annotations that were saved. Out: the notes of a period, and which of them stand in which bucket of an answer
//! ([`marks`]), for the drawings and the tables below them.

use std::ops::Range;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};
use tallymark_analysis::time_bucket::instant;

use super::format;
use super::period::Period;
use crate::app::App;
use crate::error::ApiError;
use crate::meta::projects::Project;
use crate::meta::saved::Saved;
use crate::saved::Kind;
use crate::saved::desk::Desk;

/// A note.
#[derive(Debug, Clone)]
pub struct Note {
    /// When it begins.
    pub at_ms: i64,
    /// The day of that, in words.
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
    within(app, project, ms(period.from)..ms(period.to), &tz).await
}

/// The annotations that hold within a time, their days as in a zone.
///
/// # Errors
/// When the database fails.
pub async fn within(
    app: &App,
    project: &Project,
    times: Range<i64>,
    tz: &TimeZone,
) -> Result<Vec<Note>, ApiError> {
    let now_ms = app.clock.now_ms();
    let desk = Desk { meta: &app.meta, project, kind: Kind::Annotation, now_ms };
    let all = desk.list(Some(times)).await?;
    let own = TimeZone::get(&project.tz).unwrap_or(TimeZone::UTC);
    let text = |body: &Map<String, Value>, field: &str| {
        body.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let note = |saved: Saved| {
        let at_ms = instant("at", &text(&saved.body, "at"), &own).ok()?;
        let at = Timestamp::from_millisecond(at_ms).ok()?.to_zoned(tz.clone());
        Some(Note { at_ms, at: format::day(at.date()), text: text(&saved.body, "text") })
    };
    let mut all: Vec<Note> = all.into_iter().filter_map(note).collect();
    all.sort_by_key(|note| note.at_ms);
    Ok(all)
}

/// What was noted in each bucket of an answer; nothing where buckets are no times or none has a note.
pub fn marks(notes: &[Note], buckets: &[String], tz: &TimeZone) -> Vec<Option<String>> {
    let starts: Option<Vec<i64>> =
        buckets.iter().map(|bucket| instant("at", bucket, tz).ok()).collect();
    let Some(starts) = starts else { return Vec::new() };
    let mut marks: Vec<Option<String>> = vec![None; buckets.len()];
    for note in notes {
        // One that began earlier and holds on is marked where the answer begins.
        let index = starts.partition_point(|start| *start <= note.at_ms).saturating_sub(1);
        let Some(mark) = marks.get_mut(index) else { continue };
        let text = format!("{}: {}", note.at, note.text);
        *mark = Some(mark.take().map_or(text.clone(), |before| format!("{before} · {text}")));
    }
    if marks.iter().all(Option::is_none) { Vec::new() } else { marks }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn note(at: &str, text: &str) -> Note {
        let at: Timestamp = at.parse().expect("a time");
        let day = format::day(at.to_zoned(TimeZone::UTC).date());
        Note { at_ms: at.as_millisecond(), at: day, text: text.into() }
    }

    #[rstest]
    #[case::before_the_first("2026-09-03T12:00:00Z", 0)]
    #[case::the_last_moment_of_a_bucket("2026-09-09T21:59:59.999Z", 0)]
    #[case::the_first_moment_of_the_next("2026-09-09T22:00:00Z", 1)]
    #[case::in_the_last("2026-09-18T12:00:00Z", 1)]
    fn a_note_stands_in_the_bucket_it_begins_in(#[case] at: &str, #[case] index: usize) {
        let tz = TimeZone::get("Europe/Berlin").expect("a zone");
        let buckets = ["2026-09-05", "2026-09-10"].map(str::to_owned);
        let marks = marks(&[note(at, "release")], &buckets, &tz);
        assert!(marks[index].as_deref().is_some_and(|mark| mark.ends_with(": release")));
        assert_eq!(marks.iter().flatten().count(), 1);
    }

    #[test]
    fn notes_of_one_bucket_stand_together_and_hours_are_times_too() {
        let buckets = ["2026-09-05T10:00:00+02:00", "2026-09-05T11:00:00+02:00"];
        let notes = [note("2026-09-05T09:00:00Z", "a"), note("2026-09-05T09:59:00Z", "b")];
        let got = marks(&notes, &buckets.map(str::to_owned), &TimeZone::UTC);
        assert_eq!(got, [None, Some("5\u{a0}Sep: a · 5\u{a0}Sep: b".to_owned())]);
    }

    #[rstest]
    #[case::no_notes(&[], &["2026-09-05"])]
    #[case::no_buckets(&[note("2026-09-05T09:00:00Z", "a")], &[])]
    #[case::no_times(&[note("2026-09-05T09:00:00Z", "a")], &["0", "1"])]
    fn there_are_no_marks_with(#[case] notes: &[Note], #[case] buckets: &[&str]) {
        let buckets: Vec<String> = buckets.iter().map(|bucket| (*bucket).to_owned()).collect();
        assert!(marks(notes, &buckets, &TimeZone::UTC).is_empty());
    }
}
