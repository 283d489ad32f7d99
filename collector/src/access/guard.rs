//! The layer that asks the table, before any handler.
//!
//! In: a request on its way to a route. Out: the same with [`Caller`], [`Tenant`] and [`Realm`] beside
//! it, or a refusal: a problem for programs, the way to the sign-in page for people.
//!
//! A session is sent by browsers with whatever a foreign page makes them ask, so what changes something
//! must also show that it comes from our own pages ([`from_our_pages`]). A key never is.

use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};

use super::rules::{self, Needs};
use super::{Caller, Principal, Realm, Role, Tenant};
use crate::app::App;
use crate::dashboard;
use crate::error::ApiError;
use crate::extract::{Params, bearer, network};
use crate::keys::{KeyKind, Scope};
use crate::meta::organisations::MAIN_SLUG;
use crate::meta::projects::Project;
use crate::signin::{pages, session};

/// The layer.
pub async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    // Without a route it is going to be answered 404.
    let Some(path) = request.extensions().get::<MatchedPath>().cloned() else {
        return next.run(request).await;
    };
    let path = path.as_str();
    let Some(rule) = rules::find(request.method(), path) else { return not_taken(path) };
    let as_page = dashboard::wants_page(request.headers());
    let (mut parts, body) = request.into_parts();
    match admit(&mut parts, &app, rule.needs).await {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        // What others have as `/admin/…` is asked by programs too, which a redirect tells nothing.
        Err(ApiError::SignInNeeded) if path.starts_with("/admin/") => {
            pages::sign_in(&app, StatusCode::UNAUTHORIZED, "", "")
        }
        Err(ApiError::SignInNeeded) if is_page(path) => Redirect::to("/signin").into_response(),
        Err(error) if is_page(path) && as_page => dashboard::failure(&error),
        Err(error) => error.into_response(),
    }
}

/// The answer where the table has no rule: the methods it has rules for, or nothing at all.
fn not_taken(path: &str) -> Response {
    let methods = rules::methods(path);
    if methods.is_empty() {
        tracing::error!(path, "a route has no rule, so nobody may use it");
        return ApiError::NotFound.into_response();
    }
    let mut response = ApiError::MethodNotAllowed.into_response();
    if let Ok(methods) = HeaderValue::try_from(methods) {
        response.headers_mut().insert(header::ALLOW, methods);
    }
    response
}

fn is_page(path: &str) -> bool {
    !path.starts_with("/v1/") && !path.starts_with("/api/")
}

/// Let a request through for what it needs, and put who it is and for what beside it.
///
/// # Errors
/// What the caller is missing. Of projects and organisations that they have no part in, that there is
/// no such thing.
pub async fn admit(parts: &mut Parts, app: &App, needs: Needs) -> Result<(), ApiError> {
    match needs {
        Needs::Nothing | Needs::WriteKey | Needs::Depends => {}
        Needs::Project(scope, role) => {
            let (caller, project) = in_project(parts, app, scope, role).await?;
            parts.extensions.insert(Tenant(project));
            parts.extensions.insert(caller);
        }
        Needs::Member(role) => {
            let named = named_project(parts, app).await?;
            let (caller, project) = as_member(parts, app, &named, role).await?;
            parts.extensions.insert(Tenant(project));
            parts.extensions.insert(caller);
        }
        Needs::SignedIn => {
            let principal = signed_in(parts, app).await?;
            parts.extensions.insert(Caller { principal, role: Role::Viewer });
        }
        Needs::Operator => {
            let principal = signed_in(parts, app).await?;
            let Principal::Operator = principal else { return Err(ApiError::OperatorNeeded) };
            parts.extensions.insert(Caller { principal, role: Role::Owner });
        }
        Needs::Organisation(least) => {
            let principal = signed_in(parts, app).await?;
            let slug = route_parameter(parts, app, "organisation").await;
            // An operation that names none is about the one that is always there.
            let slug = slug.unwrap_or_else(|| MAIN_SLUG.to_owned());
            let directory = app.meta.directory();
            let organisation =
                directory.organisation(&slug).ok_or(ApiError::OrganisationUnknown)?;
            let role = directory.role(&principal, organisation.id);
            let role = role.ok_or(ApiError::OrganisationUnknown)?;
            at_least(role, least)?;
            parts.extensions.insert(Realm(organisation));
            parts.extensions.insert(Caller { principal, role });
        }
    }
    Ok(())
}

/// Who asks for something on a project, and which.
async fn in_project(
    parts: &mut Parts,
    app: &App,
    scope: Scope,
    least: Role,
) -> Result<(Caller, Arc<Project>), ApiError> {
    let named = named_project(parts, app).await?;
    let network = network(app, &parts.headers, &parts.extensions);
    if let Some(access) = bearer(app, &parts.headers, network).await? {
        if access.key.kind != KeyKind::Secret || !access.key.scopes.allows(scope) {
            return Err(ApiError::ScopeMissing(scope));
        }
        // A key knows its project: a name beside it can only be right or wrong.
        if named.iter().any(|slug| *slug != access.project.slug) {
            return Err(ApiError::ProjectUnknown);
        }
        // What the key may do is a matter of its scopes alone.
        return Ok((
            Caller { principal: Principal::Key(access.key), role: Role::Owner },
            access.project,
        ));
    }
    as_member(parts, app, &named, least).await
}

/// Who is signed in, and the project they name.
async fn as_member(
    parts: &Parts,
    app: &App,
    named: &[String],
    least: Role,
) -> Result<(Caller, Arc<Project>), ApiError> {
    let principal = signed_in(parts, app).await?;
    let [slug, rest @ ..] = named else {
        return Err(ApiError::parameter(
            "project",
            "with a dashboard session, say which project: ?project=slug",
        ));
    };
    let project = app.meta.find_project(slug).await?.ok_or(ApiError::ProjectUnknown)?;
    let role = app.meta.directory().role(&principal, project.organisation);
    let role = role.ok_or(ApiError::ProjectUnknown)?;
    if rest.iter().any(|other| other != slug) {
        return Err(ApiError::ProjectUnknown);
    }
    at_least(role, least)?;
    Ok((Caller { principal, role }, project))
}

fn at_least(role: Role, least: Role) -> Result<(), ApiError> {
    if role < least { Err(ApiError::RoleMissing(least)) } else { Ok(()) }
}

/// Who is signed in; for what changes something, from one of our pages.
async fn signed_in(parts: &Parts, app: &App) -> Result<Principal, ApiError> {
    let principal = session::principal(app, &parts.headers).await?;
    let principal = principal.ok_or(ApiError::SignInNeeded)?;
    if !parts.method.is_safe() && !from_our_pages(app, &parts.headers) {
        return Err(ApiError::CrossSite);
    }
    Ok(principal)
}

/// Whether a browser says that the request comes from a page of this very origin. Browsers that do not
/// say where it comes from do not get to change anything.
pub fn from_our_pages(app: &App, headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin";
    }
    let origin = text("origin").unwrap_or_default();
    let public = app.config.public_url.trim_end_matches('/');
    let ours = match public {
        "" => text("host").is_some_and(|host| origin.strip_prefix("http://") == Some(host)),
        public => origin == public,
    };
    !origin.is_empty() && ours
}

#[derive(serde::Deserialize)]
struct ProjectParam {
    project: Option<String>,
}

/// The project as the address and the header name it: neither decides anything by itself.
async fn named_project(parts: &mut Parts, app: &App) -> Result<Vec<String>, ApiError> {
    let Params(ProjectParam { project }) = Params::from_request_parts(parts, app).await?;
    let header = parts.headers.get("x-tenant-slug").map(|slug| slug.to_str().unwrap_or_default());
    let header = header.map(str::to_owned);
    let route = route_parameter(parts, app, "slug").await;
    Ok(route.into_iter().chain(project).chain(header).collect())
}

/// A part of the route.
async fn route_parameter(parts: &mut Parts, app: &App, name: &str) -> Option<String> {
    let all = RawPathParams::from_request_parts(parts, app).await.ok()?;
    all.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
}
