//! Members and invitations over HTTP.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::read_json;
use super::post::Post;
use super::{Desk, Refused};
use crate::access::{Caller, Realm, Role};
use crate::app::App;
use crate::error::ApiError;
use crate::meta::accounts::Member;
use crate::meta::invitations::Invitation;
use crate::meta::organisations::Organisation;

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Meta(error) => error.into(),
            Refused::Random(error) => Self::Internal(error.into()),
            refused => Self::People(refused),
        }
    }
}

/// Who asks, at their desk. `name` is [`Caller::name`].
pub fn desk<'a>(
    app: &'a App,
    caller: &'a Caller,
    name: &'a str,
    organisation: Arc<Organisation>,
) -> Desk<'a> {
    let now_ms = app.clock.now_ms();
    let (meta, pepper, principal) = (&app.meta, &app.pepper, &caller.principal);
    Desk { meta, pepper, organisation, principal, actor: name, now_ms }
}

/// Where links leave by mail.
pub fn post(app: &App) -> Post<'_> {
    Post { mailer: &app.mailer, public_url: &app.config.public_url }
}

/// The members of an organisation, by address.
#[utoipa::path(
    get, path = "/v1/organisations/{organisation}/members", tag = "admin",
    params(("organisation" = String, Path, description = "Its slug")),
    responses((status = 200, description = "`{members: [{account, email, name, role, since}]}`", body = serde_json::Value))
)]
pub async fn list_members(
    State(app): State<App>,
    caller: Caller,
    Realm(organisation): Realm,
) -> Result<Json<Value>, ApiError> {
    let name = caller.name();
    let members = desk(&app, &caller, &name, organisation).members().await?;
    let members: Vec<Value> = members.iter().map(Member::json).collect();
    Ok(Json(json!({ "members": members })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleBody {
    role: Role,
}

/// Give a member another role.
#[utoipa::path(
    patch, path = "/v1/organisations/{organisation}/members/{account}", tag = "admin",
    params(
        ("organisation" = String, Path, description = "The slug of the organisation"),
        ("account" = u32, Path, description = "The member's account"),
    ),
    request_body(content = serde_json::Value, description = "`{role: \"owner\" | \"admin\" | \"analyst\" | \"viewer\"}`"),
    responses(
        (status = 200, description = "The member as they are now", body = serde_json::Value),
        (status = 403, description = "Only owners make and unmake owners", content_type = "application/problem+json", body = crate::openapi::Problem),
        (status = 404, description = "No such member", content_type = "application/problem+json", body = crate::openapi::Problem),
        (status = 409, description = "They are its only owner", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn update_member(
    State(app): State<App>,
    caller: Caller,
    Realm(organisation): Realm,
    Path((_organisation, account)): Path<(String, u32)>,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let RoleBody { role } = read_json(&app, body).await?;
    let name = caller.name();
    let desk = desk(&app, &caller, &name, organisation);
    let changed = desk.set_role(account, Some(role)).await?;
    Ok(Json(changed.as_ref().map(Member::json).unwrap_or_default()))
}

/// Somebody is a member no more.
#[utoipa::path(
    delete, path = "/v1/organisations/{organisation}/members/{account}", tag = "admin",
    params(
        ("organisation" = String, Path, description = "The slug of the organisation"),
        ("account" = u32, Path, description = "The member's account"),
    ),
    responses(
        (status = 204, description = "They have no part in it any more"),
        (status = 403, description = "Only owners make and unmake owners", content_type = "application/problem+json", body = crate::openapi::Problem),
        (status = 404, description = "No such member", content_type = "application/problem+json", body = crate::openapi::Problem),
        (status = 409, description = "They are its only owner", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn remove_member(
    State(app): State<App>,
    caller: Caller,
    Realm(organisation): Realm,
    Path((_organisation, account)): Path<(String, u32)>,
) -> Result<StatusCode, ApiError> {
    let name = caller.name();
    desk(&app, &caller, &name, organisation).set_role(account, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The invitations of an organisation that nobody has used yet, the newest first.
#[utoipa::path(
    get, path = "/v1/organisations/{organisation}/invitations", tag = "admin",
    params(("organisation" = String, Path, description = "Its slug")),
    responses((status = 200, description = "`{invitations: [{id, email, role, created_at, expires_at}]}`", body = serde_json::Value))
)]
pub async fn list_invitations(
    State(app): State<App>,
    caller: Caller,
    Realm(organisation): Realm,
) -> Result<Json<Value>, ApiError> {
    let name = caller.name();
    let waiting = desk(&app, &caller, &name, organisation).invitations().await?;
    let waiting: Vec<Value> = waiting.iter().map(Invitation::json).collect();
    Ok(Json(json!({ "invitations": waiting })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct InviteBody {
    email: String,
    role: Role,
}

/// Invite somebody. A link that works once, within a week, leaves by mail (`mailed`); where no mail can be sent, the answer has
/// its path, for the only time.
#[utoipa::path(
    post, path = "/v1/organisations/{organisation}/invitations", tag = "admin",
    params(("organisation" = String, Path, description = "The slug of the organisation")),
    request_body(content = serde_json::Value, description = "`{email, role}`"),
    responses(
        (status = 201, description = "`{id, email, role, created_at, expires_at, mailed}`, and `path` unless it was mailed", body = serde_json::Value),
        (status = 403, description = "Only owners make owners", content_type = "application/problem+json", body = crate::openapi::Problem),
        (status = 409, description = "They are a member already", content_type = "application/problem+json", body = crate::openapi::Problem),
        (status = 422, description = "Not an e-mail address", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn invite(
    State(app): State<App>,
    caller: Caller,
    Realm(organisation): Realm,
    body: Body,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let InviteBody { email, role } = read_json(&app, body).await?;
    let name = caller.name();
    let called = organisation.name.clone();
    let made = desk(&app, &caller, &name, organisation).invite(&email, role).await?;
    let mut json = made.invitation.json();
    post(&app).invitation(&made, &called).await.describe(&mut json, &made.path());
    Ok((StatusCode::CREATED, Json(json)))
}

/// Take an invitation back.
#[utoipa::path(
    delete, path = "/v1/organisations/{organisation}/invitations/{id}", tag = "admin",
    params(
        ("organisation" = String, Path, description = "The slug of the organisation"),
        ("id" = u32, Path, description = "The invitation's number"),
    ),
    responses(
        (status = 204, description = "Its link no longer works"),
        (status = 404, description = "No such invitation", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn withdraw_invitation(
    State(app): State<App>,
    caller: Caller,
    Realm(organisation): Realm,
    Path((_organisation, id)): Path<(String, u32)>,
) -> Result<StatusCode, ApiError> {
    let name = caller.name();
    desk(&app, &caller, &name, organisation).withdraw(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A link by which a member can set another password: it works once, within a day, and leaves by mail where one can be sent. An
/// admin makes one for whoever may no more than themselves, in every organisation.
#[utoipa::path(
    post, path = "/v1/organisations/{organisation}/members/{account}/reset", tag = "admin",
    params(
        ("organisation" = String, Path, description = "The slug of the organisation"),
        ("account" = u32, Path, description = "The member's account"),
    ),
    responses(
        (status = 201, description = "`{email, expires_at, mailed}`, and `path` unless it was mailed, for the only time", body = serde_json::Value),
        (status = 403, description = "They may more than the caller", content_type = "application/problem+json", body = crate::openapi::Problem),
        (status = 404, description = "No such member", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn reset_password(
    State(app): State<App>,
    caller: Caller,
    Realm(organisation): Realm,
    Path((_organisation, account)): Path<(String, u32)>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let name = caller.name();
    let made = desk(&app, &caller, &name, organisation).reset(account).await?;
    let mut json = json!({ "email": made.email, "expires_at": made.expires_ms });
    post(&app).password(&made).await.describe(&mut json, &made.path());
    Ok((StatusCode::CREATED, Json(json)))
}

/// Take the second factor off a member who has lost it: they sign in with the password alone until they set up
/// another.
#[utoipa::path(
    delete, path = "/v1/organisations/{organisation}/members/{account}/second-factor", tag = "admin",
    params(
        ("organisation" = String, Path, description = "The slug of the organisation"),
        ("account" = u32, Path, description = "The member's account"),
    ),
    responses(
        (status = 204, description = "They have none now"),
        (status = 403, description = "They may more than the caller", content_type = "application/problem+json", body = crate::openapi::Problem),
        (status = 404, description = "No such member", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn drop_second_factor(
    State(app): State<App>,
    caller: Caller,
    Realm(organisation): Realm,
    Path((_organisation, account)): Path<(String, u32)>,
) -> Result<StatusCode, ApiError> {
    let name = caller.name();
    desk(&app, &caller, &name, organisation).drop_second_factor(account).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Let go of whom a member is at the provider of sign-in: whoever has their address there next is bound to the account
/// instead, at their first sign-in.
#[utoipa::path(
    delete, path = "/v1/organisations/{organisation}/members/{account}/elsewhere", tag = "admin",
    params(
        ("organisation" = String, Path, description = "The slug of the organisation"),
        ("account" = u32, Path, description = "The member's account"),
    ),
    responses(
        (status = 204, description = "They are bound to nobody now"),
        (status = 403, description = "They may more than the caller", content_type = "application/problem+json", body = crate::openapi::Problem),
        (status = 404, description = "No such member", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn unbind(
    State(app): State<App>,
    caller: Caller,
    Realm(organisation): Realm,
    Path((_organisation, account)): Path<(String, u32)>,
) -> Result<StatusCode, ApiError> {
    let name = caller.name();
    desk(&app, &caller, &name, organisation).unbind(account).await?;
    Ok(StatusCode::NO_CONTENT)
}
