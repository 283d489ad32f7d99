//! `POST /v1/batch`.

use std::cell::LazyCell;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{self, HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{BoxError, Json};
use serde::Deserialize;
use tallymark_protocol::batch::{Batch, BatchReceipt};
use tallymark_protocol::codes::EventCode;
use tallymark_protocol::limits::BATCH_EVENTS_MAX;
use tallymark_store::{Append, Appended};

use super::accept::{Accepted, Sender, accept};
use super::counts::Counts;
use super::dims::of_server;
use super::guard::{Guard, Rule};
use super::identity::{Realm, Trust, daily_visitor};
use super::rate::{Budget, Pace};
use super::unpack;
use crate::app::App;
use crate::error::{ApiError, BODY_LIMIT};
use crate::extract::{
    Access, Client, Params, Received, bearer, find_access, peer, read_body_unless,
};
use crate::keys::{KeyKind, Scope};
use crate::meta::projects::Project;
use crate::privacy::Rules;
use crate::telemetry::{Hidden, Reason};
use crate::usage::spent;

/// Parameters of the address.
#[derive(Debug, Deserialize)]
pub struct Packing {
    /// `gzip`: browsers cannot set Content-Encoding without a preflight.
    z: Option<String>,
}

/// Where batches go.
pub const BATCH_PATH: &str = "/v1/batch";

/// Store a batch of events. The receipt names every event that was refused.
///
/// Answers only once the events are on disk. Sending a batch again is safe: events that are there
/// already are counted as `dup`.
#[utoipa::path(
    post, path = "/v1/batch", tag = "ingest",
    params(("z" = Option<String>, Query, description = "`gzip` when the body is packed and the header cannot be set")),
    request_body(content = serde_json::Value, content_type = "application/json",
        description = "`{key, nonce, sdk, sent_at, sent_mono, context, events: […]}`, also as `text/plain`"),
    responses(
        (status = 200, description = "`{nonce, ok, dup, rejected: [{i, code, detail}]}`", body = serde_json::Value),
        (status = 400, description = "The envelope cannot be read", content_type = "application/problem+json", body = crate::openapi::Problem),
        (status = 202, description = "The setting `analytics_enabled` is off: nothing was stored", body = serde_json::Value),
        (status = 401, description = "No or an unknown key", content_type = "application/problem+json", body = crate::openapi::Problem),
        (status = 403, description = "A secret key from a web page, or without the scope `ingest`", content_type = "application/problem+json", body = crate::openapi::Problem),
        (status = 413, description = "More than 1 MiB or 500 events", content_type = "application/problem+json", body = crate::openapi::Problem),
        (status = 429, description = "Faster than the key may, or a quota is used up; see Retry-After", content_type = "application/problem+json", body = crate::openapi::Problem),
        (status = 503, description = "Busy or out of space; see Retry-After", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn ingest_batch(State(app): State<App>, request: Request) -> Result<Taken, ApiError> {
    ingest(&app, peer(request.extensions()), request).await
}

/// The same without axum's part of it.
///
/// # Errors
/// When the batch as a whole is refused.
pub async fn ingest<B>(
    app: &App,
    peer: IpAddr,
    request: http::Request<B>,
) -> Result<Taken, ApiError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let (http::request::Parts { headers, uri, .. }, body) = request.into_parts();
    let client = Client::new(peer, &headers, &app.config.trusted_proxies);
    let Params(packing) = Params::of(&uri)?;
    let packed = is_gzip(&headers, &packing)?;
    let is_bomb = |part: &[u8]| packed && unpack::is_bomb(part, BODY_LIMIT);
    let received = read_body_unless(body, BODY_LIMIT, &app.large_bodies, is_bomb).await?;
    let began = Instant::now();
    app.telemetry.ingest_wire_bytes.inc_by(received.bytes.len() as u64);
    // Taken after the body is here: a slow sender must not hold a place.
    let _place = app.ingest_slots.try_acquire().map_err(|_| ApiError::Busy)?;
    let (accepted, nonce, project) = accept_body(app, &client, &headers, packed, received).await?;
    if !app.config.analytics_enabled {
        return Ok(dropped(app, &accepted, nonce));
    }
    for rejected in &accepted.rejected {
        app.telemetry.events_refused.get_or_create(&Reason { code: rejected.code.as_str() }).inc();
    }
    for (rule, count) in Rule::ALL.iter().zip(accepted.guarded).filter(|(_, count)| *count > 0) {
        app.telemetry.events_guarded.get_or_create(&Hidden { rule: rule.name() }).inc_by(count);
    }
    let errors = accepted.rows.iter().filter(|row| &*row.event == "$error").count();
    let by_project = app.config.metrics_by_project.then(|| Counts::of(&accepted.rows));
    let append = Append { rows: accepted.rows, refused: accepted.refused };
    let appended = store(app, append).await?;
    if let Some(counts) = by_project {
        counts.count(app, &project, &appended);
    }
    spent::look(app, &project);
    if !appended.erased.is_empty() {
        let erased = Reason { code: EventCode::PersonErased.as_str() };
        app.telemetry.events_refused.get_or_create(&erased).inc_by(appended.erased.len() as u64);
    }
    let receipt = Accepted::receipt(nonce, &appended, accepted.rejected);
    app.telemetry.batches.inc();
    app.telemetry.events_accepted.inc_by(u64::from(receipt.ok));
    if receipt.ok > 0 {
        app.telemetry.last_event.set(app.clock.now_ms() / 1000);
        app.telemetry.error_reports.inc_by(errors as u64);
    }
    app.telemetry.events_duplicate.inc_by(u64::from(receipt.dup));
    app.telemetry.ingest_seconds.observe(began.elapsed().as_secs_f64());
    Ok(Taken::Stored(receipt))
}

/// What became of a batch.
#[derive(Debug)]
pub enum Taken {
    /// Its events are on disk.
    Stored(BatchReceipt),
    /// Nothing is stored here at the moment: 202. Pages keep their events and try again later.
    Dropped(BatchReceipt),
}

impl IntoResponse for Taken {
    fn into_response(self) -> Response {
        match self {
            Self::Stored(receipt) => Json(receipt).into_response(),
            Self::Dropped(receipt) => (StatusCode::ACCEPTED, Json(receipt)).into_response(),
        }
    }
}

fn dropped(app: &App, accepted: &Accepted, nonce: String) -> Taken {
    let events = (accepted.rows.len() + accepted.rejected.len()) as u64;
    let reason = Reason { code: "analytics_disabled" };
    app.telemetry.events_refused.get_or_create(&reason).inc_by(events);
    Taken::Dropped(BatchReceipt { nonce, ok: 0, dup: 0, rejected: Vec::new() })
}

/// Everything before storing. Takes the body with it: while the disk is waited for, only rows are
/// in memory.
async fn accept_body(
    app: &App,
    client: &Client<'_>,
    headers: &HeaderMap,
    packed: bool,
    received: Received,
) -> Result<(Accepted, String, Arc<Project>), ApiError> {
    let unpacked;
    let bytes = if packed {
        unpacked = unpack::gunzip(&received.bytes, BODY_LIMIT)?;
        &unpacked
    } else {
        &received.bytes
    };
    let batch = Batch::parse(bytes).map_err(|error| ApiError::EnvelopeUnreadable {
        detail: without_values(error.to_string()),
    })?;
    let (access, trust) = authorize(app, headers, client.prefix, &batch).await?;
    if let Some(origin) = headers.get(header::ORIGIN)
        && !access.project.takes_from(origin.to_str().unwrap_or_default())
    {
        return Err(ApiError::OriginRefused);
    }
    if batch.events.len() > BATCH_EVENTS_MAX {
        return Err(ApiError::TooManyEvents { got: batch.events.len() });
    }
    let received_ms = app.clock.now_ms();
    let budgets = budgets(app, &access, trust, client);
    app.rates
        .take(&budgets, received_ms)
        .map_err(|retry_after_s| ApiError::RateLimited { retry_after_s })?;
    spent::may_send(app, &access.project).await?;
    let accepted = check(app, &batch, &access, trust, client, received_ms)?;
    Ok((accepted, batch.nonce.unwrap_or_default().into_owned(), access.project))
}

/// Whose budgets a batch is of. Servers have no network of their own: a customer's is one address.
fn budgets(app: &App, access: &Access, trust: Trust, client: &Client<'_>) -> Vec<(Budget, Pace)> {
    let config = &app.config;
    let project = access.project.settings.batches_per_s.unwrap_or(config.project_rate_per_s);
    let mut budgets = Vec::with_capacity(3);
    let key = Pace::new(config.ingest_rate_per_s, config.ingest_burst);
    budgets.push((Budget::Key(access.key.id), key));
    // As much at once as comes in five seconds.
    let project = Pace::new(project, project.saturating_mul(5));
    budgets.push((Budget::Project(access.project.id), project));
    if trust == Trust::Page {
        let network = Pace::new(config.network_rate_per_s, config.network_burst);
        budgets.push((Budget::Network(client.prefix), network));
    }
    budgets
}

/// What is wrong with an envelope: where a text is of the wrong type, it would be repeated, whatever it is.
fn without_values(said: String) -> String {
    match (said.split_once('"'), said.rfind(", expected")) {
        (Some((before, _)), Some(end)) => format!("{}{}", before.trim_end(), &said[end..]),
        _ => said,
    }
}

fn is_gzip(headers: &HeaderMap, packing: &Packing) -> Result<bool, ApiError> {
    let named = match headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes()) {
        None => false,
        Some(value) if value.eq_ignore_ascii_case(b"identity") => false,
        Some(value) if value.eq_ignore_ascii_case(b"gzip") => true,
        Some(_) => return Err(ApiError::EncodingUnsupported),
    };
    match packing.z.as_deref() {
        None | Some("") => Ok(named),
        Some("gzip") => Ok(true),
        Some(_) => Err(ApiError::parameter("z", "must be gzip or absent")),
    }
}

/// The tenant: of the secret key in the header if there is one, else of the write key in the body.
async fn authorize(
    app: &App,
    headers: &HeaderMap,
    network: IpAddr,
    batch: &Batch<'_>,
) -> Result<(Access, Trust), ApiError> {
    let access = match bearer(app, headers, network).await? {
        Some(access) => access,
        None => {
            let key = batch.key.as_deref().ok_or(ApiError::KeyMissing)?;
            let access = find_access(app, key, network).await?;
            if access.key.kind == KeyKind::Secret {
                // In a body it may be logged by whatever stands between; and only pages put keys
                // into bodies.
                return Err(ApiError::SecretKeyInBrowser);
            }
            access
        }
    };
    if !access.key.scopes.allows(Scope::Ingest) {
        return Err(ApiError::ScopeMissing(Scope::Ingest));
    }
    let trust = match access.key.kind {
        KeyKind::Public => Trust::Page,
        KeyKind::Secret => Trust::Server,
    };
    Ok((access, trust))
}

fn check(
    app: &App,
    batch: &Batch<'_>,
    access: &Access,
    trust: Trust,
    client: &Client<'_>,
    received_ms: i64,
) -> Result<Accepted, ApiError> {
    let project = &access.project;
    let hasher = app.hasher(project.id);
    let salt = app.salts.salt(received_ms).map_err(|error| ApiError::Internal(error.into()))?;
    let visitor =
        LazyCell::new(|| daily_visitor(&salt, project.id, client.prefix, client.said.user_agent));
    let (context, sdk) = (&batch.context, batch.sdk.as_deref());
    let rules = Rules::of(&project.settings, &app.config);
    let guard = Guard { is_on: rules.guard };
    let dims = match trust {
        Trust::Page => app.describer.of_page(context, sdk, client, guard),
        Trust::Server => of_server(context, sdk, guard),
    };
    let day_only = (!rules.lasting()).then_some(&salt);
    let realm = Realm { project: project.id, salt: &project.salt, hasher: &hasher, day_only };
    let visitor = &|| *visitor;
    Ok(accept(batch, &Sender { realm, trust, received_ms, dims, guard, visitor }))
}

/// Hand a batch to the store and wait until it is on disk.
pub(crate) async fn store(app: &App, append: Append) -> Result<Appended, ApiError> {
    if append.rows.is_empty() && append.refused.is_empty() {
        return Ok(Appended { duplicate: Vec::new(), erased: Vec::new() });
    }
    let (sender, receiver) = tokio::sync::oneshot::channel();
    app.store.append(append, move |outcome| {
        // Nobody listens when the client went away meanwhile; the events are stored all the same.
        let _ = sender.send(outcome);
    });
    let outcome = receiver.await.map_err(|error| ApiError::Internal(error.into()))?;
    Ok(outcome?)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::a_text(
        r#"{"events":"ann@example.org"}"#,
        "invalid type: string, expected a sequence at line 1"
    )]
    #[case::like_the_end(
        r#"{"events":"a\", expected b"}"#,
        "invalid type: string, expected a sequence at line 1"
    )]
    #[case::a_name(r#"{"key":"a","key":"b"}"#, "duplicate field `key` at line 1")]
    #[case::no_json("{", "EOF while parsing an object at line 1")]
    fn an_answer_repeats_no_value(#[case] body: &str, #[case] want: &str) {
        let said = without_values(Batch::parse(body.as_bytes()).unwrap_err().to_string());
        assert!(said.starts_with(want) && !said.contains("ann"), "{said}");
    }
}
