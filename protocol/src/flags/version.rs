//! Order of versions: `1.9.0 < 1.10.0-rc.1 < 1.10.0`.
//!
//! A version becomes a text whose order as a text is the order of versions, which is how the
//! GrowthBook specification defines it: numbers are padded to five places, and a version of three
//! parts, being final, gets a fourth one that comes after everything.

use super::condition::text_of;
use super::value::cut;
use super::{Host, Value};
use alloc::borrow::ToOwned;
use alloc::string::String;
use core::cmp::Ordering;

/// How two versions compare. What is no version counts as `0`.
pub(super) fn compare(host: &impl Host, a: &Value, b: &Value) -> Ordering {
    padded(host, a).cmp(&padded(host, b))
}

fn padded(host: &impl Host, version: &Value) -> String {
    let text = match version {
        Value::Number(_) | Value::Text(_) if version.is_truthy() => text_of(host, version),
        _ => "0".to_owned(),
    };
    let without_build = cut(text.strip_prefix('v').unwrap_or(&text), b'+').0;
    let mut padded = String::new();
    let mut rest = Some(without_build);
    let mut parts = 0;
    while let Some(text) = rest {
        let end = text.bytes().position(|byte| byte == b'-' || byte == b'.');
        let part = end.and_then(|end| text.get(..end)).unwrap_or(text);
        rest = end.and_then(|end| text.get(end + 1..));
        if part.bytes().all(|byte| byte.is_ascii_digit()) && !part.is_empty() {
            for _ in part.len()..5 {
                padded.push(' ');
            }
        }
        padded.push_str(part);
        padded.push('-');
        parts += 1;
    }
    if parts == 3 {
        padded.push('~');
    }
    padded
}
