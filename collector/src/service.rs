//! Whether the service lives, whether it is ready, and its metrics.

use std::net::IpAddr;

use axum::Json;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use tallymark_store::WriteState;

use crate::access::rules::Needs;
use crate::access::{self, Role, Tenant};
use crate::app::App;
use crate::error::ApiError;
use crate::extract::{Params, bearer, is_from_this_machine, network};
use crate::growth::{self, Wanted};
use crate::keys::{KeyKind, Scope};
use crate::usage::spent;

/// The process lives. Says nothing about its data: see `/readiness`.
#[utoipa::path(get, path = "/healthz", tag = "service",
    responses((status = 200, description = "`{status: \"ok\"}`", body = serde_json::Value)))]
pub async fn show_health() -> Json<Value> {
    Json(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }))
}

/// The service takes events and answers questions. 503 while it does not take events. `analytics` says whether taking
/// events is turned on, how many came today (UTC) into all projects, and when usage was last rolled up.
#[utoipa::path(get, path = "/readiness", tag = "service",
    responses(
        (status = 200, description = "Ready", body = serde_json::Value),
        (status = 503, description = "Not taking events; `checks` says why", body = serde_json::Value),
    ))]
pub async fn show_readiness(State(app): State<App>) -> Response {
    let store = match app.store.stats().state {
        WriteState::Open => "ok",
        WriteState::DiskFull => "disk_full",
        WriteState::ReadOnly => "read_only",
    };
    let meta = if app.meta.refresh().await.is_ok() { "ok" } else { "unreadable" };
    let ready = store == "ok" && meta == "ok";
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let last = app.meta.daily_usage().last().await.ok().flatten();
    let last = last.and_then(|last| Timestamp::from_millisecond(last.ended_ms).ok());
    let body = json!({
        "status": if ready { "ready" } else { "not_ready" },
        "checks": { "store": store, "metadata": meta },
        "analytics": {
            "configured": app.config.analytics_enabled,
            "ok": ready,
            "events_today": spent::events_today(&app),
            "rollup_last_run": last.map(|at| at.to_string()),
        },
    });
    (status, Json(body)).into_response()
}

/// Parameters of the metrics.
#[derive(Debug, Deserialize)]
pub struct MetricsParams {
    format: Option<String>,
    #[serde(flatten)]
    wanted: Wanted,
}

/// What the growth report needs: as much as a question.
const REPORT: Needs = Needs::Project(Scope::AnalyticsRead, Role::Viewer);

/// Metrics of the service itself, as OpenMetrics text or JSON: for whoever sends the setting `metrics_token` as a bearer
/// or a key with `metrics:read`; without a token, also for requests from this machine. With `format=text` the growth report of
/// a project instead: active people, retention of the last seven days' newcomers, running totals.
#[utoipa::path(get, path = "/metrics", tag = "service",
    params(
        ("format" = Option<String>, Query, description = "`prometheus` (default), `json`, or `text`: the growth report, which needs a secret key with `analytics:read` or a dashboard session"),
        ("active" = Option<String>, Query, description = "Of the report: the event that makes a person active; `expense_logged` by default"),
        ("totals" = Option<String>, Query, description = "Of the report: the events whose totals are shown, with commas between them"),
        ("unknown" = Option<String>, Query, description = "Of the report: what stands for a share that is not known: `dash` (default) or `zero`"),
        ("project" = Option<String>, Query, description = "Of the report: the project's slug; with a dashboard session only"),
    ),
    responses(
        (status = 200, description = "The metrics", body = String),
        (status = 401, description = "The report needs a key or a session, the metrics the token", content_type = "application/problem+json", body = crate::openapi::Problem),
    ))]
pub async fn show_metrics(
    State(app): State<App>,
    Params(params): Params<MetricsParams>,
    request: Request,
) -> Result<Response, ApiError> {
    if params.format.as_deref() != Some("text") {
        let network = network(&app, request.headers(), request.extensions());
        may_scrape(&app, request.headers(), network, is_from_this_machine(&request)).await?;
        app.telemetry.observe_store(&app.store.stats());
        app.telemetry.collections.inc();
    }
    let failed = |error: std::fmt::Error| ApiError::Internal(error.into());
    match params.format.as_deref() {
        None | Some("prometheus") => {
            let text = app.telemetry.text().map_err(failed)?;
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            Ok(([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], text).into_response())
        }
        Some("json") => Ok(Json(app.telemetry.json().map_err(failed)?).into_response()),
        Some("text") => {
            let (mut parts, _) = request.into_parts();
            access::admit(&mut parts, &app, REPORT).await?;
            let Tenant(project) = Tenant::from_request_parts(&mut parts, &app).await?;
            Ok(growth::report(&app, &project, &params.wanted).await?.into_response())
        }
        Some(_) => Err(ApiError::parameter("format", "must be prometheus, json or text")),
    }
}

/// `GET /metrics`, under another name.
#[utoipa::path(get, path = "/api/metrics", tag = "aliases",
    params(
        ("format" = Option<String>, Query, description = "`prometheus` (default), `json` or `text`"),
        ("project" = Option<String>, Query, description = "Of the report: the project's slug; with a dashboard session only"),
    ),
    responses(
        (status = 200, description = "The metrics", body = String),
        (status = 401, description = "The report needs a key or a session, the metrics the token", content_type = "application/problem+json", body = crate::openapi::Problem),
    ))]
pub async fn show_metrics_too(
    state: State<App>,
    params: Params<MetricsParams>,
    request: Request,
) -> Result<Response, ApiError> {
    show_metrics(state, params, request).await
}

/// Whether somebody may see the metrics of the service.
async fn may_scrape(
    app: &App,
    headers: &HeaderMap,
    network: IpAddr,
    is_here: bool,
) -> Result<(), ApiError> {
    let token = app.config.metrics_token.reveal();
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let given = value.to_str().ok().and_then(|text| text.split_once(' '));
        let given = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let given = given.map(|(_, given)| given.trim()).unwrap_or_default();
        // Compared as keyed hashes, which are of one length: nothing of the token shows in the time it takes.
        let mac = |text: &str| app.pepper.mac("metrics-token", text.as_bytes());
        if token.is_some_and(|token| mac(token).ct_eq(&mac(given)).into()) {
            return Ok(());
        }
        let access = bearer(app, headers, network).await.map_err(|_| ApiError::MetricsClosed)?;
        return match access {
            Some(access) if access.key.kind == KeyKind::Secret => {
                let may = access.key.scopes.allows(Scope::MetricsRead);
                may.then_some(()).ok_or(ApiError::ScopeMissing(Scope::MetricsRead))
            }
            _ => Err(ApiError::MetricsClosed),
        };
    }
    if token.is_none() && is_here {
        return Ok(());
    }
    Err(ApiError::MetricsClosed)
}
