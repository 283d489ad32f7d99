//! From days to longer buckets.

use super::bits::{ones, set};
use crate::time_bucket::Buckets;

/// Turns bits of days into bits of buckets, with "before" and "after" at their ends in both.
#[derive(Debug, Clone)]
pub(crate) enum Bucketer {
    /// Buckets are the days.
    Same,
    /// Everything fits into a word: the days of each bit.
    Masks(Vec<u64>),
    /// For each bit of the days, the bit of the buckets.
    Table(Vec<u32>),
}

impl Bucketer {
    /// A day is in the bucket in which it begins; days lie within the buckets.
    pub(crate) fn new(days: &Buckets, buckets: &Buckets) -> Self {
        if days.bounds_ms == buckets.bounds_ms {
            return Self::Same;
        }
        let of_day = |day: usize| buckets.index(days.bounds_ms[day]) as u32 + 1;
        let inner = (0..days.len()).map(of_day);
        let table: Vec<u32> =
            std::iter::once(0).chain(inner).chain([buckets.len() as u32 + 1]).collect();
        if table.len() > 64 {
            return Self::Table(table);
        }
        let mut masks = vec![0; buckets.len() + 2];
        for (day, bucket) in table.into_iter().enumerate() {
            masks[bucket as usize] |= 1 << day;
        }
        Self::Masks(masks)
    }

    /// Bits of buckets for one word of days.
    #[inline]
    pub(crate) fn word(&self, days: u64) -> u64 {
        match self {
            Self::Same => days,
            Self::Masks(masks) => masks
                .iter()
                .enumerate()
                .fold(0, |row, (bucket, mask)| row | u64::from(days & mask != 0) << bucket),
            Self::Table(table) => ones(&[days]).fold(0, |row, day| row | 1 << table[day]),
        }
    }

    /// Bits of buckets into `row`, which is as long as they need.
    pub(crate) fn row(&self, days: &[u64], row: &mut [u64]) {
        row.fill(0);
        match self {
            Self::Same => row.copy_from_slice(days),
            Self::Masks(_) => row[0] = self.word(days[0]),
            Self::Table(table) => ones(days).for_each(|day| set(row, table[day] as usize)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time_bucket::{Unit, instant, time_zone};
    use rstest::rstest;

    #[rstest]
    #[case::within_a_word("2026-10-01")]
    #[case::longer("2026-12-01")]
    fn a_bucket_is_set_when_a_day_of_it_is(
        #[case] to: &str,
        #[values(Unit::Day, Unit::Week, Unit::Month)] unit: Unit,
    ) {
        let tz = time_zone("Europe/Berlin").unwrap();
        let (from, to) = (instant("", "2026-09-02", &tz).unwrap(), instant("", to, &tz).unwrap());
        let days = Buckets::new(Unit::Day, &tz.clone().into(), from, to, 0).unwrap();
        let buckets = Buckets::new(unit, &tz.into(), from, to, 0).unwrap();
        let bucketer = Bucketer::new(&days, &buckets);
        for day in 0..days.len() {
            let mut row = vec![0; (days.len() + 2).div_ceil(64)];
            set(&mut row, day + 1);
            let mut got = vec![0; (buckets.len() + 2).div_ceil(64)];
            bucketer.row(&row, &mut got);
            let want = buckets.index(days.bounds_ms[day] + 3_600_000) + 1;
            assert_eq!(ones(&got).collect::<Vec<_>>(), [want]);
        }
        for (end, want) in [(0, 0), (days.len() + 1, buckets.len() + 1)] {
            let mut row = vec![0; (days.len() + 2).div_ceil(64)];
            set(&mut row, end);
            let mut got = vec![0; (buckets.len() + 2).div_ceil(64)];
            bucketer.row(&row, &mut got);
            assert_eq!(ones(&got).collect::<Vec<_>>(), [want]);
        }
    }
}
