//! `GET /v1/events`: raw events, newest first, page by page.
//!
//! A page is cut by event time and id, not by a number of rows to skip, so it survives inserts: an
//! event that arrives while someone turns pages moves nothing. A scan keeps the rows of one page and
//! looks at nothing later than the event it goes on from.
//!
//! The newest events are looked for in the last hour first, then in longer times, until there are enough of them for
//! the page; whoever goes away ends that.
//!
//! Deliberately elsewhere: what `where` means (`tallymark_analysis::filter`), and how a row's
//! properties read as texts and numbers (the store).

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tallymark_protocol::uuid7;
use tallymark_store::row::flags;
use tallymark_store::{Dim, Progress, Row, RowRange};

use super::pick::{Pick, PickParams, Source};
use super::range::parse_range;
use crate::access::Tenant;
use crate::app::{App, Waiting};
use crate::error::ApiError;
use crate::extract::Params;
use crate::meta::projects::Project;

/// Events of a page when the caller does not say.
const PAGE: usize = 100;
/// Most events of a page.
const PAGE_MAX: usize = 1_000;

/// Which events.
#[derive(Debug, Deserialize)]
pub struct Filter {
    from: Option<String>,
    to: Option<String>,
    #[serde(flatten)]
    pick: PickParams,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// A page.
#[derive(Debug, Serialize)]
pub struct Page {
    /// Newest first.
    pub events: Vec<EventView>,
    /// The `cursor` of the next page; null on the last.
    pub next: Option<String>,
}

/// An event as people and programs read it.
#[derive(Debug, Serialize)]
pub struct EventView {
    id: String,
    /// What happened.
    pub name: Arc<str>,
    /// RFC 3339.
    time: String,
    /// Unix milliseconds.
    pub at: i64,
    received_at: i64,
    claimed_at: i64,
    /// Pseudonyms: 16 hexadecimal digits.
    pub person: String,
    actor: String,
    identified: bool,
    clock_suspect: bool,
    /// Who sent it.
    pub source: Source,
    session: Option<String>,
    seq: u32,
    /// Built-in dimensions that are known.
    pub context: serde_json::Map<String, serde_json::Value>,
    /// Its properties, as they were sent.
    pub props: Box<RawValue>,
}

impl From<Row> for EventView {
    fn from(row: Row) -> Self {
        let known = Dim::ALL.iter().zip(row.dims.iter());
        let context = known
            .filter_map(|(dim, value)| Some((dim.name().to_owned(), (**value.as_ref()?).into())))
            .collect();
        let time = jiff::Timestamp::from_millisecond(row.ts_ms).map(|t| t.to_string());
        Self {
            id: uuid7::format(row.event_id),
            source: Source::of(&row),
            name: row.event,
            time: time.unwrap_or_default(),
            at: row.ts_ms,
            received_at: row.received_ms,
            claimed_at: row.claimed_ms,
            person: format!("{:016x}", row.person),
            actor: format!("{:016x}", row.actor),
            identified: row.flags & flags::IDENTIFIED != 0,
            clock_suspect: row.flags & flags::CLOCK_SUSPECT != 0,
            session: (row.session != 0).then(|| uuid7::format(row.session)),
            seq: row.seq,
            context,
            // Checked when it was stored.
            props: RawValue::from_string(row.props.into())
                .unwrap_or_else(|_| RawValue::NULL.to_owned()),
        }
    }
}

/// Where a page ended: everything on the next one is smaller.
type Place = (i64, u128);

/// List raw events, newest first.
#[utoipa::path(
    get, path = "/v1/events", tag = "events", security(("secret_key" = ["analytics:read"])),
    params(
        ("event" = Option<String>, Query, description = "Only events of this name"),
        ("source" = Option<String>, Query, description = "`web`: only what pages sent; `server`: only what servers sent or an import brought"),
        ("person" = Option<String>, Query, description = "Only events of this person, as answers name them"),
        ("user" = Option<String>, Query, description = "Only events of this user, as your servers know it"),
        ("from" = Option<String>, Query, description = "Date or instant, included"),
        ("to" = Option<String>, Query, description = "Date or instant, excluded"),
        ("where" = Option<String>, Query, description = "Only events that pass: the filters of a question, as JSON: `[{\"prop\":\"plan\",\"op\":\"eq\",\"value\":\"team\"}]`"),
        ("limit" = Option<usize>, Query, description = "1 to 1,000, 100 if absent"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
        ("project" = Option<String>, Query, description = "The project's slug; with a dashboard session only"),
    ),
    responses(
        (status = 200, description = "`{events: […], next}`", body = serde_json::Value),
        (status = 422, description = "A parameter is wrong", content_type = "application/problem+json", body = crate::openapi::Problem),
        (status = 503, description = "Too many questions are waiting; try again after `Retry-After`", content_type = "application/problem+json", body = crate::openapi::Problem),
        (status = 504, description = "It took longer than `query_timeout_ms`", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn list_events(
    State(app): State<App>,
    Tenant(project): Tenant,
    Params(filter): Params<Filter>,
) -> Result<Json<Page>, ApiError> {
    let range = parse_range(filter.from.as_deref(), filter.to.as_deref(), &project.tz)?;
    let limit = filter.limit.unwrap_or(PAGE);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(ApiError::parameter("limit", format!("must be 1 to {PAGE_MAX}")));
    }
    let pick = filter.pick.pick(&app, &project)?;
    let cursor = filter.cursor.as_deref();
    newest(&app, &project, pick, range, (limit, cursor), Arc::default()).await.map(Json)
}

/// How far back from the newest moment that may hold events of a page it is looked for them, in ms; then everywhere.
const BACK_MS: [i64; 3] = [3_600_000, 86_400_000, 30 * 86_400_000];

/// The newest events of a range of times, or those before a cursor: so many of them. Dropping the future stops the
/// work, as with a question, and it takes its turn among them.
///
/// # Errors
/// A cursor that no page gave; as [`App::in_turn`]; [`ApiError::Internal`] when the store cannot be read.
pub async fn newest(
    app: &App,
    project: &Project,
    pick: Pick,
    range: Range<i64>,
    (limit, cursor): (usize, Option<&str>),
    progress: Arc<Progress>,
) -> Result<Page, ApiError> {
    let before = cursor.map(parse_cursor).transpose()?;
    let to_ms = before.map_or(range.end, |(ts_ms, _)| range.end.min(ts_ms.saturating_add(1)));
    // Clocks of devices may be ahead; what they send is stored at its arrival.
    let newest_ms = to_ms.min(app.clock.now_ms());
    let project_id = project.id;
    let _waiting = Waiting::on(Arc::clone(&progress));
    let page = app.in_turn(move |app| {
        let back = BACK_MS.map(|back_ms| newest_ms.saturating_sub(back_ms));
        let back = back.into_iter().filter(|from_ms| *from_ms > range.start).chain([range.start]);
        let back: Vec<i64> = back.collect();
        progress.expect(back.len() as u32);
        for from_ms in back {
            let mut newest = Newest { limit, heap: BinaryHeap::with_capacity(limit + 2) };
            let rows = RowRange { from_ms, to_ms, person: pick.person };
            app.store.rows_watched(project_id, rows, &progress, &mut |row| {
                let place = (row.ts_ms, row.event_id);
                let wanted = before.is_none_or(|before| place < before)
                    && newest.takes(place)
                    && pick.wants(&row);
                if wanted {
                    newest.take(place, row);
                }
                ControlFlow::Continue(())
            })?;
            if newest.heap.len() > limit || from_ms == range.start {
                progress.end();
                return Ok(newest.page());
            }
        }
        unreachable!("the last look is at all of the range")
    });
    page.await
}

/// The newest rows of a scan, one more than the page has: it tells whether there is a next page.
struct Newest {
    limit: usize,
    heap: BinaryHeap<Reverse<Entry>>,
}

struct Entry(Place, Row);

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

impl Newest {
    /// Whether a row at this place would be among the newest so far.
    fn takes(&self, place: Place) -> bool {
        self.heap.len() <= self.limit
            || self.heap.peek().is_some_and(|Reverse(oldest)| place > oldest.0)
    }

    fn take(&mut self, place: Place, row: Row) {
        self.heap.push(Reverse(Entry(place, row)));
        if self.heap.len() > self.limit + 1 {
            self.heap.pop();
        }
    }

    fn page(self) -> Page {
        // Sorted ascending by `Reverse`: newest first.
        let mut entries = self.heap.into_sorted_vec();
        let more = entries.len() > self.limit;
        entries.truncate(self.limit);
        let last = entries.last().map(|Reverse(Entry(place, _))| *place);
        Page {
            next: last.filter(|_| more).map(|(ts_ms, id)| format!("{ts_ms}.{id:032x}")),
            events: entries.into_iter().map(|Reverse(Entry(_, row))| row.into()).collect(),
        }
    }
}

fn parse_cursor(text: &str) -> Result<Place, ApiError> {
    let parse = || {
        let (ts_ms, id) = text.split_once('.')?;
        Some((ts_ms.parse().ok()?, u128::from_str_radix(id, 16).ok()?))
    };
    parse().ok_or_else(|| ApiError::parameter("cursor", "not one that a page gave as `next`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row(ts_ms: i64, event_id: u128) -> Row {
        Row {
            project: 1,
            person: 1,
            actor: 1,
            ts_ms,
            seq: 0,
            writer: 0,
            event_id,
            received_ms: 0,
            claimed_ms: 0,
            flags: 0,
            event: "a".into(),
            session: 0,
            dims: Arc::default(),
            props: "{}".into(),
        }
    }

    proptest! {
        #[test]
        fn pages_together_are_all_events_newest_first(
            times in prop::collection::vec(0i64..20, 0..60),
            limit in 1usize..10,
        ) {
            let all: Vec<Place> =
                times.iter().enumerate().map(|(id, ts_ms)| (*ts_ms, id as u128 + 1)).collect();
            let mut seen = Vec::new();
            let mut before: Option<Place> = None;
            loop {
                let mut newest = Newest { limit, heap: BinaryHeap::new() };
                for &place in all.iter().filter(|place| before.is_none_or(|b| **place < b)) {
                    if newest.takes(place) {
                        newest.take(place, row(place.0, place.1));
                    }
                    prop_assert!(newest.heap.len() <= limit + 1);
                }
                let page = newest.page();
                seen.extend(page.events.iter().map(|e| (e.at, uuid7::parse(&e.id).unwrap())));
                match page.next {
                    Some(cursor) => before = Some(parse_cursor(&cursor).unwrap()),
                    None => break,
                }
            }
            let mut want = all;
            want.sort_unstable_by(|a, b| b.cmp(a));
            prop_assert_eq!(seen, want);
        }
    }

    #[test]
    fn a_forged_cursor_is_refused() {
        for text in ["", ".", "1", "x.y", "1.zz", "99999999999999999999.1"] {
            assert!(parse_cursor(text).is_err(), "{text:?}");
        }
    }
}
