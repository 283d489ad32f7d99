//! Whether the service lives, whether it is ready, and its metrics.

use axum::Json;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tallymark_store::WriteState;

use crate::access::rules::Needs;
use crate::access::{self, Role, Tenant};
use crate::app::App;
use crate::error::ApiError;
use crate::extract::Params;
use crate::growth::{self, Wanted};
use crate::keys::Scope;

/// The process lives. Says nothing about its data: see `/readiness`.
#[utoipa::path(get, path = "/healthz", tag = "service",
    responses((status = 200, description = "`{status: \"ok\"}`", body = serde_json::Value)))]
pub async fn show_health() -> Json<Value> {
    Json(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }))
}

/// The service takes events and answers questions. 503 while it does not take events.
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
    let body = json!({
        "status": if ready { "ready" } else { "not_ready" },
        "checks": { "store": store, "metadata": meta },
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

/// Metrics of the service itself, as OpenMetrics text or JSON, which name no tenant. With `format=text` the growth report of
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
        (status = 401, description = "The report needs a key or a session", content_type = "application/problem+json", body = crate::openapi::Problem),
    ))]
pub async fn show_metrics(
    State(app): State<App>,
    Params(params): Params<MetricsParams>,
    request: Request,
) -> Result<Response, ApiError> {
    app.telemetry.observe_store(&app.store.stats());
    app.telemetry.collections.inc();
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
