//! The dashboard: what people did, on pages that need no script and are quicker with ours.
//!
//! In: a session, a project's slug, and choices in the query string. Out: HTML. Whatever is shown
//! was asked with the bodies of the HTTP contract ([`questions`]); a part whose question fails says
//! so and leaves the others alone.
//!
//! Invariant: everything that came from events, addresses or headers is escaped where it is
//! printed: by askama in templates, by [`markup`] in drawings, by [`address`] in links.
//!
//! Deliberately elsewhere: signing in and out (`signin`), who sees what (`access`), what figures mean (`analysis`).

mod account;
mod address;
mod ask;
mod assets;
mod boards;
mod build;
mod changes;
mod events;
mod experiments;
mod find;
mod form;
mod format;
mod markup;
mod notes;
mod page;
mod paper;
mod period;
mod plan;
mod questions;
mod results;
mod settings;
mod shell;
mod start;
mod svg;
#[cfg(test)]
mod tests;
mod trail;
mod view;
pub mod words;
mod world;

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};

use crate::access::{Caller, Role, Tenant, from_our_pages};
use crate::app::App;
use crate::error::ApiError;
use crate::meta::projects::Project;
use page::Projects;
use words::Lang;

/// A dashboard as a file, for whoever sends it.
pub mod printed {
    pub use super::boards::{Printed, Reader, print_days};
}

pub use changes::Looks;
pub use page::show;
pub use shell::{Place, Shell, failure, wants_page};

/// The dashboard's routes.
pub fn router() -> Router<App> {
    Router::new()
        .route("/", get(show_home))
        .route("/p/{slug}", get(show_project))
        .route("/p/{slug}/now", get(results::show_now))
        .route("/p/{slug}/changes", get(changes::show))
        .route("/p/{slug}/find", get(find::show_places))
        .route("/p/{slug}/events", get(events::show_events))
        .route("/p/{slug}/ask/{kind}", get(build::show_question).post(build::keep_question))
        .route("/p/{slug}/boards", get(boards::list_boards).post(boards::create_board))
        .route("/p/{slug}/boards/{key}", get(boards::show_board).post(boards::change_board))
        .route("/p/{slug}/boards/{key}/pdf", get(boards::show_printed))
        .route(
            "/p/{slug}/boards/{key}/reports",
            get(boards::reports::show).post(boards::reports::change),
        )
        .route("/share/{of}/{key}/{token}", get(boards::show_shared))
        .route("/language", post(choose_language))
        .route("/assets/{file}", get(assets::show_asset))
        .merge(settings::router())
        .merge(experiments::router())
        .merge(account::router())
        .merge(start::router())
}

/// `GET /`: the projects; with one, its results.
async fn show_home(State(app): State<App>, caller: Caller, RawQuery(query): RawQuery) -> Response {
    let projects = projects_of(&app, &caller);
    let wants_all = query.is_some_and(|query| query.starts_with("all"));
    if let [only] = &projects[..]
        && !wants_all
    {
        return Redirect::to(&format!("/p/{}", only.slug)).into_response();
    }
    let directory = app.meta.directory();
    let mut makes = directory.organisations();
    makes.retain(|of| directory.role(&caller.principal, of.id) >= Some(Role::Admin));
    let makes = makes.iter().map(|of| (of.slug.clone(), of.name.clone())).collect();
    page::show(StatusCode::OK, &Projects { shell: Shell::new(), projects: &projects, makes })
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
    let shell = Shell::within(&app, &caller, &project, Place::Home);
    match results::results(&app, &project, shell, query.as_deref().unwrap_or("")).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => {
            let page = start::first_run(&app, &caller, &project, &headers, None, None);
            page::show(StatusCode::OK, &page)
        }
        Err(error) => failure(&error),
    }
}

/// The collector's address as browsers know it.
fn endpoint(app: &App, headers: &HeaderMap) -> String {
    match app.config.public_url.trim_end_matches('/') {
        "" => {
            let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
            format!("http://{}", host.unwrap_or("127.0.0.1:8787"))
        }
        url => url.to_owned(),
    }
}

/// The kinds of questions that have a builder.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    build::form::KINDS.iter().map(|kind| kind.name)
}

#[derive(serde::Deserialize)]
struct Chosen {
    to: String,
    back: String,
}

/// `POST /language`: remember a language, and go back.
async fn choose_language(
    State(app): State<App>,
    headers: HeaderMap,
    Form(Chosen { to, back }): Form<Chosen>,
) -> Result<Response, ApiError> {
    if !from_our_pages(&app, &headers) {
        return Err(ApiError::CrossSite);
    }
    let lang = Lang::of_code(&to);
    let lang = lang.ok_or_else(|| ApiError::parameter("to", "a language of the menu"))?;
    // Only to a page of ours: browsers take `//` and `/\\` for another host.
    let ours = back.starts_with('/') && !back[1..].starts_with(['/', '\\']);
    let mut response = Redirect::to(if ours { &back } else { "/" }).into_response();
    let cookie = format!(
        "{}={}; Path=/; Max-Age=31536000; SameSite=Lax; HttpOnly",
        words::COOKIE,
        lang.ways().code
    );
    let cookie = HeaderValue::try_from(cookie).map_err(|error| ApiError::Internal(error.into()))?;
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}
