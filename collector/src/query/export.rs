//! `GET /v1/export`: raw events as a stream.

use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;
use hyper::body::{Bytes, Frame};
use serde::Deserialize;
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::pick::PickParams;
use super::range::parse_range;
use crate::access::{Caller, Tenant};
use crate::app::App;
use crate::bulk::export::{Wanted, export, is_cut};
use crate::bulk::form::Form;
use crate::bulk::under_way::{Begun, Outcome, What, Work};
use crate::error::ApiError;
use crate::extract::Params;
use crate::meta::projects::Project;

/// Says that there are more events than were written.
const TRUNCATED: HeaderName = HeaderName::from_static("x-truncated");

/// Chunks that may wait for a slow reader.
const CHUNKS: usize = 4;

/// What to export.
#[derive(Debug, Deserialize)]
pub struct ExportParams {
    from: Option<String>,
    to: Option<String>,
    format: Option<Form>,
    #[serde(flatten)]
    pick: PickParams,
}

/// Stream the raw events of a time range, all of them or some. An export can be imported again.
#[utoipa::path(
    get, path = "/v1/export", tag = "events", security(("secret_key" = ["analytics:export"])),
    params(
        ("from" = Option<String>, Query, description = "Date or instant, included"),
        ("to" = Option<String>, Query, description = "Date or instant, excluded"),
        ("event" = Option<String>, Query, description = "Only events of this name"),
        ("source" = Option<String>, Query, description = "`web` or `server`: only what pages or servers sent"),
        ("person" = Option<String>, Query, description = "Only events of this person, as answers name them"),
        ("user" = Option<String>, Query, description = "Only events of this user, as your servers know it"),
        ("where" = Option<String>, Query, description = "Only events that pass: the filters of a question, as JSON"),
        ("format" = Option<String>, Query, description = "`jsonl` (default), `csv` or `parquet`"),
        ("project" = Option<String>, Query, description = "The project's slug; with a dashboard session only"),
    ),
    responses(
        (status = 200, description = "The events", body = String, content_type = "application/x-ndjson"),
        (status = 422, description = "A parameter is wrong", content_type = "application/problem+json", body = crate::openapi::Problem),
        (status = 503, description = "Too many exports are running", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn export_events(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    Params(params): Params<ExportParams>,
) -> Result<Response, ApiError> {
    let form = params.format.unwrap_or(Form::Jsonl);
    let range = parse_range(params.from.as_deref(), params.to.as_deref(), &project.tz)?;
    let pick = params.pick.pick(&app, &project)?;
    stream(app, caller, project, Wanted { range, pick, limit: u64::MAX }, form).await
}

/// Events as a response, written while they are read. An export that is cut says so: `X-Truncated: true`.
///
/// # Errors
/// When too many exports are running, or the store cannot be read.
pub async fn stream(
    app: App,
    caller: Caller,
    project: Arc<Project>,
    wanted: Wanted,
    form: Form,
) -> Result<Response, ApiError> {
    let place = app.exports.clone().try_acquire_owned().map_err(|_| ApiError::Busy)?;
    let (is_cut, wanted) = match wanted.limit {
        u64::MAX => (false, wanted),
        // What is written afterwards may be one more or less than was looked at now; never more than the limit.
        _ => {
            let project = Arc::clone(&project);
            let looked = app.blocking(move |app| {
                let is_cut = is_cut(app, &project, &wanted).map_err(ApiError::Internal)?;
                Ok((is_cut, wanted))
            });
            looked.await?
        }
    };
    let (sender, chunks) = mpsc::channel(CHUNKS);
    let is_whole = Arc::new(AtomicBool::new(false));
    let stream = Stream { chunks, is_whole: Arc::clone(&is_whole), is_over: false };
    let handle = Handle::current();
    tokio::task::spawn_blocking(move || {
        let _place = place;
        let who = caller.name();
        let work = begin_export(&app, &project, &who, form);
        let mut out = Channel { sender, work: &work, handle: &handle, gone: false };
        let done = export(&app, &project, &wanted, form, work.scan(), &mut out);
        // Kept open until the trail is written: the end of it is the end of the file.
        let Channel { sender: open, gone, .. } = out;
        if gone {
            work.stop();
        }
        let is_stopped = work.scan().is_stopped();
        work.end(&done, |events| Outcome::Exported(*events));
        // Before the reader sees the end: what has left is in the trail.
        let noted = handle.block_on(note_export(&app, &who, &project, &wanted, done.as_ref().ok()));
        match done.and_then(|_| noted.map_err(anyhow::Error::from)) {
            Ok(()) => is_whole.store(true, Ordering::Release),
            Err(_) if is_stopped => {}
            Err(error) => tracing::error!(error = format!("{error:#}"), "an export broke off"),
        }
        drop(open);
    });
    let mut response = Response::new(Body::new(stream));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(form.media_type()));
    let attachment = match form {
        Form::Jsonl => "attachment; filename=\"events.jsonl\"",
        Form::Csv => "attachment; filename=\"events.csv\"",
        Form::Parquet => "attachment; filename=\"events.parquet\"",
    };
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(attachment));
    if is_cut {
        headers.insert(TRUNCATED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// An export begins that can be seen and stopped.
pub fn begin_export(app: &App, project: &Project, who: &str, form: Form) -> Begun {
    app.works.begin(project.id, What::Export, who, form.name(), app.clock.now_ms())
}

/// Write down that raw events left: which, and how many; `None` when it broke off.
///
/// # Errors
/// When the database cannot be written.
pub async fn note_export(
    app: &App,
    who: &str,
    project: &Project,
    wanted: &Wanted,
    events: Option<&u64>,
) -> Result<(), ApiError> {
    let Wanted { range, pick, .. } = wanted;
    let what =
        json!({ "from": range.start, "to": range.end, "filter": pick.filter, "events": events });
    app.note(project.id, who, ("export", "events"), what).await
}

struct Channel<'a> {
    sender: mpsc::Sender<Bytes>,
    work: &'a Work,
    handle: &'a Handle,
    gone: bool,
}

impl Write for Channel<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let chunk = Bytes::copy_from_slice(bytes);
        // A reader may take its time, and the export be stopped meanwhile.
        let sent = self.handle.block_on(async {
            tokio::select! {
                sent = self.sender.send(chunk) => sent.map_err(|_| true),
                () = self.work.stopped() => Err(false),
            }
        });
        self.gone = sent == Err(true);
        sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Stream {
    chunks: mpsc::Receiver<Bytes>,
    is_whole: Arc<AtomicBool>,
    is_over: bool,
}

impl hyper::body::Body for Stream {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let chunk = ready!(self.chunks.poll_recv(cx));
        if chunk.is_some() || self.is_over || self.is_whole.load(Ordering::Acquire) {
            return Poll::Ready(chunk.map(|chunk| Ok(Frame::data(chunk))));
        }
        // The reader must not take half of the events for all of them.
        self.is_over = true;
        Poll::Ready(Some(Err(io::Error::other("the export broke off"))))
    }
}
