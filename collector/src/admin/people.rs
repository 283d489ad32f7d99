//! Members and invitations over HTTP.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Act, read_json};
use crate::access::{Caller, Realm, Role};
use crate::app::App;
use crate::error::ApiError;
use crate::meta::accounts::{self, Changed, Member};
use crate::meta::invitations::Invitation;
use crate::signin::handler::{INVITATION_MS, new_invitation};

/// Why a member or an invitation is not made or changed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// No such member.
    #[error("there is no such member")]
    NoMember,
    /// They are its only owner.
    #[error("an organisation keeps an owner: make somebody else one first")]
    LastOwner,
    /// More than the caller has.
    #[error("only an owner can make or unmake an owner")]
    AboveOwn,
    /// No such invitation.
    #[error("there is no such invitation")]
    NoInvitation,
    /// They are a member.
    #[error("{0} is a member already: change their role instead")]
    Member(String),
    /// Not an address.
    #[error("{0:?} is not an e-mail address")]
    Email(String),
}

impl Refused {
    /// Status and permanent code.
    pub const fn status_and_code(&self) -> (u16, &'static str) {
        match self {
            Self::NoMember => (404, "member_unknown"),
            Self::LastOwner => (409, "last_owner"),
            Self::AboveOwn => (403, "role_missing"),
            Self::NoInvitation => (404, "invitation_unknown"),
            Self::Member(_) => (409, "member_already"),
            Self::Email(_) => (422, "email_invalid"),
        }
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        Self::People(refused)
    }
}

/// The members of an organisation, by address.
#[utoipa::path(
    get, path = "/v1/organisations/{organisation}/members", tag = "admin",
    params(("organisation" = String, Path, description = "Its slug")),
    responses((status = 200, description = "`{members: [{account, email, name, role, since}]}`", body = serde_json::Value))
)]
pub async fn list_members(
    State(app): State<App>,
    Realm(organisation): Realm,
) -> Result<Json<Value>, ApiError> {
    let members = app.meta.accounts().members(organisation.id).await?;
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
    let changed = set_role(&app, &caller, organisation.id, account, Some(role)).await?;
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
    set_role(&app, &caller, organisation.id, account, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn set_role(
    app: &App,
    caller: &Caller,
    organisation: u32,
    account: u32,
    role: Option<Role>,
) -> Result<Option<Member>, ApiError> {
    let members = app.meta.accounts().members(organisation).await?;
    let member = members.iter().find(|member| member.account.id == account);
    let before = member.ok_or(Refused::NoMember)?.role;
    if caller.role < Role::Owner && (before == Role::Owner || role == Some(Role::Owner)) {
        return Err(Refused::AboveOwn.into());
    }
    let act = Act::of(app, caller);
    let deed = act.deed(if role.is_some() { "update" } else { "remove" });
    match app.meta.accounts().set_role(organisation, account, role, deed).await? {
        Changed::Done(member) => Ok(member),
        Changed::NoMember => Err(Refused::NoMember.into()),
        Changed::LastOwner => Err(Refused::LastOwner.into()),
    }
}

/// The invitations of an organisation that nobody has used yet, the newest first.
#[utoipa::path(
    get, path = "/v1/organisations/{organisation}/invitations", tag = "admin",
    params(("organisation" = String, Path, description = "Its slug")),
    responses((status = 200, description = "`{invitations: [{id, email, role, created_at, expires_at}]}`", body = serde_json::Value))
)]
pub async fn list_invitations(
    State(app): State<App>,
    Realm(organisation): Realm,
) -> Result<Json<Value>, ApiError> {
    let waiting = app.meta.invitations().list(organisation.id, app.clock.now_ms()).await?;
    let waiting: Vec<Value> = waiting.iter().map(Invitation::json).collect();
    Ok(Json(json!({ "invitations": waiting })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct InviteBody {
    email: String,
    role: Role,
}

/// Invite somebody. The answer has the path of a link that works once, within a week, for the only time.
#[utoipa::path(
    post, path = "/v1/organisations/{organisation}/invitations", tag = "admin",
    params(("organisation" = String, Path, description = "The slug of the organisation")),
    request_body(content = serde_json::Value, description = "`{email, role}`"),
    responses(
        (status = 201, description = "`{id, email, role, created_at, expires_at, path}`", body = serde_json::Value),
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
    let email = accounts::email(&email).ok_or(Refused::Email(email))?;
    if role > caller.role {
        return Err(Refused::AboveOwn.into());
    }
    let members = app.meta.accounts().members(organisation.id).await?;
    if members.iter().any(|member| member.account.email == email) {
        return Err(Refused::Member(email).into());
    }
    let (token, mac) = new_invitation(&app)?;
    let act = Act::of(&app, &caller);
    let table = app.meta.invitations();
    let expires_ms = act.at_ms + INVITATION_MS;
    let made =
        table.create(&mac, organisation.id, &email, role, expires_ms, act.deed("invite")).await?;
    let mut json = made.json();
    json["path"] = json!(format!("/invitation?token={token}"));
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
    let act = Act::of(&app, &caller);
    let table = app.meta.invitations();
    let found = table.withdraw(organisation.id, id, act.deed("withdraw")).await?;
    if found { Ok(StatusCode::NO_CONTENT) } else { Err(Refused::NoInvitation.into()) }
}
