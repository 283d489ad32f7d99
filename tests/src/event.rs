//! Events and batches as JSON, written the way the wire contract says.
//!
//! Ids are made here and not by the `protocol` crate: a test that speaks to the collector with
//! the collector's own types would not notice when both change together.

use std::time::{SystemTime, UNIX_EPOCH};

use rand::{Rng, RngExt};
use serde_json::{Map, Value, json};

/// One event on its way to the collector.
#[derive(Debug, Clone)]
pub struct Event(Map<String, Value>);

impl Event {
    /// An event of this name that happened now, with a new id and a random device.
    pub fn new(name: &str, random: &mut impl Rng) -> Event {
        let now_ms = now_ms();
        let device = hex(&random.random::<[u8; 32]>());
        let value =
            json!({ "id": uuid7(now_ms, random), "name": name, "at": now_ms, "device": device });
        let Value::Object(fields) = value else { unreachable!("json! of braces is an object") };
        Event(fields)
    }

    /// Replace or add one field of the envelope.
    #[must_use]
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Event {
        self.0.insert(field.to_owned(), value.into());
        self
    }

    /// Leave one field out.
    #[must_use]
    pub fn without(mut self, field: &str) -> Event {
        self.0.remove(field);
        self
    }

    /// The event id, as sent.
    pub fn id(&self) -> &str {
        self.0.get("id").and_then(Value::as_str).unwrap_or_default()
    }

    /// The event as JSON.
    pub fn json(&self) -> Value {
        Value::Object(self.0.clone())
    }
}

/// A batch for this write key. The nonce is made of the first event's id, so that a resend of
/// the same events is the same bytes.
pub fn batch(write_key: &str, events: &[Event]) -> Value {
    let nonce = events.first().map_or("empty", Event::id).replace('-', "");
    json!({
        "key": write_key,
        "nonce": nonce,
        "sdk": "tests/1",
        "sent_at": now_ms(),
        "events": events.iter().map(Event::json).collect::<Vec<_>>(),
    })
}

/// The wall clock in Unix milliseconds.
#[expect(clippy::disallowed_methods, reason = "a client has a clock of its own")]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    u64::try_from(since.as_millis()).expect("milliseconds fit in 64 bits for a long time")
}

/// A version 7 UUID in its hyphenated form (RFC 9562): 48 bits of time, then randomness.
pub fn uuid7(unix_ms: u64, random: &mut impl Rng) -> String {
    let noise: u128 = random.random();
    let mut id = u128::from(unix_ms) << 80 | noise >> 48;
    id = id & !(0xf << 76) | 0x7 << 76;
    id = id & !(0x3 << 62) | 0x2 << 62;
    let text = format!("{id:032x}");
    format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
