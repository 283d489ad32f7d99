//! How long events are kept.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::{Frame, Tab, frame};
use crate::access::{Caller, Tenant};
use crate::admin::Act;
use crate::admin::retention::{DAYS_MAX, Days, changed, parse_days, parse_rule};
use crate::app::App;
use crate::dashboard::form::{After, Fields, Filled, Said, Trouble};
use crate::dashboard::words::filters;
use crate::dashboard::{Shell, format, show as show_page};
use crate::meta::projects::Project;

#[derive(Template)]
#[template(path = "settings/retention.html")]
struct Page {
    shell: Shell,
    frame: Frame,
    /// Days for all others; empty for ever.
    days: String,
    rules: Vec<(String, Option<String>)>,
    names: Vec<String>,
    days_max: u32,
}

/// `GET /p/{slug}/settings/retention`
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    Query(after): Query<After>,
) -> Result<Response, Trouble> {
    page(&app, &caller, &project, (StatusCode::OK, after.into())).await
}

async fn page(
    app: &App,
    caller: &Caller,
    project: &Project,
    (status, said): (StatusCode, Said),
) -> Result<Response, Trouble> {
    let id = project.id;
    let schema = app.blocking(move |app| Ok(app.store.schema(id)?)).await?;
    let keep = app.meta.directory().keep(id);
    let shown = |days: u32| format::counted(u64::from(days), "day", "days");
    let (shell, frame) = frame(app, caller, project, Tab::Retention, said);
    let rules = keep.events.into_iter().map(|(name, days)| (name, days.map(shown)));
    let page = Page {
        shell,
        frame,
        days: keep.days.map(|days| days.to_string()).unwrap_or_default(),
        rules: rules.collect(),
        names: schema.events.into_keys().collect(),
        days_max: DAYS_MAX,
    };
    Ok(show_page(status, &page))
}

/// `POST /p/{slug}/settings/retention`: change the rule of all, of one event, or take that away.
pub async fn change(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    fields: Filled,
) -> Result<Response, Trouble> {
    let act = Act::of(&app, &caller);
    let keep = app.meta.directory().keep(project.id);
    let keep = wanted(&fields.into())
        .and_then(|(days, events)| changed(keep, &project.settings, days, &events));
    match keep {
        Ok(keep) => {
            app.meta.retention().replace(project.id, &keep, act.deed("update")).await?;
            Ok(Tab::Retention.back(&project, "saved"))
        }
        Err(refused) => {
            let said = Said { done: None, refused: Some(refused) };
            page(&app, &caller, &project, (StatusCode::UNPROCESSABLE_ENTITY, said)).await
        }
    }
}

/// What to change: of all, and of events.
type Wanted = (Option<Days>, Vec<(String, Option<Days>)>);

fn wanted(fields: &Fields) -> Result<Wanted, String> {
    // An empty field is for ever.
    let days = |name| parse_days(fields.find(name).unwrap_or("ever"));
    match fields.get("act") {
        "all" => Ok((Some(days("days")?), Vec::new())),
        "remove" => Ok((None, vec![(fields.get("event").to_owned(), None)])),
        _ => {
            let name = fields.get("event");
            let rule = parse_rule(name, fields.find("days").unwrap_or("ever"))?;
            Ok((None, vec![(name.to_owned(), rule)]))
        }
    }
}
