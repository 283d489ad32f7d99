//! The rollup: from the catalog's hours to a table of days, at ten past midnight UTC.
//!
//! A rollup computes days and writes them over what is there, so it can be repeated at any time and a
//! failed one is simply tried again. One that was missed is made at the start.

use std::time::Duration;

use serde::Serialize;

use super::{counted, day_of};
use crate::anchors;
use crate::app::App;
use crate::bulk::schedule;
use crate::error::ApiError;
use crate::meta::daily_usage::Rollup;
use crate::meta::projects::Project;

/// After midnight, so that batches which were on their way are stored.
const AFTER_MIDNIGHT_MS: i64 = 10 * 60 * 1000;
/// Days before the last rollup that are computed again: an import may bring events that another
/// installation received.
const AGAIN_DAYS: i32 = 35;
/// How often the clock is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Before a rollup that failed is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// The day whose beginning the last rollup that is due has behind it.
fn due(now_ms: i64) -> i32 {
    day_of(now_ms.saturating_sub(AFTER_MIDNIGHT_MS))
}

/// What a rollup did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Done {
    /// Figures that were written: one for each project, metric and day.
    pub rows: u64,
    /// How long it took.
    pub duration_ms: i64,
}

/// Make the rollup that is due, if it was not made; whether there was something to do.
///
/// # Errors
/// When a database cannot be read or written; then nothing is changed.
pub async fn run_if_due(app: &App) -> Result<bool, ApiError> {
    let last = app.meta.daily_usage().last().await?;
    let is_due = last.is_none_or(|last| last.day < due(app.clock.now_ms()));
    if is_due {
        let from = last.map_or(i32::MIN, |last| last.day.saturating_sub(AGAIN_DAYS));
        run(app, from, None).await?;
    }
    Ok(is_due)
}

/// Compute all days from this one on, today's as far as it has come, of one project or of all. Only then the days
/// before today are done with.
///
/// # Errors
/// When a database cannot be read or written; then nothing is changed.
pub async fn run(app: &App, from: i32, only: Option<&Project>) -> Result<Done, ApiError> {
    let began = std::time::Instant::now();
    let today = day_of(app.clock.now_ms());
    let projects: Vec<u32> = match only {
        Some(project) => vec![project.id],
        None => app.meta.directory().projects().iter().map(|project| project.id).collect(),
    };
    let days = app.blocking(move |app| {
        let mut days = Vec::new();
        for project in projects {
            days.extend(counted(app, project, from..today.saturating_add(1))?);
        }
        Ok(days)
    });
    let days = days.await?;
    let took_ms = || i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
    let ended_ms = app.clock.now_ms();
    let day = if only.is_none() { today } else { i32::MIN };
    let rollup = Rollup { day, ended_ms, took_ms: took_ms(), written: days.len() as u64 };
    app.meta.daily_usage().write(&days, rollup).await?;
    let done = Done { rows: days.len() as u64, duration_ms: took_ms() };
    app.telemetry.rollup_seconds.observe(began.elapsed().as_secs_f64());
    app.telemetry.rollup_last_run.set(ended_ms as f64 / 1e3);
    tracing::info!(rows = done.rows, duration_ms = done.duration_ms, "usage was rolled up");
    Ok(done)
}

/// What a day leaves to do.
async fn daily(app: &App) -> Result<(), ApiError> {
    run_if_due(app).await?;
    // A trail that was altered is no reason to leave days unexported, and it is not better a minute later.
    if let Err(error) = anchors::drop_now(app).await {
        tracing::error!(error = format!("{error:#}"), "the audit trail could not be anchored");
    }
    schedule::run(app).await.map(drop)
}

/// Make every rollup and export in its time. Runs until it is dropped.
pub async fn keep_running(app: App) {
    let mut done = None;
    loop {
        // By the clock and not by one long sleep: a machine may sleep too, or its clock be set.
        let due = due(app.clock.now_ms());
        if done != Some(due) {
            match daily(&app).await {
                Ok(()) => done = Some(due),
                Err(error) => {
                    let error = anyhow::Error::from(error);
                    tracing::error!(
                        error = format!("{error:#}"),
                        "the work of the day failed; it is tried again"
                    );
                    tokio::time::sleep(RETRY_AFTER).await;
                }
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const MIDNIGHT: i64 = 20_779 * 86_400_000;

    #[rstest]
    #[case::at_midnight(MIDNIGHT, 20_778)]
    #[case::a_moment_before(MIDNIGHT + AFTER_MIDNIGHT_MS - 1, 20_778)]
    #[case::at_ten_past(MIDNIGHT + AFTER_MIDNIGHT_MS, 20_779)]
    #[case::in_the_evening(MIDNIGHT + 86_399_999, 20_779)]
    fn a_rollup_is_due_for_the_days_before(#[case] now_ms: i64, #[case] day: i32) {
        assert_eq!(due(now_ms), day);
    }
}
