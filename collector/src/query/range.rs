//! Time ranges of lists and exports.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::error::ApiError;

/// A half-open range of Unix milliseconds from two texts, each a date (its midnight in `tz`) or an
/// RFC 3339 instant; a missing one leaves its side open.
///
/// # Errors
/// [`ApiError::ParameterInvalid`] names the one that is wrong.
pub fn parse_range(
    from: Option<&str>,
    to: Option<&str>,
    tz: &str,
) -> Result<std::ops::Range<i64>, ApiError> {
    let zone = TimeZone::get(tz).map_err(|error| ApiError::Internal(error.into()))?;
    let parse = |name: &'static str, text: &str| {
        moment(text, &zone).ok_or_else(|| {
            ApiError::parameter(
                name,
                format!("{text:?} is neither a date like 2026-09-01 nor an instant like 2026-09-01T12:00:00Z"),
            )
        })
    };
    let from = from.map_or(Ok(i64::MIN), |text| parse("from", text))?;
    let to = to.map_or(Ok(i64::MAX), |text| parse("to", text))?;
    if from > to {
        return Err(ApiError::parameter("to", "lies before from"));
    }
    Ok(from..to)
}

/// The same, where a date as `to` is the last day and not the one after it.
///
/// # Errors
/// As [`parse_range`].
pub fn parse_days(
    from: Option<&str>,
    to: Option<&str>,
    tz: &str,
) -> Result<std::ops::Range<i64>, ApiError> {
    let last = to.and_then(|text| text.parse::<jiff::Timestamp>().is_err().then_some(text));
    let after = last.and_then(|text| text.parse::<Date>().ok()?.tomorrow().ok());
    let after = after.map(|date| date.to_string());
    parse_range(from, after.as_deref().or(to), tz)
}

/// A moment in Unix milliseconds: a date's midnight in `zone`, or an instant.
fn moment(text: &str, zone: &TimeZone) -> Option<i64> {
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Some(instant.as_millisecond());
    }
    let date: Date = text.parse().ok()?;
    Some(date.to_zoned(zone.clone()).ok()?.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_midnights_of_the_zone_and_instants_are_themselves() {
        let range = parse_range(Some("2026-09-01"), Some("2026-09-01T00:00:00Z"), "Europe/Berlin");
        assert_eq!(range.unwrap(), 1_788_213_600_000..1_788_220_800_000);
    }

    #[test]
    fn a_last_day_is_included_and_an_instant_is_not() {
        let whole = parse_days(Some("2026-09-01"), Some("2026-09-01"), "Europe/Berlin").unwrap();
        assert_eq!(whole, 1_788_213_600_000..1_788_300_000_000);
        let part = parse_days(None, Some("2026-09-01T00:00:00Z"), "Europe/Berlin").unwrap();
        assert_eq!(part.end, 1_788_220_800_000);
        assert!(parse_days(None, Some("soon"), "UTC").is_err());
    }

    #[test]
    fn a_missing_side_is_open() {
        assert_eq!(parse_range(None, None, "UTC").unwrap(), i64::MIN..i64::MAX);
    }

    #[test]
    fn nonsense_names_its_parameter() {
        let error = parse_range(None, Some("tomorrow"), "UTC").unwrap_err();
        assert!(error.to_string().starts_with("to: \"tomorrow\""), "{error}");
        assert!(parse_range(Some("2026-09-02"), Some("2026-09-01"), "UTC").is_err());
    }
}
