//! `GET /v1/live`: the last half hour, as it goes on. Server-sent events.
//!
//! In: a project that somebody looks at. Out: counts by minute, of people and events, and what is most frequent; a new
//! message within two seconds of an event. They are answers to questions, so nobody's id is in them, and a figure here
//! is the one that the trend shows later.
//!
//! A project is asked once a second however many look, and not at all when nobody does. Streams are bounded in number and
//! end after a minute: the browser asks again by itself, and whoever may not look any more finds out then.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::stream;
use hashbrown::HashMap;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tallymark_analysis::AnswerBody;
use tallymark_analysis::answer::TrendAnswer;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::access::Tenant;
use crate::app::App;
use crate::error::ApiError;
use crate::extract::Params;
use crate::meta::projects::Project;

/// Minutes that are shown.
const MINUTES: i64 = 30;
/// Values of each list.
const TOP: u64 = 10;
const MINUTE_MS: i64 = 60_000;
/// How often a project is asked.
const EVERY: Duration = Duration::from_secs(1);
/// After so long without news the stream says that it is alive, so that proxies keep it.
const ALIVE_EVERY: Duration = Duration::from_secs(15);
/// How long a stream lasts.
const STREAM_TIME: Duration = Duration::from_secs(60);

/// A message, the same for all who look at a project; none before the first.
type Message = Option<Arc<str>>;

/// Who looks.
#[derive(Debug)]
pub struct Live {
    /// By project; gone with the last stream of it.
    feeds: Mutex<HashMap<u32, Weak<watch::Sender<Message>>>>,
    streams: Arc<Semaphore>,
    /// Closed when the server stops: streams must not hold it up.
    stop: watch::Sender<bool>,
}

impl Live {
    /// At most so many streams.
    pub fn new(streams: u32) -> Self {
        Self {
            feeds: Mutex::default(),
            streams: Arc::new(Semaphore::new(streams as usize)),
            stop: watch::Sender::new(false),
        }
    }

    /// End all streams.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }
}

/// The messages of a project: of those who look already, or of a new task that asks.
fn feed(app: &App, project: &Arc<Project>) -> Arc<watch::Sender<Message>> {
    let mut feeds = app.live.feeds.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(feed) = feeds.get(&project.id).and_then(Weak::upgrade) {
        return feed;
    }
    feeds.retain(|_, feed| feed.strong_count() > 0);
    let feed = Arc::new(watch::Sender::new(None));
    feeds.insert(project.id, Arc::downgrade(&feed));
    tokio::spawn(keep_asking(app.clone(), Arc::clone(project), Arc::downgrade(&feed)));
    feed
}

/// Ask as long as somebody looks.
async fn keep_asking(app: App, project: Arc<Project>, feed: Weak<watch::Sender<Message>>) {
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if feed.strong_count() == 0 {
            return;
        }
        let message = match figures(&app, &project).await {
            Ok(figures) => figures.to_string(),
            // Others ask too much just now: the next second.
            Err(ApiError::Busy) => continue,
            Err(error) => {
                let error = anyhow::Error::from(error);
                tracing::error!(error = format!("{error:#}"), "live figures cannot be answered");
                continue;
            }
        };
        let Some(feed) = feed.upgrade() else { return };
        feed.send_if_modified(|last| {
            let is_new = last.as_deref() != Some(message.as_str());
            if is_new {
                *last = Some(message.into());
            }
            is_new
        });
    }
}

async fn figures(app: &App, project: &Project) -> Result<Value, ApiError> {
    // The minute that goes on now is the last one.
    let to_ms = (app.clock.now_ms().div_euclid(MINUTE_MS) + 1) * MINUTE_MS;
    let at = |ms| Timestamp::from_millisecond(ms).map(|at| at.to_string());
    let at = |ms| at(ms).map_err(|error| ApiError::Internal(error.into()));
    let (from, to) = (at(to_ms - MINUTES * MINUTE_MS)?, at(to_ms)?);
    let ask = async |mut question: Value| {
        for (field, value) in [("from", from.as_str()), ("to", to.as_str()), ("tz", "UTC")] {
            question[field] = value.into();
        }
        match app.ask(project, "trend", question).await?.body {
            AnswerBody::Trend(trend) => Ok::<_, ApiError>(trend),
            _ => unreachable!("a trend is answered by a trend"),
        }
    };
    let by_minute = ask(json!({ "bucket": "minute",
        "series": [{ "measure": "count" }, { "measure": "persons" }] }));
    let by_minute = by_minute.await?;
    let events = ask(json!({ "bucket": "hour", "series": [{ "measure": "count" }],
        "breakdown": { "prop": "event", "limit": TOP } }));
    let events = events.await?;
    let paths = ask(json!({ "bucket": "hour", "series": [{ "event": "$pageview" }],
        "breakdown": { "prop": "path", "limit": TOP } }));
    let paths = paths.await?;
    let series = |at: usize| json!({ "data": by_minute.series[at].data, "total": by_minute.series[at].total });
    Ok(json!({
        "minutes": by_minute.buckets,
        "events": series(0),
        "persons": series(1),
        "top_events": top(&events),
        "top_paths": top(&paths),
    }))
}

/// Values and their counts, the most frequent first, without the rest.
fn top(trend: &TrendAnswer) -> Value {
    let named = trend.series.iter().filter(|series| series.value.is_some());
    named.map(|series| json!({ "value": series.value, "count": series.total })).collect()
}

/// How to look.
#[derive(Debug, Deserialize)]
pub struct LiveParams {
    #[serde(default)]
    once: bool,
}

/// The last thirty minutes as a stream of server-sent events named `live`, a new one within two seconds of an event.
///
/// It ends after a minute; an `EventSource` asks again by itself.
#[utoipa::path(
    get, path = "/v1/live", tag = "events", security(("secret_key" = ["analytics:read"])),
    params(
        ("once" = Option<bool>, Query, description = "`true`: end after the first message"),
        ("project" = Option<String>, Query, description = "The project's slug; with a dashboard session only"),
    ),
    responses(
        (status = 200, description = "`{minutes: […], events: {data, total}, persons: {data, total}, top_events: [{value, count}], top_paths}` each", body = String, content_type = "text/event-stream"),
        (status = 503, description = "Too many look; see Retry-After", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn stream_live(
    State(app): State<App>,
    Tenant(project): Tenant,
    Params(LiveParams { once }): Params<LiveParams>,
) -> Result<Response, ApiError> {
    let place = Arc::clone(&app.live.streams).try_acquire_owned().map_err(|_| ApiError::Busy)?;
    let feed = feed(&app, &project);
    let looker = Looker {
        messages: feed.subscribe(),
        stop: app.live.stop.subscribe(),
        until: Instant::now() + STREAM_TIME,
        is_first: true,
        once,
        _feed: feed,
        _place: place,
    };
    let lines = stream::unfold(looker, |mut looker| async move {
        let text = looker.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(text)), looker))
    });
    let mut response = Response::new(Body::from_stream(lines));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// One stream.
struct Looker {
    messages: watch::Receiver<Message>,
    stop: watch::Receiver<bool>,
    until: Instant,
    is_first: bool,
    once: bool,
    /// Somebody looks as long as this is held.
    _feed: Arc<watch::Sender<Message>>,
    _place: OwnedSemaphorePermit,
}

impl Looker {
    /// What is to be written next; nothing at the end.
    async fn next(&mut self) -> Option<String> {
        if std::mem::take(&mut self.is_first) {
            // After a stream has ended, a browser asks again after this, in ms.
            let known = self.messages.borrow_and_update().clone();
            let known = known.map(|message| self.tell(&message)).unwrap_or_default();
            return Some(format!("retry: 1000\n\n{known}"));
        }
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        let news = tokio::select! {
            _ = self.stop.wait_for(|stopping| *stopping) => return None,
            news = tokio::time::timeout(left.min(ALIVE_EVERY), self.messages.changed()) => news,
        };
        match news {
            Err(_) => Some(": nothing new\n\n".to_owned()),
            Ok(Err(_)) => None,
            Ok(Ok(())) => {
                let message = self.messages.borrow_and_update().clone()?;
                Some(self.tell(&message))
            }
        }
    }

    /// A message as it goes over the wire. JSON has no line breaks of its own.
    fn tell(&mut self, message: &str) -> String {
        if self.once {
            self.until = Instant::now();
        }
        format!("event: live\ndata: {message}\n\n")
    }
}
