//! What is taken at most, and what happens beyond.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use tallymark_protocol::limits;

use super::{Frame, Tab, frame};
use crate::access::{Caller, Tenant};
use crate::app::App;
use crate::dashboard::form::Said;
use crate::dashboard::words::{filters, say, t};
use crate::dashboard::{Shell, format, show as show_page};

#[derive(Template)]
#[template(path = "settings/limits.html")]
struct Page {
    shell: Shell,
    frame: Frame,
    groups: Vec<(&'static str, Vec<Limit>)>,
}

struct Limit {
    name: &'static str,
    value: String,
    beyond: &'static str,
    setting: Option<&'static str>,
}

/// `GET /p/{slug}/settings/limits`
pub async fn show(State(app): State<App>, caller: Caller, Tenant(project): Tenant) -> Response {
    let (shell, frame) = frame(&app, &caller, &project, Tab::Limits, Said::default());
    let groups = vec![(t("Of this server"), of_server(&app)), (t("Of an event"), of_an_event())];
    show_page(StatusCode::OK, &Page { shell, frame, groups })
}

fn of_server(app: &App) -> Vec<Limit> {
    let config = &app.config;
    let count = |value: u32| format::count(u64::from(value));
    let refused = t("answered 429; clients wait and send again");
    let limit =
        |name, value, beyond, setting| Limit { name, value, beyond, setting: Some(setting) };
    vec![
        limit(
            t("Batches of a key per second, on average"),
            count(config.ingest_rate_per_s),
            refused,
            "ingest_rate_per_s",
        ),
        limit(t("Batches of a key at once"), count(config.ingest_burst), refused, "ingest_burst"),
        limit(
            t("Questions at one time"),
            count(config.query_concurrency),
            t("they wait for each other"),
            "query_concurrency",
        ),
        limit(
            t("Questions that wait"),
            count(config.query_waiting),
            t("answered 503; ask again"),
            "query_waiting",
        ),
        limit(
            t("Time of a question"),
            format::duration(config.query_timeout_ms as f64),
            t("stopped and answered 504"),
            "query_timeout_ms",
        ),
        limit(
            t("Memory of a question"),
            bytes(config.question_bytes),
            t("answered 422 with what to ask instead"),
            "question_bytes",
        ),
        limit(
            t("Refused events that are kept"),
            count(config.quarantine_events),
            t("the oldest go for newer ones, and are counted"),
            "quarantine_events",
        ),
        limit(
            t("Time in which a resend is recognised"),
            format::counted(u64::from(config.dedupe_days), "day", "days"),
            t("the event counts as a new one"),
            "dedupe_days",
        ),
    ]
}

fn of_an_event() -> Vec<Limit> {
    let refused = t("the event is refused, and kept to be sent again");
    let count = |value: usize| format::count(value as u64);
    let chars = |value: usize| say("{n} characters", &[("n", &count(value))]);
    let limit = |name, value, beyond| Limit { name, value, beyond, setting: None };
    let days = (limits::EVENT_AGE_MS_MAX / 86_400_000).unsigned_abs();
    vec![
        limit(t("Size"), bytes(limits::EVENT_BYTES_MAX as u64), refused),
        limit(t("Name"), chars(limits::EVENT_NAME_CHARS_MAX), refused),
        limit(t("Name of a property"), chars(limits::PROPERTY_NAME_CHARS_MAX), refused),
        limit(t("Properties"), count(limits::PROPERTY_KEYS_MAX), refused),
        limit(t("Levels of nesting"), count(limits::NESTING_MAX), refused),
        limit(t("Age on arrival"), format::counted(days, "day", "days"), refused),
        limit(
            t("Events of a batch"),
            count(limits::BATCH_EVENTS_MAX),
            t("the batch is refused as a whole"),
        ),
        limit(
            t("Size of a batch, unpacked"),
            bytes(limits::BODY_BYTES_MAX as u64),
            t("the batch is refused as a whole"),
        ),
    ]
}

/// Bytes in the largest unit that leaves a whole number.
fn bytes(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = units.into_iter().find(|(size, _)| bytes >= *size && bytes.is_multiple_of(*size));
    let (size, name) = unit.unwrap_or((1, "B"));
    format!("{} {name}", format::count(bytes / size))
}
