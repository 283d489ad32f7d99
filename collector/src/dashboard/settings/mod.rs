//! What is set for a project, and who may: its pages under `/p/{slug}/settings`.
//!
//! In: forms of people who are signed in. Out: pages; what a form did is done by the same desks as over HTTP
//! (`admin`, `query::people`, `quarantine`), so it is in the audit trail like everything else.
//!
//! A form that was taken leads back to its page (`?done=…` says what to say there), so reloading repeats nothing. A
//! form that was not comes back with the reason. What is shown once, a key or a link, is on the answer to its form.
//!
//! Deliberately elsewhere: one's own account (`account`), making projects (`start`).

mod audit;
mod delivery;
mod files;
mod keys;
mod limits;
mod members;
mod privacy;
mod project;
mod retention;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};

use super::form::Said;
use super::words::{n, t};
use super::{Place, Shell};
use crate::access::{Caller, Role};
use crate::app::App;
use crate::meta::projects::Project;

/// The pages of settings.
pub fn router() -> Router<App> {
    Router::new()
        .route("/p/{slug}/settings", get(project::show).post(project::change))
        .route("/p/{slug}/settings/keys", get(keys::show).post(keys::create))
        .route("/p/{slug}/settings/keys/{id}/rotate", post(keys::rotate))
        .route("/p/{slug}/settings/keys/{id}/revoke", post(keys::revoke))
        .route("/p/{slug}/settings/members", get(members::show).post(members::invite))
        .route("/p/{slug}/settings/members/{account}", post(members::change))
        .route("/p/{slug}/settings/invitations/{id}/withdraw", post(members::withdraw))
        .route("/p/{slug}/settings/retention", get(retention::show).post(retention::change))
        .route("/p/{slug}/settings/privacy", get(privacy::show).post(privacy::erase))
        .route("/p/{slug}/settings/delivery", get(delivery::show).post(delivery::resubmit))
        .route(
            "/p/{slug}/settings/files",
            // It counts by itself, because it says why.
            get(files::show).post(files::import).layer(DefaultBodyLimit::disable()),
        )
        .route("/p/{slug}/settings/files/{number}/stop", post(files::stop))
        .route("/p/{slug}/settings/limits", get(limits::show))
        .route("/p/{slug}/settings/audit", get(audit::show))
}

/// A page of settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tab {
    Project,
    Keys,
    Members,
    Retention,
    Privacy,
    Delivery,
    Files,
    Limits,
    Audit,
}

/// The pages: the end of their address, their name, and who may look at them.
const TABS: [(Tab, &str, &str, Role); 9] = [
    (Tab::Project, "", n("Project"), Role::Admin),
    (Tab::Keys, "/keys", n("Keys"), Role::Admin),
    (Tab::Members, "/members", n("Members"), Role::Admin),
    (Tab::Retention, "/retention", n("Retention of data"), Role::Admin),
    (Tab::Privacy, "/privacy", n("Privacy requests"), Role::Admin),
    (Tab::Delivery, "/delivery", n("Delivery"), Role::Viewer),
    (Tab::Files, "/files", n("Imports and exports"), Role::Analyst),
    (Tab::Limits, "/limits", n("Limits"), Role::Viewer),
    (Tab::Audit, "/audit", n("Audit trail"), Role::Admin),
];

impl Tab {
    /// Where it is, and what was done there.
    fn address(self, project: &Project, done: &str) -> String {
        let (_, end, ..) = TABS[self as usize];
        let done = if done.is_empty() { String::new() } else { format!("?done={done}") };
        format!("/p/{}/settings{end}{done}", project.slug)
    }

    /// Back to it after a form was taken.
    fn back(self, project: &Project, done: &str) -> Response {
        Redirect::to(&self.address(project, done)).into_response()
    }
}

/// What every page of settings has around its content.
struct Frame {
    /// The project's part of addresses.
    slug: String,
    /// Where the reader is.
    title: &'static str,
    /// Where they may go.
    tabs: Vec<Link>,
    /// What became of a form.
    said: Said,
}

/// A page to go to.
struct Link {
    href: String,
    label: &'static str,
    current: bool,
}

fn frame(app: &App, caller: &Caller, project: &Project, tab: Tab, said: Said) -> (Shell, Frame) {
    let open = TABS.iter().filter(|(.., least)| caller.role >= *least);
    let tabs = open.map(|(other, _, label, _)| Link {
        href: other.address(project, ""),
        label: t(label),
        current: *other == tab,
    });
    let (_, _, title, _) = TABS[tab as usize];
    let frame = Frame { slug: project.slug.clone(), title: t(title), tabs: tabs.collect(), said };
    (Shell::within(app, caller, project, Place::Settings), frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_stands_at_its_place_in_the_list() {
        for (place, (tab, ..)) in TABS.iter().enumerate() {
            assert_eq!(*tab as usize, place);
        }
    }
}
