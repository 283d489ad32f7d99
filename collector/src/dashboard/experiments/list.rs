//! All definitions of a project with where they are in their life, and how those that run are doing.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use tallymark_analysis::answer::{AnswerBody, GroupValue};

use super::super::ask::ask_all;
use super::super::questions::Question;
use super::super::view::Section;
use super::super::view::experiments::experiment;
use super::super::words::{filters, t};
use super::super::{Place, Shell, format, show as show_page};
use super::{address, badge, desk, kind, lately, may_change};
use crate::access::{Caller, Tenant};
use crate::app::App;
use crate::dashboard::form::{Trouble, moment};
use crate::experiments::definition::Definition;
use crate::experiments::life::State as Life;
use crate::meta::definitions::Stored;
use crate::meta::projects::Project;

/// How many are asked about: each is a scan.
const ASKED_MAX: usize = 12;

#[derive(Template)]
#[template(path = "experiments/list.html")]
struct Page {
    shell: Shell,
    slug: String,
    states: Vec<(String, &'static str, usize, bool)>,
    rows: Vec<Row>,
    may_change: bool,
    any: bool,
}

struct Row {
    href: String,
    key: String,
    kind: &'static str,
    look: &'static str,
    state: &'static str,
    about: String,
    since: Option<String>,
    health: Option<Health>,
}

/// How one is doing.
struct Health {
    tone: &'static str,
    state: &'static str,
    people: String,
    warnings: Vec<String>,
}

/// Which to list.
#[derive(Debug, Deserialize)]
pub struct Wanted {
    state: Option<String>,
}

/// `GET /p/{slug}/experiments`
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Trouble> {
    let all = desk(&app, &project, "").list().await?;
    let state = wanted.state.as_deref().and_then(Life::parse);
    let count = |state: Option<Life>| {
        all.iter().filter(|stored| state.is_none_or(|state| stored.state == state)).count()
    };
    let mut states = vec![(String::new(), t("all"), count(None), state.is_none())];
    states.extend(Life::ALL.map(|life| {
        let query = format!("?state={}", life.as_str());
        (query, badge(life).1, count(Some(life)), state == Some(life))
    }));
    let mut chosen: Vec<&Stored> =
        all.iter().filter(|stored| state.is_none_or(|state| stored.state == state)).collect();
    // What people look for first: what runs, then what was changed last.
    chosen.sort_by_key(|stored| {
        (stored.state != Life::Running, stored.state == Life::Concluded, -stored.changed_ms)
    });
    let asked: Vec<&Stored> = chosen
        .iter()
        .copied()
        .filter(|stored| stored.started_ms.is_some() && stored.definition.kind() == "experiment")
        .take(ASKED_MAX)
        .collect();
    let questions = asked.iter().map(|stored| Question {
        kind: "experiment",
        // What was lost, and what other experiments do, take further looks: they are on the page of each.
        body: json!({ "experiment": stored.definition.key(), "loss": false, "interactions": [] }),
    });
    let replies = ask_all(&app, &project, questions.collect()).await.replies;
    let health = |key: &str| {
        let at = asked.iter().position(|stored| stored.definition.key() == key)?;
        match experiment(key, Some(asked[at].state), replies.get(at)?) {
            Section::Ready(found) => Some(Health {
                tone: found.tone,
                state: found.state,
                people: found.people,
                warnings: found
                    .checks
                    .into_iter()
                    .filter(|check| matches!(check.class, "bad" | "warn"))
                    .map(|check| check.text)
                    .collect(),
            }),
            Section::Empty(words) | Section::Failed(words) => Some(Health {
                tone: "",
                state: t("No figures yet"),
                people: words.title,
                warnings: Vec::new(),
            }),
        }
    };
    let rows = chosen.iter().map(|stored| {
        let (look, state) = badge(stored.state);
        let key = stored.definition.key().to_owned();
        Row {
            href: address(&project, &key),
            health: health(&key),
            kind: kind(stored.definition.kind()),
            look,
            state,
            about: about(&stored.definition),
            since: stored.started_ms.map(|at| moment(at, &project.tz)),
            key,
        }
    });
    let mut rows: Vec<Row> = rows.collect();
    if state.is_none() {
        let defined = |key: &str| all.iter().any(|stored| stored.definition.key() == key);
        let met = elsewhere(&app, &project).await;
        rows.extend(met.into_iter().filter(|(key, _)| !defined(key)).map(|(key, people)| Row {
            href: address(&project, &key),
            key,
            kind: t("experiment"),
            look: "",
            state: t("assigned elsewhere"),
            about: t("People met it, and no definition is kept here.").to_owned(),
            since: None,
            health: Some(Health {
                tone: "",
                state: t("Look at it"),
                people: format::counted(people as u64, "person", "people"),
                warnings: Vec::new(),
            }),
        }));
    }
    let page = Page {
        any: !rows.is_empty() || !all.is_empty(),
        rows,
        shell: Shell::within(&app, &caller, &project, Place::Experiments),
        slug: project.slug.clone(),
        states,
        may_change: may_change(&caller),
    };
    Ok(show_page(StatusCode::OK, &page))
}

/// What it is for, as it was written down.
fn about(definition: &Definition) -> String {
    match definition {
        Definition::Experiment(experiment) => experiment.hypothesis.clone(),
        Definition::Flag(flag) => flag.description.clone(),
        Definition::Holdout(holdout) => holdout.description.clone(),
    }
}

/// The experiments that people met lately, by people: also those that are assigned by something else.
async fn elsewhere(app: &App, project: &Project) -> Vec<(String, f64)> {
    let (from, to) = lately(app);
    let body = json!({ "from": from, "to": to, "bucket": "month",
        "series": [{ "event": "$exposure", "measure": "persons" }],
        "breakdown": { "prop": "experiment", "limit": ASKED_MAX } });
    let Ok(answered) = app.ask(project, "trend", body).await else { return Vec::new() };
    let AnswerBody::Trend(trend) = answered.body else { return Vec::new() };
    let found = trend.series.into_iter().filter_map(|series| match series.value {
        Some(GroupValue::One(key)) => Some((key, series.total.0?)),
        _ => None,
    });
    found.collect()
}
