//! What is stored of a person, and the sheet of a project, over HTTP.

use std::io;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Bytes;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::{evidence, report};
use crate::access::{Caller, Tenant};
use crate::app::App;
use crate::error::ApiError;
use crate::extract::Params;
use crate::query::people::{Who, read_json};

/// Chunks that may wait for a slow reader.
const CHUNKS: usize = 4;

/// Everything that is stored of a person: for whoever asks what is known of them. JSON lines: a summary, then the events
/// in the form of an export.
#[utoipa::path(
    post, path = "/v1/persons/report", tag = "people", security(("secret_key" = ["analytics:export"])),
    params(("project" = Option<String>, Query, description = "The project's slug; with a dashboard session only")),
    request_body(content = serde_json::Value, description = "`{user_id | device_id | person}`"),
    responses(
        (status = 200, description = "A summary `{project, made_at, person, ids, events, merges, refused, note}`, then one event a line", body = String, content_type = "application/x-ndjson"),
        (status = 422, description = "An id is wrong", content_type = "application/problem+json", body = crate::openapi::Problem),
        (status = 503, description = "Too many exports are running", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn report_person(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    body: Body,
) -> Result<Response, ApiError> {
    let who: Who = read_json(&app, body).await?;
    let id = who.id(&app, &project, "body")?;
    let place = app.exports.clone().try_acquire_owned().map_err(|_| ApiError::Busy)?;
    let held = report::held(&app, &project, id).await?;
    // Before anything leaves.
    report::note(&app, &caller.name(), &project, &held).await?;
    let (sender, chunks) = mpsc::channel::<io::Result<Bytes>>(CHUNKS);
    tokio::task::spawn_blocking(move || {
        let _place = place;
        let mut out = Sending(&sender);
        if let Err(error) = report::write(&app, &project, &held, &mut out)
            && !sender.is_closed()
        {
            tracing::error!(error = format!("{error:#}"), "a report broke off");
            // The reader must not take half of the events for all of them.
            let _ = sender.blocking_send(Err(io::Error::other("the report broke off")));
        }
    });
    let chunks = futures_util::stream::unfold(chunks, async |mut chunks| {
        chunks.recv().await.map(|chunk| (chunk, chunks))
    });
    let mut response = Response::new(Body::from_stream(chunks));
    let kind = HeaderValue::from_static("application/x-ndjson");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

struct Sending<'a>(&'a mpsc::Sender<io::Result<Bytes>>);

impl io::Write for Sending<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How the sheet looks.
#[derive(Debug, Deserialize)]
pub struct SheetParams {
    format: Option<String>,
}

/// What the project keeps of people, line by line: what a preset asks, what is so, and whether that holds.
#[utoipa::path(
    get, path = "/v1/privacy/evidence", tag = "people", security(("secret_key" = ["admin"])),
    params(
        ("format" = Option<String>, Query, description = "`json` (default) or `text`: a sheet to print"),
        ("project" = Option<String>, Query, description = "The project's slug; with a dashboard session only"),
    ),
    responses((status = 200, description = "`{project, version, made_at, preset, holds, lines: [{about, asked, found, holds}], note}`", body = serde_json::Value))
)]
pub async fn show_evidence(
    State(app): State<App>,
    Tenant(project): Tenant,
    Params(params): Params<SheetParams>,
) -> Result<Response, ApiError> {
    let sheet = evidence::sheet(&app, &project).await?;
    match params.format.as_deref() {
        None | Some("json") => Ok(Json(sheet).into_response()),
        Some("text") => Ok(sheet.to_string().into_response()),
        Some(_) => Err(ApiError::parameter("format", "must be json or text")),
    }
}
