//! The events of a project one by one, newest first: what came in, and whether it is what was meant to come in.
//!
//! In: an event, a person, filters, days and columns in the address. Out: a table of a page of events with the ways to
//! older and newer ones, to each person, to the same as an API call and as CSV.
//!
//! A page ends at an event and not after a number of rows, so what arrives meanwhile moves nothing.
//!
//! Deliberately elsewhere: finding the events (`query::events`), filters (`build`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};
use tallymark_store::{Progress, Schema};
use tokio::time::timeout;
use url::form_urlencoded;

use super::ask::sentence;
use super::build::asked::{host, quoted};
use super::build::form::{OPERATORS, Rows};
use super::build::question::Fields;
use super::build::wait::Wait;
use super::build::{self, Filter, Seen, rows};
use super::format;
use super::page::show;
use super::period::{Asked, Period, RANGES};
use super::plan::ZONES;
use super::shell::{Place, Shell, failure};
use super::view::Words;
use super::words::{filters, t};
use crate::access::{Caller, Role, Tenant};
use crate::app::App;
use crate::error::ApiError;
use crate::meta::projects::Project;
use crate::query::events::{EventView, Page as Found, newest};
use crate::query::pick::{PickParams, Source};
use crate::query::range::parse_range;

/// Events of a page.
const PAGE: usize = 50;
/// A table that comes in this time says which columns are chosen.
const SOON: Duration = Duration::from_millis(80);
/// Columns of properties that are shown when nobody chose any.
const COLUMNS: usize = 4;
/// Columns on offer: those that are sent most.
const OFFERED_MAX: usize = 40;
/// Pages that one can go back to one by one; further back the way is to the newest.
const TRAIL_MAX: usize = 20;

#[derive(Template)]
#[template(path = "events.html")]
struct Page {
    shell: Shell,
    event: String,
    person: String,
    filters: Vec<Filter>,
    columns: Vec<(String, bool)>,
    events: Vec<Seen>,
    props: Vec<Seen>,
    period: Period,
    zones: &'static [&'static str],
    answer: String,
}

/// The table with what belongs to it.
#[derive(Template)]
#[template(path = "events_shown.html")]
struct Shown {
    complaint: Option<String>,
    head: Vec<String>,
    rows: Vec<Line>,
    words: Words,
    ways: Ways,
    /// For those who may take events out.
    csv: Option<String>,
    curl: String,
}

/// From a page to others, as addresses.
#[derive(Default)]
struct Ways {
    newest: Option<String>,
    newer: Option<String>,
    older: Option<String>,
}

impl Ways {
    /// From the page that these fields ask for; `next` is where it ends, if more follow.
    ///
    /// The cursors of the pages that led here are in the address (`trail`; the first page is `0`): so the way back shows
    /// the same pages, whatever arrived meanwhile.
    fn of(fields: &Fields, next: Option<&str>) -> Self {
        const FIRST: &str = "0";
        let here = fields.get("cursor");
        let trail: Vec<&str> = fields.get("trail").into_iter().flat_map(|t| t.split(',')).collect();
        let to = |cursor: &str, trail: &[&str]| {
            fields.with(&[("cursor", cursor), ("trail", &trail.join(","))])
        };
        let newer = here.and(trail.split_last()).map(|(last, before)| match *last {
            FIRST => to("", &[]),
            cursor => to(cursor, before),
        });
        let older = next.map(|next| {
            let mut trail = if here.is_some() { trail } else { Vec::new() };
            trail.push(here.unwrap_or(FIRST));
            to(next, &trail[trail.len().saturating_sub(TRAIL_MAX)..])
        });
        Self { newest: here.map(|_| to("", &[])), newer, older }
    }
}

/// An event in the table.
struct Line {
    /// Where another day begins.
    day: Option<String>,
    time: String,
    event: String,
    by: &'static str,
    person: String,
    href: String,
    cells: Vec<String>,
}

/// `GET /p/{slug}/events`: the page; with `part=answer` its table, with `part=form` no table, with `part=values` what a
/// property was.
pub async fn show_events(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    RawQuery(query): RawQuery,
) -> Response {
    let fields = Fields::read(query.as_deref().unwrap_or(""));
    let made = page(&app, &caller, &project, fields).await;
    made.unwrap_or_else(|error| failure(&error))
}

async fn page(
    app: &App,
    caller: &Caller,
    project: &Arc<Project>,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let part = fields.get("part").unwrap_or_default().to_owned();
    if part == "values" {
        return build::values(app, project, fields.get("prop").unwrap_or_default()).await;
    }
    fields.0.retain(|(name, _)| name != "part");
    let schema = build::schema(app, project).await?;
    let asked = Asked {
        range: fields.get("range").or(Some("7d")),
        from: fields.get("from"),
        to: fields.get("to"),
        tz: fields.get("tz"),
    };
    let (period, complaint) =
        Period::read(&asked, &project.tz, project.settings.week_starts, app.clock.now_ms());
    let progress = Arc::new(Progress::default());
    let schema = Arc::new(schema);
    let asking = Asking {
        app: app.clone(),
        project: Arc::clone(project),
        role: caller.role,
        fields: fields.clone(),
        schema: Arc::clone(&schema),
        period: period.clone(),
        complaint,
        progress: Arc::clone(&progress),
    };
    let cancel = fields.with(&[("part", "form")]);
    let page = |head: &[String], answer: String| Page {
        shell: Shell::within(app, caller, project, Place::Events),
        event: fields.get("event").unwrap_or_default().to_owned(),
        person: fields.get("person").unwrap_or_default().to_owned(),
        filters: build::filters_of(&fields),
        columns: columns(head, &schema),
        events: build::events(&schema),
        props: build::props(&schema),
        period,
        zones: ZONES,
        answer,
    };
    if part == "form" {
        let cancelled = asking.cancelled();
        return Ok(show(StatusCode::OK, &page(&cancelled.head, cancelled.to_string())));
    }
    let mut asking = Box::pin(asking.shown());
    // A page that comes at once has its columns chosen as its table has them.
    let soon = timeout(SOON, &mut asking).await;
    if let Ok(answer) = soon {
        let answer = answer?;
        return Ok(match part == "answer" {
            true => show(StatusCode::OK, &answer),
            false => show(StatusCode::OK, &page(&answer.head, answer.to_string())),
        });
    }
    let asking =
        async move { asking.await.unwrap_or_else(|error| Shown::failed(&error)).to_string() };
    let wait = Wait { asking, progress, cancel };
    if part == "answer" {
        return Ok(wait.alone().await);
    }
    let chosen = chosen(&fields);
    Ok(wait.within(|answer| page(&chosen, answer)).await)
}

/// The properties that the address chose as columns.
fn chosen(fields: &Fields) -> Vec<String> {
    let named = fields.all("col").into_iter().filter(|name| !name.is_empty());
    named.map(str::to_owned).collect()
}

/// Columns to choose from, the chosen ones first.
fn columns(chosen: &[String], schema: &Schema) -> Vec<(String, bool)> {
    let offered = build::props(schema).into_iter().map(|seen| seen.name).take(OFFERED_MAX);
    let more = offered.filter(|name| !chosen.contains(name)).map(|name| (name, false));
    chosen.iter().map(|name| (name.clone(), true)).chain(more).collect()
}

/// A page of events that can be looked for.
struct Asking {
    app: App,
    project: Arc<Project>,
    role: Role,
    fields: Fields,
    schema: Arc<Schema>,
    period: Period,
    complaint: Option<String>,
    progress: Arc<Progress>,
}

impl Asking {
    fn blank(&self) -> Shown {
        Shown {
            complaint: self.complaint.clone(),
            head: chosen(&self.fields),
            rows: Vec::new(),
            words: Words {
                title: t("No events here").to_owned(),
                text: t("Choose a longer range, another event, or fewer filters.").to_owned(),
            },
            ways: Ways::default(),
            csv: None,
            curl: String::new(),
        }
    }

    /// What stands in place of events that nobody waits for any more.
    fn cancelled(&self) -> Shown {
        let title = t("The question was cancelled").to_owned();
        let text = t("Change the question or show it again.").to_owned();
        Shown { words: Words { title, text }, ..self.blank() }
    }

    async fn shown(self) -> Result<Shown, ApiError> {
        let mut shown = self.blank();
        let Self { app, project, role, fields, schema, period, progress, .. } = self;
        let of_all = match rows::read(Rows::None, &fields, &schema) {
            Ok((_, of_all)) => of_all,
            Err(why) => {
                let title = t("This question cannot be read").to_owned();
                return Ok(Shown { words: Words { title, text: why }, ..shown });
            }
        };
        let tz = TimeZone::get(&period.tz_name).unwrap_or(TimeZone::UTC);
        let (from, to) = (period.from.to_string(), period.to.to_string());
        let range = parse_range(Some(&from), Some(&to), &period.tz_name)?;
        let instant = |ms: i64| Timestamp::from_millisecond(ms).unwrap_or_default().to_string();
        let text = |name: &str| fields.get(name).map(str::to_owned);
        let condition = (!of_all.is_empty()).then(|| Value::from(of_all).to_string());
        let given: Vec<(&str, String)> = [
            ("event", text("event")),
            ("person", text("person")),
            ("where", condition.clone()),
            ("from", Some(instant(range.start))),
            ("to", Some(instant(range.end))),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();
        shown.curl = curl(&app, &given);
        if role >= Role::Analyst {
            let mut out = form_urlencoded::Serializer::for_suffix("/v1/export?".to_owned(), 11);
            out.extend_pairs(&given);
            out.append_pair("format", "csv").append_pair("project", &project.slug);
            shown.csv = Some(out.finish());
        }
        let params = PickParams {
            event: text("event"),
            person: text("person"),
            condition,
            ..PickParams::default()
        };
        let found = match params.pick(&app, &project) {
            Ok(pick) => {
                let of = (PAGE, fields.get("cursor"));
                newest(&app, &project, pick, range, of, progress).await
            }
            Err(error) => Err(error),
        };
        let page = match found {
            Err(error @ ApiError::ParameterInvalid { .. }) => {
                let title = t("This question cannot be read").to_owned();
                shown.words = Words { title, text: error.to_string() };
                return Ok(shown);
            }
            found => found?,
        };
        shown.fill(page, &project.slug, &tz, &fields);
        Ok(shown)
    }
}

impl Shown {
    /// What stands in place of events that could not be found.
    fn failed(error: &ApiError) -> Self {
        let title = t("There is no answer to this just now").to_owned();
        Self {
            complaint: None,
            head: Vec::new(),
            rows: Vec::new(),
            words: Words { title, text: sentence(error) },
            ways: Ways::default(),
            csv: None,
            curl: String::new(),
        }
    }

    fn fill(&mut self, page: Found, slug: &str, tz: &TimeZone, fields: &Fields) {
        let all: Vec<(EventView, Map<String, Value>)> =
            page.events.into_iter().map(with_properties).collect();
        if self.head.is_empty() {
            self.head = usual(&all);
        }
        let mut day = None;
        let line = |(event, properties): &(EventView, Map<String, Value>)| {
            let at = Timestamp::from_millisecond(event.at).unwrap_or_default().to_zoned(tz.clone());
            let is_new = day.replace(at.date()) != Some(at.date());
            let person = [("person", &*event.person)];
            Line {
                day: is_new.then(|| format::full_day(at.date())),
                time: at.strftime("%H:%M:%S").to_string(),
                event: event.name.to_string(),
                by: match event.source {
                    Source::Web => t("page"),
                    Source::Server => t("server"),
                },
                href: format!("/p/{slug}/ask/person{}", Fields::default().with(&person)),
                person: event.person.clone(),
                cells: self.head.iter().map(|name| cell(properties.get(name))).collect(),
            }
        };
        self.rows = all.iter().map(line).collect();
        self.ways = Ways::of(fields, page.next.as_deref());
    }
}

/// An event with all that can be a column of it: properties and what is known of every event.
fn with_properties(event: EventView) -> (EventView, Map<String, Value>) {
    let mut all = event.context.clone();
    all.extend(serde_json::from_str::<Map<String, Value>>(event.props.get()).unwrap_or_default());
    (event, all)
}

/// The properties that most of these events have, the most frequent first.
fn usual(events: &[(EventView, Map<String, Value>)]) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in events.iter().flat_map(|(_, properties)| properties.keys()) {
        *counts.entry(name).or_default() += 1;
    }
    let mut all: Vec<(&str, usize)> = counts.into_iter().collect();
    all.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), *name));
    all.into_iter().take(COLUMNS).map(|(name, _)| name.to_owned()).collect()
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    }
}

/// The same for a shell.
fn curl(app: &App, given: &[(&str, String)]) -> String {
    let data = |(name, value): &(&str, String)| {
        format!(" \\\n  --data-urlencode {}", quoted(&format!("{name}={value}")))
    };
    let data: String = given.iter().map(data).collect();
    let host = host(app);
    format!(
        "curl -G {host}/v1/events \\\n  -H \"Authorization: Bearer $TALLYMARK_SECRET_KEY\"{data}"
    )
}
