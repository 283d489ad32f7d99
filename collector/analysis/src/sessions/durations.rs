//! The exact median of many durations in little memory.
//!
//! In: durations, one by one. Out: a [`Histogram`], which tells in which [`Zone`] the median lies; a [`Listed`] list
//! of what its bins do not say exactly, where that is not too much; then, where a list was too long, from a second
//! scan, what lies in the zone.
//!
//! A histogram has sixteen bins for every doubling, so a zone holds a few hundredths of the durations,
//! and bins of one value for what is short: the many sessions of a single event cost no second scan and no
//! place in a list.

use std::ops::Range;

use crate::kernel::{Key, Partial};

/// Bins for each doubling, as a power of two; durations below are bins of their own.
const FINE: u32 = 4;
/// Durations below have a bin each, whose number they are.
const EXACT: usize = 2 << FINE;
/// Durations at and above 2^32 ms, 49 days, share the last bin.
const BINS: usize = ((32 - FINE as usize) + 1) << FINE;

/// Key of histograms: `(HISTOGRAM, bucket)` → sessions by bin.
pub(super) const HISTOGRAM: i64 = 3;

/// Key of lists: `(LIST, bucket)` → the durations of sessions, from [`EXACT`] on.
pub(super) const LIST: i64 = 5;

/// Durations that one thread lists. Tests go both ways with few events.
const LISTED_MAX: usize = if cfg!(test) { 20 } else { 4_000_000 };

/// The durations from [`EXACT`] on by bucket, as long as they are few enough to be held.
#[derive(Debug)]
pub(super) struct Listed {
    buckets: Vec<Vec<u32>>,
    /// How many more may come; `None` when there were too many, or one that is too long.
    room: Option<usize>,
}

impl Listed {
    pub(super) fn new(buckets: usize) -> Self {
        Self { buckets: vec![Vec::new(); buckets], room: Some(LISTED_MAX) }
    }

    pub(super) fn add(&mut self, bucket: usize, duration_ms: u64) {
        let Some(room) = self.room.filter(|_| duration_ms >= EXACT as u64) else { return };
        match (u32::try_from(duration_ms), room.checked_sub(1)) {
            (Ok(duration_ms), Some(room)) => {
                self.buckets[bucket].push(duration_ms);
                self.room = Some(room);
            }
            _ => *self = Self { buckets: Vec::new(), room: None },
        }
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.buckets.iter().map(|bucket| bucket.capacity() * size_of::<u32>()).sum()
    }

    /// The durations of each bucket.
    pub(super) fn bags(self) -> impl Iterator<Item = Vec<f64>> {
        self.buckets.into_iter().map(|bucket| bucket.into_iter().map(f64::from).collect())
    }
}

/// Whether the lists of these buckets hold every duration that was counted and has no bin to itself.
pub(super) fn is_all_listed(partial: &Partial, buckets: usize) -> bool {
    (0..buckets).all(|bucket| {
        let longer = counts(partial, bucket).get(EXACT..).unwrap_or_default();
        listed(partial, bucket).len() as u64 == total(longer)
    })
}

fn listed(partial: &Partial, bucket: usize) -> &[f64] {
    partial.bags.get(&[Key::Int(LIST), bucket.into()][..]).map_or(&[], Vec::as_slice)
}

/// The median of these buckets together, all of which is listed.
pub(super) fn median_of_lists(partial: &Partial, buckets: Range<usize>) -> Option<f64> {
    let mut exact = [0.0; EXACT];
    for bucket in buckets.clone() {
        let more = exact.iter_mut().zip(counts(partial, bucket));
        more.for_each(|(count, more)| *count += more);
    }
    let lists = || buckets.clone().map(|bucket| listed(partial, bucket));
    let short = total(&exact);
    let long: usize = lists().map(<[f64]>::len).sum();
    let [below, above] = middle(short + long as u64)?;
    let of_bin = |rank| bin_of(&exact, rank) as f64;
    let Some(among_long) = above.checked_sub(short) else {
        return Some((of_bin(below) + of_bin(above)) / 2.0);
    };
    let mut long: Vec<f64> = lists().flatten().copied().collect();
    let (shorter, upper, _) = long.select_nth_unstable_by(among_long as usize, f64::total_cmp);
    let upper = *upper;
    let lower = match below {
        _ if below == above => upper,
        _ if below < short => of_bin(below),
        _ => shorter.iter().copied().max_by(f64::total_cmp).unwrap_or(upper),
    };
    Some((lower + upper) / 2.0)
}

/// Durations by bin.
#[derive(Debug, Clone, Default)]
pub(super) struct Histogram(Vec<u32>);

impl Histogram {
    pub(super) fn add(&mut self, duration_ms: u64) {
        if self.0.is_empty() {
            self.0 = vec![0; BINS];
        }
        self.0[bin(duration_ms)] += 1;
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&self.0[..])
    }

    /// The additive columns, none for an empty histogram.
    pub(super) fn columns(&self) -> Vec<f64> {
        self.0.iter().map(|count| f64::from(*count)).collect()
    }
}

fn bin(duration_ms: u64) -> usize {
    let duration = duration_ms.min(u64::from(u32::MAX));
    let doublings = (u64::BITS - (duration >> FINE).leading_zeros()).saturating_sub(1);
    ((doublings as usize) << FINE) + (duration >> doublings) as usize
}

/// The durations of a bin.
fn durations(bin: usize) -> Range<u64> {
    let doublings = (bin >> FINE).saturating_sub(1);
    let first = ((bin - (doublings << FINE)) as u64) << doublings;
    first..first + (1 << doublings)
}

/// Where the one or two middle durations lie.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Zone {
    from_ms: u64,
    to_ms: u64,
}

impl Zone {
    /// Of a bucket's durations.
    pub(super) fn of_median(partial: &Partial, bucket: usize) -> Self {
        let counts = counts(partial, bucket);
        let Some([below, above]) = middle(total(counts)) else { return Self::default() };
        let (from, to) = (durations(bin_of(counts, below)), durations(bin_of(counts, above)));
        Self { from_ms: from.start, to_ms: to.end }
    }

    /// Whether the histogram says it all.
    pub(super) fn is_known(self) -> bool {
        self.to_ms - self.from_ms <= 1
    }

    /// Whether the second scan takes this duration.
    pub(super) fn holds(self, duration_ms: u64) -> bool {
        !self.is_known() && (self.from_ms..self.to_ms).contains(&duration_ms)
    }
}

/// The median of a bucket. `zone` is what the second scan took; none where the first was enough.
pub(super) fn median(partial: &Partial, bucket: usize, zone: Option<Zone>) -> Option<f64> {
    let counts = counts(partial, bucket);
    let [below, above] = middle(total(counts))?;
    let zone = zone.unwrap_or_else(|| Zone::of_median(partial, bucket));
    if zone.is_known() {
        return Some(zone.from_ms as f64);
    }
    let key = [Key::Int(HISTOGRAM), bucket.into()];
    let mut inside = partial.bags.get(&key[..]).cloned().unwrap_or_default();
    inside.sort_unstable_by(f64::total_cmp);
    let shorter: u64 = (0..)
        .zip(counts)
        .take_while(|(bin, _)| durations(*bin).end <= zone.from_ms)
        .map(|(_, count)| *count as u64)
        .sum();
    let value = |rank: u64| inside.get((rank - shorter) as usize).copied();
    Some((value(below)? + value(above)?) / 2.0)
}

fn counts(partial: &Partial, bucket: usize) -> &[f64] {
    partial.rows.get(&[Key::Int(HISTOGRAM), bucket.into()][..]).map_or(&[], Vec::as_slice)
}

fn total(counts: &[f64]) -> u64 {
    counts.iter().map(|count| *count as u64).sum()
}

/// The ranks of the middle one, twice, or of the middle two.
fn middle(total: u64) -> Option<[u64; 2]> {
    Some([total.checked_sub(1)? / 2, total / 2])
}

/// The bin of the duration of this rank.
fn bin_of(counts: &[f64], rank: u64) -> usize {
    let mut up_to = 0;
    let is_reached = |count: &f64| {
        up_to += *count as u64;
        up_to > rank
    };
    counts.iter().position(is_reached).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_duration_is_in_the_range_of_its_bin(duration in 0u64..u64::from(u32::MAX), shift in 0u32..32) {
            let duration = duration >> shift;
            prop_assert!(durations(bin(duration)).contains(&duration));
            prop_assert!(bin(duration) < BINS);
        }
    }

    proptest! {
        #[test]
        fn the_median_of_lists_is_the_middle_of_all_durations(
            buckets in prop::collection::vec(prop::collection::vec(0u64..40, 0..9), 1..4),
        ) {
            let mut partial = Partial::default();
            let mut listed = Listed::new(buckets.len());
            for (at, durations) in buckets.iter().enumerate() {
                let mut histogram = Histogram::default();
                for duration in durations {
                    histogram.add(*duration);
                    listed.add(at, *duration);
                }
                partial.add(vec![Key::Int(HISTOGRAM), at.into()], &histogram.columns());
            }
            let is_whole = buckets.concat().iter().filter(|duration| **duration >= 32).count() <= LISTED_MAX;
            for (at, durations) in listed.bags().enumerate() {
                partial.put(vec![Key::Int(LIST), at.into()], durations);
            }
            prop_assert!(!is_whole || is_all_listed(&partial, buckets.len()));
            let mut all = buckets.concat();
            all.sort_unstable();
            let plain = (!all.is_empty())
                .then(|| (all[(all.len() - 1) / 2] + all[all.len() / 2]) as f64 / 2.0);
            if is_whole {
                prop_assert_eq!(median_of_lists(&partial, 0..buckets.len()), plain);
            }
        }
    }

    #[test]
    fn bins_of_one_value_are_those_below_the_first_list_entry() {
        for (at, is_exact) in [(0, true), (EXACT - 1, true), (EXACT, false)] {
            assert_eq!(durations(at) == (at as u64..at as u64 + 1), is_exact, "{at}");
        }
    }

    #[test]
    fn bins_follow_each_other() {
        for at in 1..BINS {
            assert_eq!(durations(at - 1).end, durations(at).start, "{at}");
        }
    }
}
