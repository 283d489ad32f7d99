//! One's own account: password, second step, and where one is signed in.
//!
//! Whoever runs the server by its one-time link has no account; the page says so.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};

use super::form::{After, Fields, Filled, Said, Trouble, moment};
use super::words::{filters, t};
use super::{Shell, show as show_page};
use crate::access::{Caller, Principal};
use crate::app::App;
use crate::error::ApiError;
use crate::meta::accounts::Account;
use crate::signin::attempts::{self, Tried};
use crate::signin::handler::change_password;
use crate::signin::{password, second, session, totp};

/// What apps show above the code.
const ISSUER: &str = "Tallymark";

/// The page of an account.
pub fn router() -> Router<App> {
    Router::new()
        .route("/account", get(show))
        .route("/account/password", post(set_password))
        .route("/account/second-step", get(begin).post(confirm))
        .route("/account/second-step/off", post(drop_second))
        .route("/account/sessions/end", post(end_others))
}

#[derive(Template)]
#[template(path = "account.html")]
struct Page {
    shell: Shell,
    frame: Frame,
    account: Option<Arc<Account>>,
    chars_min: usize,
    in_force: bool,
    codes_left: u32,
    sessions: Vec<Row>,
}

/// What `said.html` looks for.
struct Frame {
    said: Said,
}

struct Row {
    device: String,
    since: String,
    until: String,
    own: bool,
}

/// `GET /account`
async fn show(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Query(after): Query<After>,
) -> Result<Response, Trouble> {
    page(&app, &caller, &headers, (StatusCode::OK, after.into())).await
}

async fn page(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    (status, said): (StatusCode, Said),
) -> Result<Response, Trouble> {
    let account = own(caller).ok();
    let mut page = Page {
        shell: Shell::new(),
        frame: Frame { said },
        account: account.clone(),
        chars_min: password::CHARS_MIN,
        in_force: false,
        codes_left: 0,
        sessions: Vec::new(),
    };
    if let Some(account) = account {
        page.in_force = second::is_in_force(app, account.id).await?;
        page.codes_left = app.meta.second_factors().recovery_left(account.id).await?;
        let current = session::current(app, headers);
        let all = app.meta.sessions().list(account.id, app.clock.now_ms()).await?;
        let row = |session: crate::meta::sessions::Session| Row {
            own: current.is_some_and(|own| session.mac == own),
            since: moment(session.created_ms, "UTC"),
            until: moment(session.expires_ms, "UTC"),
            device: session.device,
        };
        page.sessions = all.into_iter().map(row).collect();
    }
    Ok(show_page(status, &page))
}

/// The account of whoever asks.
fn own(caller: &Caller) -> Result<Arc<Account>, ApiError> {
    match &caller.principal {
        Principal::Person(account) => Ok(Arc::clone(account)),
        _ => Err(ApiError::parameter(
            "account",
            "you came by the printed link, which is nobody's; sign in with an account",
        )),
    }
}

fn back(done: &str) -> Response {
    Redirect::to(&format!("/account?done={done}")).into_response()
}

fn refused(why: &str) -> (StatusCode, Said) {
    (StatusCode::UNPROCESSABLE_ENTITY, Said { done: None, refused: Some(why.to_owned()) })
}

/// Whether the password that was typed is that of the account. Wrong ones count as they do when signing in.
async fn is_theirs(app: &App, account: &Account, typed: String) -> Result<bool, ApiError> {
    Ok(attempts::with_password(app, &account.email, typed).await? != Tried::Wrong)
}

/// `POST /account/password`
async fn set_password(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    fields: Filled,
) -> Result<Response, Trouble> {
    let (account, fields) = (own(&caller)?, Fields::from(fields));
    if !is_theirs(&app, &account, fields.raw("current")).await? {
        let said = refused(t("This is not your password as it is now."));
        return page(&app, &caller, &headers, said).await;
    }
    if let Err(complaint) = password::check(&fields.raw("password")) {
        return page(&app, &caller, &headers, refused(&complaint)).await;
    }
    let hash = password::hash(&app, fields.raw("password")).await?;
    change_password(&app, &account, &hash).await?;
    // All sessions ended with the old password; this one begins anew.
    let mut response = back("password");
    session::start(&app, Some(account.id), &headers, &mut response).await?;
    Ok(response)
}

#[derive(Template)]
#[template(path = "second_step.html")]
struct SecondStep {
    shell: Shell,
    frame: Frame,
    /// What to put into an app; nothing once it is there.
    secret: Option<Secret>,
    /// Codes to get back in, for the only time.
    codes: Vec<String>,
}

struct Secret {
    words: String,
    side: i32,
    path: String,
}

/// `GET /account/second-step`: what to put into an app.
async fn begin(State(app): State<App>, caller: Caller) -> Result<Response, Trouble> {
    begun(&app, &*own(&caller)?, (StatusCode::OK, Said::default())).await
}

async fn begun(
    app: &App,
    account: &Account,
    (status, said): (StatusCode, Said),
) -> Result<Response, Trouble> {
    if second::is_in_force(app, account.id).await? {
        return Ok(Redirect::to("/account").into_response());
    }
    let secret = second::begin(app, account.id).await?;
    let picture = totp::picture(&secret.address(ISSUER, &account.email));
    let (side, path) = picture.unwrap_or_default();
    let secret = Secret { words: secret.words(), side, path };
    let frame = Frame { said };
    let page = SecondStep { shell: Shell::new(), frame, secret: Some(secret), codes: Vec::new() };
    Ok(show_page(status, &page))
}

/// `POST /account/second-step`: a first code puts it in force.
async fn confirm(
    State(app): State<App>,
    caller: Caller,
    fields: Filled,
) -> Result<Response, Trouble> {
    let (account, fields) = (own(&caller)?, Fields::from(fields));
    if !is_theirs(&app, &account, fields.raw("current")).await? {
        return begun(&app, &account, refused(t("This is not your password."))).await;
    }
    let Some(codes) = second::confirm(&app, &account, fields.get("code")).await? else {
        let why = t(
            "This code is not right. Codes change every half minute; is the phone's clock right?",
        );
        return begun(&app, &account, refused(why)).await;
    };
    let frame = Frame { said: Said::default() };
    let page = SecondStep { shell: Shell::new(), frame, secret: None, codes };
    Ok(show_page(StatusCode::CREATED, &page))
}

/// `POST /account/second-step/off`
async fn drop_second(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    fields: Filled,
) -> Result<Response, Trouble> {
    let (account, fields) = (own(&caller)?, Fields::from(fields));
    if !is_theirs(&app, &account, fields.raw("current")).await? {
        return page(&app, &caller, &headers, refused(t("This is not your password."))).await;
    }
    second::remove(&app, &account).await?;
    Ok(back("dropped"))
}

/// `POST /account/sessions/end`: all but this one.
async fn end_others(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    let account = own(&caller)?;
    let current = session::current(&app, &headers).ok_or(ApiError::SignInNeeded)?;
    app.meta.sessions().end_others(account.id, &current).await?;
    Ok(back("ended"))
}
