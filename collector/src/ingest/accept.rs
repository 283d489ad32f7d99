//! From the events of a batch to rows, one by one: what is right is stored, what is wrong is named.
//!
//! In: an envelope and who sent it. Out: [`Accepted`]: rows, refused rows for the quarantine, and
//! the part of the receipt that is known before storing.
//!
//! What the events of a batch have in common, its rows share.
//!
//! Invariants: `rows + rejected = events`; pure. The visitor's number is only asked for when an event
//! names nobody.

use std::sync::Arc;

use serde_json::value::RawValue;
use tallymark_analysis::completeness::report;
use tallymark_protocol::batch::{Batch, BatchReceipt, Rejected, WireEvent};
use tallymark_protocol::codes::EventCode;
use tallymark_protocol::drop_reason::DropReason;
use tallymark_protocol::{event_name, uuid7};
use tallymark_store::row::flags;
use tallymark_store::{Appended, Dim, Dims, RefusedRow, Row};

use super::guard::{Guard, Marks, Rule};
use super::identity::{Claims, Identity, Realm, Trust, identify};
use super::quarantine::{Known, keep};
use super::time::{Readings, event_time};
use crate::usage::record::is_countable;

/// Who sent a batch, and when.
pub struct Sender<'a> {
    /// Whose ids they are.
    pub realm: Realm<'a>,
    /// Which fields are believed.
    pub trust: Trust,
    /// Our clock when the batch had arrived, Unix milliseconds.
    pub received_ms: i64,
    /// What all its events have in common.
    pub dims: Arc<Dims>,
    /// Hides what should not reach the disk.
    pub guard: Guard,
    /// Tells the number of the unnamed visitor behind this request, the same each time.
    pub visitor: &'a dyn Fn() -> u64,
}

/// What became of the events of a batch before storing.
#[derive(Debug, Default)]
pub struct Accepted {
    /// Events to store, in the order of the batch.
    pub rows: Vec<Row>,
    /// Events for the quarantine.
    pub refused: Vec<RefusedRow>,
    /// The same, for the receipt.
    pub rejected: Vec<Rejected>,
    /// Events in which something was hidden, here or by the sender, in the order of [`Rule::ALL`].
    pub guarded: [u64; Rule::ALL.len()],
}

impl Accepted {
    /// The receipt, once it is known which rows were stored before.
    pub fn receipt(
        nonce: String,
        appended: &Appended,
        mut rejected: Vec<Rejected>,
    ) -> BatchReceipt {
        let Appended { duplicate, erased } = appended;
        let dup = duplicate.iter().filter(|dup| **dup).count();
        let stored = duplicate.len() - dup - erased.len();
        if !erased.is_empty() {
            // Rows are the events that were not refused, in order.
            let events = (0..).filter(|place| !rejected.iter().any(|other| other.i == *place));
            let places: Vec<u32> = events.take(duplicate.len()).collect();
            rejected.extend(
                erased.iter().map(|row| Rejected::new(places[*row], EventCode::PersonErased)),
            );
            rejected.sort_by_key(|rejected| rejected.i);
        }
        // A batch has at most 500 events.
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        BatchReceipt { nonce, ok: count(stored), dup: count(dup), rejected }
    }
}

/// Check the events of a batch and make rows of them.
pub fn accept(batch: &Batch<'_>, sender: &Sender<'_>) -> Accepted {
    let mut accepted = Accepted::default();
    accepted.rows.reserve(batch.events.len());
    let mut shared = Shared::of(batch, sender);
    for (place, raw) in batch.events.iter().enumerate() {
        match row(raw, batch, sender, &mut shared) {
            Ok((row, marks)) => {
                marks.rules().for_each(|rule| accepted.guarded[rule as usize] += 1);
                accepted.rows.push(row);
            }
            Err(code) => {
                accepted.refused.push(RefusedRow {
                    project: sender.realm.project,
                    received_ms: sender.received_ms,
                    code: code.as_str().to_owned(),
                    raw: keep(
                        &sender.guard.json(raw.get()),
                        &known(raw, batch, sender, &shared.dims),
                    ),
                });
                let place = u32::try_from(place).unwrap_or(u32::MAX);
                accepted.rejected.push(Rejected::new(place, code));
            }
        }
    }
    accepted
}

/// What a refused event's row would have had beside the event's own text.
fn known(raw: &RawValue, batch: &Batch<'_>, sender: &Sender<'_>, dims: &Dims) -> Known {
    let Ok(event) = WireEvent::parse(raw) else { return Known::new(None, 0, None, dims) };
    let identity = identify(&claims(&event), sender.trust, &sender.realm, sender.visitor).ok();
    let time = event_time(&readings(&event, batch, sender)).ok();
    let mut flags = 0;
    if time.is_some_and(|time| time.suspect) {
        flags |= flags::CLOCK_SUSPECT;
    }
    if sender.trust == Trust::Server {
        flags |= flags::SERVER;
    }
    Known::new(identity, flags, time, dims)
}

fn claims<'a>(event: &'a WireEvent<'_>) -> Claims<'a> {
    Claims {
        user: event.user.as_deref(),
        device: event.device.as_deref(),
        user_id: event.user_id.as_deref(),
        device_id: event.device_id.as_deref(),
    }
}

fn readings(event: &WireEvent<'_>, batch: &Batch<'_>, sender: &Sender<'_>) -> Readings {
    Readings {
        received_ms: sender.received_ms,
        sent_at: batch.sent_at,
        sent_mono: batch.sent_mono,
        at: event.at,
        mono: event.mono,
    }
}

fn row(
    raw: &RawValue,
    batch: &Batch<'_>,
    sender: &Sender<'_>,
    shared: &mut Shared,
) -> Result<(Row, Marks), EventCode> {
    let event = WireEvent::parse(raw)?;
    let name = event.name.as_deref().ok_or(EventCode::EventNameInvalid)?;
    event_name::check(name)?;
    let event_id = event
        .id
        .as_deref()
        .and_then(uuid7::parse)
        .filter(|id| uuid7::unix_ms(*id).is_some())
        .ok_or(EventCode::EventIdInvalid)?;
    let time = event_time(&readings(&event, batch, sender))?;
    let Identity { person, actor, flags: identity_flags } =
        identify(&claims(&event), sender.trust, &sender.realm, sender.visitor)?;
    let session = match event.session.as_deref() {
        Some(text) => uuid7::parse(text).ok_or(EventCode::SessionInvalid)?,
        None => 0,
    };
    let writer = event.writer.as_deref().map(writer).transpose()?;
    // A page load without a number has nothing to count.
    let writer = event.n.and(writer).unwrap_or(0);
    let props = event.props.map_or(Ok("{}".into()), |raw| sender.guard.props(raw.get()))?;
    if sender.trust == Trust::Server && !is_countable(name, &props) {
        return Err(EventCode::PropsInvalid);
    }
    let name = sender.guard.text(name);
    let marks = shared.marks.and(Marks::of(&props)).and(Marks::of(&name));
    let mut flags = identity_flags;
    if time.suspect {
        flags |= flags::CLOCK_SUSPECT;
    }
    if sender.trust == Trust::Server {
        flags |= flags::SERVER;
    }
    let row = Row {
        project: sender.realm.project,
        person,
        actor,
        ts_ms: time.ts_ms,
        seq: event.n.unwrap_or(0),
        writer,
        event_id,
        received_ms: sender.received_ms,
        claimed_ms: time.claimed_ms,
        flags,
        event: shared.name(&name),
        session,
        dims: shared.dims(writer, marks),
        props: props.into(),
    };
    Ok((row, marks))
}

/// What rows of one batch have in common.
struct Shared {
    dims: Arc<Dims>,
    /// What was hidden in them.
    marks: Marks,
    /// The page load that tells of losses, and the dimensions of its events.
    telling: Option<(u64, Arc<Dims>)>,
    /// Names met so far. A batch has few, so looking through them beats hashing.
    names: Vec<Arc<str>>,
}

impl Shared {
    /// A batch with more names than this has its rows keep their own.
    const NAMES_MAX: usize = 16;

    fn of(batch: &Batch<'_>, sender: &Sender<'_>) -> Self {
        let dims = Arc::clone(&sender.dims);
        let marks =
            dims.iter().flatten().fold(Marks::default(), |all, text| all.and(Marks::of(text)));
        let lost = batch.lost.as_ref().and_then(|lost| {
            let count = |reason: &DropReason| *lost.get(reason.as_str()).unwrap_or(&0);
            report(DropReason::ALL.iter().map(|reason| (*reason, count(reason))))
        });
        let telling = batch.writer.as_deref().and_then(|text| writer(text).ok()).zip(lost);
        let telling = telling.map(|(writer, lost)| {
            let mut dims = Dims::clone(&dims);
            dims[Dim::Lost as usize] = Some(lost.into());
            (writer, Arc::new(dims))
        });
        Self { dims, marks, telling, names: Vec::new() }
    }

    /// The dimensions of an event of this page load.
    fn dims(&self, writer: u64, marks: Marks) -> Arc<Dims> {
        let telling = self.telling.as_ref().filter(|(telling, _)| *telling == writer);
        let mut dims = Arc::clone(telling.map_or(&self.dims, |(_, dims)| dims));
        if !marks.is_empty() {
            Arc::make_mut(&mut dims)[Dim::Guarded as usize] = Some(marks.text());
        }
        dims
    }

    fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.iter().find(|known| ***known == *name) {
            return Arc::clone(known);
        }
        let new: Arc<str> = name.into();
        if self.names.len() < Self::NAMES_MAX {
            self.names.push(Arc::clone(&new));
        }
        new
    }
}

/// A page load's number in rows, never 0: of 53 bits, so that it is a number to questions too. Of a million page
/// loads two have the same one with a probability of 6·10⁻⁵.
fn writer(text: &str) -> Result<u64, EventCode> {
    let digits = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let bits = digits.and_then(|text| u128::from_str_radix(text, 16).ok());
    let bits = bits.ok_or(EventCode::WriterInvalid)?;
    // Random already in our SDK; others may count.
    let mixed = ((bits >> 64) as u64 ^ bits as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Ok((mixed >> 11).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::dims::of_server;
    use proptest::prelude::*;
    use rstest::rstest;
    use tallymark_protocol::hashing::ServerHasher;

    const NOW: i64 = 1_795_331_401_767;

    fn accept_events(events: &str, trust: Trust) -> Accepted {
        let context = r#"{"url":"https://shop.example/p/1"}"#;
        accept_body(
            &format!(r#"{{"sent_at":{NOW},"context":{context},"events":[{events}]}}"#),
            trust,
        )
    }

    fn accept_body(body: &str, trust: Trust) -> Accepted {
        let batch = Batch::parse(body.as_bytes()).unwrap();
        let hasher = ServerHasher::new(&[7; 32], 3);
        let sender = Sender {
            realm: Realm { project: 3, salt: "salt", hasher: &hasher, day_only: None },
            trust,
            received_ms: NOW,
            dims: of_server(&batch.context, batch.sdk.as_deref(), Guard { is_on: true }),
            guard: Guard { is_on: true },
            visitor: &|| 99,
        };
        accept(&batch, &sender)
    }

    fn event(fields: &str) -> String {
        format!(
            r#"{{"id":"01a20217-218f-7da0-9d12-b3f82d8397c8","name":"opened","at":{NOW}{fields}}}"#
        )
    }

    #[test]
    fn page_loads_are_numbers_that_questions_can_compare() {
        let number = |text: &str| writer(text).unwrap();
        let many: Vec<u64> = (0..1_000).map(|n| number(&format!("{n:x}"))).collect();
        assert!(many.iter().all(|writer| (1..1 << 53).contains(writer)));
        assert_eq!(many.iter().collect::<std::collections::HashSet<_>>().len(), many.len());
        let (high, low) = ("5f3c00000000000000000000000000aa", "5f3d00000000000000000000000000aa");
        assert_ne!(number(high), number(low));
        assert_eq!(number(high), number(&high.to_uppercase()));
    }

    #[test]
    fn losses_are_told_to_the_rows_of_the_page_that_sends() {
        let body = format!(
            r#"{{"sent_at":{NOW},"writer":"5F3C","lost":{{"refused":1,"queue_full":2,"odd":9}},"events":[{},{},{}]}}"#,
            event(r#","writer":"5f3c","n":1"#),
            event(r#","writer":"5f3d","n":1"#),
            event(r#","writer":"5f3c""#),
        );
        let rows = accept_body(&body, Trust::Page).rows;
        let told: Vec<_> = rows.iter().map(|row| row.dims[Dim::Lost as usize].as_deref()).collect();
        assert_eq!(told, [Some("queue_full=2,refused=1"), None, None]);
        assert_eq!(rows[2].writer, 0, "without a number there is nothing to count");
    }

    #[test]
    fn a_whole_event_becomes_a_row() {
        let device = "ab".repeat(32);
        let fields = format!(
            r#","device":"{device}","n":12,"session":"01a20217-0000-7000-8000-000000000001",
               "writer":"5f3c","props":{{"plan":"team"}}"#
        );
        let accepted = accept_events(&event(&fields), Trust::Page);
        assert!(accepted.rejected.is_empty(), "{:?}", accepted.rejected);
        let row = &accepted.rows[0];
        assert_eq!((row.project, row.seq, row.ts_ms, &*row.event), (3, 12, NOW, "opened"));
        assert_eq!(&*row.props, r#"{"plan":"team"}"#);
        assert_eq!(row.dims[Dim::Path as usize].as_deref(), Some("/p/1"));
        assert_eq!(row.session, 0x01a2_0217_0000_7000_8000_0000_0000_0001);
        assert_ne!(row.actor, 0xabab_abab_abab_abab, "the first stage is not what is stored");
    }

    #[rstest]
    #[case::reserved(
        r#"{"id":"01a20217-218f-7da0-9d12-b3f82d8397c8","name":"$mine","at":1}"#,
        "reserved_name_unknown"
    )]
    #[case::no_name(
        r#"{"id":"01a20217-218f-7da0-9d12-b3f82d8397c8","at":1}"#,
        "event_name_invalid"
    )]
    #[case::no_id(r#"{"name":"a","at":1}"#, "event_id_invalid")]
    #[case::id_of_version_4(
        r#"{"id":"01a20217-218f-4da0-9d12-b3f82d8397c8","name":"a","at":1}"#,
        "event_id_invalid"
    )]
    #[case::no_time(r#"{"id":"01a20217-218f-7da0-9d12-b3f82d8397c8","name":"a"}"#, "at_invalid")]
    #[case::old(r#"{"id":"01a20217-218f-7da0-9d12-b3f82d8397c8","name":"a","at":1}"#, "too_old")]
    #[case::mail_as_user(&event(r#","user":"ann@example.org""#), "user_invalid")]
    #[case::raw_user(&event(r#","user_id":"ann@example.org""#), "raw_id_refused")]
    #[case::session(&event(r#","session":"x""#), "session_invalid")]
    #[case::writer(&event(r#","writer":"no hex""#), "writer_invalid")]
    #[case::props_list(&event(r#","props":[]"#), "props_invalid")]
    #[case::infinite(&event(r#","props":{"a":1e400}"#), "props_invalid")]
    #[case::number("17", "event_unreadable")]
    fn an_event_is_refused(#[case] bad: &str, #[case] code: &str) {
        let good = event("");
        let accepted = accept_events(&format!("{good},{bad},{good}"), Trust::Page);
        assert_eq!(accepted.rows.len(), 2, "one bad event never fails its batch");
        assert_eq!((accepted.rejected[0].i, accepted.rejected[0].code.as_str()), (1, code));
        assert_eq!(accepted.refused[0].code, code);
        assert!(!accepted.refused[0].raw.contains("ann@"), "{}", accepted.refused[0].raw);
    }

    /// Clocks are corrected, ids are not: one made by a wrong clock says nothing about the event.
    #[rstest]
    #[case::of_1997("00c9b1a5-4000-7da0-9d12-b3f82d8397c8")]
    #[case::of_the_year_10889("ffffffff-ffff-7da0-9d12-b3f82d8397c8")]
    fn the_day_inside_an_id_is_no_reason_to_refuse(#[case] id: &str) {
        let fields = format!(r#"{{"id":"{id}","name":"opened","at":{NOW}}}"#);
        let accepted = accept_events(&fields, Trust::Page);
        assert_eq!(accepted.rows.len(), 1, "{:?}", accepted.rejected);
    }

    #[test]
    fn a_server_may_send_raw_ids_and_they_end_here() {
        let accepted = accept_events(&event(r#","user_id":"ann@example.org""#), Trust::Server);
        let row = &accepted.rows[0];
        assert_eq!(row.flags, flags::IDENTIFIED | flags::SERVER);
        assert!(!format!("{row:?}").contains("ann@"));
    }

    proptest! {
        #[test]
        fn every_event_is_either_a_row_or_named(
            events in prop::collection::vec("\\{\"(name|id|at|n|user)\":(1|\"x\"|null)\\}|\\[\\]|true", 0..20),
        ) {
            let accepted = accept_events(&events.join(","), Trust::Page);
            prop_assert_eq!(accepted.rows.len() + accepted.rejected.len(), events.len());
            prop_assert_eq!(accepted.refused.len(), accepted.rejected.len());
        }
    }
}
