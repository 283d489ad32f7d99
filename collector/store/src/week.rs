//! ISO weeks: how segments are split by time.

/// The ISO 8601 week of a moment (Unix milliseconds, UTC), as in `2026-W47`.
pub(crate) fn name(ts_ms: i64) -> String {
    let day = ts_ms.div_euclid(86_400_000);
    // The Thursday of a week is in the year that the week counts for. 1970-01-01 was a Thursday.
    let thursday = day - (day + 3).rem_euclid(7) + 3;
    let (year, day_of_year) = year_of(thursday);
    format!("{year:04}-W{:02}", day_of_year / 7 + 1)
}

/// The month a week belongs to, that of its Thursday, as in `2026-11`. Weeks are never split.
pub(crate) fn month(ts_ms: i64) -> String {
    let month = month_number(ts_ms);
    format!("{:04}-{:02}", month.div_euclid(12), month.rem_euclid(12) + 1)
}

/// A number that orders months of weeks and is equal within one.
pub(crate) fn month_number(ts_ms: i64) -> i64 {
    let thursday = number(ts_ms) * 7;
    let (year, day_of_year) = year_of(thursday);
    let start = |month: usize| DAYS_BEFORE[month] + i64::from(month > 1 && is_leap(year));
    let month = (0..12).rev().find(|&month| start(month) <= day_of_year).unwrap_or(0);
    12 * year + month as i64
}

/// Days of a year before each month; one more from March on in a leap year.
const DAYS_BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];

fn is_leap(year: i64) -> bool {
    first_day(year + 1) - first_day(year) == 366
}

/// A number that orders weeks and is equal within one.
pub(crate) fn number(ts_ms: i64) -> i64 {
    (ts_ms.div_euclid(86_400_000) + 3).div_euclid(7)
}

/// Year and day of the year (from 0) of a day since 1970-01-01, in the Gregorian calendar.
fn year_of(day: i64) -> (i64, i64) {
    // 400 years have 146,097 days; the guess is off by one year at most.
    let mut year = 1970 + (day * 400).div_euclid(146_097);
    loop {
        let start = first_day(year);
        if day < start {
            year -= 1;
        } else if day >= first_day(year + 1) {
            year += 1;
        } else {
            return (year, day - start);
        }
    }
}

/// The first of January of a year, in days since 1970-01-01.
fn first_day(year: i64) -> i64 {
    let before = year - 1;
    365 * year + before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400) - 719_527
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::the_epoch(0, "1970-W01")]
    #[case::before_the_epoch(-1, "1970-W01")]
    #[case::last_week_of_1969(-4 * 86_400_000, "1969-W52")]
    #[case::year_with_53_weeks(1_609_459_200_000, "2020-W53")] // 2021-01-01
    #[case::sunday_of_that_week(1_609_718_399_999, "2020-W53")] // 2021-01-03 23:59:59.999
    #[case::monday_after(1_609_718_400_000, "2021-W01")]
    #[case::end_of_2024(1_735_516_800_000, "2025-W01")] // 2024-12-30, a Monday
    #[case::today(1_795_353_600_000, "2026-W47")] // 2026-11-22, a Sunday
    fn a_moment_is_in_week(#[case] ts_ms: i64, #[case] want: &str) {
        assert_eq!(name(ts_ms), want);
    }

    #[rstest]
    #[case::the_epoch(0, "1970-01")]
    #[case::a_week_of_two_months(1_788_134_400_000, "2026-09")] // 2026-08-31, a Monday
    #[case::the_sunday_before(1_788_134_399_999, "2026-08")]
    #[case::the_last_of_february(1_709_164_800_000, "2024-02")] // 2024-02-29, a Thursday
    #[case::end_of_2024(1_735_516_800_000, "2025-01")] // 2024-12-30, a Monday
    #[case::december(1_798_675_200_000, "2026-12")] // 2026-12-31, a Thursday
    fn a_moment_is_in_the_month_of_its_thursday(#[case] ts_ms: i64, #[case] want: &str) {
        assert_eq!(month(ts_ms), want);
    }

    #[test]
    fn a_week_has_one_month() {
        for day in -800..800 {
            let (a, b) = (day * 86_400_000, (day + 1) * 86_400_000);
            assert!(name(a) != name(b) || month(a) == month(b), "day {day}");
        }
    }

    #[test]
    fn the_ends_of_time_have_names() {
        assert!(name(i64::MIN).starts_with("-292275055-W"));
        assert!(name(i64::MAX).starts_with("292278994-W"));
    }

    #[test]
    fn numbers_change_with_names() {
        for day in -800..800 {
            let (a, b) = (day * 86_400_000, (day + 1) * 86_400_000);
            assert_eq!(name(a) == name(b), number(a) == number(b), "day {day}");
        }
    }
}
