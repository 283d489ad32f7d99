//! Definitions over HTTP, and the document that pages load.

use std::net::IpAddr;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Request, State as AppState};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::desk::{CHANGES_PAGE, Desk, Refused};
use super::life::State;
use super::served::{has_it, tag};
use crate::access::{Caller, Tenant};
use crate::app::App;
use crate::error::{ApiError, BODY_LIMIT};
use crate::extract::{Params, find_access, network, read_json};
use crate::keys::KeyKind;
use crate::meta::projects::Project;

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Meta(error) => error.into(),
            refused => Self::Definition(refused),
        }
    }
}

/// For looking only: nobody is named in the audit trail.
fn reading<'a>(app: &'a App, project: &Project) -> Desk<'a> {
    desk(app, project, "")
}

fn desk<'a>(app: &'a App, project: &Project, name: &'a str) -> Desk<'a> {
    Desk { meta: &app.meta, project: project.id, actor: name, now_ms: app.clock.now_ms() }
}

/// What to list.
#[derive(Debug, Deserialize)]
pub struct Wanted {
    state: Option<State>,
    kind: Option<String>,
}

/// All experiments, flags and holdouts of a project, by key.
#[utoipa::path(
    get, path = "/v1/experiments", tag = "experiments", security(("secret_key" = ["analytics:read"])),
    params(
        ("state" = Option<String>, Query, description = "Only `draft`, `running`, `paused` or `concluded` ones"),
        ("kind" = Option<String>, Query, description = "Only `experiment`, `flag` or `holdout`"),
        ("project" = Option<String>, Query, description = "The project's slug; with a dashboard session only"),
    ),
    responses((status = 200, description = "`{experiments: [{key, kind, state, version, created_at, changed_at, started_at, concluded_at, definition}]}`", body = serde_json::Value))
)]
pub async fn list_experiments(
    AppState(app): AppState<App>,
    Tenant(project): Tenant,
    Params(Wanted { state, kind }): Params<Wanted>,
) -> Result<Json<Value>, ApiError> {
    let all = reading(&app, &project).list().await?;
    let wanted = all.iter().filter(|stored| {
        state.is_none_or(|state| stored.state == state)
            && kind.as_ref().is_none_or(|kind| stored.definition.kind() == kind)
    });
    let experiments: Vec<Value> = wanted.map(|stored| stored.json()).collect();
    Ok(Json(json!({ "experiments": experiments })))
}

/// Make a draft of an experiment, a flag or a holdout.
#[utoipa::path(
    post, path = "/v1/experiments", tag = "experiments", security(("secret_key" = ["experiments:write"])),
    request_body(content = serde_json::Value, description = "`{kind: \"experiment\", key, hypothesis, variants: [{key, weight, value}], unit, targeting, coverage, namespace: {name, from, to}, holdout, seed, starts_at, ends_at, primary, secondary, guardrails: [{metric, margin}], mde, analysis}` (`analysis` has further fields of the question `experiment`, such as `window`, `method` and `plan`), `{kind: \"flag\", key, description, value, rules: [{value, targeting, coverage, unit}]}` or `{kind: \"holdout\", key, description, share, unit}`"),
    responses(
        (status = 201, description = "The draft", body = serde_json::Value),
        (status = 409, description = "The key is taken", content_type = "application/problem+json", body = crate::openapi::Problem),
        (status = 422, description = "A field cannot be used; the detail names it", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn create_experiment(
    AppState(app): AppState<App>,
    caller: Caller,
    Tenant(project): Tenant,
    body: Body,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let name = caller.name();
    let made = desk(&app, &project, &name).create(read_json(&app, body, BODY_LIMIT).await?).await?;
    Ok((StatusCode::CREATED, Json(made.json())))
}

/// One definition.
#[utoipa::path(
    get, path = "/v1/experiments/{key}", tag = "experiments", security(("secret_key" = ["analytics:read"])),
    params(
        ("key" = String, Path, description = "Its key"),
        ("project" = Option<String>, Query, description = "The project's slug; with a dashboard session only"),
    ),
    responses(
        (status = 200, description = "The definition, its state and version", body = serde_json::Value),
        (status = 404, description = "No such definition", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn show_experiment(
    AppState(app): AppState<App>,
    Tenant(project): Tenant,
    Path(key): Path<String>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(reading(&app, &project).load(&key).await?.json()))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct UpdateBody {
    version: u32,
    definition: Value,
    #[serde(default)]
    note: String,
}

/// Change a definition. Once it has begun, an experiment may only change `coverage`, `ends_at` (unless its
/// method decides at the end), `secondary` and `guardrails`; a flag anything but its key.
#[utoipa::path(
    put, path = "/v1/experiments/{key}", tag = "experiments", security(("secret_key" = ["experiments:write"])),
    params(("key" = String, Path, description = "Its key")),
    request_body(content = serde_json::Value, description = "`{version, definition, note}`: the version you have seen, and the whole definition"),
    responses(
        (status = 200, description = "The next version", body = serde_json::Value),
        (status = 404, description = "No such definition", content_type = "application/problem+json", body = crate::openapi::Problem),
        (status = 409, description = "Somebody else changed it, or the field may no longer change", content_type = "application/problem+json", body = crate::openapi::Problem),
        (status = 422, description = "A field cannot be used; the detail names it", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn update_experiment(
    AppState(app): AppState<App>,
    caller: Caller,
    Tenant(project): Tenant,
    Path(key): Path<String>,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let UpdateBody { version, definition, note } = read_json(&app, body, BODY_LIMIT).await?;
    let name = caller.name();
    let stored = desk(&app, &project, &name).update(&key, version, definition, &note).await?;
    Ok(Json(stored.json()))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TransitionBody {
    to: State,
    #[serde(default)]
    note: String,
}

/// Start, pause, resume or conclude: draft → running ⇄ paused → concluded.
#[utoipa::path(
    post, path = "/v1/experiments/{key}/transition", tag = "experiments", security(("secret_key" = ["experiments:write"])),
    params(("key" = String, Path, description = "Its key")),
    request_body(content = serde_json::Value, description = "`{to: \"running\" | \"paused\" | \"concluded\", note}`"),
    responses(
        (status = 200, description = "The definition in its new state", body = serde_json::Value),
        (status = 404, description = "No such definition", content_type = "application/problem+json", body = crate::openapi::Problem),
        (status = 409, description = "Its life does not go that way; the detail says which ways it goes", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn transition_experiment(
    AppState(app): AppState<App>,
    caller: Caller,
    Tenant(project): Tenant,
    Path(key): Path<String>,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let TransitionBody { to, note } = read_json(&app, body, BODY_LIMIT).await?;
    let name = caller.name();
    Ok(Json(desk(&app, &project, &name).transition(&key, to, &note).await?.json()))
}

/// A page of the audit trail.
#[derive(Debug, Deserialize)]
pub struct AuditPage {
    before: Option<i64>,
}

/// Who changed a definition, when, and what it was before and after; newest first.
#[utoipa::path(
    get, path = "/v1/experiments/{key}/audit", tag = "experiments", security(("secret_key" = ["analytics:read"])),
    params(
        ("key" = String, Path, description = "Its key"),
        ("before" = Option<i64>, Query, description = "Only changes with smaller ids: `next` of the page before"),
        ("project" = Option<String>, Query, description = "The project's slug; with a dashboard session only"),
    ),
    responses(
        (status = 200, description = "`{changes: [{id, at, by, action, note, before, after}], next}`", body = serde_json::Value),
        (status = 404, description = "No such definition", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn audit_experiment(
    AppState(app): AppState<App>,
    Tenant(project): Tenant,
    Path(key): Path<String>,
    Params(AuditPage { before }): Params<AuditPage>,
) -> Result<Json<Value>, ApiError> {
    let changes = reading(&app, &project).audit(&key, before).await?;
    let full = changes.len() == CHANGES_PAGE as usize;
    let next = changes.last().filter(|_| full).map(|change| change["id"].clone());
    Ok(Json(json!({ "changes": changes, "next": next })))
}

/// How long pages and networks use a document without asking, and how long they may show an old
/// one while they ask: a paused experiment is gone within a minute.
const CACHE: HeaderValue =
    HeaderValue::from_static("public, max-age=60, stale-while-revalidate=86400");

/// What is running in a project, for pages: features in the form of the GrowthBook specification.
/// Public, like the write key that names it.
#[utoipa::path(
    get, path = "/v1/flags/{write_key}", tag = "experiments",
    params(("write_key" = String, Path, description = "The project's write key, `tm_pk_…`")),
    responses(
        (status = 200, description = "`{features: {key: {defaultValue, rules}}}`", body = serde_json::Value),
        (status = 304, description = "The caller has it, by `If-None-Match`"),
        (status = 401, description = "No such key", content_type = "application/problem+json", body = crate::openapi::Problem),
        (status = 403, description = "It is a secret key", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn serve_flags(
    AppState(app): AppState<App>,
    Path(key): Path<String>,
    request: Request,
) -> Response {
    let (headers, extensions) = (request.headers(), request.extensions());
    let network = network(&app, headers, extensions);
    let mut response = match document(&app, &key, headers, network).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    };
    // Any page may read it, and read why it may not.
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
    response
}

async fn document(
    app: &App,
    key: &str,
    headers: &HeaderMap,
    network: IpAddr,
) -> Result<Response, ApiError> {
    let access = find_access(app, key, network).await?;
    if access.key.kind == KeyKind::Secret {
        return Err(ApiError::SecretKeyInBrowser);
    }
    let served = app.meta.directory().served(access.project.id);
    let document = served.map(|served| served.document(app.clock.now_ms()));
    let document = document.unwrap_or_else(|| super::served::Served::default().document(0));
    let tag = tag(&document);
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let mut response = match known.is_some_and(|known| has_it(known, &tag)) {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => ([(header::CONTENT_TYPE, "application/json")], document).into_response(),
    };
    response.headers_mut().insert(header::CACHE_CONTROL, CACHE);
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}
