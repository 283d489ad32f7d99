//! All definitions of a project with where they are in their life, and how those that run are doing.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use serde_json::json;
use tallymark_analysis::answer::{AnswerBody, GroupValue};

use super::super::ask::{Several, ask_watched};
use super::super::build::question::Fields;
use super::super::build::wait::waiting;
use super::super::questions::Question;
use super::super::view::Section;
use super::super::view::experiments::experiment;
use super::super::words::{filters, t};
use super::super::{Place, Shell, format};
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
    may_change: bool,
    listed: String,
}

/// What there is, for its place in the page.
#[derive(Template)]
#[template(path = "experiments/listed.html")]
struct Listed {
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

/// `GET /p/{slug}/experiments`; with `state` only those; with `part=form` none.
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    RawQuery(query): RawQuery,
) -> Result<Response, Trouble> {
    let wanted = Fields::read(query.as_deref().unwrap_or(""));
    let all = desk(&app, &project, "").list().await?;
    let state = wanted.get("state").and_then(Life::parse);
    let mut chosen: Vec<Stored> = all
        .iter()
        .filter(|stored| state.is_none_or(|state| stored.state == state))
        .cloned()
        .collect();
    // What people look for first: what runs, then what was changed last.
    chosen.sort_by_key(|stored| {
        (stored.state != Life::Running, stored.state == Life::Concluded, -stored.changed_ms)
    });
    let asked = chosen.iter().filter(|stored| is_asked(stored)).take(ASKED_MAX).count();
    let progress = Arc::new(match state {
        None => Several::and_more(asked),
        Some(_) => Several::of(asked),
    });
    let may_change = may_change(&caller);
    let page = |listed| Page {
        shell: Shell::within(&app, &caller, &project, Place::Experiments),
        slug: project.slug.clone(),
        may_change,
        listed,
    };
    let asking = {
        let (app, project, progress) = (app.clone(), Arc::clone(&project), Arc::clone(&progress));
        async move {
            let rows = rows(&app, &project, &chosen, &progress).await;
            let met = match state {
                None => elsewhere(&app, &project, &all).await,
                Some(_) => Vec::new(),
            };
            let rows: Vec<Row> = rows.into_iter().chain(met).collect();
            let any = !rows.is_empty() || !all.is_empty();
            let (slug, states) = (project.slug.clone(), states(&all, state));
            Listed { slug, states, rows, may_change, any }.to_string()
        }
    };
    Ok(waiting(("", &wanted), progress, asking).within(page).await)
}

/// The states to choose from, with how many are in each.
fn states(all: &[Stored], state: Option<Life>) -> Vec<(String, &'static str, usize, bool)> {
    let count = |state: Option<Life>| {
        all.iter().filter(|stored| state.is_none_or(|state| stored.state == state)).count()
    };
    let each = Life::ALL.map(|life| {
        let query = format!("?state={}", life.as_str());
        (query, badge(life).1, count(Some(life)), state == Some(life))
    });
    let mut states = vec![(String::new(), t("all"), count(None), state.is_none())];
    states.extend(each);
    states
}

/// Whether there is something to be known about how it is doing.
fn is_asked(stored: &Stored) -> bool {
    stored.started_ms.is_some() && stored.definition.kind() == "experiment"
}

/// A row for each, with how it is doing.
async fn rows(
    app: &App,
    project: &Arc<Project>,
    chosen: &[Stored],
    progress: &Several,
) -> Vec<Row> {
    let asked: Vec<&Stored> =
        chosen.iter().filter(|stored| is_asked(stored)).take(ASKED_MAX).collect();
    let questions = asked.iter().map(|stored| Question {
        kind: "experiment",
        // What was lost, and what other experiments do, take further looks: they are on the page of each.
        body: json!({ "experiment": stored.definition.key(), "loss": false, "interactions": [] }),
    });
    let replies = ask_watched(app, project, questions.collect(), progress).await.replies;
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
            href: address(project, &key),
            health: health(&key),
            kind: kind(stored.definition.kind()),
            look,
            state,
            about: about(&stored.definition),
            since: stored.started_ms.map(|at| moment(at, &project.tz)),
            key,
        }
    });
    rows.collect()
}

/// What it is for, as it was written down.
fn about(definition: &Definition) -> String {
    match definition {
        Definition::Experiment(experiment) => experiment.hypothesis.clone(),
        Definition::Flag(flag) => flag.description.clone(),
        Definition::Holdout(holdout) => holdout.description.clone(),
    }
}

/// The experiments that people met lately, by people, and that are none of these: something else assigns them.
async fn elsewhere(app: &App, project: &Project, all: &[Stored]) -> Vec<Row> {
    let (from, to) = lately(app);
    let body = json!({ "from": from, "to": to, "bucket": "month",
        "series": [{ "event": "$exposure", "measure": "persons" }],
        "breakdown": { "prop": "experiment", "limit": ASKED_MAX } });
    let Ok(answered) = app.ask(project, "trend", body).await else { return Vec::new() };
    let AnswerBody::Trend(trend) = answered.body else { return Vec::new() };
    let met = trend.series.into_iter().filter_map(|series| match series.value {
        Some(GroupValue::One(key)) => Some((key, series.total.0?)),
        _ => None,
    });
    let is_defined = |key: &str| all.iter().any(|stored| stored.definition.key() == key);
    let rows = met.filter(|(key, _)| !is_defined(key)).map(|(key, people)| Row {
        href: address(project, &key),
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
    });
    rows.collect()
}
