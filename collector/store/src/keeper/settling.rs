//! Which weeks have got no new segment for a while.
//!
//! In: the list of segments, looked at now and then. Out: weeks that are settled and were not
//! merged since. What is worth merging in them is decided in `merge`.
//!
//! When a segment was written is not known after a start; then the last receipt in a week counts, so
//! that a collector which is often restarted merges all the same.

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
    seen: Option<Weak<Vec<Arc<Segment>>>>,
}

struct Week {
    newest: SegmentId,
    since: Instant,
    /// How long it had been the newest before.
    before: Duration,
    is_merged: bool,
}

impl Week {
    fn is_idle(&self, idle: Duration) -> bool {
        self.before + self.since.elapsed() >= idle
    }
}

impl Settling {
    /// Take note of what is there.
    pub(super) fn look(&mut self, segments: &Arc<Vec<Arc<Segment>>>, now_ms: i64) {
        let now = Arc::downgrade(segments);
        if self.seen.as_ref().is_some_and(|seen| seen.ptr_eq(&now)) {
            return;
        }
        let is_start = self.seen.replace(now).is_none();
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
                    let before =
                        if is_start { quiet(segments, week, now_ms) } else { Duration::ZERO };
                    let week_now = Week { newest, since: Instant::now(), before, is_merged: false };
                    self.weeks.insert(week.to_owned(), week_now);
                }
            }
        }
    }

    /// Weeks without a new segment for this long.
    pub(super) fn settled(&self, idle: Duration) -> BTreeSet<String> {
        let is_settled = |week: &Week| !week.is_merged && week.is_idle(idle);
        self.weeks
            .iter()
            .filter(|(_, week)| is_settled(week))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// The same, those that were merged since included: time alone may have made work in them.
    pub(super) fn idle(&self, idle: Duration) -> BTreeSet<String> {
        let idle = self.weeks.iter().filter(|(_, week)| week.is_idle(idle));
        idle.map(|(name, _)| name.clone()).collect()
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

/// How long ago the last row of a week was received.
fn quiet(segments: &[Arc<Segment>], week: &str, now_ms: i64) -> Duration {
    let of_week = segments.iter().filter(|segment| segment.meta().week == week);
    let last_ms = of_week.map(|segment| segment.received_max_ms()).max().unwrap_or(i64::MAX);
    Duration::from_millis(u64::try_from(now_ms.saturating_sub(last_ms)).unwrap_or(0))
}
