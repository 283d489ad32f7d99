//! Experiments, flags and holdouts of a project: listed, planned, made, looked at and decided.
//!
//! In: what people type and choose. Out: pages; whatever is changed is changed by `experiments::desk`, and whatever is
//! shown was asked with the question `experiment`.
//!
//! Deliberately elsewhere: how a result reads (`view::experiments`, `result`), what the verdict rests on (`analysis`).

mod code;
mod create;
mod list;
mod plan;
mod result;
mod show;

use axum::Router;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use url::form_urlencoded::byte_serialize;

use super::words::{n, t};
use crate::access::Caller;
use crate::app::App;
use crate::experiments::desk::Desk;
use crate::experiments::life::State as Life;
use crate::meta::projects::Project;

/// The pages of experiments.
pub fn router() -> Router<App> {
    Router::new()
        .route("/p/{slug}/experiments", get(list::show))
        .route("/p/{slug}/new-experiment", get(create::show).post(create::create))
        .route("/p/{slug}/experiments/{key}", get(show::show))
        .route("/p/{slug}/experiments/{key}/code", get(code::show))
        .route("/p/{slug}/experiments/{key}/transition", post(show::transition))
}

/// Somebody at work on the definitions of a project. `name` is [`Caller::name`].
fn desk<'a>(app: &'a App, project: &Project, name: &'a str) -> Desk<'a> {
    Desk { meta: &app.meta, project: project.id, actor: name, now_ms: app.clock.now_ms() }
}

/// Where an experiment's page is. Keys of experiments that are assigned elsewhere are any texts.
fn address(project: &Project, key: &str) -> String {
    let key: String = byte_serialize(key.as_bytes()).collect();
    format!("/p/{}/experiments/{}", project.slug, key.replace('+', "%20"))
}

/// Days in which experiments that are assigned elsewhere are looked for.
const ELSEWHERE_DAYS: i64 = 90;

/// The range of questions about them.
fn lately(app: &App) -> (String, String) {
    let now_ms = app.clock.now_ms();
    let instant = |ms| jiff::Timestamp::from_millisecond(ms).unwrap_or_default().to_string();
    (instant(now_ms - ELSEWHERE_DAYS * 24 * 60 * 60 * 1000), instant(now_ms))
}

/// To an experiment's page, and what was done before.
fn to(project: &Project, key: &str, done: &str) -> Response {
    Redirect::to(&format!("{}?done={done}", address(project, key))).into_response()
}

/// Where something is in its life, as a badge: its look and its words.
fn badge(state: Life) -> (&'static str, &'static str) {
    match state {
        Life::Draft => ("", t("draft")),
        Life::Running => ("good", t("running")),
        Life::Paused => ("warn", t("paused")),
        Life::Concluded => ("", t("concluded")),
    }
}

/// What something is.
fn kind(name: &str) -> &'static str {
    match name {
        "flag" => t("flag"),
        "holdout" => t("holdout"),
        _ => t("experiment"),
    }
}

/// Whether somebody may change definitions.
fn may_change(caller: &Caller) -> bool {
    caller.role >= crate::access::Role::Analyst
}

/// What a step of a life does, on its button.
const fn step(to: Life) -> &'static str {
    match to {
        Life::Running => n("Start now"),
        Life::Paused => n("Pause"),
        Life::Concluded => n("Conclude"),
        Life::Draft => "",
    }
}
