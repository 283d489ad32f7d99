//! When an imported event happened.
//!
//! In: a cell, how to read it, and the project's time zone. Out: Unix milliseconds.
//!
//! Read on its own (`auto`), a number is Unix time, its unit told by its size: below 10^11 seconds
//! (until the year 5138), below 10^14 milliseconds, below 10^17 microseconds, else nanoseconds. Eight
//! digits that are a date of the years 1900 to 2100, like `19970101`, are that date: as seconds they
//! would lie in 1970. Texts are RFC 3339 instants, dates (`2026-09-01`), or dates with a time and no
//! zone. What has no zone is read in the project's.

use clap::ValueEnum;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::cell::Cell;

/// How to read times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AtFormat {
    /// By what it looks like.
    #[default]
    Auto,
    /// Unix milliseconds.
    Ms,
    /// Unix seconds, fractions allowed.
    S,
    /// A date: `19970101` or `1997-01-01`.
    Date,
    /// An RFC 3339 instant.
    Rfc3339,
}

/// Reads times.
#[derive(Debug, Clone)]
pub struct AtReader {
    format: AtFormat,
    zone: TimeZone,
}

/// Years 1 to 9999: what both calendars and files can hold.
const PLAUSIBLE_MS: std::ops::Range<i64> = -62_135_596_800_000..253_402_300_800_000;

impl AtReader {
    /// Reads this format, in this zone where the text says none.
    pub fn new(format: AtFormat, zone: TimeZone) -> Self {
        Self { format, zone }
    }

    /// Unix milliseconds; `None` for what is no time.
    pub fn read(&self, cell: &Cell<'_>) -> Option<i64> {
        let ms = match cell {
            Cell::Moment(ms) => Some(*ms),
            Cell::Int(number) => self.whole(*number),
            Cell::Big(number) => self.whole(i64::try_from(*number).ok()?),
            Cell::Float(number) => self.fraction(*number),
            Cell::Text(text) => self.text(text.trim()),
            Cell::Untyped(text) => self.text(text.trim()),
            Cell::Absent | Cell::Bool(_) | Cell::Json(_) => None,
        };
        ms.filter(|ms| PLAUSIBLE_MS.contains(ms))
    }

    fn whole(&self, number: i64) -> Option<i64> {
        match self.format {
            AtFormat::Ms => Some(number),
            AtFormat::S => number.checked_mul(1000),
            AtFormat::Date => self.compact_date(number),
            AtFormat::Rfc3339 => None,
            AtFormat::Auto => self.compact_date(number).or_else(|| match number.unsigned_abs() {
                0..100_000_000_000 => number.checked_mul(1000),
                100_000_000_000..100_000_000_000_000 => Some(number),
                100_000_000_000_000..100_000_000_000_000_000 => Some(number.div_euclid(1000)),
                _ => Some(number.div_euclid(1_000_000)),
            }),
        }
    }

    fn fraction(&self, number: f64) -> Option<i64> {
        if !number.is_finite() || number.abs() >= 9e18 {
            return None;
        }
        if number.fract() == 0.0 {
            return self.whole(number as i64);
        }
        match self.format {
            AtFormat::Ms => Some(number.round() as i64),
            AtFormat::S | AtFormat::Auto if number.abs() < 1e11 => {
                Some((number * 1e3).round() as i64)
            }
            AtFormat::Auto => Some(number.round() as i64),
            AtFormat::S | AtFormat::Date | AtFormat::Rfc3339 => None,
        }
    }

    fn text(&self, text: &str) -> Option<i64> {
        if let Ok(number) = text.parse::<i64>() {
            return self.whole(number);
        }
        if !matches!(self.format, AtFormat::Date | AtFormat::Rfc3339)
            && let Ok(number) = text.parse::<f64>()
        {
            return self.fraction(number);
        }
        match self.format {
            AtFormat::Ms | AtFormat::S => None,
            AtFormat::Rfc3339 => instant(text),
            AtFormat::Date => self.date(text.parse().ok()?),
            AtFormat::Auto => instant(text).or_else(|| {
                let civil: DateTime = text.parse().ok()?;
                Some(self.zone.to_timestamp(civil).ok()?.as_millisecond())
            }),
        }
    }

    fn compact_date(&self, number: i64) -> Option<i64> {
        if !(19_000_101..=21_001_231).contains(&number) {
            return None;
        }
        let [year, month, day] = [number / 10_000, number / 100 % 100, number % 100];
        let date = Date::new(year.try_into().ok()?, month.try_into().ok()?, day.try_into().ok()?);
        self.date(date.ok()?)
    }

    fn date(&self, date: Date) -> Option<i64> {
        Some(date.to_zoned(self.zone.clone()).ok()?.timestamp().as_millisecond())
    }
}

fn instant(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const NOON: i64 = 1_788_264_000_000;

    /// Shows S1-30.
    #[rstest]
    #[case::ms(Cell::Int(NOON), AtFormat::Auto, Some(NOON))]
    #[case::seconds(Cell::Int(NOON / 1000), AtFormat::Auto, Some(NOON))]
    #[case::seconds_with_fraction(Cell::Untyped("1788264000.25"), AtFormat::Auto, Some(NOON + 250))]
    #[case::microseconds(Cell::Int(NOON * 1000 + 7), AtFormat::Auto, Some(NOON))]
    #[case::nanoseconds(Cell::Int(NOON * 1_000_000), AtFormat::Auto, Some(NOON))]
    #[case::rfc3339(Cell::Untyped("2026-09-01T14:00:00+02:00"), AtFormat::Auto, Some(NOON))]
    #[case::no_zone_is_the_projects(
        Cell::Untyped("2026-09-01 14:00:00"),
        AtFormat::Auto,
        Some(NOON)
    )]
    #[case::date_in_the_projects_zone(Cell::Untyped("2026-09-01"), AtFormat::Auto, Some(NOON - 14 * 3_600_000))]
    #[case::compact_date(Cell::Untyped("20260901"), AtFormat::Auto, Some(NOON - 14 * 3_600_000))]
    #[case::eight_digits_that_are_no_date(
        Cell::Int(20_261_399),
        AtFormat::Auto,
        Some(20_261_399_000)
    )]
    #[case::eight_digits_of_seconds(Cell::Int(20_260_901), AtFormat::S, Some(20_260_901_000))]
    #[case::typed_moment(Cell::Moment(NOON), AtFormat::Ms, Some(NOON))]
    #[case::a_word(Cell::Untyped("yesterday"), AtFormat::Auto, None)]
    #[case::empty(Cell::Untyped(""), AtFormat::Auto, None)]
    #[case::no_such_day(Cell::Untyped("2026-02-30"), AtFormat::Auto, None)]
    #[case::not_a_number(Cell::Float(f64::NAN), AtFormat::Auto, None)]
    #[case::year_10000(Cell::Int(253_402_300_800_000), AtFormat::Ms, None)]
    fn a_time_is_read(#[case] cell: Cell<'_>, #[case] format: AtFormat, #[case] want: Option<i64>) {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        assert_eq!(AtReader::new(format, berlin).read(&cell), want);
    }
}
