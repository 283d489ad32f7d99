//! The part of time a page shows: read from its address, asked of the analyses, said in words.
//!
//! In: a query string's fields, the project's time zone and the clock. Out: a [`Period`] of whole
//! local days, and a complaint when the address said something else than it could mean.
//!
//! Invariant: whatever the address says, there is a period; `from` is before `to`.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use tallymark_analysis::time_bucket::WeekStart;

use super::format;
use super::words::{n, say, t};

/// Longest range of one page. Longer ones are questions for the API.
const MAX_DAYS: i64 = 400;

/// Experiments rarely run longer, and what was exposed earlier is another story.
const EXPERIMENT_DAYS: i64 = 90;

/// The ranges of forms.
pub const RANGES: [(&str, &str); 5] = [
    ("1d", n("today")),
    ("7d", n("last 7 days")),
    ("30d", n("last 30 days")),
    ("90d", n("last 90 days")),
    ("custom", n("two dates")),
];

/// What of the query string is about time.
#[derive(Debug, Clone, Default)]
pub struct Asked<'a> {
    /// `7d`, `30d`, `90d` or `custom`.
    pub range: Option<&'a str>,
    /// First day of a custom range.
    pub from: Option<&'a str>,
    /// Last day of a custom range.
    pub to: Option<&'a str>,
    /// IANA time zone.
    pub tz: Option<&'a str>,
}

/// Which of the ranges on offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// That many days up to today.
    Days(i64),
    /// Two dates.
    Custom,
}

/// Whole local days.
#[derive(Debug, Clone)]
pub struct Period {
    /// Which of the ranges on offer.
    pub range: Range,
    /// First day.
    pub from: Date,
    /// First day after it.
    pub to: Date,
    /// Today, there.
    pub today: Date,
    /// Name of the time zone.
    pub tz_name: String,
    /// The day on which weeks start.
    pub week_starts: WeekStart,
    /// Our clock, Unix milliseconds.
    pub now_ms: i64,
}

impl Period {
    /// The ranges on offer.
    pub const OFFERED: [i64; 3] = [7, 30, 90];

    /// Read a period. The text, if any, says what was wrong and what is shown instead.
    pub fn read(
        asked: &Asked<'_>,
        project_tz: &str,
        week_starts: WeekStart,
        now_ms: i64,
    ) -> (Self, Option<String>) {
        let mut complaint = None;
        let (tz_name, tz) = match asked.tz.filter(|name| !name.is_empty()) {
            None => zone(project_tz),
            Some(name) => match TimeZone::get(name) {
                Ok(tz) => (name.to_owned(), tz),
                Err(_) => {
                    complaint = Some(say(
                        "“{name}” is not a time zone; days are those of {zone}. Use a name such as Europe/Berlin.",
                        &[("name", name), ("zone", project_tz)],
                    ));
                    zone(project_tz)
                }
            },
        };
        let now = Timestamp::from_millisecond(now_ms).unwrap_or(Timestamp::UNIX_EPOCH);
        let today = now.to_zoned(tz).date();
        let days = |range, from, to| {
            let tz_name = tz_name.clone();
            Self { range, from, to, today, tz_name, week_starts, now_ms }
        };
        let last = |n: i64| days(Range::Days(n), plus(today, 1 - n), plus(today, 1));
        let period = match asked.range {
            Some("1d") => last(1),
            Some("7d") => last(7),
            Some("90d") => last(90),
            None | Some("30d" | "") => last(30),
            Some("custom") => match custom(asked) {
                Ok((from, to)) => days(Range::Custom, from, to),
                Err(why) => {
                    complaint = Some(format!("{why} {}", t("The last 30 days are shown instead.")));
                    last(30)
                }
            },
            Some(_) => {
                let words = t("The range is 1d, 7d, 30d, 90d or custom; 30 days are shown.");
                complaint = Some(words.into());
                last(30)
            }
        };
        (period, complaint)
    }

    /// Number of days.
    pub fn days(&self) -> i64 {
        days_between(self.from, self.to)
    }

    /// Last day, for people: the range includes it.
    pub fn last_day(&self) -> Date {
        plus(self.to, -1)
    }

    /// `Last 30 days`, or the two dates.
    pub fn words(&self) -> String {
        match self.range {
            Range::Days(1) => t("today").to_owned(),
            Range::Days(days) => say("last {n} days", &[("n", &days.to_string())]),
            Range::Custom => {
                let (from, to) = (format::full_day(self.from), format::full_day(self.last_day()));
                say("{from} to {to}", &[("from", &from), ("to", &to)])
            }
        }
    }

    /// As addresses name its range.
    pub fn code(&self) -> String {
        match self.range {
            Range::Days(days) => format!("{days}d"),
            Range::Custom => "custom".to_owned(),
        }
    }

    /// The days of whole weeks that a retention grid of this period shows: at least
    /// eight weeks and at most thirteen, the last of them the week of the period's end.
    pub fn weeks(&self) -> (Date, Date, i64) {
        let week_of = |day: Date| self.week_starts.week_of(day).unwrap_or(day);
        let end = week_of(self.last_day());
        let weeks = (days_between(week_of(self.from), end) / 7 + 1).clamp(8, 13);
        (plus(end, -7 * (weeks - 1)), plus(end, 7), weeks)
    }

    /// First day of what experiments are read over: an experiment is one result, not a week of
    /// one, so its range reaches back at least 90 days from the end of the page's.
    pub fn experiments_from(&self) -> Date {
        self.from.min(plus(self.to, -EXPERIMENT_DAYS))
    }

    /// The day from which the figures will not change any more: late events come for 72 hours.
    pub fn settled_on(&self) -> Date {
        plus(self.to, 3)
    }
}

fn zone(name: &str) -> (String, TimeZone) {
    // A project's zone was checked when the project was made; the data base may know fewer now.
    match TimeZone::get(name) {
        Ok(tz) => (name.to_owned(), tz),
        Err(_) => ("UTC".to_owned(), TimeZone::UTC),
    }
}

fn custom(asked: &Asked<'_>) -> Result<(Date, Date), String> {
    let date = |name: &str, text: Option<&str>| {
        text.and_then(|text| text.parse::<Date>().ok()).ok_or_else(|| name.to_owned())
    };
    let from = date(t("The first day is not a date like 2026-09-01."), asked.from)?;
    let last = date(t("The last day is not a date like 2026-09-01."), asked.to)?;
    // Questions beyond these years would only overflow a calendar.
    if !(1971..=2200).contains(&from.year()) || !(1971..=2200).contains(&last.year()) {
        return Err(t("The years go from 1971 to 2200.").into());
    }
    if last < from {
        return Err(t("The last day is before the first.").into());
    }
    if days_between(from, last) >= MAX_DAYS {
        let days = MAX_DAYS.to_string();
        return Err(say(
            "A page shows at most {n} days; the API has no such limit.",
            &[("n", &days)],
        ));
    }
    Ok((from, plus(last, 1)))
}

/// `date` and some days; stands still at the ends of the calendar.
pub fn plus(date: Date, days: i64) -> Date {
    date.saturating_add(Span::new().days(days))
}

fn days_between(from: Date, to: Date) -> i64 {
    from.duration_until(to).as_hours() / 24
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use rstest::rstest;

    use super::*;

    /// 2026-11-22 23:30 UTC, a Sunday: Monday already in Berlin.
    const NOW_MS: i64 = 1_795_390_200_000;

    fn read(asked: &Asked<'_>) -> (Period, Option<String>) {
        Period::read(asked, "Europe/Berlin", WeekStart::Monday, NOW_MS)
    }

    #[test]
    fn without_a_word_it_is_thirty_days_of_the_projects_calendar_today_included() {
        let (period, complaint) = read(&Asked::default());
        assert_eq!((period.from, period.to), (date(2026, 10, 25), date(2026, 11, 24)));
        assert_eq!((period.days(), complaint), (30, None));
        assert_eq!(period.words(), "last 30 days");
    }

    #[test]
    fn another_time_zone_has_another_today() {
        let (period, _) = read(&Asked { tz: Some("UTC"), range: Some("7d"), ..Asked::default() });
        assert_eq!((period.from, period.to), (date(2026, 11, 16), date(2026, 11, 23)));
    }

    #[test]
    fn a_custom_range_includes_its_last_day() {
        let asked = Asked {
            range: Some("custom"),
            from: Some("2026-09-01"),
            to: Some("2026-09-30"),
            tz: None,
        };
        let (period, complaint) = read(&asked);
        assert_eq!((period.from, period.to), (date(2026, 9, 1), date(2026, 10, 1)));
        assert_eq!(complaint, None);
    }

    #[rstest]
    #[case::not_a_range(Asked { range: Some("<script>"), ..Asked::default() })]
    #[case::not_a_zone(Asked { tz: Some("Mars/Olympus"), ..Asked::default() })]
    #[case::no_dates(Asked { range: Some("custom"), ..Asked::default() })]
    #[case::not_dates(Asked { range: Some("custom"), from: Some("x"), to: Some("y"), tz: None })]
    #[case::backwards(Asked { range: Some("custom"), from: Some("2026-02-02"), to: Some("2026-02-01"), tz: None })]
    #[case::too_long(Asked { range: Some("custom"), from: Some("2020-01-01"), to: Some("2026-02-01"), tz: None })]
    #[case::end_of_time(Asked { range: Some("custom"), from: Some("9999-12-30"), to: Some("9999-12-31"), tz: None })]
    fn what_it_cannot_be_is_said_and_thirty_days_are_shown(#[case] asked: Asked<'_>) {
        let (period, complaint) = read(&asked);
        assert!(complaint.is_some());
        assert_eq!(period.days(), 30);
    }

    #[test]
    fn a_retention_grid_has_whole_weeks_eight_at_least_and_thirteen_at_most() {
        let (week, _) = read(&Asked { range: Some("7d"), ..Asked::default() });
        assert_eq!(week.weeks(), (date(2026, 10, 5), date(2026, 11, 30), 8));
        let (quarter, _) = read(&Asked { range: Some("90d"), ..Asked::default() });
        assert_eq!(quarter.weeks(), (date(2026, 8, 31), date(2026, 11, 30), 13));
        let from_sunday = Period { week_starts: WeekStart::Sunday, ..week.clone() };
        assert_eq!(from_sunday.weeks(), (date(2026, 10, 4), date(2026, 11, 29), 8));
        let from_saturday = Period { week_starts: WeekStart::Saturday, ..week };
        assert_eq!(from_saturday.weeks(), (date(2026, 10, 3), date(2026, 11, 28), 8));
    }

    #[test]
    fn experiments_are_read_over_ninety_days_at_least() {
        let (week, _) = read(&Asked { range: Some("7d"), ..Asked::default() });
        assert_eq!(week.experiments_from(), date(2026, 8, 26));
        let asked = Asked {
            range: Some("custom"),
            from: Some("2026-01-01"),
            to: Some("2026-11-23"),
            tz: None,
        };
        assert_eq!(read(&asked).0.experiments_from(), date(2026, 1, 1));
    }

    #[test]
    fn an_hour_lost_to_daylight_saving_does_not_cost_a_day() {
        let asked = Asked {
            range: Some("custom"),
            from: Some("2026-03-28"),
            to: Some("2026-03-30"),
            tz: None,
        };
        assert_eq!(read(&asked).0.days(), 3);
    }
}
