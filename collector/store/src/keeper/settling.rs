//! Which weeks have got no new segment for a while.
//!
//! In: the list of segments, looked at now and then. Out: weeks that are settled and were not
//! merged since. What is worth merging in them is decided in `merge`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::catalog::SegmentId;
use crate::segment::Segment;

/// Newest segment of every week, and since when it is the newest.
#[derive(Default)]
pub(super) struct Settling {
    weeks: BTreeMap<String, Week>,
    /// The list last looked at. Weak: a list that is held keeps the files of replaced segments.
    seen: Weak<Vec<Arc<Segment>>>,
}

struct Week {
    newest: SegmentId,
    since: Instant,
    is_merged: bool,
}

impl Settling {
    /// Take note of what is there.
    pub(super) fn look(&mut self, segments: &Arc<Vec<Arc<Segment>>>) {
        let now = Arc::downgrade(segments);
        if self.seen.ptr_eq(&now) {
            return;
        }
        self.seen = now;
        let mut newest: BTreeMap<&str, SegmentId> = BTreeMap::new();
        for segment in segments.iter() {
            let meta = segment.meta();
            let of_week = newest.entry(&meta.week).or_insert(meta.id);
            *of_week = meta.id.max(*of_week);
        }
        self.weeks.retain(|week, _| newest.contains_key(week.as_str()));
        for (week, newest) in newest {
            match self.weeks.get_mut(week) {
                Some(known) if known.newest == newest => {}
                _ => {
                    let week_now = Week { newest, since: Instant::now(), is_merged: false };
                    self.weeks.insert(week.to_owned(), week_now);
                }
            }
        }
    }

    /// Weeks without a new segment for this long.
    pub(super) fn settled(&self, idle: Duration) -> BTreeSet<String> {
        let is_settled = |week: &Week| !week.is_merged && week.since.elapsed() >= idle;
        self.weeks
            .iter()
            .filter(|(_, week)| is_settled(week))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// The same, those that were merged since included: time alone may have made work in them.
    pub(super) fn idle(&self, idle: Duration) -> BTreeSet<String> {
        let is_idle = |week: &Week| week.since.elapsed() >= idle;
        self.weeks.iter().filter(|(_, week)| is_idle(week)).map(|(name, _)| name.clone()).collect()
    }

    /// Every week.
    pub(super) fn all(&self) -> BTreeSet<String> {
        self.weeks.keys().cloned().collect()
    }

    /// These weeks were merged, or it failed: look at them again when something comes.
    pub(super) fn done(&mut self, weeks: &BTreeSet<String>) {
        for name in weeks {
            if let Some(week) = self.weeks.get_mut(name) {
                week.is_merged = true;
            }
        }
    }
}
