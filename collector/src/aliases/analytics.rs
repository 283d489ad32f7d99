//! `/api/analytics/…` and `/api/tenants`.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tallymark_analysis::AnswerBody;

use crate::access::{Caller, Realm, Tenant};
use crate::admin::projects;
use crate::app::App;
use crate::bulk::export::Wanted;
use crate::bulk::form::Form;
use crate::error::ApiError;
use crate::extract::Params;
use crate::meta::projects::Project;
use crate::query::events::{self, Filter, Page};
use crate::query::export;
use crate::query::pick::PickParams;
use crate::query::range::parse_days;
use crate::usage::handler as usage;
use crate::usage::rollup;

/// `GET /v1/events`, for admins.
#[utoipa::path(
    get, path = "/api/analytics/events", operation_id = "analytics_events", tag = "aliases", security(("secret_key" = ["analytics:read"])),
    params(
        ("event" = Option<String>, Query, description = "Only events of this name"),
        ("source" = Option<String>, Query, description = "`web` or `server`"),
        ("user" = Option<String>, Query, description = "Only events of this user, as your servers know it"),
        ("from" = Option<String>, Query, description = "Date or instant, included"),
        ("to" = Option<String>, Query, description = "Date or instant, excluded"),
        ("limit" = Option<usize>, Query, description = "1 to 1,000, 100 if absent"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
        ("project" = Option<String>, Query, description = "The project's slug; with a dashboard session only"),
    ),
    responses((status = 200, description = "`{events: […], next}`", body = serde_json::Value))
)]
pub async fn list_events(
    state: State<App>,
    tenant: Tenant,
    filter: Params<Filter>,
) -> Result<Json<Page>, ApiError> {
    events::list_events(state, tenant, filter).await
}

/// `GET /v1/usage`, for admins.
#[utoipa::path(
    get, path = "/api/analytics/usage", operation_id = "analytics_usage", tag = "aliases", security(("secret_key" = ["analytics:read"])),
    params(
        ("from" = Option<String>, Query, description = "First day; 30 days before `to` if absent"),
        ("to" = Option<String>, Query, description = "Day after the last; tomorrow if absent"),
        ("metric" = Option<String>, Query, description = "Only this metric"),
        ("project" = Option<String>, Query, description = "The project's slug; with a dashboard session only"),
    ),
    responses((status = 200, description = "`{days, metrics: {name: {data, total}}, complete}`", body = serde_json::Value))
)]
pub async fn show_usage(
    state: State<App>,
    tenant: Tenant,
    wanted: Params<usage::Wanted>,
) -> Result<Json<usage::Series>, ApiError> {
    usage::show_usage(state, tenant, wanted).await
}

/// `GET /v1/quotas`, for admins.
#[utoipa::path(
    get, path = "/api/analytics/quotas", operation_id = "analytics_quotas", tag = "aliases", security(("secret_key" = ["analytics:read"])),
    params(
        ("metric" = Option<String>, Query, description = "Only this metric"),
        ("project" = Option<String>, Query, description = "The project's slug; with a dashboard session only"),
    ),
    responses((status = 200, description = "`{day, enabled, quotas: [{metric, current, limit, exceeded, policy, allowed}]}`", body = serde_json::Value))
)]
pub async fn show_quotas(
    state: State<App>,
    tenant: Tenant,
    of: Params<usage::OfMetric>,
) -> Json<usage::Standings> {
    usage::show_quotas(state, tenant, of).await
}

/// `POST /v1/usage/rollup`.
#[utoipa::path(
    post, path = "/api/analytics/rollup", operation_id = "analytics_rollup", tag = "aliases", security(("secret_key" = ["usage:write"])),
    params(("project" = Option<String>, Query, description = "The project's slug; with a dashboard session only")),
    responses((status = 200, description = "`{rows, duration_ms}`", body = serde_json::Value))
)]
pub async fn roll_up(
    state: State<App>,
    caller: Caller,
    tenant: Tenant,
) -> Result<Json<rollup::Done>, ApiError> {
    usage::roll_up(state, caller, tenant).await
}

/// Which events leave.
#[derive(Debug, Deserialize)]
pub struct CsvParams {
    from: Option<String>,
    to: Option<String>,
    #[serde(flatten)]
    pick: PickParams,
}

/// Events as CSV, at most as many as the setting `max_export_rows` says.
#[utoipa::path(
    get, path = "/api/analytics/export.csv", tag = "aliases", security(("secret_key" = ["analytics:export"])),
    params(
        ("from" = Option<String>, Query, description = "Date or instant, included"),
        ("to" = Option<String>, Query, description = "A date, included, or an instant, excluded"),
        ("event" = Option<String>, Query, description = "Only events of this name"),
        ("source" = Option<String>, Query, description = "`web` or `server`"),
        ("user" = Option<String>, Query, description = "Only events of this user, as your servers know it"),
        ("where" = Option<String>, Query, description = "Only events that pass: the filters of a question, as JSON"),
        ("project" = Option<String>, Query, description = "The project's slug; with a dashboard session only"),
    ),
    responses((status = 200, description = "The events; with `X-Truncated: true` there are more", body = String, content_type = "text/csv"))
)]
pub async fn export_csv(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    Params(CsvParams { from, to, pick }): Params<CsvParams>,
) -> Result<Response, ApiError> {
    let range = parse_days(from.as_deref(), to.as_deref(), &project.tz)?;
    let pick = pick.pick(&app, &project)?;
    let limit = app.config.max_export_rows.into();
    export::stream(app, caller, project, Wanted { range, pick, limit }, Form::Csv).await
}

/// Which days, and how events are called.
#[derive(Debug, Deserialize)]
pub struct Named {
    from: Option<String>,
    to: Option<String>,
    #[serde(default = "signups")]
    signups: String,
    #[serde(default = "logins")]
    logins: String,
    #[serde(default = "builds")]
    builds: String,
    #[serde(default = "api_calls")]
    api_calls: String,
}

fn signups() -> String {
    "auth.user.registered".to_owned()
}
fn logins() -> String {
    "auth.user.login".to_owned()
}
fn builds() -> String {
    "builder.generate.completed".to_owned()
}
fn api_calls() -> String {
    "api_requests_daily".to_owned()
}

/// Counts that a dashboard begins with.
#[derive(Debug, Serialize)]
pub struct Kpis {
    signups: u64,
    logins: u64,
    builds: u64,
    api_calls: u64,
    /// The questions in full.
    definition: Value,
}

/// Signups, logins, builds and API calls of some days: counts of events, and of a usage metric.
#[utoipa::path(
    get, path = "/api/analytics/metrics", tag = "aliases", security(("secret_key" = ["analytics:read"])),
    params(
        ("from" = Option<String>, Query, description = "Date or instant, included"),
        ("to" = Option<String>, Query, description = "Date or instant, excluded"),
        ("signups" = Option<String>, Query, description = "The event of a signup; `auth.user.registered` if absent"),
        ("logins" = Option<String>, Query, description = "`auth.user.login` if absent"),
        ("builds" = Option<String>, Query, description = "`builder.generate.completed` if absent"),
        ("api_calls" = Option<String>, Query, description = "The usage metric of API calls; `api_requests_daily` if absent"),
        ("project" = Option<String>, Query, description = "The project's slug; with a dashboard session only"),
    ),
    responses((status = 200, description = "`{signups, logins, builds, api_calls, definition}`", body = serde_json::Value))
)]
pub async fn show_kpis(
    State(app): State<App>,
    Tenant(project): Tenant,
    Params(named): Params<Named>,
) -> Result<Json<Kpis>, ApiError> {
    let of_metric = json!([{ "prop": "metric", "op": "eq", "value": named.api_calls }]);
    let series = json!([
        { "event": named.signups },
        { "event": named.logins },
        { "event": named.builds },
        { "event": tallymark_store::USAGE_EVENT, "measure": "sum", "prop": "amount", "where": of_metric },
    ]);
    let (totals, definition) = totals(&app, &project, &named, series).await?;
    let total = |at: usize| totals.get(at).copied().unwrap_or(0);
    let (signups, logins, builds, api_calls) = (total(0), total(1), total(2), total(3));
    Ok(Json(Kpis { signups, logins, builds, api_calls, definition }))
}

async fn totals(
    app: &App,
    project: &Project,
    Named { from, to, .. }: &Named,
    series: Value,
) -> Result<(Vec<u64>, Value), ApiError> {
    let mut question = json!({ "series": series, "bucket": "month" });
    for (name, given) in [("from", from), ("to", to)] {
        if let Some(text) = given {
            question[name] = text.clone().into();
        }
    }
    let answered = app.ask(project, "trend", question).await?;
    match answered.body {
        AnswerBody::Trend(trend) => {
            let total = trend.series.iter().map(|series| series.total.0.unwrap_or(0.0) as u64);
            Ok((total.collect(), answered.definition))
        }
        _ => unreachable!("a trend is answered by a trend"),
    }
}

/// `POST /v1/organisations/main/projects`: make a tenant, which is a project. The answer has its keys, for the only
/// time.
#[utoipa::path(
    post, path = "/api/tenants", tag = "aliases",
    request_body(content = serde_json::Value, description = "`{name, slug, tz}`; `tz` is UTC where it is left out"),
    responses(
        (status = 201, description = "`{project, slug, tz, write_key, secret_key, salt}`", body = serde_json::Value),
        (status = 409, description = "The slug is taken", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn create_tenant(
    state: State<App>,
    caller: Caller,
    realm: Realm,
    body: Body,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    projects::create_project(state, caller, realm, body).await
}
