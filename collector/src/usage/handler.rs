//! Usage and quotas over HTTP.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tallymark_store::Append;

use super::record::{self, Told};
use super::spent::{self, Standing};
use super::{counted, date_of, day_of, rollup};
use crate::access::{Caller, Tenant};
use crate::app::App;
use crate::error::{ApiError, BODY_LIMIT};
use crate::extract::{Params, parse_json, read_body};
use crate::ingest::counts::Counts;
use crate::ingest::handler::store;
use crate::meta::projects::Project;

/// Things told in one call.
const TOLD_MAX: usize = 500;
/// Days of an answer: ten years.
const DAYS_MAX: i32 = 3_660;
/// Days of an answer when nobody says.
const DAYS: i32 = 30;

/// Which days and metrics.
#[derive(Debug, Deserialize)]
pub struct Wanted {
    from: Option<String>,
    to: Option<String>,
    metric: Option<String>,
}

/// Figures by day.
#[derive(Debug, Serialize)]
pub struct Series {
    /// UTC, oldest first.
    days: Vec<String>,
    /// By metric.
    metrics: BTreeMap<String, Line>,
    /// Whether every day is over and was rolled up.
    complete: bool,
}

#[derive(Debug, Serialize)]
struct Line {
    /// One for each day.
    data: Vec<u64>,
    total: u64,
}

impl Wanted {
    /// The days: to the end of today, from thirty days before that, if nobody says.
    fn days(&self, today: i32) -> Result<std::ops::Range<i32>, ApiError> {
        let day = |name, text: &Option<String>, default| match text {
            None => Ok(default),
            Some(text) => {
                day(text).ok_or_else(|| ApiError::parameter(name, "must be a date like 2026-09-01"))
            }
        };
        let to = day("to", &self.to, today.saturating_add(1))?;
        let from = day("from", &self.from, to.saturating_sub(DAYS))?;
        if from > to || to - from > DAYS_MAX {
            let detail = format!("must lie before `to`, by at most {DAYS_MAX} days");
            return Err(ApiError::parameter("from", detail));
        }
        Ok(from..to)
    }
}

fn day(text: &str) -> Option<i32> {
    let date: Date = text.parse().ok()?;
    let start = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(day_of(start.timestamp().as_millisecond()))
}

/// Usage by UTC day and metric.
///
/// Of every project `events_daily`, `event_bytes_daily` and `refused_daily` are counted; others are what servers
/// told. Today's figures are those of this moment.
#[utoipa::path(
    get, path = "/v1/usage", tag = "usage", security(("secret_key" = ["analytics:read"])),
    params(
        ("from" = Option<String>, Query, description = "First day; 30 days before `to` if absent"),
        ("to" = Option<String>, Query, description = "Day after the last; tomorrow if absent"),
        ("metric" = Option<String>, Query, description = "Only this metric"),
        ("project" = Option<String>, Query, description = "The project's slug; with a dashboard session only"),
    ),
    responses(
        (status = 200, description = "`{days: [\"2026-09-01\", …], metrics: {name: {data: […], total}}, complete}`", body = serde_json::Value),
        (status = 422, description = "A parameter is wrong", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn show_usage(
    State(app): State<App>,
    Tenant(project): Tenant,
    Params(wanted): Params<Wanted>,
) -> Result<Json<Series>, ApiError> {
    let range = wanted.days(day_of(app.clock.now_ms()))?;
    let table = app.meta.daily_usage();
    let rolled_up = table.last().await?.map_or(i32::MIN, |last| last.day);
    let rolled_up = rolled_up.clamp(range.start, range.end);
    let mut amounts = table.list(project.id, range.start..rolled_up).await?;
    let (id, rest) = (project.id, rolled_up..range.end);
    amounts.extend(app.blocking(move |app| counted(app, id, rest)).await?);
    let days = range.len();
    let mut metrics: BTreeMap<String, Line> = BTreeMap::new();
    for amount in amounts {
        if wanted.metric.as_ref().is_some_and(|metric| *metric != amount.metric) {
            continue;
        }
        let empty = || Line { data: vec![0; days], total: 0 };
        let line = metrics.entry(amount.metric).or_insert_with(empty);
        line.data[(amount.day - range.start) as usize] = amount.amount;
        line.total = line.total.saturating_add(amount.amount);
    }
    let complete = rolled_up == range.end;
    Ok(Json(Series { days: range.map(date_of).collect(), metrics, complete }))
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ToldBody {
    Many(Many),
    One(Told),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Many {
    usage: Vec<Told>,
}

/// Tell what was used. Answers once it is on disk.
///
/// Safe to repeat with the same `id`s. The answer says where the quotas of these metrics stand.
#[utoipa::path(
    post, path = "/v1/usage", tag = "usage", security(("secret_key" = ["usage:write"])),
    params(("project" = Option<String>, Query, description = "The project's slug; with a dashboard session only")),
    request_body(content = serde_json::Value, description = "`{metric, amount, id}`, or up to 500 of them: `{usage: […]}`; `amount` is a whole number, 1 if absent, `id` a UUIDv7"),
    responses(
        (status = 200, description = "`{recorded, duplicate, quotas: [{metric, current, limit, exceeded, policy, allowed}]}`", body = serde_json::Value),
        (status = 202, description = "The setting `analytics_enabled` is off: nothing was stored", body = serde_json::Value),
        (status = 422, description = "A field cannot be used; the detail names it", content_type = "application/problem+json", body = crate::openapi::Problem),
        (status = 503, description = "Busy or out of space; see Retry-After", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn record_usage(
    State(app): State<App>,
    Tenant(project): Tenant,
    body: Body,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let body = read_body(body, BODY_LIMIT, &app.large_bodies).await?;
    let told = match parse_json(&body.bytes)? {
        ToldBody::One(told) => vec![told],
        ToldBody::Many(many) => many.usage,
    };
    if told.len() > TOLD_MAX {
        return Err(ApiError::parameter("usage", format!("at most {TOLD_MAX} at once")));
    }
    let now_ms = app.clock.now_ms();
    let rows = told.iter().map(|told| record::row(&app, &project, told, now_ms));
    let rows: Vec<_> = rows.collect::<Result<_, _>>()?;
    if !app.config.analytics_enabled {
        let nothing = json!({ "recorded": 0, "duplicate": 0, "quotas": [] });
        return Ok((StatusCode::ACCEPTED, Json(nothing)));
    }
    let by_project = app.config.metrics_by_project.then(|| Counts::of(&rows));
    let appended = store(&app, Append { rows, refused: Vec::new() }).await?;
    let duplicate = appended.duplicate.iter().filter(|duplicate| **duplicate).count();
    if let Some(counts) = by_project {
        counts.count(&app, &project, &appended);
    }
    spent::look(&app, &project);
    let (_, mut quotas) = spent::standings(&app, &project);
    quotas.retain(|standing| told.iter().any(|told| told.metric == standing.metric));
    let recorded = told.len() - duplicate - appended.erased.len();
    let answer = json!({ "recorded": recorded, "duplicate": duplicate, "quotas": quotas });
    Ok((StatusCode::OK, Json(answer)))
}

/// Where quotas stand.
#[derive(Debug, Serialize)]
pub struct Standings {
    /// Today, UTC.
    day: String,
    /// Whether quotas are looked at here.
    enabled: bool,
    quotas: Vec<Standing>,
}

/// Which metric.
#[derive(Debug, Deserialize)]
pub struct OfMetric {
    metric: Option<String>,
}

/// Where today's quotas stand, at this moment. A metric without a quota has `limit: null`.
#[utoipa::path(
    get, path = "/v1/quotas", tag = "usage", security(("secret_key" = ["analytics:read"])),
    params(
        ("metric" = Option<String>, Query, description = "Only this metric"),
        ("project" = Option<String>, Query, description = "The project's slug; with a dashboard session only"),
    ),
    responses((status = 200, description = "`{day, enabled, quotas: [{metric, current, limit, exceeded, policy, allowed}]}`", body = serde_json::Value))
)]
pub async fn show_quotas(
    State(app): State<App>,
    Tenant(project): Tenant,
    Params(of): Params<OfMetric>,
) -> Json<Standings> {
    Json(standings(&app, &project, of.metric.as_deref()))
}

fn standings(app: &App, project: &Project, metric: Option<&str>) -> Standings {
    let (day, mut quotas) = spent::standings(app, project);
    quotas.retain(|standing| metric.is_none_or(|metric| metric == standing.metric));
    Standings { day: date_of(day), enabled: app.config.quotas_enabled, quotas }
}

/// Write the usage of all days into the table of days now, today's as far as it has come. It happens by itself at
/// 00:10 UTC, and changes nothing when it is repeated.
#[utoipa::path(
    post, path = "/v1/usage/rollup", tag = "usage", security(("secret_key" = ["usage:write"])),
    params(("project" = Option<String>, Query, description = "The project's slug; with a dashboard session only")),
    responses((status = 200, description = "`{rows, duration_ms}`: figures that were written", body = serde_json::Value))
)]
pub async fn roll_up(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
) -> Result<Json<rollup::Done>, ApiError> {
    let done = rollup::run(&app, i32::MIN, Some(&project)).await?;
    let what = json!({ "rows": done.rows });
    app.note(project.id, &caller.name(), ("rollup", "usage"), what).await?;
    Ok(Json(done))
}
