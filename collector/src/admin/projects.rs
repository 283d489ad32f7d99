//! Projects: made in an organisation, with their first two keys; changed by their admins.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Act, read_json};
use crate::access::{Caller, Realm, Tenant};
use crate::app::App;
use crate::error::ApiError;
use crate::folder::Pepper;
use crate::keys::{Key, KeyKind, Scope, Scopes};
use crate::meta::access_keys::NewKey;
use crate::meta::audit::Deed;
use crate::meta::projects::{Change, NewProject, Project, Refused};
use crate::meta::{Meta, MetaError};

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Meta(error) => error.into(),
            Refused::Random(error) => Self::Internal(error.into()),
            refused => Self::Project(refused),
        }
    }
}

/// A new project with its keys in clear: the only time they are.
#[derive(Debug)]
pub struct Created {
    /// The project.
    pub project: Project,
    /// For pages.
    pub write_key: Key,
    /// For servers and commands; every scope.
    pub secret_key: Key,
}

impl Created {
    /// As the one who made it gets to see it, once.
    pub fn json(&self) -> Value {
        json!({
            "project": self.project.name,
            "slug": self.project.slug,
            "tz": self.project.tz,
            "write_key": self.write_key.reveal(),
            "secret_key": self.secret_key.reveal(),
            "salt": self.project.salt,
        })
    }
}

/// Make a project with a write key and a secret key.
///
/// # Errors
/// When a field is not allowed, the slug is taken, or the database fails.
pub async fn create(
    meta: &Meta,
    pepper: &Pepper,
    new: &NewProject,
    deed: Deed<'_>,
) -> Result<Created, Refused> {
    let write_key = Key::generate(KeyKind::Public)?;
    let secret_key = Key::generate(KeyKind::Secret)?;
    let project = meta.projects().create(new, deed).await?;
    let may_send: Scopes = [Scope::Ingest].into_iter().collect();
    let first_keys = [(&write_key, "pages", may_send), (&secret_key, "servers", Scopes::all())];
    for (key, name, scopes) in first_keys {
        let new = NewKey { name, scopes, expires_ms: None };
        meta.access_keys().create(&project, key, pepper, new, deed).await?;
    }
    Ok(Created { project, write_key, secret_key })
}

/// The projects of an organisation, by slug.
#[utoipa::path(
    get, path = "/v1/organisations/{organisation}/projects", tag = "admin",
    params(("organisation" = String, Path, description = "Its slug")),
    responses((status = 200, description = "`{projects: [{slug, name, tz, salt, created_at, settings}]}`", body = serde_json::Value))
)]
pub async fn list_projects(
    State(app): State<App>,
    Realm(organisation): Realm,
) -> Result<Json<Value>, ApiError> {
    let all = app.meta.directory().projects();
    let own = all.iter().filter(|project| project.organisation == organisation.id);
    let projects: Vec<Value> = own.map(|project| project.json()).collect();
    Ok(Json(json!({ "projects": projects })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewBody {
    name: String,
    slug: String,
    #[serde(default = "utc")]
    tz: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// Make a project. The answer has its keys, for the only time.
#[utoipa::path(
    post, path = "/v1/organisations/{organisation}/projects", tag = "admin",
    params(("organisation" = String, Path, description = "The slug of the organisation")),
    request_body(content = serde_json::Value, description = "`{name, slug, tz}`; `tz` is UTC where it is left out"),
    responses(
        (status = 201, description = "`{project, slug, tz, write_key, secret_key, salt}`", body = serde_json::Value),
        (status = 409, description = "The slug is taken", content_type = "application/problem+json", body = crate::openapi::Problem),
        (status = 422, description = "A field cannot be used; the detail names it", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn create_project(
    State(app): State<App>,
    caller: Caller,
    Realm(organisation): Realm,
    body: Body,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let NewBody { name, slug, tz } = read_json(&app, body).await?;
    let new = NewProject { organisation: organisation.id, name, slug, tz };
    let act = Act::of(&app, &caller);
    let made = create(&app.meta, &app.pepper, &new, act.deed("create")).await?;
    Ok((StatusCode::CREATED, Json(made.json())))
}

/// The project of a key, or the one that is named: its time zone and settings.
#[utoipa::path(
    get, path = "/v1/project", tag = "admin", security(("secret_key" = ["admin"])),
    params(("project" = Option<String>, Query, description = "The project's slug; with a dashboard session only")),
    responses((status = 200, description = "`{slug, name, tz, salt, created_at, settings: {origins, mode, preset, week_starts, currency}}`", body = serde_json::Value))
)]
pub async fn show_project(Tenant(project): Tenant) -> Json<Value> {
    Json(project.json())
}

/// Change its name, time zone or settings; what is left out stays. The slug and the salt never change.
#[utoipa::path(
    patch, path = "/v1/project", tag = "admin", security(("secret_key" = ["admin"])),
    params(("project" = Option<String>, Query, description = "The project's slug; with a dashboard session only")),
    request_body(content = serde_json::Value, description = "`{name, tz, settings: {origins, mode, preset, week_starts, currency}}`; settings are replaced together. `week_starts` is the first day of a week, `monday` where it is left out. `currency` (ISO 4217, such as `EUR`) is what amounts are in whose events name none. `mode` is `full` or `cookieless`, `preset` is `cnil` or left out"),
    responses(
        (status = 200, description = "The project as it is now", body = serde_json::Value),
        (status = 422, description = "A field cannot be used; the detail names it", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn update_project(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let change: Change = read_json(&app, body).await?;
    let act = Act::of(&app, &caller);
    let changed = app.meta.projects().update(&project, change, act.deed("update")).await?;
    Ok(Json(changed.json()))
}

/// A project by its slug, for commands.
///
/// # Errors
/// A sentence that says where to see which there are.
pub async fn named(meta: &Meta, slug: &str) -> anyhow::Result<std::sync::Arc<Project>> {
    let found = meta.find_project(slug).await.map_err(|error: MetaError| anyhow::anyhow!(error))?;
    found.ok_or_else(|| {
        anyhow::anyhow!(
            "there is no project {slug:?}; `tallymark project list` shows those there are"
        )
    })
}
