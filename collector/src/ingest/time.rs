//! When an event happened, by our clock.
//!
//! In: what the client's two clocks said when the event was made and when it was sent, and our clock
//! when it arrived. Out: the event time, and whether the client's wall clock is to be trusted.
//!
//! The age of an event is a difference of two readings of one client clock, so it does not matter
//! what that clock shows. The monotonic clock is better (nobody can set it), but it begins anew with
//! each page load, and a difference of two page loads' readings means nothing. Clients leave `mono`
//! out of events that another page load made; a negative difference shows one that forgot.
//!
//! Invariant: an event never lies after its arrival.

use tallymark_protocol::codes::EventCode;
use tallymark_protocol::limits::{
    CLOCK_DISAGREEMENT_MS_MAX, EVENT_AGE_MS_MAX, EVENT_FUTURE_MS_MAX,
};

/// What the clocks said, all in milliseconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Readings {
    /// Ours, on arrival.
    pub received_ms: i64,
    /// The client's wall clock, at sending.
    pub sent_at: Option<f64>,
    /// The page's monotonic clock, at sending.
    pub sent_mono: Option<f64>,
    /// The client's wall clock, at the event.
    pub at: Option<f64>,
    /// The page's monotonic clock, at the event.
    pub mono: Option<f64>,
}

/// The outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventTime {
    /// Unix milliseconds by our clock.
    pub ts_ms: i64,
    /// Unix milliseconds by the client's clock.
    pub claimed_ms: i64,
    /// The client's two clocks disagree, or its wall clock ran backwards.
    pub suspect: bool,
}

/// Years 1 to 9999, so that every later calculation has room.
const PLAUSIBLE_MS: std::ops::Range<f64> = -62_135_596_800_000.0..253_402_300_800_000.0;

/// Work out when an event happened.
///
/// # Errors
/// `at_invalid` without a plausible `at`; `too_old` beyond 30 days (30 days exactly are accepted);
/// `in_future` when the client says no `sent_at` and `at` lies more than 5 minutes ahead of us.
pub fn event_time(readings: &Readings) -> Result<EventTime, EventCode> {
    let received = readings.received_ms;
    let at = readings.at.filter(|at| PLAUSIBLE_MS.contains(at)).ok_or(EventCode::AtInvalid)?;
    let claimed_ms = at.round() as i64;
    let sent_at = readings.sent_at.filter(|sent| PLAUSIBLE_MS.contains(sent));
    let wall_age_ms = sent_at.map(|sent| (sent - at).round() as i64);
    let mono_age_ms = match (readings.sent_mono, readings.mono) {
        (Some(sent), Some(at)) if sent >= at => Some((sent - at).round() as i64),
        _ => None,
    };
    let ts_ms = match mono_age_ms.or(wall_age_ms) {
        // Casts saturate and ages are never negative below, so this cannot overflow.
        Some(age_ms) => received.saturating_sub(age_ms.max(0)),
        None if claimed_ms.saturating_sub(received) > EVENT_FUTURE_MS_MAX => {
            return Err(EventCode::InFuture);
        }
        None => claimed_ms.min(received),
    };
    if received.saturating_sub(ts_ms) > EVENT_AGE_MS_MAX {
        return Err(EventCode::TooOld);
    }
    let disagree = match (mono_age_ms, wall_age_ms) {
        (Some(mono), Some(wall)) => mono.saturating_sub(wall).abs() > CLOCK_DISAGREEMENT_MS_MAX,
        _ => false,
    };
    let backwards = wall_age_ms.is_some_and(|age| age < -CLOCK_DISAGREEMENT_MS_MAX);
    Ok(EventTime { ts_ms, claimed_ms, suspect: disagree || backwards })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    const NOW: i64 = 1_795_331_401_767;
    const DAY: i64 = 86_400_000;

    fn wall(sent_at: Option<i64>, at: i64) -> Readings {
        Readings {
            received_ms: NOW,
            sent_at: sent_at.map(|ms| ms as f64),
            at: Some(at as f64),
            ..Readings::default()
        }
    }

    #[rstest]
    #[case::clocks_agree(wall(Some(NOW), NOW - 70), Ok((NOW - 70, false)))]
    #[case::client_is_ten_years_ahead(wall(Some(NOW + 3650 * DAY), NOW + 3650 * DAY - 70), Ok((NOW - 70, false)))]
    #[case::client_is_ten_years_behind(wall(Some(NOW - 3650 * DAY), NOW - 3650 * DAY - 70), Ok((NOW - 70, false)))]
    #[case::clock_set_back_between(wall(Some(NOW), NOW + DAY), Ok((NOW, true)))]
    #[case::no_sent_at(wall(None, NOW - 5_000), Ok((NOW - 5_000, false)))]
    #[case::five_minutes_ahead(wall(None, NOW + 300_000), Ok((NOW, false)))]
    #[case::a_millisecond_more_ahead(wall(None, NOW + 300_001), Err(EventCode::InFuture))]
    #[case::thirty_days(wall(Some(NOW), NOW - 30 * DAY), Ok((NOW - 30 * DAY, false)))]
    #[case::a_millisecond_older(wall(Some(NOW), NOW - 30 * DAY - 1), Err(EventCode::TooOld))]
    fn by_the_wall_clock(#[case] readings: Readings, #[case] want: Result<(i64, bool), EventCode>) {
        assert_eq!(event_time(&readings).map(|time| (time.ts_ms, time.suspect)), want);
    }

    #[rstest]
    #[case::same_page_load(52_012.4, 51_945.1, NOW - 67, false)]
    #[case::wall_clock_was_set_in_between(52_012.4, 2_012.4, NOW - 50_000, true)]
    #[case::another_page_load(100.0, 51_945.1, NOW - 70, false)]
    fn by_the_monotonic_clock(
        #[case] sent_mono: f64,
        #[case] mono: f64,
        #[case] want_ms: i64,
        #[case] suspect: bool,
    ) {
        let readings =
            Readings { sent_mono: Some(sent_mono), mono: Some(mono), ..wall(Some(NOW), NOW - 70) };
        let time = event_time(&readings).unwrap();
        assert_eq!((time.ts_ms, time.claimed_ms, time.suspect), (want_ms, NOW - 70, suspect));
    }

    #[rstest]
    #[case::missing(None)]
    #[case::not_a_number(Some(f64::NAN))]
    #[case::huge(Some(1e300))]
    #[case::seconds_of_the_year_zero(Some(-1e15))]
    fn an_event_without_a_time_is_refused(#[case] at: Option<f64>) {
        let readings = Readings { received_ms: NOW, at, ..Readings::default() };
        assert_eq!(event_time(&readings), Err(EventCode::AtInvalid));
    }

    proptest! {
        #[test]
        fn an_event_never_lies_after_its_arrival(
            sent_at: Option<f64>, sent_mono: Option<f64>, at: Option<f64>, mono: Option<f64>,
        ) {
            let readings = Readings { received_ms: NOW, sent_at, sent_mono, at, mono };
            if let Ok(time) = event_time(&readings) {
                prop_assert!(time.ts_ms <= NOW && time.ts_ms >= NOW - 30 * DAY);
            }
        }
    }
}
