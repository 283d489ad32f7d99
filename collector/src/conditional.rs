//! Conditional requests: a reader who has an answer already is told so, instead of being sent it again.
//!
//! In: answers on their way out. Out: those of `GET` that are whole and JSON or pages carry a weak `ETag` of their
//! content, and become 304 where `If-None-Match` names it. Streams go through untouched, and whatever has a
//! tag of its own.

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest, Sha256};
use tallymark_protocol::hashing::to_hex;

use crate::experiments::served::has_it;

/// Larger answers are not read twice.
const BYTES_MAX: u64 = 1 << 20;

/// The layer.
pub async fn tagged(request: Request, next: Next) -> Response {
    let is_get = [Method::GET, Method::HEAD].contains(request.method());
    let known = request.headers().get(header::IF_NONE_MATCH).cloned();
    let response = next.run(request).await;
    if !is_get || response.status() != StatusCode::OK || !may_be_tagged(response.headers()) {
        return response;
    }
    if response.body().size_hint().exact().is_none_or(|bytes| bytes > BYTES_MAX) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, BYTES_MAX as usize).await else {
        parts.status = StatusCode::INTERNAL_SERVER_ERROR;
        return Response::from_parts(parts, Body::empty());
    };
    let tag = tag(&bytes);
    let has = known.as_ref().and_then(|known| known.to_str().ok()).is_some_and(|k| has_it(k, &tag));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        parts.headers.insert(header::ETAG, tag);
    }
    if !has {
        return Response::from_parts(parts, Body::from(bytes));
    }
    parts.status = StatusCode::NOT_MODIFIED;
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::CONTENT_TYPE);
    Response::from_parts(parts, Body::empty())
}

fn may_be_tagged(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let is_whole = kind == b"application/json" || kind.starts_with(b"text/html");
    let keeps = headers.get(header::CACHE_CONTROL).map(HeaderValue::as_bytes);
    is_whole
        && !headers.contains_key(header::ETAG)
        // A page that may not be kept is never asked for under a condition.
        && !keeps.is_some_and(|keeps| keeps.ends_with(b"no-store"))
}

/// Weak: an answer is sent packed and unpacked.
fn tag(bytes: &Bytes) -> String {
    format!("W/\"{}\"", &to_hex(&Sha256::digest(bytes).into())[..24])
}
