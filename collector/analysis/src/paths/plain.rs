//! The transitions of most people: every wanted row is a step, and sessions come one after the other.
//!
//! In: blocks and spans. Out: what [`Counter`] counts. Where looking at neighbours is enough, a person's steps
//! are read in place; whoever has a session without a name, one that comes back after another, or a
//! row that is no step, is shown to the counter row by row.

use std::ops::Range;

use super::Repeats;
use super::counter::Counter;
use super::pairs::key;
use crate::columns::{Block, Span};
use crate::each_width;
use crate::events::{ABSENT, Dictionaries, NO_SESSION, Run, ScanPlan, UNNAMED_SESSION};
use crate::filter::TextColumn;
use crate::kernel::{Kernel, Partial, RunKernel};

/// Reads steps in place, for questions of which every wanted row is one.
pub(super) struct InPlace {
    counter: Counter,
    label: TextColumn,
    repeats: Repeats,
    times: Range<i64>,
    met: Met,
    /// One person's wanted rows: their sessions and what the steps are called.
    sessions: Vec<u64>,
    labels: Vec<u32>,
}

impl InPlace {
    /// For a scan by this plan, which takes only steps.
    pub(super) fn new(
        plan: &ScanPlan,
        label: TextColumn,
        repeats: Repeats,
        counter: Counter,
    ) -> Self {
        let times = plan.from_ms..plan.to_ms;
        let (sessions, labels) = (Vec::new(), Vec::new());
        Self { counter, label, repeats, times, met: Met::default(), sessions, labels }
    }

    /// Take the wanted rows of a span.
    fn take(&mut self, span: &Span<'_>, count: usize) -> usize {
        let block = span.block;
        if block.all_in_time {
            return self.take_those(span, count, |_| true);
        }
        let times = self.times.clone();
        self.take_those(span, count, |row| times.contains(&block.ts.get(row)))
    }

    #[inline]
    fn take_those(
        &mut self,
        Span { block, rows, .. }: &Span<'_>,
        count: usize,
        is_in_time: impl Fn(usize) -> bool,
    ) -> usize {
        let enough = count + rows.len();
        if self.sessions.len() < enough {
            self.sessions.resize(enough, 0);
            self.labels.resize(enough, 0);
        }
        let Some(sessions) = &block.sessions else { return count };
        let label = self.label.of_block(block);
        let (wanted, names) = (&block.event.global[..], &label.global[..]);
        let (to_sessions, to_labels) =
            (&mut self.sessions[count..enough], &mut self.labels[count..enough]);
        let mut taken = 0;
        each_width!(&*block.event.codes, events => each_width!(&*label.codes, labels => {
            let rows_of = (&events[rows.clone()], &labels[rows.clone()], &sessions[rows.clone()]);
            let each = rows.clone().zip(rows_of.0).zip(rows_of.1).zip(rows_of.2);
            // Every place is written, and only those of wanted rows are kept.
            for (((row, event), label), session) in each {
                to_sessions[taken] = *session;
                to_labels[taken] = names[*label as usize];
                taken += usize::from(wanted[*event as usize] != ABSENT && is_in_time(row));
            }
        }));
        count + taken
    }

    /// Show a person row by row.
    #[cold]
    fn show(&mut self, person: u64, spans: &[Span<'_>], dictionaries: &Dictionaries) {
        let (mut ts, mut actor, mut event) = (Vec::new(), Vec::new(), Vec::new());
        let (mut sessions, mut labels) = (Vec::new(), Vec::new());
        for Span { block, rows, .. } in spans {
            for row in rows.clone() {
                let (code, at) = (block.event.get(row), block.ts.get(row));
                if code != ABSENT && self.times.contains(&at) {
                    ts.push(at);
                    actor.push(block.actors.as_ref().map_or(person, |actors| actors[row]));
                    event.push(code);
                    sessions.extend(block.sessions.as_ref().map(|sessions| sessions[row]));
                    labels.push(self.label.of_block(block).get(row));
                }
            }
        }
        let run = Run {
            person,
            ts: &ts,
            actor: &actor,
            event: &event,
            texts: &[&labels],
            numbers: &[],
            sessions: &sessions,
        };
        self.counter.person(&run, dictionaries);
    }
}

impl Kernel for InPlace {
    fn block(&mut self, _slot: usize, _block: &Block, _dictionaries: &Dictionaries) {}

    fn person(&mut self, person: u64, spans: &[Span<'_>], dictionaries: &Dictionaries) {
        let count = spans.iter().fold(0, |count, span| self.take(span, count));
        let (sessions, labels) = (&self.sessions[..count], &self.labels[..count]);
        let pairs = self.counter.pairs();
        if self.met.steps(sessions, labels, self.repeats, pairs.person()) {
            pairs.end_person();
        } else {
            self.show(person, spans, dictionaries);
        }
    }

    fn bytes(&self) -> usize {
        self.counter.bytes()
    }

    fn finish(self: Box<Self>, dictionaries: &Dictionaries) -> Partial {
        Box::new(self.counter).finish(dictionaries)
    }
}

/// Sessions of one person.
struct Met {
    /// Which sessions were met, by some of their bits: one that was met before always shows, and
    /// seldom one that was not.
    met: [u64; WORDS],
    /// Memory to look closely in.
    begun: Vec<u64>,
}

/// Bits for a hundred sessions without many that look alike.
const WORDS: usize = 256;

impl Default for Met {
    fn default() -> Self {
        Self { met: [0; WORDS], begun: Vec::new() }
    }
}

impl Met {
    /// Put a person's transitions into `pairs`, which are empty, and say whether that was possible.
    #[inline]
    fn steps(
        &mut self,
        sessions: &[u64],
        labels: &[u32],
        repeats: Repeats,
        pairs: &mut Vec<u64>,
    ) -> bool {
        const { assert!(NO_SESSION < 2 && UNNAMED_SESSION < 2 && ABSENT == 0) };
        let (Some((mut session, rest)), Some((mut from, labels))) =
            (sessions.split_first(), labels.split_first())
        else {
            return true;
        };
        pairs.resize(rest.len(), 0);
        let skips = repeats == Repeats::Skip;
        self.met.fill(0);
        let (mut count, mut has_come_back) = (0, 0);
        let mut is_plain = *session > 1 && *from != ABSENT;
        self.meet(*session, 1);
        // What is true here of a row is as good as random: nothing may branch.
        for (next, to) in rest.iter().zip(labels) {
            let is_same = next == session;
            is_plain &= *next > 1 && *to != ABSENT;
            has_come_back |= self.meet(*next, u64::from(!is_same));
            pairs[count] = key(*from, *to);
            count += usize::from(is_same && !(skips && from == to));
            (session, from) = (next, to);
        }
        let is_plain = is_plain && (has_come_back == 0 || !self.has_come_back(sessions));
        pairs.truncate(if is_plain { count } else { 0 });
        is_plain
    }

    /// Whether a session comes back after another.
    fn has_come_back(&mut self, sessions: &[u64]) -> bool {
        self.begun.clear();
        self.begun.extend_from_slice(sessions);
        self.begun.dedup();
        self.begun.sort_unstable();
        self.begun.windows(2).any(|two| two[0] == two[1])
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
        let mut plain = Met::default();
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
            let is_plain = Met::default().steps(&rows, labels, repeats, &mut got);
            prop_assert_eq!(is_plain, ids.len() == distinct.len());
            prop_assert!(!is_plain || got == want);
        }
    }
}
