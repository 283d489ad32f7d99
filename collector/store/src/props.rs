//! A row's properties: one JSON object as text, taken apart without building values.
//!
//! In: text that passed validation in the collector. Out: its entries as slices of that text, and
//! a value as the text or the number that a question means by it.
//!
//! Rules: a number's text is its shortest form (`5`, also for `5.0`; `29.99`), a bool's is `true`
//! or `false`. A text counts as a number when, trimmed, it parses as a finite one. Null, objects
//! and arrays are absent either way. When a key occurs twice, the last one counts.
//!
//! Text that is not a JSON object has no entries; it never makes anything here fail.

use std::borrow::Cow;

/// One entry of an object, as slices of its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    /// The key with its quotation marks.
    pub raw_key: &'a str,
    /// The value as it was written.
    pub raw_value: &'a str,
}

/// The type of a value, by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueType {
    Text,
    Number,
    Bool,
    Other,
}

impl<'a> Entry<'a> {
    pub(crate) fn key(&self) -> Cow<'a, str> {
        unquote(self.raw_key)
    }

    pub(crate) fn value_type(&self) -> ValueType {
        match self.raw_value.as_bytes().first() {
            Some(b'"') => ValueType::Text,
            Some(b'-' | b'0'..=b'9') => ValueType::Number,
            Some(b't' | b'f') => ValueType::Bool,
            _ => ValueType::Other,
        }
    }

    /// The value as a text, if it has one.
    pub(crate) fn text(&self) -> Option<Cow<'a, str>> {
        match self.value_type() {
            ValueType::Text => Some(unquote(self.raw_value)),
            ValueType::Number => Some(number_text(self.raw_value)),
            ValueType::Bool => Some(Cow::Borrowed(self.raw_value)),
            ValueType::Other => None,
        }
    }

    /// The value as a number, `NaN` if it is none.
    pub(crate) fn number(&self) -> f64 {
        match self.value_type() {
            ValueType::Text => number_of_text(&unquote(self.raw_value)),
            ValueType::Number => number_of_text(self.raw_value),
            ValueType::Bool | ValueType::Other => f64::NAN,
        }
    }
}

/// The number a text stands for, `NaN` if none.
pub(crate) fn number_of_text(text: &str) -> f64 {
    match text.trim().parse::<f64>() {
        Ok(number) if number.is_finite() => number,
        _ => f64::NAN,
    }
}

/// The text of a number: digits when it is whole and exact, else the shortest form that reads
/// back as the same number.
pub fn text_of_number(number: f64) -> String {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    if number.fract() == 0.0 && number.abs() < EXACT {
        return (number as i64).to_string();
    }
    serde_json::Number::from_f64(number).map_or_else(String::new, |number| number.to_string())
}

/// Whether a number is written as [`text_of_number`] would write it, as far as that is plain to see:
/// `false` may be wrong.
pub(crate) fn is_plainly_shortest(raw: &str) -> bool {
    /// Any two decimals of so many digits are different numbers, so each is its number's shortest.
    const DIGITS: usize = 15;
    let digits = raw.strip_prefix('-').unwrap_or(raw);
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(w, f)| (w, Some(f)));
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_whole_plain = are_digits(whole) && !whole.starts_with('0');
    let is_fraction_plain = fraction.is_none_or(|f| are_digits(f) && !f.ends_with('0'));
    is_whole_plain && is_fraction_plain && digits.len() <= DIGITS
}

fn number_text(raw: &str) -> Cow<'_, str> {
    let digits = raw.strip_prefix('-').unwrap_or(raw);
    let is_whole = digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_whole && digits.len() < 20 && raw != "-0" {
        return Cow::Borrowed(raw);
    }
    Cow::Owned(raw.parse().map_or_else(|_| raw.to_owned(), text_of_number))
}

fn unquote(raw: &str) -> Cow<'_, str> {
    let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or("");
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    serde_json::from_str::<String>(raw).map_or(Cow::Borrowed(inner), Cow::Owned)
}

/// Append a text as JSON, with its quotation marks.
pub(crate) fn quote(text: &str, out: &mut String) {
    match serde_json::to_string(text) {
        Ok(quoted) => out.push_str(&quoted),
        Err(_) => out.push_str("\"\""),
    }
}

/// The entries of an object in the order they were written; `None` if it is not an object.
pub(crate) fn entries(object: &str) -> Option<Entries<'_>> {
    let inner = object.trim_ascii().strip_prefix('{')?.strip_suffix('}')?;
    Some(Entries { rest: inner })
}

/// Gives entries until the end, or until the text is not JSON any more.
#[derive(Debug, Clone)]
pub(crate) struct Entries<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let rest = self.rest.trim_ascii_start();
        let rest = rest.strip_prefix(',').unwrap_or(rest).trim_ascii_start();
        self.rest = "";
        let (raw_key, rest) = split_text(rest)?;
        let rest = rest.trim_ascii_start().strip_prefix(':')?.trim_ascii_start();
        let (raw_value, rest) = split_value(rest)?;
        self.rest = rest;
        Some(Entry { raw_key, raw_value })
    }
}

/// Split a quoted text off the front.
fn split_text(json: &str) -> Option<(&str, &str)> {
    let bytes = json.as_bytes();
    if bytes.first() != Some(&b'"') {
        return None;
    }
    let mut at = 1;
    loop {
        match bytes.get(at)? {
            b'"' => return json.split_at_checked(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Split a value off the front.
fn split_value(json: &str) -> Option<(&str, &str)> {
    let bytes = json.as_bytes();
    match bytes.first()? {
        b'"' => split_text(json),
        b'{' | b'[' => {
            let (mut at, mut depth) = (0, 0usize);
            loop {
                match bytes.get(at)? {
                    b'"' => at += split_text(&json[at..])?.0.len() - 1,
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
                at += 1;
                if depth == 0 {
                    return json.split_at_checked(at);
                }
            }
        }
        _ => {
            let ends =
                |byte: &u8| matches!(byte, b',' | b' ' | b'\t' | b'\n' | b'\r' | b'}' | b']');
            let end = bytes.iter().position(ends).unwrap_or(bytes.len());
            (end > 0).then(|| json.split_at(end))
        }
    }
}

/// The value of one key, the last if there are several.
pub(crate) fn find<'a>(object: &'a str, key: &str) -> Option<Entry<'a>> {
    if !object.contains(key) && !object.contains('\\') {
        return None;
    }
    entries(object)?.filter(|entry| entry.key() == key).last()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[test]
    fn entries_are_slices_in_order() {
        let object = r#" { "a" : 1 ,"b\"":{"x":["}",2]}, "c":"é\\" , "d":null,"e":[] } "#;
        let got: Vec<_> =
            entries(object).unwrap().map(|entry| (entry.raw_key, entry.raw_value)).collect();
        let want = [
            ("\"a\"", "1"),
            ("\"b\\\"\"", r#"{"x":["}",2]}"#),
            ("\"c\"", r#""é\\""#),
            ("\"d\"", "null"),
            ("\"e\"", "[]"),
        ];
        assert_eq!(got, want);
    }

    #[rstest]
    #[case::whole("5", Some("5"), 5.0)]
    #[case::whole_with_a_point("5.0", Some("5"), 5.0)]
    #[case::minus_zero("-0", Some("0"), 0.0)]
    #[case::fraction("29.990", Some("29.99"), 29.99)]
    #[case::beyond_2_53(
        "12345678901234567890",
        Some("12345678901234567000"),
        12345678901234567890.0
    )]
    #[case::nineteen_digits(
        "1234567890123456789",
        Some("1234567890123456789"),
        1234567890123456789.0
    )]
    #[case::text("\"a b\"", Some("a b"), f64::NAN)]
    #[case::text_with_number("\" 1.5 \"", Some(" 1.5 "), 1.5)]
    #[case::text_infinity("\"inf\"", Some("inf"), f64::NAN)]
    #[case::escaped("\"\\u00e9\\n\"", Some("é\n"), f64::NAN)]
    #[case::yes("true", Some("true"), f64::NAN)]
    #[case::null("null", None, f64::NAN)]
    #[case::array("[1]", None, f64::NAN)]
    fn a_value_reads_as(#[case] raw: &str, #[case] text: Option<&str>, #[case] number: f64) {
        let object = format!("{{\"k\":{raw}}}");
        let entry = find(&object, "k").unwrap();
        if raw.len() < 20 {
            assert_eq!(entry.text().as_deref(), text);
        }
        assert!(entry.number() == number || entry.number().is_nan() && number.is_nan());
    }

    #[rstest]
    #[case("5", true)]
    #[case("-29.99", true)]
    #[case("123456789012345", true)]
    #[case("1234567890123456", false)]
    #[case("0.5", false)]
    #[case("05", false)]
    #[case("5.0", false)]
    #[case("5.", false)]
    #[case("1e3", false)]
    fn a_number_is_plainly_in_its_shortest_form(#[case] raw: &str, #[case] want: bool) {
        assert_eq!(is_plainly_shortest(raw), want);
    }

    #[test]
    fn the_last_of_two_equal_keys_counts() {
        assert_eq!(find(r#"{"k":1,"\u006b":2}"#, "k").unwrap().raw_value, "2");
    }

    proptest! {
        #[test]
        fn any_text_is_taken_apart_without_panic(text in ".{0,60}", key in ".{0,3}") {
            let _ = find(&text, &key);
            let _ = find(&format!("{{{text}}}"), &key);
            if let Some(entries) = entries(&text) {
                for entry in entries { let _ = (entry.text(), entry.number()); }
            }
        }

        #[test]
        fn a_number_that_is_plainly_in_its_shortest_form_is(
            raw in "-?[0-9]{1,9}(\\.[0-9]{1,9})?|-?[0-9]{12,17}|[0-9]\\.[0-9]{12,16}|[1-9]e[0-9]|-|",
        ) {
            if is_plainly_shortest(&raw) {
                prop_assert_eq!(text_of_number(raw.parse().unwrap()), raw);
            }
        }

        #[test]
        fn a_number_text_reads_back_as_the_number(number in prop::num::f64::NORMAL) {
            prop_assert_eq!(number_of_text(&text_of_number(number)), number);
        }
    }
}
