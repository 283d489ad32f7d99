//! Where one can go in a project, for the palette: its pages are in the page already, so these are its events, saved
//! questions and dashboards.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::boards::{address_of, name_of};
use super::build;
use super::page::show;
use super::shell::failure;
use super::words::t;
use crate::access::Tenant;
use crate::app::App;
use crate::error::ApiError;
use crate::saved::Kind;

/// Events in the palette.
const EVENTS_MAX: usize = 200;

struct Place {
    href: String,
    name: String,
    kind: &'static str,
}

#[derive(Template)]
#[template(path = "find.html")]
struct Places {
    places: Vec<Place>,
}

/// `GET /p/{slug}/find`: the places of a project.
pub async fn show_places(State(app): State<App>, Tenant(project): Tenant) -> Response {
    let found = async {
        let schema = build::schema(&app, &project).await?;
        let table = app.meta.saved();
        let mut places = Vec::new();
        for saved in table.list(project.id, Kind::Dashboard).await? {
            let href = format!("/p/{}/boards/{}", project.slug, saved.key);
            places.push(Place { href, name: name_of(&saved), kind: t("Dashboard") });
        }
        for saved in table.list(project.id, Kind::Question).await? {
            if let Some(href) = address_of(&project.slug, &saved, &schema) {
                places.push(Place { href, name: name_of(&saved), kind: t("Saved question") });
            }
        }
        let mut events: Vec<_> = schema.events.iter().collect();
        events.sort_by(|a, b| b.1.count.cmp(&a.1.count).then_with(|| a.0.cmp(b.0)));
        for (name, _) in events.into_iter().take(EVENTS_MAX) {
            let fields = build::question::Fields::default();
            let query = fields.with(&[("event", name), ("measure", "count")]);
            let href = format!("/p/{}/ask/trend{query}", project.slug);
            places.push(Place { href, name: name.clone(), kind: t("Event") });
        }
        Ok::<_, ApiError>(show(StatusCode::OK, &Places { places }))
    };
    found.await.unwrap_or_else(|error| failure(&error))
}
