//! The accept loop: connections in, requests to the router, time-outs around both.
//!
//! Ours because `axum::serve` installs no timer, so its header time-out never fires.
//!
//! Invariant: a client that sends its headers or its body too slowly is gone within a bounded time
//! and never holds more than one connection slot, and one address never holds all slots; after a
//! signal to stop, no new connection is taken and open requests get [`Limits::drain`] to finish.
//!
//! A connection over TLS has the time of its headers for the greeting as well, apart from it.
//!
//! Deliberately elsewhere: what a request means (`front`, `router`), how large a body may be (`extract`).

mod crowd;
mod paced;
mod tls;

pub use paced::TooSlow;
pub use tls::Tls;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::BoxError;
use hyper::header::{CONNECTION, HeaderValue, TRANSFER_ENCODING};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::config::{Config, NetList};
use crate::front::Front;
use crate::telemetry::Telemetry;
use crowd::Crowd;
use paced::{Pace, PacedBody};

/// How patient the server is.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Open connections at one time.
    pub max_connections: usize,
    /// Open connections of one address.
    pub max_of_address: u32,
    /// Proxies, which have as many as they need.
    pub trusted: NetList,
    /// For a request's headers, the wait for a next request on an open connection included.
    pub header_timeout: Duration,
    /// For bodies.
    pub pace: Pace,
    /// For open requests after a signal to stop.
    pub drain: Duration,
}

impl From<&Config> for Limits {
    fn from(config: &Config) -> Self {
        Self {
            max_connections: config.max_connections as usize,
            max_of_address: config.address_connections,
            trusted: config.trusted_proxies.clone(),
            header_timeout: Duration::from_millis(config.header_timeout_ms),
            pace: Pace {
                grace: Duration::from_millis(config.body_grace_ms),
                min_bytes_per_s: config.body_min_bytes_per_s,
            },
            drain: Duration::from_millis(config.drain_ms),
        }
    }
}

/// Serve until `stop` resolves, then drain. Returns how many connections had to be cut.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Tls>,
    front: Front,
    limits: Limits,
    telemetry: Arc<Telemetry>,
    stop: impl Future<Output = ()>,
) -> usize {
    let front = Arc::new(front);
    let slots = Arc::new(Semaphore::new(limits.max_connections));
    let crowd = Crowd::new(limits.max_of_address, limits.trusted.clone());
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        // The slot comes first: when all are taken, connections wait in the system's queue
        // instead of in our memory.
        let slot = tokio::select! {
            slot = Arc::clone(&slots).acquire_owned() => slot.expect("the semaphore is never closed"),
            () = &mut stop => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file handles, or the peer is gone already: the next one may do better.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        let Some(place) = crowd.place(peer.ip()) else {
            telemetry.connections_refused.inc();
            continue;
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let front = Arc::clone(&front);
        let telemetry = Arc::clone(&telemetry);
        let watcher = graceful.watcher();
        let (header_timeout, pace) = (limits.header_timeout, limits.pace);
        let tls = tls.clone();
        tokio::spawn(async move {
            telemetry.connections.inc();
            let served = match tls {
                None => converse(stream, peer, front, header_timeout, pace, watcher).await,
                Some(tls) => match tokio::time::timeout(header_timeout, tls.accept(stream)).await {
                    Ok(Ok(stream)) => {
                        converse(stream, peer, front, header_timeout, pace, watcher).await
                    }
                    Ok(Err(error)) => Err(error.into()),
                    Err(late) => Err(late.into()),
                },
            };
            if let Err(error) = served {
                // Clients that go away, send nonsense or are too slow: daily business.
                telemetry.connection_errors.inc();
                tracing::debug!(%error, "a connection ended early");
            }
            telemetry.connections.dec();
            drop((slot, place));
        });
    }
    drop(listener);
    let open = graceful.count();
    match tokio::time::timeout(limits.drain, graceful.shutdown()).await {
        Ok(()) => 0,
        Err(_) => open,
    }
}

/// Answer the requests of one connection.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    front: Arc<Front>,
    header_timeout: Duration,
    pace: Pace,
    watcher: Watcher,
) -> Result<(), BoxError> {
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let front = Arc::clone(&front);
        let request = request.map(|body| PacedBody::new(body, pace));
        // Who reads `Content-Length` beside it sees the body end elsewhere: what follows is no request of ours.
        let is_last = request.headers().contains_key(TRANSFER_ENCODING);
        async move {
            let mut response = front.answer(peer, request).await;
            if is_last {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_header_size(MAX_HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    Ok(watcher.watch(connection).await?)
}

/// All headers of a request together. Browsers stay far below; hyper's own limit is 400 KiB. Its limit of 100 header
/// lines is ours too, and is not said to it: a number that is said costs every request room that is filled first.
const MAX_HEADER_BYTES: usize = 32 * 1024;
