//! Merges that must not wait: the thread that merges gives way to all others, and under load as high as it can be
//! segments would pile up for as long as that lasts.
//!
//! In: which tiers are too full. Out: they are merged, on a thread that gives way to nobody, while the one that
//! merges waits for it: so there is never more than one merge at work. What is taken gets less by as much as that costs.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::Keeper;
use crate::catalog::SegmentId;
use crate::error::FlushError;

/// The tiers below a level, but for segments that merges under way have taken.
struct Tiers {
    level: u8,
    taken: BTreeSet<SegmentId>,
}

/// Where the thread that merges hands them over.
pub(crate) struct Urgent {
    ask: Sender<Tiers>,
    done: Receiver<Result<(), FlushError>>,
}

/// Where they arrive.
pub(crate) struct Asked {
    tiers: Receiver<Tiers>,
    done: Sender<Result<(), FlushError>>,
}

/// Both ends.
pub(crate) fn urgent() -> (Urgent, Asked) {
    let ((ask, tiers), (answer, done)) = (channel(), channel());
    (Urgent { ask, done }, Asked { tiers, done: answer })
}

impl Urgent {
    /// Merge until none of these tiers is full.
    pub(super) fn merge_below(
        &self,
        level: u8,
        taken: &BTreeSet<SegmentId>,
    ) -> Result<(), FlushError> {
        let tiers = Tiers { level, taken: taken.clone() };
        // Without the other thread they wait for the next plan, which is made as if nothing were urgent.
        let handed_over = self.ask.send(tiers).is_ok();
        if handed_over { self.done.recv().unwrap_or(Ok(())) } else { Ok(()) }
    }
}

impl Keeper {
    /// Merge what is urgent until the store closes.
    pub(crate) fn run_urgent(self, asked: Asked) {
        for Tiers { level, taken } in asked.tiers {
            if asked.done.send(self.merge_below(level, &taken)).is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::{IN_A_MERGE, Random, Source, World};
    use rstest::rstest;
    use std::sync::{Arc, Mutex, PoisonError};
    use std::thread;

    /// Of tiers that hold two segments.
    #[rstest]
    #[case::full(2, false)]
    #[case::not_twice(3, false)]
    #[case::twice_as_full(4, true)]
    #[case::left_behind(9, true)]
    fn tiers_that_are_too_full_are_merged_by_the_other_thread(
        #[case] flushes: usize,
        #[case] is_urgent: bool,
    ) {
        let world = World::new();
        let (mut random, source) = (Random::new(3), Source::default());
        let mut rows = || source.rows_of_a_week(&mut random);
        for _ in 0..flushes {
            world.append(rows()).unwrap();
            world.flush().unwrap();
        }
        let at_work: Arc<Mutex<Vec<thread::ThreadId>>> = Arc::default();
        let noted = Arc::clone(&at_work);
        world.at_points(move |point, _, _| {
            if point == IN_A_MERGE {
                noted.lock().unwrap_or_else(PoisonError::into_inner).push(thread::current().id());
            }
        });
        let (urgent, asked) = urgent();
        let hurried = world.keeper().clone();
        let other = thread::spawn(move || hurried.run_urgent(asked));
        world.keeper().merge_all(&BTreeSet::new(), Some(&urgent)).unwrap();
        let own = thread::current().id();
        let at_work = at_work.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(!at_work.is_empty());
        assert!(at_work.iter().all(|id| (*id != own) == is_urgent), "{at_work:?}");
        assert!(world.segments().len() < flushes.min(4));
        drop(urgent);
        other.join().unwrap();
        world.check();
    }

    /// Two of level 1 are being merged when many more are flushed.
    #[test]
    fn what_piles_up_beside_a_long_merge_is_merged_before_it_is_done() {
        let world = World::new();
        let (mut random, source) = (Random::new(5), Source::default());
        let mut rows = move || source.rows_of_a_week(&mut random);
        for _ in 0..2 {
            for _ in 0..2 {
                world.append(rows()).unwrap();
                world.flush().unwrap();
            }
            world.keeper().merge_below(1, &BTreeSet::new()).unwrap();
        }
        assert_eq!(world.keeper().levels(), [1, 1]);
        let seen: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let (noted, own) = (Arc::clone(&seen), thread::current().id());
        let mut rounds = 0..3;
        world.at_points(move |point, append, keeper| {
            if point != IN_A_MERGE || thread::current().id() != own {
                return;
            }
            for _ in rounds.next().map_or(0..0, |_| 0..4) {
                append(rows());
                keeper.flush().unwrap();
            }
            noted.lock().unwrap_or_else(PoisonError::into_inner).push(keeper.levels());
        });
        let (urgent, asked) = urgent();
        let hurried = world.keeper().clone();
        let other = thread::spawn(move || hurried.run_urgent(asked));
        world.keeper().merge_all(&BTreeSet::new(), Some(&urgent)).unwrap();
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        // The two are still there, and others of their level have become one of the next.
        let is_it = |levels: &Vec<u8>| {
            let of = |level| levels.iter().filter(|other| **other == level).count();
            of(1) == 2 && of(2) == 1
        };
        assert!(seen.iter().any(is_it), "{seen:?}");
        drop(urgent);
        other.join().unwrap();
        world.check();
    }

    #[test]
    fn without_the_other_thread_everything_is_merged_all_the_same() {
        let world = World::new();
        let (mut random, source) = (Random::new(4), Source::default());
        for _ in 0..6 {
            let rows = (0..40).map(|_| source.row(&mut random)).collect();
            world.append(rows).unwrap();
            world.flush().unwrap();
        }
        let (urgent, asked) = urgent();
        drop(asked);
        let before = world.segments().len();
        world.keeper().merge_all(&BTreeSet::new(), Some(&urgent)).unwrap();
        assert!(world.segments().len() < before);
        world.check();
    }
}
