//! Another password for somebody who has forgotten theirs, by mail.
//!
//! In: an address. Out: always the same page, as soon for those who have an account as for those who have none. An account
//! gets at most one mail in five minutes, whoever asks.
//!
//! Deliberately elsewhere: the form behind the link (`handler`).

use std::net::SocketAddr;

use axum::Form;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;

use super::handler::must_wait_s;
use super::links::RESET_MS;
use super::pages;
use crate::admin::people::handler::post;
use crate::admin::people::{Refused, reset};
use crate::app::App;
use crate::error::ApiError;
use crate::meta::accounts;
use crate::meta::audit::Deed;

/// Between two mails to an account.
const BETWEEN_MS: i64 = 5 * 60 * 1000;

/// `GET /forgot`: who are you?
pub async fn show(State(app): State<App>) -> Response {
    pages::forgot(&app, StatusCode::OK, false)
}

/// The form.
#[derive(Deserialize)]
pub struct ForgotForm {
    email: String,
}

/// `POST /forgot`: send a link, if there is such an account.
///
/// # Errors
/// When the form comes from elsewhere, or a network tries too often.
pub async fn send(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Form(ForgotForm { email }): Form<ForgotForm>,
) -> Result<Response, ApiError> {
    if let Some(wait_s) = must_wait_s(&app, peer, &headers)? {
        return Ok(pages::too_often(&app, &email, wait_s));
    }
    if app.mailer.is_set()
        && let Some(email) = accounts::email(&email)
    {
        // Not waited for: how long it takes would say whether there is such an account.
        let app = app.clone();
        tokio::spawn(async move {
            if let Err(error) = send_to(&app, &email).await {
                tracing::error!(%error, "a link to another password could not be made");
            }
        });
    }
    Ok(pages::forgot(&app, StatusCode::OK, true))
}

async fn send_to(app: &App, email: &str) -> Result<(), Refused> {
    app.meta.refresh().await?;
    let Some(credentials) = app.meta.accounts().credentials(email).await? else { return Ok(()) };
    let directory = app.meta.directory();
    let organisations = directory.organisations_of(credentials.account);
    let Some(account) = directory.account(credentials.account) else { return Ok(()) };
    if organisations.is_empty() {
        return Ok(());
    }
    let now_ms = app.clock.now_ms();
    let newest = app.meta.password_links().expires_ms(account.id).await?;
    if newest.is_some_and(|expires_ms| expires_ms - RESET_MS > now_ms - BETWEEN_MS) {
        return Ok(());
    }
    let deed = Deed { actor: email, action: "forgot", note: "", at_ms: now_ms };
    let made = reset(&app.meta, &app.pepper, &account, &organisations, deed).await?;
    post(app).password(&made).await;
    Ok(())
}
