//! Sessions: a cookie with a random token, of which only a keyed hash is stored.
//!
//! Invariant: over https the cookie is one that no other host and no http page can set (`__Host-`).

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;

use super::links::random_token;
use crate::access::Principal;
use crate::app::App;
use crate::error::ApiError;
use crate::extract::cookie;
use crate::folder::Pepper;

/// Thirty days: people look at figures weekly.
const SESSION_MS: i64 = 30 * 24 * 60 * 60 * 1000;

/// The name of the cookie, and what it carries beside its value.
fn cookie_form(app: &App) -> (&'static str, &'static str) {
    // Browsers keep no `__Host-` cookie that came without encryption.
    match app.config.is_https() {
        true => ("__Host-tm_session", "; Path=/; HttpOnly; SameSite=Lax; Secure"),
        false => ("tm_session", "; Path=/; HttpOnly; SameSite=Lax"),
    }
}

fn mac(pepper: &Pepper, token: &str) -> [u8; 32] {
    pepper.mac("dashboard-session", token.as_bytes())
}

/// Who is signed in, if anybody is.
///
/// # Errors
/// When the database cannot be read.
pub async fn principal(app: &App, headers: &HeaderMap) -> Result<Option<Principal>, ApiError> {
    let (name, _) = cookie_form(app);
    let Some(token) = cookie(headers, name) else { return Ok(None) };
    let mac = mac(&app.pepper, token);
    match app.meta.sessions().find(&mac, app.clock.now_ms()).await? {
        None => Ok(None),
        Some(None) => Ok(Some(Principal::Operator)),
        Some(Some(account)) => Ok(app.meta.directory().account(account).map(Principal::Person)),
    }
}

/// Start a session of somebody, or of whoever runs the machine, and put its cookie into a response.
///
/// # Errors
/// When the session cannot be stored.
pub async fn start(
    app: &App,
    account: Option<u32>,
    headers: &HeaderMap,
    response: &mut Response,
) -> Result<(), ApiError> {
    let token = random_token().map_err(|error| ApiError::Internal(error.into()))?;
    let (mac, now_ms) = (mac(&app.pepper, &token), app.clock.now_ms());
    let device = device(headers);
    app.meta.sessions().create(&mac, account, &device, now_ms, now_ms + SESSION_MS).await?;
    set_cookie(app, &token, SESSION_MS / 1000, response)
}

/// Browser and system, as people know them.
fn device(headers: &HeaderMap) -> String {
    let said = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    let known = said.and_then(|said| woothee::parser::Parser::new().parse(said));
    let part = |text: &str| (text != "UNKNOWN").then(|| text.to_owned());
    let parts = known.map(|known| [part(known.name), part(known.os)]).unwrap_or_default();
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The keyed hash of the session of a request.
pub fn current(app: &App, headers: &HeaderMap) -> Option<[u8; 32]> {
    cookie(headers, cookie_form(app).0).map(|token| mac(&app.pepper, token))
}

/// End the session of a request, and take its cookie back.
///
/// # Errors
/// When the database cannot be written.
pub async fn end(app: &App, headers: &HeaderMap, response: &mut Response) -> Result<(), ApiError> {
    let (name, _) = cookie_form(app);
    if let Some(token) = cookie(headers, name) {
        app.meta.sessions().end(&mac(&app.pepper, token)).await?;
    }
    set_cookie(app, "", 0, response)
}

fn set_cookie(app: &App, value: &str, age_s: i64, response: &mut Response) -> Result<(), ApiError> {
    let (name, form) = cookie_form(app);
    let cookie = HeaderValue::try_from(format!("{name}={value}; Max-Age={age_s}{form}"));
    let cookie = cookie.map_err(|error| ApiError::Internal(error.into()))?;
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(())
}
