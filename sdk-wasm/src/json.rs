//! Writes JSON by hand: `serde_json` and float formatting would be most of the module.

use tallymark_protocol::hashing::push_hex;

/// Appends `text` as a JSON string with its quotes.
pub fn push_text(json: &mut String, text: &str) {
    json.push('"');
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\0'..'\u{20}' => {
                json.push_str("\\u00");
                push_hex(json, c as u8);
            }
            _ => json.push(c),
        }
    }
    json.push('"');
}

/// Appends a whole number.
pub fn push_whole(json: &mut String, number: u64) {
    if number >= 10 {
        push_whole(json, number / 10);
    }
    json.push((b'0' + (number % 10) as u8) as char);
}

/// Appends milliseconds with one decimal, cut, not rounded: `51945.1`. Negative and undefined
/// times become 0.
pub fn push_tenths(json: &mut String, ms: f64) {
    let tenths = (ms * 10.0) as u64;
    push_whole(json, tenths / 10);
    json.push('.');
    push_whole(json, tenths % 10);
}

/// Appends `,"key":` (or `"key":` as the first member of its object).
pub fn push_key(json: &mut String, key: &str) {
    if !json.ends_with('{') {
        json.push(',');
    }
    push_text(json, key);
    json.push(':');
}

/// Appends `"key":"text"` as the next member of an object.
pub fn push_member(json: &mut String, key: &str, text: &str) {
    push_key(json, key);
    push_text(json, text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn tenths(ms: f64) -> String {
        let mut json = String::new();
        push_tenths(&mut json, ms);
        json
    }

    #[test]
    fn times_are_cut_to_tenths() {
        assert_eq!(tenths(0.0), "0.0");
        assert_eq!(tenths(51_945.19), "51945.1");
        assert_eq!(tenths(-3.0), "0.0");
        assert_eq!(tenths(f64::NAN), "0.0");
    }

    proptest! {
        #[test]
        fn a_text_reads_as_it_was_written(text in any::<String>()) {
            let mut json = String::new();
            push_text(&mut json, &text);
            prop_assert_eq!(serde_json::from_str::<Value>(&json).expect("JSON"), Value::String(text));
        }

        #[test]
        fn a_number_reads_as_it_was_written(number in any::<u64>()) {
            let mut json = String::new();
            push_whole(&mut json, number);
            prop_assert_eq!(json, number.to_string());
        }
    }
}
