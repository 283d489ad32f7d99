//! What handlers take from a request: who sent it, its body, its credential.
//!
//! Invariants: a client's address leaves this file only
//! cut to its network ([`Client::prefix`]); a body is never larger in memory than its limit.
//!
//! Deliberately elsewhere: who may do what (`access`), what keys are (`keys`), how slowly a body may come (`server::paced`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{self, HeaderMap, Uri, header};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::app::App;
use crate::config::NetList;
use crate::error::ApiError;
use crate::ingest::rate::{Budget, Pace};
use crate::ingest::said::Said;
use crate::keys::{Key, KeyKind};
use crate::meta::access_keys::AccessKey;
use crate::meta::projects::Project;
use crate::server::TooSlow;

/// The other end of a request, as far as we look at it.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    /// Its network: /24 or /48, never the whole address.
    pub prefix: IpAddr,
    /// What it says of itself.
    pub said: Said<'a>,
}

impl<'a> Client<'a> {
    /// Whoever sent these headers from this address.
    pub fn new(peer: IpAddr, headers: &'a HeaderMap, trusted_proxies: &NetList) -> Self {
        let address = client_address(peer, headers, trusted_proxies);
        Self { prefix: prefix(address), said: Said::of(headers) }
    }
}

/// The peer, or behind trusted proxies the right-most hop that is none of them: everything left of
/// that is what the client says about itself.
fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &NetList) -> IpAddr {
    if !trusted.contains(peer) {
        return peer;
    }
    let lines = headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok());
    let hops: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
    let mut nearest = peer;
    for hop in hops.into_iter().rev() {
        let Ok(address) = hop.parse::<IpAddr>() else { break };
        nearest = address;
        if !trusted.contains(address) {
            break;
        }
    }
    nearest
}

/// The other end of the connection that a request came by; no address where it came by none.
pub fn peer(extensions: &http::Extensions) -> IpAddr {
    let peer = extensions.get::<ConnectInfo<SocketAddr>>();
    peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.0.ip())
}

/// The network that a request came from.
pub fn network(app: &App, headers: &HeaderMap, extensions: &http::Extensions) -> IpAddr {
    Client::new(peer(extensions), headers, &app.config.trusted_proxies).prefix
}

/// Whether a request was made on this very machine, and by no proxy for somebody else.
pub fn is_from_this_machine<B>(request: &http::Request<B>) -> bool {
    let forwarded = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];
    peer(request.extensions()).to_canonical().is_loopback()
        && !forwarded.iter().any(|name| request.headers().contains_key(*name))
}

/// The network of an address: /24 of IPv4, /48 of IPv6.
fn prefix(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            IpAddr::V4(Ipv4Addr::new(a, b, c, 0))
        }
        IpAddr::V6(v6) => {
            let [a, b, c, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
    }
}

/// The first `max_bytes` of a text, cut at a character.
pub(crate) fn clip(text: &str, max_bytes: usize) -> &str {
    &text[..text.floor_char_boundary(max_bytes)]
}

/// Bodies up to this size are read without asking: as many as there may be connections fit.
const SMALL_BODY_BYTES: usize = 64 * 1024;
/// Time for a larger body to arrive, from when it has a place.
const LARGE_BODY_TIME: Duration = Duration::from_secs(30);

/// A body, and its place among the large ones.
#[derive(Debug)]
pub struct Received {
    /// The bytes.
    pub bytes: Vec<u8>,
    _place: Option<OwnedSemaphorePermit>,
}

/// The whole body, if it has at most `limit` bytes (included). Beyond 64 KiB it waits for one of
/// `places`, so that many large bodies at once are read one after the other instead of together.
///
/// A body up to twice as large is read to its end and thrown away, so that the client gets to read
/// why it was refused and keeps its connection.
///
/// # Errors
/// [`ApiError::BodyTooLarge`], [`ApiError::BodyTooSlow`] or [`ApiError::BodyBroken`].
pub async fn read_body<B>(
    body: B,
    limit: usize,
    places: &Arc<Semaphore>,
) -> Result<Received, ApiError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    read_body_unless(body, limit, places, |_| false).await
}

/// The same, unless its first 64 KiB say that the rest is not worth a place: a bomb is thrown away unread.
///
/// # Errors
/// As [`read_body`].
pub async fn read_body_unless<B>(
    body: B,
    limit: usize,
    places: &Arc<Semaphore>,
    is_too_large: impl FnOnce(&[u8]) -> bool,
) -> Result<Received, ApiError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let mut body = pin!(body);
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut bytes = Vec::with_capacity(announced.min(limit).min(SMALL_BODY_BYTES));
    if announced > limit {
        // What is thrown away needs no place.
        return collect(&mut body, &mut bytes, limit, usize::MAX)
            .await
            .map(|_| Received { bytes, _place: None });
    }
    if collect(&mut body, &mut bytes, limit, SMALL_BODY_BYTES).await? == Read::Whole {
        return Ok(Received { bytes, _place: None });
    }
    if is_too_large(&bytes) {
        drop(bytes);
        throw_away(&mut body, limit).await;
        return Err(ApiError::BodyTooLarge { limit });
    }
    let place = Arc::clone(places).acquire_owned().await.map_err(|_| ApiError::Busy)?;
    let rest = collect(&mut body, &mut bytes, limit, usize::MAX);
    tokio::time::timeout(LARGE_BODY_TIME, rest).await.map_err(|_| ApiError::BodyTooSlow)??;
    Ok(Received { bytes, _place: Some(place) })
}

#[derive(Debug, PartialEq, Eq)]
enum Read {
    Whole,
    Part,
}

/// Read on until the body ends or there are more than `pause` bytes.
async fn collect<B>(
    body: &mut Pin<&mut B>,
    bytes: &mut Vec<u8>,
    limit: usize,
    pause: usize,
) -> Result<Read, ApiError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let mut seen = bytes.len();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match error.into() {
            error if is_too_slow(&*error) => ApiError::BodyTooSlow,
            _ => ApiError::BodyBroken,
        })?;
        let Some(data) = frame.data_ref() else { continue };
        seen = seen.saturating_add(data.len());
        if seen <= limit {
            bytes.extend_from_slice(data);
        } else if seen > limit.saturating_mul(2) {
            break;
        }
        if seen > pause && seen <= limit {
            return Ok(Read::Part);
        }
    }
    if seen > limit { Err(ApiError::BodyTooLarge { limit }) } else { Ok(Read::Whole) }
}

/// Read on until the body ends or there are more than so many bytes: who sends it gets to read the answer.
async fn throw_away<B: http_body::Body<Data = Bytes>>(body: &mut Pin<&mut B>, most: usize) {
    let mut seen = 0;
    while let Some(Ok(frame)) = body.frame().await
        && seen <= most
    {
        seen += frame.data_ref().map_or(0, Bytes::len);
    }
}

/// Whether it, or what it wraps, is [`TooSlow`].
fn is_too_slow(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<TooSlow>() || error.source().is_some_and(is_too_slow)
}

/// A body as JSON, if it has at most `limit` bytes.
///
/// # Errors
/// As [`read_body`], and [`ApiError::JsonInvalid`].
pub async fn read_json<T: DeserializeOwned>(
    app: &App,
    body: Body,
    limit: usize,
) -> Result<T, ApiError> {
    parse_json(&read_body(body, limit, &app.large_bodies).await?.bytes)
}

/// The JSON of a body.
///
/// # Errors
/// [`ApiError::JsonInvalid`].
pub fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes)
        .map_err(|error| ApiError::JsonInvalid { detail: error.to_string() })
}

/// The parameters of an address, with problems instead of axum's plain text.
#[derive(Debug)]
pub struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Self::of(&parts.uri)
    }
}

impl<T: DeserializeOwned> Params<T> {
    /// Those of this address.
    ///
    /// # Errors
    /// [`ApiError::ParameterInvalid`] when one cannot be read.
    pub fn of(address: &Uri) -> Result<Self, ApiError> {
        axum::extract::Query::<T>::try_from_uri(address)
            .map(|query| Self(query.0))
            .map_err(|error| ApiError::parameter("address", error.body_text()))
    }
}

/// A known key and whose it is.
#[derive(Debug, Clone)]
pub struct Access {
    /// The tenant.
    pub project: Arc<Project>,
    /// The key it came with.
    pub key: AccessKey,
}

/// Unknown keys that one network may try.
const GUESSES: Pace = Pace { per_s: 10.0, burst: 1_000.0 };

/// Look a key up for somebody in this network. Keys that are known work however many others were tried from there.
///
/// # Errors
/// [`ApiError::KeyMalformed`], [`ApiError::KeyUnknown`], or [`ApiError::RateLimited`] after too many that were unknown.
pub async fn find_access(app: &App, text: &str, network: IpAddr) -> Result<Access, ApiError> {
    let key = Key::parse(text).ok_or(ApiError::KeyMalformed)?;
    let (mac, now_ms) = (key.mac(&app.pepper), app.clock.now_ms());
    if let Some((project, key)) = app.meta.directory().key(&mac, now_ms) {
        return Ok(Access { project, key });
    }
    app.rates
        .take(&[(Budget::Guesses(network), GUESSES)], now_ms)
        .map_err(|retry_after_s| ApiError::RateLimited { retry_after_s })?;
    // It may be of a second ago.
    let found = app.meta.find_key(&mac, now_ms).await?;
    let (project, key) = found.ok_or(ApiError::KeyUnknown)?;
    Ok(Access { project, key })
}

/// The secret key of the `Authorization` header, if there is the header.
///
/// # Errors
/// When it is no bearer, or not a known secret key, or comes from a web page.
pub async fn bearer(
    app: &App,
    headers: &HeaderMap,
    network: IpAddr,
) -> Result<Option<Access>, ApiError> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let text = value.to_str().map_err(|_| ApiError::AuthorizationInvalid)?;
    let (scheme, token) = text.split_once(' ').ok_or(ApiError::AuthorizationInvalid)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(ApiError::AuthorizationInvalid);
    }
    let access = find_access(app, token.trim(), network).await?;
    if access.key.kind == KeyKind::Secret && headers.contains_key(header::ORIGIN) {
        tracing::warn!(
            project = %access.project.slug, key = access.key.id,
            "a secret key was sent by a web page; replace it"
        );
        return Err(ApiError::SecretKeyInBrowser);
    }
    Ok(Some(access))
}

/// The value of a cookie.
pub fn cookie<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == wanted)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, "a=b; tm_session=xyz ; c=d".parse().unwrap());
        assert_eq!(cookie(&headers, "tm_session"), Some("xyz"));
        assert_eq!(cookie(&headers, "__Host-tm_session"), None);
    }

    use crate::config::SettingValue;
    use axum::body::Body;
    use rstest::rstest;

    /// Shows S4-70.
    #[rstest]
    #[case::v4("203.0.113.77", "203.0.113.0")]
    #[case::v4_already_cut("203.0.113.0", "203.0.113.0")]
    #[case::v6("2001:db8:aaaa:bbbb:cccc::1", "2001:db8:aaaa::")]
    #[case::v4_in_v6("::ffff:203.0.113.77", "203.0.113.0")]
    fn an_address_is_cut_to_its_network(#[case] address: &str, #[case] network: &str) {
        assert_eq!(prefix(address.parse().unwrap()).to_string(), network);
    }

    #[rstest]
    #[case::nobody_trusted("", "9.9.9.9", "1.1.1.1", "9.9.9.9")]
    #[case::the_hop_before_the_proxy("10.0.0.0/8", "10.0.0.1", "1.1.1.1", "1.1.1.1")]
    #[case::forged_left_part("10.0.0.0/8", "10.0.0.1", "6.6.6.6, 1.1.1.1", "1.1.1.1")]
    #[case::two_proxies("10.0.0.0/8", "10.0.0.1", "6.6.6.6, 1.1.1.1, 10.0.0.2", "1.1.1.1")]
    #[case::only_proxies("10.0.0.0/8", "10.0.0.1", "10.0.0.2", "10.0.0.2")]
    #[case::nonsense("10.0.0.0/8", "10.0.0.1", "unknown", "10.0.0.1")]
    fn the_address_is(
        #[case] trusted: &str,
        #[case] peer: &str,
        #[case] forwarded: &str,
        #[case] want: &str,
    ) {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", forwarded.parse().unwrap());
        let trusted = NetList::parse(trusted).unwrap();
        let got = client_address(peer.parse().unwrap(), &headers, &trusted);
        assert_eq!(got, want.parse::<IpAddr>().unwrap());
    }

    #[rstest]
    #[case::at_the_limit(10, Some(10))]
    #[case::one_more(11, None)]
    #[case::far_more(1_000, None)]
    #[tokio::test]
    async fn a_body_of(#[case] bytes: usize, #[case] want: Option<usize>) {
        let places = Arc::new(Semaphore::new(1));
        let got = read_body(Body::from(vec![b'x'; bytes]), 10, &places).await;
        assert_eq!(got.ok().map(|body| body.bytes.len()), want);
    }

    #[tokio::test]
    async fn a_large_body_waits_for_its_place_and_a_small_one_does_not() {
        let places = Arc::new(Semaphore::new(0));
        let read = |bytes: usize| read_body(Body::from(vec![b'x'; bytes]), 1 << 20, &places);
        assert_eq!(read(SMALL_BODY_BYTES).await.unwrap().bytes.len(), SMALL_BODY_BYTES);
        let large = read(SMALL_BODY_BYTES + 1);
        let mut large = std::pin::pin!(large);
        assert!(poll_once(large.as_mut()).await.is_none(), "there is no place");
        places.add_permits(1);
        assert_eq!(large.await.unwrap().bytes.len(), SMALL_BODY_BYTES + 1);
    }

    #[tokio::test]
    async fn what_its_beginning_says_of_a_large_body_is_heard_before_it_gets_a_place() {
        let places = Arc::new(Semaphore::new(0));
        let body = Body::from(vec![b'x'; SMALL_BODY_BYTES + 1]);
        let got = read_body_unless(body, 1 << 20, &places, |part| part.len() > SMALL_BODY_BYTES);
        assert!(matches!(got.await, Err(ApiError::BodyTooLarge { .. })));
    }

    /// What a future says when it is asked once.
    async fn poll_once<F: Future>(mut future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        std::future::poll_fn(|cx| {
            std::task::Poll::Ready(match future.as_mut().poll(cx) {
                std::task::Poll::Ready(output) => Some(output),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}
