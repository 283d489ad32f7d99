//! How long events are kept.
//!
//! In: the rules of each project, asked for when files are written. Out: whether a row is too old to be
//! kept. An event is kept for so many days of 24 hours after it *happened*: it is too old when that is
//! longer ago, to the millisecond. Its name may have a rule of its own, shorter or longer.
//!
//! Until a flush, a merge or a rewrite takes them out, rows that are too old are in answers. What is
//! taken out is counted (`UsageKind::Expired`, `StoreStats::expired`).
//!
//! Deliberately elsewhere: when files are written again for it (`keeper::expire`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::columns::Coded;

const DAY_MS: i64 = 86_400_000;

/// How long a project's events are kept: days after they happened, `None` for ever.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keep {
    /// Events that have no rule of their own.
    pub days: Option<u32>,
    /// Events of these names.
    pub events: BTreeMap<String, Option<u32>>,
}

/// Tells how long a project's events are kept. The default keeps all.
#[derive(Clone, Default)]
pub struct Retention(Option<Rules>);

type Rules = Arc<dyn Fn(u32) -> Keep + Send + Sync>;

impl Retention {
    /// Ask this for a project's rules. Called from any thread; must not block.
    pub fn new(rules: impl Fn(u32) -> Keep + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(rules)))
    }

    /// The rules of a project at a moment; `None` when everything is kept.
    pub(crate) fn cuts(&self, project: u32, now_ms: i64) -> Option<Cuts> {
        let Keep { days, events } = self.0.as_ref()?(project);
        let cut = |days: Option<u32>| {
            days.map_or(i64::MIN, |days| now_ms.saturating_sub(i64::from(days) * DAY_MS))
        };
        let cuts = Cuts {
            otherwise_ms: cut(days),
            events: events.into_iter().map(|(name, days)| (name, cut(days))).collect(),
        };
        (cuts.latest_ms() > i64::MIN).then_some(cuts)
    }
}

impl fmt::Debug for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retention").finish_non_exhaustive()
    }
}

/// The rules of a project at one moment: events from before these times are too old.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cuts {
    otherwise_ms: i64,
    events: BTreeMap<String, i64>,
}

impl Cuts {
    /// Events of a name from before this are too old.
    pub(crate) fn of(&self, event: &str) -> i64 {
        self.events.get(event).copied().unwrap_or(self.otherwise_ms)
    }

    /// No event of this time or later is too old.
    pub(crate) fn latest_ms(&self) -> i64 {
        self.events.values().copied().fold(self.otherwise_ms, i64::max)
    }

    /// Every event from before this is too old.
    pub(crate) fn earliest_ms(&self) -> i64 {
        self.events.values().copied().fold(self.otherwise_ms, i64::min)
    }

    /// By code of an event column.
    pub(crate) fn by_code(&self, events: &Coded) -> Vec<i64> {
        let absent = std::iter::once(self.otherwise_ms);
        absent.chain(events.values.iter().map(|name| self.of(name))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn keep(days: Option<u32>, events: &[(&str, Option<u32>)]) -> Keep {
        Keep {
            days,
            events: events.iter().map(|(name, days)| ((*name).to_owned(), *days)).collect(),
        }
    }

    #[rstest]
    #[case::shorter_for_a_name(keep(Some(10), &[("seen", Some(1))]), "seen", -DAY_MS)]
    #[case::others_by_the_project(keep(Some(10), &[("seen", Some(1))]), "paid", -10 * DAY_MS)]
    #[case::longer_for_a_name(keep(Some(10), &[("paid", None)]), "paid", i64::MIN)]
    #[case::only_a_name(keep(None, &[("seen", Some(0))]), "seen", 0)]
    #[case::not_the_others(keep(None, &[("seen", Some(0))]), "paid", i64::MIN)]
    fn an_event_is_too_old_before(#[case] keep: Keep, #[case] event: &str, #[case] want: i64) {
        let cuts = Retention::new(move |_| keep.clone()).cuts(1, 0).unwrap();
        assert_eq!(cuts.of(event), want);
        assert!(cuts.earliest_ms() <= want && want <= cuts.latest_ms());
    }

    #[test]
    fn without_a_rule_nothing_is_too_old() {
        assert_eq!(Retention::default().cuts(1, i64::MAX), None);
        let for_ever = Retention::new(|_| keep(None, &[("paid", None)]));
        assert_eq!(for_ever.cuts(1, i64::MAX), None);
    }
}
