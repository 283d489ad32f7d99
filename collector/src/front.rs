//! What stands between a connection and the handlers: batches go a short way, everything else
//! through the router.
//!
//! In: a request and who sent it. Out: a response, whatever happens.
//!
//! A server answers thousands of times more batches than anything else, and a route of axum's costs
//! several boxes per layer and request: with one event per batch, more than the event. So a batch
//! goes straight to its handler. The router has the same handler as a route, for the API
//! description and for the other methods of that path.
//!
//! Invariant: both ways end in [`router::dressed`], so an answer does not show which one it came.

use std::any::Any;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::http::{Method, Request};
use axum::response::{IntoResponse, Response};
use axum::{BoxError, Router};
use tallymark_store::TRACE;
use tower::ServiceExt;
use tracing::Instrument;
use tracing::field::Empty;

use crate::app::App;
use crate::ingest::handler::{BATCH_PATH, ingest};
use crate::router::{self, panicked, request_id};

/// The service as HTTP sees it.
#[derive(Clone)]
pub struct Front {
    app: App,
    router: Router,
}

impl Front {
    /// The service of an app.
    pub fn new(app: App) -> Self {
        Self { router: router::router(app.clone()), app }
    }

    /// Answer a request.
    pub async fn answer<B>(&self, peer: SocketAddr, request: Request<B>) -> Response
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        // What was answered is put in by `router::dressed`.
        let span = tracing::info_span!(target: TRACE, "request", http.request.method = method(&request),
            http.route = Empty, http.response.status_code = Empty);
        self.answered(peer, request).instrument(span).await
    }

    async fn answered<B>(&self, peer: SocketAddr, mut request: Request<B>) -> Response
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if request.method() == Method::POST && request.uri().path() == BATCH_PATH {
            return self.batch(peer, request).await;
        }
        request.extensions_mut().insert(ConnectInfo(peer));
        match self.router.clone().oneshot(request.map(Body::new)).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    async fn batch<B>(&self, peer: SocketAddr, request: Request<B>) -> Response
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let request_id = request_id(request.headers());
        let response = match caught(ingest(&self.app, peer.ip(), request)).await {
            Ok(Ok(taken)) => taken.into_response(),
            Ok(Err(error)) => error.into_response(),
            Err(panic) => panicked(&self.app, &*panic),
        };
        router::dressed(&self.app, &Method::POST, Some(BATCH_PATH.into()), request_id, response)
    }
}

/// The method, if it is one of ours: clients may make words of their own up.
fn method<B>(request: &Request<B>) -> &'static str {
    let known = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    known.into_iter().find(|name| *name == request.method().as_str()).unwrap_or("_OTHER")
}

/// What a future gives, or what it panicked with.
async fn caught<F: Future>(future: F) -> Result<F::Output, Box<dyn Any + Send>> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| {
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Ok),
            // Never polled again.
            Err(panic) => Poll::Ready(Err(panic)),
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_result() {
        let panic = caught(async { panic!("broken") }).await.unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"broken"));
        assert_eq!(caught(async { 5 }).await.unwrap(), 5);
    }
}
