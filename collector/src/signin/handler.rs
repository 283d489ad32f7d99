//! The forms of signing in, over HTTP.

use std::net::SocketAddr;

use axum::Form;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde_json::json;

use super::{links, pages, password, session, throttle};
use crate::access::{Principal, from_our_pages};
use crate::app::App;
use crate::error::ApiError;
use crate::extract::{Client, Params};
use crate::meta::accounts;
use crate::meta::audit::{Deed, Whose};
use crate::meta::invitations::Invitation;
use crate::meta::organisations::{self, MAIN};

/// How long an invitation can be used.
pub const INVITATION_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// A link's parameter.
#[derive(Debug, Deserialize)]
pub struct Link {
    token: Option<String>,
}

/// `GET /signin`: the form. With `?token=…`, use up a one-time link of the server, start a session and
/// go to the dashboard.
///
/// # Errors
/// When the session cannot be stored.
pub async fn show_sign_in(
    State(app): State<App>,
    Params(Link { token }): Params<Link>,
) -> Result<Response, ApiError> {
    let Some(token) = token else { return Ok(pages::sign_in(StatusCode::OK, "", "")) };
    if !app.sign_in.redeem(&token) {
        let complaint = "This link was used before, or it is of an earlier start of the server.";
        return Ok(pages::sign_in(StatusCode::UNAUTHORIZED, "", complaint));
    }
    let deed = Deed { actor: "console", action: "sign_in", note: "", at_ms: app.clock.now_ms() };
    let what = json!({ "by": "link" });
    app.meta.note(Whose::Organisation(MAIN), "session", deed, what).await?;
    let mut response = Redirect::to("/").into_response();
    session::start(&app, None, &mut response).await?;
    Ok(response)
}

/// The form of the sign-in page.
#[derive(Deserialize)]
pub struct SignInForm {
    email: String,
    password: String,
}

/// `POST /signin`: address and password.
///
/// # Errors
/// When the form comes from elsewhere, a network tries too often, or the database fails.
pub async fn sign_in(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Form(SignInForm { email, password }): Form<SignInForm>,
) -> Result<Response, ApiError> {
    let typed = email;
    if let Some(wait_s) = must_wait_s(&app, peer, &headers)? {
        return Ok(pages::too_often(&typed, wait_s));
    }
    let account = match accounts::email(&typed) {
        Some(email) => who_is(&app, &email, password).await?,
        None => None,
    };
    let Some(account) = account else {
        let complaint = "This address and password do not belong together. After several wrong ones an \
             account is shut for some minutes, whatever is typed.";
        return Ok(pages::sign_in(StatusCode::UNAUTHORIZED, &typed, complaint));
    };
    let mut response = Redirect::to("/").into_response();
    enter(&app, account, &mut response).await?;
    Ok(response)
}

/// How long somebody must wait before they try again, if they must.
///
/// # Errors
/// When the form comes from elsewhere.
fn must_wait_s(app: &App, peer: SocketAddr, headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    if !from_our_pages(app, headers) {
        return Err(ApiError::CrossSite);
    }
    let network = Client::new(peer.ip(), headers, &app.config.trusted_proxies).prefix;
    Ok(app.throttle.take(network, app.clock.now_ms()).err())
}

/// Whose address and password this is.
async fn who_is(app: &App, email: &str, password: String) -> Result<Option<u32>, ApiError> {
    let known = app.meta.accounts().credentials(email).await?;
    let now_ms = app.clock.now_ms();
    let open = known.as_ref().filter(|known| known.locked_until_ms <= now_ms);
    let stored = open.and_then(|known| known.password.clone());
    let right = password::is_right(app, password, stored).await?;
    let Some(open) = open else { return Ok(None) };
    let failures = if right { 0 } else { open.failures.saturating_add(1) };
    if failures != open.failures {
        let until_ms = throttle::locked_until_ms(failures, now_ms);
        app.meta.accounts().attempted(open.account, failures, until_ms).await?;
    }
    Ok(right.then_some(open.account))
}

/// Start a session of somebody, and write it down where they are a member.
async fn enter(app: &App, account: u32, response: &mut Response) -> Result<(), ApiError> {
    app.meta.refresh().await?;
    let directory = app.meta.directory();
    if let Some(account) = directory.account(account) {
        let who = Principal::Person(account.clone());
        let deed =
            Deed { actor: &account.email, action: "sign_in", note: "", at_ms: app.clock.now_ms() };
        let organisations = directory.organisations();
        for organisation in organisations.iter().filter(|o| directory.role(&who, o.id).is_some()) {
            let whose = Whose::Organisation(organisation.id);
            app.meta.note(whose, "session", deed, json!({ "by": "password" })).await?;
        }
    }
    session::start(app, Some(account), response).await
}

/// `POST /signout`: end the session.
///
/// # Errors
/// When the database cannot be written.
pub async fn sign_out(State(app): State<App>, headers: HeaderMap) -> Result<Response, ApiError> {
    if !from_our_pages(&app, &headers) {
        return Err(ApiError::CrossSite);
    }
    let mut response = Redirect::to("/signin").into_response();
    session::end(&app, &headers, &mut response).await?;
    Ok(response)
}

/// A new token and its keyed hash.
///
/// # Errors
/// When the system has no randomness.
pub fn new_invitation(app: &App) -> Result<(String, [u8; 32]), ApiError> {
    let token = links::random_token().map_err(|error| ApiError::Internal(error.into()))?;
    let mac = links::invitation_mac(&app.pepper, &token);
    Ok((token, mac))
}

/// An invitation that can be used, and what to show of it.
struct Open {
    invitation: Invitation,
    organisation: String,
    known: bool,
}

async fn open(app: &App, token: &str) -> Result<Option<Open>, ApiError> {
    let (mac, now_ms) = (links::invitation_mac(&app.pepper, token), app.clock.now_ms());
    let Some(invitation) = app.meta.invitations().find(&mac, now_ms).await? else {
        return Ok(None);
    };
    let credentials = app.meta.accounts().credentials(&invitation.email).await?;
    let known = credentials.is_some_and(|known| known.password.is_some());
    let all = app.meta.directory().organisations();
    let found = all.iter().find(|organisation| organisation.id == invitation.organisation);
    let organisation = found.map(|organisation| organisation.name.clone()).unwrap_or_default();
    Ok(Some(Open { invitation, organisation, known }))
}

fn gone() -> Response {
    let complaint =
        "This invitation was used, taken back, or is older than a week: ask for another one.";
    pages::sign_in(StatusCode::NOT_FOUND, "", complaint)
}

/// `GET /invitation?token=…`: what one is invited to.
///
/// # Errors
/// When the database fails.
pub async fn show_invitation(
    State(app): State<App>,
    Params(Link { token }): Params<Link>,
) -> Result<Response, ApiError> {
    let token = token.unwrap_or_default();
    let Some(open) = open(&app, &token).await? else { return Ok(gone()) };
    Ok(page(StatusCode::OK, &open, &token, "", ""))
}

fn page(status: StatusCode, open: &Open, token: &str, name: &str, complaint: &str) -> Response {
    let Open { invitation, organisation, known } = open;
    let who = pages::Accepting { organisation, invitation, token, known: *known, name };
    pages::accept(status, &who, complaint)
}

/// The form of an invitation.
#[derive(Deserialize)]
pub struct AcceptForm {
    token: String,
    #[serde(default)]
    name: String,
    password: String,
}

/// `POST /invitation`: become a member, with a password of one's own, and be signed in.
///
/// # Errors
/// When the form comes from elsewhere, a network tries too often, or the database fails.
pub async fn accept_invitation(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Form(AcceptForm { token, name, password }): Form<AcceptForm>,
) -> Result<Response, ApiError> {
    if let Some(wait_s) = must_wait_s(&app, peer, &headers)? {
        return Ok(pages::too_often("", wait_s));
    }
    let Some(open) = open(&app, &token).await? else { return Ok(gone()) };
    let refuse = |complaint: &str| {
        Ok(page(StatusCode::UNPROCESSABLE_ENTITY, &open, &token, &name, complaint))
    };
    let hash = if open.known {
        if who_is(&app, &open.invitation.email, password).await?.is_none() {
            return refuse("This is not the password of this address.");
        }
        None
    } else {
        if let Err(complaint) = password::check(&password) {
            return refuse(&complaint);
        }
        if let Err(complaint) = organisations::name(&name) {
            return refuse(&complaint.to_string());
        }
        Some(password::hash(&app, password).await?)
    };
    let (mac, now_ms) = (links::invitation_mac(&app.pepper, &token), app.clock.now_ms());
    let Some(account) = app.meta.invitations().accept(&mac, name.trim(), now_ms).await? else {
        return Ok(gone());
    };
    if let Some(hash) = hash {
        app.meta.accounts().set_password(account, &hash).await?;
    }
    let mut response = Redirect::to("/").into_response();
    enter(&app, account, &mut response).await?;
    Ok(response)
}
