//! One definition: its result and verdict, its buttons, its decision log.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::super::address::Address;
use super::super::ask::{Several, ask_watched};
use super::super::build::question::Fields as Wanted;
use super::super::build::wait::{PAGE_AFTER, waiting};
use super::super::questions::{Question, funnel_steps, goal};
use super::super::view::experiments::{Check, Experiment, experiment};
use super::super::view::{Reply, Section, experiment_of};
use super::super::words::{filters, say, t};
use super::super::{Place, Shell, trail};
use super::result::{self, Ahead, Effects, Slices, Timeline};
use super::{ELSEWHERE_DAYS, address, badge, desk, kind, lately, may_change, step, to};
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
    result: String,
    acts: Vec<Act>,
    definition: String,
}

/// What `said.html` looks for.
struct Frame {
    said: Said,
}

/// What was found, for its place in the page.
#[derive(Template)]
#[template(path = "experiments/findings.html")]
struct Found {
    result: Section<Findings>,
    slices_on_offer: Vec<(&'static str, bool)>,
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

/// `GET /p/{slug}/experiments/{key}`; with `part=form` without its result.
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    Path((_slug, key)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Trouble> {
    let mut wanted = Wanted::read(query.as_deref().unwrap_or(""));
    let said = Said::from(After { done: wanted.get("done").map(str::to_owned) });
    // It is said once.
    wanted.0.retain(|(name, _)| name != "done");
    page(&app, &caller, &project, &key, &wanted, (StatusCode::OK, said)).await
}

/// The property that a result is to be split by.
fn slice_of(wanted: &Wanted) -> Option<&'static str> {
    let wanted = wanted.get("slice")?;
    SLICES.into_iter().find(|known| *known == wanted)
}

async fn page(
    app: &App,
    caller: &Caller,
    project: &Arc<Project>,
    key: &str,
    wanted: &Wanted,
    (status, said): (StatusCode, Said),
) -> Result<Response, Trouble> {
    let desk = desk(app, project, "");
    let stored = match desk.load(key).await {
        Ok(stored) => stored,
        Err(unknown @ Refused::Unknown(_)) => {
            return elsewhere(app, caller, project, key, wanted).await?.ok_or(unknown.into());
        }
        Err(refused) => return Err(refused.into()),
    };
    let acts = desk.audit(key, None).await?;
    let asking = Asking {
        app: app.clone(),
        project: Arc::clone(project),
        key: key.to_owned(),
        state: Some(stored.state),
        body: json!({ "experiment": key, "daily": true }),
        slice: slice_of(wanted),
        progress: Arc::new(Several::of(1)),
    };
    let is_experiment = matches!(stored.definition, Definition::Experiment(_));
    let begun = stored.started_ms.is_some();
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
    let page = |result| Page {
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
        acts: acts.iter().map(|act| shown(act, project)).collect(),
        definition: serde_json::to_string_pretty(&stored.definition.json()).unwrap_or_default(),
    };
    let (path, progress) = (address(project, key), Arc::clone(&asking.progress));
    let asking = async move {
        match is_experiment {
            true if begun => asking.found().await.to_string(),
            true => asking.as_found(Section::empty(
                t("It has not begun"),
                t("Until it is started nobody meets it, and everything about it can still be changed."),
            )).to_string(),
            false => String::new(),
        }
    };
    Ok(waiting((&path, wanted), progress, asking).within_as(status, page).await)
}

/// An experiment that people met and that is defined nowhere here, by what counts as success in this project;
/// nothing when it is soon known that nobody met it.
async fn elsewhere(
    app: &App,
    caller: &Caller,
    project: &Arc<Project>,
    key: &str,
    wanted: &Wanted,
) -> Result<Option<Response>, Trouble> {
    let id = project.id;
    let schema = app.blocking(move |app| Ok(app.store.schema(id)?)).await?;
    let of_project = Address::default();
    let goal = goal(&of_project, &funnel_steps(&of_project, &schema), &schema);
    let (true, Some(goal)) = (schema.events.contains_key("$exposure"), goal) else {
        return Ok(None);
    };
    let (from, to) = lately(app);
    let asking = Asking {
        app: app.clone(),
        project: Arc::clone(project),
        key: key.to_owned(),
        state: None,
        body: json!({ "experiment": key, "from": from, "to": to, "daily": true,
            "metrics": [{ "name": goal, "event": goal }] }),
        slice: slice_of(wanted),
        progress: Arc::new(Several::of(1)),
    };
    let progress = Arc::clone(&asking.progress);
    let mut asking = Box::pin(asking.found());
    let soon = timeout(PAGE_AFTER, &mut asking).await;
    if soon.as_ref().is_ok_and(|found| !matches!(found.result, Section::Ready(_))) {
        return Ok(None);
    }
    let asking = async move {
        let mut found = match soon {
            Ok(found) => found,
            Err(_) => asking.await,
        };
        if let Section::Empty(words) = &mut found.result {
            words.text = t("Nobody met it lately, or nobody met one variant alone. See whether this is its key.").to_owned();
        }
        found.to_string()
    };
    let page = |result| Page {
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
        result,
        acts: Vec::new(),
        definition: String::new(),
    };
    Ok(Some(waiting(("", wanted), progress, asking).within(page).await))
}

/// The question for a result.
struct Asking {
    app: App,
    project: Arc<Project>,
    key: String,
    /// Where a definition that is kept here is in its life.
    state: Option<Life>,
    body: Value,
    slice: Option<&'static str>,
    progress: Arc<Several>,
}

impl Asking {
    async fn found(mut self) -> Found {
        if let Some(slice) = self.slice {
            self.body["slices"] = json!([slice]);
        }
        let question = Question { kind: "experiment", body: self.body.take() };
        let asked = ask_watched(&self.app, &self.project, vec![question], &self.progress).await;
        let result = match asked.replies.first() {
            Some(reply) => findings(&self.key, self.state, reply),
            None => Section::failed(""),
        };
        self.as_found(result)
    }

    fn as_found(&self, result: Section<Findings>) -> Found {
        let slices_on_offer = SLICES.map(|name| (name, self.slice == Some(name))).to_vec();
        Found { result, slices_on_offer }
    }
}

fn findings(key: &str, state: Option<Life>, reply: &Reply) -> Section<Findings> {
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
            page(&app, &caller, &project, &key, &Wanted::default(), said).await
        }
    }
}
