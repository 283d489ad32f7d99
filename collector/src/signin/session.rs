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

const SESSION: &str = "tm_session";

/// A cookie that we set, by its name without the prefix.
pub(super) fn kept<'a>(app: &App, headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    cookie(headers, &cookie_name(app, name))
}

/// Browsers keep no `__Host-` cookie that came without encryption.
fn cookie_name(app: &App, name: &str) -> String {
    format!("{}{name}", if app.config.is_https() { "__Host-" } else { "" })
}

fn mac(pepper: &Pepper, token: &str) -> [u8; 32] {
    pepper.mac("dashboard-session", token.as_bytes())
}

/// Who is signed in, if anybody is.
///
/// # Errors
/// When the database cannot be read.
pub async fn principal(app: &App, headers: &HeaderMap) -> Result<Option<Principal>, ApiError> {
    let Some(token) = kept(app, headers, SESSION) else { return Ok(None) };
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
    set_cookie(app, SESSION, &token, SESSION_MS / 1000, response)
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
    kept(app, headers, SESSION).map(|token| mac(&app.pepper, token))
}

/// End the session of a request, and take its cookie back.
///
/// # Errors
/// When the database cannot be written.
pub async fn end(app: &App, headers: &HeaderMap, response: &mut Response) -> Result<(), ApiError> {
    if let Some(token) = kept(app, headers, SESSION) {
        app.meta.sessions().end(&mac(&app.pepper, token)).await?;
    }
    set_cookie(app, SESSION, "", 0, response)
}

/// Set a cookie, or take it back with an age of 0. Links from other sites bring it along, forms of theirs do not.
pub(super) fn set_cookie(
    app: &App,
    name: &str,
    value: &str,
    age_s: i64,
    response: &mut Response,
) -> Result<(), ApiError> {
    let (name, secure) =
        (cookie_name(app, name), if app.config.is_https() { "; Secure" } else { "" });
    let cookie = format!("{name}={value}; Max-Age={age_s}; Path=/; HttpOnly; SameSite=Lax{secure}");
    let cookie = HeaderValue::try_from(cookie).map_err(|error| ApiError::Internal(error.into()))?;
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(())
}
