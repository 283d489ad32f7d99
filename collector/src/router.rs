//! Every route, and what wraps them all.
//!
//! Invariants: every error is a problem document; every answer has the security headers and a
//! request id; a panic is a counted 500.
//!
//! Deliberately elsewhere: connections and time-outs (`server`), the short way of batches (`front`),
//! what handlers decide.

use std::any::Any;
use std::borrow::Cow;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{
    DefaultPredicate, NotForContentType, Predicate, SizeAbove,
};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access;
use crate::admin::people::handler as people;
use crate::admin::{keys, organisations, projects};
use crate::aliases::{analytics, business, growth_page};
use crate::app::App;
use crate::bulk::form::Form;
use crate::error::{ApiError, ProblemCode};
use crate::ingest::handler::BATCH_PATH;
use crate::signin::{forgot, handler as signin, oidc};
use crate::telemetry::{Answered, Reason};
use crate::usage::handler as usage;
use crate::{
    api_page, conditional, dashboard, experiments, ingest, live, openapi, privacy, quarantine,
    query, saved, sdk, service, unread,
};

/// All routes with all layers.
pub fn router(app: App) -> Router {
    let (documented, _) = documented();
    Router::new()
        .merge(documented)
        .route("/openapi.json", get(show_openapi))
        .route("/docs", get(api_page::show_page))
        .route(BATCH_PATH, axum::routing::options(preflight))
        .route("/signin", get(signin::show_sign_in).post(signin::sign_in))
        .route("/signin/code", post(signin::sign_in_by_code))
        .route("/password", get(signin::show_password).post(signin::set_password))
        .route("/signin/oidc", get(oidc::begin))
        .route("/signin/oidc/back", get(oidc::back))
        .route("/forgot", get(forgot::show).post(forgot::send))
        .route("/signout", post(signin::sign_out))
        .route("/invitation", get(signin::show_invitation).post(signin::accept_invitation))
        .route("/admin/metrics", get(growth_page::show_page))
        .route("/admin/metrics.js", get(growth_page::show_script))
        .route("/admin/metrics.css", get(growth_page::show_style))
        .merge(dashboard::router())
        .fallback(async || ApiError::NotFound)
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .layer(from_fn_with_state(app.clone(), access::guard))
        .layer(from_fn(dashboard::words::layer))
        .layer(axum::extract::DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(from_fn(conditional::tagged))
        .layer(CompressionLayer::new().gzip(true).compress_when(worth_packing()))
        .layer(from_fn_with_state(app.clone(), dress))
        .layer(from_fn(unread::read_unread))
        .layer(CatchPanicLayer::custom(PanicAnswer(app.clone())))
        .with_state(app)
}

/// Receipts are small and many: packing them costs more than it saves. Parquet is packed already.
fn worth_packing() -> impl Predicate {
    DefaultPredicate::new()
        .and(SizeAbove::new(1024))
        .and(NotForContentType::const_new(Form::Parquet.media_type()))
}

/// Bodies that no handler of ours reads by itself: small forms.
const FORM_BYTES_MAX: usize = 64 * 1024;

fn documented() -> (Router<App>, utoipa::openapi::OpenApi) {
    OpenApiRouter::with_openapi(openapi::Document::openapi())
        .routes(routes!(ingest::handler::ingest_batch))
        .routes(routes!(quarantine::handler::list_refused))
        .routes(routes!(quarantine::handler::resubmit_refused))
        .routes(routes!(query::questions::ask_question))
        .routes(routes!(query::events::list_events))
        .routes(routes!(query::export::export_events))
        .routes(routes!(query::schema::show_schema))
        .routes(routes!(live::stream_live))
        .routes(routes!(usage::show_usage, usage::record_usage))
        .routes(routes!(usage::roll_up))
        .routes(routes!(usage::show_quotas))
        .routes(routes!(query::people::alias_person))
        .routes(routes!(query::people::list_merges))
        .routes(routes!(query::people::undo_merge))
        .routes(routes!(query::people::erase_person))
        .routes(routes!(query::people::show_erasure))
        .routes(routes!(privacy::handler::report_person))
        .routes(routes!(privacy::handler::show_evidence))
        .routes(routes!(query::stats::calculate_stats))
        .routes(routes!(
            experiments::handler::list_experiments,
            experiments::handler::create_experiment
        ))
        .routes(routes!(
            experiments::handler::show_experiment,
            experiments::handler::update_experiment
        ))
        .routes(routes!(experiments::handler::transition_experiment))
        .routes(routes!(experiments::handler::audit_experiment))
        .routes(routes!(experiments::handler::serve_flags))
        .routes(routes!(saved::handler::list_saved))
        .routes(routes!(
            saved::handler::show_saved,
            saved::handler::put_saved,
            saved::handler::remove_saved
        ))
        .routes(routes!(saved::handler::audit_saved))
        .routes(routes!(saved::handler::ask_saved))
        .routes(routes!(projects::show_project, projects::update_project))
        .routes(routes!(keys::list_keys, keys::create_key))
        .routes(routes!(keys::revoke_key))
        .routes(routes!(keys::rotate_key))
        .routes(routes!(keys::report_leak))
        .routes(routes!(organisations::list_organisations, organisations::create_organisation))
        .routes(routes!(organisations::show_organisation, organisations::update_organisation))
        .routes(routes!(organisations::list_audit))
        .routes(routes!(projects::list_projects, projects::create_project))
        .routes(routes!(people::list_members))
        .routes(routes!(people::update_member, people::remove_member))
        .routes(routes!(people::reset_password))
        .routes(routes!(people::drop_second_factor))
        .routes(routes!(people::unbind))
        .routes(routes!(people::list_invitations, people::invite))
        .routes(routes!(people::withdraw_invitation))
        .routes(routes!(sdk::handler::find_newest))
        .routes(routes!(sdk::handler::serve_file))
        .routes(routes!(service::show_health))
        .routes(routes!(service::show_readiness))
        .routes(routes!(service::show_metrics))
        .routes(routes!(service::show_metrics_too))
        .routes(routes!(business::show_business))
        .routes(routes!(analytics::list_events))
        .routes(routes!(analytics::show_usage))
        .routes(routes!(analytics::show_kpis))
        .routes(routes!(analytics::export_csv))
        .routes(routes!(analytics::show_quotas))
        .routes(routes!(analytics::roll_up))
        .routes(routes!(analytics::create_tenant))
        .split_for_parts()
}

/// The OpenAPI document of all documented routes.
pub fn openapi_document() -> utoipa::openapi::OpenApi {
    documented().1
}

async fn show_openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(openapi_document())
}

/// `OPTIONS /v1/batch`: pages that send JSON instead of plain text ask first.
async fn preflight() -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    let mut put = |name, value| headers.insert(name, HeaderValue::from_static(value));
    put(header::ACCESS_CONTROL_ALLOW_METHODS, "POST");
    put(header::ACCESS_CONTROL_ALLOW_HEADERS, "content-type, content-encoding");
    put(header::ACCESS_CONTROL_MAX_AGE, "86400");
    response
}

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What every answer gets, and what every answer is counted for.
async fn dress(State(app): State<App>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map(|path| Cow::Owned(path.as_str().to_owned()));
    let method = request.method().clone();
    let request_id = request_id(request.headers());
    let response = next.run(request).await;
    dressed(&app, &method, route, request_id, response)
}

/// A response with what every answer gets, counted.
pub(crate) fn dressed(
    app: &App,
    method: &Method,
    route: Option<Cow<'static, str>>,
    request_id: String,
    mut response: Response,
) -> Response {
    if response.status().is_client_error() || response.status().is_server_error() {
        response = as_problem(response);
    }
    let class = match response.status().as_u16() {
        100..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    };
    if let Some(ProblemCode(code)) = response.extensions().get() {
        app.telemetry.problems.get_or_create(&Reason { code }).inc();
    }
    let is_ingest = route.as_deref() == Some(BATCH_PATH);
    tracing::debug!(%method, route = route.as_deref(), status = response.status().as_u16(), request_id, "answered");
    let span = tracing::Span::current();
    span.record("http.response.status_code", response.status().as_u16());
    if let Some(route) = &route {
        span.record("http.route", &**route);
    }
    let route = route.unwrap_or(Cow::Borrowed("other"));
    app.telemetry.answers.get_or_create(&Answered { route, class }).inc();

    let always = if is_ingest { &*RECEIPT_HEADERS } else { &*SECURITY_HEADERS };
    // Pages may say something stricter or looser themselves.
    let own = std::mem::replace(response.headers_mut(), always.clone());
    response.headers_mut().extend(own);
    if let Ok(id) = HeaderValue::try_from(request_id) {
        response.headers_mut().insert(REQUEST_ID.clone(), id);
    }
    response
}

/// What every answer gets. Copied as a whole, which is quicker than putting each in.
static SECURITY_HEADERS: LazyLock<HeaderMap> = LazyLock::new(|| headers_of(HEADERS));

/// Any page may send, and nothing secret is in a receipt. No credentials: no cookies here.
static RECEIPT_HEADERS: LazyLock<HeaderMap> = LazyLock::new(|| {
    let mut headers = SECURITY_HEADERS.clone();
    headers.extend(headers_of(&[
        ("access-control-allow-origin", "*"),
        ("access-control-expose-headers", "retry-after"),
        ("cross-origin-resource-policy", "cross-origin"),
    ]));
    headers
});

fn headers_of(list: &'static [(&str, &str)]) -> HeaderMap {
    let parsed = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    let mut headers = HeaderMap::with_capacity(ANSWER_HEADERS_MAX);
    headers.extend(list.iter().map(parsed));
    headers
}

/// Room for the headers of nearly every answer: a map that grows is built anew.
const ANSWER_HEADERS_MAX: usize = 20;

const HEADERS: &[(&str, &str)] = &[
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("x-frame-options", "DENY"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
    (
        "content-security-policy",
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; \
         form-action 'self'; frame-ancestors 'none'",
    ),
];

/// The caller's id when it is a short plain word, else a new one.
pub(crate) fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(&REQUEST_ID);
    let plain = |id: &&str| {
        (1..=64).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    given
        .and_then(|value| value.to_str().ok())
        .filter(plain)
        .map(str::to_owned)
        .unwrap_or_else(|| format!("{:016x}", next_number()))
}

/// A number for logs: none comes twice, and another start has others.
fn next_number() -> u64 {
    // A system without randomness has other troubles than equal ids.
    static NEXT: LazyLock<AtomicU64> =
        LazyLock::new(|| AtomicU64::new(getrandom::u64().unwrap_or_default()));
    // With an odd step every number comes before one comes again.
    NEXT.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)
}

/// Refusals that axum makes itself are plain text; give them the form of all others. Pages stay.
fn as_problem(response: Response) -> Response {
    let kind = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let ours = kind
        .is_some_and(|kind| kind.starts_with(b"application/") || kind.starts_with(b"text/html"));
    if ours {
        return response;
    }
    let error = match response.status() {
        StatusCode::NOT_FOUND => ApiError::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => ApiError::MethodNotAllowed,
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::BodyTooLarge { limit: FORM_BYTES_MAX },
        status if status.is_client_error() => {
            ApiError::parameter("request", "cannot be read; see /openapi.json for its form")
        }
        status => ApiError::Internal(anyhow::anyhow!("a handler answered {status}")),
    };
    let allow = response.headers().get(header::ALLOW).cloned();
    let mut problem = error.into_response();
    if let Some(allow) = allow {
        problem.headers_mut().insert(header::ALLOW, allow);
    }
    problem
}

/// Answers for a handler that panicked.
#[derive(Clone)]
struct PanicAnswer(App);

impl tower_http::catch_panic::ResponseForPanic for PanicAnswer {
    type ResponseBody = axum::body::Body;

    fn response_for_panic(
        &mut self,
        panic: Box<dyn Any + Send + 'static>,
    ) -> axum::http::Response<Self::ResponseBody> {
        panicked(&self.0, &*panic)
    }
}

/// The answer when a handler panicked.
pub(crate) fn panicked(app: &App, panic: &(dyn Any + Send)) -> Response {
    app.telemetry.panics.inc();
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    ApiError::Internal(anyhow::anyhow!("a handler panicked: {text}")).into_response()
}
