//! What evaluation needs and a browser has already: regular expressions, and texts as numbers.
//!
//! A page would pay 10 KB and more for each of these in Rust. So whoever evaluates brings them: the
//! browser its own (`npm`), everyone else [`Native`].

use alloc::string::String;

/// The surroundings of an evaluation.
pub trait Host {
    /// Whether a regular expression is found in a text. One that cannot be read is found nowhere.
    fn matches(&self, pattern: &str, any_case: bool, text: &str) -> bool;
    /// A text as a number, as JavaScript's `Number` reads it; not a number if it is none.
    fn number_of(&self, text: &str) -> f64;
    /// A number as a text, as JavaScript's `String` writes it.
    fn text_of(&self, number: f64) -> String;
    /// A text in lower case.
    fn lower(&self, text: &str) -> String;
}

#[cfg(feature = "flags-native")]
pub use native::{Native, compile};

#[cfg(feature = "flags-native")]
mod native {
    use super::Host;
    use alloc::borrow::ToOwned;
    use alloc::format;
    use alloc::string::{String, ToString};
    use regex::{Regex, RegexBuilder};

    /// Bytes that one compiled expression may take.
    const REGEX_BYTES_MAX: usize = 256 * 1024;

    /// [`Host`] outside of browsers.
    pub struct Native;

    /// A regular expression, if it can be read and is not too large. The time it takes is linear in
    /// the text; look-around and references back, which make others explode, are refused.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn compile(pattern: &str, any_case: bool) -> Result<Regex, regex::Error> {
        let mut builder = RegexBuilder::new(pattern);
        builder.case_insensitive(any_case).size_limit(REGEX_BYTES_MAX).build()
    }

    impl Host for Native {
        fn matches(&self, pattern: &str, any_case: bool, text: &str) -> bool {
            compile(pattern, any_case).is_ok_and(|regex| regex.is_match(text))
        }

        fn number_of(&self, text: &str) -> f64 {
            let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
            let radix = |prefix: &str, radix| {
                let digits = text.strip_prefix(prefix)?;
                u64::from_str_radix(digits, radix).ok().map(|number| number as f64)
            };
            let decimal = |text: &str| {
                let plain = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
                text.bytes().all(plain).then(|| text.parse().ok()).flatten()
            };
            match text {
                "" => 0.0,
                "Infinity" | "+Infinity" => f64::INFINITY,
                "-Infinity" => f64::NEG_INFINITY,
                _ => None
                    .or_else(|| radix("0x", 16).or_else(|| radix("0X", 16)))
                    .or_else(|| radix("0o", 8).or_else(|| radix("0b", 2)))
                    .or_else(|| decimal(text))
                    .unwrap_or(f64::NAN),
            }
        }

        fn text_of(&self, number: f64) -> String {
            let size = number.abs();
            if number == 0.0 {
                "0".to_owned()
            } else if number.is_infinite() {
                if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
            } else if (1e-6..1e21).contains(&size) || number.is_nan() {
                number.to_string()
            } else {
                let text = format!("{number:e}");
                if size >= 1.0 { text.replace('e', "e+") } else { text }
            }
        }

        fn lower(&self, text: &str) -> String {
            text.to_lowercase()
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use rstest::rstest;

        #[rstest]
        #[case(" 8 ", 8.0)]
        #[case("", 0.0)]
        #[case("-1.5e3", -1_500.0)]
        #[case(".5", 0.5)]
        #[case("5.", 5.0)]
        #[case("0x1F", 31.0)]
        #[case("Infinity", f64::INFINITY)]
        fn a_text_is_the_number(#[case] text: &str, #[case] want: f64) {
            assert_eq!(Native.number_of(text), want, "{text:?}");
        }

        #[rstest]
        #[case("inf")]
        #[case("nan")]
        #[case("1_000")]
        #[case("1,5")]
        #[case("12px")]
        #[case("0x")]
        fn a_text_is_no_number(#[case] text: &str) {
            assert!(Native.number_of(text).is_nan(), "{text:?}");
        }

        #[rstest]
        #[case(0.0, "0")]
        #[case(-0.0, "0")]
        #[case(100.0, "100")]
        #[case(0.1, "0.1")]
        #[case(1e20, "100000000000000000000")]
        #[case(1e21, "1e+21")]
        #[case(1.5e300, "1.5e+300")]
        #[case(0.000_001, "0.000001")]
        #[case(1.5e-7, "1.5e-7")]
        #[case(f64::NAN, "NaN")]
        #[case(f64::NEG_INFINITY, "-Infinity")]
        fn a_number_is_written_as_javascript_does(#[case] number: f64, #[case] want: &str) {
            assert_eq!(Native.text_of(number), want);
        }

        #[test]
        fn expressions_that_explode_elsewhere_are_quick_or_refused() {
            let text = "a".repeat(100_000);
            assert!(!Native.matches("(a+)+$", false, &(text + "b")));
            assert!(!Native.matches("(?=a)a", false, "a"), "look-around is refused");
            assert!(!Native.matches("(a{1000}){1000}", false, "a"), "too large");
        }
    }
}
