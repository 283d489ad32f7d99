//! What stands around every page: navigation, the switcher of projects, the language.
//!
//! In: who reads, of which project, and where in it they are. Out: a [`Shell`], which every template carries and
//! `layout.html` prints; and the pages that only say something: empty, failed, not allowed.
//!
//! A page of a project takes [`Shell::within`], any other page [`Shell::new`].

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;

use super::page::{self, Message};
use super::words::{Lang, Ways, n, t};
use super::{ask, assets, projects_of};
use crate::access::{Caller, Role};
use crate::app::App;
use crate::error::ApiError;
use crate::meta::projects::Project;

/// Where in a project a page stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Its first page.
    Home,
    /// A question of this kind.
    Question(&'static str),
    /// Its events, one by one.
    Events,
    /// Its dashboards.
    Boards,
    /// Its experiments.
    Experiments,
    /// What is set for it.
    Settings,
}

/// What every page needs.
#[derive(Debug)]
pub struct Shell {
    /// Address of the style sheet.
    pub css: String,
    /// Address of the script.
    pub js: String,
    /// The reader's language.
    pub lang: &'static Ways,
    /// The languages on offer.
    pub languages: Vec<&'static Ways>,
    /// On pages of a project.
    pub nav: Option<Nav>,
}

/// The way through a project.
#[derive(Debug)]
pub struct Nav {
    /// The project's name.
    pub project: String,
    /// Its part of addresses.
    pub slug: String,
    /// What the reader may switch to: names and slugs.
    pub projects: Vec<(String, String)>,
    /// The pages.
    pub items: Vec<Item>,
    /// What the reader may do here.
    pub role: Role,
}

/// A page to go to.
#[derive(Debug)]
pub struct Item {
    /// Its address.
    pub href: String,
    /// Its name.
    pub label: &'static str,
    /// The lines of its picture, 16 by 16.
    pub icon: &'static str,
    /// The key that leads there after `g`, or nothing.
    pub key: &'static str,
    /// Whether a new group begins with it.
    pub apart: bool,
    /// Whether the reader is there.
    pub current: bool,
}

/// A page of every project: place, address, name, key, picture.
type Entry = (Place, &'static str, &'static str, &'static str, &'static str);

/// The pages of a project, in order.
const PAGES: [Entry; 18] = [
    (Place::Home, "", n("Home"), "h", "M2.5 7.5 8 3l5.5 4.5V13h-4V9.5h-3V13h-4z"),
    (Place::Question("trend"), "/ask/trend", n("Trends"), "t", "M2 12l4-4.5 3 2.5 5-6.5"),
    (
        Place::Question("funnel"),
        "/ask/funnel",
        n("Funnels"),
        "f",
        "M2 3h12M4 6.5h8M5.5 10h5M7 13.5h2",
    ),
    (
        Place::Question("retention"),
        "/ask/retention",
        n("Retention"),
        "r",
        "M2.5 2.5h3v3h-3zM6.5 2.5h3v3h-3zM10.5 2.5h3v3h-3zM2.5 6.5h3v3h-3zM6.5 6.5h3v3h-3zM2.5 10.5h3v3h-3z",
    ),
    (
        Place::Question("paths"),
        "/ask/paths",
        n("Paths"),
        "p",
        "M2 4c5 0 6 8 12 8M2 12c3 0 4-3 6-4.5S11 4 14 4",
    ),
    (
        Place::Question("active"),
        "/ask/active",
        n("Active people"),
        "a",
        "M6 7.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5zM1.5 13.5c0-2.8 2-4.5 4.5-4.5s4.5 1.7 4.5 4.5M11 3a2.3 2.3 0 0 1 0 4.4M12.5 9.4c1.3.7 2 2.2 2 4.1",
    ),
    (
        Place::Question("lifecycle"),
        "/ask/lifecycle",
        n("Lifecycle"),
        "",
        "M3.5 13V8M8 13V3M12.5 13V6M2 13.5h12",
    ),
    (
        Place::Question("stickiness"),
        "/ask/stickiness",
        n("Stickiness"),
        "",
        "M3 13V4M6.3 13V7M9.6 13V9.5M13 13v-2M2 13.5h12",
    ),
    (
        Place::Question("sessions"),
        "/ask/sessions",
        n("Sessions"),
        "s",
        "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 4.8V8l2.3 1.6",
    ),
    (
        Place::Question("content"),
        "/ask/content",
        n("Content"),
        "c",
        "M3.5 2h6l3 3v9h-9zM5.5 7.5h5M5.5 10h5",
    ),
    (
        Place::Question("pwa"),
        "/ask/pwa",
        n("Installs"),
        "i",
        "M8 2v7.5M5 6.8 8 9.8l3-3M2.5 12.5h11",
    ),
    (
        Place::Question("attribution"),
        "/ask/attribution",
        n("Attribution"),
        "",
        "M3 8h4M7 8c3 0 2-4.5 6-4.5M7 8c3 0 2 4.5 6 4.5M7 8h6",
    ),
    (
        Place::Question("revenue"),
        "/ask/revenue",
        n("Revenue"),
        "m",
        "M11 4.2C10.3 3.3 9.2 3 8 3 6.2 3 5 4 5 5.4 5 8.6 11.2 7 11.2 10.5 11.2 12 9.8 13 8 13c-1.4 0-2.6-.5-3.3-1.4M8 1.5v13",
    ),
    (
        Place::Question("persons"),
        "/ask/persons",
        n("People"),
        "l",
        "M8 7.5a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM2.5 14.5c0-3.2 2.5-5 5.5-5s5.5 1.8 5.5 5",
    ),
    (Place::Events, "/events", n("Events"), "v", "M2 4h2M6 4h8M2 8h2M6 8h8M2 12h2M6 12h8"),
    (
        Place::Boards,
        "/boards",
        n("Dashboards"),
        "d",
        "M2.5 2.5h5v6h-5zM9.5 2.5h4v3.5h-4zM9.5 8h4v5.5h-4zM2.5 10.5h5v3h-5z",
    ),
    (
        Place::Experiments,
        "/experiments",
        n("Experiments"),
        "e",
        "M6 2v4.5L2.5 13a.7.7 0 0 0 .6 1h9.8a.7.7 0 0 0 .6-1L10 6.5V2M5 2h6M4.3 10h7.4",
    ),
    (
        Place::Settings,
        "/settings",
        n("Settings"),
        "",
        "M2 4.5h7M12 4.5h2M2 11.5h2M7 11.5h7M10.5 3v3M5.5 10v3",
    ),
];

impl Shell {
    /// The shell of a page outside of any project.
    pub fn new() -> Self {
        Self {
            css: assets::style_href(),
            js: assets::script_href(),
            lang: Lang::current().ways(),
            languages: Lang::ALL.into_iter().map(Lang::ways).collect(),
            nav: None,
        }
    }

    /// The shell of a page of a project.
    pub fn within(app: &App, caller: &Caller, project: &Project, place: Place) -> Self {
        let others = projects_of(app, caller);
        let others = others.iter().map(|other| (other.name.clone(), other.slug.clone()));
        Self { nav: Some(nav(project, others.collect(), caller.role, place)), ..Self::new() }
    }
}

impl Default for Shell {
    fn default() -> Self {
        Self::new()
    }
}

/// The way through a project, from a page of it.
pub fn nav(project: &Project, projects: Vec<(String, String)>, role: Role, place: Place) -> Nav {
    let of = |(at, path, label, key, icon): &Entry| Item {
        href: format!("/p/{}{path}", project.slug),
        label: t(label),
        icon,
        key,
        apart: matches!(at, Place::Question("trend") | Place::Boards),
        // One person belongs to people.
        current: *at == place
            || (*at == Place::Question("persons") && place == Place::Question("person")),
    };
    Nav {
        project: project.name.clone(),
        slug: project.slug.clone(),
        projects,
        items: PAGES.iter().map(of).collect(),
        role,
    }
}

/// Whether somebody looks at this with a browser: then a refusal is a page.
pub fn wants_page(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// A page for whatever went wrong.
pub fn failure(error: &ApiError) -> Response {
    let text = ask::sentence(error);
    let status =
        StatusCode::from_u16(error.problem().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let title = match status {
        StatusCode::NOT_FOUND => t("There is nothing here"),
        StatusCode::FORBIDDEN => t("This is not open to you"),
        StatusCode::SERVICE_UNAVAILABLE => t("Too busy just now"),
        _ => t("This page could not be made"),
    };
    let way_out = Some(("/", t("All projects")));
    page::show(status, &Message { shell: Shell::new(), title, text: &text, code: None, way_out })
}
