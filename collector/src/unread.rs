//! What a handler leaves of a request's body is read for it, up to a bound.
//!
//! In: a request. Out: its answer. A connection whose last request was not read to its end cannot carry
//! another one and is closed, while its client, or the proxy before us, may be sending the next request on
//! it already and is told nothing but that the connection is gone. A refusal is quicker than its body, so
//! every refusal is such a case. What is longer than the bound, or comes slowly, does end its connection;
//! then the answer says so.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;

/// Most that is read and thrown away.
const BYTES_MAX: usize = 256 * 1024;
/// Longest wait for it.
const PATIENCE: Duration = Duration::from_secs(1);

/// The layer.
pub async fn read_unread(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let body = Arc::new(Mutex::new(body));
    let lent = Body::new(Lent(Arc::clone(&body)));
    let mut response = next.run(Request::from_parts(parts, lent)).await;
    let left = std::mem::take(&mut *body.lock().unwrap_or_else(PoisonError::into_inner));
    let is_read = tokio::time::timeout(PATIENCE, read_out(left)).await.unwrap_or(false);
    if !is_read {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Whether the end came within the bound.
async fn read_out(mut body: Body) -> bool {
    let mut bytes = 0;
    while bytes <= BYTES_MAX {
        match body.frame().await {
            None => return true,
            Some(Err(_)) => return false,
            Some(Ok(frame)) => bytes += frame.data_ref().map_or(0, Bytes::len),
        }
    }
    false
}

/// A body that can be taken back.
struct Lent(Arc<Mutex<Body>>);

impl Lent {
    fn with<T>(&self, work: impl FnOnce(&mut Body) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.with(|body| Pin::new(body).poll_frame(context))
    }

    fn is_end_stream(&self) -> bool {
        self.with(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.with(|body| body.size_hint())
    }
}
