//! Every metric of the service, and the set-up of its logs and traces.
//!
//! In: counts, from wherever something happens. Out: Prometheus text or JSON.
//!
//! Invariant: labels are enums of ours. No tenant, key, event name or address is ever a label, so
//! the number of series does not depend on what clients send.
//!
//! Deliberately elsewhere: figures per project (the store's usage, the dashboard).

mod bounded;
#[cfg(feature = "otel")]
pub mod traces;

use std::borrow::Cow;
use std::str::FromStr;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tallymark_store::{StoreStats, TRACE, WriteState};
use tracing::Subscriber;
use tracing_subscriber::filter::{Directive, filter_fn};
#[cfg(not(feature = "otel"))]
use tracing_subscriber::layer::Identity;
use tracing_subscriber::prelude::*;
#[cfg(feature = "otel")]
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer};

use bounded::{Bounded, Labels, OTHER};

use crate::config::{Config, LogFormat};

/// A label with one value out of a fixed list.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Reason {
    /// A permanent code: of a problem or of a refused event.
    pub code: &'static str,
}

/// What was hidden.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Hidden {
    /// The name of a rule of the property guard.
    pub rule: &'static str,
}

/// Labels of answered requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Answered {
    /// The route as registered, `other` for paths that are none.
    pub route: Cow<'static, str>,
    /// `2xx`, `3xx`, `4xx` or `5xx`.
    pub class: &'static str,
}

/// Labels of what a project used.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Metered {
    /// The project's slug; empty where metrics name no projects.
    pub tenant: String,
    /// Of what.
    pub metric: String,
}

impl Labels for Metered {
    fn other() -> Self {
        Self { tenant: OTHER.to_owned(), metric: OTHER.to_owned() }
    }
}

/// Labels of stored events, where metrics name projects.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct EventOf {
    /// The project's slug.
    pub tenant: String,
    /// The event's name.
    pub event: String,
    /// `web` or `server`.
    pub source: &'static str,
}

impl Labels for EventOf {
    fn other() -> Self {
        Self { tenant: OTHER.to_owned(), event: OTHER.to_owned(), source: OTHER }
    }
}

/// All metrics.
#[derive(Debug)]
pub struct Telemetry {
    registry: Registry,
    /// New events of projects; only where metrics name projects.
    pub events_of: Bounded<EventOf>,
    /// What servers told of usage; only where metrics name projects.
    pub usage: Bounded<Metered>,
    /// Quotas that were exceeded, each once a day.
    pub quota_exceeded: Bounded<Metered>,
    labels_folded: Counter,
    /// Time of a rollup, in seconds.
    pub rollup_seconds: Histogram,
    /// When the last rollup ended, in seconds since 1970.
    pub rollup_last_run: Gauge<f64, AtomicU64>,
    /// Open connections.
    pub connections: Gauge,
    /// Connections that ended with an error: slow, broken or gone clients.
    pub connection_errors: Counter,
    /// Connections that were closed because their address had too many.
    pub connections_refused: Counter,
    /// Answers by route and class of status.
    pub answers: Family<Answered, Counter>,
    /// Problems by code.
    pub problems: Family<Reason, Counter>,
    /// Events acknowledged as new.
    pub events_accepted: Counter,
    /// Events that were stored before.
    pub events_duplicate: Counter,
    /// Events refused one by one, by code.
    pub events_refused: Family<Reason, Counter>,
    /// Events in which the property guard hid something, here or in the page, by rule.
    pub events_guarded: Family<Hidden, Counter>,
    /// Batches answered with a receipt.
    pub batches: Counter,
    /// Bytes of batches as they came over the wire.
    pub ingest_wire_bytes: Counter,
    /// From the last byte of a batch to its receipt, in seconds.
    pub ingest_seconds: Histogram,
    /// Questions answered.
    pub questions: Counter,
    /// Time to answer a question, in seconds.
    pub question_seconds: Histogram,
    /// Handlers that panicked. Zero, or there is a bug.
    pub panics: Counter,
    /// When an event was stored last, in seconds since 1970; the start until then.
    pub last_event: Gauge,
    /// Stored events that report an error of a page.
    pub error_reports: Counter,
    /// How often these metrics were asked for.
    pub collections: Counter,
    store: StoreGauges,
}

#[derive(Debug, Default)]
struct StoreGauges {
    rows: Gauge,
    expired: Gauge,
    links: Gauge,
    unjoined: Gauge,
    apart: Gauge,
    bytes: Gauge,
    segments: Gauge,
    memtable_rows: Gauge,
    wal_bytes: Gauge,
    flushes: Gauge,
    queue_bytes: Gauge,
    read_only: Gauge,
    failing: Gauge<f64, AtomicU64>,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self::with_prefix("tallymark")
    }
}

impl Telemetry {
    /// None counted yet; their names begin with this.
    pub fn with_prefix(prefix: &str) -> Self {
        // 1 ms to 33 s in factors of two.
        let seconds = || {
            Histogram::new(prometheus_client::metrics::histogram::exponential_buckets(
                0.001, 2.0, 16,
            ))
        };
        let labels_folded = Counter::default();
        let mut telemetry = Self {
            registry: if prefix.is_empty() {
                Registry::default()
            } else {
                Registry::with_prefix(prefix)
            },
            events_of: Bounded::new(&labels_folded),
            usage: Bounded::new(&labels_folded),
            quota_exceeded: Bounded::new(&labels_folded),
            labels_folded,
            rollup_seconds: seconds(),
            rollup_last_run: Gauge::default(),
            connections: Gauge::default(),
            connection_errors: Counter::default(),
            connections_refused: Counter::default(),
            answers: Family::default(),
            problems: Family::default(),
            events_accepted: Counter::default(),
            events_duplicate: Counter::default(),
            events_refused: Family::default(),
            events_guarded: Family::default(),
            batches: Counter::default(),
            ingest_wire_bytes: Counter::default(),
            ingest_seconds: seconds(),
            questions: Counter::default(),
            question_seconds: seconds(),
            panics: Counter::default(),
            last_event: Gauge::default(),
            error_reports: Counter::default(),
            collections: Counter::default(),
            store: StoreGauges::default(),
        };
        telemetry.register();
        telemetry
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        self.events_of.register(
            r,
            "analytics_events",
            "New events by project, where metrics name them",
        );
        self.usage.register(r, "usage_count", "Usage that servers told, by project and metric");
        self.quota_exceeded.register(
            r,
            "quota_exceeded",
            "Quotas that were exceeded, each once a day",
        );
        r.register(
            "labels_folded",
            "Counts whose labels found no series of their own and went to other",
            self.labels_folded.clone(),
        );
        r.register(
            "analytics_rollup_duration_seconds",
            "Time of a rollup of usage",
            self.rollup_seconds.clone(),
        );
        r.register(
            "analytics_rollup_last_run_seconds",
            "When the last rollup of usage ended, since 1970",
            self.rollup_last_run.clone(),
        );
        r.register("connections", "Open connections", self.connections.clone());
        r.register(
            "connection_errors",
            "Connections that ended with an error",
            self.connection_errors.clone(),
        );
        r.register(
            "connections_refused",
            "Connections closed because their address had too many",
            self.connections_refused.clone(),
        );
        r.register("http_answers", "Answers by route and class", self.answers.clone());
        r.register("problems", "Problem answers by code", self.problems.clone());
        r.register("events_accepted", "Events acknowledged as new", self.events_accepted.clone());
        r.register("events_duplicate", "Events stored before", self.events_duplicate.clone());
        r.register("events_refused", "Events refused, by code", self.events_refused.clone());
        r.register(
            "events_guarded",
            "Events in which something was hidden, by rule",
            self.events_guarded.clone(),
        );
        r.register("batches", "Batches answered with a receipt", self.batches.clone());
        r.register(
            "ingest_wire_bytes",
            "Bytes of batches received",
            self.ingest_wire_bytes.clone(),
        );
        r.register("ingest_seconds", "Time from batch to receipt", self.ingest_seconds.clone());
        r.register("questions", "Questions answered", self.questions.clone());
        r.register("question_seconds", "Time to answer a question", self.question_seconds.clone());
        r.register("panics", "Handlers that panicked", self.panics.clone());
        r.register(
            "last_event_timestamp_seconds",
            "When an event was stored last, since 1970; the start until then",
            self.last_event.clone(),
        );
        r.register(
            "error_reports",
            "Stored events that report an error",
            self.error_reports.clone(),
        );
        r.register("metrics_collections", "How often metrics were read", self.collections.clone());
        r.register("store_rows", "Stored events", self.store.rows.clone());
        r.register("store_bytes", "Bytes of segments", self.store.bytes.clone());
        r.register("store_segments", "Segments", self.store.segments.clone());
        r.register(
            "store_memtable_rows",
            "Events not yet in a segment",
            self.store.memtable_rows.clone(),
        );
        r.register("store_wal_bytes", "Bytes of the log", self.store.wal_bytes.clone());
        r.register("store_flushes", "Segments written since the start", self.store.flushes.clone());
        r.register("store_links", "Links between ids", self.store.links.clone());
        r.register(
            "store_unjoined",
            "Events since the start that found no memory for joining device and user",
            self.store.unjoined.clone(),
        );
        r.register(
            "store_apart",
            "Persons whose links some file does not know yet",
            self.store.apart.clone(),
        );
        r.register(
            "store_expired",
            "Events that were too old and are gone, since the start",
            self.store.expired.clone(),
        );
        r.register(
            "store_queue_bytes",
            "Bytes waiting to be written",
            self.store.queue_bytes.clone(),
        );
        r.register("store_read_only", "1 while no events are taken", self.store.read_only.clone());
        r.register("store_failing", "1 while the last write failed", self.store.failing.clone());
    }

    /// Copy the store's own counters in, to be called before printing.
    pub fn observe_store(&self, stats: &StoreStats) {
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.store.rows.set(whole(stats.rows));
        self.store.expired.set(whole(stats.expired));
        self.store.links.set(whole(stats.links));
        self.store.unjoined.set(whole(stats.unjoined));
        self.store.apart.set(whole(stats.apart));
        self.store.bytes.set(whole(stats.segment_bytes));
        self.store.segments.set(whole(stats.segments));
        self.store.memtable_rows.set(whole(stats.memtable_rows));
        self.store.wal_bytes.set(whole(stats.wal_bytes));
        self.store.flushes.set(whole(stats.flushes));
        self.store.queue_bytes.set(whole(stats.queue_bytes));
        self.store.read_only.set(i64::from(stats.state != WriteState::Open));
        self.store.failing.set(f64::from(u8::from(stats.last_error.is_some())));
    }

    /// All metrics in the OpenMetrics text format.
    ///
    /// # Errors
    /// Never in practice: writing to a text does not fail.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::with_capacity(8 * 1024);
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// All metrics as JSON: `{"name": value}` or `{"name{label=\"…\"}": value}`.
    ///
    /// # Errors
    /// As [`Telemetry::text`].
    pub fn json(&self) -> Result<serde_json::Value, std::fmt::Error> {
        let text = self.text()?;
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let pairs = samples.filter_map(|line| line.rsplit_once(' ')).map(|(name, value)| {
            let number = value.parse::<f64>().ok().and_then(serde_json::Number::from_f64);
            (name.to_owned(), number.map_or(serde_json::Value::Null, serde_json::Value::Number))
        });
        Ok(serde_json::Value::Object(pairs.collect()))
    }
}

/// What goes on beside the program as long as this is kept; traces that wait are sent at its end.
#[derive(Debug, Default)]
pub struct Started {
    #[cfg(feature = "otel")]
    _exporter: Option<traces::Exporter>,
}

/// Start logging to standard error, so that standard output stays for answers, and traces where there is somebody for them.
///
/// # Errors
/// When `config.log` is not a filter, or traces cannot be sent where they are to go.
pub fn start_logging(config: &Config) -> Result<Started, String> {
    let (subscriber, started) = subscriber(config)?;
    // A second start in one process (tests) keeps the first.
    let _ = subscriber.try_init();
    Ok(started)
}

fn subscriber(config: &Config) -> Result<(impl Subscriber + Send + Sync, Started), String> {
    let filter = EnvFilter::try_new(&config.log)
        .map_err(|error| format!("log: {:?} is not a filter: {error}", config.log))?;
    let no_spans = Directive::from_str(&format!("{TRACE}=off")).map_err(|e| e.to_string())?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match config.log_format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    let logs = lines.with_filter(filter.add_directive(no_spans));
    let (traces, started) = traces(config)?;
    // A layer without a filter wants every span, also one that is not there: each request would make one.
    let is_on = traces.is_some();
    let of_traces =
        filter_fn(move |metadata| is_on && metadata.is_span() && metadata.target() == TRACE);
    let traces = traces.with_filter(of_traces);
    Ok((tracing_subscriber::registry().with(logs).with(traces), started))
}

#[cfg(feature = "otel")]
fn traces<S>(config: &Config) -> Result<(Option<impl Layer<S>>, Started), String>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    if config.traces_url.is_empty() {
        return Ok((None, Started::default()));
    }
    let (traces, exporter) = traces::start(&config.traces_url, config.traces_per_s)?;
    Ok((Some(traces), Started { _exporter: Some(exporter) }))
}

#[cfg(not(feature = "otel"))]
fn traces(config: &Config) -> Result<(Option<Identity>, Started), String> {
    match config.traces_url.is_empty() {
        true => Ok((None, Started::default())),
        false => {
            Err("traces_url: this program was built without traces (feature `otel`)".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nobody_takes_traces_there_are_no_spans() {
        let (subscriber, _started) = subscriber(&Config::default()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            assert!(tracing::info_span!(target: TRACE, "request").is_disabled());
            assert!(!tracing::info_span!("another").is_disabled());
        });
    }

    #[test]
    fn metrics_print_as_text_and_as_json() {
        let telemetry = Telemetry::default();
        telemetry.events_accepted.inc_by(3);
        telemetry.events_refused.get_or_create(&Reason { code: "too_old" }).inc();
        let text = telemetry.text().unwrap();
        assert!(text.contains("tallymark_events_accepted_total 3\n"), "{text}");
        let json = telemetry.json().unwrap();
        assert_eq!(json["tallymark_events_refused_total{code=\"too_old\"}"], 1.0);
    }
}
