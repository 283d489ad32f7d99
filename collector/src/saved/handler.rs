//! What is saved, over HTTP.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::desk::{CHANGES_PAGE, Desk};
use super::{Kind, Refused};
use crate::access::{Caller, Tenant};
use crate::app::{Answered, App};
use crate::error::ApiError;
use crate::extract::{Params, parse_json, read_body};
use crate::meta::projects::Project;
use crate::query::questions::parse_question;
use crate::query::range::parse_range;

/// A list of 10,000 people, with room.
const SAVED_BYTES_MAX: usize = 512 * 1024;

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Meta(error) => error.into(),
            refused => Self::Saved(refused),
        }
    }
}

fn desk<'a>(app: &'a App, project: &'a Project, kind: &str) -> Result<Desk<'a>, ApiError> {
    let known = Kind::of_plural(kind).ok_or_else(|| Refused::KindUnknown(kind.to_owned()))?;
    Ok(Desk { meta: &app.meta, project, kind: known, now_ms: app.clock.now_ms() })
}

/// Which annotations.
#[derive(Debug, Deserialize)]
pub struct Times {
    from: Option<String>,
    to: Option<String>,
}

/// All saved cohorts, questions, annotations or dashboards of a project, by key.
#[utoipa::path(
    get, path = "/v1/saved/{kind}", tag = "saved", security(("secret_key" = ["analytics:read"])),
    params(
        ("kind" = String, Path, description = "`cohorts`, `questions`, `annotations` or `dashboards`"),
        ("from" = Option<String>, Query, description = "Of annotations: only those that hold after this; a date or an RFC 3339 instant"),
        ("to" = Option<String>, Query, description = "Of annotations: only those that hold before this"),
        ("project" = Option<String>, Query, description = "The project's slug; with a dashboard session only"),
    ),
    responses((status = 200, description = "`{saved: [{key, version, created_at, changed_at, …}]}`", body = serde_json::Value))
)]
pub async fn list_saved(
    State(app): State<App>,
    Tenant(project): Tenant,
    Path(kind): Path<String>,
    Params(Times { from, to }): Params<Times>,
) -> Result<Json<Value>, ApiError> {
    let desk = desk(&app, &project, &kind)?;
    let times = match desk.kind {
        Kind::Annotation => Some(parse_range(from.as_deref(), to.as_deref(), &project.tz)?),
        _ if from.is_some() || to.is_some() => {
            return Err(ApiError::parameter("from", "only annotations have a time; leave it out"));
        }
        _ => None,
    };
    let saved: Vec<Value> = desk.list(times).await?.iter().map(|saved| saved.json()).collect();
    Ok(Json(json!({ "saved": saved })))
}

/// One of them.
#[utoipa::path(
    get, path = "/v1/saved/{kind}/{key}", tag = "saved", security(("secret_key" = ["analytics:read"])),
    params(
        ("kind" = String, Path, description = "`cohorts`, `questions`, `annotations` or `dashboards`"),
        ("key" = String, Path, description = "Its key"),
        ("project" = Option<String>, Query, description = "The project's slug; with a dashboard session only"),
    ),
    responses(
        (status = 200, description = "What was saved, with its version", body = serde_json::Value),
        (status = 404, description = "There is none", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn show_saved(
    State(app): State<App>,
    Tenant(project): Tenant,
    Path((kind, key)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(desk(&app, &project, &kind)?.load(&key).await?.json()))
}

/// Save one, or change one whose `version` you have seen.
#[utoipa::path(
    put, path = "/v1/saved/{kind}/{key}", tag = "saved", security(("secret_key" = ["analytics:write"])),
    params(
        ("kind" = String, Path, description = "`cohorts`, `questions`, `annotations` or `dashboards`"),
        ("key" = String, Path, description = "Its key: lower-case letters, digits, `-`, `_` and `.`"),
    ),
    request_body(content = serde_json::Value, description = "A cohort is `{name, cohort}` with its rules, a question `{name, kind, question}`, an annotation `{text, at, to}`; with `version` what it replaces, and a `note`"),
    responses(
        (status = 200, description = "The next version", body = serde_json::Value),
        (status = 201, description = "The first version", body = serde_json::Value),
        (status = 409, description = "The key is taken, or somebody else changed it", content_type = "application/problem+json", body = crate::openapi::Problem),
        (status = 422, description = "A field cannot be used; the detail names it", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn put_saved(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    Path((kind, key)): Path<(String, String)>,
    body: Body,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let desk = desk(&app, &project, &kind)?;
    let body = read_body(body, SAVED_BYTES_MAX, &app.large_bodies).await?;
    let mut body: Map<String, Value> = parse_json(&body.bytes)?;
    let version = match body.remove("version") {
        None | Some(Value::Null) => None,
        Some(version) => {
            Some(version.as_u64().and_then(|version| u32::try_from(version).ok()).ok_or_else(
                || Refused::Wrong("version", "the number that an answer gave".into()),
            )?)
        }
    };
    let note = match body.remove("note") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(note)) => note,
        Some(_) => return Err(Refused::Wrong("note", "a text".into()).into()),
    };
    let actor = caller.name();
    let saved = desk.save(&key, version, body, (&actor, &note)).await?;
    let status = if version.is_some() { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(saved.json())))
}

/// Which version somebody has seen.
#[derive(Debug, Deserialize)]
pub struct Seen {
    version: u32,
}

/// Remove one. Its versions stay in the audit trail.
#[utoipa::path(
    delete, path = "/v1/saved/{kind}/{key}", tag = "saved", security(("secret_key" = ["analytics:write"])),
    params(
        ("kind" = String, Path, description = "`cohorts`, `questions`, `annotations` or `dashboards`"),
        ("key" = String, Path, description = "Its key"),
        ("version" = u32, Query, description = "The version you have seen"),
    ),
    responses(
        (status = 200, description = "What was removed", body = serde_json::Value),
        (status = 404, description = "There is none", content_type = "application/problem+json", body = crate::openapi::Problem),
        (status = 409, description = "Somebody else changed it", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn remove_saved(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    Path((kind, key)): Path<(String, String)>,
    Params(Seen { version }): Params<Seen>,
) -> Result<Json<Value>, ApiError> {
    let desk = desk(&app, &project, &kind)?;
    let actor = caller.name();
    Ok(Json(desk.remove(&key, version, &actor).await?.json()))
}

/// A page of the audit trail.
#[derive(Debug, Deserialize)]
pub struct AuditPage {
    before: Option<i64>,
}

/// Who changed one, when, and what it was before and after; newest first.
#[utoipa::path(
    get, path = "/v1/saved/{kind}/{key}/audit", tag = "saved", security(("secret_key" = ["analytics:read"])),
    params(
        ("kind" = String, Path, description = "`cohorts`, `questions`, `annotations` or `dashboards`"),
        ("key" = String, Path, description = "Its key"),
        ("before" = Option<i64>, Query, description = "Only changes with smaller ids: `next` of the page before"),
        ("project" = Option<String>, Query, description = "The project's slug; with a dashboard session only"),
    ),
    responses(
        (status = 200, description = "`{changes: [{id, at, by, action, note, before, after}], next}`", body = serde_json::Value),
        (status = 404, description = "There never was one", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn audit_saved(
    State(app): State<App>,
    Tenant(project): Tenant,
    Path((kind, key)): Path<(String, String)>,
    Params(AuditPage { before }): Params<AuditPage>,
) -> Result<Json<Value>, ApiError> {
    let changes = desk(&app, &project, &kind)?.audit(&key, before).await?;
    let full = changes.len() == CHANGES_PAGE as usize;
    let next = changes.last().filter(|_| full).map(|change| change["id"].clone());
    Ok(Json(json!({ "changes": changes, "next": next })))
}

/// Answer a saved question. Fields that are sent take the place of its own.
#[utoipa::path(
    post, path = "/v1/saved/questions/{key}/ask", tag = "saved", security(("secret_key" = ["analytics:read"])),
    params(
        ("key" = String, Path, description = "The question's key"),
        ("project" = Option<String>, Query, description = "The project's slug; with a dashboard session only"),
    ),
    request_body(content = serde_json::Value, description = "Fields that take the place of the saved ones, like `from` and `to`; nothing asks it as it is"),
    responses(
        (status = 200, description = "The answer, as `POST /v1/query/{kind}` gives it", body = serde_json::Value),
        (status = 404, description = "There is no such question", content_type = "application/problem+json", body = crate::openapi::Problem),
        (status = 422, description = "The question makes no sense with these fields", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn ask_saved(
    State(app): State<App>,
    Tenant(project): Tenant,
    Path(key): Path<String>,
    body: Body,
) -> Result<Json<Answered>, ApiError> {
    let saved = desk(&app, &project, Kind::Question.plural())?.load(&key).await?;
    let body = read_body(body, SAVED_BYTES_MAX, &app.large_bodies).await?;
    let fields = match parse_question(&body.bytes)? {
        Value::Null => Map::new(),
        Value::Object(fields) => fields,
        _ => return Err(ApiError::JsonInvalid { detail: "the fields are an object".into() }),
    };
    let get = |field: &str| saved.body.get(field).cloned().unwrap_or_default();
    let mut question = get("question");
    if let Value::Object(question) = &mut question {
        question.extend(fields);
    }
    let kind = get("kind");
    Ok(Json(app.ask(&project, kind.as_str().unwrap_or_default(), question).await?))
}
