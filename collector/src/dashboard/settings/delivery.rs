//! What arrives: how complete it is, what was refused and why, and sending that again.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use tallymark_analysis::answer::{AnswerBody, CompletenessAnswer};
use tallymark_protocol::codes::EventCode;
use tallymark_store::Progress;

use super::{Frame, Tab, frame};
use crate::access::{Caller, Role, Tenant};
use crate::app::App;
use crate::dashboard::ask::sentence;
use crate::dashboard::build::question::Fields as Wanted;
use crate::dashboard::build::wait::waiting;
use crate::dashboard::form::{Fields, Filled, Said, Trouble, moment};
use crate::dashboard::markup::Markup;
use crate::dashboard::svg::bars;
use crate::dashboard::view::{Section, date_of};
use crate::dashboard::words::{filters, say, t};
use crate::dashboard::{Shell, format};
use crate::error::ApiError;
use crate::meta::projects::Project;
use crate::quarantine::handler::{Filter, Resubmission, list, resubmit as send_again};

/// Refused events of a page.
const ROWS: usize = 50;
/// Characters of an event that a row shows.
const RAW_CHARS_MAX: usize = 4_000;
/// Days that are looked at.
const DAYS: i64 = 30;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

#[derive(Template)]
#[template(path = "settings/delivery.html")]
struct Page {
    shell: Shell,
    frame: Frame,
    complete: String,
    may_send: bool,
    refused: String,
    dropped: Option<String>,
    codes: Vec<CodeRow>,
    code: Option<String>,
    rows: Vec<Row>,
    next: Option<String>,
}

/// How complete it is, for its place in the page.
#[derive(Template)]
#[template(path = "settings/complete.html")]
struct Shown {
    complete: Section<Complete>,
}

/// Of what pages recorded, how much is here.
struct Complete {
    ratio: String,
    received: String,
    issued: String,
    loads: String,
    gaps: String,
    reasons: Vec<(String, &'static str, String)>,
    days: Vec<(String, Markup, String, String)>,
}

/// Refused events of one code.
struct CodeRow {
    code: String,
    detail: &'static str,
    count: String,
    current: bool,
}

/// A refused event.
struct Row {
    number: i64,
    at: String,
    code: String,
    detail: &'static str,
    event: String,
}

/// `GET /p/{slug}/settings/delivery`, with `code` only events that are refused for that, with `after` later ones; with
/// `part=form` without how complete it is.
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    RawQuery(query): RawQuery,
) -> Result<Response, Trouble> {
    let wanted = Wanted::read(query.as_deref().unwrap_or(""));
    page(&app, &caller, &project, &wanted, (StatusCode::OK, Said::default())).await
}

async fn page(
    app: &App,
    caller: &Caller,
    project: &Arc<Project>,
    wanted: &Wanted,
    (status, said): (StatusCode, Said),
) -> Result<Response, Trouble> {
    let code = wanted.get("code").map(str::to_owned);
    let after = wanted.get("after").map(|after| {
        after.parse().map_err(|_| ApiError::parameter("after", "the number of an event"))
    });
    let after = after.transpose()?;
    let filter = Filter { code: code.clone(), after, limit: Some(ROWS) };
    let listed = list(app, project, &filter).await?;
    let (shell, frame) = frame(app, caller, project, Tab::Delivery, said);
    let kept = listed["kept"].as_object().into_iter().flatten();
    let codes = kept.map(|(name, count)| CodeRow {
        detail: detail(name),
        count: format::count(count.as_u64().unwrap_or_default()),
        current: code.as_ref() == Some(name),
        code: name.clone(),
    });
    let codes: Vec<CodeRow> = codes.collect();
    let rows = listed["events"].as_array().into_iter().flatten().map(|event| row(event, project));
    let number = |field: &str| listed[field].as_u64().unwrap_or_default();
    let page = |complete| Page {
        shell,
        frame,
        complete,
        may_send: caller.role >= Role::Admin,
        refused: format::counted(number("refused"), "event", "events"),
        dropped: (number("dropped") > 0).then(|| format::count(number("dropped"))),
        codes,
        code,
        rows: rows.collect(),
        next: listed["next"].as_i64().map(|next| next.to_string()),
    };
    let progress = Arc::<Progress>::default();
    let asking = {
        let (app, project, progress) = (app.clone(), Arc::clone(project), Arc::clone(&progress));
        async move {
            let complete = completeness(&app, &project, progress).await;
            Shown { complete }.to_string()
        }
    };
    Ok(waiting(("", wanted), progress, asking).within_as(status, page).await)
}

/// Why a code refuses, in a sentence.
fn detail(code: &str) -> &'static str {
    EventCode::find(code).map_or("", EventCode::detail)
}

fn row(event: &Value, project: &Project) -> Row {
    let code = event["code"].as_str().unwrap_or_default();
    let text = match &event["event"] {
        Value::String(cut) => cut.clone(),
        whole => serde_json::to_string_pretty(whole).unwrap_or_default(),
    };
    let event_text: String = text.chars().take(RAW_CHARS_MAX).collect();
    Row {
        number: event["number"].as_i64().unwrap_or_default(),
        at: moment(event["received_at"].as_i64().unwrap_or_default(), &project.tz),
        detail: detail(code),
        code: code.to_owned(),
        event: event_text,
    }
}

async fn completeness(app: &App, project: &Project, progress: Arc<Progress>) -> Section<Complete> {
    let now_ms = app.clock.now_ms();
    let instant = |ms| jiff::Timestamp::from_millisecond(ms).unwrap_or_default().to_string();
    let question = json!({ "from": instant(now_ms - DAYS * DAY_MS), "to": instant(now_ms) });
    let answered = app.ask_watched(project, "completeness", question, progress).await;
    match answered.map(|answered| answered.body) {
        Ok(AnswerBody::Completeness(answer)) if answer.total.page_loads > 0 => {
            Section::Ready(complete(&answer))
        }
        Ok(_) => Section::empty(
            t("No page has sent anything in the last 30 days"),
            t(
                "Pages number what they track, so what is missing shows here. Servers and imports do not.",
            ),
        ),
        Err(error) => Section::failed(&sentence(&error)),
    }
}

fn complete(answer: &CompletenessAnswer) -> Complete {
    let total = &answer.total;
    let mut reasons: Vec<_> = total.lost.iter().filter(|(_, count)| **count > 0).collect();
    reasons.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
    let told = reasons
        .into_iter()
        .map(|(reason, count)| (reason.clone(), lost(reason), format::count(*count)));
    let unexplained = (total.unexplained > 0).then(|| {
        let text = t("missing, and no page gave a reason: a closed tab, a wiped device, a blocker");
        ("unexplained".to_owned(), text, format::count(total.unexplained))
    });
    let days = answer.days.iter().rev().take(14).filter_map(|day| {
        let ratio = day.all.completeness_ratio?;
        let name = date_of(&day.day).map_or_else(|| day.day.clone(), format::day);
        let missing = format::count(day.all.missing);
        Some((name, bars::behind(ratio), format::percent(ratio), missing))
    });
    Complete {
        ratio: format::maybe_percent(total.completeness_ratio),
        received: format::count(total.received),
        issued: format::count(total.issued),
        loads: format::count(total.page_loads),
        gaps: format::count(total.page_loads_with_gaps),
        reasons: told.chain(unexplained).collect(),
        days: days.collect(),
    }
}

/// What a reason of a page means.
fn lost(reason: &str) -> &'static str {
    match reason {
        "queue_full" => t("more waited on the device than it keeps: it was offline for long"),
        "refused" => t("the collector refused them: they are below, and can be sent again"),
        "unreadable" => t("the collector could not read them: a mistake of ours"),
        "event_too_large" => t("larger than an event may be"),
        "name_invalid" | "props_invalid" => t("names or properties that cannot be sent"),
        "opted_out" => t("tracked after the visitor declined: as it should be"),
        "closed" => t("the project takes no more events"),
        _ => t("a mistake in the page's script"),
    }
}

/// `POST /p/{slug}/settings/delivery`: send refused events again, with a change if one is given.
pub async fn resubmit(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    fields: Filled,
) -> Result<Response, Trouble> {
    let fields = Fields::from(fields);
    let code = fields.find("code").map(str::to_owned);
    let mut wanted = Wanted::default();
    code.iter().for_each(|code| wanted.push("code", code));
    let done = match wanted_of(&fields, code) {
        Ok(asked) => send_again(&app, &project, asked).await,
        Err(refused) => Err(refused),
    };
    let said = match done {
        Ok(done) => {
            let count = |field: &str| format::count(done[field].as_u64().unwrap_or_default());
            let still = done["rejected"].as_array().map_or(0, Vec::len);
            let values = [("ok", &*count("ok")), ("dup", &*count("dup"))];
            let still = format::count(still as u64);
            let values = [values[0], values[1], ("still", &still)];
            let text = say(
                "{ok} stored now, {dup} were stored before, {still} are still refused.",
                &values,
            );
            (StatusCode::OK, Said { done: Some(text), refused: None })
        }
        Err(refused) => Said::refusal(refused)?,
    };
    page(&app, &caller, &project, &wanted, said).await
}

fn wanted_of(fields: &Fields, code: Option<String>) -> Result<Resubmission, ApiError> {
    let mut asked = Resubmission { code, ..Resubmission::default() };
    if let Some(number) = fields.find("number") {
        let number = number.parse().map_err(|_| ApiError::parameter("number", "no number"))?;
        asked.numbers = Some(vec![number]);
    }
    let Some(field) = fields.find("field") else { return Ok(asked) };
    match fields.find("value") {
        None => drop(asked.unset.insert(field.to_owned())),
        Some(value) => {
            // What is no JSON is a text.
            let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
            asked.set.insert(field.to_owned(), value);
        }
    }
    Ok(asked)
}
