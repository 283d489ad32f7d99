//! Reports: a dashboard as a PDF, mailed or posted to a webhook on a schedule.
//!
//! In: who gets which dashboard, how often and at which hour of the project's day. Out: mails and requests; of each report
//! what became of the last time.
//!
//! - A time that was missed is made up for once, as soon as the server runs again: the newest one, not each.
//! - Who has got a report is written down after each of them. A server that is killed between a mail and that line sends
//!   this one mail once more, under the same `Message-ID`; a webhook gets the same `webhook-id`.
//! - Members of the project see what they see on the page. Anybody else, and every webhook, gets what a shared link shows:
//!   no group of fewer than [`K`](crate::privacy::threshold::K) people. Who is a member is asked when a report goes.
//! - What may go well later (a mail server that says so, a question that had no room) is tried again, at most
//!   [`TRIES_MAX`] times; what was refused is not.
//!
//! Here: the schedule and what may be set, both pure. In `desk` setting it, in `send` sending it.
//!
//! Deliberately elsewhere: the file (`dashboard::boards::print`), its table (`meta::reports`), mails (`mail`).

pub mod desk;
pub mod send;
mod webhook;

pub use webhook::secret as webhook_secret;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use tallymark_analysis::time_bucket::{Calendar, WeekStart};

/// Times that one report is tried.
pub const TRIES_MAX: u32 = 5;
/// Before each further try, milliseconds.
const BACKOFF_MS: [i64; TRIES_MAX as usize - 1] = [60_000, 300_000, 1_800_000, 7_200_000];

/// How often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Every {
    /// Every day.
    Day,
    /// On the day on which the project's weeks start.
    Week,
    /// On the first day of a month.
    Month,
}

impl Every {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Day, Self::Week, Self::Month];

    /// As stored and in forms.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// The stored form.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|every| every.as_str() == text)
    }

    fn is_on(self, date: Date, week_starts: WeekStart) -> bool {
        match self {
            Self::Day => true,
            Self::Week => week_starts.week_of(date) == Some(date),
            Self::Month => date.day() == 1,
        }
    }

    /// How many whole days a report shows, up to yesterday.
    pub const fn days(self) -> i64 {
        match self {
            Self::Day => 7,
            Self::Week => 28,
            Self::Month => 90,
        }
    }

    /// The first time after `after_ms`, Unix milliseconds. An hour that a change of clocks leaves out is the next one
    /// that there is; one that comes twice is the first of both.
    pub fn next(self, hour: i8, calendar: &Calendar, after_ms: i64) -> i64 {
        let Calendar { tz, week_starts } = calendar;
        let after = Timestamp::from_millisecond(after_ms).unwrap_or_default();
        let mut date = after.to_zoned(tz.clone()).date();
        loop {
            let at = date.at(hour, 0, 0, 0).to_zoned(tz.clone());
            let at = at.map_or(i64::MAX, |at| at.timestamp().as_millisecond());
            if self.is_on(date, *week_starts) && at > after_ms {
                return at;
            }
            match date.tomorrow() {
                Ok(next) => date = next,
                Err(_) => return i64::MAX,
            }
        }
    }
}

/// The way a report goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A mail to each address.
    Mail,
    /// A request to one address.
    Webhook,
}

impl Way {
    /// As stored and in forms.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Webhook => "webhook",
        }
    }

    /// The stored form.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Mail, Self::Webhook].into_iter().find(|way| way.as_str() == text)
    }
}

/// What is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// How often.
    pub every: Every,
    /// The hour of the project's day, 0 to 23.
    pub hour: i8,
    /// The way it goes.
    pub way: Way,
    /// Mail addresses, or one address of a webhook.
    pub recipients: Vec<String>,
    /// The language it is in, as `Accept-Language` names it.
    pub language: String,
}

/// A report with what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Its number.
    pub id: u32,
    /// Of which project.
    pub project: u32,
    /// The key of the dashboard.
    pub board: String,
    /// What is set.
    pub plan: Plan,
    /// Whether it waits until somebody wants it again.
    pub paused: bool,
    /// Who set it up.
    pub created_by: String,
    /// The next time by the schedule, Unix milliseconds.
    pub due_ms: i64,
    /// Since when somebody waits for it beside the schedule, Unix milliseconds.
    pub asked_ms: Option<i64>,
    /// What became of the one that is on its way.
    pub state: State,
    /// When the last one was done with, Unix milliseconds.
    pub ended_ms: Option<i64>,
}

/// What became of the report that is on its way, or of the last one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// The time it is for, Unix milliseconds; 0 when none is on its way.
    pub occasion_ms: i64,
    /// How often it was tried.
    pub tries: u32,
    /// Before which it is not tried again, Unix milliseconds.
    pub retry_ms: i64,
    /// Who has it, or is not going to get it.
    pub done: Vec<String>,
    /// What went wrong, a sentence each.
    pub trouble: Vec<String>,
}

impl Report {
    /// Whether it is to be sent now.
    pub fn is_due(&self, now_ms: i64) -> bool {
        let waits = self.state.tries > 0 && self.state.retry_ms > now_ms;
        !waits && (self.asked_ms.is_some() || (!self.paused && self.due_ms <= now_ms))
    }

    /// The state to work in: that of the report on its way, or a new one.
    pub fn begun(&self) -> State {
        if self.state.occasion_ms != 0 {
            return self.state.clone();
        }
        State { occasion_ms: self.asked_ms.unwrap_or(self.due_ms), ..State::default() }
    }

    /// The days it shows, first and last: whole ones, up to yesterday there.
    pub fn days(&self, now_ms: i64, tz: &TimeZone) -> (Date, Date) {
        let now = Timestamp::from_millisecond(now_ms).unwrap_or_default();
        let today = now.to_zoned(tz.clone()).date();
        let back = |days: i64| today.saturating_sub(Span::new().days(days));
        (back(self.plan.every.days()), back(1))
    }
}

/// What to do after a try: nothing when all is done, else when to try again.
pub fn after_try(state: &State, is_left: bool, now_ms: i64) -> Option<i64> {
    let again = BACKOFF_MS.get(state.tries.saturating_sub(1) as usize);
    again.filter(|_| is_left).map(|wait| now_ms.saturating_add(*wait))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn ms(at: &str) -> i64 {
        at.parse::<Timestamp>().unwrap().as_millisecond()
    }

    #[rstest]
    #[case::later_today(Every::Day, 8, "2026-11-26T06:59:59Z", "2026-11-26T07:00:00Z")]
    #[case::at_the_moment_itself(Every::Day, 8, "2026-11-26T07:00:00Z", "2026-11-27T07:00:00Z")]
    #[case::midnight(Every::Day, 0, "2026-11-26T07:00:00Z", "2026-11-26T23:00:00Z")]
    #[case::monday(Every::Week, 8, "2026-11-26T07:00:00Z", "2026-11-30T07:00:00Z")]
    #[case::the_first(Every::Month, 23, "2026-11-26T07:00:00Z", "2026-12-01T22:00:00Z")]
    #[case::the_year_ends(Every::Month, 8, "2026-12-01T07:00:00Z", "2027-01-01T07:00:00Z")]
    #[case::an_hour_that_is_not_there(
        Every::Day,
        2,
        "2026-03-28T12:00:00Z",
        "2026-03-29T01:00:00Z"
    )]
    #[case::an_hour_that_is_there_twice(
        Every::Day,
        2,
        "2026-10-24T12:00:00Z",
        "2026-10-25T00:00:00Z"
    )]
    fn the_next_time_is_by_the_projects_clock(
        #[case] every: Every,
        #[case] hour: i8,
        #[case] after: &str,
        #[case] want: &str,
    ) {
        let berlin = TimeZone::get("Europe/Berlin").unwrap().into();
        let got = Timestamp::from_millisecond(every.next(hour, &berlin, ms(after))).unwrap();
        assert_eq!(got, want.parse().unwrap());
    }

    #[rstest]
    #[case::monday(WeekStart::Monday, "2026-10-26T07:00:00Z")]
    #[case::saturday(WeekStart::Saturday, "2026-10-24T06:00:00Z")]
    #[case::sunday_when_clocks_change(WeekStart::Sunday, "2026-10-25T07:00:00Z")]
    fn a_weekly_one_goes_when_the_projects_week_starts(
        #[case] week_starts: WeekStart,
        #[case] want: &str,
    ) {
        let tz = TimeZone::get("Europe/Berlin").unwrap();
        let calendar = Calendar { tz, week_starts };
        let next = Every::Week.next(8, &calendar, ms("2026-10-23T12:00:00Z"));
        assert_eq!(Timestamp::from_millisecond(next).unwrap(), want.parse().unwrap());
    }

    fn report() -> Report {
        Report {
            id: 1,
            project: 1,
            board: "b".into(),
            plan: Plan {
                every: Every::Day,
                hour: 8,
                way: Way::Mail,
                recipients: vec!["ann@shop.example".into()],
                language: "en".into(),
            },
            paused: false,
            created_by: "bob".into(),
            due_ms: 1_000,
            asked_ms: None,
            state: State::default(),
            ended_ms: None,
        }
    }

    #[rstest]
    #[case::before(report(), 999, false)]
    #[case::at_its_time(report(), 1_000, true)]
    #[case::long_after(report(), 9_999_999, true)]
    #[case::paused(Report { paused: true, ..report() }, 1_000, false)]
    #[case::wanted_although_paused(Report { paused: true, asked_ms: Some(5), ..report() }, 5, true)]
    #[case::waiting_for_another_try(
        Report { state: State { tries: 1, retry_ms: 2_000, ..State::default() }, ..report() }, 1_999, false
    )]
    #[case::another_try(
        Report { state: State { tries: 1, retry_ms: 2_000, ..State::default() }, ..report() }, 2_000, true
    )]
    fn a_report_is_due(#[case] report: Report, #[case] now_ms: i64, #[case] want: bool) {
        assert_eq!(report.is_due(now_ms), want);
    }

    #[test]
    fn a_try_that_left_something_is_repeated_later_and_later_and_then_no_more() {
        let after = |tries, is_left| after_try(&State { tries, ..State::default() }, is_left, 0);
        assert_eq!(after(1, false), None);
        let waits: Vec<Option<i64>> = (1..=TRIES_MAX).map(|tries| after(tries, true)).collect();
        assert!(waits[..4].is_sorted() && waits[3] == Some(7_200_000));
        assert_eq!(waits[4], None);
    }

    #[test]
    fn a_report_shows_whole_days_up_to_yesterday() {
        let tz = TimeZone::get("America/New_York").unwrap();
        let (from, to) = report().days(ms("2026-11-26T03:00:00Z"), &tz);
        assert_eq!((from.to_string(), to.to_string()), ("2026-11-18".into(), "2026-11-24".into()));
    }
}
