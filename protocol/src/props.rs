//! Checks an event's properties without building them: they stay the text they arrived as.
//!
//! In: one JSON value as text. Out: whether it is an object within the limits. What passes is
//! safe to read later: every text is valid UTF-8 without half surrogates, every number is finite.

use crate::codes::EventCode;
use crate::limits::{NESTING_MAX, PROPERTY_KEYS_MAX, PROPERTY_NAME_CHARS_MAX};
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

/// Accepts an object with at most [`PROPERTY_KEYS_MAX`] keys of at most
/// [`PROPERTY_NAME_CHARS_MAX`] characters, nested at most [`NESTING_MAX`] levels (all included).
/// Length in bytes is checked on the whole event, before this.
///
/// # Errors
/// [`EventCode::PropsInvalid`], [`EventCode::TooManyProps`] or [`EventCode::TooDeep`].
pub fn check(json: &str) -> Result<(), EventCode> {
    check_seeing(json, |_| {})
}

/// What passes by in a check.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Piece<'a> {
    /// The name of a property, of inner ones too.
    Name(&'a str),
    /// A text.
    Text(&'a str),
    /// A number without sign and fraction.
    Whole(u64),
}

/// As [`check`], and shows names and values as they pass by, without their escapes.
///
/// # Errors
/// As [`check`]; pieces were seen up to there.
pub fn check_seeing(json: &str, see: impl Fn(Piece<'_>)) -> Result<(), EventCode> {
    let fault = Cell::new(EventCode::PropsInvalid);
    let mut reader = serde_json::Deserializer::from_str(json);
    let top = Level { depth: 0, fault: &fault, see: &see };
    top.deserialize(&mut reader).and_then(|()| reader.end()).map_err(|_| fault.get())
}

/// One level of nesting; level 0 has to be the object itself.
struct Level<'f, See> {
    depth: usize,
    /// Which limit it was, because serde's errors carry only text.
    fault: &'f Cell<EventCode>,
    see: &'f See,
}

impl<See> Clone for Level<'_, See> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<See> Copy for Level<'_, See> {}

impl<'f, See> Level<'f, See> {
    fn refuse<E: Error>(self, code: EventCode) -> E {
        self.fault.set(code);
        E::custom("")
    }

    fn scalar<E: Error>(self) -> Result<(), E> {
        if self.depth == 0 { Err(self.refuse(EventCode::PropsInvalid)) } else { Ok(()) }
    }

    /// The level inside; refused before it is read, so depth costs no stack.
    fn deeper<E: Error>(self) -> Result<Level<'f, See>, E> {
        if self.depth == NESTING_MAX {
            return Err(self.refuse(EventCode::TooDeep));
        }
        Ok(Level { depth: self.depth + 1, ..self })
    }
}

impl<'de, See: Fn(Piece<'_>)> DeserializeSeed<'de> for Level<'_, See> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, See: Fn(Piece<'_>)> Visitor<'de> for Level<'_, See> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a property")
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.scalar()
    }
    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.scalar()
    }
    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.scalar()
    }
    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        (self.see)(Piece::Whole(number));
        self.scalar()
    }
    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.scalar()
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        (self.see)(Piece::Text(text));
        self.scalar()
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.scalar()?;
        let inside = self.deeper()?;
        while list.next_element_seed(inside)?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inside = self.deeper()?;
        let mut keys = 0;
        while let Some(key) = map.next_key::<Key<'de>>()? {
            keys += 1;
            if self.depth == 0 && keys > PROPERTY_KEYS_MAX {
                return Err(self.refuse(EventCode::TooManyProps));
            }
            if key.0.chars().count() > PROPERTY_NAME_CHARS_MAX {
                return Err(self.refuse(EventCode::PropsInvalid));
            }
            (self.see)(Piece::Name(&key.0));
            map.next_value_seed(inside)?;
        }
        Ok(())
    }
}

/// A key, borrowed unless it has escapes.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn with_keys(count: usize) -> String {
        let keys: Vec<_> = (0..count).map(|i| format!("\"k{i}\":{i}")).collect();
        format!("{{{}}}", keys.join(","))
    }

    fn nested(levels: usize) -> String {
        format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels))
    }

    #[rstest]
    #[case::empty("{}")]
    #[case::flat(r#"{"plan":"team","seats":5,"value":29.99,"new":true,"coupon":null}"#)]
    #[case::lists_and_objects(r#"{"items":[{"sku":"a"},{"sku":"b"}]}"#)]
    #[case::not_ascii(r#"{"naïve":"日本 \ud83d\ude00"}"#)]
    #[case::a_key_like_a_prototype(r#"{"__proto__":1}"#)]
    #[case::most_keys(&with_keys(PROPERTY_KEYS_MAX))]
    #[case::deepest(&nested(NESTING_MAX))]
    #[case::longest_key(&format!("{{\"{}\":1}}", "k".repeat(PROPERTY_NAME_CHARS_MAX)))]
    fn props_are_accepted(#[case] json: &str) {
        assert_eq!(check(json), Ok(()));
    }

    #[test]
    fn names_and_values_pass_by_without_their_escapes() {
        let seen = std::cell::RefCell::new(Vec::new());
        let json = r#"{"a\u0062":"x\n","c":[1,-2,2.5,{"d":true}]}"#;
        let note = |piece: Piece<'_>| seen.borrow_mut().push(format!("{piece:?}"));
        assert_eq!(check_seeing(json, note), Ok(()));
        let want = [r#"Name("ab")"#, r#"Text("x\n")"#, r#"Name("c")"#, "Whole(1)", r#"Name("d")"#];
        assert_eq!(*seen.borrow(), want);
    }

    #[rstest]
    #[case::a_list("[1]", EventCode::PropsInvalid)]
    #[case::a_text("\"x\"", EventCode::PropsInvalid)]
    #[case::null("null", EventCode::PropsInvalid)]
    #[case::half_a_surrogate(r#"{"a":"\ud800"}"#, EventCode::PropsInvalid)]
    #[case::half_a_surrogate_in_a_key(r#"{"\ud800":1}"#, EventCode::PropsInvalid)]
    #[case::a_number_beyond_floats(r#"{"a":1e400}"#, EventCode::PropsInvalid)]
    #[case::cut_off(r#"{"a":1"#, EventCode::PropsInvalid)]
    #[case::more_behind_it("{} {}", EventCode::PropsInvalid)]
    #[case::byte_order_mark("\u{feff}{}", EventCode::PropsInvalid)]
    #[case::one_key_too_many(&with_keys(PROPERTY_KEYS_MAX + 1), EventCode::TooManyProps)]
    #[case::one_level_too_deep(&nested(NESTING_MAX + 1), EventCode::TooDeep)]
    #[case::a_hundred_thousand_levels(&nested(100_000), EventCode::TooDeep)]
    #[case::lists_count_as_levels(&format!("{{\"a\":{}{}}}", "[".repeat(16), "]".repeat(16)), EventCode::TooDeep)]
    #[case::key_too_long(&format!("{{\"{}\":1}}", "k".repeat(PROPERTY_NAME_CHARS_MAX + 1)), EventCode::PropsInvalid)]
    fn props_are_refused(#[case] json: &str, #[case] code: EventCode) {
        assert_eq!(check(json), Err(code));
    }
}
