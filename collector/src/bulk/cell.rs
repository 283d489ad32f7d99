//! One value of a file, before anyone knows what it is for.

use std::borrow::Cow;
use std::fmt::Write;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell<'a> {
    /// Nothing: null, or an empty field of a CSV file.
    Absent,
    /// Text of a typed source.
    Text(Cow<'a, str>),
    /// Text of a source without types: what looks like a number is one.
    Untyped(&'a str),
    /// A whole number.
    Int(i64),
    /// A whole number beyond `i64`.
    Big(u64),
    /// A number.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// A moment, Unix milliseconds.
    Moment(i64),
    /// A JSON list or object, as text.
    Json(&'a str),
}

impl Cell<'_> {
    /// As an id or a name: numbers in digits. `None` when absent or of no use as one.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Absent | Self::Json(_) => None,
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Untyped(text) => Some(Cow::Borrowed(text)),
            Self::Int(number) => Some(number.to_string().into()),
            Self::Big(number) => Some(number.to_string().into()),
            Self::Moment(ms) => Some(ms.to_string().into()),
            Self::Float(number) if number.fract() == 0.0 && number.abs() < 1e15 => {
                Some(format!("{number:.0}").into())
            }
            Self::Float(number) => Some(number.to_string().into()),
            Self::Bool(yes) => Some(if *yes { "true" } else { "false" }.into()),
        }
    }

    /// Append as JSON. Nothing is appended, and `false` returned, when there is nothing to say:
    /// absent, or a number that JSON has not.
    pub fn push_json(&self, json: &mut String) -> bool {
        match self {
            Self::Absent => return false,
            Self::Text(text) => push_text(json, text),
            Self::Untyped(text) if is_json_number(text) => json.push_str(text),
            Self::Untyped(text) => push_text(json, text),
            Self::Float(number) if !number.is_finite() => return false,
            Self::Json(text) => json.push_str(text),
            // Writing to a String cannot fail.
            Self::Int(number) | Self::Moment(number) => {
                let _ = write!(json, "{number}");
            }
            Self::Big(number) => {
                let _ = write!(json, "{number}");
            }
            Self::Float(number) => push_float(json, *number),
            Self::Bool(yes) => json.push_str(if *yes { "true" } else { "false" }),
        }
        true
    }

    /// A hash of the value that does not change between releases. Values that print alike are alike.
    pub fn hash(&self, seed: u64) -> u128 {
        let bytes: Cow<'_, str> = match self {
            Self::Json(text) => Cow::Borrowed(text),
            other => other.text().unwrap_or_default(),
        };
        xxhash_rust::xxh3::xxh3_128_with_seed(bytes.as_bytes(), seed)
    }
}

/// Append a text as JSON, quotes included.
pub fn push_text(json: &mut String, text: &str) {
    let plain = text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\');
    if plain {
        json.push('"');
        json.push_str(text);
        json.push('"');
    } else {
        // A text can always be written as JSON.
        json.push_str(&serde_json::to_string(text).unwrap_or_default());
    }
}

fn push_float(json: &mut String, number: f64) {
    match serde_json::Number::from_f64(number) {
        Some(number) => {
            let _ = write!(json, "{number}");
        }
        None => json.push_str("null"),
    }
}

/// Whether a text is a number the way JSON writes them, and short enough to be exact: leading zeros
/// (`007`) and very long digits (an article number) stay text.
fn is_json_number(text: &str) -> bool {
    let looks_like = text.len() <= 17
        && text.bytes().next().is_some_and(|byte| byte == b'-' || byte.is_ascii_digit())
        && text.bytes().last().is_some_and(|byte| byte.is_ascii_digit());
    looks_like && serde_json::from_str::<f64>(text).is_ok_and(f64::is_finite)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::number(Cell::Untyped("29.99"), "29.99")]
    #[case::negative(Cell::Untyped("-5"), "-5")]
    #[case::leading_zero(Cell::Untyped("007"), "\"007\"")]
    #[case::long_digits(Cell::Untyped("123456789012345678"), "\"123456789012345678\"")]
    #[case::word(Cell::Untyped("team"), "\"team\"")]
    #[case::only_a_minus(Cell::Untyped("-"), "\"-\"")]
    #[case::beyond_floats(Cell::Untyped("1e400"), "\"1e400\"")]
    #[case::typed_text_stays_text(Cell::Text("5".into()), "\"5\"")]
    #[case::quotes(Cell::Text("a\"b\n".into()), "\"a\\\"b\\n\"")]
    #[case::whole_float(Cell::Float(5.0), "5.0")]
    fn a_cell_is_written_as_json(#[case] cell: Cell<'_>, #[case] want: &str) {
        let mut json = String::new();
        assert!(cell.push_json(&mut json));
        assert_eq!(json, want);
    }

    #[test]
    fn what_json_has_not_is_left_out() {
        assert!(!Cell::Float(f64::NAN).push_json(&mut String::new()));
        assert!(!Cell::Absent.push_json(&mut String::new()));
    }

    #[test]
    fn an_id_reads_the_same_whatever_type_it_has() {
        let same = [Cell::Int(17), Cell::Untyped("17"), Cell::Float(17.0), Cell::Text("17".into())];
        assert!(same.iter().all(|cell| cell.text().as_deref() == Some("17")));
        assert!(same.iter().all(|cell| cell.hash(1) == same[0].hash(1)));
    }
}
