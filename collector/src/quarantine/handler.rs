//! `GET /v1/quarantine` and `POST /v1/quarantine/resubmit`.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use tallymark_protocol::codes::EventCode;
use tallymark_store::Append;

use super::fix::Fix;
use super::repo::{self, Which};
use crate::access::Tenant;
use crate::app::App;
use crate::error::ApiError;
use crate::extract::{Params, parse_json, read_body};
use crate::ingest::guard::Guard;
use crate::ingest::handler::store;
use crate::ingest::identity::Realm;
use crate::meta::projects::Project;
use crate::privacy::Rules;

/// Refused events of a page, or of one call to send again.
const PAGE_MAX: usize = 500;
/// A fix is small.
const FIX_BYTES_MAX: usize = 64 * 1024;

/// Which refused events.
#[derive(Debug, Default, Deserialize)]
pub struct Filter {
    /// Only of this code.
    pub code: Option<String>,
    /// Only after this number.
    pub after: Option<i64>,
    /// How many.
    pub limit: Option<usize>,
}

/// List events that were refused, oldest first, each with the code of the reason and what is kept of
/// it: the event as it came, without ids, and `$kept`, what was known of it beside its own text.
#[utoipa::path(
    get, path = "/v1/quarantine", tag = "quarantine", security(("secret_key" = ["analytics:read"])),
    params(
        ("code" = Option<String>, Query, description = "Only of this code"),
        ("after" = Option<i64>, Query, description = "Only after this number: `next` of the page before"),
        ("limit" = Option<usize>, Query, description = "1 to 500; 100 if not said"),
        ("project" = Option<String>, Query, description = "The project's slug; with a dashboard session only"),
    ),
    responses(
        (status = 200, description = "`{events: [{number, received_at, code, event}], next, kept: {code: n}, refused, dropped}`; \
            `dropped` had to go for newer ones", body = serde_json::Value),
        (status = 422, description = "A parameter is wrong", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn list_refused(
    State(app): State<App>,
    Tenant(project): Tenant,
    Params(filter): Params<Filter>,
) -> Result<Json<Value>, ApiError> {
    list(&app, &project, &filter).await.map(Json)
}

/// A page of what was refused, as it is answered.
///
/// # Errors
/// When the limit is wrong, or the catalog fails.
pub async fn list(app: &App, project: &Project, filter: &Filter) -> Result<Value, ApiError> {
    let limit = limit(filter.limit, 100)?;
    flush(app).await?;
    let which = Which {
        code: filter.code.as_deref(),
        after: filter.after.unwrap_or(0),
        ..Which::default()
    };
    let page = repo::list(&app.catalog, project.id, &which, limit).await.map_err(internal)?;
    let totals = repo::totals(&app.catalog, project.id).await.map_err(internal)?;
    let next = page.last().filter(|_| page.len() == limit).map(|refused| refused.number);
    let events: Vec<_> = page
        .into_iter()
        .map(|refused| {
            // What was cut is no JSON any more, and is shown as text.
            let whole = serde_json::from_str::<Value>(&refused.raw).ok();
            let event = whole.unwrap_or(Value::String(refused.raw));
            json!({ "number": refused.number, "received_at": refused.received_ms,
                "code": refused.code, "event": event })
        })
        .collect();
    Ok(json!({
        "events": events, "next": next, "kept": totals.kept,
        "refused": totals.refused, "dropped": totals.dropped,
    }))
}

/// What to send again, and how it is mended.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resubmission {
    /// Only these numbers.
    pub numbers: Option<Vec<i64>>,
    /// Only of this code.
    pub code: Option<String>,
    /// Only after this number: `next` of the answer before.
    #[serde(default)]
    pub after: i64,
    /// How many.
    pub limit: Option<usize>,
    /// Fields of the event with their new values.
    #[serde(default)]
    pub set: serde_json::Map<String, Value>,
    /// Fields to leave out.
    #[serde(default)]
    pub unset: std::collections::BTreeSet<String>,
}

/// Send refused events again, oldest first, with the same change to each. Those that are stored now
/// leave the list; the others stay, and the answer says why. They keep their ids: repeating a call
/// counts nothing twice.
#[utoipa::path(
    post, path = "/v1/quarantine/resubmit", tag = "quarantine", security(("secret_key" = ["ingest"])),
    request_body(content = serde_json::Value, content_type = "application/json",
        description = "`{numbers, code, after, limit, set: {field: value}, unset: [field]}`, all optional but one of `numbers` and `code`"),
    responses(
        (status = 200, description = "`{ok, dup, rejected: [{number, code, detail}], next}`", body = serde_json::Value),
        (status = 400, description = "The body is no JSON of this form", content_type = "application/problem+json", body = crate::openapi::Problem),
        (status = 422, description = "A parameter is wrong", content_type = "application/problem+json", body = crate::openapi::Problem),
        (status = 503, description = "Busy or out of space; see Retry-After", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn resubmit_refused(
    State(app): State<App>,
    Tenant(project): Tenant,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let received = read_body(body, FIX_BYTES_MAX, &app.large_bodies).await?;
    resubmit(&app, &project, parse_json(&received.bytes)?).await.map(Json)
}

/// Send refused events again, as it is answered.
///
/// # Errors
/// When it is not said which, or they cannot be stored now.
pub async fn resubmit(
    app: &App,
    project: &Project,
    asked: Resubmission,
) -> Result<Value, ApiError> {
    let Resubmission { numbers, code, after, limit: wanted, set, unset } = asked;
    let limit = limit(wanted, PAGE_MAX)?;
    if numbers.is_none() && code.is_none() {
        return Err(ApiError::parameter("code", "say which: a `code`, or a list of `numbers`"));
    }
    if numbers.as_ref().is_some_and(|numbers| numbers.len() > PAGE_MAX) {
        return Err(ApiError::parameter("numbers", format!("at most {PAGE_MAX}")));
    }
    flush(app).await?;
    let which = Which { numbers: numbers.as_deref(), code: code.as_deref(), after };
    let page = repo::list(&app.catalog, project.id, &which, limit).await.map_err(internal)?;
    let next = page.last().filter(|_| page.len() == limit).map(|refused| refused.number);

    let rules = Rules::of(&project.settings, &app.config);
    let guard = Guard { is_on: rules.guard };
    let fix = Fix { set, unset };
    let hasher = app.hasher(project.id);
    let received_ms = app.clock.now_ms();
    let salt = app.salts.salt(received_ms).map_err(|error| ApiError::Internal(error.into()))?;
    let day_only = (!rules.lasting()).then_some(&salt);
    let realm = Realm { project: project.id, salt: &project.salt, hasher: &hasher, day_only };
    let (mut rows, mut stored, mut rejected) = (Vec::new(), Vec::new(), Vec::new());
    for refused in &page {
        match fix.apply(refused, &realm, guard, received_ms) {
            Ok(row) => {
                rows.push(row);
                stored.push(refused.number);
            }
            Err(unfit) => rejected.push(
                json!({ "number": refused.number, "code": unfit.code, "detail": unfit.detail }),
            ),
        }
    }
    let appended = store(app, Append { rows, refused: Vec::new() }).await?;
    repo::forget(&app.catalog, project.id, &stored).await.map_err(internal)?;
    let dup = appended.duplicate.iter().filter(|dup| **dup).count();
    let ok = appended.duplicate.len() - dup - appended.erased.len();
    let erased = EventCode::PersonErased;
    rejected.extend(appended.erased.iter().map(
        |at| json!({ "number": stored[*at], "code": erased.as_str(), "detail": erased.detail() }),
    ));
    Ok(json!({ "ok": ok, "dup": dup, "rejected": rejected, "next": next }))
}

fn limit(asked: Option<usize>, default: usize) -> Result<usize, ApiError> {
    let limit = asked.unwrap_or(default);
    if (1..=PAGE_MAX).contains(&limit) {
        Ok(limit)
    } else {
        Err(ApiError::parameter("limit", format!("must be 1 to {PAGE_MAX}")))
    }
}

/// What was just refused gets its number.
async fn flush(app: &App) -> Result<(), ApiError> {
    app.blocking(|app| app.store.flush_refused().map_err(|error| ApiError::Internal(error.into())))
        .await
}

fn internal(error: sqlx::Error) -> ApiError {
    ApiError::Internal(error.into())
}
