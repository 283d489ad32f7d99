//! Who did what in the organisation, page by page, and whether the trail is as it was written.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value};
use tallymark_protocol::hashing::to_hex;

use super::{Frame, Tab, frame};
use crate::access::{Caller, Tenant};
use crate::app::App;
use crate::dashboard::form::{Said, Trouble, moment};
use crate::dashboard::trail;
use crate::dashboard::words::{filters, say};
use crate::dashboard::{Shell, format, show as show_page};
use crate::meta::MetaError;
use crate::meta::projects::Project;

/// Acts of a page.
const PAGE: u32 = 50;

#[derive(Template)]
#[template(path = "settings/audit.html")]
struct Page {
    shell: Shell,
    frame: Frame,
    own: bool,
    acts: Vec<Act>,
    next: Option<i64>,
    head: Option<String>,
}

/// One act.
struct Act {
    at: String,
    by: String,
    action: String,
    subject: String,
    project: String,
    note: String,
    before: Option<String>,
    after: Option<String>,
    hash: String,
}

/// What to show.
#[derive(Debug, Default, Deserialize)]
pub struct Wanted {
    before: Option<i64>,
    /// Only of this project.
    own: Option<String>,
    verify: Option<String>,
}

/// `GET /p/{slug}/settings/audit`
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Trouble> {
    let (mut said, mut head) = (Said::default(), None);
    if wanted.verify.is_some() {
        match app.meta.check_audit().await {
            Ok(heads) => {
                let own = heads.into_iter().find(|head| head.organisation == project.organisation);
                let rows = own.as_ref().map_or(0, |head| head.rows);
                let n = format::count(rows);
                said.done = Some(say(
                    "All {n} acts are as they were written, in an unbroken chain.",
                    &[("n", &n)],
                ));
                head = own.map(|head| to_hex(&head.hash));
            }
            Err(broken @ MetaError::AuditBroken { .. }) => said.refused = Some(broken.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    let own = wanted.own.is_some();
    let only = own.then_some(project.id);
    let acts = app.meta.audit(project.organisation, only, wanted.before, PAGE).await?;
    let full = acts.len() == PAGE as usize;
    let next = acts.last().filter(|_| full).and_then(|act| act["id"].as_i64());
    let (shell, frame) = frame(&app, &caller, &project, Tab::Audit, said);
    let acts = acts.iter().map(|act| shown(act, &project)).collect();
    Ok(show_page(StatusCode::OK, &Page { shell, frame, own, acts, next, head }))
}

fn shown(act: &Map<String, Value>, project: &Project) -> Act {
    let text = |field: &str| act.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let json = |field: &str| {
        let value = act.get(field).filter(|value| !value.is_null())?;
        serde_json::to_string_pretty(value).ok()
    };
    Act {
        at: moment(act.get("at").and_then(Value::as_i64).unwrap_or_default(), &project.tz),
        by: trail::actor(&text("by")),
        action: trail::action(&text("action")),
        subject: text("subject"),
        project: text("project"),
        note: text("note"),
        before: json("before"),
        after: json("after"),
        hash: text("hash"),
    }
}
