//! What changed: yesterday against what is usual, and why it may have.
//!
//! In: a project. Out: the few strongest changes of the last day that is over, in words, each with the way to the
//! question that shows it and with what may be the reason: a value that makes most of the difference, a day that
//! is not complete, what the team noted, experiments that began or ended. It is a page of its own; with `part=answer`
//! the part that the home fetches after it has come.
//!
//! What was looked at is kept for a project until the day is over, for at most [`KEPT_MS`], because late events
//! still come. Notes and experiments are read each time. Whoever goes away ends the look, as with any question.
//!
//! Deliberately elsewhere: what unusual means (`analysis::unusual`). Shared pages have none of this: it names values that
//! may be of few people.

mod figures;
mod look;
mod shown;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use tokio::sync::OnceCell;

use super::ask::{Several, sentence};
use super::build::question::Fields;
use super::build::wait::{HowFar, waiting};
use super::period::{Asked, Period, plus};
use super::view::Section;
use super::words::{filters, n, say};
use super::{Place, Shell, format, notes, page};
use crate::access::{Caller, Tenant};
use crate::app::App;
use crate::error::ApiError;
use crate::experiments::life::State as Life;
use crate::meta::projects::Project;
use look::{Looked, QUESTIONS, look};
use shown::{Changes, Reason, changes, day_words};

/// A look is kept for so long.
const KEPT_MS: i64 = 3_600_000;
/// What happened earlier before the day explains nothing of it.
const BEFORE_MS: i64 = 86_400_000;
/// Reasons that are listed, the nearest to the day first.
const REASONS: usize = 3;

/// Looks by project.
#[derive(Debug, Default)]
pub struct Looks(Mutex<HashMap<u32, Arc<Look>>>);

#[derive(Debug)]
struct Look {
    day: Date,
    begun_ms: i64,
    /// Of whoever looks now. What somebody left stays stopped, so the next one has a progress of its own.
    progress: Mutex<Arc<Several>>,
    found: OnceCell<Arc<Looked>>,
}

impl Look {
    fn progress(&self) -> MutexGuard<'_, Arc<Several>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody begins to look.
    fn begin(&self) -> Arc<Several> {
        let progress = Arc::new(Several::and_more(QUESTIONS));
        *self.progress() = Arc::clone(&progress);
        progress
    }
}

impl HowFar for Look {
    fn share(&self) -> f64 {
        self.progress().share()
    }

    fn read(&self) -> u64 {
        self.progress().read()
    }
}

impl Looks {
    /// The look of a project at a day: whoever comes while somebody looks waits for it.
    fn of(&self, project: u32, day: Date, now_ms: i64) -> Arc<Look> {
        let mut looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |look: &&Arc<Look>| look.day == day && now_ms - look.begun_ms < KEPT_MS;
        if let Some(look) = looks.get(&project).filter(fits) {
            return Arc::clone(look);
        }
        let progress = Mutex::new(Arc::new(Several::and_more(QUESTIONS)));
        let look = Arc::new(Look { day, begun_ms: now_ms, progress, found: OnceCell::new() });
        looks.insert(project, Arc::clone(&look));
        look
    }
}

#[derive(Template)]
#[template(path = "changes.html")]
struct ChangesPage {
    shell: Shell,
    shown: String,
}

/// The part of the home.
#[derive(Template)]
#[template(path = "changes_shown.html")]
struct Shown {
    slug: String,
    day: String,
    changes: Section<Changes>,
    /// Whether everything that was looked at is listed.
    whole: bool,
}

/// `GET /p/{slug}/changes`; with `part=answer` the part of the home, with `part=form` nothing that changed.
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    RawQuery(query): RawQuery,
) -> Response {
    let fields = Fields::read(query.as_deref().unwrap_or(""));
    let whole = fields.get("part") != Some("answer");
    let now_ms = app.clock.now_ms();
    let (period, _) =
        Period::read(&Asked::default(), &project.tz, project.settings.week_starts, now_ms);
    let day = plus(period.today, -1);
    let kept = app.looks.of(project.id, day, now_ms);
    let progress = Arc::clone(&kept);
    let shell = whole.then(|| Shell::within(&app, &caller, &project, Place::Home));
    let asking = async move {
        let changes = match changed(&app, &project, &kept, &period.tz_name).await {
            Ok(changes) => changes,
            Err(why) => Section::failed(&why),
        };
        Shown { slug: project.slug.clone(), day: day_words(day), changes, whole }.to_string()
    };
    match shell {
        Some(shell) => {
            let page = |shown| ChangesPage { shell, shown };
            waiting(("", &fields), progress, asking).within(page).await
        }
        None => page::send(StatusCode::OK, asking.await),
    }
}

async fn changed(
    app: &App,
    project: &Arc<Project>,
    kept: &Look,
    tz_name: &str,
) -> Result<Section<Changes>, String> {
    let found = kept.found.get_or_try_init(|| async {
        look(app, project, kept.day, &kept.begin()).await.map(Arc::new)
    });
    let looked = found.await?;
    let reasons = reasons(app, project, looked.day).await.map_err(|error| sentence(&error))?;
    Ok(changes(looked, &project.slug, tz_name, reasons))
}

/// What happened on a day and in the 24 hours before it, the nearest to the day first.
async fn reasons(app: &App, project: &Project, day: Date) -> Result<Vec<Reason>, ApiError> {
    let tz = TimeZone::get(&project.tz).unwrap_or(TimeZone::UTC);
    let ms = |date: Date| date.to_zoned(tz.clone()).map_or(0, |at| at.timestamp().as_millisecond());
    let times = ms(day) - BEFORE_MS..ms(plus(day, 1));
    let noted = notes::within(app, project, times.clone(), &tz).await?;
    let begun = noted.into_iter().filter(|note| times.contains(&note.at_ms));
    let mut all: Vec<Reason> =
        begun.map(|note| Reason { at_ms: note.at_ms, day: note.at, text: note.text }).collect();
    let mut experiment = |key: &str, at_ms: Option<i64>, words: &'static str| {
        let Some(at_ms) = at_ms.filter(|at_ms| times.contains(at_ms)) else { return };
        let at = Timestamp::from_millisecond(at_ms).unwrap_or_default().to_zoned(tz.clone());
        let text = say(words, &[("key", key)]);
        all.push(Reason { at_ms, day: format::day(at.date()), text });
    };
    for stored in app.meta.definitions().list(project.id).await? {
        if stored.definition.kind() != "experiment" {
            continue;
        }
        let key = stored.definition.key();
        let paused = (stored.state == Life::Paused).then_some(stored.changed_ms);
        experiment(key, stored.started_ms, n("the experiment {key} began"));
        experiment(key, paused, n("the experiment {key} was paused"));
        experiment(key, stored.concluded_ms, n("the experiment {key} ended"));
    }
    all.sort_by_key(|reason| std::cmp::Reverse(reason.at_ms));
    all.truncate(REASONS);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_shared_for_an_hour_of_its_day() {
        let looks = Looks::default();
        let (day, next) = (jiff::civil::date(2026, 9, 15), jiff::civil::date(2026, 9, 16));
        let first = looks.of(1, day, 0);
        let is_first = |look: Arc<Look>| Arc::ptr_eq(&look, &first);
        assert!(is_first(looks.of(1, day, KEPT_MS - 1)));
        assert!(!is_first(looks.of(2, day, 0)), "of another project");
        assert!(!is_first(looks.of(1, next, 1)), "of another day");
        let second = looks.of(1, day, 0);
        assert!(!Arc::ptr_eq(&looks.of(1, day, KEPT_MS), &second), "an hour later");
    }
}
