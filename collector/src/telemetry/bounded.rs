//! Counters by labels that come from outside, bounded in number.
//!
//! The first label sets get a series each; later ones share one whose labels are all `other`, and are counted.
//! So nobody can make a scrape longer than it may be, and no count is lost.

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Series of one family: four of them with their labels stay far below a megabyte.
pub const SERIES_MAX: usize = 400;

/// What stands for label sets beyond the bound.
pub const OTHER: &str = "other";

/// Labels with a set that stands for all others.
pub trait Labels: EncodeLabelSet + Clone + Debug + Eq + Hash + Send + Sync + 'static {
    /// The set that stands for those beyond the bound.
    fn other() -> Self;
}

/// The counters.
#[derive(Debug)]
pub struct Bounded<L: Labels> {
    family: Family<L, Counter>,
    known: Mutex<HashSet<L>>,
    folded: Counter,
}

impl<L: Labels> Bounded<L> {
    /// None yet; `folded` counts what finds no series of its own.
    pub fn new(folded: &Counter) -> Self {
        Self { family: Family::default(), known: Mutex::default(), folded: folded.clone() }
    }

    /// Name them.
    pub fn register(&self, registry: &mut Registry, name: &str, help: &str) {
        registry.register(name, help, self.family.clone());
    }

    /// The counter of these labels.
    pub fn of(&self, labels: L) -> Counter {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room =
            known.contains(&labels) || known.len() < SERIES_MAX && known.insert(labels.clone());
        drop(known);
        if has_room {
            return self.family.get_or_create(&labels).clone();
        }
        self.folded.inc();
        self.family.get_or_create(&L::other()).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
    struct Name {
        name: String,
    }

    impl Labels for Name {
        fn other() -> Self {
            Self { name: OTHER.to_owned() }
        }
    }

    #[test]
    fn label_sets_beyond_the_bound_share_one_series_and_lose_no_count() {
        let folded = Counter::default();
        let counters = Bounded::<Name>::new(&folded);
        for n in 0..2 * SERIES_MAX {
            counters.of(Name { name: n.to_string() }).inc();
        }
        counters.of(Name { name: "0".to_owned() }).inc();
        let other = counters.family.get_or_create(&Name::other()).get();
        assert_eq!((other, folded.get()), (SERIES_MAX as u64, SERIES_MAX as u64));
        assert_eq!(counters.family.get_or_create(&Name { name: "0".to_owned() }).get(), 2);
        let mut registry = Registry::default();
        counters.register(&mut registry, "c", "c");
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert_eq!(text.lines().filter(|line| line.starts_with("c_total")).count(), SERIES_MAX + 1);
    }
}
