//! Builders: one page per kind of question, all by the same code.
//!
//! In: a kind and a question in the address. Out: the form, and the answer beside it; with `part=answer` the answer
//! alone, for a page that is there; with `part=form` no answer; with `part=csv` its figures; with `part=drawn` a funnel or a grid
//! as a drawing; with `part=values` what a property was. The form is a plain one that works by its button; the script asks for the answer again when a field
//! changes.
//!
//! Deliberately elsewhere: which fields there are ([`form`]), what they mean as a question ([`question`]), how answers
//! look ([`answer`]), waiting for them ([`wait`]), keeping questions (`saved`).

pub mod answer;
pub mod asked;
pub mod form;
pub mod question;
pub mod rows;
pub mod wait;

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tallymark_store::{Progress, Schema};

use super::boards;
use super::format;
use super::page::show;
use super::period::{Asked, Period, RANGES};
use super::plan;
use super::shell::{Place, Shell, failure};
use super::words::{filters, t};
use crate::access::{Caller, Role, Tenant};
use crate::app::App;
use crate::error::ApiError;
use crate::meta::projects::Project;
use crate::saved::Kind as SavedKind;
use crate::saved::desk::Desk;
use asked::Asking;
use form::{BUILT_IN, Kind, Look, MEASURES, OPERATORS, Rows};
use question::Fields;
use rows::table;
use wait::Wait;

/// A name with what is known of it.
#[derive(Debug)]
pub struct Seen {
    pub name: String,
    pub words: String,
}

/// A field of the form with its value.
struct Input {
    name: &'static str,
    label: &'static str,
    look: Look,
    value: String,
}

/// A row of a trend.
struct Row {
    name: String,
    event: String,
    measure: String,
    prop: String,
}

/// A filter.
pub struct Filter {
    pub prop: String,
    pub op: String,
    pub value: String,
    row: String,
}

/// What ends the way of whoever does it between two steps.
struct Exclusion {
    event: String,
    after: String,
    before: String,
}

#[derive(Template)]
#[template(path = "ask.html")]
struct Page {
    shell: Shell,
    kind: &'static Kind,
    rows: Vec<Row>,
    steps: Vec<[String; 2]>,
    exclusions: Vec<Exclusion>,
    scopes: Vec<(String, String)>,
    inputs: Vec<Input>,
    more: Vec<Input>,
    filters: Vec<Filter>,
    by: [String; 3],
    as_of: String,
    cohort: String,
    cohorts: Vec<Seen>,
    events: Vec<Seen>,
    props: Vec<Seen>,
    period: Period,
    zones: &'static [&'static str],
    json: String,
    query: String,
    saved: Option<Seen>,
    boards: Vec<Seen>,
    may_save: bool,
    answer: String,
}

impl Page {
    /// Whether a field that is folded away says something.
    fn says_more(&self) -> bool {
        let of = self.more.iter().map(|input| &input.value).chain([&self.by[2], &self.as_of]);
        of.into_iter().any(|value| !value.is_empty())
    }
}

/// Values to choose from.
#[derive(Template)]
#[template(path = "options.html")]
struct Options {
    options: Vec<Seen>,
}

/// `GET /p/{slug}/ask/{kind}`: a builder, or a part of it.
pub async fn show_question(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    Path((_, kind)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Response {
    let fields = Fields::read(query.as_deref().unwrap_or(""));
    let made = match form::find(&kind) {
        Some(kind) => page(&app, &caller, &project, kind, fields).await,
        None => Err(ApiError::NotFound),
    };
    made.unwrap_or_else(|error| failure(&error))
}

async fn page(
    app: &App,
    caller: &Caller,
    project: &Arc<Project>,
    kind: &'static Kind,
    fields: Fields,
) -> Result<Response, ApiError> {
    let schema = Arc::new(schema(app, project).await?);
    let part = fields.get("part").map(str::to_owned);
    if part.as_deref() == Some("values") {
        return values(app, project, fields.get("prop").unwrap_or_default()).await;
    }
    let mut fields = fields;
    fields.0.retain(|(name, _)| name != "part");
    let period = period(&fields, project, app);
    let asking = Asking {
        app: app.clone(),
        project: Arc::clone(project),
        kind,
        fields: fields.clone(),
        period: period.0.clone(),
        complaint: period.1,
    };
    if part.as_deref() == Some("csv") {
        let (_, csv) = asking.ask(schema, Arc::default()).await;
        return Ok(download(kind.name, csv));
    }
    if part.as_deref() == Some("drawn") {
        let drawn = asking.ask(schema, Arc::default()).await.0.drawn();
        return Ok(Html(drawn.ok_or(ApiError::NotFound)?.to_string()).into_response());
    }
    let is_cancelled = part.as_deref() == Some("form");
    let progress = Arc::new(Progress::default());
    let (known, watched) = (Arc::clone(&schema), Arc::clone(&progress));
    let asking = async move {
        let answer = match is_cancelled {
            true => asking.cancelled(),
            false => asking.ask(known, watched).await.0,
        };
        answer.to_string()
    };
    let wait = Wait { asking, progress, cancel: fields.with(&[("part", "form")]) };
    if part.as_deref() == Some("answer") {
        return Ok(wait.alone().await);
    }
    let saved = match fields.get("saved") {
        None => None,
        Some(key) => app.meta.saved().find(project.id, SavedKind::Question, key).await?,
    };
    let cohorts = app.meta.saved().list(project.id, SavedKind::Cohort).await?;
    let boards = app.meta.saved().list(project.id, SavedKind::Dashboard).await?;
    let named = |saved: &crate::meta::saved::Saved| Seen {
        name: saved.key.clone(),
        words: saved
            .body
            .get("name")
            .and_then(Value::as_str)
            .filter(|name| !name.is_empty())
            .unwrap_or(&saved.key)
            .to_owned(),
    };
    let (series, steps) = (series_of(&fields, &schema, kind), steps(&fields, &schema, kind));
    let shell = Shell::within(app, caller, project, Place::Question(kind.name));
    let page = move |answer| Page {
        shell,
        kind,
        scopes: scopes(kind, series.len().max(steps.len())),
        rows: series,
        steps,
        exclusions: exclusions_of(&fields, kind),
        inputs: inputs(kind.fields, &fields, &schema),
        more: inputs(kind.more, &fields, &schema),
        filters: filters_of(&fields),
        as_of: fields.get("as_of").unwrap_or_default().to_owned(),
        by: ["by1", "by2", "limit"].map(|name| fields.get(name).unwrap_or_default().to_owned()),
        cohort: fields.get("cohort").unwrap_or_default().to_owned(),
        cohorts: cohorts.iter().map(named).collect(),
        events: events(&schema),
        props: props(&schema),
        zones: plan::ZONES,
        json: fields.get("json").unwrap_or_default().to_owned(),
        query: fields.with(&[("saved", "")]),
        saved: saved.as_ref().filter(|saved| saved.removed_ms.is_none()).map(named),
        boards: boards.iter().map(named).collect(),
        may_save: caller.role >= Role::Analyst,
        period: period.0,
        answer,
    };
    Ok(wait.within(page).await)
}

/// Everything that was seen in a project.
///
/// # Errors
/// When it cannot be read.
pub async fn schema(app: &App, project: &Project) -> Result<Schema, ApiError> {
    let id = project.id;
    app.blocking(move |app| Ok(app.store.schema(id)?)).await
}

pub fn period(fields: &Fields, project: &Project, app: &App) -> (Period, Option<String>) {
    let asked = Asked {
        range: fields.get("range"),
        from: fields.get("from"),
        to: fields.get("to"),
        tz: fields.get("tz"),
    };
    Period::read(&asked, &project.tz, project.settings.week_starts, app.clock.now_ms())
}

pub fn download(name: &str, csv: String) -> Response {
    let file = format!("attachment; filename=\"{name}.csv\"");
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
        (
            header::CONTENT_DISPOSITION,
            HeaderValue::try_from(file).unwrap_or(HeaderValue::from_static("attachment")),
        ),
    ];
    (headers, csv).into_response()
}

/// The most frequent values of a property, to choose from.
pub async fn values(app: &App, project: &Arc<Project>, prop: &str) -> Result<Response, ApiError> {
    let body = json!({ "series": [{ "measure": "count" }], "bucket": "month", "breakdown": { "prop": prop, "limit": 50 } });
    let answered = app.ask(project, "trend", body).await?;
    let tallymark_analysis::answer::AnswerBody::Trend(trend) = answered.body else {
        return Err(ApiError::NotFound);
    };
    let options = trend.series.iter().filter_map(|series| {
        let words = format::maybe(series.total.0);
        Some(Seen { name: series.value.as_ref()?.text()?.to_owned(), words })
    });
    Ok(show(StatusCode::OK, &Options { options: options.collect() }))
}

fn series_of(fields: &Fields, schema: &Schema, kind: &Kind) -> Vec<Row> {
    if kind.rows != Rows::Series {
        return Vec::new();
    }
    let mut rows = table(fields, ["event", "measure", "prop"]);
    if rows.is_empty() {
        let usual = rows::read(kind.rows, &Fields::default(), schema).unwrap_or_default().0;
        let row = |row: &Value| ["event", "measure", "prop"].map(|name| rows::text(&row[name]));
        rows = usual.iter().map(row).collect();
    }
    rows.push(Default::default());
    let row = |(index, [event, measure, prop]): (usize, [String; 3])| Row {
        name: kind.rows.name(index + 1),
        event,
        measure,
        prop,
    };
    rows.into_iter().enumerate().map(row).collect()
}

/// Steps, and whether they may be left out.
fn steps(fields: &Fields, schema: &Schema, kind: &Kind) -> Vec<[String; 2]> {
    if kind.rows != Rows::Steps {
        return Vec::new();
    }
    let mut steps = table(fields, ["step", "so"]);
    if steps.is_empty() {
        steps = super::questions::ladder(schema)
            .into_iter()
            .map(|step| [step, String::new()])
            .collect();
    }
    let len = steps.len().max(2) + 1;
    steps.resize_with(len, Default::default);
    steps
}

fn exclusions_of(fields: &Fields, kind: &Kind) -> Vec<Exclusion> {
    if kind.rows != Rows::Steps {
        return Vec::new();
    }
    let rows = table(fields, ["xe", "xa", "xb"]).into_iter();
    let rows = rows.filter(|[event, ..]| !event.is_empty()).chain([Default::default()]);
    rows.map(|[event, after, before]| Exclusion { event, after, before }).collect()
}

/// The rows that a filter can be about: number and name. More than there are, for those that are added.
fn scopes(kind: &Kind, rows: usize) -> Vec<(String, String)> {
    let name = |place: usize| {
        (place.to_string(), super::words::say("only of {row}", &[("row", &kind.rows.name(place))]))
    };
    match kind.rows {
        Rows::None => Vec::new(),
        _ => (1..=rows.max(SCOPES_MIN)).map(name).collect(),
    }
}

/// Rows that a filter can be about on a page that has fewer.
const SCOPES_MIN: usize = 6;

fn inputs(of: &'static [form::Field], fields: &Fields, schema: &Schema) -> Vec<Input> {
    let input = |field: &'static form::Field| Input {
        name: field.name,
        label: t(field.label),
        look: field.look,
        value: match fields.get(field.name) {
            // What is asked where nobody said anything.
            None if field.name == "conversion" => question::usual_success(schema),
            given => given.map(str::to_owned),
        }
        .unwrap_or_default(),
    };
    // Another question begins with its first page.
    of.iter().filter(|field| field.name != "after").map(input).collect()
}

pub fn filters_of(fields: &Fields) -> Vec<Filter> {
    let rows = table(fields, ["fp", "fo", "fv", "fs"]).into_iter();
    let rows = rows.filter(|[prop, ..]| !prop.is_empty()).chain([Default::default()]);
    rows.map(|[prop, op, value, row]| Filter { prop, op, value, row }).collect()
}

/// The events that were seen, the most frequent first.
pub fn events(schema: &Schema) -> Vec<Seen> {
    let mut all: Vec<_> = schema.events.iter().collect();
    all.sort_by(|a, b| b.1.count.cmp(&a.1.count).then_with(|| a.0.cmp(b.0)));
    let seen = |(name, event): (&String, &tallymark_store::EventSchema)| Seen {
        name: name.clone(),
        words: format::counted(event.count, "event", "events"),
    };
    all.into_iter().take(OFFERED_MAX).map(seen).collect()
}

/// Names on offer: more would make a page of a careless project heavy. Others can be typed.
const OFFERED_MAX: usize = 300;

/// The properties that were seen with an event, or with any, and how often, the most frequent first.
pub fn sent<'a>(schema: &'a Schema, event: Option<&str>) -> Vec<(&'a str, u64)> {
    let mut counts: std::collections::BTreeMap<&str, u64> = std::collections::BTreeMap::new();
    let of = schema.events.iter().filter(|(name, _)| event.is_none_or(|event| event == *name));
    for (name, property) in of.flat_map(|(_, event)| &event.properties) {
        *counts.entry(name).or_default() += property.types.total();
    }
    let mut all: Vec<(&str, u64)> = counts.into_iter().collect();
    all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    all
}

/// The properties that were seen, the most frequent first, and what every event has.
pub fn props(schema: &Schema) -> Vec<Seen> {
    let seen = sent(schema, None).into_iter().take(OFFERED_MAX).map(|(name, count)| Seen {
        name: name.to_owned(),
        words: format::counted(count, "event", "events"),
    });
    let built_in = BUILT_IN
        .iter()
        .map(|name| Seen { name: (*name).to_owned(), words: t("of every event").to_owned() });
    seen.chain(built_in).collect()
}

/// What is to be saved.
#[derive(Debug, Deserialize)]
pub struct Keep {
    /// The question as its address has it.
    query: String,
    /// What people call it.
    name: String,
    /// A dashboard to pin it to, or nothing.
    #[serde(default)]
    board: String,
    /// Whether anybody with a link may read it, on a page of its own; it is when this is not empty.
    #[serde(default)]
    share: String,
}

/// `POST /p/{slug}/ask/{kind}`: keep a question under a name, and pin it to a dashboard or share it.
pub async fn keep_question(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    Path((_, kind)): Path<(String, String)>,
    axum::Form(keep): axum::Form<Keep>,
) -> Response {
    let kept = keep_as(&app, &caller, &project, &kind, &keep).await;
    kept.unwrap_or_else(|error| failure(&error))
}

async fn keep_as(
    app: &App,
    caller: &Caller,
    project: &Arc<Project>,
    kind: &str,
    keep: &Keep,
) -> Result<Response, ApiError> {
    let kind = form::find(kind).ok_or(ApiError::NotFound)?;
    let fields = Fields::read(keep.query.trim_start_matches('?'));
    let body = question::body(kind, &fields, &schema(app, project).await?);
    let body = body.map_err(|why| ApiError::parameter("query", why))?;
    let desk =
        Desk { meta: &app.meta, project, kind: SavedKind::Question, now_ms: app.clock.now_ms() };
    let (key, version) = boards::place_of(&desk, &keep.name).await?;
    let given = json!({ "name": keep.name.trim(), "kind": kind.name, "question": body });
    let Value::Object(given) = given else { unreachable!("it was written as an object") };
    desk.save(&key, version, given, (&caller.name(), "")).await?;
    if !keep.share.is_empty() {
        let board = boards::share(app, caller, project, keep.name.trim(), &key).await?;
        return Ok(Redirect::to(&format!("/p/{}/boards/{board}", project.slug)).into_response());
    }
    if !keep.board.is_empty() {
        boards::pin(app, caller, project, &keep.board, &key).await?;
        return Ok(
            Redirect::to(&format!("/p/{}/boards/{}", project.slug, keep.board)).into_response()
        );
    }
    let query = fields.with(&[("saved", &key)]);
    Ok(Redirect::to(&format!("/p/{}/ask/{}{query}", project.slug, kind.name)).into_response())
}
