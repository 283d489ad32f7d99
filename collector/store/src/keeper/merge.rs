//! Many small segments to few larger ones.
//!
//! While a week grows, size-tiered: when it has `merge_fan_in` segments of one level, they become
//! one segment of the next level, so a row is rewritten once per level. When it has settled, whatever
//! is worth a rewrite: the smallest segments, as long as the largest of them is not much larger than
//! the others together. So a few late events never rewrite a whole week. When a month is over for
//! `month_after_days`, its weeks are merged in the same way into segments of the month.
//!
//! A long merge makes room for shorter ones: between two batches it merges the tiers of lower levels
//! that became full since it began. So segments do not pile up while a large one is written.
//!
//! Ids go with the merge that finds all its rows received more than `dedupe_days` ago; segments with
//! ids that are still needed and segments without are never merged with each other.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ordered::{Cursor, damaged};
use super::rewrite::{Dropped, Rewrite, expired_usage};
use super::write::Output;
use super::{Keeper, Urgent};
use crate::TRACE;
use crate::catalog::{CatalogChange, SegmentId};
use crate::error::FlushError;
use crate::segment::{PromotedKind, Segment, SegmentBatches, promote};
use crate::week;

/// A segment joins smaller ones when it is at most this many times as large as they are together:
/// then a row is rewritten a number of times that grows with the logarithm of the week.
const LARGEST_TO_REST: u64 = 4;
/// Inputs of one merge, at most: each holds a batch of rows in memory.
const INPUTS_MAX: usize = 16;
/// Rows of one file, at most.
const ROWS_MAX: u64 = 64 << 20;
const DAY_MS: i64 = 86_400_000;

/// What to merge into what.
pub(super) struct Plan {
    pub inputs: Vec<Arc<Segment>>,
    pub week: String,
}

impl Plan {
    fn level(&self) -> u8 {
        self.inputs.iter().map(|segment| segment.meta().level).max().unwrap_or(0)
    }
}

impl Keeper {
    /// Merge until no week has too many segments of one level, and no settled week has segments that
    /// are worth a rewrite.
    pub(crate) fn merge_all(
        &self,
        settled: &BTreeSet<String>,
        urgent: Option<&Urgent>,
    ) -> Result<(), FlushError> {
        loop {
            self.make_room(u8::MAX, &BTreeSet::new(), urgent)?;
            let Some(plan) = self.next_merge(settled) else { return Ok(()) };
            self.merge_and_make_room(&plan, &BTreeSet::new(), urgent)?;
        }
    }

    /// Have tiers merged at once that are twice as full as they may be, if somebody is there to do it.
    fn make_room(
        &self,
        level: u8,
        taken: &BTreeSet<SegmentId>,
        urgent: Option<&Urgent>,
    ) -> Result<(), FlushError> {
        let too_many = 2 * self.fan_in();
        match urgent.filter(|_| self.full_below(level, taken, too_many).is_some()) {
            Some(urgent) => urgent.merge_below(level, taken),
            None => Ok(()),
        }
    }

    fn fan_in(&self) -> usize {
        self.shared.options.merge_fan_in.max(2)
    }

    /// Merge until no tier below a level is full, but for segments that a merge under way has taken.
    pub(super) fn merge_below(
        &self,
        level: u8,
        taken: &BTreeSet<SegmentId>,
    ) -> Result<(), FlushError> {
        while let Some(plan) = self.full_below(level, taken, self.fan_in()) {
            self.merge_and_make_room(&plan, taken, None)?;
        }
        Ok(())
    }

    /// A tier with so many segments.
    fn full_below(&self, level: u8, taken: &BTreeSet<SegmentId>, count: usize) -> Option<Plan> {
        let segments = self.segments()?;
        let now_ms = (self.shared.options.now_ms)();
        let free = segments
            .iter()
            .filter(|segment| segment.meta().level < level && !taken.contains(&segment.meta().id));
        let (shed, needed): (Vec<_>, Vec<_>) =
            free.partition(|segment| self.sheds_ids(segment, now_ms));
        [shed, needed].iter().find_map(|class| {
            by_week(class).into_iter().find_map(|(week, segments)| {
                let inputs = self.full_tier(&segments, count)?;
                Some(Plan { inputs, week: week.to_owned() })
            })
        })
    }

    /// All segments, unless the store closes.
    fn segments(&self) -> Option<Vec<Arc<Segment>>> {
        let live = self.shared.live();
        (!live.closing).then(|| live.segments.to_vec())
    }

    fn next_merge(&self, settled: &BTreeSet<String>) -> Option<Plan> {
        let segments = self.segments()?;
        let options = &self.shared.options;
        let now_ms = (options.now_ms)();
        let month_end_ms = now_ms.saturating_sub(i64::from(options.month_after_days) * DAY_MS);
        let mut months: BTreeMap<String, Vec<&Arc<Segment>>> = BTreeMap::new();
        for segment in &segments {
            months.entry(week::month(segment.meta().ts_min_ms)).or_default().push(segment);
        }
        for (month, segments) in months {
            let newest_ms = segments.iter().map(|segment| segment.meta().ts_max_ms).max();
            let is_over = newest_ms.is_some_and(|newest_ms| newest_ms < month_end_ms);
            let are_settled = |segment: &&Arc<Segment>| {
                let week = &segment.meta().week;
                settled.contains(week) || *week == month
            };
            let (shed, needed): (Vec<_>, Vec<_>) =
                segments.iter().copied().partition(|segment| self.sheds_ids(segment, now_ms));
            for class in [shed, needed] {
                let chosen = if is_over && class.iter().all(are_settled) {
                    let chosen =
                        worth_merging(&class).or_else(|| with_ids_to_shed(&class, now_ms, self));
                    chosen.map(|inputs| (inputs, month.clone()))
                } else {
                    self.of_one_week(&class, settled)
                };
                if let Some((inputs, week)) = chosen {
                    return Some(Plan { inputs, week });
                }
            }
        }
        None
    }

    /// A full tier of a week, or what is worth a rewrite in a settled one.
    fn of_one_week(
        &self,
        segments: &[&Arc<Segment>],
        settled: &BTreeSet<String>,
    ) -> Option<(Vec<Arc<Segment>>, String)> {
        by_week(segments).into_iter().find_map(|(week, segments)| {
            let worth = || settled.contains(week).then(|| worth_merging(&segments)).flatten();
            let inputs = self.full_tier(&segments, self.fan_in()).or_else(worth)?;
            Some((inputs, week.to_owned()))
        })
    }

    /// As many segments of one level as are merged, among those of one week, where there are so many.
    fn full_tier(&self, segments: &[&Arc<Segment>], count: usize) -> Option<Vec<Arc<Segment>>> {
        let mut tiers: BTreeMap<u8, Vec<Arc<Segment>>> = BTreeMap::new();
        for segment in segments {
            tiers.entry(segment.meta().level).or_default().push(Arc::clone(segment));
        }
        let mut tier = tiers.into_values().find(|tier| tier.len() >= count)?;
        tier.truncate(INPUTS_MAX.max(self.fan_in()));
        Some(tier)
    }

    /// Whether nobody needs the ids of a segment any more, or they are gone.
    fn sheds_ids(&self, segment: &Segment, now_ms: i64) -> bool {
        let window_ms = i64::from(self.shared.options.dedupe_days) * DAY_MS;
        !segment.meta().has_ids || segment.received_max_ms() < now_ms.saturating_sub(window_ms)
    }

    /// Merge, and what becomes full meanwhile, while others, which have taken these segments, are under way.
    ///
    /// Only for plans that are made anew after each merge: this one may change any segment that is not taken.
    fn merge_and_make_room(
        &self,
        plan: &Plan,
        taken: &BTreeSet<SegmentId>,
        urgent: Option<&Urgent>,
    ) -> Result<(), FlushError> {
        let ids = plan.inputs.iter().map(|segment| segment.meta().id);
        let taken: BTreeSet<SegmentId> = taken.iter().copied().chain(ids).collect();
        // One that fails is tried again, and told of, when this merge is done.
        let has_failed = Cell::new(false);
        self.merge_with(plan, &|| {
            self.folders.disk.reached("merge: between batches");
            self.give_way()?;
            if !has_failed.get() {
                // Of its own level, too: it takes a long time to write what it has taken.
                let made = self.make_room(plan.level().saturating_add(1), &taken, urgent);
                has_failed.set(made.and_then(|()| self.merge_below(plan.level(), &taken)).is_err());
            }
            Ok(())
        })
    }

    pub(super) fn merge(&self, plan: &Plan) -> Result<(), FlushError> {
        self.merge_with(plan, &|| self.give_way())
    }

    /// Merge; `each` is called between batches.
    fn merge_with(
        &self,
        plan: &Plan,
        each: &dyn Fn() -> Result<(), FlushError>,
    ) -> Result<(), FlushError> {
        let Plan { inputs, week } = plan;
        let level = plan.level();
        let mut counts: BTreeMap<&str, [u64; 4]> = BTreeMap::new();
        for (key, of_input) in inputs.iter().flat_map(|segment| segment.keys()) {
            let sums = counts.entry(key).or_default();
            sums.iter_mut().zip(of_input).for_each(|(sum, n)| *sum += n);
        }
        let rows = inputs.iter().map(|segment| segment.meta().rows).sum();
        let _span = tracing::info_span!(target: TRACE, "merge", merge.segments = inputs.len(), merge.rows = rows, merge.level = level)
            .entered();
        let promoted = promote(counts.into_iter(), rows);
        let now_ms = (self.shared.options.now_ms)();
        // After the inputs: none of them knows more about people than this.
        let (apart, link_epoch) = self.shared.live().settled.clone();
        let rewrite = Rewrite::new(apart, &self.shared.options);
        let aside = self.aside(inputs, &promoted, &rewrite)?;
        let in_place = inputs.iter().map(|input| Cursor::of_segment(SegmentBatches::all(input)));
        let output = Output {
            week,
            // Written again alone, it is no larger than it was.
            level: if inputs.len() > 1 { level.saturating_add(1) } else { level },
            promoted,
            has_ids: !inputs.iter().all(|input| self.sheds_ids(input, now_ms)),
            link_epoch,
            watch: None,
            encoders: 0,
        };
        let cursors = in_place.chain(aside).collect();
        let meta = self.write_segment(output, cursors, &rewrite, each)?;
        let files: Vec<String> = inputs.iter().map(|segment| segment.meta().path()).collect();
        let Dropped { erased, expired } = rewrite.into_dropped();
        let change = CatalogChange {
            add: meta.into_iter().collect(),
            remove: inputs.iter().map(|segment| segment.meta().id).collect::<Vec<SegmentId>>(),
            usage: expired_usage(&expired, now_ms),
            ..CatalogChange::default()
        };
        self.commit_without(change, &files, &erased, |_| ())?;
        self.count_expired(expired.values().sum());
        self.count(|counters| &counters.merges);
        Ok(())
    }

    /// The rows of segments that get another person.
    fn aside(
        &self,
        inputs: &[Arc<Segment>],
        promoted: &[(String, PromotedKind)],
        rewrite: &Rewrite,
    ) -> Result<Vec<Cursor>, FlushError> {
        let mut aside = self.rows_aside(rewrite, promoted);
        for input in inputs {
            let mut groups = BTreeSet::new();
            for (project, apart) in rewrite.apart().projects() {
                groups.extend(input.groups_with(project, &apart.skip).map_err(damaged)?);
            }
            let mut batches = SegmentBatches::open(input, groups.into_iter().collect());
            while let Some(columns) = batches.next_batch().map_err(damaged)? {
                aside.take(&columns)?;
            }
        }
        Ok(aside.finish())
    }
}

fn by_week<'a>(segments: &[&'a Arc<Segment>]) -> BTreeMap<&'a str, Vec<&'a Arc<Segment>>> {
    let mut weeks: BTreeMap<&str, Vec<&Arc<Segment>>> = BTreeMap::new();
    for segment in segments {
        weeks.entry(&segment.meta().week).or_default().push(segment);
    }
    weeks
}

/// The smallest of these segments, if they are worth one rewrite; in the order of their numbers, so
/// that rows with equal keys keep theirs.
fn worth_merging(segments: &[&Arc<Segment>]) -> Option<Vec<Arc<Segment>>> {
    let mut by_size: Vec<&Arc<Segment>> = segments.to_vec();
    by_size.sort_by_key(|segment| segment.meta().rows);
    let rows: Vec<u64> = by_size.iter().map(|segment| segment.meta().rows).collect();
    let mut chosen: Vec<_> = by_size.into_iter().take(worth_a_rewrite(&rows)).cloned().collect();
    chosen.sort_by_key(|segment| segment.meta().id);
    (chosen.len() >= 2).then_some(chosen)
}

/// One segment whose ids are the only reason to write it again.
fn with_ids_to_shed(
    segments: &[&Arc<Segment>],
    now_ms: i64,
    keeper: &Keeper,
) -> Option<Vec<Arc<Segment>>> {
    let has_some =
        |segment: &&&Arc<Segment>| segment.meta().has_ids && keeper.sheds_ids(segment, now_ms);
    segments.iter().find(has_some).map(|segment| vec![Arc::clone(segment)])
}

/// How many segments, of sizes in rising order, are worth one rewrite: 0 or at least 2.
fn worth_a_rewrite(rows: &[u64]) -> usize {
    let fits = |&count: &usize| {
        let (rest, largest) = rows[..count].split_at(count - 1);
        let rest: u64 = rest.iter().sum();
        largest[0] <= LARGEST_TO_REST.saturating_mul(rest) && rest + largest[0] <= ROWS_MAX
    };
    (2..=rows.len().min(INPUTS_MAX)).rev().find(fits).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::{IN_A_MERGE, Random, Source, World};
    use rstest::rstest;
    use std::sync::{Mutex, PoisonError};

    #[rstest]
    #[case::nothing(&[], 0)]
    #[case::one(&[10], 0)]
    #[case::equal_ones(&[10, 10, 10], 3)]
    #[case::as_large_as_allowed(&[10, 40], 2)]
    #[case::one_row_too_large(&[10, 41], 0)]
    #[case::late_events_leave_the_week_alone(&[1, 2, 1_000], 2)]
    #[case::more_than_a_file_holds(&[40 << 20, 40 << 20], 0)]
    #[case::a_small_one_goes_with_two_large_ones(&[1, 1_000, 1_000], 3)]
    fn segments_of_a_settled_week(#[case] rows: &[u64], #[case] want: usize) {
        assert_eq!(worth_a_rewrite(rows), want);
    }

    #[test]
    fn a_long_merge_merges_what_becomes_full_while_it_goes_on() {
        let mut random = Random::new(1);
        let source = Source::default();
        let mut rows = move || source.rows_of_a_week(&mut random);
        let world = World::new();
        let mut flushed = |count| {
            for _ in 0..count {
                world.append(rows()).unwrap();
                world.flush().unwrap();
            }
        };
        flushed(2);
        world.merge(false).unwrap();
        flushed(1);
        let seen: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let noted = Arc::clone(&seen);
        world.at_points(move |point, append, keeper| {
            if point != IN_A_MERGE {
                return;
            }
            let levels = keeper.levels();
            if levels.len() < 4 && !levels.contains(&2) {
                append(rows());
                keeper.flush().unwrap();
            }
            noted.lock().unwrap_or_else(PoisonError::into_inner).push(levels);
        });
        world.merge(true).unwrap();
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        // Both that the long one takes are still there, and two that were flushed are one.
        assert!(seen.contains(&vec![0, 1, 1]), "{seen:?}");
        world.check();
    }
}
