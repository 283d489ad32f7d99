//! The dashboard: what people did, on one page that needs no script.
//!
//! In: a session, a project's slug, and choices in the query string. Out: HTML. Whatever is shown
//! was asked with the bodies of the HTTP contract ([`questions`]); a part whose question fails says
//! so and leaves the others alone.
//!
//! Invariant: everything that came from events, addresses or headers is escaped where it is
//! printed: by askama in templates, by [`markup`] in drawings, by [`address`] in links.
//!
//! Deliberately elsewhere: signing in and out (`signin`), who sees what (`access`), what figures mean (`analysis`).

mod address;
mod ask;
mod assets;
mod format;
mod markup;
mod page;
mod period;
mod plan;
mod questions;
mod results;
mod svg;
#[cfg(test)]
mod tests;
mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;

use crate::access::{Caller, Tenant};
use crate::app::App;
use crate::error::ApiError;
use crate::meta::projects::Project;
use crate::sdk::snippet::Snippet;
use page::{FirstRun, Message, Projects};

pub use page::{Shell, show};

/// The dashboard's routes.
pub fn router() -> Router<App> {
    Router::new()
        .route("/", get(show_home))
        .route("/p/{slug}", get(show_project))
        .route("/assets/{file}", get(assets::show_asset))
}

/// `GET /`: the projects; with one, its results.
async fn show_home(State(app): State<App>, caller: Caller) -> Response {
    let projects = projects_of(&app, &caller);
    if let [only] = &projects[..] {
        return Redirect::to(&format!("/p/{}", only.slug)).into_response();
    }
    page::show(StatusCode::OK, &Projects { shell: Shell::new(), projects: &projects })
}

/// The projects somebody has a part in, by slug.
fn projects_of(app: &App, caller: &Caller) -> Vec<Arc<Project>> {
    let directory = app.meta.directory();
    let mut all = directory.projects();
    all.retain(|project| directory.role(&caller.principal, project.organisation).is_some());
    all
}

/// `GET /p/{slug}`: the results of a project, or how to send its first event.
async fn show_project(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let others = projects_of(&app, &caller);
    match results::results(&app, &project, &others, query.as_deref().unwrap_or("")).await {
        Ok(Some(response)) => response,
        Ok(None) => first_run(&app, &project, &headers),
        Err(error) => failure(&error),
    }
}

fn first_run(app: &App, project: &Project, headers: &HeaderMap) -> Response {
    let endpoint = match app.config.public_url.trim_end_matches('/') {
        "" => {
            let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
            format!("http://{}", host.unwrap_or("127.0.0.1:8787"))
        }
        url => url.to_owned(),
    };
    let snippet = Snippet { endpoint: &endpoint, write_key: "tm_pk_…", salt: &project.salt }.html();
    page::show(StatusCode::OK, &FirstRun { shell: Shell::new(), project, endpoint, snippet })
}

/// A page for whatever went wrong.
fn failure(error: &ApiError) -> Response {
    let text = ask::sentence(error);
    let status =
        StatusCode::from_u16(error.problem().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let title = match status {
        StatusCode::NOT_FOUND => "There is nothing here",
        StatusCode::SERVICE_UNAVAILABLE => "Too busy just now",
        _ => "This page could not be made",
    };
    let way_out = Some(("/", "All projects"));
    page::show(status, &Message { shell: Shell::new(), title, text: &text, code: None, way_out })
}
