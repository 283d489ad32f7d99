//! One value of a file, before anyone knows what it is for.

use std::borrow::Cow;
use std::fmt::Write;

/// Whole numbers up to here have all their digits in an `f64`.
const EXACT_MAX: f64 = 1e15;

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
    /// As an id or a name: numbers in digits. `None` when absent or of no use as one. A number is
    /// written into `buffer`, because this is asked for every cell of a file.
    pub fn text<'b>(&'b self, buffer: &'b mut String) -> Option<&'b str> {
        buffer.clear();
        let mut digits = itoa::Buffer::new();
        match self {
            Self::Absent | Self::Json(_) => return None,
            Self::Text(text) => return Some(text),
            Self::Untyped(text) => return Some(text),
            Self::Bool(yes) => return Some(if *yes { "true" } else { "false" }),
            Self::Int(number) | Self::Moment(number) => buffer.push_str(digits.format(*number)),
            Self::Big(number) => buffer.push_str(digits.format(*number)),
            Self::Float(number) if number.fract() == 0.0 && number.abs() < EXACT_MAX => {
                if number.is_sign_negative() {
                    buffer.push('-'); // Of -0.0 as well: ids are made from what is written here.
                }
                buffer.push_str(digits.format(number.abs() as u64));
            }
            // Writing to a String cannot fail.
            Self::Float(number) => drop(write!(buffer, "{number}")),
        }
        Some(buffer)
    }

    /// A hash of the value that does not change between releases. Values that print alike are alike.
    pub fn hash(&self, seed: u64, buffer: &mut String) -> u128 {
        let text = match self {
            Self::Json(text) => text,
            other => other.text(buffer).unwrap_or_default(),
        };
        xxhash_rust::xxh3::xxh3_128_with_seed(text.as_bytes(), seed)
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

/// Whether a text is a number the way JSON writes them, and short enough to be exact: leading zeros
/// (`007`) and very long digits (an article number) stay text.
pub fn is_json_number(text: &str) -> bool {
    let looks_like = text.len() <= 17
        && text.bytes().next().is_some_and(|byte| byte == b'-' || byte.is_ascii_digit())
        && text.bytes().last().is_some_and(|byte| byte.is_ascii_digit());
    looks_like && serde_json::from_str::<f64>(text).is_ok_and(f64::is_finite)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_number_is_written_as_it_always_was(int: i64, big: u64, float: f64, whole in -1e16..1e16f64) {
            let mut buffer = String::new();
            let mut text = |cell: Cell<'_>| cell.text(&mut buffer).unwrap_or_default().to_owned();
            assert_eq!(text(Cell::Int(int)), format!("{int}"));
            assert_eq!(text(Cell::Big(big)), format!("{big}"));
            assert_eq!(text(Cell::Float(float)), format!("{float}"));
            for whole in [whole.trunc(), whole.trunc() % 1e3, 0.0, -0.0] {
                assert_eq!(text(Cell::Float(whole)), format!("{whole:.0}"));
            }
        }
    }

    #[test]
    fn an_id_reads_the_same_whatever_type_it_has() {
        let same = [Cell::Int(17), Cell::Untyped("17"), Cell::Float(17.0), Cell::Text("17".into())];
        let mut buffer = String::new();
        assert!(same.iter().all(|cell| cell.text(&mut buffer) == Some("17")));
        let hashes = same.map(|cell| cell.hash(1, &mut buffer));
        assert!(hashes.iter().all(|hash| *hash == hashes[0]));
    }
}
