//! The batch: what a client sends to `POST /v1/batch`, and the receipt that answers it.
//!
//! Parsing has two steps, so that one bad event never fails its batch: [`Batch::parse`] reads the
//! envelope and leaves each event as text, [`WireEvent::parse`] reads one of them. Everything is
//! borrowed from the body.
//!
//! This is the wire form. It is frozen: fields are added, never changed, and unknown fields are
//! ignored. What an event means (hashes, times, identity) the collector decides; the memory form
//! is the store's `Row`.

use crate::codes::EventCode;
use crate::limits::EVENT_BYTES_MAX;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashMap;

/// The envelope of a batch.
#[derive(Debug, Deserialize)]
pub struct Batch<'a> {
    /// The write key. In the body, so that browsers need no preflight; absent when a secret key
    /// is in the `Authorization` header.
    #[serde(borrow, default, deserialize_with = "text")]
    pub key: Option<Cow<'a, str>>,
    /// Chosen by the client and repeated in the receipt: the proof that a reply is ours.
    #[serde(borrow, default, deserialize_with = "text")]
    pub nonce: Option<Cow<'a, str>>,
    /// Name and version of the client: `web/1.0.0`.
    #[serde(borrow, default, deserialize_with = "text")]
    pub sdk: Option<Cow<'a, str>>,
    /// The client's wall clock at sending, Unix milliseconds.
    #[serde(default, deserialize_with = "lenient")]
    pub sent_at: Option<f64>,
    /// The page's monotonic clock at sending, milliseconds.
    #[serde(default, deserialize_with = "lenient")]
    pub sent_mono: Option<f64>,
    /// The page load that sends.
    #[serde(borrow, default, deserialize_with = "lenient_text")]
    pub writer: Option<Cow<'a, str>>,
    /// How many events this page load has lost since it began, by the name of a [`DropReason`](crate::drop_reason::DropReason).
    #[serde(default, deserialize_with = "lenient")]
    pub lost: Option<HashMap<String, u32>>,
    /// What is the same for all events of the batch.
    #[serde(borrow, default, deserialize_with = "lenient_context")]
    pub context: Context<'a>,
    /// The events, each still as text: see [`WireEvent::parse`].
    #[serde(borrow)]
    pub events: Vec<&'a RawValue>,
}

impl<'a> Batch<'a> {
    /// Reads the envelope. Limits (bytes, number of events) are the caller's to check, bytes first.
    ///
    /// # Errors
    /// When the body is not JSON, a field appears twice, `events` is missing or no list, or one of
    /// `key`, `nonce`, `sdk` is no text. The message says where.
    pub fn parse(body: &'a [u8]) -> Result<Batch<'a>, serde_json::Error> {
        // Serde would also read a list as the fields in order, which nobody means to send.
        if body.trim_ascii_start().first() != Some(&b'{') {
            return Err(serde::de::Error::custom("a batch is a JSON object"));
        }
        serde_json::from_slice(body)
    }
}

/// Where the page of a batch is shown. A field of the wrong type is as good as absent: context is
/// a help, and no event shall be lost for it.
#[derive(Debug, Default, Deserialize)]
pub struct Context<'a> {
    /// Address of the page.
    #[serde(borrow, default, deserialize_with = "lenient_text")]
    pub url: Option<Cow<'a, str>>,
    /// Where the visitor came from.
    #[serde(borrow, default, deserialize_with = "lenient_text")]
    pub referrer: Option<Cow<'a, str>>,
    /// BCP 47 language tag.
    #[serde(borrow, default, deserialize_with = "lenient_text")]
    pub language: Option<Cow<'a, str>>,
    /// IANA time zone.
    #[serde(borrow, default, deserialize_with = "lenient_text")]
    pub tz: Option<Cow<'a, str>>,
    /// Width and height in CSS pixels.
    #[serde(default, deserialize_with = "lenient")]
    pub screen: Option<[f64; 2]>,
    /// `browser`, `standalone`, …
    #[serde(borrow, default, deserialize_with = "lenient_text")]
    pub display_mode: Option<Cow<'a, str>>,
}

/// One event of a batch. All fields are optional here, so that each one missing gets its own code.
#[derive(Debug, Default, Deserialize)]
pub struct WireEvent<'a> {
    /// UUID, made once.
    #[serde(borrow, default, deserialize_with = "text")]
    pub id: Option<Cow<'a, str>>,
    /// Event name.
    #[serde(borrow, default, deserialize_with = "text")]
    pub name: Option<Cow<'a, str>>,
    /// The client's wall clock, Unix milliseconds.
    #[serde(default)]
    pub at: Option<f64>,
    /// The page's monotonic clock, milliseconds.
    #[serde(default)]
    pub mono: Option<f64>,
    /// The page load that wrote it: 32 hexadecimal digits.
    #[serde(borrow, default, deserialize_with = "text")]
    pub writer: Option<Cow<'a, str>>,
    /// Counts the events of a writer, from 0.
    #[serde(default)]
    pub n: Option<u32>,
    /// Hash of the device id, 64 hexadecimal digits.
    #[serde(borrow, default, deserialize_with = "text")]
    pub device: Option<Cow<'a, str>>,
    /// Hash of the user id, 64 hexadecimal digits.
    #[serde(borrow, default, deserialize_with = "text")]
    pub user: Option<Cow<'a, str>>,
    /// Session, a UUID.
    #[serde(borrow, default, deserialize_with = "text")]
    pub session: Option<Cow<'a, str>>,
    /// Raw user id: servers with a secret key only.
    #[serde(borrow, default, deserialize_with = "text")]
    pub user_id: Option<Cow<'a, str>>,
    /// Raw device id: servers with a secret key only.
    #[serde(borrow, default, deserialize_with = "text")]
    pub device_id: Option<Cow<'a, str>>,
    /// The caller's properties, unread: see `props::check`.
    #[serde(borrow, default)]
    pub props: Option<&'a RawValue>,
}

impl<'a> WireEvent<'a> {
    /// Reads one event of at most 32 KiB (included).
    ///
    /// # Errors
    /// The code of the first field whose type is wrong, or [`EventCode::EventTooLarge`], or
    /// [`EventCode::EventUnreadable`]. Missing fields are `None`, not errors.
    pub fn parse(json: &'a RawValue) -> Result<WireEvent<'a>, EventCode> {
        if json.get().len() > EVENT_BYTES_MAX {
            return Err(EventCode::EventTooLarge);
        }
        if !json.get().starts_with('{') {
            return Err(EventCode::EventUnreadable);
        }
        serde_json::from_str(json.get()).map_err(|_| culprit(json.get()))
    }
}

/// Which field kept an event from being read. Only for events that are already refused.
fn culprit(json: &str) -> EventCode {
    let Ok(fields) = serde_json::from_str::<HashMap<Cow<'_, str>, &RawValue>>(json) else {
        return EventCode::EventUnreadable;
    };
    let wrong = |name: &str, code: EventCode| {
        let fits = |raw: &RawValue| match name {
            "at" | "mono" => serde_json::from_str::<Option<f64>>(raw.get()).is_ok(),
            "n" => serde_json::from_str::<Option<u32>>(raw.get()).is_ok(),
            _ => serde_json::from_str::<Option<Cow<'_, str>>>(raw.get()).is_ok(),
        };
        fields.get(name).is_some_and(|raw| !fits(raw)).then_some(code)
    };
    let faults = [
        ("id", EventCode::EventIdInvalid),
        ("name", EventCode::EventNameInvalid),
        ("at", EventCode::AtInvalid),
        ("mono", EventCode::MonoInvalid),
        ("writer", EventCode::WriterInvalid),
        ("n", EventCode::NInvalid),
        ("device", EventCode::DeviceInvalid),
        ("user", EventCode::UserInvalid),
        ("session", EventCode::SessionInvalid),
        ("user_id", EventCode::RawIdInvalid),
        ("device_id", EventCode::RawIdInvalid),
    ];
    faults.iter().find_map(|(name, code)| wrong(name, *code)).unwrap_or(EventCode::EventUnreadable)
}

/// What became of a batch. `ok + dup + rejected.len()` is the number of events sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchReceipt {
    /// The batch's own nonce; empty if it had none.
    pub nonce: String,
    /// Events now on disk.
    pub ok: u32,
    /// Events that were on disk before.
    pub dup: u32,
    /// Events that were refused, in the order of the batch.
    pub rejected: Vec<Rejected>,
}

/// One refused event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// Its place in the batch, from 0.
    pub i: u32,
    /// Why, for software.
    pub code: EventCode,
    /// Why and what to do, for people.
    pub detail: String,
}

impl Rejected {
    /// Event `i` of the batch was refused with this code and its usual detail.
    pub fn new(i: u32, code: EventCode) -> Rejected {
        Rejected { i, code, detail: code.detail().to_owned() }
    }
}

/// Text or null, borrowed where there are no escapes. (Serde borrows into `Cow` only when it is
/// not inside an `Option`.)
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Cow<'de, str>>, D::Error> {
    Ok(Option::<Text<'de>>::deserialize(deserializer)?.map(|text| text.0))
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn lenient<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let raw = <&RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).ok())
}

fn lenient_text<'de, D>(deserializer: D) -> Result<Option<Cow<'de, str>>, D::Error>
where
    D: Deserializer<'de>,
{
    Ok(lenient::<D, Text<'de>>(deserializer)?.map(|text| text.0))
}

fn lenient_context<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Context<'de>, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer)?;
    let object = Some(raw.get()).filter(|json| json.starts_with('{'));
    Ok(object.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    /// The example of the public contract, with an event of each kind of trouble behind it.
    const BODY: &str = r#"{
        "key": "tm_pk_live_x", "nonce": "b1946ac9", "sdk": "web/1.0.0",
        "sent_at": 1795331401767, "sent_mono": 52012.4, "future_field": [1],
        "context": { "url": "https://shop.example/p/1?utm_source=news", "language": "de-DE",
                     "screen": [1280, 800], "tz": 5 },
        "events": [
            { "id": "01a20217-218f-7da0-9d12-b3f82d8397c8", "name": "checkout_started",
              "at": 1795331401700, "mono": 51945.1, "writer": "5f3c", "n": 12,
              "props": { "plan": "team", "value": 29.99 } },
            17, {"id": 17}, {"name": "\ud800"}, {"n": -1}, {"n": 1, "n": 2}, {}
        ] }"#;

    fn parse(raw: &RawValue) -> Result<(), EventCode> {
        WireEvent::parse(raw).map(|_| ())
    }

    #[test]
    fn a_batch_reads_as_the_contract_says() {
        let batch = Batch::parse(BODY.as_bytes()).expect("a valid envelope");
        assert_eq!(batch.key.as_deref(), Some("tm_pk_live_x"));
        assert_eq!(batch.nonce.as_deref(), Some("b1946ac9"));
        assert_eq!(batch.sdk.as_deref(), Some("web/1.0.0"));
        assert_eq!(batch.sent_at, Some(1_795_331_401_767.0));
        assert_eq!(batch.context.language.as_deref(), Some("de-DE"));
        assert_eq!(batch.context.screen, Some([1280.0, 800.0]));
        assert_eq!(batch.context.tz, None, "a field of the wrong type is as good as absent");

        let event = WireEvent::parse(batch.events[0]).expect("a valid event");
        assert_eq!(event.name.as_deref(), Some("checkout_started"));
        assert!(matches!(event.name, Some(Cow::Borrowed(_))), "text without escapes is borrowed");
        assert_eq!(
            (event.at, event.mono, event.n),
            (Some(1_795_331_401_700.0), Some(51945.1), Some(12))
        );
        let props = event.props.expect("props");
        assert_eq!(props.get(), r#"{ "plan": "team", "value": 29.99 }"#);
    }

    #[test]
    fn one_bad_event_never_fails_its_batch() {
        let batch = Batch::parse(BODY.as_bytes()).expect("a valid envelope");
        let got: Vec<_> = batch.events.iter().map(|raw| parse(raw)).collect();
        assert_eq!(
            got,
            [
                Ok(()),
                Err(EventCode::EventUnreadable),
                Err(EventCode::EventIdInvalid),
                Err(EventCode::EventNameInvalid),
                Err(EventCode::NInvalid),
                Err(EventCode::EventUnreadable),
                Ok(()),
            ]
        );
    }

    #[rstest]
    #[case::at(r#"{"at":"now"}"#, EventCode::AtInvalid)]
    #[case::at_beyond_floats(r#"{"at":1e400}"#, EventCode::AtInvalid)]
    #[case::mono(r#"{"mono":[]}"#, EventCode::MonoInvalid)]
    #[case::writer(r#"{"writer":1}"#, EventCode::WriterInvalid)]
    #[case::n_of_33_bits(r#"{"n":4294967296}"#, EventCode::NInvalid)]
    #[case::device(r#"{"device":{}}"#, EventCode::DeviceInvalid)]
    #[case::user(r#"{"user":7}"#, EventCode::UserInvalid)]
    #[case::session(r#"{"session":true}"#, EventCode::SessionInvalid)]
    #[case::raw_user(r#"{"user_id":7}"#, EventCode::RawIdInvalid)]
    #[case::the_first_of_two(r#"{"user":7,"id":7}"#, EventCode::EventIdInvalid)]
    #[case::a_list("[]", EventCode::EventUnreadable)]
    fn a_field_of_the_wrong_type_is_named(#[case] json: &str, #[case] code: EventCode) {
        let raw = RawValue::from_string(json.to_owned()).expect("JSON");
        assert_eq!(parse(&raw), Err(code));
    }

    #[rstest]
    #[case::the_longest(EVENT_BYTES_MAX, Ok(()))]
    #[case::one_byte_more(EVENT_BYTES_MAX + 1, Err(EventCode::EventTooLarge))]
    fn an_event_of_bytes(#[case] bytes: usize, #[case] want: Result<(), EventCode>) {
        let frame = r#"{"name":""}"#.len();
        let json = format!(r#"{{"name":"{}"}}"#, "x".repeat(bytes - frame));
        let raw = RawValue::from_string(json).expect("JSON");
        assert_eq!(parse(&raw), want);
    }

    #[rstest]
    #[case::empty("")]
    #[case::not_json("hello")]
    #[case::a_list("[]")]
    #[case::the_fields_as_a_list(r#"["key","nonce","sdk",1,1,{},[]]"#)]
    #[case::no_events("{}")]
    #[case::events_no_list(r#"{"events":{}}"#)]
    #[case::key_no_text(r#"{"key":1,"events":[]}"#)]
    #[case::a_field_twice(r#"{"key":"a","key":"b","events":[]}"#)]
    #[case::cut_off(r#"{"events":[{}"#)]
    #[case::byte_order_mark("\u{feff}{\"events\":[]}")]
    #[case::too_deep(&format!(r#"{{"events":{}"#, "[".repeat(100_000)))]
    fn an_unreadable_envelope_is_an_error(#[case] body: &str) {
        assert!(Batch::parse(body.as_bytes()).is_err());
    }

    #[test]
    fn bytes_that_are_no_utf8_are_an_error() {
        assert!(Batch::parse(b"{\"events\":[],\"key\":\"\xff\"}").is_err());
    }

    #[test]
    fn null_is_absent() {
        let raw = RawValue::from_string(r#"{"user":null,"at":null,"props":null}"#.to_owned());
        let raw = raw.expect("JSON");
        let event = WireEvent::parse(&raw).expect("null everywhere");
        assert!(event.user.is_none() && event.at.is_none());
    }

    #[test]
    fn a_receipt_reads_as_it_was_written() {
        let rejected = vec![Rejected::new(3, EventCode::EventNameInvalid)];
        let receipt = BatchReceipt { nonce: "n".into(), ok: 17, dup: 2, rejected };
        let json = serde_json::to_string(&receipt).expect("plain data");
        assert!(json.starts_with(
            r#"{"nonce":"n","ok":17,"dup":2,"rejected":[{"i":3,"code":"event_name_invalid""#
        ));
        assert_eq!(serde_json::from_str::<BatchReceipt>(&json).expect("what we wrote"), receipt);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Batch::parse(&body);
        }

        /// A valid batch with one byte changed: either still readable, or an error.
        #[test]
        fn no_mutation_makes_the_parser_panic(at in 0..BODY.len(), byte in any::<u8>()) {
            let mut body = BODY.as_bytes().to_vec();
            body[at] = byte;
            if let Ok(batch) = Batch::parse(&body) {
                for raw in batch.events {
                    let _ = WireEvent::parse(raw);
                }
            }
        }
    }
}
