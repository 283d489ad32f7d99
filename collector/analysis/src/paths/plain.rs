//! The transitions of most people: every row is a step, and their sessions come one after the other.
//!
//! In: the sessions and steps of one person's rows. Out: the transitions, or nothing when it takes more
//! than looking at neighbours: a session without a name, one that comes back after another, a
//! row that is no step. Those people are counted row by row (`counter`), to the same result.

use super::Repeats;
use super::pairs::key;
use crate::events::{ABSENT, NO_SESSION, UNNAMED_SESSION};

/// Memory to work in.
pub(super) struct Plain {
    /// Which sessions were met, by some of their bits: one that was met before always shows, and
    /// seldom one that was not.
    met: [u64; WORDS],
}

/// Bits for a hundred sessions without many that look alike.
const WORDS: usize = 256;

impl Default for Plain {
    fn default() -> Self {
        Self { met: [0; WORDS] }
    }
}

impl Plain {
    /// Put a person's transitions into `pairs`, which are empty, and say whether that was possible.
    #[inline]
    pub(super) fn steps(
        &mut self,
        sessions: &[u64],
        labels: &[u32],
        repeats: Repeats,
        pairs: &mut Vec<u64>,
    ) -> bool {
        const { assert!(NO_SESSION < 2 && UNNAMED_SESSION < 2 && ABSENT == 0) };
        let (Some((mut session, sessions)), Some((mut from, labels))) =
            (sessions.split_first(), labels.split_first())
        else {
            return true;
        };
        pairs.resize(sessions.len(), 0);
        let skips = repeats == Repeats::Skip;
        self.met.fill(0);
        let (mut count, mut has_come_back) = (0, 0);
        let mut is_plain = *session > 1 && *from != ABSENT;
        self.meet(*session, 1);
        // What is true here of a row is as good as random: nothing may branch.
        for (next, to) in sessions.iter().zip(labels) {
            let is_same = next == session;
            is_plain &= *next > 1 && *to != ABSENT;
            has_come_back |= self.meet(*next, u64::from(!is_same));
            pairs[count] = key(*from, *to);
            count += usize::from(is_same && !(skips && from == to));
            (session, from) = (next, to);
        }
        let is_plain = is_plain && has_come_back == 0;
        pairs.truncate(if is_plain { count } else { 0 });
        is_plain
    }

    /// Remember a session, if `begins` is 1; whether it may have been met before, as 0 or 1.
    #[inline]
    fn meet(&mut self, session: u64, begins: u64) -> u64 {
        let (word, bit) = ((session >> 6) as usize % WORDS, session % 64);
        let before = self.met[word];
        self.met[word] = before | begins << bit;
        before >> bit & begins
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_session_that_comes_back_or_has_no_name_and_a_row_without_a_step_are_not_plain() {
        let mut plain = Plain::default();
        let mut steps = |sessions: &[u64], labels: &[u32]| {
            let mut pairs = Vec::new();
            let is_plain = plain.steps(sessions, labels, Repeats::Count, &mut pairs);
            assert!(is_plain || pairs.is_empty());
            is_plain.then_some(pairs)
        };
        assert_eq!(steps(&[7, 7, 8, 8], &[1, 2, 3, 3]), Some(vec![key(1, 2), key(3, 3)]));
        assert_eq!(steps(&[7, 7, 8, 7], &[1, 2, 3, 3]), None);
        assert_eq!(steps(&[7, UNNAMED_SESSION], &[1, 2]), None);
        assert_eq!(steps(&[NO_SESSION, 7], &[1, 2]), None);
        assert_eq!(steps(&[7, 7], &[1, ABSENT]), None);
        assert_eq!(steps(&[7], &[1]), Some(vec![]));
        assert_eq!(steps(&[], &[]), Some(vec![]));
    }

    proptest! {
        #[test]
        fn plain_transitions_are_those_of_neighbours(
            sessions in prop::collection::vec((2u64..9, 1usize..5), 1..6), skips in any::<bool>(),
            labels in prop::collection::vec(1u32..4, 30),
        ) {
            let repeats = if skips { Repeats::Skip } else { Repeats::Count };
            let rows: Vec<u64> = sessions.iter().flat_map(|(id, rows)| vec![*id; *rows]).collect();
            let mut ids: Vec<u64> = rows.clone();
            ids.dedup();
            let mut distinct = ids.clone();
            distinct.sort_unstable();
            distinct.dedup();
            let labels = &labels[..rows.len()];
            let want: Vec<u64> = (1..rows.len())
                .filter(|row| rows[*row] == rows[row - 1])
                .map(|row| (labels[row - 1], labels[row]))
                .filter(|(from, to)| !skips || from != to)
                .map(|(from, to)| key(from, to))
                .collect();
            let mut got = Vec::new();
            let is_plain = Plain::default().steps(&rows, labels, repeats, &mut got);
            prop_assert_eq!(is_plain, ids.len() == distinct.len());
            prop_assert!(!is_plain || got == want);
        }
    }
}
