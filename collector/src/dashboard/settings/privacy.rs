//! Requests of people about their data: looking what would go, erasing it, and the receipt.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::{Frame, Tab, frame};
use crate::access::{Caller, Tenant};
use crate::app::App;
use crate::dashboard::form::{Fields, Filled, Said, Trouble, moment};
use crate::dashboard::words::{filters, t};
use crate::dashboard::{Shell, format, show as show_page};
use crate::error::ApiError;
use crate::meta::projects::Project;
use crate::query::people::{ERASE_WITHIN_MS, Who, erase_and_note};

#[derive(Template)]
#[template(path = "settings/privacy.html")]
struct Page {
    shell: Shell,
    frame: Frame,
    kinds: [(&'static str, &'static str); 3],
    kind: String,
    found: Option<Found>,
    receipt: Option<Receipt>,
}

/// What would go.
struct Found {
    /// As answers name the person: what somebody typed is not handed around.
    person: String,
    ids: String,
    events: String,
    nothing: bool,
}

struct Receipt {
    id: u64,
    erased: String,
    ids: String,
    events: String,
    files: Result<String, String>,
}

/// Which receipt to show.
#[derive(Debug, Default, Deserialize)]
pub struct Wanted {
    receipt: Option<String>,
}

/// `GET /p/{slug}/settings/privacy`
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    Query(wanted): Query<Wanted>,
) -> Response {
    let number = wanted.receipt.as_deref().map(str::trim).filter(|number| !number.is_empty());
    let found = number
        .and_then(|number| number.parse().ok())
        .and_then(|number| app.store.erasure(project.id, number));
    let at = |ms: i64| moment(ms, &project.tz);
    let receipt = found.map(|erasure| Receipt {
        id: erasure.id,
        erased: at(erasure.at_ms),
        ids: format::count(erasure.ids),
        events: format::count(erasure.rows),
        files: erasure.done_ms.map(at).ok_or_else(|| at(erasure.at_ms + ERASE_WITHIN_MS)),
    });
    let said = match (number, &receipt) {
        (Some(_), None) => {
            let refused = t("There is no erasure of this number in this project.").to_owned();
            (StatusCode::NOT_FOUND, Said { done: None, refused: Some(refused) })
        }
        _ => (StatusCode::OK, Said::default()),
    };
    page(&app, &caller, &project, ("user_id", None, receipt), said)
}

fn page(
    app: &App,
    caller: &Caller,
    project: &Project,
    (kind, found, receipt): (&str, Option<Found>, Option<Receipt>),
    (status, said): (StatusCode, Said),
) -> Response {
    let (shell, frame) = frame(app, caller, project, Tab::Privacy, said);
    let kinds = [
        ("user_id", t("User id, as your service knows it")),
        ("device_id", t("Device id, as your service knows it")),
        ("person", t("Person, as answers and events name it")),
    ];
    show_page(status, &Page { shell, frame, kinds, kind: kind.to_owned(), found, receipt })
}

/// `POST /p/{slug}/settings/privacy`: look what would go, or let it go.
pub async fn erase(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    fields: Filled,
) -> Result<Response, Trouble> {
    let fields = Fields::from(fields);
    let asked = carry_out(&app, &caller, &project, &fields).await;
    match asked {
        Ok(Ok(receipt)) => {
            let address = format!("{}?receipt={receipt}", Tab::Privacy.address(&project, ""));
            Ok(Redirect::to(&address).into_response())
        }
        Ok(Err(found)) => {
            let shown = (fields.get("kind"), Some(found), None);
            Ok(page(&app, &caller, &project, shown, (StatusCode::OK, Said::default())))
        }
        Err(refused) => {
            let said = Said::refusal(refused)?;
            Ok(page(&app, &caller, &project, (fields.get("kind"), None, None), said))
        }
    }
}

/// The number of the receipt, or what would go.
async fn carry_out(
    app: &App,
    caller: &Caller,
    project: &Project,
    fields: &Fields,
) -> Result<Result<String, Found>, ApiError> {
    let id = Some(fields.get("id").to_owned());
    let who = match fields.get("kind") {
        "device_id" => Who { device_id: id, ..Who::default() },
        "person" => Who { person: id, ..Who::default() },
        _ => Who { user_id: id, ..Who::default() },
    };
    let person = who.id(app, project, "id")?;
    let dry_run = fields.get("act") != "erase";
    let done = erase_and_note(app, &caller.name(), project.id, person, false, dry_run).await?;
    if let Some(receipt) = done["id"].as_str() {
        return Ok(Ok(receipt.to_owned()));
    }
    let number = |field: &str| done[field].as_u64().unwrap_or_default();
    Ok(Err(Found {
        person: format!("{person:016x}"),
        ids: format::count(number("ids")),
        events: format::count(number("events")),
        nothing: number("events") == 0,
    }))
}
