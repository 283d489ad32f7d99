//! The results page: read the address, ask, and hand everything to the template.

use std::sync::Arc;
use std::time::Instant;

use axum::http::StatusCode;
use axum::response::Response;
use tallymark_analysis::answer::Group;
use tallymark_store::Schema;

use super::address::Address;
use super::ask::{Replies, ask_all};
use super::format;
use super::page::{self, Offer, Results, Shell};
use super::period::{Asked, Period, Range};
use super::questions::{self, Question};
use super::view::experiments::{Experiment, experiment};
use super::view::{
    Reply, Section, content, funnel, install, overview, retention, tables, trend_of,
};
use crate::app::App;
use crate::error::ApiError;
use crate::meta::projects::Project;

/// Offered where a time zone is asked for; any other IANA name can be typed.
const ZONES: &[&str] = &[
    "UTC",
    "Africa/Cairo",
    "Africa/Johannesburg",
    "Africa/Lagos",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "America/Mexico_City",
    "America/New_York",
    "America/Sao_Paulo",
    "America/Toronto",
    "Asia/Dubai",
    "Asia/Hong_Kong",
    "Asia/Jakarta",
    "Asia/Kolkata",
    "Asia/Seoul",
    "Asia/Shanghai",
    "Asia/Singapore",
    "Asia/Tokyo",
    "Australia/Sydney",
    "Europe/Amsterdam",
    "Europe/Athens",
    "Europe/Berlin",
    "Europe/Istanbul",
    "Europe/Kyiv",
    "Europe/Lisbon",
    "Europe/London",
    "Europe/Madrid",
    "Europe/Paris",
    "Europe/Rome",
    "Europe/Stockholm",
    "Europe/Vienna",
    "Europe/Warsaw",
    "Europe/Zurich",
    "Pacific/Auckland",
];

/// Conversion windows on offer.
const WINDOWS: [(&str, &str); 6] = [
    ("30m", "30 minutes"),
    ("1h", "one hour"),
    ("1d", "one day"),
    ("7d", "7 days"),
    ("14d", "14 days"),
    ("30d", "30 days"),
];
const DEFAULT_WINDOW: &str = "7d";

/// Selects in the form of the funnel.
const STEP_FIELDS: usize = 8;

/// The page, or nothing when the project has seen no events yet.
///
/// # Errors
/// When the project's schema cannot be read: then there is nothing to ask about.
pub async fn results(
    app: &App,
    project: &Arc<Project>,
    query: &str,
) -> Result<Option<Response>, ApiError> {
    let began = Instant::now();
    let id = project.id;
    let schema = app.blocking(move |app| Ok(app.store.schema(id)?)).await?;
    if schema.events.is_empty() {
        return Ok(None);
    }
    let address = Address::read(query);
    let asked = Asked {
        range: address.range.as_deref(),
        from: address.from.as_deref(),
        to: address.to.as_deref(),
        tz: address.tz.as_deref(),
    };
    let (period, complaint) = Period::read(&asked, &project.tz, app.clock.now_ms());
    let steps = questions::funnel_steps(&address, &schema);
    let goal = questions::goal(&address, &steps, &schema);
    let window = address.window.clone().unwrap_or_else(|| DEFAULT_WINDOW.into());

    let first = first_questions(&period, &schema, &steps, goal.as_deref(), &window);
    let asked_first = first.len();
    let Replies { mut replies, rows_scanned } = ask_all(app, project, first).await;
    let funnel_reply = if steps.len() > 1 { replies.pop() } else { None };
    let [now, headline, active, retained, viewed, installed, exposed, ranked @ ..] = &replies[..]
    else {
        return Err(ApiError::Internal(anyhow::anyhow!("a page's questions and replies differ")));
    };
    let keys = experiment_keys(exposed);
    let second = match &goal {
        Some(goal) => keys.iter().map(|key| questions::experiment(&period, key, goal)).collect(),
        None => Vec::new(),
    };
    let asked_second = second.len();
    let compared = ask_all(app, project, second).await;
    let experiments = experiments(exposed, &keys, &compared.replies, goal.is_some());

    let directory = app.meta.directory().projects();
    let people_now = overview::now(now);
    let days = period.days();
    let page = Results {
        shell: Shell::new(),
        project,
        projects: &directory,
        now_live: people_now.is_some_and(|people| people > 0),
        now_words: people_now.map(|people| match people {
            0 => "Nobody in the last 30 minutes".into(),
            n => format!("{} in the last 30 minutes", format::counted(n, "person", "people")),
        }),
        offers: Period::OFFERED
            .iter()
            .map(|&days| Offer {
                days,
                href: address.with_range(days),
                current: period.range == Range::Days(days),
            })
            .collect(),
        custom: period.range == Range::Custom,
        period_words: capitalised(&period.words()),
        from: period.from.to_string(),
        last_day: period.last_day().to_string(),
        tz: period.tz_name.clone(),
        zones: ZONES,
        settles: (period.today < period.settled_on())
            .then(|| format::full_day(period.settled_on())),
        complaint,
        kept_by_range: address.fields_without(&["range", "from", "to", "tz"]),
        kept_by_funnel: address.fields_without(&["step", "window"]),
        kept_by_metric: address.fields_without(&["metric"]),
        cards: overview::cards(headline, active, goal.as_deref(), days),
        charts: vec![
            (
                "active",
                "Active people",
                "did anything on a day, in the 7 or the 30 days up to it",
                overview::active(active, period.today),
            ),
            ("views", "Page views", "per day", overview::views(headline, period.today)),
        ],
        rankings: tables::TABLES
            .iter()
            .zip(ranked)
            .map(|((title, column, _, absent), reply)| {
                tables::ranking(title, column, absent, reply)
            })
            .collect(),
        step_choices: step_choices(&steps),
        event_names: event_names(&schema, &steps, goal.as_deref()),
        windows: windows(&window),
        window_words: window_words(&window),
        window,
        funnel: funnel::funnel(funnel_reply.as_ref(), &steps),
        retention: retention::retention(retained),
        goal,
        experiments,
        content: content::content(viewed),
        install: install::install(installed),
        timing: timing(asked_first + asked_second, rows_scanned + compared.rows_scanned, began),
    };
    Ok(Some(page::show(StatusCode::OK, &page)))
}

/// Everything but the experiments, whose keys are an answer themselves. The funnel comes last: it
/// is the one question that may be missing.
fn first_questions(
    period: &Period,
    schema: &Schema,
    steps: &[String],
    goal: Option<&str>,
    window: &str,
) -> Vec<Question> {
    let mut all = vec![
        questions::now(period),
        questions::headline(period, schema, goal),
        questions::active(period),
        questions::retention(period),
        questions::content(period),
        questions::pwa(period),
        questions::experiment_keys(period),
    ];
    all.extend(tables::TABLES.iter().map(|(_, _, prop, _)| questions::top(period, schema, prop)));
    if steps.len() > 1 {
        all.push(questions::funnel(period, steps, window));
    }
    all
}

/// The keys in the answer, the rest and the nameless left out.
fn experiment_keys(reply: &Reply) -> Vec<String> {
    let Ok(trend) = trend_of(reply) else { return Vec::new() };
    let named = trend.series.iter().filter(|series| series.group == Group::Value);
    named.filter_map(|series| series.value.clone()).take(questions::EXPERIMENTS).collect()
}

fn experiments(
    exposed: &Reply,
    keys: &[String],
    replies: &[Reply],
    has_goal: bool,
) -> Section<Vec<(String, Section<Experiment>)>> {
    if let Err(why) = exposed {
        return Section::failed(why);
    }
    if keys.is_empty() {
        return Section::empty(
            "No experiment ran in this time",
            "Name your experiments in init({ experiments: [{ key, variants }] }) and ask for \
             variant(key): whoever meets a variant is counted here.",
        );
    }
    if !has_goal {
        return Section::empty(
            "What should count as success?",
            "People were exposed to experiments, but there is no other event yet to compare them by.",
        );
    }
    let each = keys.iter().zip(replies).map(|(key, reply)| (key.clone(), experiment(key, reply)));
    Section::Ready(each.collect())
}

/// One select per step and some more to add to, up to [`STEP_FIELDS`].
fn step_choices(steps: &[String]) -> Vec<String> {
    let fields = (steps.len() + 1).clamp(4, STEP_FIELDS).max(steps.len());
    (0..fields).map(|index| steps.get(index).cloned().unwrap_or_default()).collect()
}

/// Names to choose from: what was seen, and what was chosen although it was not.
fn event_names(schema: &Schema, steps: &[String], goal: Option<&str>) -> Vec<String> {
    let mut names: Vec<String> = schema.events.keys().cloned().collect();
    names.extend(steps.iter().cloned());
    names.extend(goal.map(str::to_owned));
    names.sort_unstable();
    names.dedup();
    names
}

fn windows(chosen: &str) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> =
        WINDOWS.iter().map(|(value, words)| ((*value).into(), (*words).into())).collect();
    if all.iter().all(|(value, _)| value != chosen) {
        all.push((chosen.to_owned(), chosen.to_owned()));
    }
    all
}

fn window_words(chosen: &str) -> String {
    let known = WINDOWS.iter().find(|(value, _)| *value == chosen);
    known.map_or_else(|| chosen.to_owned(), |(_, words)| (*words).to_owned())
}

fn timing(questions: usize, rows: u64, began: Instant) -> String {
    format!(
        "{} over {} in {}",
        format::counted(questions as u64, "question", "questions"),
        format::counted(rows, "row", "rows"),
        format::duration(began.elapsed().as_secs_f64() * 1e3)
    )
}

fn capitalised(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}", letters.as_str())
}
