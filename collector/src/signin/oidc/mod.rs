//! Signing in with an account that people have elsewhere: OpenID Connect, authorization code with PKCE.
//!
//! In: a click on the sign-in page, then whom the provider sends back. Out: a session, for whoever has the e-mail address that the
//! provider has checked; or the sign-in page with a sentence.
//!
//! The first time, the account is bound to whom the provider means (issuer and subject). From then on these decide and not
//! the address, which the provider may give to somebody else.
//!
//! Invariants: nobody becomes a member by signing in unless `oidc_new_members` says so; who has set up a second step here takes
//! it here too, and is bound after it; an answer of the provider counts in the browser that asked, once, for ten minutes.
//!
//! Nothing is stored between the two steps: a cookie holds a random text, and state, nonce and PKCE verifier are keyed hashes
//! of it, so an answer fits only the browser with this cookie.

pub mod provider;
pub mod token;

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tallymark_protocol::hashing::to_hex;

use super::handler::{self, ask_for_code, wait_s};
use super::links::random_token;
use super::second::Half;
use super::{pages, second, session};
use crate::access::Role;
use crate::app::App;
use crate::config::{Config, Credential, SettingValue};
use crate::dashboard::words::{heard, say, t};
use crate::error::ApiError;
use crate::extract::Params;
use crate::folder::Pepper;
use crate::meta::accounts;
use crate::meta::audit::Deed;
use crate::meta::elsewhere::Identity;
use crate::meta::organisations::MAIN;
use crate::outbound::trusted_url;
use provider::Provider;
use token::{Expected, Refused, Somebody};

/// Time to sign in at the provider.
const ATTEMPT_MS: i64 = 10 * 60 * 1000;

/// Which provider, and what it knows us as.
#[derive(Debug, Clone)]
pub struct Settings {
    issuer: String,
    client_id: String,
    client_secret: Credential,
    /// Where it sends people back to.
    redirect: String,
}

/// Signing in elsewhere, where it is set.
#[derive(Debug)]
pub struct Oidc {
    settings: Settings,
    provider: Provider,
    /// What the button says.
    pub name: String,
    new_members: Option<Role>,
    domains: Vec<String>,
}

impl Oidc {
    /// By the settings; `None` where they name no provider.
    ///
    /// # Errors
    /// When they do not go together.
    pub fn of(config: &Config) -> Result<Option<Self>, OidcError> {
        if config.oidc_issuer.is_empty() {
            return Ok(None);
        }
        trusted_url(&config.oidc_issuer).map_err(OidcError::Issuer)?;
        if config.oidc_client_id.is_empty() {
            return Err(OidcError::NoClient);
        }
        if config.public_url.is_empty() {
            return Err(OidcError::NoAddress);
        }
        let domains = config.oidc_domains.split(',').map(|domain| domain.trim().to_lowercase());
        let domains: Vec<String> = domains.filter(|domain| !domain.is_empty()).collect();
        let new_members = config.oidc_new_members.0;
        if new_members.is_some() && domains.is_empty() {
            return Err(OidcError::NoDomains);
        }
        let settings = Settings {
            issuer: config.oidc_issuer.clone(),
            client_id: config.oidc_client_id.clone(),
            client_secret: config.oidc_client_secret.clone(),
            redirect: format!("{}/signin/oidc/back", config.public_url.trim_end_matches('/')),
        };
        let (name, provider) = (config.oidc_name.clone(), Provider::default());
        Ok(Some(Self { settings, provider, name, new_members, domains }))
    }

    /// What somebody gets who is not known here yet.
    fn welcome(&self, email: &str) -> Option<Role> {
        let (_, host) = email.rsplit_once('@')?;
        self.new_members.filter(|_| self.domains.iter().any(|domain| domain == host))
    }
}

/// Why the settings of signing in elsewhere do not go together.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// The address of the provider.
    #[error("oidc_issuer: {0}")]
    Issuer(String),
    /// We have no name there.
    #[error("oidc_issuer needs oidc_client_id: as what the provider knows this server")]
    NoClient,
    /// The provider would not know where to send people back to.
    #[error("oidc_issuer needs public_url: the provider sends people back to it")]
    NoAddress,
    /// Everybody with an account there would become a member.
    #[error("oidc_new_members needs oidc_domains: whose addresses make members")]
    NoDomains,
}

/// What somebody becomes who signs in for the first time: nothing, or a role below owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewMembers(Option<Role>);

impl SettingValue for NewMembers {
    fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let role = Some(text).filter(|text| !text.is_empty()).map(Role::parse).transpose()?;
        match role {
            Some(Role::Owner) => {
                Err("owners are made by owners: viewer, analyst or admin".to_owned())
            }
            role => Ok(Self(role)),
        }
    }
    fn show(&self) -> String {
        self.0.map(Role::as_str).unwrap_or_default().to_owned()
    }
}

/// Why somebody is not signed in.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The provider cannot be used.
    #[error("the provider cannot be used: {0}")]
    Provider(String),
    /// Its token is not believed.
    #[error("the token is refused: {0}")]
    Token(#[from] Refused),
    /// Not the browser that asked, or too late.
    #[error("the answer belongs to no attempt of this browser")]
    State,
    /// They went back, or may not.
    #[error("the provider let nobody in: {0}")]
    Denied(String),
    /// Nobody here has this address.
    #[error("nobody here has the address")]
    Unknown(String),
    /// Somebody else had this address at the provider before.
    #[error("the account is bound to somebody else at the provider")]
    Another(String),
}

impl Trouble {
    /// What the person reads. What is wrong with the installation is in the log.
    fn shown(&self) -> (StatusCode, String) {
        match self {
            Self::Provider(_) => (
                StatusCode::BAD_GATEWAY,
                t(
                    "The other account cannot be used at the moment. Whoever runs this server finds the reason in its log.",
                )
                .to_owned(),
            ),
            Self::Token(refused) => (
                StatusCode::UNAUTHORIZED,
                say(
                    "What the other account says of you is not accepted: {why}.",
                    &[("why", &heard(&refused.to_string()))],
                ),
            ),
            Self::State => (
                StatusCode::UNAUTHORIZED,
                t(
                    "That took longer than ten minutes, or it was begun in another browser: try again.",
                )
                .to_owned(),
            ),
            Self::Denied(said) => (
                StatusCode::UNAUTHORIZED,
                say("The other account did not let you in: {why}.", &[("why", said)]),
            ),
            Self::Unknown(email) => (
                StatusCode::FORBIDDEN,
                say(
                    "Nobody here has the address {email}: ask an admin for an invitation.",
                    &[("email", email)],
                ),
            ),
            Self::Another(email) => (
                StatusCode::FORBIDDEN,
                say(
                    "The account of {email} here belongs to somebody else who had this address before you: ask an owner, who can let go of them under Members.",
                    &[("email", email)],
                ),
            ),
        }
    }
}

/// An attempt: what the browser keeps, and what is derived from it.
struct Attempt<'a> {
    pepper: &'a Pepper,
    kept: String,
}

impl<'a> Attempt<'a> {
    fn begin(pepper: &'a Pepper, now_ms: i64) -> Result<Self, ApiError> {
        let token = random_token().map_err(|error| ApiError::Internal(error.into()))?;
        Ok(Self { pepper, kept: format!("{token}.{}", now_ms + ATTEMPT_MS) })
    }

    /// That of a browser, if its time is not over and this is its state.
    fn of(pepper: &'a Pepper, kept: &str, state: &str, now_ms: i64) -> Option<Self> {
        let attempt = Self { pepper, kept: kept.to_owned() };
        let (_, until_ms) = kept.split_once('.')?;
        let in_time = now_ms < until_ms.parse().ok()?;
        let same: bool = attempt.derived("oidc-state").as_bytes().ct_eq(state.as_bytes()).into();
        (in_time && same).then_some(attempt)
    }

    fn derived(&self, purpose: &str) -> String {
        to_hex(&self.pepper.mac(purpose, self.kept.as_bytes()))
    }

    fn nonce(&self) -> String {
        self.derived("oidc-nonce")
    }

    fn verifier(&self) -> String {
        self.derived("oidc-verifier")
    }
}

/// The cookie of an attempt.
const ATTEMPT: &str = "tm_oidc";

fn sorry(app: &App, trouble: &Trouble) -> Response {
    tracing::warn!(%trouble, "somebody could not sign in with another account");
    let (status, said) = trouble.shown();
    pages::sign_in(app, status, "", &said)
}

/// `GET /signin/oidc`: to the provider.
///
/// # Errors
/// When a network tries too often, or the system has no randomness.
pub async fn begin(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    if app.oidc.is_none() {
        return Ok(Redirect::to("/signin").into_response());
    }
    if let Some(wait_s) = wait_s(&app, peer, &headers) {
        return Ok(pages::too_often(&app, "", wait_s));
    }
    let now_ms = app.clock.now_ms();
    let attempt = Attempt::begin(&app.pepper, now_ms)?;
    let (state, nonce, verifier) =
        (attempt.derived("oidc-state"), attempt.nonce(), attempt.verifier());
    let challenge = BASE64.encode(Sha256::digest(verifier.as_bytes()));
    let way = app.blocking(move |app| {
        let Some(Oidc { settings, provider, .. }) = &app.oidc else {
            return Err(ApiError::NotFound);
        };
        let ask = [
            ("response_type", "code"),
            ("client_id", settings.client_id.as_str()),
            ("redirect_uri", settings.redirect.as_str()),
            ("scope", "openid email profile"),
            ("state", &state),
            ("nonce", &nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        Ok(provider
            .described(settings, now_ms)
            .and_then(|described| provider::way(&described, &ask)))
    });
    match way.await? {
        Ok(way) => {
            let mut response = Redirect::to(&way).into_response();
            session::set_cookie(&app, ATTEMPT, &attempt.kept, ATTEMPT_MS / 1000, &mut response)?;
            Ok(response)
        }
        Err(trouble) => Ok(sorry(&app, &trouble)),
    }
}

/// What the provider sends people back with.
#[derive(Debug, Deserialize)]
pub struct Back {
    code: Option<String>,
    state: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

/// `GET /signin/oidc/back`: from the provider.
///
/// # Errors
/// When a network tries too often, or the database fails.
pub async fn back(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Params(back): Params<Back>,
) -> Result<Response, ApiError> {
    if let Some(wait_s) = wait_s(&app, peer, &headers) {
        return Ok(pages::too_often(&app, "", wait_s));
    }
    let kept = session::kept(&app, &headers, ATTEMPT).unwrap_or_default().to_owned();
    let mut response = match arrive(&app, &kept, back).await? {
        Ok(somebody) => admit(&app, somebody, &headers).await?,
        Err(trouble) => sorry(&app, &trouble),
    };
    session::set_cookie(&app, ATTEMPT, "", 0, &mut response)?;
    Ok(response)
}

/// Whom the provider sends back.
async fn arrive(app: &App, kept: &str, back: Back) -> Result<Result<Somebody, Trouble>, ApiError> {
    let now_ms = app.clock.now_ms();
    let state = back.state.unwrap_or_default();
    let Some(attempt) = Attempt::of(&app.pepper, kept, &state, now_ms) else {
        return Ok(Err(Trouble::State));
    };
    if let Some(error) = back.error {
        let word = error.chars().all(|char| char.is_ascii_lowercase() || char == '_');
        let said = if word && error.len() <= 40 { error } else { "without a reason".to_owned() };
        return Ok(Err(Trouble::Denied(said)));
    }
    let (nonce, verifier) = (attempt.nonce(), attempt.verifier());
    let (code, said_issuer) = (back.code.unwrap_or_default(), back.iss);
    app.blocking(move |app| {
        let Some(Oidc { settings, provider, .. }) = &app.oidc else {
            return Err(ApiError::NotFound);
        };
        let ask = || {
            let described = provider.described(settings, now_ms)?;
            // Another provider's answer must not reach this one's token endpoint (RFC 9207).
            let named = said_issuer.as_ref().map(|issuer| *issuer == settings.issuer);
            if !named.unwrap_or(!described.authorization_response_iss_parameter_supported) {
                return Err(Refused::Issuer.into());
            }
            let token = provider::exchange(&described, settings, &code, &verifier)?;
            let Settings { issuer, client_id, .. } = settings;
            let expected = Expected { issuer, client_id, nonce: &nonce, now_s: now_ms / 1000 };
            match token::check(&token, &*provider.keys(&described, false, now_ms)?, &expected) {
                Err(Refused::Key) => {
                    Ok(token::check(&token, &*provider.keys(&described, true, now_ms)?, &expected)?)
                }
                checked => Ok(checked?),
            }
        };
        Ok(ask())
    })
    .await
}

/// Whom a provider means by this subject.
fn identity(app: &App, subject: &str) -> Result<Identity, ApiError> {
    let issuer = app.oidc.as_ref().ok_or(ApiError::NotFound)?.settings.issuer.clone();
    let mac = app.pepper.mac("oidc-subject", format!("{issuer}\0{subject}").as_bytes());
    Ok(Identity { issuer, mac })
}

/// Sign somebody in who has proved who they are there.
async fn admit(app: &App, somebody: Somebody, headers: &HeaderMap) -> Result<Response, ApiError> {
    let unknown = |email: &str| Ok(sorry(app, &Trouble::Unknown(email.to_owned())));
    app.meta.refresh().await?;
    let who = identity(app, &somebody.subject)?;
    let directory = app.meta.directory();
    let bound = app.meta.elsewhere().account_of(&who).await?;
    let (email, known) = match bound.and_then(|account| directory.account(account)) {
        // Whatever their address is now.
        Some(account) => (account.email.clone(), Some(account.id)),
        None => {
            let email = accounts::email(&somebody.email);
            let Some(email) = email else { return unknown(&somebody.email) };
            let known = app.meta.accounts().credentials(&email).await?;
            let known = known.map(|known| known.account);
            if let Some(account) = known
                && app.meta.elsewhere().is_bound(account, Some(&who.issuer)).await?
            {
                return Ok(sorry(app, &Trouble::Another(email)));
            }
            (email, known)
        }
    };
    let is_member = |account: u32| !directory.organisations_of(account).is_empty();
    let account = match known.filter(|account| is_member(*account)) {
        Some(account) => account,
        None => {
            let welcome = app.oidc.as_ref().and_then(|oidc| oidc.welcome(&email));
            let Some(role) = welcome else { return unknown(&email) };
            let at_ms = app.clock.now_ms();
            let deed = Deed { actor: &email, action: "join", note: "", at_ms };
            app.meta.accounts().join(MAIN, &email, somebody.name.trim(), role, deed).await?
        }
    };
    if second::is_in_force(app, account).await? {
        return Ok(ask_for_code(app, Half { account, elsewhere: Some(who.mac) }));
    }
    enter(app, account, who.mac, "another account", headers).await
}

/// Start a session of somebody whom the provider means by this, and bind their account to them if it is the first time.
///
/// # Errors
/// When the database fails.
pub(super) async fn enter(
    app: &App,
    account: u32,
    mac: [u8; 32],
    by: &str,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let issuer = app.oidc.as_ref().ok_or(ApiError::NotFound)?.settings.issuer.clone();
    let directory = app.meta.directory();
    let email = directory.account(account).map(|account| account.email.clone());
    let email = email.unwrap_or_default();
    let deed = Deed { actor: &email, action: "bind", note: "", at_ms: app.clock.now_ms() };
    let organisations = directory.organisations_of(account);
    let who = Identity { issuer, mac };
    if !app.meta.elsewhere().bind(account, &who, &organisations, deed).await? {
        return Ok(sorry(app, &Trouble::Another(email)));
    }
    handler::enter(app, account, by, headers).await
}
