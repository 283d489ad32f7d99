//! The daily export: a file of raw events for each project and day, in a folder or a bucket that the operator names.
//!
//! In: the settings `export_folder` and `export_bucket`. Out: `SLUG/2026-11-21.parquet` there, days by the project's calendar. A day
//! is written when it is over, again while late events may change it, and a last time after that; days that were missed are made
//! up for, up to [`DAYS_BACK`] of them.
//!
//! A file is there whole or not at all: in a folder it is written under another name first. So whatever carries the folder
//! elsewhere may run at any time.
//!
//! Deliberately elsewhere: when (`usage::rollup`), what is in a file (`export`), how a bucket is spoken to (`bucket`).

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Context;
use jiff::civil::Date;
use jiff::{Span, Timestamp};
use tallymark_analysis::answer::LATENESS_MS;

use super::bucket::Bucket;
use super::export::{Wanted, export};
use super::form::Form;
use super::under_way::Outcome;
use crate::app::App;
use crate::error::ApiError;
use crate::meta::projects::Project;
use crate::query::export::{begin_export, note_export};
use crate::query::range::parse_range;

/// Days that are made up for.
const DAYS_BACK: i64 = 35;
/// As the audit trail names it.
const SCHEDULE: &str = "schedule";

/// Write what is missing, and what late events may have changed. Says how many files were written.
///
/// # Errors
/// When a place cannot be written or the store not be read; files that are done stay.
pub async fn run(app: &App) -> Result<u64, ApiError> {
    let mut written = 0;
    for place in places(app).map_err(ApiError::Internal)? {
        for project in app.meta.directory().projects() {
            for day in days(&project, app.clock.now_ms(), DAYS_BACK)? {
                written += u64::from(write_day(app, &place, &project, day).await?);
            }
        }
    }
    if written > 0 {
        tracing::info!(files = written, "days were exported");
    }
    Ok(written)
}

/// Write a day, unless it is there and nothing changes it any more. Says whether it was written.
async fn write_day(
    app: &App,
    place: &Arc<Place>,
    project: &Arc<Project>,
    day: Date,
) -> Result<bool, ApiError> {
    let name = format!("{}/{}.{}", project.slug, day, extension(app));
    let to = day.tomorrow().map_err(|error| ApiError::Internal(error.into()))?;
    let (from, to) = (day.to_string(), to.to_string());
    let wanted = Wanted::all(parse_range(Some(&from), Some(&to), &project.tz)?);
    let settled_ms = wanted.range.end.saturating_add(LATENESS_MS);
    let (of, place, form) = (Arc::clone(project), Arc::clone(place), app.config.export_format.0);
    let work = app.blocking(move |app| {
        if place.written_ms(&name).map_err(ApiError::Internal)? >= Some(settled_ms) {
            return Ok(None);
        }
        let work = begin_export(app, &of, SCHEDULE, form);
        let mut count = 0;
        let mut fill = |out: &mut (dyn Write + Send)| {
            count = export(app, &of, &wanted, form, work.scan(), out)?;
            Ok(())
        };
        let written = place.write(&name, app.clock.now_ms(), &mut fill);
        work.end(&written, |()| Outcome::Exported(count));
        written.map_err(ApiError::Internal)?;
        Ok(Some((count, wanted)))
    });
    let Some((count, wanted)) = work.await? else { return Ok(false) };
    note_export(app, SCHEDULE, project, &wanted, Some(&count)).await?;
    Ok(true)
}

fn extension(app: &App) -> &'static str {
    match app.config.export_format.0 {
        Form::Parquet => "parquet",
        Form::Jsonl => "jsonl",
        Form::Csv => "csv",
    }
}

/// The last days of a project that are over, the oldest first.
fn days(project: &Project, now_ms: i64, back: i64) -> Result<Vec<Date>, ApiError> {
    let internal = |error: jiff::Error| ApiError::Internal(error.into());
    let date = |ms: i64| {
        let at = Timestamp::from_millisecond(ms).map_err(internal)?;
        Ok::<_, ApiError>(at.in_tz(&project.tz).map_err(internal)?.date())
    };
    let (made, today) = (date(project.created_ms)?, date(now_ms)?);
    let first = today.saturating_sub(Span::new().days(back)).max(made);
    let dates = std::iter::successors(Some(first), |date| date.tomorrow().ok());
    Ok(dates.take_while(|date| *date < today).collect())
}

/// Where files go.
enum Place {
    Folder(PathBuf),
    Bucket(Bucket),
}

/// The places that are set.
fn places(app: &App) -> anyhow::Result<Vec<Arc<Place>>> {
    let folder = Some(&app.config.export_folder).filter(|folder| !folder.is_empty());
    let folder = folder.map(|folder| Place::Folder(PathBuf::from(folder)));
    let bucket = Bucket::of(&app.config, &app.clock)?.map(Place::Bucket);
    Ok(folder.into_iter().chain(bucket).map(Arc::new).collect())
}

impl Place {
    /// As of when a file was written, Unix milliseconds, if it is there.
    fn written_ms(&self, name: &str) -> anyhow::Result<Option<i64>> {
        match self {
            Self::Bucket(bucket) => bucket.written_ms(name),
            Self::Folder(folder) => {
                let Ok(facts) = folder.join(name).metadata() else { return Ok(None) };
                let since = facts.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
                Ok(Some(i64::try_from(since.as_millis())?))
            }
        }
    }

    /// Write a file as of now, whole or not at all.
    fn write(
        &self,
        name: &str,
        now_ms: i64,
        fill: &mut dyn FnMut(&mut (dyn Write + Send)) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        match self {
            Self::Bucket(bucket) => {
                let mut out = bucket.upload(name);
                fill(&mut out)?;
                out.finish()
            }
            Self::Folder(folder) => write_file(&folder.join(name), now_ms, fill),
        }
    }
}

fn write_file(
    path: &Path,
    now_ms: i64,
    fill: &mut dyn FnMut(&mut (dyn Write + Send)) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let folder = path.parent().context("a file is in a folder")?;
    let at = |what: &str| format!("{what} {}", path.display());
    fs::create_dir_all(folder).with_context(|| at("cannot make the folder of"))?;
    let part = path.with_extension("part");
    let file = private(&part).with_context(|| at("cannot write"))?;
    let mut out = BufWriter::new(file);
    fill(&mut out)?;
    let file = out.into_inner().map_err(std::io::IntoInnerError::into_error);
    let as_of = UNIX_EPOCH + Duration::from_millis(u64::try_from(now_ms).unwrap_or_default());
    file.and_then(|file| file.set_modified(as_of).and_then(|()| file.sync_all()))
        .with_context(|| at("cannot write"))?;
    fs::rename(&part, path).with_context(|| at("cannot put in its place"))?;
    // Its name too: where folders cannot be synced, the system does so by itself a little later.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
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

    #[test]
    fn days_that_are_over_are_exported_by_the_projects_calendar() {
        // 2026-11-22T00:10:00Z.
        let now = 20_779 * DAY_MS + 600_000;
        let days_of = |tz: &str, made: i64| -> Vec<String> {
            days(&project(tz, made), now, 3).unwrap().iter().map(ToString::to_string).collect()
        };
        assert_eq!(days_of("UTC", 0), ["2026-11-19", "2026-11-20", "2026-11-21"]);
        assert_eq!(days_of("UTC", now - DAY_MS), ["2026-11-21"], "since it was made");
        assert_eq!(days_of("UTC", now), [""; 0]);
        // In New York it is still the 21st.
        assert_eq!(days_of("America/New_York", 0).last().unwrap(), "2026-11-20");
    }
}
