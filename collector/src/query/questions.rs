//! `POST /v1/query/{kind}`.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::Value;
use tallymark_analysis::AnswerBody;
use tallymark_analysis::experiment::report::{self, About};

use crate::access::Tenant;
use crate::app::{Answered, App};
use crate::error::ApiError;
use crate::extract::{Params, read_body};

/// A question with 20 steps of ten filters each is about 30 KiB.
const QUESTION_BYTES_MAX: usize = 256 * 1024;

/// A report is a file that is sent around: it brings its style along, and does nothing.
const REPORT_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// How to answer.
#[derive(Debug, Deserialize)]
pub struct QuestionParams {
    #[serde(default)]
    format: Format,
}

/// The forms of an answer. Experiments have them all.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Format {
    #[default]
    Json,
    /// A table.
    Csv,
    /// A page for a printer.
    Html,
}

/// Answer a question about the project of the key.
///
/// Times are dates or RFC 3339 instants, ranges half open. Every answer carries `definition` (the
/// question with its defaults filled in), `complete`, `rows_scanned` and `elapsed_ms`. An experiment that is
/// defined here needs its key only: `defined` says which fields came from its definition.
#[utoipa::path(
    post, path = "/v1/query/{kind}", tag = "questions", security(("secret_key" = ["analytics:read"])),
    params(
        ("kind" = String, Path, description = "`trend`, `active`, `funnel`, `retention`, `lifecycle`, `stickiness`, `experiment`, `content`, `pwa`, `completeness`, `paths`, `sessions`, `attribution`, `persons`, `person` or `explain`"),
        ("project" = Option<String>, Query, description = "The project's slug; with a dashboard session only"),
        ("format" = Option<String>, Query, description = "`json` (default); of an experiment also `csv`, a table of all effects, and `html`, a page to print"),
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
    Tenant(project): Tenant,
    Path(kind): Path<String>,
    Params(params): Params<QuestionParams>,
    body: Body,
) -> Result<Response, ApiError> {
    if params.format != Format::Json && kind != "experiment" {
        return Err(ApiError::parameter("format", "only experiments are answered as csv or html"));
    }
    let body = read_body(body, QUESTION_BYTES_MAX, &app.large_bodies).await?;
    let question = parse_question(&body.bytes)?;
    let answered = app.ask(&project, &kind, question).await?;
    Ok(shown(answered, params.format))
}

fn shown(answered: Answered, format: Format) -> Response {
    match (&answered.body, format) {
        (AnswerBody::Experiment(answer), Format::Csv) => {
            ([(CONTENT_TYPE, "text/csv; charset=utf-8")], report::csv(answer)).into_response()
        }
        (AnswerBody::Experiment(answer), Format::Html) => {
            let defined = answered.defined.as_ref();
            let about = About {
                question: &answered.definition,
                hypothesis: defined.map_or("", |defined| &defined.hypothesis),
                state: defined.map_or("", |defined| defined.state.as_str()),
            };
            let page = report::html(answer, &about);
            let headers = [
                (CONTENT_TYPE, "text/html; charset=utf-8"),
                (CONTENT_SECURITY_POLICY, REPORT_POLICY),
            ];
            (headers, page).into_response()
        }
        _ => Json(answered).into_response(),
    }
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
