//! A project's name, time zone, first day of the week, currency and origins.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tallymark_analysis::currency::Currency;
use tallymark_analysis::time_bucket::WeekStart;

use super::{Frame, Tab, frame};
use crate::access::{Caller, Role, Tenant};
use crate::admin::Act;
use crate::app::App;
use crate::dashboard::form::{After, Fields, Filled, Said, Trouble, moment};
use crate::dashboard::plan::ZONES;
use crate::dashboard::words::{filters, n};
use crate::dashboard::{Shell, show as show_page};
use crate::meta::projects::{Change, Project, Refused};

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
    currency: String,
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
    currency: &'a str,
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
        currency: project.settings.currency.map_or_else(String::new, String::from),
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
    let Typed { name, tz, week_starts, currency, origins } = typed;
    let (name, tz, week_starts, currency) = (&*name, &*tz, &*week_starts, &*currency);
    let (week_days, zones) = (WEEK_DAYS, ZONES);
    show_page(
        status,
        &Page {
            shell,
            frame,
            project,
            name,
            tz,
            week_starts,
            currency,
            week_days,
            origins,
            zones,
            created,
        },
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
    let act = Act::of(&app, &caller);
    let currency = currency(&fields, settings.currency);
    let done = match currency {
        Ok(currency) => {
            settings.currency = currency;
            let (name, tz) = (Some(text("name")), Some(text("tz")));
            let change = Change { name, tz, settings: Some(settings) };
            app.meta.projects().update(&project, change, act.deed("update")).await
        }
        Err(detail) => Err(Refused::Setting("currency", detail)),
    };
    match done {
        Ok(_) => Ok(Tab::Project.back(&project, "saved")),
        Err(refused) => {
            let said = Said::refusal(refused)?;
            let typed = Typed {
                name: text("name"),
                tz: text("tz"),
                week_starts: text("week_starts"),
                currency: text("currency"),
                origins: text("origins"),
            };
            Ok(page(&app, &caller, &project, typed, said).into_response())
        }
    }
}

/// The currency that somebody typed, in whatever case; what a form does not have stays.
fn currency(fields: &Fields, was: Option<Currency>) -> Result<Option<Currency>, String> {
    match fields.find("currency").map(str::trim) {
        None => Ok(was),
        Some("") => Ok(None),
        Some(code) => Currency::try_from(code.to_ascii_uppercase()).map(Some),
    }
}
