//! The pages as templates, and the headers they travel with.
//!
//! Invariant: a page loads one style sheet and one script from this host and nothing else, and
//! cannot be framed; the policy in [`PAGE_POLICY`] makes browsers keep us to that.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::format;
use super::notes::Note;
use super::shell::Shell;
use super::view::content::Contents;
use super::view::experiments::Experiment;
use super::view::funnel::Funnel;
use super::view::install::Story;
use super::view::overview::{self, Card};
use super::view::retention::Grid;
use super::view::tables::Ranking;
use super::view::today::{Delivery, Today};
use super::view::{Chart, Reply, Section, Table};
use super::words::{filters, say, t};
use crate::meta::projects::Project;

/// What pages may do: style themselves, run our script, show pictures they carry, send forms and ask here.
pub const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
     connect-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The first page of a project, around its results.
#[derive(Template)]
#[template(path = "results.html")]
pub struct Home<'a> {
    pub shell: Shell,
    pub project: &'a Project,
    pub offers: Vec<Offer>,
    pub custom: bool,
    pub period_short: String,
    pub from: String,
    pub last_day: String,
    pub tz: String,
    pub zones: &'static [&'static str],
    pub complaint: Option<String>,
    pub kept_by_range: Vec<(&'static str, &'a str)>,
    pub answer: String,
}

/// The results of a project.
#[derive(Template)]
#[template(path = "results_shown.html")]
pub struct Results<'a> {
    pub project: &'a Project,
    pub now: Now,
    pub period_words: String,
    pub tz: String,
    pub settles: Option<String>,
    pub kept_by_funnel: Vec<(&'static str, &'a str)>,
    pub kept_by_metric: Vec<(&'static str, &'a str)>,
    pub cards: Section<Vec<Card>>,
    pub charts: Vec<(&'static str, String, &'static str, &'static str, Section<Chart>)>,
    pub rankings: Vec<Ranking>,
    pub step_choices: Vec<String>,
    pub event_names: Vec<String>,
    pub windows: Vec<(String, String)>,
    pub window: String,
    pub window_words: String,
    pub funnel: Section<Funnel>,
    pub retention: Section<Grid>,
    pub goal: Option<String>,
    pub experiments_since: String,
    pub experiments: Section<Vec<(String, Section<Experiment>)>>,
    pub content: Section<Contents>,
    pub install: Section<Story>,
    pub today: Option<Today>,
    pub delivery: Section<Delivery>,
    pub leads: Leads,
    pub notes: Vec<Note>,
    pub timing: String,
}

/// Where the heads of sections lead: the same question in its builder.
pub struct Leads {
    pub funnel: String,
    pub retention: String,
    pub experiments: String,
    pub content: String,
    pub install: String,
}

/// Who is there now.
#[derive(Template)]
#[template(path = "now.html")]
pub struct Now {
    people: Option<u64>,
}

impl Now {
    /// The people of an answer to `questions::now`.
    pub fn of(reply: &Reply) -> Self {
        Self { people: overview::now(reply) }
    }

    fn words(&self) -> String {
        match self.people {
            None => t("Nobody knows who is there").to_owned(),
            Some(0) => t("Nobody in the last 30 minutes").to_owned(),
            Some(n) => {
                let people = format::counted(n, "person", "people");
                say("{people} in the last 30 minutes", &[("people", &people)])
            }
        }
    }
}

/// A range on offer.
pub struct Offer {
    pub days: i64,
    pub href: String,
    pub current: bool,
}

impl Offer {
    /// In words.
    pub fn words(&self) -> String {
        format::counted(self.days.unsigned_abs(), "day", "days")
    }
}

/// The projects there are.
#[derive(Template)]
#[template(path = "projects.html")]
pub struct Projects<'a> {
    pub shell: Shell,
    pub projects: &'a [Arc<Project>],
    /// Slugs and names of the organisations that the reader may make projects in.
    pub makes: Vec<(String, String)>,
}

/// A page that only says something.
#[derive(Template)]
#[template(path = "message.html")]
pub struct Message<'a> {
    pub shell: Shell,
    pub title: &'a str,
    pub text: &'a str,
    pub code: Option<&'a str>,
    pub way_out: Option<(&'a str, &'a str)>,
}

/// The table behind a chart.
#[derive(Template)]
#[template(path = "table.html")]
struct TableTemplate<'a> {
    head: &'a [String],
    rows: &'a [Vec<String>],
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let table = TableTemplate { head: &self.head, rows: &self.rows };
        f.write_str(&table.render().map_err(|_| std::fmt::Error)?)
    }
}

/// A template as a response.
pub fn show(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(body) => send(status, body),
        Err(error) => broken(&error),
    }
}

/// What is said when a template fails.
pub fn broken(error: &askama::Error) -> Response {
    tracing::error!(%error, "a template failed");
    send(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong on our side.")
}

/// HTML as a response, whole or as it comes.
pub fn send(status: StatusCode, body: impl Into<Body>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY)),
        // Figures of a company have no place in a shared or a disk cache.
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
    ];
    (status, headers, body.into()).into_response()
}
