//! Presence: on which local days somebody did something, which is all that some questions need.
//!
//! In: a [`PresencePlan`] (local days and sets of events). Out: the days of many persons at once
//! ([`DayBlock`]), as bits, for a [`DayKernel`] to count.
//!
//! A store that keeps presence beside its rows fills blocks from it; any other way to the rows goes
//! through [`RowDays`], which finds the same bits in a person's run and hands them to the same
//! kernel. So the two forms cannot count differently.
//!
//! Bits of a person: bit 0 says "at some time before the first day", bit `1 + d` "on day `d`", and
//! the bit after the last day "at some time after it".
//!
//! Deliberately elsewhere: files and merging (the store), what the bits mean (each analysis).

use std::sync::Arc;

use crate::cohort::Members;
use crate::events::EventSet;
use crate::kernel::Partial;
use crate::time_bucket::Buckets;

pub mod answer;
pub(crate) mod bits;
mod buckets;
mod rows;

pub(crate) use buckets::Bucketer;
pub(crate) use rows::{RowDays, RowSets};

/// The property that says whose id a row's person is: `user`, `device` or `day`.
pub const IDENTITY: &str = "identity";
/// Its value for an id that is made anew every day.
pub const IDENTITY_DAY: &str = "day";

/// Events that happen without the person doing anything: they make nobody active.
pub const PASSIVE: &[&str] = &[
    "$heartbeat",
    "heartbeat",
    "$exposure",
    "experiment_exposure",
    "$delivery",
    "$error",
    "error",
    "usage_recorded",
];

/// The events that make a person active: an event that is named counts, whatever it is.
pub fn active_events<'a>(named: impl Iterator<Item = &'a str> + Clone) -> EventSet {
    let is_named = |passive: &str| named.clone().any(|name| name == passive);
    let passive = PASSIVE.iter().filter(|passive| !is_named(passive));
    EventSet::Except(passive.map(|name| (*name).into()).collect())
}

/// Which days of whom.
#[derive(Debug, Clone)]
pub struct PresencePlan {
    /// Name of the time zone of the days.
    pub tz: String,
    /// The days, one after the other.
    pub days: Arc<Buckets>,
    /// End of interest, Unix milliseconds, excluded: inside the last day, or `i64::MAX` when the
    /// time after it is of interest too.
    pub to_ms: i64,
    /// Whether the time before the first day is of interest.
    pub before: bool,
    /// Each gives a row of bits per person.
    pub sets: Vec<EventSet>,
}

impl PresencePlan {
    /// Bits of a person.
    pub fn bits(&self) -> usize {
        self.days.len() + 2
    }

    /// Words that hold them.
    pub fn words(&self) -> usize {
        self.bits().div_ceil(64)
    }
}

/// The days of many persons. Who they are does not matter; persons without any bit may be among them.
#[derive(Debug, Clone, Copy)]
pub struct DayBlock<'a> {
    /// Words per person.
    pub words: usize,
    /// One per set of the plan: the words of one person after the other.
    pub sets: &'a [&'a [u64]],
    /// The same for what they did under an id that changes daily; empty where nobody has one.
    pub daily: &'a [&'a [u64]],
}

/// An analysis that presence can answer.
pub trait Presence: Send + Sync {
    /// What the kernel needs to see.
    fn plan(&self) -> &PresencePlan;
    /// A fresh kernel for one thread.
    fn kernel(&self) -> Box<dyn DayKernel>;
    /// Whose days count; everybody's where it does not say.
    fn only(&self) -> Option<&Members> {
        None
    }
}

/// Counts over one thread's persons.
pub trait DayKernel: Send {
    /// The days of some persons, all of them; called once per person.
    fn days(&mut self, block: &DayBlock<'_>);
    /// The partial table; it merges with that of any other kernel of the analysis, of either form.
    fn finish(self: Box<Self>) -> Partial;
}
