//! The growth report: active people, retention of the last cohorts and running totals, as plain text for people and
//! for what reads lines.
//!
//! In: a project and the names of its events. Out: the text. Every figure is the answer to a question that can be
//! asked by itself:
//!
//! - *Today*, *7-day*: `active` of the event, of the current UTC day: `dau`, and `wau` over the seven days up to it.
//! - *Retention*: `retention` with that event as start and return, by UTC day, of people's first day ever; the seven
//!   latest days, the newest first. A share is `-` until the day it is about has ended, and for a day on which
//!   nobody started; as 0.0 % where `unknown` is `zero`, for readers of older reports.
//! - *Totals*: `trend`, counts of all time.
//!
//! Deliberately elsewhere: the metrics of the service itself (`telemetry`).

use std::fmt::Write;

use jiff::civil::Date;
use jiff::{Span, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use tallymark_analysis::AnswerBody;
use tallymark_analysis::answer::RetentionCohort;

use crate::app::App;
use crate::error::ApiError;
use crate::meta::projects::Project;

/// Cohorts of the table.
const COHORTS: i64 = 7;
/// Days after the start that it shows.
const DAYS: [usize; 2] = [1, 3];
/// Nothing was counted before.
const FIRST_DAY: &str = "2000-01-01";

/// What the report is about.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Wanted {
    /// The event that makes a person active.
    active: Option<String>,
    /// The events whose totals are shown, with commas between them.
    totals: Option<String>,
    /// What stands for a share that is not known.
    #[serde(default)]
    unknown: Unknown,
}

/// What stands for a share that is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Unknown {
    #[default]
    Dash,
    Zero,
}

impl Wanted {
    fn active(&self) -> &str {
        self.active.as_deref().unwrap_or("expense_logged")
    }

    /// Events and what their totals are called.
    fn totals(&self) -> Vec<(String, String)> {
        let usual = [
            ("Total Expenses", "expense_logged"),
            ("Total Reports", "report_requested"),
            ("Challenges Started", "challenge_started"),
        ];
        match &self.totals {
            None => usual.map(|(title, event)| (title.to_owned(), event.to_owned())).into(),
            Some(names) => {
                let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
                names.map(|name| (name.to_owned(), name.to_owned())).collect()
            }
        }
    }
}

/// What the report says.
#[derive(Debug)]
pub struct Figures {
    /// When it was made.
    pub now: Timestamp,
    today: Date,
    /// Active people today and in seven days; none where that is not known.
    pub people: [Option<u64>; 2],
    cohorts: Vec<RetentionCohort>,
    /// Titles and counts.
    pub totals: Vec<(String, u64)>,
}

/// A line of the table of cohorts.
#[derive(Debug)]
pub struct Cohort<'a> {
    /// Its day.
    pub from: &'a str,
    /// People who started on it.
    pub size: u64,
    /// Percent who came back a day and three days later; none where that is not known.
    pub percent: [Option<f64>; 2],
}

impl Figures {
    /// The cohorts, the newest first.
    pub fn cohorts(&self) -> impl Iterator<Item = Cohort<'_>> {
        self.cohorts.iter().rev().map(|cohort| Cohort {
            from: &cohort.from,
            size: cohort.size,
            percent: DAYS.map(|day| percent(cohort, day, self.today)),
        })
    }
}

/// Write the report.
///
/// # Errors
/// When a question of it cannot be answered.
pub async fn report(app: &App, project: &Project, wanted: &Wanted) -> Result<String, ApiError> {
    Ok(text(&figures(app, project, wanted).await?, wanted.unknown))
}

/// Ask for what the report says.
///
/// # Errors
/// When a question of it cannot be answered.
pub async fn figures(app: &App, project: &Project, wanted: &Wanted) -> Result<Figures, ApiError> {
    let now = Timestamp::from_millisecond(app.clock.now_ms())
        .map_err(|error| ApiError::Internal(error.into()))?;
    let today = now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let day = |after: i64| today.saturating_add(Span::new().days(after)).to_string();
    let (active, event) = (wanted.active(), json!({ "event": wanted.active() }));
    let question = json!({ "tz": "UTC", "from": day(0), "to": day(1), "event": active });
    let people = match app.ask(project, "active", question).await?.body {
        AnswerBody::Active(answer) => {
            [answer.dau.last().copied(), answer.wau.last().copied().flatten()]
        }
        _ => unreachable!("a question of active people is answered by them"),
    };
    let question = json!({ "tz": "UTC", "from": day(1 - COHORTS), "to": day(1), "start": event,
        "return": event, "periods": DAYS[1] });
    let cohorts = match app.ask(project, "retention", question).await?.body {
        AnswerBody::Retention(answer) => answer.cohorts,
        _ => unreachable!("retention is answered by retention"),
    };
    let mut totals = Vec::new();
    for (title, event) in wanted.totals() {
        let question = json!({ "tz": "UTC", "from": FIRST_DAY, "to": day(1), "bucket": "month",
            "series": [{ "event": event }] });
        totals.push((title, total(app, project, question).await?));
    }
    Ok(Figures { now, today, people, cohorts, totals })
}

async fn total(app: &App, project: &Project, question: Value) -> Result<u64, ApiError> {
    match app.ask(project, "trend", question).await?.body {
        AnswerBody::Trend(answer) => Ok(answer.series[0].total.0.unwrap_or(0.0) as u64),
        _ => unreachable!("a trend is answered by a trend"),
    }
}

fn text(figures: &Figures, unknown: Unknown) -> String {
    let users =
        |count: Option<u64>| count.map_or("- users".into(), |count| format!("{count} users"));
    let mut text = String::from("Growth Metrics\n==============\n");
    let generated = figures.now.strftime("%Y-%m-%d %H:%M:%S");
    // Writing to a text does not fail.
    let _ = write!(
        text,
        "Generated: {generated} UTC\n\nDaily Active Users\n- Today: {}\n- 7-day: {}\n\n\
         Retention (Last {COHORTS} Cohorts)\n{:<12} {:>8} {:>7} {:>7}\n",
        users(figures.people[0]),
        users(figures.people[1]),
        "Cohort",
        "D0 Users",
        "D1",
        "D3"
    );
    for cohort in figures.cohorts() {
        let [d1, d3] = cohort.percent.map(|percent| share(percent, unknown));
        let _ = writeln!(text, "{:<12} {:>8} {d1:>7} {d3:>7}", cohort.from, cohort.size);
    }
    text.push_str("\nRunning Totals\n");
    for (title, count) in &figures.totals {
        let _ = writeln!(text, "- {title}: {count}");
    }
    text
}

/// The share of a cohort, in percent, that came back on a day after its start, once that day has ended.
fn percent(cohort: &RetentionCohort, day: usize, today: Date) -> Option<f64> {
    let from = cohort.from.parse::<Date>().ok()?;
    let about = from.checked_add(Span::new().days(day as i64)).ok()?;
    let is_known = about < today && cohort.size > 0;
    is_known.then(|| cohort.returned[day] as f64 * 100.0 / cohort.size as f64)
}

fn share(percent: Option<f64>, unknown: Unknown) -> String {
    match percent {
        Some(percent) => format!("{percent:.1}%"),
        None if unknown == Unknown::Zero => "0.0%".into(),
        None => "-".into(),
    }
}
