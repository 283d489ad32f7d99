//! Signing in to the dashboard: a one-time link, then a session cookie.
//!
//! In: the token of a link that `serve` printed. Out: a cookie, and [`Viewer`], which proves that a
//! request carries one.
//!
//! Invariant: a link works once; of a session only a keyed hash is stored.
//!
//! Deliberately elsewhere: what a viewer sees (`dashboard`).

use std::sync::Mutex;

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use subtle::ConstantTimeEq;
use tallymark_protocol::hashing::to_hex;

use crate::app::App;
use crate::dashboard::sign_in_page;
use crate::error::ApiError;
use crate::extract::Params;

const COOKIE: &str = "tm_session";
/// Thirty days: people look at figures weekly, and signing in needs the server's console.
const SESSION_MS: i64 = 30 * 24 * 60 * 60 * 1000;
/// Links that wait to be used. More than one, for people who ask twice.
const LINKS_MAX: usize = 16;

/// The links that were printed and not used yet. In memory only: a restart ends them.
#[derive(Debug, Default)]
pub struct SignInTokens(Mutex<Vec<String>>);

impl SignInTokens {
    /// The token of a new link.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn issue(&self) -> Result<String, getrandom::Error> {
        let token = random_token()?;
        let mut waiting = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if waiting.len() == LINKS_MAX {
            waiting.remove(0);
        }
        waiting.push(token.clone());
        Ok(token)
    }

    /// Whether this token was issued; from now on it was not.
    fn redeem(&self, token: &str) -> bool {
        let mut waiting = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let place =
            waiting.iter().position(|known| known.as_bytes().ct_eq(token.as_bytes()).into());
        place.map(|place| waiting.remove(place)).is_some()
    }
}

fn random_token() -> Result<String, getrandom::Error> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes)?;
    Ok(to_hex(&bytes))
}

/// Someone who signed in to the dashboard.
#[derive(Debug, Clone)]
pub struct Viewer {
    _proof: (),
}

/// Nobody signed in: pages send people to the page that says how.
#[derive(Debug)]
pub struct NotSignedIn;

impl IntoResponse for NotSignedIn {
    fn into_response(self) -> Response {
        Redirect::to("/signin").into_response()
    }
}

impl FromRequestParts<App> for Viewer {
    type Rejection = NotSignedIn;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, NotSignedIn> {
        let token = cookie(&parts.headers).ok_or(NotSignedIn)?;
        let mac = app.pepper.mac("dashboard-session", token.as_bytes());
        match app.meta.sessions().is_live(&mac, app.clock.now_ms()).await {
            Ok(true) => Ok(Self { _proof: () }),
            Ok(false) => Err(NotSignedIn),
            Err(error) => {
                tracing::error!(%error, "a session could not be looked up");
                Err(NotSignedIn)
            }
        }
    }
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value)
}

/// The link's parameter.
#[derive(Debug, serde::Deserialize)]
pub struct SignIn {
    token: Option<String>,
}

/// `GET /signin?token=…`: use up a one-time link, start a session, go to the dashboard. Without a
/// token, a page that says where to get a link.
///
/// # Errors
/// When the session cannot be stored.
pub async fn sign_in(
    State(app): State<App>,
    Params(SignIn { token }): Params<SignIn>,
) -> Result<Response, ApiError> {
    let Some(token) = token else { return Ok(sign_in_page(StatusCode::OK, "")) };
    if !app.sign_in.redeem(&token) {
        let hint = "This link was used before, or it is of an earlier start of the server.";
        return Ok(sign_in_page(StatusCode::UNAUTHORIZED, hint));
    }
    let token = random_token().map_err(|error| ApiError::Internal(error.into()))?;
    let mac = app.pepper.mac("dashboard-session", token.as_bytes());
    let now_ms = app.clock.now_ms();
    app.meta.sessions().create(&mac, now_ms, now_ms + SESSION_MS).await?;
    let secure = if app.config.public_url.starts_with("https://") { "; Secure" } else { "" };
    let cookie = format!(
        "{COOKIE}={token}; Path=/; HttpOnly; SameSite=Lax; Max-Age={}{secure}",
        SESSION_MS / 1000
    );
    let mut response = Redirect::to("/").into_response();
    let cookie = HeaderValue::try_from(cookie).map_err(|error| ApiError::Internal(error.into()))?;
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

/// `POST /signout`: end the session.
///
/// # Errors
/// When the database cannot be written.
pub async fn sign_out(State(app): State<App>, headers: HeaderMap) -> Result<Response, ApiError> {
    if let Some(token) = cookie(&headers) {
        let mac = app.pepper.mac("dashboard-session", token.as_bytes());
        app.meta.sessions().end(&mac).await?;
    }
    let mut response = Redirect::to("/signin").into_response();
    let gone = HeaderValue::from_static("tm_session=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
    response.headers_mut().insert(header::SET_COOKIE, gone);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_works_once() {
        let tokens = SignInTokens::default();
        let token = tokens.issue().unwrap();
        assert!(!tokens.redeem("something else"));
        assert!(tokens.redeem(&token));
        assert!(!tokens.redeem(&token));
    }

    #[test]
    fn links_that_nobody_uses_do_not_pile_up() {
        let tokens = SignInTokens::default();
        let first = tokens.issue().unwrap();
        for _ in 0..LINKS_MAX {
            tokens.issue().unwrap();
        }
        assert!(!tokens.redeem(&first));
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, "a=b; tm_session=xyz ; c=d".parse().unwrap());
        assert_eq!(cookie(&headers), Some("xyz"));
    }
}
