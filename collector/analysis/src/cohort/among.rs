//! A question, asked of certain people: an analysis around another one.
//!
//! In: an analysis, and who is in a cohort. Out: the same analysis, whose kernel meets no others; where days are
//! all it needs, those of no others. Blocks are not taken as a whole then: there may be others in them.

use std::sync::Arc;

use crate::answer::{Answer, Facts};
use crate::columns::{Block, Span};
use crate::events::{Dictionaries, ScanPlan};
use crate::kernel::{Analysis, Kernel, Partial};
use crate::presence::{DayKernel, Presence, PresencePlan};

/// The people of a cohort.
#[derive(Debug, Clone)]
pub struct Members {
    /// In order.
    persons: Arc<[u64]>,
}

impl Members {
    /// Of people in any order, each once.
    pub(super) fn new(mut persons: Vec<u64>) -> Self {
        // Each thread found its own in order: a sort that uses it.
        persons.sort();
        Self { persons: persons.into() }
    }

    /// Those of them who are also among others.
    pub(crate) fn of(&self, others: &Self) -> Self {
        Self::new(self.persons.iter().copied().filter(|person| others.contain(*person)).collect())
    }

    /// Whether somebody is one of them.
    pub fn contain(&self, person: u64) -> bool {
        self.persons.binary_search(&person).is_ok()
    }

    /// The same where people are asked for mostly in order: `at` is where the search goes on.
    #[inline]
    fn find(&self, person: u64, at: &mut usize) -> bool {
        if at.checked_sub(1).is_some_and(|before| self.persons[before] >= person) {
            *at = self.persons.partition_point(|member| *member < person);
        }
        while self.persons.get(*at).is_some_and(|member| *member < person) {
            *at += 1;
        }
        self.persons.get(*at) == Some(&person)
    }

    /// Which of some persons, who are in order, are none of them: their places.
    pub fn others<'a>(&'a self, persons: &'a [u64]) -> impl Iterator<Item = usize> + 'a {
        let mut at = persons
            .first()
            .map_or(0, |first| self.persons.partition_point(|member| member < first));
        (0..persons.len()).filter(move |place| !self.find(persons[*place], &mut at))
    }
}

/// A question, asked of the people of a cohort alone.
pub(crate) struct Among<'a> {
    pub inner: &'a dyn Analysis,
    pub members: Members,
}

impl Analysis for Among<'_> {
    fn scan(&self) -> &ScanPlan {
        self.inner.scan()
    }

    fn kernel(&self) -> Box<dyn Kernel> {
        let (kernel, members) = (self.inner.kernel(), self.members.clone());
        Box::new(AmongKernel { kernel, members, at: 0 })
    }

    fn presence(&self) -> Option<&dyn Presence> {
        self.inner.presence().map(|_| self as &dyn Presence)
    }

    fn answer(&self, partial: &Partial, facts: &Facts) -> Answer {
        self.inner.answer(partial, facts)
    }
}

impl Among<'_> {
    fn days(&self) -> &dyn Presence {
        self.inner.presence().expect("this is no presence where the question is none")
    }
}

impl Presence for Among<'_> {
    fn plan(&self) -> &PresencePlan {
        self.days().plan()
    }

    fn kernel(&self) -> Box<dyn DayKernel> {
        self.days().kernel()
    }

    fn only(&self) -> Option<&Members> {
        Some(&self.members)
    }
}

struct AmongKernel {
    kernel: Box<dyn Kernel>,
    members: Members,
    /// Where among the members the person before was looked for.
    at: usize,
}

impl Kernel for AmongKernel {
    fn block(&mut self, slot: usize, block: &Block, dictionaries: &Dictionaries) {
        self.kernel.block(slot, block, dictionaries);
    }

    fn person(&mut self, person: u64, spans: &[Span<'_>], dictionaries: &Dictionaries) {
        if self.members.find(person, &mut self.at) {
            self.kernel.person(person, spans, dictionaries);
        }
    }

    fn bytes(&self) -> usize {
        self.kernel.bytes()
    }

    fn finish(self: Box<Self>, dictionaries: &Dictionaries) -> Partial {
        self.kernel.finish(dictionaries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn members_are_found_in_whatever_order_people_come(
            members in prop::collection::hash_set(0u64..40, 0..30), mut asked in prop::collection::vec(0u64..42, 0..60),
        ) {
            let sorted = Members::new(members.iter().copied().collect());
            let mut at = 0;
            for person in &asked {
                prop_assert_eq!(sorted.find(*person, &mut at), members.contains(person));
                prop_assert_eq!(sorted.contain(*person), members.contains(person));
            }
            asked.sort_unstable();
            let others: Vec<usize> = sorted.others(&asked).collect();
            let plain: Vec<usize> =
                (0..asked.len()).filter(|place| !members.contains(&asked[*place])).collect();
            prop_assert_eq!(others, plain);
        }
    }
}
