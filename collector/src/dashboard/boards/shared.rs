//! A dashboard for anybody who has its link.

use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use subtle::ConstantTimeEq;

use super::super::build::question::Fields;
use super::super::shell::{Shell, failure};
use super::{Frame, Reader, desk, render};
use crate::app::App;
use crate::error::ApiError;
use crate::meta::projects::Project;
use crate::saved::Kind;
use crate::saved::board::Board;

/// What a shared page may do; embedded, it may also stand in a frame of another page.
const EMBEDDED_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
     connect-src 'self'; img-src 'self' data:; form-action 'none'; base-uri 'none'; frame-ancestors *";

/// The secret part of a link: only whoever has it sees the dashboard.
fn token(app: &App, project: &Project, key: &str, number: u64) -> String {
    let text = format!("{}\n{key}\n{number}", project.id);
    let mac = app.pepper.mac("shared-dashboard", text.as_bytes());
    mac.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// The path that shows a dashboard to anybody.
pub fn link(app: &App, project: &Project, key: &str, number: u64) -> String {
    format!("/share/{}/{key}/{}", project.slug, token(app, project, key, number))
}

/// `GET /share/{of}/{key}/{token}`: a dashboard, read-only; `?embed` for a frame.
pub async fn show_shared(
    State(app): State<App>,
    Path((of, key, given)): Path<(String, String, String)>,
    RawQuery(query): RawQuery,
) -> Response {
    let query = query.unwrap_or_default();
    let mut fields = Fields::read(&query);
    let mut embed = fields.0.iter_mut().filter(|(name, _)| name == "embed");
    // Links of the page leave out what says nothing, and one that leads out of the frame would lead nowhere.
    let embedded = embed.next().is_some_and(|(_, value)| {
        "1".clone_into(value);
        true
    });
    let shown = async {
        let project = app.meta.find_project(&of).await?.ok_or(ApiError::NotFound)?;
        let saved = desk(&app, &project, Kind::Dashboard)
            .load(&key)
            .await
            .map_err(|_| ApiError::NotFound)?;
        let board = Board::of(&saved)?;
        let number = board.shared.ok_or(ApiError::NotFound)?;
        let wanted = token(&app, &project, &key, number);
        if !bool::from(wanted.as_bytes().ct_eq(given.as_bytes())) {
            return Err(ApiError::NotFound);
        }
        let frame = Frame {
            shell: Shell::new(),
            here: format!("/share/{of}/{key}/{given}"),
            may_change: false,
            shared: None,
            questions: Vec::new(),
            version: saved.version,
            embedded,
        };
        render(&app, &project, &board, &fields, Reader::Stranger, frame).await
    };
    let mut response = shown.await.unwrap_or_else(|error: ApiError| failure(&error));
    if embedded {
        let policy = HeaderValue::from_static(EMBEDDED_POLICY);
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}
