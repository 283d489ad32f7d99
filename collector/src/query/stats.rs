//! `POST /v1/stats/{fn}`: the statistics as a calculator. Reads no data, so it needs no key.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use serde_json::{Value, json};
use tallymark_analysis::stats::calculate;

use crate::app::App;
use crate::error::ApiError;
use crate::extract::read_body;
use crate::query::questions::parse_question;

/// Raw values of two samples of a few thousand each.
const INPUT_BYTES_MAX: usize = 256 * 1024;

/// Compute one statistic, as `tallymark stats` does.
#[utoipa::path(
    post, path = "/v1/stats/{fn}", tag = "questions",
    params(("fn" = String, Path, description = "The name of the computation")),
    request_body(content = serde_json::Value, description = "Its input"),
    responses(
        (status = 200, description = "`{got: {…}}`", body = serde_json::Value),
        (status = 422, description = "Unknown computation or bad input", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn calculate_stats(
    State(app): State<App>,
    Path(function): Path<String>,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let input = parse_question(&read_body(body, INPUT_BYTES_MAX, &app.large_bodies).await?.bytes)?;
    Ok(Json(json!({ "got": calculate(&function, &input)? })))
}
