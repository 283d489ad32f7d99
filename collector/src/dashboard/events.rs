//! The events of a project one by one, newest first: what came in, and whether it is what was meant to come in.
//!
//! In: an event, a person, filters, days and columns in the address. Out: a table of a page of events with the ways to
//! older and newer ones, to each person, to the same as an API call and as CSV.
//!
//! A page ends at an event and not after a number of rows, so what arrives meanwhile moves nothing.
//!
//! Deliberately elsewhere: finding the events (`query::events`), filters (`build`).

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};
use tallymark_store::{EventSchema, Progress, Schema};
use url::form_urlencoded;

use super::ask::sentence;
use super::build::asked::{host, quoted};
use super::build::form::{BUILT_IN, OPERATORS, Rows};
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
    let head = head(&fields, &schema);
    let page = |answer: String| Page {
        shell: Shell::within(app, caller, project, Place::Events),
        event: fields.get("event").unwrap_or_default().to_owned(),
        person: fields.get("person").unwrap_or_default().to_owned(),
        filters: build::filters_of(&fields),
        columns: columns(&head, &schema),
        events: build::events(&schema),
        props: build::props(&schema),
        period,
        zones: ZONES,
        answer,
    };
    if part == "form" {
        return Ok(show(StatusCode::OK, &page(asking.cancelled().to_string())));
    }
    let asking = async move {
        asking.shown().await.unwrap_or_else(|error| Shown::failed(&error)).to_string()
    };
    let wait = Wait { asking, progress, cancel };
    if part == "answer" {
        return Ok(wait.alone().await);
    }
    Ok(wait.within(page).await)
}

/// The properties that are columns: those that the address chose, or else the usual ones.
fn head(fields: &Fields, schema: &Schema) -> Vec<String> {
    let named = fields.all("col").into_iter().filter(|name| !name.is_empty());
    let chosen: Vec<String> = named.map(str::to_owned).collect();
    if !chosen.is_empty() {
        return chosen;
    }
    usual(fields.get("event"), schema)
}

/// What at least half of such events were sent with, the most frequent first, then what is known of every event of a
/// page; where no page sends any, what fewer were sent with.
fn usual(event: Option<&str>, schema: &Schema) -> Vec<String> {
    let of = |(name, of): (&String, &EventSchema)| {
        if event.is_none_or(|event| event == name) { of.count } else { 0 }
    };
    let events: u64 = schema.events.iter().map(of).sum();
    let sent = build::sent(schema, event).into_iter();
    let (most, others): (Vec<_>, Vec<_>) = sent.partition(|(_, count)| count * 2 >= events);
    let others = if schema.events.contains_key("$pageview") { Vec::new() } else { others };
    let sent = most.into_iter().chain(others).map(|(name, _)| name);
    sent.chain(BUILT_IN).take(COLUMNS).map(str::to_owned).collect()
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
            head: head(&self.fields, &self.schema),
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

#[cfg(test)]
mod tests {
    use tallymark_store::{SchemaDelta, TypeCounts};

    use super::*;

    type Counts<'a> = &'a [(&'a str, u64)];

    /// So many events of these names, with properties and how many had each.
    fn schema(seen: &[(&str, u64, Counts<'_>)]) -> Schema {
        let mut schema = Schema::default();
        for (event, count, properties) in seen {
            let delta = |property: Option<&str>, count: u64, types: TypeCounts| SchemaDelta {
                project: 1,
                event: (*event).to_owned(),
                property: property.map(str::to_owned),
                count,
                types,
                last_ms: 0,
            };
            schema.add(&delta(None, *count, TypeCounts::default()));
            for (name, count) in *properties {
                let types = TypeCounts { texts: *count, ..TypeCounts::default() };
                schema.add(&delta(Some(name), *count, types));
            }
        }
        schema
    }

    #[test]
    fn usual_columns_are_those_that_most_of_such_events_have() {
        let buy: Counts<'_> = &[("currency", 4), ("coupon", 1), ("value", 4)];
        let of_pages = schema(&[("$pageview", 9, &[("title", 9)]), ("purchase", 4, buy)]);
        let usual = |event, schema: &Schema| super::usual(event, schema).join(" ");
        assert_eq!(usual(Some("purchase"), &of_pages), "currency value country device_type");
        assert_eq!(usual(None, &of_pages), "title country device_type browser");
        assert_eq!(usual(Some("never_seen"), &of_pages), "country device_type browser os");
        let of_servers = schema(&[("job", 9, &[("queue", 3)]), ("purchase", 4, buy)]);
        assert_eq!(usual(None, &of_servers), "currency value queue coupon");
        let columns = |fields| head(&Fields::read(fields), &of_pages).join(" ");
        assert_eq!(columns("event=purchase&col=os&col=&col=coupon"), "os coupon");
        assert_eq!(columns("event=purchase&col="), "currency value country device_type");
    }
}
