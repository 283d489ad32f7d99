//! What is kept of a refused event: enough to see what was wrong and to send it again once that is
//! mended, and nothing that names a person.
//!
//! In: the event's text as it came, and what was known of it beside that ([`Known`]). Out: JSON text
//! of at most [`RAW_BYTES_MAX`] bytes: the event without its ids, and `$kept`.
//!
//! Invariant: no raw id and no first-stage hash is in it, whatever the event was refused for. An
//! event that cannot be taken apart is therefore not kept as text at all.
//!
//! Deliberately elsewhere: listing and sending again (`crate::quarantine`).

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tallymark_store::{Dim, Dims};

use super::identity::Identity;
use super::time::EventTime;
use crate::extract::clip;

/// Bytes kept of one refused event.
pub const RAW_BYTES_MAX: usize = 4 * 1024;

/// Fields that may hold an id of a person or device.
pub const ID_FIELDS: [&str; 4] = ["user", "device", "user_id", "device_id"];
/// The field that holds [`Known`]. A client's own field of this name is not kept.
pub const KEPT: &str = "$kept";

/// What an event's row would have had from elsewhere than its own text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Person, device and flags, if its ids were fine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<Who>,
    /// When it happened by our clock and by its own, if that could be worked out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<(i64, i64)>,
    /// Built-in dimensions by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dims: BTreeMap<String, String>,
}

/// Whose an event is: numbers that are on disk for every stored event too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// 16 hexadecimal digits.
    pub person: String,
    /// 16 hexadecimal digits.
    pub actor: String,
    /// Flags of the row.
    pub flags: u8,
}

impl Known {
    /// What is known of an event that was refused.
    pub fn new(
        identity: Option<Identity>,
        flags: u8,
        time: Option<EventTime>,
        dims: &Dims,
    ) -> Self {
        let named = Dim::ALL.iter().zip(dims);
        Self {
            who: identity.map(|identity| Who {
                person: format!("{:016x}", identity.person),
                actor: format!("{:016x}", identity.actor),
                flags: identity.flags | flags,
            }),
            when: time.map(|time| (time.ts_ms, time.claimed_ms)),
            dims: named
                .filter_map(|(dim, text)| {
                    Some((dim.name().to_owned(), text.as_deref()?.to_owned()))
                })
                .collect(),
        }
    }
}

/// The text to keep.
pub fn keep(raw: &str, known: &Known) -> Box<str> {
    let Ok(fields) = serde_json::from_str::<BTreeMap<Cow<'_, str>, &RawValue>>(raw) else {
        return format!("{{\"unreadable_bytes\":{}}}", raw.len()).into();
    };
    let mut text = String::with_capacity(raw.len().min(RAW_BYTES_MAX));
    // First, so that it is whole when the rest is cut. Plain texts and numbers always serialize.
    text.push_str(&format!("{{\"{KEPT}\":{}", serde_json::to_string(known).unwrap_or_default()));
    for (name, value) in fields.into_iter().filter(|(name, _)| name != KEPT) {
        text.push(',');
        // A text can always be written as JSON.
        text.push_str(&serde_json::to_string(&name).unwrap_or_default());
        text.push(':');
        text.push_str(if ID_FIELDS.contains(&&*name) { "\"redacted\"" } else { value.get() });
        if text.len() > RAW_BYTES_MAX {
            break;
        }
    }
    text.push('}');
    clip(&text, RAW_BYTES_MAX).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::raw_id(
        r#"{"name":"a","user_id":"ann@example.org"}"#,
        r#"{"$kept":{},"name":"a","user_id":"redacted"}"#
    )]
    #[case::id_where_a_hash_belongs(
        r#"{"user":"ann@example.org"}"#,
        r#"{"$kept":{},"user":"redacted"}"#
    )]
    #[case::id_that_is_no_text(
        r#"{"device":{"mail":"ann@example.org"}}"#,
        r#"{"$kept":{},"device":"redacted"}"#
    )]
    #[case::escaped_name(
        r#"{"user\u005fid":"ann@example.org"}"#,
        r#"{"$kept":{},"user_id":"redacted"}"#
    )]
    #[case::twice(
        r#"{"user_id":"ann@example.org","user_id":"bob"}"#,
        r#"{"$kept":{},"user_id":"redacted"}"#
    )]
    #[case::a_client_says_what_we_kept(
        r#"{"$kept":{"who":{"person":"1","actor":"1","flags":0}}}"#,
        r#"{"$kept":{}}"#
    )]
    #[case::no_object(r#"["ann@example.org"]"#, r#"{"unreadable_bytes":19}"#)]
    #[case::half_a_surrogate_as_name(
        r#"{"\ud800":"ann@example.org"}"#,
        r#"{"unreadable_bytes":28}"#
    )]
    fn what_is_kept(#[case] raw: &str, #[case] want: &str) {
        assert_eq!(&*keep(raw, &Known::default()), want);
    }

    #[test]
    fn a_large_event_is_cut() {
        let raw = format!(r#"{{"props":{{"a":"{}"}}}}"#, "é".repeat(20_000));
        assert!(keep(&raw, &Known::default()).len() <= RAW_BYTES_MAX);
    }
}
