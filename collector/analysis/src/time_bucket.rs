//! The only calendar: local minutes, hours, days, weeks and months of a time zone, as Unix milliseconds.
//!
//! In: a [`Calendar`], a unit and a range. Out: the boundaries of every bucket the range touches, and
//! which bucket an instant falls into.
//!
//! A bucket is half open: its first millisecond belongs to it, its end to the next. Days are
//! calendar days of the zone (23, 24 or 25 hours long); weeks start on the day that is said, Monday (ISO 8601) where none is. Minutes
//! and hours are of elapsed time from the first local full one, so the hour a clock repeats in
//! autumn is two buckets.
//!
//! Invariant: boundaries rise strictly, and the first bucket holds `from`.
//!
//! Deliberately elsewhere: what a figure of a bucket means (each analysis), 24-hour windows that
//! do not follow a calendar (`retention`).

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use crate::question::QuestionError;

/// The most buckets of one question: ten years of days, one year of hours, a week of minutes.
pub const MAX_BUCKETS: usize = 10_000;

/// One hour.
pub const HOUR_MS: i64 = 3_600_000;

/// Twenty-four hours, which is not always a calendar day.
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// The length of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Unit {
    Minute,
    Hour,
    Day,
    Week,
    Month,
}

impl Unit {
    /// As it is written in questions.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// The length of one that follows the clock; `None` for days and what is made of them.
    pub const fn elapsed_ms(self) -> Option<i64> {
        match self {
            Self::Minute => Some(60_000),
            Self::Hour => Some(HOUR_MS),
            Self::Day | Self::Week | Self::Month => None,
        }
    }

    /// Whether it is shorter than a day.
    pub const fn is_short(self) -> bool {
        self.elapsed_ms().is_some()
    }
}

/// The day on which weeks start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum WeekStart {
    #[default]
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl WeekStart {
    /// All of them, Monday first.
    pub const ALL: [Self; 7] = [
        Self::Monday,
        Self::Tuesday,
        Self::Wednesday,
        Self::Thursday,
        Self::Friday,
        Self::Saturday,
        Self::Sunday,
    ];

    /// As it is written in questions and settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Monday => "monday",
            Self::Tuesday => "tuesday",
            Self::Wednesday => "wednesday",
            Self::Thursday => "thursday",
            Self::Friday => "friday",
            Self::Saturday => "saturday",
            Self::Sunday => "sunday",
        }
    }

    /// The day of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|day| day.name() == name)
    }

    /// The first day of the week that a day lies in; `None` where the calendar begins.
    pub fn week_of(self, date: Date) -> Option<Date> {
        let since = date.weekday().to_monday_zero_offset() - self as i8;
        date.checked_sub(i64::from(since.rem_euclid(7)).days()).ok()
    }
}

/// Whose days, weeks and months: a time zone, and the day on which weeks start.
#[derive(Debug, Clone, PartialEq)]
pub struct Calendar {
    /// The rules of the time zone.
    pub tz: TimeZone,
    /// The first day of a week.
    pub week_starts: WeekStart,
}

impl From<TimeZone> for Calendar {
    /// With weeks from Monday.
    fn from(tz: TimeZone) -> Self {
        Self { tz, week_starts: WeekStart::Monday }
    }
}

/// A time zone by its IANA name; the rules are part of the program, not of the machine.
///
/// # Errors
/// [`QuestionError::TimeZone`] when there is none of this name.
pub fn time_zone(name: &str) -> Result<TimeZone, QuestionError> {
    TimeZone::get(name).map_err(|_| QuestionError::TimeZone { tz: name.into() })
}

/// An instant: RFC 3339, or the first instant of a date in the zone.
///
/// # Errors
/// [`QuestionError::Time`] names the field when the text is neither.
pub fn instant(field: &str, text: &str, tz: &TimeZone) -> Result<i64, QuestionError> {
    let wrong = || QuestionError::Time { field: field.into(), value: text.into() };
    if text.len() == "2026-09-01".len() {
        let date: Date = text.parse().map_err(|_| wrong())?;
        return start_of(date, tz).ok_or_else(wrong);
    }
    text.parse::<Timestamp>().map(|at| at.as_millisecond()).map_err(|_| wrong())
}

/// An instant as RFC 3339 with the offset of the zone, to the millisecond when it has any.
pub fn rfc3339(at_ms: i64, tz: &TimeZone) -> String {
    match Timestamp::from_millisecond(at_ms) {
        Ok(at) => at.to_zoned(tz.clone()).strftime("%Y-%m-%dT%H:%M:%S%.f%:z").to_string(),
        Err(_) => at_ms.to_string(),
    }
}

/// The local date of an instant; `None` outside the years -9999 to 9999.
pub fn date_of(at_ms: i64, tz: &TimeZone) -> Option<Date> {
    Some(Timestamp::from_millisecond(at_ms).ok()?.to_zoned(tz.clone()).date())
}

/// The first instant of a local day, also where midnight does not exist.
pub fn start_of(date: Date, tz: &TimeZone) -> Option<i64> {
    Some(date.to_zoned(tz.clone()).ok()?.timestamp().as_millisecond())
}

/// The buckets of a range.
#[derive(Debug, Clone, PartialEq)]
pub struct Buckets {
    /// Start of each bucket, and the end of the last one: one longer than [`Self::labels`].
    pub bounds_ms: Vec<i64>,
    /// The local date of each bucket's start; for minutes and hours its instant.
    pub labels: Vec<String>,
    /// Buckets in a millisecond, on average.
    per_ms: f64,
}

impl Buckets {
    /// Every bucket that `[from_ms, to_ms)` touches, and `extra` more after them.
    ///
    /// # Errors
    /// [`QuestionError::TooManyBuckets`] above [`MAX_BUCKETS`], [`QuestionError::Time`] where the
    /// calendar ends.
    pub fn new(
        unit: Unit,
        calendar: &Calendar,
        from_ms: i64,
        to_ms: i64,
        extra: usize,
    ) -> Result<Self, QuestionError> {
        let Calendar { tz, week_starts } = calendar;
        let beyond = |at: i64| QuestionError::Time { field: "from".into(), value: at.to_string() };
        let estimate = {
            let unit_ms = match unit {
                Unit::Minute => 60_000,
                Unit::Hour => HOUR_MS,
                Unit::Day => DAY_MS,
                Unit::Week => 7 * DAY_MS,
                Unit::Month => 28 * DAY_MS,
            };
            usize::try_from((to_ms - from_ms) / unit_ms).unwrap_or(0) + extra
        };
        // Months are up to a tenth fewer than the estimate; nobody asks for eight hundred years.
        if estimate > MAX_BUCKETS {
            return Err(QuestionError::TooManyBuckets {
                buckets: estimate,
                unit: unit.name(),
                limit: MAX_BUCKETS,
            });
        }
        let mut bounds_ms = Vec::with_capacity(estimate + 3);
        let mut labels = Vec::with_capacity(estimate + 2);
        let mut left = extra;
        if let Some(step_ms) = unit.elapsed_ms() {
            let offset_ms = Timestamp::from_millisecond(from_ms)
                .map(|at| i64::from(tz.to_offset(at).seconds()) * 1000)
                .map_err(|_| beyond(from_ms))?;
            let mut at = from_ms - (from_ms + offset_ms).rem_euclid(step_ms);
            loop {
                bounds_ms.push(at);
                if at >= to_ms {
                    if left == 0 {
                        break;
                    }
                    left -= 1;
                }
                labels.push(rfc3339(at, tz));
                at += step_ms;
            }
            return Ok(Self::of(bounds_ms, labels));
        }
        let from = date_of(from_ms, tz).ok_or_else(|| beyond(from_ms))?;
        let mut date = first_day(unit, *week_starts, from).ok_or_else(|| beyond(from_ms))?;
        loop {
            let at = start_of(date, tz).ok_or_else(|| beyond(to_ms))?;
            // A day that a zone skipped as a whole starts where the next one does: it has no
            // instant, so it is no bucket.
            if bounds_ms.last().is_some_and(|last| at <= *last) {
                labels.pop();
                bounds_ms.pop();
            }
            bounds_ms.push(at);
            if at >= to_ms {
                if left == 0 {
                    break;
                }
                left -= 1;
            }
            labels.push(date.to_string());
            date = next_day(unit, date).ok_or_else(|| beyond(to_ms))?;
        }
        Ok(Self::of(bounds_ms, labels))
    }

    fn of(bounds_ms: Vec<i64>, labels: Vec<String>) -> Self {
        let length_ms = bounds_ms[labels.len()] - bounds_ms[0];
        Self { per_ms: labels.len() as f64 / length_ms as f64, bounds_ms, labels }
    }

    /// Number of buckets.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no bucket at all. A range is never empty, so neither is this.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The bucket of an instant that lies in the range. Instants outside give the nearest end.
    ///
    /// Buckets of a kind are nearly equally long, so a division finds the place up to a neighbour:
    /// cheaper than a search, and than guessing from the event before.
    #[inline]
    pub fn index(&self, at_ms: i64) -> usize {
        let bounds = &self.bounds_ms[..];
        let last = bounds.len() - 2;
        let guess = at_ms.saturating_sub(bounds[0]) as f64 * self.per_ms;
        let mut bucket = (guess as usize).min(last);
        while bucket > 0 && at_ms < bounds[bucket] {
            bucket -= 1;
        }
        while bucket < last && at_ms >= bounds[bucket + 1] {
            bucket += 1;
        }
        bucket
    }

    /// When a bucket ends, excluded.
    pub fn end_ms(&self, bucket: usize) -> i64 {
        self.bounds_ms[bucket + 1]
    }
}

fn first_day(unit: Unit, week_starts: WeekStart, date: Date) -> Option<Date> {
    match unit {
        Unit::Minute | Unit::Hour | Unit::Day => Some(date),
        Unit::Week => week_starts.week_of(date),
        Unit::Month => Some(date.first_of_month()),
    }
}

fn next_day(unit: Unit, date: Date) -> Option<Date> {
    match unit {
        Unit::Minute | Unit::Hour | Unit::Day => date.tomorrow().ok(),
        Unit::Week => date.checked_add(7.days()).ok(),
        Unit::Month => date.checked_add(1.month()).ok(),
    }
}

/// A length of time as people write it: `90s`, `10m`, `24h`, `1d`, `2w`. Units are elapsed time,
/// never calendar days: `1d` is 24 hours.
///
/// # Errors
/// [`QuestionError::Duration`] names the field; also below 1 ms and above 366 days.
pub fn duration_ms(field: &str, text: &str) -> Result<i64, QuestionError> {
    let wrong = || QuestionError::Duration { field: field.into(), value: text.into() };
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let unit_ms = match &text[digits..] {
        "ms" => 1,
        "s" => 1000,
        "m" | "min" => 60_000,
        "h" => HOUR_MS,
        "d" => DAY_MS,
        "w" => 7 * DAY_MS,
        _ => return Err(wrong()),
    };
    let number: i64 = text[..digits].parse().map_err(|_| wrong())?;
    number.checked_mul(unit_ms).filter(|ms| (1..=366 * DAY_MS).contains(ms)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn buckets(unit: Unit, tz: &str, from: &str, to: &str) -> Buckets {
        let tz = time_zone(tz).unwrap();
        let from_ms = instant("from", from, &tz).unwrap();
        let to_ms = instant("to", to, &tz).unwrap();
        Buckets::new(unit, &tz.into(), from_ms, to_ms, 0).unwrap()
    }

    #[rstest]
    #[case::spring(Unit::Day, "2025-03-29", "2025-04-01", &[24, 23, 24])]
    #[case::autumn(Unit::Day, "2025-10-25", "2025-10-28", &[24, 25, 24])]
    #[case::a_week_with_a_short_day(Unit::Week, "2025-03-26", "2025-03-31", &[167])]
    #[case::a_month_with_a_long_day(Unit::Month, "2025-10-31", "2025-11-02", &[745, 720])]
    #[case::hours_of_a_short_day(Unit::Hour, "2025-03-30", "2025-03-31", &[1; 23])]
    fn local_buckets_have_the_length_they_have_on_a_clock(
        #[case] unit: Unit,
        #[case] from: &str,
        #[case] to: &str,
        #[case] hours: &[i64],
    ) {
        let buckets = buckets(unit, "Europe/Berlin", from, to);
        let lengths: Vec<i64> =
            buckets.bounds_ms.windows(2).map(|pair| (pair[1] - pair[0]) / HOUR_MS).collect();
        assert_eq!(lengths, hours);
    }

    #[test]
    fn weeks_start_on_monday_and_hold_the_start_of_the_range() {
        let buckets = buckets(Unit::Week, "UTC", "2026-09-02", "2026-09-15");
        assert_eq!(buckets.labels, ["2026-08-31", "2026-09-07", "2026-09-14"]);
    }

    proptest! {
        /// Word by word: from each day back to the one that starts its week.
        #[test]
        fn a_week_is_the_days_from_its_first_to_before_the_next(
            start in prop::sample::select(&WeekStart::ALL[..]), first in 0i64..4000, days in 1i64..60,
            zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/Santiago", "Pacific/Apia", "Asia/Kolkata"]),
        ) {
            let calendar = Calendar { tz: time_zone(zone).unwrap(), week_starts: start };
            let day = |n: i64| jiff::civil::date(2010, 1, 1).checked_add(n.days()).unwrap();
            let (from, to) = (start_of(day(first), &calendar.tz), start_of(day(first + days), &calendar.tz));
            let (from_ms, to_ms) = (from.unwrap(), to.unwrap());
            prop_assume!(from_ms < to_ms);
            let weeks = Buckets::new(Unit::Week, &calendar, from_ms, to_ms, 0).unwrap();
            let name = |date: Date| date.strftime("%A").to_string().to_lowercase();
            for n in first..first + days {
                let at_ms = start_of(day(n), &calendar.tz).unwrap();
                // A day that a zone skipped has no instant of its own.
                if date_of(at_ms, &calendar.tz) != Some(day(n)) {
                    continue;
                }
                let began = (0..7).map(|back| day(n - back)).find(|day| name(*day) == start.name()).unwrap();
                let bucket = weeks.index(at_ms);
                prop_assert_eq!(&weeks.labels[bucket], &began.to_string());
                prop_assert_eq!(weeks.bounds_ms[bucket], start_of(began, &calendar.tz).unwrap());
            }
        }
    }

    #[test]
    fn a_day_that_begins_at_one_oclock_is_still_one_day() {
        // Chile left midnight out on 2024-09-08: the day starts at 01:00.
        let buckets = buckets(Unit::Day, "America/Santiago", "2024-09-07", "2024-09-09");
        assert_eq!(buckets.labels, ["2024-09-07", "2024-09-08"]);
        assert_eq!(buckets.bounds_ms[2] - buckets.bounds_ms[1], 23 * HOUR_MS);
    }

    #[test]
    fn a_day_that_a_zone_skipped_is_no_bucket() {
        let buckets = buckets(Unit::Day, "Pacific/Apia", "2011-12-29", "2012-01-01");
        assert!(buckets.bounds_ms.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(buckets.len(), 2);
    }

    #[test]
    fn hours_start_on_the_local_hour_where_offsets_have_half_hours() {
        let buckets = buckets(
            Unit::Hour,
            "Asia/Kolkata",
            "2026-09-01T05:45:00+05:30",
            "2026-09-01T07:00:00+05:30",
        );
        assert_eq!(buckets.labels, ["2026-09-01T05:00:00+05:30", "2026-09-01T06:00:00+05:30"]);
    }

    #[test]
    fn minutes_are_minutes_of_the_clock() {
        let buckets = buckets(Unit::Minute, "UTC", "2026-09-01T23:58:30Z", "2026-09-02T00:01:00Z");
        let labels = ["23:58:00+00:00", "23:59:00+00:00", "00:00:00+00:00"];
        assert_eq!(buckets.labels.len(), 3);
        assert!(buckets.labels.iter().zip(labels).all(|(label, end)| label.ends_with(end)));
    }

    #[test]
    fn an_instant_on_a_boundary_belongs_to_the_bucket_it_opens() {
        let buckets = buckets(Unit::Day, "UTC", "2026-09-01", "2026-09-04");
        for day in 0..2 {
            assert_eq!(buckets.index(buckets.end_ms(day) - 1), day);
            assert_eq!(buckets.index(buckets.end_ms(day)), day + 1);
        }
    }

    #[rstest]
    #[case(Unit::Day, "Pacific/Apia", "2011-01-01", "2013-01-01")]
    #[case(Unit::Day, "Europe/Berlin", "2016-01-01", "2026-01-01")]
    #[case(Unit::Month, "America/Santiago", "2016-01-01", "2026-01-01")]
    #[case(Unit::Hour, "Australia/Lord_Howe", "2025-01-01", "2026-01-01")]
    #[case(Unit::Minute, "Australia/Lord_Howe", "2025-04-05", "2025-04-07")]
    fn every_instant_finds_the_bucket_around_it(
        #[case] unit: Unit,
        #[case] tz: &str,
        #[case] from: &str,
        #[case] to: &str,
    ) {
        let buckets = buckets(unit, tz, from, to);
        for bucket in 0..buckets.len() {
            assert_eq!(buckets.index(buckets.bounds_ms[bucket]), bucket);
            assert_eq!(buckets.index(buckets.end_ms(bucket) - 1), bucket);
        }
        assert_eq!(buckets.index(i64::MIN), 0);
        assert_eq!(buckets.index(i64::MAX), buckets.len() - 1);
    }

    #[rstest]
    #[case("90s", 90_000)]
    #[case("1d", 86_400_000)]
    #[case("10m", 600_000)]
    #[case("366d", 366 * DAY_MS)]
    fn a_length_of_time_is_read(#[case] text: &str, #[case] ms: i64) {
        assert_eq!(duration_ms("window", text), Ok(ms));
    }

    #[rstest]
    #[case("")]
    #[case("d")]
    #[case("0d")]
    #[case("-1d")]
    #[case("1.5d")]
    #[case("367d")]
    #[case("1 month")]
    #[case("99999999999999999999d")]
    fn a_length_of_time_that_is_none_is_refused(#[case] text: &str) {
        assert_eq!(duration_ms("window", text).unwrap_err().code(), "duration_invalid");
    }

    #[test]
    fn too_many_buckets_are_refused_before_any_is_made() {
        let tz = time_zone("UTC").unwrap();
        let error = Buckets::new(Unit::Hour, &tz.into(), 0, 4000 * DAY_MS, 0).unwrap_err();
        assert_eq!(error.code(), "too_many_buckets");
    }
}
