//! Where a dashboard is sent on a schedule: what is set, what became of the last time, and the form for another one.
//!
//! Deliberately elsewhere: when and how they go (`reports`).

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use jiff::tz::TimeZone;

use super::super::form::{After, Fields, Filled, Said, Trouble, moment};
use super::super::page::show as show_page;
use super::super::shell::{Place, Shell};
use super::super::words::{Lang, filters, n, say, t, told};
use super::desk as saved;
use crate::access::{Caller, Tenant};
use crate::admin::Act;
use crate::app::App;
use crate::meta::projects::Project;
use crate::reports::desk::{Desk, Refused, Typed};
use crate::reports::{Every, Report, Way, webhook_secret};
use crate::saved::Kind;
use crate::saved::board::Board;

#[derive(Template)]
#[template(path = "reports.html")]
struct Page {
    shell: Shell,
    slug: String,
    key: String,
    name: String,
    tz: String,
    said: Said,
    reports: Vec<Row>,
    every: [(&'static str, &'static str); 3],
    hours: Vec<String>,
    has_mail: bool,
    typed: Kept,
}

/// What was typed into a form that was refused.
struct Kept {
    every: String,
    hour: String,
    way: String,
    to: String,
}

/// A report as the list shows it.
struct Row {
    id: u32,
    when: String,
    way: &'static str,
    recipients: Vec<String>,
    secret: Option<String>,
    paused: bool,
    /// The next time, or that it is on its way.
    next: String,
    /// What became of the last time, and whether all was well.
    last: Option<(String, bool)>,
    /// Sentences about what was not.
    trouble: Vec<String>,
}

const fn words(every: Every) -> &'static str {
    match every {
        Every::Day => n("every day, of the last 7 days"),
        Every::Week => n("every week, when it starts, of the last 28 days"),
        Every::Month => n("on the first of a month, of the last 90 days"),
    }
}

fn row(app: &App, project: &Project, report: Report) -> Row {
    let at = |ms: i64| moment(ms, &project.tz);
    let state = &report.state;
    let is_late = state.occasion_ms != 0 && state.retry_ms > app.clock.now_ms();
    let next = match () {
        () if is_late => say("tried again on {at}", &[("at", &at(state.retry_ms))]),
        () if report.asked_ms.is_some() => t("on its way").to_owned(),
        () if report.paused => t("paused").to_owned(),
        () => say("next on {at}", &[("at", &at(report.due_ms))]),
    };
    let last = report.ended_ms.filter(|_| state.occasion_ms == 0).map(|ended| {
        let well = state.trouble.is_empty();
        let said = match well {
            true => say("sent on {at}", &[("at", &at(ended))]),
            false => say("not sent to everybody on {at}", &[("at", &at(ended))]),
        };
        (said, well)
    });
    let way = match report.plan.way {
        Way::Mail => t("by mail"),
        Way::Webhook => t("to a webhook"),
    };
    let hour = format!("{:02}:00", report.plan.hour);
    let trouble = state.trouble.iter().map(|said| match said.split_once(": ") {
        Some((who, why)) => format!("{who}: {}", told(why)),
        None => told(said),
    });
    Row {
        id: report.id,
        when: format!("{}, {hour}", t(words(report.plan.every))),
        way,
        secret: (report.plan.way == Way::Webhook).then(|| webhook_secret(&app.pepper, &report)),
        paused: report.paused,
        next,
        last,
        trouble: trouble.collect(),
        recipients: report.plan.recipients,
    }
}

/// `GET /p/{slug}/boards/{key}/reports`
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    Path((_, key)): Path<(String, String)>,
    Query(after): Query<After>,
) -> Result<Response, Trouble> {
    page(&app, &caller, &project, &key, &Fields::default(), (StatusCode::OK, after.into())).await
}

async fn page(
    app: &App,
    caller: &Caller,
    project: &Project,
    key: &str,
    typed: &Fields,
    (status, said): (StatusCode, Said),
) -> Result<Response, Trouble> {
    let board = Board::of(&saved(app, project, Kind::Dashboard).load(key).await?)?;
    let reports = Desk { app, project, board: key }.list().await?;
    let or = |name: &str, usual: &str| typed.find(name).unwrap_or(usual).to_owned();
    let has_mail = app.mailer.is_set();
    let page = Page {
        shell: Shell::within(app, caller, project, Place::Boards),
        slug: project.slug.clone(),
        key: key.to_owned(),
        name: board.name,
        tz: TimeZone::get(&project.tz).map_or_else(|_| "UTC".into(), |_| project.tz.clone()),
        said,
        reports: reports.into_iter().map(|report| row(app, project, report)).collect(),
        every: Every::ALL.map(|every| (every.as_str(), t(words(every)))),
        hours: (0..24).map(|hour| hour.to_string()).collect(),
        has_mail,
        typed: Kept {
            every: or("every", "week"),
            hour: or("hour", "8"),
            way: or("way", if has_mail { "mail" } else { "webhook" }),
            to: or("to", ""),
        },
    };
    Ok(show_page(status, &page))
}

/// `POST /p/{slug}/boards/{key}/reports`: one form per change.
pub async fn change(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    Path((_, key)): Path<(String, String)>,
    fields: Filled,
) -> Result<Response, Trouble> {
    let fields = Fields::from(fields);
    // Of a dashboard that there is.
    saved(&app, &project, Kind::Dashboard).load(&key).await?;
    match carry_out(&app, &caller, &project, &key, &fields).await {
        Ok(done) => {
            let back = format!("/p/{}/boards/{key}/reports?done={done}", project.slug);
            Ok(Redirect::to(&back).into_response())
        }
        Err(refused) => page(&app, &caller, &project, &key, &fields, Said::refusal(refused)?).await,
    }
}

async fn carry_out(
    app: &App,
    caller: &Caller,
    project: &Project,
    key: &str,
    fields: &Fields,
) -> Result<&'static str, Refused> {
    let desk = Desk { app, project, board: key };
    let act = Act::of(app, caller);
    let id = fields.get("report").parse().unwrap_or(0);
    match fields.get("what") {
        "pause" => desk.pause(id, true, act.deed("pause")).await.map(|()| "saved"),
        "resume" => desk.pause(id, false, act.deed("resume")).await.map(|()| "saved"),
        "now" => desk.ask_for(id, act.deed("send")).await.map(|()| "report-asked"),
        "remove" => desk.remove(id, act.deed("remove")).await.map(|()| "report-removed"),
        _ => {
            let typed = Typed {
                every: fields.get("every"),
                hour: fields.get("hour"),
                way: fields.get("way"),
                to: fields.get("to"),
            };
            let language = Lang::current().ways().code;
            desk.create(&typed, language, act.deed("create")).await.map(|()| "report")
        }
    }
}
