//! What is kept of a refused event: enough to see what was wrong, and nothing that names a person.
//!
//! In: the event's text as it came. Out: JSON text of at most [`RAW_BYTES_MAX`] bytes.
//!
//! Invariant: no raw id and no first-stage hash is in it, whatever the event was refused for. An
//! event that cannot be taken apart is therefore not kept as text at all.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::extract::clip;

/// Bytes kept of one refused event.
pub const RAW_BYTES_MAX: usize = 4 * 1024;

/// Fields that may hold an id of a person or device.
const ID_FIELDS: [&str; 4] = ["user", "device", "user_id", "device_id"];

/// The text to keep.
pub fn redact(raw: &str) -> Box<str> {
    let Ok(fields) = serde_json::from_str::<BTreeMap<Cow<'_, str>, &RawValue>>(raw) else {
        return format!("{{\"unreadable_bytes\":{}}}", raw.len()).into();
    };
    let mut text = String::with_capacity(raw.len().min(RAW_BYTES_MAX));
    text.push('{');
    for (name, value) in fields {
        if text.len() > 1 {
            text.push(',');
        }
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
        r#"{"name":"a","user_id":"redacted"}"#
    )]
    #[case::id_where_a_hash_belongs(r#"{"user":"ann@example.org"}"#, r#"{"user":"redacted"}"#)]
    #[case::id_that_is_no_text(
        r#"{"device":{"mail":"ann@example.org"}}"#,
        r#"{"device":"redacted"}"#
    )]
    #[case::escaped_name(r#"{"user\u005fid":"ann@example.org"}"#, r#"{"user_id":"redacted"}"#)]
    #[case::twice(r#"{"user_id":"ann@example.org","user_id":"bob"}"#, r#"{"user_id":"redacted"}"#)]
    #[case::no_object(r#"["ann@example.org"]"#, r#"{"unreadable_bytes":19}"#)]
    #[case::half_a_surrogate_as_name(
        r#"{"\ud800":"ann@example.org"}"#,
        r#"{"unreadable_bytes":28}"#
    )]
    fn what_is_kept(#[case] raw: &str, #[case] want: &str) {
        assert_eq!(&*redact(raw), want);
    }

    #[test]
    fn a_large_event_is_cut() {
        let raw = format!(r#"{{"props":{{"a":"{}"}}}}"#, "é".repeat(20_000));
        assert!(redact(&raw).len() <= RAW_BYTES_MAX);
    }
}
