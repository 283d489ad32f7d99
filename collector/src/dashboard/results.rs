//! The results page: plan it, ask, show it.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::ask::ask_all;
use super::page::Now;
use super::period::{Asked, Period};
use super::plan::Plan;
use super::shell::Shell;
use super::{format, notes, page, questions};
use crate::access::Tenant;
use crate::app::App;
use crate::error::ApiError;
use crate::meta::projects::Project;

/// The page in its shell, or the shell alone when the project has seen no events yet.
///
/// # Errors
/// When the project's schema cannot be read: then there is nothing to ask about.
pub async fn results(
    app: &App,
    project: &Arc<Project>,
    shell: Shell,
    query: &str,
) -> Result<Result<Response, Shell>, ApiError> {
    let began = Instant::now();
    let id = project.id;
    let schema = app.blocking(move |app| Ok(app.store.schema(id)?)).await?;
    if schema.events.is_empty() {
        return Ok(Err(shell));
    }
    let defined = app.meta.definitions().list(id).await?;
    let defined = defined.iter().filter(|stored| stored.definition.kind() == "experiment");
    let defined =
        defined.map(|stored| (stored.definition.key().to_owned(), stored.state)).collect();
    let plan = Plan::new(project, schema, defined, query, app.clock.now_ms());
    let first = ask_all(app, project, plan.questions()).await;
    let second = ask_all(app, project, plan.experiment_questions(&first.replies)).await;
    let asked = first.replies.len() + second.replies.len();
    let timing = timing(asked, first.rows_scanned + second.rows_scanned, began);
    let notes = notes::of(app, project, plan.period()).await?;
    let page = plan.page(shell, &first.replies, &second.replies, notes, timing);
    Ok(Ok(page::show(StatusCode::OK, &page)))
}

/// `GET /p/{slug}/now`: who is there, for a page that is open.
pub async fn show_now(State(app): State<App>, Tenant(project): Tenant) -> Response {
    let (period, _) = Period::read(
        &Asked::default(),
        &project.tz,
        project.settings.week_starts,
        app.clock.now_ms(),
    );
    let asked = ask_all(&app, &project, vec![questions::now(&period)]).await;
    page::show(StatusCode::OK, &Now::of(&asked.replies[0]))
}

fn timing(questions: usize, rows: u64, began: Instant) -> String {
    format!(
        "{} over {} in {}",
        format::counted(questions as u64, "question", "questions"),
        format::counted(rows, "row", "rows"),
        format::duration(began.elapsed().as_secs_f64() * 1e3)
    )
}
