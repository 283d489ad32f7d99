//! When a visit ends and the next one begins.
//!
//! A session is over after more than 30 minutes of silence (exactly 30 minutes stay), at an age
//! of 24 hours, or when the identity changes. Midnight and campaigns do not cut it. Tabs of one
//! origin share it where storage is allowed; in cookieless mode it lasts as long as the page.

use tallymark_protocol::limits::{SESSION_AGE_MS, SESSION_GAP_MS};

/// One visit. Times are Unix milliseconds.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(target_arch = "wasm32"), derive(Debug))]
pub struct Session {
    /// UUIDv7.
    pub id: u128,
    /// First event.
    pub started_ms: u64,
    /// Last event so far.
    pub last_ms: u64,
}

impl Session {
    /// A session that begins with an event at `now_ms`.
    pub fn begin(id: u128, now_ms: u64) -> Session {
        Session { id, started_ms: now_ms, last_ms: now_ms }
    }

    /// Whether an event at `now_ms` still belongs to it. A clock that went backwards ends nothing.
    pub fn holds(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.last_ms) <= SESSION_GAP_MS
            && now_ms.saturating_sub(self.started_ms) < SESSION_AGE_MS
    }

    /// The session two tabs agree on: the later one, or the same with its latest event.
    pub fn agree(self, other: Session) -> Session {
        if self.id == other.id {
            return Session { last_ms: self.last_ms.max(other.last_ms), ..self };
        }
        if other.started_ms > self.started_ms { other } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const MINUTE: u64 = 60_000;

    #[rstest]
    #[case::at_once(0, true)]
    #[case::after_exactly_thirty_minutes(30 * MINUTE, true)]
    #[case::one_millisecond_later(30 * MINUTE + 1, false)]
    fn silence(#[case] gap_ms: u64, #[case] holds: bool) {
        let session = Session { id: 1, started_ms: 1_000, last_ms: 5_000 };
        assert_eq!(session.holds(5_000 + gap_ms), holds);
    }

    #[rstest]
    #[case::one_millisecond_before_a_day(24 * 60 * MINUTE - 1, true)]
    #[case::at_a_day(24 * 60 * MINUTE, false)]
    fn age(#[case] age_ms: u64, #[case] holds: bool) {
        let session = Session { id: 1, started_ms: 1_000, last_ms: 1_000 + age_ms - MINUTE };
        assert_eq!(session.holds(1_000 + age_ms), holds);
    }

    #[test]
    fn a_clock_set_back_ends_nothing() {
        assert!(Session::begin(1, 1_000_000).holds(5));
    }

    #[test]
    fn events_at_0_30_minutes_and_just_over_60_are_two_sessions() {
        let mut session = Session::begin(1, 0);
        assert!(session.holds(30 * MINUTE));
        session.last_ms = 30 * MINUTE;
        assert!(!session.holds(60 * MINUTE + 1));
    }

    #[test]
    fn tabs_agree_on_the_later_session_and_its_latest_event() {
        let old = Session { id: 1, started_ms: 10, last_ms: 20 };
        let new = Session { id: 2, started_ms: 15, last_ms: 15 };
        assert_eq!(old.agree(new), new);
        assert_eq!(new.agree(old), new);
        let later = Session { last_ms: 30, ..old };
        assert_eq!(old.agree(later), later);
        assert_eq!(later.agree(old), later);
    }
}
