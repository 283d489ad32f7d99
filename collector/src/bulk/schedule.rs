//! The daily export: a file of raw events for each project and day, in a folder that the operator names.
//!
//! In: the setting `export_folder`. Out: `FOLDER/SLUG/2026-11-21.parquet`, days by the project's calendar. A day is written
//! when it is over, and again for as long as late events may change it; days that were missed are made up for, up to
//! [`DAYS_BACK`] of them.
//!
//! A file is there whole or not at all: it is written under another name first. So whatever carries the folder elsewhere
//! (a bucket, another machine) may run at any time.
//!
//! Deliberately elsewhere: when (`usage::rollup`), what is in a file (`export`).

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use jiff::civil::Date;
use jiff::{Span, Timestamp};
use tallymark_analysis::answer::LATENESS_MS;

use super::export::{Wanted, export};
use super::form::Form;
use crate::app::App;
use crate::error::ApiError;
use crate::meta::projects::Project;
use crate::query::export::note_export;
use crate::query::range::parse_range;

/// Days that are made up for.
const DAYS_BACK: i64 = 35;
/// As the audit trail names it.
const SCHEDULE: &str = "schedule";

/// Write what is missing, and what late events may have changed. Says how many files were written.
///
/// # Errors
/// When the folder cannot be written or the store not be read; files that are done stay.
pub async fn run(app: &App) -> Result<u64, ApiError> {
    if app.config.export_folder.is_empty() {
        return Ok(0);
    }
    let folder = PathBuf::from(&app.config.export_folder);
    let mut written = 0;
    for project in app.meta.directory().projects() {
        for day in days(&project, app.clock.now_ms(), DAYS_BACK)? {
            let path = folder.join(&project.slug).join(format!("{}.{}", day.date, extension(app)));
            if day.is_settled && path.exists() {
                continue;
            }
            let to = day.date.tomorrow().map_err(|error| ApiError::Internal(error.into()))?;
            let (from, to) = (day.date.to_string(), to.to_string());
            let wanted = Wanted::all(parse_range(Some(&from), Some(&to), &project.tz)?);
            let (of, form) = (Arc::clone(&project), app.config.export_format.0);
            let work = app.blocking(move |app| {
                let count = write(app, &of, &wanted, form, &path).map_err(ApiError::Internal)?;
                Ok((count, wanted))
            });
            let (count, wanted) = work.await?;
            note_export(app, SCHEDULE, &project, &wanted, Some(&count)).await?;
            written += 1;
        }
    }
    if written > 0 {
        tracing::info!(files = written, "days were exported");
    }
    Ok(written)
}

fn extension(app: &App) -> &'static str {
    match app.config.export_format.0 {
        Form::Parquet => "parquet",
        Form::Jsonl => "jsonl",
        Form::Csv => "csv",
    }
}

/// A day that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Day {
    date: Date,
    /// Whether late events change it no more.
    is_settled: bool,
}

/// The last days of a project that are over, the oldest first.
fn days(project: &Project, now_ms: i64, back: i64) -> Result<Vec<Day>, ApiError> {
    let internal = |error: jiff::Error| ApiError::Internal(error.into());
    let date = |ms: i64| {
        let at = Timestamp::from_millisecond(ms).map_err(internal)?;
        Ok::<_, ApiError>(at.in_tz(&project.tz).map_err(internal)?.date())
    };
    let (made, today) = (date(project.created_ms)?, date(now_ms)?);
    let settled = date(now_ms.saturating_sub(LATENESS_MS))?;
    let first = today.saturating_sub(Span::new().days(back)).max(made);
    let dates = std::iter::successors(Some(first), |date| date.tomorrow().ok());
    let over = dates.take_while(|date| *date < today);
    Ok(over.map(|date| Day { date, is_settled: date < settled }).collect())
}

fn write(
    app: &App,
    project: &Project,
    wanted: &Wanted,
    form: Form,
    path: &Path,
) -> anyhow::Result<u64> {
    let folder = path.parent().context("a file is in a folder")?;
    let at = |what: &str| format!("{what} {}", path.display());
    fs::create_dir_all(folder).with_context(|| at("cannot make the folder of"))?;
    let part = path.with_extension("part");
    let file = private(&part).with_context(|| at("cannot write"))?;
    let mut out = BufWriter::new(file);
    let count = export(app, project, wanted, form, &mut out)?;
    let file = out.into_inner().map_err(std::io::IntoInnerError::into_error);
    file.and_then(|mut file| file.flush().and_then(|()| file.sync_all()))
        .with_context(|| at("cannot write"))?;
    fs::rename(&part, path).with_context(|| at("cannot put in its place"))?;
    // Its name too: where folders cannot be synced, the system does so by itself a little later.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(count)
}

/// A new file that only the collector's user can read: events of people are in it.
fn private(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 86_400_000;

    fn project(tz: &str, created_ms: i64) -> Project {
        let (name, slug, salt) = (String::new(), "shop".to_owned(), String::new());
        let settings = crate::meta::projects::Settings::default();
        Project {
            id: 1,
            organisation: 1,
            name,
            slug,
            tz: tz.to_owned(),
            salt,
            created_ms,
            settings,
        }
    }

    fn shown(days: &[Day]) -> Vec<(String, bool)> {
        days.iter().map(|day| (day.date.to_string(), day.is_settled)).collect()
    }

    #[test]
    fn days_that_are_over_are_exported_and_young_ones_again() {
        // 2026-11-22T00:10:00Z.
        let now = 20_779 * DAY_MS + 600_000;
        let days_of = |tz: &str, made: i64| shown(&days(&project(tz, made), now, 5).unwrap());
        let want = |list: &[(&str, bool)]| -> Vec<_> {
            list.iter().map(|(day, settled)| ((*day).to_owned(), *settled)).collect()
        };
        let all = want(&[
            ("2026-11-17", true),
            ("2026-11-18", true),
            ("2026-11-19", false),
            ("2026-11-20", false),
            ("2026-11-21", false),
        ]);
        assert_eq!(days_of("UTC", 0), all);
        assert_eq!(
            days_of("UTC", now - DAY_MS),
            want(&[("2026-11-21", false)]),
            "since it was made"
        );
        assert_eq!(days_of("UTC", now), []);
        // In New York it is still the 21st.
        assert_eq!(days_of("America/New_York", 0).last().unwrap().0, "2026-11-20");
    }
}
