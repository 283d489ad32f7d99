//! The results page: plan it, ask, show it.

use std::sync::Arc;
use std::time::Instant;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::ask::{Several, ask_all, ask_watched};
use super::build::question::Fields;
use super::build::wait::waiting;
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
    let (id, now_ms) = (project.id, app.clock.now_ms());
    let schema = app.blocking(move |app| Ok(app.store.schema(id)?)).await?;
    if schema.events.is_empty() {
        return Ok(Err(shell));
    }
    let defined = app.meta.definitions().list(id).await?;
    let defined = defined.iter().filter(|stored| stored.definition.kind() == "experiment");
    let defined: Vec<_> =
        defined.map(|stored| (stored.definition.key().to_owned(), stored.state)).collect();
    let plan = Plan::new(project, schema.clone(), defined.clone(), query, now_ms);
    let fields = Fields::read(query);
    let progress = Arc::new(Several::and_more(plan.questions().len()));
    let asking = {
        let (app, project, query) = (app.clone(), Arc::clone(project), query.to_owned());
        let progress = Arc::clone(&progress);
        async move {
            let plan = Plan::new(&project, schema, defined, &query, now_ms);
            shown(&app, &project, &plan, &progress, began).await
        }
    };
    let wait = waiting(("", &fields), progress, asking);
    Ok(Ok(wait.within(|answer| plan.page(shell, answer)).await))
}

/// The results, asked for, as HTML.
async fn shown(
    app: &App,
    project: &Arc<Project>,
    plan: &Plan<'_>,
    progress: &Several,
    began: Instant,
) -> String {
    let first = ask_watched(app, project, plan.questions(), progress).await;
    let second = ask_all(app, project, plan.experiment_questions(&first.replies)).await;
    let asked = first.replies.len() + second.replies.len();
    let timing = timing(asked, first.rows_scanned + second.rows_scanned, began);
    // Results are worth more than the notes on them.
    let notes = notes::of(app, project, plan.period()).await.unwrap_or_default();
    let results = plan.results(&first.replies, &second.replies, notes, timing).render();
    results.unwrap_or_else(|error| {
        tracing::error!(%error, "a template failed");
        "Something went wrong on our side.".to_owned()
    })
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
