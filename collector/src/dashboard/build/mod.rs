//! Builders: one page per kind of question, all by the same code.
//!
//! In: a kind and a question in the address. Out: the form, and the answer beside it; with `part=answer` the answer
//! alone, for a page that is there; with `part=csv` its figures; with `part=values` what a property was. The form is a
//! plain one that works by its button; the script asks for the answer again when a field changes.
//!
//! Deliberately elsewhere: which fields there are ([`form`]), what they mean as a question ([`question`]), how answers
//! look ([`answer`]), keeping questions (`saved`).

pub mod answer;
pub mod form;
pub mod question;
mod rows;

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Value, json};
use tallymark_store::Schema;

use super::boards;
use super::format;
use super::page::show;
use super::period::{Asked, Period, RANGES};
use super::shell::{Place, Shell, failure};
use super::view::Words;
use super::words::{filters, t};
use super::{ask, notes, plan};
use crate::access::{Caller, Role, Tenant};
use crate::app::App;
use crate::error::ApiError;
use crate::meta::projects::Project;
use crate::saved::Kind as SavedKind;
use crate::saved::desk::Desk;
use answer::kinds::{Around, blocks};
use answer::{Block, Blocks};
use form::{BUILT_IN, Kind, Look, MEASURES, OPERATORS, Rows};
use question::Fields;
use rows::table;

/// A name with what is known of it.
#[derive(Debug)]
pub struct Seen {
    name: String,
    words: String,
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
struct Filter {
    prop: String,
    op: String,
    value: String,
    row: String,
}

/// What ends the way of whoever does it between two steps.
struct Exclusion {
    event: String,
    after: String,
    before: String,
}

/// The answer with everything that belongs to it.
#[derive(Template)]
#[template(path = "answer.html")]
pub struct Answer {
    blocks: Vec<Block>,
    /// What is to be known about the answer as a whole.
    notes: Vec<String>,
    complaint: Option<String>,
    csv: String,
    curl: String,
    cost: String,
}

#[derive(Template)]
#[template(path = "ask.html")]
struct Page {
    shell: Shell,
    kind: &'static Kind,
    rows: Vec<Row>,
    steps: Vec<String>,
    exclusions: Vec<Exclusion>,
    scopes: Vec<(String, String)>,
    inputs: Vec<Input>,
    filters: Vec<Filter>,
    by: [String; 2],
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
    answer: Answer,
}

impl Answer {
    fn shown(&self) -> String {
        Blocks { blocks: &self.blocks }.render().unwrap_or_default()
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
    let schema = schema(app, project).await?;
    let part = fields.get("part").map(str::to_owned);
    if part.as_deref() == Some("values") {
        return values(app, project, fields.get("prop").unwrap_or_default()).await;
    }
    let mut fields = fields;
    fields.0.retain(|(name, _)| name != "part");
    let period = period(&fields, project, app);
    let (answer, blocks_csv) = ask(app, project, kind, &fields, &schema, &period).await;
    match part.as_deref() {
        Some("answer") => return Ok(show(StatusCode::OK, &answer)),
        Some("csv") => return Ok(download(kind.name, blocks_csv)),
        _ => {}
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
    let page = Page {
        shell: Shell::within(app, caller, project, Place::Question(kind.name)),
        kind,
        scopes: scopes(kind, series.len().max(steps.len())),
        rows: series,
        steps,
        exclusions: exclusions_of(&fields, kind),
        inputs: inputs(kind, &fields),
        filters: filters_of(&fields),
        by: ["by1", "by2"].map(|name| fields.get(name).unwrap_or_default().to_owned()),
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
    Ok(show(StatusCode::OK, &page))
}

/// Everything that was seen in a project.
///
/// # Errors
/// When it cannot be read.
pub async fn schema(app: &App, project: &Project) -> Result<Schema, ApiError> {
    let id = project.id;
    app.blocking(move |app| Ok(app.store.schema(id)?)).await
}

fn period(fields: &Fields, project: &Project, app: &App) -> (Period, Option<String>) {
    let asked = Asked {
        range: fields.get("range"),
        from: fields.get("from"),
        to: fields.get("to"),
        tz: fields.get("tz"),
    };
    Period::read(&asked, &project.tz, app.clock.now_ms())
}

/// Ask the question of an address. Gives the answer, and its figures as CSV.
async fn ask(
    app: &App,
    project: &Arc<Project>,
    kind: &'static Kind,
    fields: &Fields,
    schema: &Schema,
    (period, complaint): &(Period, Option<String>),
) -> (Answer, String) {
    let nothing = |title: &'static str, text: String| {
        vec![Block::Nothing(Words { title: title.to_owned(), text })]
    };
    let link = format!("/p/{}/ask/{}{}", project.slug, kind.name, fields.with(&[("part", "csv")]));
    let mut answer = Answer {
        blocks: Vec::new(),
        notes: Vec::new(),
        complaint: complaint.clone(),
        csv: link,
        curl: String::new(),
        cost: String::new(),
    };
    let body = match question::body(kind, fields, schema) {
        Ok(body) => question::ranged(body, period),
        Err(why) => {
            answer.blocks = nothing(t("This question cannot be read"), why);
            return (answer, String::new());
        }
    };
    answer.curl = curl(app, kind.name, &body);
    if let Some(wanted) = wanted(kind, &body) {
        answer.blocks = nothing(t("The question is not complete yet"), wanted.to_owned());
        return (answer, String::new());
    }
    let mut csv = String::new();
    match app.ask(project, kind.name, body).await {
        Err(error) => {
            answer.blocks = nothing(t("There is no answer to this"), ask::sentence(&error))
        }
        Ok(answered) => {
            let tz = TimeZone::get(&period.tz_name).unwrap_or(TimeZone::UTC);
            // An answer is worth more than the notes on it.
            let notes = notes::of(app, project, period).await.unwrap_or_default();
            let around = Around {
                slug: &project.slug,
                fields,
                definition: &answered.definition,
                tz: &tz,
                today: period.today,
                notes: &notes,
            };
            answer.blocks = blocks(&answered.body, &around);
            csv = answer::csv(&answer.blocks);
            if !answered.complete {
                let day = format::full_day(period.settled_on());
                answer.notes.push(super::words::say(
                    "Not complete until {day}: events may arrive late.",
                    &[("day", &day)],
                ));
            }
            if let [first, ..] = &answered.restated[..] {
                let count = answered.restated.len().to_string();
                let values = [("n", count.as_str()), ("first", first.as_str())];
                answer.notes.push(super::words::say(
                    "Events came for {n} days after these were called complete, the first of them {first}.",
                    &values,
                ));
            }
            answer.cost = format!(
                "{} · {}",
                format::counted(answered.rows_scanned, "row", "rows"),
                format::duration(answered.elapsed_ms)
            );
        }
    }
    (answer, csv)
}

/// What a question still needs before it can be asked.
fn wanted(kind: &Kind, body: &Value) -> Option<&'static str> {
    match kind.name {
        "funnel" if body["steps"].as_array().is_none_or(|steps| steps.len() < 2) => {
            Some(t("A funnel takes two steps or more."))
        }
        "person" if body.get("person").is_none() => {
            Some(t("Choose somebody from the list of people."))
        }
        _ => None,
    }
}

/// The same question for a shell.
fn curl(app: &App, kind: &str, body: &Value) -> String {
    let host = match app.config.public_url.trim_end_matches('/') {
        "" => "http://127.0.0.1:8787",
        url => url,
    };
    let body = serde_json::to_string_pretty(body).unwrap_or_default().replace('\'', "'\\''");
    format!(
        "curl {host}/v1/query/{kind} \\\n  -H \"Authorization: Bearer $TALLYMARK_SECRET_KEY\" \\\n  -d '{body}'"
    )
}

fn download(name: &str, csv: String) -> Response {
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
async fn values(app: &App, project: &Arc<Project>, prop: &str) -> Result<Response, ApiError> {
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

fn steps(fields: &Fields, schema: &Schema, kind: &Kind) -> Vec<String> {
    if kind.rows != Rows::Steps {
        return Vec::new();
    }
    let mut steps: Vec<String> = table(fields, ["step"]).into_iter().map(|[step]| step).collect();
    if steps.is_empty() {
        steps = super::questions::ladder(schema);
    }
    while steps.len() < 2 {
        steps.push(String::new());
    }
    steps.push(String::new());
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

fn inputs(kind: &'static Kind, fields: &Fields) -> Vec<Input> {
    let input = |field: &'static form::Field| Input {
        name: field.name,
        label: t(field.label),
        look: field.look,
        value: fields.get(field.name).unwrap_or_default().to_owned(),
    };
    // Another question begins with its first page.
    kind.fields.iter().filter(|field| field.name != "after").map(input).collect()
}

fn filters_of(fields: &Fields) -> Vec<Filter> {
    let rows = table(fields, ["fp", "fo", "fv", "fs"]).into_iter();
    let rows = rows.filter(|[prop, ..]| !prop.is_empty()).chain([Default::default()]);
    rows.map(|[prop, op, value, row]| Filter { prop, op, value, row }).collect()
}

/// The events that were seen, the most frequent first.
fn events(schema: &Schema) -> Vec<Seen> {
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

/// The properties that were seen, the most frequent first, and what every event has.
fn props(schema: &Schema) -> Vec<Seen> {
    let mut counts: std::collections::BTreeMap<&str, u64> = std::collections::BTreeMap::new();
    for (name, property) in schema.events.values().flat_map(|event| &event.properties) {
        *counts.entry(name).or_default() += property.types.total();
    }
    let mut all: Vec<(&str, u64)> = counts.into_iter().collect();
    all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    let seen = all.into_iter().take(OFFERED_MAX).map(|(name, count)| Seen {
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
}

/// `POST /p/{slug}/ask/{kind}`: keep a question under a name, and pin it to a dashboard.
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
    if !keep.board.is_empty() {
        boards::pin(app, caller, project, &keep.board, &key).await?;
        return Ok(
            Redirect::to(&format!("/p/{}/boards/{}", project.slug, keep.board)).into_response()
        );
    }
    let query = fields.with(&[("saved", &key)]);
    Ok(Redirect::to(&format!("/p/{}/ask/{}{query}", project.slug, kind.name)).into_response())
}
