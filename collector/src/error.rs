//! Every refusal of the service, as `application/problem+json` (RFC 9457).
//!
//! In: an [`ApiError`] from wherever a request ends early. Out: a response with a status, a
//! permanent code and a sentence that says what to do.
//!
//! Invariant: internal causes are logged once, here, and never sent.
//!
//! Deliberately elsewhere: refusals of single events inside an accepted batch (the receipt).

use std::borrow::Cow;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tallymark_analysis::question::QuestionError;
use tallymark_analysis::stats::StatsError;
use tallymark_protocol::limits::{BATCH_EVENTS_MAX, BODY_BYTES_MAX};
use tallymark_protocol::problem::{MEDIA_TYPE, Problem};
use tallymark_store::{AppendError, MergeRefused, ScanError};

use crate::access::Role;
use crate::admin;
use crate::experiments::desk::Refused;
use crate::keys::Scope;
use crate::meta::{MetaError, organisations, projects};
use crate::reports;
use crate::saved;

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No such route.
    #[error("there is nothing at this address; GET /openapi.json lists what there is")]
    NotFound,
    /// The route takes other methods.
    #[error("this address does not take this method; the Allow header lists those it takes")]
    MethodNotAllowed,
    /// No key.
    #[error("a key is needed: `key` in the batch, or `Authorization: Bearer tm_sk_…`")]
    KeyMissing,
    /// A key with a wrong prefix, length or checksum.
    #[error("the key is misspelt: its checksum does not fit")]
    KeyMalformed,
    /// No such key, or it was revoked.
    #[error("the key is not known here; `tallymark key create` makes one")]
    KeyUnknown,
    /// The header is there, but not as a bearer.
    #[error("the Authorization header must be `Bearer tm_sk_…`")]
    AuthorizationInvalid,
    /// A secret key in a browser.
    #[error(
        "a secret key came from a web page (Origin header): take it out of the page and replace it, \
         anyone can read it there"
    )]
    SecretKeyInBrowser,
    /// A key that may not do this.
    #[error("this key may not do that: it needs the scope {}", .0.as_str())]
    ScopeMissing(Scope),
    /// Nobody is signed in.
    #[error("sign in at /signin, or send a secret key")]
    SignInNeeded,
    /// Somebody whose role is too small.
    #[error("this needs the role {} in the organisation", .0.as_str())]
    RoleMissing(Role),
    /// Something that only whoever runs the machine may do.
    #[error("only whoever runs the machine can do that: by the link that `tallymark serve` prints")]
    OperatorNeeded,
    /// A change that a browser sent from elsewhere.
    #[error(
        "this request came from a page of another site, or from a program with a browser's cookie: \
         programs send a secret key"
    )]
    CrossSite,
    /// No such organisation.
    #[error("there is no such organisation")]
    OrganisationUnknown,
    /// A page of an origin that the project does not list.
    #[error("pages of this origin may not send to the project; its settings list those that may")]
    OriginRefused,
    /// No such project.
    #[error("there is no such project; `tallymark project list` shows those there are")]
    ProjectUnknown,
    /// The body is too large, on the wire or unpacked.
    #[error("the body is larger than {limit} bytes; send less at once")]
    BodyTooLarge {
        /// Largest body here.
        limit: usize,
    },
    /// Too many events in a batch.
    #[error("a batch has at most {BATCH_EVENTS_MAX} events, this one has {got}; send less at once")]
    TooManyEvents {
        /// How many came.
        got: usize,
    },
    /// The body dripped.
    #[error("the body came too slowly")]
    BodyTooSlow,
    /// The connection broke, or the chunks made no sense.
    #[error("the body broke off")]
    BodyBroken,
    /// Not gzip.
    #[error("the body is not whole gzip data")]
    GzipInvalid,
    /// Another encoding.
    #[error("Content-Encoding must be gzip or absent")]
    EncodingUnsupported,
    /// Not a batch.
    #[error("the batch cannot be read: {detail}")]
    EnvelopeUnreadable {
        /// Where and why.
        detail: String,
    },
    /// Not JSON.
    #[error("the body is not JSON: {detail}")]
    JsonInvalid {
        /// Where and why.
        detail: String,
    },
    /// A parameter of the address.
    #[error("{name}: {detail}")]
    ParameterInvalid {
        /// Which.
        name: Cow<'static, str>,
        /// What it must be.
        detail: String,
    },
    /// The key sends too fast.
    #[error("this key sends faster than it may; try again in {retry_after_s} s")]
    RateLimited {
        /// When it may again.
        retry_after_s: u64,
    },
    /// A quota that throttles is used up.
    #[error(
        "the project has used up its quota of {metric} for today; try again in {retry_after_s} s, or raise it"
    )]
    QuotaExceeded {
        /// Of what.
        metric: &'static str,
        /// When to ask again.
        retry_after_s: u64,
    },
    /// A project has stored as much as it may.
    #[error(
        "the project has stored as many bytes as its setting `stored_bytes` allows; raise it, or lift it with null"
    )]
    StoredBytesFull,
    /// Metrics that are not shown to whoever asks.
    #[error(
        "the metrics are for scrapers that send `metrics_token`, keys with `metrics:read`, and this machine where there is no token"
    )]
    MetricsClosed,
    /// A range that there is none of.
    #[error("range: must be 7d, 30d or 90d")]
    RangeUnknown,
    /// Too much to do.
    #[error("too much is going on; try again shortly")]
    Busy,
    /// The disk is full.
    #[error("there is no room to store events; try again later")]
    DiskFull,
    /// Writing failed.
    #[error("events cannot be stored at the moment; try again later")]
    NotStored,
    /// A question that makes no sense.
    #[error(transparent)]
    Question(#[from] QuestionError),
    /// A question that is too much for one.
    #[error(
        "the question needs more memory than one may have (`question_bytes`): ask for a shorter time, \
         filter, or break it down by a property with fewer values"
    )]
    QuestionTooLarge,
    /// A question that took too long.
    #[error(
        "the question took longer than one may (`query_timeout_ms`) and was stopped: ask for a shorter time, or \
         filter"
    )]
    QuestionTooSlow,
    /// A statistic that cannot be computed.
    #[error(transparent)]
    Statistic(#[from] StatsError),
    /// A merge, or taking one back, that makes no sense.
    #[error(transparent)]
    MergeRefused(MergeRefused),
    /// A project that knows people for a day only.
    #[error(
        "this project knows people for a day only (mode cookieless): nobody can be joined to somebody, and ids of \
         a file cannot be kept"
    )]
    IdsForADay,
    /// No such erasure.
    #[error("there is no erasure of this id in this project")]
    ErasureUnknown,
    /// A definition of an experiment or a flag that is not made or changed.
    #[error(transparent)]
    Definition(Refused),
    /// A cohort, question or annotation that is not saved or found.
    #[error(transparent)]
    Saved(saved::Refused),
    /// A project that is not made or changed.
    #[error(transparent)]
    Project(projects::Refused),
    /// An organisation that is not made or changed.
    #[error(transparent)]
    Organisation(organisations::Refused),
    /// A key that is not made or changed.
    #[error(transparent)]
    Key(admin::keys::Refused),
    /// A report that is not set up or changed.
    #[error(transparent)]
    Report(reports::desk::Refused),
    /// A member or an invitation that is not made or changed.
    #[error(transparent)]
    People(admin::people::Refused),
    /// Our fault.
    #[error("something went wrong on our side")]
    Internal(#[source] anyhow::Error),
}

impl ApiError {
    /// A parameter that cannot be used.
    pub fn parameter(name: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self::ParameterInvalid { name: name.into(), detail: detail.into() }
    }

    /// Status and permanent code.
    pub fn status_and_code(&self) -> (u16, &'static str) {
        match self {
            Self::NotFound => (404, "not_found"),
            Self::QuestionTooLarge => (422, "question_too_large"),
            Self::QuestionTooSlow => (504, "question_too_slow"),
            Self::MethodNotAllowed => (405, "method_not_allowed"),
            Self::KeyMissing => (401, "key_missing"),
            Self::KeyMalformed => (401, "key_malformed"),
            Self::KeyUnknown => (401, "key_unknown"),
            Self::AuthorizationInvalid => (401, "authorization_invalid"),
            Self::SecretKeyInBrowser => (403, "secret_key_in_browser"),
            Self::ScopeMissing(_) => (403, "scope_missing"),
            Self::SignInNeeded => (401, "sign_in_needed"),
            Self::RoleMissing(_) => (403, "role_missing"),
            Self::OperatorNeeded => (403, "operator_needed"),
            Self::CrossSite => (403, "cross_site"),
            Self::OrganisationUnknown => (404, "organisation_unknown"),
            Self::OriginRefused => (403, "origin_refused"),
            Self::ProjectUnknown => (404, "project_unknown"),
            Self::BodyTooLarge { .. } => (413, "body_too_large"),
            Self::TooManyEvents { .. } => (413, "too_many_events"),
            Self::BodyTooSlow => (408, "body_too_slow"),
            Self::BodyBroken => (400, "body_broken"),
            Self::GzipInvalid => (400, "gzip_invalid"),
            Self::EncodingUnsupported => (415, "encoding_unsupported"),
            Self::EnvelopeUnreadable { .. } => (400, "envelope_unreadable"),
            Self::JsonInvalid { .. } => (400, "json_invalid"),
            Self::ParameterInvalid { .. } => (422, "parameter_invalid"),
            Self::RateLimited { .. } => (429, "rate_limited"),
            Self::QuotaExceeded { .. } => (429, "quota_exceeded"),
            Self::StoredBytesFull => (429, "stored_bytes_full"),
            Self::MetricsClosed => (401, "metrics_token_needed"),
            Self::RangeUnknown => (400, "range_unknown"),
            Self::Busy => (503, "busy"),
            Self::DiskFull => (503, "disk_full"),
            Self::NotStored => (503, "not_stored"),
            Self::Question(QuestionError::UnknownKind { .. }) => (404, "unknown_kind"),
            Self::Question(error) => (422, error.code()),
            Self::Statistic(error) => (422, error.code),
            Self::MergeRefused(MergeRefused::SamePerson) => (409, "same_person"),
            Self::MergeRefused(MergeRefused::Erased) => (409, "person_erased"),
            Self::MergeRefused(MergeRefused::Unknown) => (404, "merge_unknown"),
            Self::MergeRefused(MergeRefused::UndoneBefore) => (409, "merge_undone"),
            Self::MergeRefused(MergeRefused::NoRoom) => (507, "merges_full"),
            Self::IdsForADay => (409, "ids_for_a_day"),
            Self::ErasureUnknown => (404, "erasure_unknown"),
            Self::Definition(refused) => refused.status_and_code(),
            Self::Saved(refused) => refused.status_and_code(),
            Self::Project(refused) => refused.status_and_code(),
            Self::Organisation(refused) => refused.status_and_code(),
            Self::Key(refused) => refused.status_and_code(),
            Self::Report(refused) => refused.status_and_code(),
            Self::People(refused) => refused.status_and_code(),
            Self::Internal(_) => (500, "internal"),
        }
    }

    /// When to try again, in seconds, if trying again makes sense.
    pub fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::RateLimited { retry_after_s } => Some((*retry_after_s).max(1)),
            Self::StoredBytesFull => Some(300),
            Self::QuotaExceeded { retry_after_s, .. } => Some(*retry_after_s),
            Self::Busy => Some(1),
            Self::DiskFull | Self::NotStored => Some(10),
            _ => None,
        }
    }

    /// The body of the answer.
    pub fn problem(&self) -> Problem {
        let (status, code) = self.status_and_code();
        Problem::new(status, code, self)
    }
}

/// Carried in a response, so that the outermost layer can count problems by code.
#[derive(Debug, Clone, Copy)]
pub struct ProblemCode(pub &'static str);

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if let Self::Internal(cause) = &self {
            tracing::error!(cause = format!("{cause:#}"), "a request failed");
        }
        let (status, code) = self.status_and_code();
        let body = serde_json::to_vec(&self.problem()).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() =
            StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after_s() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == 401 {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(ProblemCode(code));
        response
    }
}

impl From<AppendError> for ApiError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Busy | AppendError::Closed => Self::Busy,
            AppendError::DiskFull => Self::DiskFull,
            AppendError::ReadOnly | AppendError::Io(_) => {
                tracing::error!(%error, "a batch could not be stored");
                Self::NotStored
            }
        }
    }
}

impl From<ScanError> for ApiError {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::TooLarge => Self::QuestionTooLarge,
            ScanError::Stopped => Self::QuestionTooSlow,
            error => Self::Internal(error.into()),
        }
    }
}

impl From<MetaError> for ApiError {
    fn from(error: MetaError) -> Self {
        Self::Internal(error.into())
    }
}

impl From<tokio::task::JoinError> for ApiError {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::Internal(error.into())
    }
}

/// The limit of bodies, raw and unpacked alike.
pub(crate) const BODY_LIMIT: usize = BODY_BYTES_MAX;
/// Largest body that names a few ids.
pub(crate) const SMALL_BODY_LIMIT: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn an_internal_cause_is_never_sent() {
        let error = ApiError::Internal(anyhow::anyhow!("secret table name"));
        let response = error.into_response();
        assert_eq!(response.status(), 500);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(!String::from_utf8_lossy(&body).contains("secret"));
    }

    #[test]
    fn what_may_be_tried_again_says_when() {
        assert_eq!(ApiError::Busy.into_response().headers()["retry-after"], "1");
        let limited = ApiError::RateLimited { retry_after_s: 0 }.into_response();
        assert_eq!(limited.headers()["retry-after"], "1");
        assert!(!ApiError::KeyUnknown.into_response().headers().contains_key("retry-after"));
    }
}
