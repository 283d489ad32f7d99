//! Keys of a project: made, listed, replaced with an overlap, taken back, reported as leaked.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Act, read_json};
use crate::access::{Caller, Tenant};
use crate::app::App;
use crate::error::ApiError;
use crate::folder::Pepper;
use crate::keys::{Key, KeyKind, Scope, Scopes};
use crate::meta::access_keys::{Listed, NewKey};
use crate::meta::audit::Deed;
use crate::meta::projects::Project;
use crate::meta::{Meta, MetaError};

/// Longest name of a key, in characters.
const NAME_CHARS_MAX: usize = 100;
/// Longest time for which an old key works beside its successor.
const OVERLAP_MS_MAX: i64 = 90 * 24 * 60 * 60 * 1000;
/// The usual one.
const OVERLAP_MS: i64 = 24 * 60 * 60 * 1000;

/// Why a key is not made or changed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// No such key.
    #[error("this project has no key {0}; GET /v1/keys lists them")]
    Unknown(u32),
    /// A field that cannot be used.
    #[error("{0}: {1}")]
    Wrong(&'static str, String),
    /// No randomness.
    #[error("the system gives no randomness: {0}")]
    Random(#[from] getrandom::Error),
    /// The database failed.
    #[error(transparent)]
    Meta(#[from] MetaError),
}

impl Refused {
    /// Status and permanent code.
    pub const fn status_and_code(&self) -> (u16, &'static str) {
        match self {
            Self::Unknown(_) => (404, "key_not_found"),
            Self::Wrong(..) => (422, "key_invalid"),
            Self::Random(_) | Self::Meta(_) => (500, "internal"),
        }
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Meta(error) => error.into(),
            Refused::Random(error) => Self::Internal(error.into()),
            refused => Self::Key(refused),
        }
    }
}

/// The keys of a project, by whoever changes them.
#[derive(Debug)]
pub struct Ring<'a> {
    /// Where they are kept.
    pub meta: &'a Meta,
    /// What their hashes are made with.
    pub pepper: &'a Pepper,
    /// Whose they are.
    pub project: &'a Project,
}

/// A key that was just made, in clear for the only time.
#[derive(Debug)]
pub struct Made {
    /// The key itself.
    pub key: Key,
    /// What is kept of it.
    pub listed: Listed,
}

impl Made {
    /// As whoever made it gets to see it, once.
    pub fn json(&self) -> Value {
        let mut json = self.listed.json();
        json["key"] = json!(self.key.reveal());
        json
    }
}

impl Ring<'_> {
    /// Make a key.
    ///
    /// # Errors
    /// When a field cannot be used, or the database fails.
    pub async fn make(
        &self,
        kind: KeyKind,
        new: NewKey<'_>,
        deed: Deed<'_>,
    ) -> Result<Made, Refused> {
        if new.name.chars().count() > NAME_CHARS_MAX || new.name.chars().any(char::is_control) {
            let detail = format!("at most {NAME_CHARS_MAX} characters, none of them for control");
            return Err(Refused::Wrong("name", detail));
        }
        if new.scopes == Scopes::default() {
            let detail = "a secret key needs at least one scope, like analytics:read";
            return Err(Refused::Wrong("scopes", detail.into()));
        }
        if kind == KeyKind::Public && new.scopes != [Scope::Ingest].into_iter().collect() {
            let detail = "a public key can do nothing but send: leave the scopes out";
            return Err(Refused::Wrong("scopes", detail.into()));
        }
        if new.expires_ms.is_some_and(|expires_ms| expires_ms <= deed.at_ms) {
            return Err(Refused::Wrong("expires_at", "a moment that is still to come".into()));
        }
        let key = Key::generate(kind)?;
        let listed =
            self.meta.access_keys().create(self.project, &key, self.pepper, new, deed).await?;
        Ok(Made { key, listed })
    }

    /// The key of this number.
    ///
    /// # Errors
    /// When there is no such key.
    pub async fn find(&self, id: u32) -> Result<Listed, Refused> {
        let all = self.meta.access_keys().list(self.project.id).await?;
        all.into_iter().find(|key| key.id == id).ok_or(Refused::Unknown(id))
    }

    /// Make the successor of a key, which works beside it for `overlap_ms` more.
    ///
    /// # Errors
    /// When the overlap is too long.
    pub async fn rotate(
        &self,
        old: &Listed,
        overlap_ms: i64,
        deed: Deed<'_>,
    ) -> Result<Made, Refused> {
        if !(0..=OVERLAP_MS_MAX).contains(&overlap_ms) {
            return Err(Refused::Wrong("overlap_ms", format!("0 to {OVERLAP_MS_MAX}")));
        }
        let new = NewKey { name: &old.name, scopes: old.scopes, expires_ms: None };
        let made = self.make(old.kind, new, deed).await?;
        self.meta.access_keys().end(self.project.id, old.id, deed.at_ms + overlap_ms, deed).await?;
        Ok(made)
    }

    /// Stop a key from working.
    ///
    /// # Errors
    /// When there is no such key.
    pub async fn revoke(&self, id: u32, deed: Deed<'_>) -> Result<Listed, Refused> {
        let gone = self.meta.access_keys().end(self.project.id, id, deed.at_ms, deed).await?;
        gone.ok_or(Refused::Unknown(id))
    }
}

/// The keys of a project.
pub(crate) fn ring<'a>(app: &'a App, project: &'a Project) -> Ring<'a> {
    Ring { meta: &app.meta, pepper: &app.pepper, project }
}

/// The keys of a project that work, without the keys themselves: those are not kept.
#[utoipa::path(
    get, path = "/v1/keys", tag = "admin", security(("secret_key" = ["admin"])),
    params(("project" = Option<String>, Query, description = "The project's slug; with a dashboard session only")),
    responses((status = 200, description = "`{keys: [{id, name, kind, hint, scopes, created_at, expires_at, used_at}]}`; `hint` is a key's last characters, `used_at` is to the minute", body = serde_json::Value))
)]
pub async fn list_keys(
    State(app): State<App>,
    Tenant(project): Tenant,
) -> Result<Json<Value>, ApiError> {
    let keys = app.meta.access_keys().list(project.id).await?;
    let keys: Vec<Value> = keys.iter().map(Listed::json).collect();
    Ok(Json(json!({ "keys": keys })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewBody {
    #[serde(default)]
    name: String,
    #[serde(default = "secret")]
    kind: String,
    scopes: Option<Vec<String>>,
    expires_at: Option<i64>,
}

fn secret() -> String {
    KeyKind::Secret.as_str().to_owned()
}

/// Make a key. The answer has it, for the only time.
#[utoipa::path(
    post, path = "/v1/keys", tag = "admin", security(("secret_key" = ["admin"])),
    params(("project" = Option<String>, Query, description = "The project's slug; with a dashboard session only")),
    request_body(content = serde_json::Value, description = "`{name, kind: \"secret\" | \"public\", scopes: [\"analytics:read\", …], expires_at}`, the moment in Unix milliseconds; a key cannot give scopes that it does not have"),
    responses(
        (status = 201, description = "The key, in `key`, and what is kept of it", body = serde_json::Value),
        (status = 422, description = "A field cannot be used; the detail names it", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn create_key(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    body: Body,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let NewBody { name, kind, scopes, expires_at } = read_json(&app, body).await?;
    let kind = match kind.as_str() {
        "secret" => KeyKind::Secret,
        "public" => KeyKind::Public,
        _ => return Err(Refused::Wrong("kind", "secret or public".into()).into()),
    };
    let scopes = match scopes {
        None if kind == KeyKind::Public => [Scope::Ingest].into_iter().collect(),
        names => Scopes::parse(&names.unwrap_or_default().join(","))
            .map_err(|detail| Refused::Wrong("scopes", detail))?,
    };
    if let Some(beyond) = caller.lacks(scopes) {
        return Err(ApiError::ScopeMissing(beyond));
    }
    let new = NewKey { name: name.trim(), scopes, expires_ms: expires_at };
    let act = Act::of(&app, &caller);
    let made = ring(&app, &project).make(kind, new, act.deed("create")).await?;
    Ok((StatusCode::CREATED, Json(made.json())))
}

/// Stop a key from working. It is refused within a second.
#[utoipa::path(
    delete, path = "/v1/keys/{id}", tag = "admin", security(("secret_key" = ["admin"])),
    params(
        ("id" = u32, Path, description = "The key's number"),
        ("project" = Option<String>, Query, description = "The project's slug; with a dashboard session only"),
    ),
    responses(
        (status = 200, description = "What is kept of it", body = serde_json::Value),
        (status = 404, description = "This project has no such key", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn revoke_key(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    Path(id): Path<u32>,
) -> Result<Json<Value>, ApiError> {
    let act = Act::of(&app, &caller);
    Ok(Json(ring(&app, &project).revoke(id, act.deed("revoke")).await?.json()))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RotateBody {
    #[serde(default = "overlap")]
    overlap_ms: i64,
}

fn overlap() -> i64 {
    OVERLAP_MS
}

/// Make the successor of a key, with the same scopes. The old one works beside it for a day, or as long
/// as `overlap_ms` says.
#[utoipa::path(
    post, path = "/v1/keys/{id}/rotate", tag = "admin", security(("secret_key" = ["admin"])),
    params(
        ("id" = u32, Path, description = "The old key's number"),
        ("project" = Option<String>, Query, description = "The project's slug; with a dashboard session only"),
    ),
    request_body(content = serde_json::Value, description = "`{overlap_ms}`: 0 to 90 days, a day where it is left out"),
    responses(
        (status = 201, description = "The new key, in `key`, and what is kept of it", body = serde_json::Value),
        (status = 404, description = "This project has no such key", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn rotate_key(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    Path(id): Path<u32>,
    body: Body,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let RotateBody { overlap_ms } = read_json(&app, body).await?;
    let act = Act::of(&app, &caller);
    let ring = ring(&app, &project);
    let old = ring.find(id).await?;
    if let Some(beyond) = caller.lacks(old.scopes) {
        return Err(ApiError::ScopeMissing(beyond));
    }
    let made = ring.rotate(&old, overlap_ms, act.deed("rotate")).await?;
    Ok((StatusCode::CREATED, Json(made.json())))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LeakedBody {
    key: String,
}

/// Report a secret key that was found where it should not be: it stops working at once. Whoever holds a
/// key may report it, so nothing else is needed; what was no key of ours answers the same.
#[utoipa::path(
    post, path = "/v1/keys/leaked", tag = "admin",
    request_body(content = serde_json::Value, description = "`{key}`"),
    responses((status = 202, description = "If it was a secret key of a project here, it no longer works", body = serde_json::Value))
)]
pub async fn report_leak(
    State(app): State<App>,
    body: Body,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let LeakedBody { key } = read_json(&app, body).await?;
    let at_ms = app.clock.now_ms();
    if let Some(key) = Key::parse(&key).filter(|key| key.kind() == KeyKind::Secret)
        && let Some((project, key)) = app.meta.find_key(&key.mac(&app.pepper), at_ms).await?
    {
        tracing::warn!(project = %project.slug, key = key.id, "a secret key was reported as leaked and stopped");
        let deed =
            Deed { actor: "leak report", action: "revoke", note: "reported as leaked", at_ms };
        ring(&app, &project).revoke(key.id, deed).await?;
    }
    Ok((StatusCode::ACCEPTED, Json(json!({ "reported": true }))))
}
