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
//! An event that happened, by this reckoning, more than 30 days ago or more than 5 minutes from now
//! is not guessed at: it goes to the quarantine, where it can be looked at and sent again. Less than
//! that ahead of us is what clocks do, and counts as now. The day inside the event's id decides
//! nothing here: an id made by a wrong clock is as good as any.
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
/// `at_invalid` without a plausible `at`; `too_old` beyond 30 days and `in_future` beyond 5 minutes
/// after the correction (both limits are accepted themselves).
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
    let age_ms = mono_age_ms.or(wall_age_ms).unwrap_or(received.saturating_sub(claimed_ms));
    if age_ms > EVENT_AGE_MS_MAX {
        return Err(EventCode::TooOld);
    }
    if age_ms < -EVENT_FUTURE_MS_MAX {
        return Err(EventCode::InFuture);
    }
    let ts_ms = received.saturating_sub(age_ms.max(0));
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

    #[derive(serde::Deserialize)]
    struct File {
        cases: Vec<Case>,
    }

    #[derive(serde::Deserialize)]
    struct Case {
        name: String,
        sent_at: Option<i64>,
        sent_mono: Option<f64>,
        at: i64,
        mono: Option<f64>,
        want: Want,
    }

    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Want {
        Time { ts: i64, suspect: bool },
        Refused { code: String },
    }

    #[test]
    fn clocks_are_corrected_as_in_the_vectors() {
        let file: File =
            serde_json::from_str(include_str!("../../../tests/vectors/clock.json")).unwrap();
        for case in file.cases {
            let got = event_time(&Readings {
                received_ms: NOW,
                sent_at: case.sent_at.map(|ms| (NOW + ms) as f64),
                sent_mono: case.sent_mono,
                at: Some((NOW + case.at) as f64),
                mono: case.mono,
            });
            let want = match case.want {
                Want::Time { ts, suspect } => {
                    Ok(EventTime { ts_ms: NOW + ts, claimed_ms: NOW + case.at, suspect })
                }
                Want::Refused { code } => Err(code),
            };
            assert_eq!(got.map_err(|code| code.as_str().to_owned()), want, "{}", case.name);
        }
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
