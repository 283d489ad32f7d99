//! Which session an event belongs to, one person at a time.
//!
//! In: a person's events in order of time, with the session each names. Out: places: the sessions of
//! a person are numbered from 0 in the order in which they begin.
//!
//! An event that names a session belongs to it, however long it lay in a phone that was offline: the
//! browser has cut the session by the rules below. One that names none belongs to the session its
//! device is in: that is over after [`SILENCE_MS`] without an event, or [`AGE_MS`] after it began,
//! and midnight does not end it. An event of a server that names none belongs to no session.
//!
//! Invariant: events are cut alike whichever of them an analysis counts, so it shows all that it
//! scans.

use crate::events::{NO_SESSION, UNNAMED_SESSION};
use crate::time_bucket::DAY_MS;

/// A session ends after more than this silence; exactly 30 minutes still belong to it.
pub const SILENCE_MS: i64 = 30 * 60_000;

/// A session of this age is over.
pub const AGE_MS: i64 = DAY_MS;

/// The sessions of one person so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cutter {
    sessions: Vec<Session>,
    /// Where each key's newest session is, by hash; a place counts when its stamp is the person's.
    index: Vec<(u32, u32)>,
    /// Number of the person, so that nothing need be cleared between two.
    stamp: u32,
}

#[derive(Debug, Clone, Copy)]
struct Session {
    key: u64,
    began_ms: i64,
    last_ms: i64,
}

impl Cutter {
    /// Go to the next person.
    pub(crate) fn next_person(&mut self) {
        self.sessions.clear();
        self.stamp = self.stamp.wrapping_add(1);
        if self.stamp == 0 {
            self.index.fill((0, 0));
            self.stamp = 1;
        }
    }

    /// How many sessions there are; the next new one has this place.
    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// The place of an event's session, `None` when it belongs to none.
    #[inline]
    pub(crate) fn place(&mut self, ts_ms: i64, actor: u64, session: u64) -> Option<usize> {
        /// Any odd number with bits in all places: spreads keys, and keeps devices apart from names.
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let key = match session {
            NO_SESSION => return None,
            UNNAMED_SESSION => actor.wrapping_mul(ODD).rotate_left(32) ^ ODD,
            named => named,
        };
        let begun = Session { key, began_ms: ts_ms, last_ms: ts_ms };
        // Mostly the event before was of the same session.
        let newest = self.sessions.len().wrapping_sub(1);
        let (slot, place) = match self.sessions.last() {
            Some(last) if last.key == key => (None, newest),
            _ => {
                let slot = self.slot(key);
                match self.index[slot] {
                    (stamp, place) if stamp == self.stamp => (Some(slot), place as usize),
                    _ => return Some(self.begin(slot, begun)),
                }
            }
        };
        let open = &mut self.sessions[place];
        let is_over = session == UNNAMED_SESSION
            && (ts_ms - open.last_ms > SILENCE_MS || ts_ms - open.began_ms >= AGE_MS);
        if !is_over {
            open.last_ms = ts_ms;
            return Some(place);
        }
        let slot = slot.unwrap_or_else(|| self.slot(key));
        Some(self.begin(slot, begun))
    }

    /// The slot that holds a key, or where it would go. At least half of the slots are free.
    #[inline]
    fn slot(&mut self, key: u64) -> usize {
        if self.index.len() <= 2 * self.sessions.len() {
            self.widen();
        }
        let mask = self.index.len() - 1;
        let mut slot = (key ^ key >> 32) as usize & mask;
        loop {
            let (stamp, place) = self.index[slot];
            if stamp != self.stamp || self.sessions[place as usize].key == key {
                return slot;
            }
            slot = (slot + 1) & mask;
        }
    }

    fn begin(&mut self, slot: usize, session: Session) -> usize {
        let place = self.sessions.len();
        self.index[slot] = (self.stamp, place as u32);
        self.sessions.push(session);
        place
    }

    #[cold]
    fn widen(&mut self) {
        self.index = vec![(0, 0); (4 * self.sessions.len()).next_power_of_two().max(64)];
        for place in 0..self.sessions.len() {
            let slot = self.slot(self.sessions[place].key);
            self.index[slot] = (self.stamp, place as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn places(events: &[(i64, u64, u64)]) -> Vec<Option<usize>> {
        let mut cutter = Cutter::default();
        cutter.next_person();
        events.iter().map(|(ts, actor, session)| cutter.place(*ts, *actor, *session)).collect()
    }

    const MIN: i64 = 60_000;

    #[rstest]
    #[case::exactly_thirty_minutes_stay(&[0, 30 * MIN], 1)]
    #[case::one_millisecond_more_does_not(&[0, 30 * MIN + 1], 2)]
    #[case::vector_19(&[0, 30 * MIN, 60 * MIN + 1], 2)]
    fn silence_ends_a_session(#[case] times: &[i64], #[case] sessions: usize) {
        let events: Vec<_> = times.iter().map(|ts| (*ts, 7, UNNAMED_SESSION)).collect();
        assert_eq!(places(&events).last(), Some(&Some(sessions - 1)));
    }

    #[test]
    fn a_session_without_silence_is_over_after_a_day() {
        let events: Vec<_> =
            (0..=48).map(|half_hour| (half_hour * 30 * MIN, 7, UNNAMED_SESSION)).collect();
        let places = places(&events);
        assert_eq!((places[47], places[48]), (Some(0), Some(1)));
    }

    #[test]
    fn a_named_session_is_as_long_as_its_name_is_used() {
        assert_eq!(places(&[(0, 7, 55), (AGE_MS * 3, 8, 55)]), [Some(0), Some(0)]);
    }

    #[test]
    fn devices_have_sessions_of_their_own_and_servers_none() {
        let events = [
            (0, 7, UNNAMED_SESSION),
            (1, 8, UNNAMED_SESSION),
            (2, 7, NO_SESSION),
            (3, 7, UNNAMED_SESSION),
            (4, 7, 55),
        ];
        assert_eq!(places(&events), [Some(0), Some(1), None, Some(0), Some(2)]);
    }

    /// The rules again, the slow way: look at all sessions, the newest first.
    fn plainly(events: &[(i64, u64, u64)]) -> Vec<Option<usize>> {
        let mut sessions: Vec<(u64, u64, i64, i64)> = Vec::new();
        let mut place = |&(ts, actor, name): &(i64, u64, u64)| {
            if name == NO_SESSION {
                return None;
            }
            let unnamed = name == UNNAMED_SESSION;
            let mine = |session: &(u64, u64, i64, i64)| {
                session.0 == name && (!unnamed || session.1 == actor)
            };
            let newest = sessions.iter().rposition(mine);
            let open = newest.filter(|at| {
                let (.., began, last) = sessions[*at];
                !unnamed || ts <= last + SILENCE_MS && ts < began + AGE_MS
            });
            let at = open.unwrap_or_else(|| {
                sessions.push((name, actor, ts, ts));
                sessions.len() - 1
            });
            sessions[at].3 = ts;
            Some(at)
        };
        events.iter().map(&mut place).collect()
    }

    proptest! {
        #[test]
        fn sessions_are_cut_as_the_rules_say(
            people in prop::collection::vec(
                prop::collection::vec((0i64..40 * MIN, 1u64..4, 0u64..90), 0..200), 1..4)
        ) {
            let mut cutter = Cutter::default();
            for events in people {
                let mut ts = 0;
                let events: Vec<_> = events.into_iter().map(|(step, actor, session)| {
                    ts += step;
                    (ts, actor, session)
                }).collect();
                cutter.next_person();
                let got: Vec<_> =
                    events.iter().map(|(ts, actor, session)| cutter.place(*ts, *actor, *session)).collect();
                prop_assert_eq!(got, plainly(&events));
            }
        }
    }
}
