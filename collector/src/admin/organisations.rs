//! Organisations over HTTP, and what was done in them.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Act, read_json};
use crate::access::{Caller, Realm};
use crate::app::App;
use crate::error::ApiError;
use crate::extract::Params;
use crate::meta::organisations::Refused;

/// Acts of a page of the audit trail.
const PAGE: u32 = 100;

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Meta(error) => error.into(),
            refused => Self::Organisation(refused),
        }
    }
}

/// The organisations somebody is a member of, and what they are there.
#[utoipa::path(
    get, path = "/v1/organisations", tag = "admin",
    responses((status = 200, description = "`{organisations: [{slug, name, created_at, role}]}`", body = serde_json::Value))
)]
pub async fn list_organisations(State(app): State<App>, caller: Caller) -> Json<Value> {
    let directory = app.meta.directory();
    let mine = directory.organisations().into_iter().filter_map(|organisation| {
        let role = directory.role(&caller.principal, organisation.id)?;
        let mut json = organisation.json();
        json["role"] = json!(role);
        Some(json)
    });
    Json(json!({ "organisations": mine.collect::<Vec<_>>() }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewBody {
    name: String,
    slug: String,
}

/// Make an organisation. Only whoever runs the machine can; its first owner is then invited.
#[utoipa::path(
    post, path = "/v1/organisations", tag = "admin",
    request_body(content = serde_json::Value, description = "`{name, slug}`"),
    responses(
        (status = 201, description = "The organisation", body = serde_json::Value),
        (status = 409, description = "The slug is taken", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn create_organisation(
    State(app): State<App>,
    caller: Caller,
    body: Body,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let NewBody { name, slug } = read_json(&app, body).await?;
    let act = Act::of(&app, &caller);
    let made = app.meta.organisations().create(&slug, &name, act.deed("create")).await?;
    Ok((StatusCode::CREATED, Json(made.json())))
}

/// One organisation.
#[utoipa::path(
    get, path = "/v1/organisations/{organisation}", tag = "admin",
    params(("organisation" = String, Path, description = "Its slug")),
    responses(
        (status = 200, description = "`{slug, name, created_at, role}`", body = serde_json::Value),
        (status = 404, description = "There is none, or the caller has no part in it", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn show_organisation(caller: Caller, Realm(organisation): Realm) -> Json<Value> {
    let mut json = organisation.json();
    json["role"] = json!(caller.role);
    Json(json)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    name: String,
}

/// Give it another name. Its slug stays.
#[utoipa::path(
    patch, path = "/v1/organisations/{organisation}", tag = "admin",
    params(("organisation" = String, Path, description = "Its slug")),
    request_body(content = serde_json::Value, description = "`{name}`"),
    responses((status = 200, description = "The organisation as it is now", body = serde_json::Value))
)]
pub async fn update_organisation(
    State(app): State<App>,
    caller: Caller,
    Realm(organisation): Realm,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let ChangeBody { name } = read_json(&app, body).await?;
    let act = Act::of(&app, &caller);
    let table = app.meta.organisations();
    Ok(Json(table.rename(&organisation, &name, act.deed("update")).await?.json()))
}

/// A page of the audit trail.
#[derive(Debug, Deserialize)]
pub struct AuditPage {
    before: Option<i64>,
    project: Option<String>,
}

/// Who did what in an organisation and its projects, the newest first. `hash` is the SHA-256 of the act
/// and of the hash before it: `tallymark audit verify` follows them all.
#[utoipa::path(
    get, path = "/v1/organisations/{organisation}/audit", tag = "admin",
    params(
        ("organisation" = String, Path, description = "Its slug"),
        ("project" = Option<String>, Query, description = "Only acts on the project of this slug"),
        ("before" = Option<i64>, Query, description = "Only acts with smaller ids: `next` of the page before"),
    ),
    responses((status = 200, description = "`{acts: [{id, at, by, project, subject, action, note, before, after, hash}], next}`", body = serde_json::Value))
)]
pub async fn list_audit(
    State(app): State<App>,
    Realm(organisation): Realm,
    Params(AuditPage { before, project }): Params<AuditPage>,
) -> Result<Json<Value>, ApiError> {
    let project = match project {
        None => None,
        Some(slug) => {
            let found = app.meta.find_project(&slug).await?;
            let own = found.filter(|project| project.organisation == organisation.id);
            Some(own.ok_or(ApiError::ProjectUnknown)?.id)
        }
    };
    let acts = app.meta.audit(organisation.id, project, before, PAGE).await?;
    let full = acts.len() == PAGE as usize;
    let next = acts.last().filter(|_| full).map(|act| act["id"].clone());
    Ok(Json(json!({ "acts": acts, "next": next })))
}
