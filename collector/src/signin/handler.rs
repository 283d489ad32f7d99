//! The forms of signing in, over HTTP.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Form;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde_json::json;

use super::attempts::{self, Tried};
use super::links::{Purpose, link_mac};
use super::second::Half;
use super::{oidc, pages, password, second, session};
use crate::access::{Principal, from_our_pages};
use crate::app::App;
use crate::dashboard::words::{t, told};
use crate::error::ApiError;
use crate::extract::{Client, Params};
use crate::meta::accounts::{self, Account};
use crate::meta::audit::{Deed, Whose};
use crate::meta::invitations::Invitation;
use crate::meta::organisations::{self, MAIN};

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
    headers: HeaderMap,
    Params(Link { token }): Params<Link>,
) -> Result<Response, ApiError> {
    let Some(token) = token else { return Ok(pages::sign_in(&app, StatusCode::OK, "", "")) };
    if !app.sign_in.redeem(&token) {
        let complaint = t("This link was used before, or it is of an earlier start of the server.");
        return Ok(pages::sign_in(&app, StatusCode::UNAUTHORIZED, "", complaint));
    }
    let deed = Deed { actor: "console", action: "sign_in", note: "", at_ms: app.clock.now_ms() };
    let what = json!({ "by": "link" });
    app.meta.note(Whose::Organisation(MAIN), "session", deed, what).await?;
    let mut response = Redirect::to("/").into_response();
    session::start(&app, None, &headers, &mut response).await?;
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
        return Ok(pages::too_often(&app, &typed, wait_s));
    }
    let tried = match accounts::email(&typed) {
        Some(email) => attempts::with_password(&app, &email, password).await?,
        None => Tried::Wrong,
    };
    match tried {
        Tried::Wrong => {
            let complaint =
                t("This address and password do not belong together. After several wrong ones an \
                 account is shut for some minutes, whatever is typed.");
            Ok(pages::sign_in(&app, StatusCode::UNAUTHORIZED, &typed, complaint))
        }
        Tried::CodeNeeded(account) => Ok(ask_for_code(&app, Half { account, elsewhere: None })),
        Tried::Right(account) => enter(&app, account, "password", &headers).await,
    }
}

/// The second step, for somebody who has taken the first.
pub(super) fn ask_for_code(app: &App, half: Half) -> Response {
    pages::code(StatusCode::OK, &second::ticket(&app.pepper, half, app.clock.now_ms()), "")
}

/// The form of the second step.
#[derive(Deserialize)]
pub struct CodeForm {
    ticket: String,
    code: String,
}

/// `POST /signin/code`: the code of an authenticator app, or one to get back in.
///
/// # Errors
/// When the form comes from elsewhere, a network tries too often, or the database fails.
pub async fn sign_in_by_code(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Form(CodeForm { ticket, code }): Form<CodeForm>,
) -> Result<Response, ApiError> {
    if let Some(wait_s) = must_wait_s(&app, peer, &headers)? {
        return Ok(pages::too_often(&app, "", wait_s));
    }
    let Some(half) = second::whose(&app.pepper, &ticket, app.clock.now_ms()) else {
        let complaint = t("That took longer than five minutes: sign in again.");
        return Ok(pages::sign_in(&app, StatusCode::UNAUTHORIZED, "", complaint));
    };
    if !attempts::with_code(&app, half.account, &code).await? {
        let complaint =
            t("This code is not right, or it was used before. After several wrong ones an \
             account is shut for some minutes, whatever is typed.");
        return Ok(pages::code(StatusCode::UNAUTHORIZED, &ticket, complaint));
    }
    match half.elsewhere {
        Some(mac) => {
            oidc::enter(&app, half.account, mac, "another account and code", &headers).await
        }
        None => enter(&app, half.account, "password and code", &headers).await,
    }
}

/// How long somebody must wait before they try again, if they must.
///
/// # Errors
/// When the form comes from elsewhere.
pub(super) fn must_wait_s(
    app: &App,
    peer: SocketAddr,
    headers: &HeaderMap,
) -> Result<Option<u64>, ApiError> {
    if !from_our_pages(app, headers) {
        return Err(ApiError::CrossSite);
    }
    Ok(wait_s(app, peer, headers))
}

/// How long a network must wait for its next attempt, if it must.
pub(super) fn wait_s(app: &App, peer: SocketAddr, headers: &HeaderMap) -> Option<u64> {
    let network = Client::new(peer.ip(), headers, &app.config.trusted_proxies).prefix;
    app.throttle.take(network, app.clock.now_ms()).err()
}

/// Start a session of somebody, and write it down where they are a member.
pub(super) async fn enter(
    app: &App,
    account: u32,
    by: &str,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    app.meta.refresh().await?;
    let directory = app.meta.directory();
    if let Some(account) = directory.account(account) {
        let who = Principal::Person(account.clone());
        let deed =
            Deed { actor: &account.email, action: "sign_in", note: "", at_ms: app.clock.now_ms() };
        let organisations = directory.organisations();
        for organisation in organisations.iter().filter(|o| directory.role(&who, o.id).is_some()) {
            let whose = Whose::Organisation(organisation.id);
            app.meta.note(whose, "session", deed, json!({ "by": by })).await?;
        }
    }
    let mut response = Redirect::to("/").into_response();
    session::start(app, Some(account), headers, &mut response).await?;
    Ok(response)
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

/// An invitation that can be used, and what to show of it.
struct Open {
    invitation: Invitation,
    organisation: String,
    known: bool,
}

async fn open(app: &App, token: &str) -> Result<Option<Open>, ApiError> {
    let (mac, now_ms) = (link_mac(&app.pepper, Purpose::Invitation, token), app.clock.now_ms());
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

fn gone(app: &App) -> Response {
    let complaint =
        t("This invitation was used, taken back, or is older than a week: ask for another one.");
    pages::sign_in(app, StatusCode::NOT_FOUND, "", complaint)
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
    let Some(open) = open(&app, &token).await? else { return Ok(gone(&app)) };
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
        return Ok(pages::too_often(&app, "", wait_s));
    }
    let Some(open) = open(&app, &token).await? else { return Ok(gone(&app)) };
    let refuse = |complaint: &str| {
        Ok(page(StatusCode::UNPROCESSABLE_ENTITY, &open, &token, &name, complaint))
    };
    let (mut code_needed, mut hash) = (false, None);
    if open.known {
        match attempts::with_password(&app, &open.invitation.email, password).await? {
            Tried::Wrong => return refuse(t("This is not the password of this address.")),
            Tried::CodeNeeded(_) => code_needed = true,
            Tried::Right(_) => {}
        }
    } else {
        if let Err(complaint) = password::check(&password) {
            return refuse(&told(&complaint));
        }
        if let Err(complaint) = organisations::name(&name) {
            return refuse(&told(&complaint.to_string()));
        }
        hash = Some(password::hash(&app, password).await?);
    }
    let (mac, now_ms) = (link_mac(&app.pepper, Purpose::Invitation, &token), app.clock.now_ms());
    let Some(account) = app.meta.invitations().accept(&mac, name.trim(), now_ms).await? else {
        return Ok(gone(&app));
    };
    if let Some(hash) = hash {
        app.meta.accounts().set_password(account, &hash).await?;
    }
    if code_needed {
        return Ok(ask_for_code(&app, Half { account, elsewhere: None }));
    }
    enter(&app, account, "invitation", &headers).await
}

/// The account of a link to another password, if it can be used.
async fn linked(app: &App, token: &str) -> Result<Option<Arc<Account>>, ApiError> {
    let (mac, now_ms) = (link_mac(&app.pepper, Purpose::Password, token), app.clock.now_ms());
    let account = app.meta.password_links().find(&mac, now_ms).await?;
    Ok(account.and_then(|account| app.meta.directory().account(account)))
}

fn link_gone(app: &App) -> Response {
    let complaint = t(
        "This link was used, replaced by a newer one, or is older than a day: ask for another one.",
    );
    pages::sign_in(app, StatusCode::NOT_FOUND, "", complaint)
}

/// `GET /password?token=…`: another password, by a link.
///
/// # Errors
/// When the database fails.
pub async fn show_password(
    State(app): State<App>,
    Params(Link { token }): Params<Link>,
) -> Result<Response, ApiError> {
    let token = token.unwrap_or_default();
    let Some(account) = linked(&app, &token).await? else { return Ok(link_gone(&app)) };
    Ok(pages::new_password(StatusCode::OK, &account.email, &token, ""))
}

/// The form of a link to another password.
#[derive(Deserialize)]
pub struct PasswordForm {
    token: String,
    password: String,
}

/// `POST /password`: another password, by a link. Whoever is signed in with the old one no longer is; signing
/// in with the new one is a step of its own, so that a second factor stays one.
///
/// # Errors
/// When the form comes from elsewhere, a network tries too often, or the database fails.
pub async fn set_password(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Form(PasswordForm { token, password }): Form<PasswordForm>,
) -> Result<Response, ApiError> {
    if let Some(wait_s) = must_wait_s(&app, peer, &headers)? {
        return Ok(pages::too_often(&app, "", wait_s));
    }
    let Some(account) = linked(&app, &token).await? else { return Ok(link_gone(&app)) };
    if let Err(complaint) = password::check(&password) {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return Ok(pages::new_password(status, &account.email, &token, &told(&complaint)));
    }
    let hash = password::hash(&app, password).await?;
    let (mac, now_ms) = (link_mac(&app.pepper, Purpose::Password, &token), app.clock.now_ms());
    if app.meta.password_links().take(&mac, now_ms).await?.is_none() {
        return Ok(link_gone(&app));
    }
    change_password(&app, &account, &hash).await?;
    Ok(pages::sign_in(
        &app,
        StatusCode::OK,
        &account.email,
        t("The password is changed: sign in with it."),
    ))
}

/// Keep another password of somebody, and write that down where they are a member.
///
/// # Errors
/// When the database fails.
pub async fn change_password(app: &App, account: &Account, hash: &str) -> Result<(), ApiError> {
    app.meta.accounts().set_password(account.id, hash).await?;
    let at_ms = app.clock.now_ms();
    let deed = Deed { actor: &account.email, action: "change_password", note: "", at_ms };
    for organisation in app.meta.directory().organisations_of(account.id) {
        let subject = format!("member/{}", account.id);
        let whose = Whose::Organisation(organisation);
        app.meta.note(whose, &subject, deed, serde_json::Value::Null).await?;
    }
    Ok(())
}
