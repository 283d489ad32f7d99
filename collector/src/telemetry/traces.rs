//! Traces: how long requests, questions, flushes and merges took, for a receiver of OpenTelemetry (OTLP over HTTP, as JSON).
//!
//! In: spans of `tracing` with the target [`TRACE`](tallymark_store::TRACE). Out: requests to the address `traces_url`, from a thread of its own.
//!
//! Invariants: names and values of ours only: no ids, no addresses, no query strings, nothing of a body (what a span has is
//! written where it begins, and a test holds the list). At most `traces_per_s` traces begin in a second and a bounded
//! number of spans waits; whoever is traced waits for nobody.
//!
//! Written here and not taken from the `opentelemetry` crates: those bring a second encoding of everything (protocol buffers)
//! for what is a page of JSON.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::clock::Clock;
use crate::outbound::{agent, trusted_url};

/// Spans that wait for their request; more are lost, and said so in the log.
const WAITING_MAX: usize = 4096;
/// Spans of a request.
const BATCH: usize = 512;
/// How long spans wait for others.
const EVERY: Duration = Duration::from_secs(1);
/// How often the log says that spans are lost.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// A span that is over.
#[derive(Debug)]
struct Ended {
    ids: Ids,
    parent: Option<u64>,
    name: &'static str,
    begun_ms: i64,
    took: Duration,
    fields: Fields,
}

/// Of which trace, and which of it.
#[derive(Debug, Clone, Copy)]
struct Ids {
    trace: u128,
    span: u64,
}

/// A span that goes on.
#[derive(Debug)]
struct Open {
    ids: Ids,
    parent: Option<u64>,
    begun_ms: i64,
    began: Instant,
    fields: Fields,
}

/// What a span says of itself, in the form of OTLP.
#[derive(Debug, Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_i64(&mut self, field: &Field, value: i64) {
        // 64 bits are a text in JSON.
        self.put(field, json!({ "intValue": value.to_string() }));
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, json!({ "intValue": value.to_string() }));
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, json!({ "boolValue": value }));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, json!({ "stringValue": value }));
    }
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.put(field, json!({ "stringValue": format!("{value:?}") }));
    }
}

/// The part of logging that follows spans.
#[derive(Debug)]
pub struct Traces {
    to: SyncSender<Ended>,
    lost: Arc<AtomicU64>,
    per_s: u64,
    /// The second that is counted, and traces that began in it.
    second: AtomicU64,
    begun: AtomicU64,
}

/// Sends what waits when it is dropped.
#[derive(Debug)]
pub struct Exporter {
    stop: SyncSender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.stop.send(());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Follow spans and send them to this address.
///
/// # Errors
/// When it is not one that may be sent to, or no thread can be started.
pub fn start(url: &str, per_s: u32) -> Result<(Traces, Exporter), String> {
    trusted_url(url).map_err(|why| format!("traces_url: {why}"))?;
    let (to, ended) = sync_channel(WAITING_MAX);
    let (stop, stopped) = sync_channel(1);
    let lost = Arc::new(AtomicU64::new(0));
    let (url, counts) = (url.to_owned(), Arc::clone(&lost));
    let thread = std::thread::Builder::new()
        .name("traces".to_owned())
        .spawn(move || export(&url, &ended, &stopped, &counts))
        .map_err(|error| format!("traces: {error}"))?;
    let (second, begun) = (AtomicU64::new(0), AtomicU64::new(0));
    let traces = Traces { to, lost, per_s: u64::from(per_s), second, begun };
    Ok((traces, Exporter { stop, thread: Some(thread) }))
}

impl Traces {
    /// Whether one more trace may begin now.
    fn may_begin(&self, now_ms: i64) -> bool {
        let second = now_ms.unsigned_abs() / 1000;
        if self.second.swap(second, Ordering::Relaxed) != second {
            self.begun.store(0, Ordering::Relaxed);
        }
        self.begun.fetch_add(1, Ordering::Relaxed) < self.per_s
    }
}

/// Eight random bytes; none where the system has no randomness.
fn random() -> Option<u64> {
    getrandom::u64().ok()
}

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Traces {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let above = span.parent().map(|parent| {
            // One that is not traced has none that are.
            parent.extensions().get::<Open>().map(|open| open.ids)
        });
        let begun_ms = Clock::System.now_ms();
        let (trace, parent) = match above {
            Some(None) => return,
            Some(Some(above)) => (Some(above.trace), Some(above.span)),
            None if !self.may_begin(begun_ms) => return,
            None => {
                let (high, low) = (random(), random());
                (high.zip(low).map(|(high, low)| u128::from(high) << 64 | u128::from(low)), None)
            }
        };
        let Some((trace, span_id)) = trace.zip(random()) else { return };
        let ids = Ids { trace, span: span_id };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let open = Open { ids, parent, begun_ms, began: Instant::now(), fields };
        span.extensions_mut().insert(open);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(open) = span.extensions_mut().get_mut::<Open>() {
            values.record(&mut open.fields);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(open) = span.extensions_mut().remove::<Open>() else { return };
        let Open { ids, parent, begun_ms, began, fields } = open;
        let ended =
            Ended { ids, parent, name: span.name(), begun_ms, took: began.elapsed(), fields };
        if self.to.try_send(ended).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Send spans, until it is told to stop and none waits.
fn export(url: &str, ended: &Receiver<Ended>, stopped: &Receiver<()>, lost: &AtomicU64) {
    let mut said: Option<Instant> = None;
    let mut why = String::from("too many waited");
    loop {
        let is_last = match stopped.recv_timeout(EVERY) {
            Err(RecvTimeoutError::Timeout) => false,
            Ok(()) | Err(RecvTimeoutError::Disconnected) => true,
        };
        loop {
            let batch: Vec<Ended> = ended.try_iter().take(BATCH).collect();
            if batch.is_empty() {
                break;
            }
            if let Err(error) = send(url, &batch) {
                lost.fetch_add(batch.len() as u64, Ordering::Relaxed);
                why = error;
                break;
            }
        }
        let may_say = is_last || said.is_none_or(|at| at.elapsed() >= SAID_EVERY);
        let spans = if may_say { lost.swap(0, Ordering::Relaxed) } else { 0 };
        if spans > 0 {
            said = Some(Instant::now());
            tracing::warn!(spans, why, "spans of traces are lost");
        }
        if is_last {
            return;
        }
    }
}

fn send(url: &str, batch: &[Ended]) -> Result<(), String> {
    let body = request(batch).to_string();
    let sent = agent().post(url).header("content-type", "application/json").send(body);
    let response = sent.map_err(|error| error.to_string())?;
    let status = response.status();
    if status.is_success() { Ok(()) } else { Err(format!("the receiver answers {status}")) }
}

/// An `ExportTraceServiceRequest` (OTLP 1, JSON encoding).
fn request(batch: &[Ended]) -> Value {
    let text = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
    let resource =
        [text("service.name", "tallymark"), text("service.version", env!("CARGO_PKG_VERSION"))];
    let spans: Vec<Value> = batch.iter().map(span).collect();
    json!({ "resourceSpans": [{ "resource": { "attributes": resource },
        "scopeSpans": [{ "scope": { "name": "tallymark" }, "spans": spans }] }] })
}

fn span(ended: &Ended) -> Value {
    let Ended { ids, parent, name, begun_ms, took, fields: Fields(fields) } = ended;
    let begin_ns = i128::from(*begun_ms) * 1_000_000;
    let end_ns = begin_ns + i128::try_from(took.as_nanos()).unwrap_or(0);
    let said = |key: &str| fields.get(key).and_then(|value| value["stringValue"].as_str());
    let status: Option<u16> = fields
        .get("http.response.status_code")
        .and_then(|value| value["intValue"].as_str()?.parse().ok());
    let is_failed = status.is_some_and(|status| status >= 500) || fields.contains_key("error.type");
    // A server's span (2) is named by what was asked of it; others are internal (1).
    let (kind, name) = match (said("http.request.method"), said("http.route")) {
        (Some(method), Some(route)) => (2, format!("{method} {route}")),
        (Some(method), None) => (2, method.to_owned()),
        _ => (1, (*name).to_owned()),
    };
    let attributes: Vec<Value> =
        fields.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect();
    let mut span = json!({
        "traceId": format!("{:032x}", ids.trace), "spanId": format!("{:016x}", ids.span),
        "name": name, "kind": kind, "attributes": attributes,
        "startTimeUnixNano": begin_ns.to_string(), "endTimeUnixNano": end_ns.to_string(),
        "status": if is_failed { json!({ "code": 2 }) } else { json!({}) },
    });
    if let Some(parent) = parent {
        span["parentSpanId"] = format!("{parent:016x}").into();
    }
    span
}

#[cfg(test)]
mod tests {
    use super::*;
    use tallymark_store::TRACE;
    use tracing_subscriber::prelude::*;

    /// What spans become that are made under a layer with this bound.
    fn traced(per_s: u32, work: impl FnOnce()) -> Vec<Value> {
        let (to, ended) = sync_channel(16);
        let (second, begun) = (AtomicU64::new(0), AtomicU64::new(0));
        let lost = Arc::default();
        let traces = Traces { to, lost, per_s: u64::from(per_s), second, begun };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(traces), work);
        ended.try_iter().map(|ended| span(&ended)).collect()
    }

    #[test]
    fn a_span_says_what_it_was_of_which_trace_and_what_came_of_it() {
        let spans = traced(1, || {
            let request = tracing::info_span!(target: TRACE, "request", http.request.method = "POST",
                http.route = tracing::field::Empty, http.response.status_code = tracing::field::Empty);
            let _in = request.enter();
            drop(tracing::info_span!(target: TRACE, "question", rows = 7_u64));
            request.record("http.route", "/v1/query/{kind}");
            request.record("http.response.status_code", 503);
        });
        let [question, request] = &spans[..] else { panic!("{spans:?}") };
        assert_eq!(question["parentSpanId"], request["spanId"]);
        assert_eq!(question["traceId"], request["traceId"]);
        assert_eq!((&question["name"], &question["kind"]), (&json!("question"), &json!(1)));
        let rows = json!([{ "key": "rows", "value": { "intValue": "7" } }]);
        assert_eq!(question["attributes"], rows);
        assert_eq!(request["name"], "POST /v1/query/{kind}");
        assert_eq!((&request["kind"], &request["status"]["code"]), (&json!(2), &json!(2)));
        assert_eq!(request["parentSpanId"], Value::Null);
        assert_eq!(request["traceId"].as_str().map(str::len), Some(32));
        assert_eq!(request["spanId"].as_str().map(str::len), Some(16));
        let ns = |field: &str| request[field].as_str().unwrap().parse::<u128>().unwrap();
        assert!(ns("startTimeUnixNano") < ns("endTimeUnixNano"), "{request}");
    }

    #[test]
    fn of_more_traces_in_a_second_than_agreed_nothing_is_kept_not_even_parts() {
        let spans = traced(0, || {
            let request = tracing::info_span!(target: TRACE, "request");
            let _in = request.enter();
            drop(tracing::info_span!(target: TRACE, "question"));
        });
        assert!(spans.is_empty(), "{spans:?}");
    }

    #[test]
    fn a_second_has_as_many_traces_as_agreed_and_the_next_one_as_many_again() {
        let (to, _ended) = sync_channel(1);
        let (second, begun) = (AtomicU64::new(0), AtomicU64::new(0));
        let traces = Traces { to, lost: Arc::default(), per_s: 2, second, begun };
        let begins =
            [5_000, 5_001, 5_999, 6_000, 6_500, 6_501].map(|now_ms| traces.may_begin(now_ms));
        assert_eq!(begins, [true, true, false, true, true, false]);
    }

    #[test]
    fn traces_go_to_addresses_that_nobody_else_reads() {
        assert!(start("http://receiver.example.org/v1/traces", 1).is_err());
        let (traces, exporter) = start("http://127.0.0.1:9/v1/traces", 1).unwrap();
        drop((traces, exporter));
    }
}
