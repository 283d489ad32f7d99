//! `POST /v1/query/{kind}`.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use serde_json::Value;

use crate::app::{Answered, App};
use crate::error::ApiError;
use crate::extract::{Reader, read_body};

/// A question with 20 steps of ten filters each is about 30 KiB.
const QUESTION_BYTES_MAX: usize = 256 * 1024;

/// Answer a question about the project of the key.
///
/// Times are dates or RFC 3339 instants, ranges half open. Every answer carries `definition` (the
/// question with its defaults filled in), `complete`, `rows_scanned` and `elapsed_ms`.
#[utoipa::path(
    post, path = "/v1/query/{kind}", tag = "questions", security(("secret_key" = ["analytics:read"])),
    params(
        ("kind" = String, Path, description = "`trend`, `active`, `funnel`, `retention`, `lifecycle`, `stickiness`, `experiment`, `content`, `pwa`, `paths`, `sessions`, `attribution`, `persons` or `person`"),
        ("project" = Option<String>, Query, description = "The project's slug; with a dashboard session only"),
    ),
    request_body(content = serde_json::Value, description = "The question; an empty body asks with all defaults"),
    responses(
        (status = 200, description = "The answer", body = serde_json::Value),
        (status = 401, description = "No or an unknown key", content_type = "application/problem+json", body = crate::openapi::Problem),
        (status = 403, description = "The key lacks `analytics:read`", content_type = "application/problem+json", body = crate::openapi::Problem),
        (status = 404, description = "No such kind; the detail lists the kinds", content_type = "application/problem+json", body = crate::openapi::Problem),
        (status = 422, description = "The question makes no sense", content_type = "application/problem+json", body = crate::openapi::Problem),
        (status = 503, description = "Too many questions are waiting", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn ask_question(
    State(app): State<App>,
    Reader(project): Reader,
    Path(kind): Path<String>,
    body: Body,
) -> Result<Json<Answered>, ApiError> {
    let body = read_body(body, QUESTION_BYTES_MAX, &app.large_bodies).await?;
    let question = parse_question(&body.bytes)?;
    app.ask(&project, &kind, question).await.map(Json)
}

/// Read a question; nothing at all is the question with all defaults.
///
/// # Errors
/// [`ApiError::JsonInvalid`] says where.
pub fn parse_question(bytes: &[u8]) -> Result<Value, ApiError> {
    if bytes.trim_ascii().is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(bytes)
        .map_err(|error| ApiError::JsonInvalid { detail: error.to_string() })
}
