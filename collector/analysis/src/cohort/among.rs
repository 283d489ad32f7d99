//! A question, asked of certain people: an analysis around another one.
//!
//! In: an analysis, and who is in a cohort. Out: the same analysis, whose kernel meets no others. Blocks are not
//! taken as a whole then: there may be others in them.

use std::sync::Arc;

use hashbrown::HashSet;

use crate::answer::{Answer, Facts};
use crate::columns::{Block, Span};
use crate::events::{Dictionaries, ScanPlan};
use crate::kernel::{Analysis, Kernel, Partial};

/// The people of a cohort.
#[derive(Debug, Clone)]
pub struct Members(pub(super) Arc<HashSet<u64>>);

impl Members {
    /// Those of them who are also among others.
    pub(crate) fn of(&self, others: &Self) -> Self {
        Self(Arc::new(self.0.intersection(&others.0).copied().collect()))
    }

    /// Whether somebody is one of them.
    pub(crate) fn contain(&self, person: u64) -> bool {
        self.0.contains(&person)
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
        Box::new(AmongKernel { kernel, members })
    }

    fn answer(&self, partial: &Partial, facts: &Facts) -> Answer {
        self.inner.answer(partial, facts)
    }
}

struct AmongKernel {
    kernel: Box<dyn Kernel>,
    members: Members,
}

impl Kernel for AmongKernel {
    fn block(&mut self, slot: usize, block: &Block, dictionaries: &Dictionaries) {
        self.kernel.block(slot, block, dictionaries);
    }

    fn person(&mut self, person: u64, spans: &[Span<'_>], dictionaries: &Dictionaries) {
        if self.members.contain(person) {
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
