//! One definition: its result and verdict, its buttons, its decision log.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::address::Address;
use super::super::ask::ask_all;
use super::super::questions::{Question, funnel_steps, goal};
use super::super::view::experiments::{Check, Experiment, experiment};
use super::super::view::{Section, experiment_of};
use super::super::words::{filters, say, t};
use super::super::{Place, Shell, show as show_page, trail};
use super::result::{self, Ahead, Effects, Slices, Timeline};
use super::{ELSEWHERE_DAYS, badge, desk, kind, lately, may_change, step, to};
use crate::access::{Caller, Tenant};
use crate::app::App;
use crate::dashboard::form::{After, Fields, Filled, Said, Trouble, moment};
use crate::error::ApiError;
use crate::experiments::definition::Definition;
use crate::experiments::desk::Refused;
use crate::experiments::life::State as Life;
use crate::meta::projects::Project;

/// Properties that a result may be split by, by their names in questions.
const SLICES: [&str; 5] = ["country", "browser", "os", "device_type", "channel"];

#[derive(Template)]
#[template(path = "experiments/show.html")]
struct Page {
    shell: Shell,
    frame: Frame,
    slug: String,
    key: String,
    kind: &'static str,
    look: &'static str,
    state: &'static str,
    about: String,
    dates: Vec<(&'static str, String)>,
    steps: Vec<(&'static str, &'static str, bool)>,
    result: Option<Section<Findings>>,
    slices_on_offer: Vec<(&'static str, bool)>,
    acts: Vec<Act>,
    definition: String,
}

/// What `said.html` looks for.
struct Frame {
    said: Said,
}

/// A result in parts.
struct Findings {
    head: Experiment,
    checks: Vec<Check>,
    effects: Effects,
    timelines: Vec<Timeline>,
    ahead: Vec<Ahead>,
    slices: Option<Slices>,
}

/// One line of the decision log.
struct Act {
    at: String,
    by: String,
    action: String,
    note: String,
}

/// What to show.
#[derive(Debug, Default, Deserialize)]
pub struct Wanted {
    slice: Option<String>,
    done: Option<String>,
}

/// `GET /p/{slug}/experiments/{key}`
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    Path((_slug, key)): Path<(String, String)>,
    Query(Wanted { slice, done }): Query<Wanted>,
) -> Result<Response, Trouble> {
    let said = Said::from(After { done });
    page(&app, &caller, &project, &key, slice.as_deref(), (StatusCode::OK, said)).await
}

async fn page(
    app: &App,
    caller: &Caller,
    project: &std::sync::Arc<Project>,
    key: &str,
    slice: Option<&str>,
    (status, said): (StatusCode, Said),
) -> Result<Response, Trouble> {
    let desk = desk(app, project, "");
    let slice = slice.and_then(|wanted| SLICES.into_iter().find(|known| *known == wanted));
    let stored = match desk.load(key).await {
        Ok(stored) => stored,
        Err(unknown @ Refused::Unknown(_)) => {
            return elsewhere(app, caller, project, key, slice).await?.ok_or(unknown.into());
        }
        Err(refused) => return Err(refused.into()),
    };
    let acts = desk.audit(key, None).await?;
    let begun = stored.started_ms.is_some();
    let result = match &stored.definition {
        Definition::Experiment(_) if begun => {
            let body = json!({ "experiment": key, "daily": true });
            Some(findings(app, project, key, Some(stored.state), (body, slice)).await)
        }
        Definition::Experiment(_) => Some(Section::empty(
            t("It has not begun"),
            t("Until it is started nobody meets it, and everything about it can still be changed."),
        )),
        _ => None,
    };
    let at = |ms: i64| moment(ms, &project.tz);
    let dates = [
        (t("Made"), Some(stored.created_ms)),
        (t("Started"), stored.started_ms),
        (t("Concluded"), stored.concluded_ms),
    ];
    let dates = dates.into_iter().filter_map(|(name, ms)| Some((name, at(ms?))));
    let next = stored.state.next().iter().filter(|_| may_change(caller));
    let steps = next.map(|next| (next.as_str(), t(step(*next)), *next == Life::Concluded));
    let (look, state) = badge(stored.state);
    let page = Page {
        shell: Shell::within(app, caller, project, Place::Experiments),
        frame: Frame { said },
        slug: project.slug.clone(),
        key: key.to_owned(),
        kind: kind(stored.definition.kind()),
        look,
        state,
        about: match &stored.definition {
            Definition::Experiment(experiment) => experiment.hypothesis.clone(),
            Definition::Flag(flag) => flag.description.clone(),
            Definition::Holdout(holdout) => holdout.description.clone(),
        },
        dates: dates.collect(),
        steps: steps.collect(),
        result,
        slices_on_offer: SLICES.map(|name| (name, slice == Some(name))).to_vec(),
        acts: acts.iter().map(|act| shown(act, project)).collect(),
        definition: serde_json::to_string_pretty(&stored.definition.json()).unwrap_or_default(),
    };
    Ok(show_page(status, &page))
}

/// An experiment that people met and that is defined nowhere here, by what counts as success in this project;
/// nothing when nobody met it.
async fn elsewhere(
    app: &App,
    caller: &Caller,
    project: &std::sync::Arc<Project>,
    key: &str,
    slice: Option<&'static str>,
) -> Result<Option<Response>, Trouble> {
    let id = project.id;
    let schema = app.blocking(move |app| Ok(app.store.schema(id)?)).await?;
    let address = Address::default();
    let goal = goal(&address, &funnel_steps(&address, &schema), &schema);
    let (true, Some(goal)) = (schema.events.contains_key("$exposure"), goal) else {
        return Ok(None);
    };
    let (from, to) = lately(app);
    let body = json!({ "experiment": key, "from": from, "to": to, "daily": true,
        "metrics": [{ "name": goal, "event": goal }] });
    let found = findings(app, project, key, None, (body, slice)).await;
    if !matches!(found, Section::Ready(_)) {
        return Ok(None);
    }
    let page = Page {
        shell: Shell::within(app, caller, project, Place::Experiments),
        frame: Frame { said: Said::default() },
        slug: project.slug.clone(),
        key: key.to_owned(),
        kind: kind(""),
        look: "",
        state: t("assigned elsewhere"),
        about: say(
            "No definition is kept here: success is {goal}, of the last {days} days, and the arms are taken to be equal.",
            &[("goal", &goal), ("days", &ELSEWHERE_DAYS.to_string())],
        ),
        dates: Vec::new(),
        steps: Vec::new(),
        result: Some(found),
        slices_on_offer: SLICES.map(|name| (name, slice == Some(name))).to_vec(),
        acts: Vec::new(),
        definition: String::new(),
    };
    Ok(Some(show_page(StatusCode::OK, &page)))
}

async fn findings(
    app: &App,
    project: &std::sync::Arc<Project>,
    key: &str,
    state: Option<Life>,
    (mut body, slice): (Value, Option<&str>),
) -> Section<Findings> {
    if let Some(slice) = slice {
        body["slices"] = json!([slice]);
    }
    let question = Question { kind: "experiment", body };
    let replies = ask_all(app, project, vec![question]).await.replies;
    let Some(reply) = replies.first() else { return Section::failed("") };
    match experiment(key, state, reply) {
        Section::Ready(head) => match experiment_of(reply) {
            Ok(answer) => Section::Ready(Findings {
                head,
                checks: result::more_checks(answer),
                effects: result::metrics(answer),
                timelines: result::timelines(answer),
                ahead: result::ahead(answer),
                slices: result::slices(answer),
            }),
            Err(why) => Section::failed(&why),
        },
        Section::Empty(words) => Section::Empty(words),
        Section::Failed(words) => Section::Failed(words),
    }
}

fn shown(act: &Map<String, Value>, project: &Project) -> Act {
    let text = |field: &str| act.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let at_ms = act.get("at").and_then(Value::as_i64).unwrap_or_default();
    Act {
        at: moment(at_ms, &project.tz),
        by: trail::actor(&text("by")),
        action: match text("action").as_str() {
            "create" => t("made a draft").to_owned(),
            "update" => t("changed the definition").to_owned(),
            "running" => t("started it").to_owned(),
            "paused" => t("paused it").to_owned(),
            "concluded" => t("concluded it").to_owned(),
            other => other.to_owned(),
        },
        note: text("note"),
    }
}

/// `POST /p/{slug}/experiments/{key}/transition`: on to another state, with a note of why.
pub async fn transition(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    Path((_slug, key)): Path<(String, String)>,
    fields: Filled,
) -> Result<Response, Trouble> {
    let fields = Fields::from(fields);
    let name = caller.name();
    let next = Life::parse(fields.get("to"));
    let next = next.ok_or_else(|| ApiError::parameter("to", "running, paused or concluded"))?;
    match desk(&app, &project, &name).transition(&key, next, fields.get("note")).await {
        Ok(_) => Ok(to(&project, &key, "state")),
        Err(refused) => {
            let said = Said::refusal(refused)?;
            page(&app, &caller, &project, &key, None, said).await
        }
    }
}
