//! A project's name, time zone, first day of the week and origins.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tallymark_analysis::time_bucket::WeekStart;

use super::{Frame, Tab, frame};
use crate::access::{Caller, Role, Tenant};
use crate::admin::Act;
use crate::app::App;
use crate::dashboard::form::{After, Fields, Filled, Said, Trouble, moment};
use crate::dashboard::plan::ZONES;
use crate::dashboard::words::{filters, n};
use crate::dashboard::{Shell, show as show_page};
use crate::meta::projects::{Change, Project};

/// The days on which weeks can start.
const WEEK_DAYS: &[(WeekStart, &str)] = &[
    (WeekStart::Monday, n("Monday")),
    (WeekStart::Tuesday, n("Tuesday")),
    (WeekStart::Wednesday, n("Wednesday")),
    (WeekStart::Thursday, n("Thursday")),
    (WeekStart::Friday, n("Friday")),
    (WeekStart::Saturday, n("Saturday")),
    (WeekStart::Sunday, n("Sunday")),
];

/// What the form has.
struct Typed {
    name: String,
    tz: String,
    week_starts: String,
    origins: String,
}

#[derive(Template)]
#[template(path = "settings/project.html")]
struct Page<'a> {
    shell: Shell,
    frame: Frame,
    project: &'a Project,
    name: &'a str,
    tz: &'a str,
    week_starts: &'a str,
    week_days: &'static [(WeekStart, &'static str)],
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
    let typed = Typed {
        name: project.name.clone(),
        tz: project.tz.clone(),
        week_starts: project.settings.week_starts.name().to_owned(),
        origins: project.settings.origins.join("\n"),
    };
    page(&app, &caller, &project, typed, (StatusCode::OK, after.into()))
}

fn page(
    app: &App,
    caller: &Caller,
    project: &Project,
    typed: Typed,
    (status, said): (StatusCode, Said),
) -> Response {
    let (shell, frame) = frame(app, caller, project, Tab::Project, said);
    let created = moment(project.created_ms, &project.tz);
    let Typed { name, tz, week_starts, origins } = typed;
    let (name, tz, week_starts) = (&*name, &*tz, &*week_starts);
    let (week_days, zones) = (WEEK_DAYS, ZONES);
    show_page(
        status,
        &Page { shell, frame, project, name, tz, week_starts, week_days, origins, zones, created },
    )
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
    // What a form does not have stays.
    let week_starts = WeekStart::parse(fields.get("week_starts"));
    settings.week_starts = week_starts.unwrap_or(settings.week_starts);
    let text = |name| fields.get(name).to_owned();
    let change =
        Change { name: Some(text("name")), tz: Some(text("tz")), settings: Some(settings) };
    let act = Act::of(&app, &caller);
    match app.meta.projects().update(&project, change, act.deed("update")).await {
        Ok(_) => Ok(Tab::Project.back(&project, "saved")),
        Err(refused) => {
            let said = Said::refusal(refused)?;
            let typed = Typed {
                name: text("name"),
                tz: text("tz"),
                week_starts: text("week_starts"),
                origins: text("origins"),
            };
            Ok(page(&app, &caller, &project, typed, said).into_response())
        }
    }
}
