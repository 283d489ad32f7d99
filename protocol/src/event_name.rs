//! Which event names there may be. Checked in the browser, so that a typing mistake shows in the
//! console, and again by the collector.

use crate::codes::EventCode;
use crate::limits::EVENT_NAME_CHARS_MAX;

/// Names with a leading `$`: what the SDK itself records.
pub const RESERVED: &[&str] = &[
    "$pageview",
    "$content_view",
    "$session_start",
    "$identify",
    "$exposure",
    "$conversion",
    "$funnel_step",
    "$pwa_prompt",
    "$pwa_install",
    "$pwa_launch",
    "$web_vital",
    "$error",
];

/// Accepts 1 to 200 characters (both included) without control characters and without white space
/// at either end; with a leading `$` only the [`RESERVED`] ones.
///
/// # Errors
/// [`EventCode::EventNameInvalid`] or [`EventCode::ReservedNameUnknown`].
pub fn check(name: &str) -> Result<(), EventCode> {
    // Bytes first: no name of at most 200 characters is longer than 800 bytes, and counting
    // characters of a megabyte would cost the sender nothing and us something.
    let short = name.len() <= EVENT_NAME_CHARS_MAX
        || name.len() <= 4 * EVENT_NAME_CHARS_MAX && name.chars().count() <= EVENT_NAME_CHARS_MAX;
    if !short || name.is_empty() || name.trim() != name || name.chars().any(char::is_control) {
        return Err(EventCode::EventNameInvalid);
    }
    if name.starts_with('$') && !RESERVED.contains(&name) {
        return Err(EventCode::ReservedNameUnknown);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::snake_case("checkout_started")]
    #[case::one_character("x")]
    #[case::words_with_spaces("Checkout started")]
    #[case::not_ascii("注文完了")]
    #[case::a_dollar_inside("price_in_$")]
    #[case::reserved_and_ours("$pageview")]
    #[case::longest(&"é".repeat(200))]
    #[case::longest_of_four_bytes_each(&"😀".repeat(200))]
    fn a_name_is_accepted(#[case] name: &str) {
        assert_eq!(check(name), Ok(()));
    }

    #[rstest]
    #[case::empty("", EventCode::EventNameInvalid)]
    #[case::one_too_long(&"x".repeat(201), EventCode::EventNameInvalid)]
    #[case::one_too_long_not_ascii(&"é".repeat(201), EventCode::EventNameInvalid)]
    #[case::very_long(&"x".repeat(1 << 20), EventCode::EventNameInvalid)]
    #[case::white_space(" ", EventCode::EventNameInvalid)]
    #[case::padded("checkout ", EventCode::EventNameInvalid)]
    #[case::padded_with_a_no_break_space("\u{a0}checkout", EventCode::EventNameInvalid)]
    #[case::line_break("check\nout", EventCode::EventNameInvalid)]
    #[case::nul("check\0out", EventCode::EventNameInvalid)]
    #[case::c1_control("check\u{85}out", EventCode::EventNameInvalid)]
    #[case::reserved_but_unknown("$checkout", EventCode::ReservedNameUnknown)]
    #[case::only_the_dollar("$", EventCode::ReservedNameUnknown)]
    fn a_name_is_refused(#[case] name: &str, #[case] code: EventCode) {
        assert_eq!(check(name), Err(code));
    }
}
