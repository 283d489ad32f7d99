//! A project's name, time zone and origins.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::{Frame, Tab, frame};
use crate::access::{Caller, Role, Tenant};
use crate::admin::Act;
use crate::app::App;
use crate::dashboard::form::{After, Fields, Filled, Said, Trouble, moment};
use crate::dashboard::plan::ZONES;
use crate::dashboard::words::filters;
use crate::dashboard::{Shell, show as show_page};
use crate::meta::projects::{Change, Project};

#[derive(Template)]
#[template(path = "settings/project.html")]
struct Page<'a> {
    shell: Shell,
    frame: Frame,
    project: &'a Project,
    name: &'a str,
    tz: &'a str,
    origins: String,
    zones: &'static [&'static str],
    created: String,
}

/// `GET /p/{slug}/settings`. Who may not look at it is led to what they may look at.
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    Query(after): Query<After>,
) -> Response {
    if caller.role < Role::Admin {
        return Tab::Delivery.back(&project, "");
    }
    let origins = project.settings.origins.join("\n");
    let typed = (project.name.clone(), project.tz.clone(), origins);
    page(&app, &caller, &project, typed, (StatusCode::OK, after.into()))
}

fn page(
    app: &App,
    caller: &Caller,
    project: &Project,
    (name, tz, origins): (String, String, String),
    (status, said): (StatusCode, Said),
) -> Response {
    let (shell, frame) = frame(app, caller, project, Tab::Project, said);
    let created = moment(project.created_ms, &project.tz);
    let (name, tz) = (&*name, &*tz);
    show_page(status, &Page { shell, frame, project, name, tz, origins, zones: ZONES, created })
}

/// `POST /p/{slug}/settings`: change them.
pub async fn change(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    fields: Filled,
) -> Result<Response, Trouble> {
    let fields = Fields::from(fields);
    let mut settings = project.settings.clone();
    let lines = fields.get("origins").lines().map(str::trim);
    settings.origins = lines.filter(|line| !line.is_empty()).map(str::to_owned).collect();
    let text = |name| fields.get(name).to_owned();
    let change =
        Change { name: Some(text("name")), tz: Some(text("tz")), settings: Some(settings) };
    let act = Act::of(&app, &caller);
    match app.meta.projects().update(&project, change, act.deed("update")).await {
        Ok(_) => Ok(Tab::Project.back(&project, "saved")),
        Err(refused) => {
            let said = Said::refusal(refused)?;
            let typed = (text("name"), text("tz"), text("origins"));
            Ok(page(&app, &caller, &project, typed, said).into_response())
        }
    }
}
