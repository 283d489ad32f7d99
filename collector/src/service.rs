//! Whether the service lives, whether it is ready, and its metrics.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tallymark_store::WriteState;

use crate::app::App;
use crate::error::ApiError;
use crate::extract::Params;

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
}

/// Metrics of the service itself, as OpenMetrics text or JSON. They name no tenant.
#[utoipa::path(get, path = "/metrics", tag = "service",
    params(("format" = Option<String>, Query, description = "`text` (default) or `json`")),
    responses((status = 200, description = "The metrics", body = String)))]
pub async fn show_metrics(
    State(app): State<App>,
    Params(params): Params<MetricsParams>,
) -> Result<Response, ApiError> {
    app.telemetry.observe_store(&app.store.stats());
    let failed = |error: std::fmt::Error| ApiError::Internal(error.into());
    match params.format.as_deref() {
        None | Some("text" | "prometheus") => {
            let text = app.telemetry.text().map_err(failed)?;
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            Ok(([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], text).into_response())
        }
        Some("json") => Ok(Json(app.telemetry.json().map_err(failed)?).into_response()),
        Some(_) => Err(ApiError::parameter("format", "must be text or json")),
    }
}
