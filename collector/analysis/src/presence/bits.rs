//! Arithmetic on bits: many persons' days, counted by day.
//!
//! A row of bits is a slice of words, bit 0 being the lowest bit of the first word.

/// For every byte, its bits as eight counters of one byte each.
pub(crate) static SPREAD: [u64; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut bit = 0;
        while bit < 8 {
            table[byte] |= ((byte as u64 >> bit) & 1) << (8 * bit);
            bit += 1;
        }
        byte += 1;
    }
    table
};

/// How many rows had each bit set.
///
/// Eight counters of a byte each are added at once; they are emptied before one can overflow.
#[derive(Debug, Clone)]
pub(crate) struct BitCounts {
    lanes: Vec<[u64; 8]>,
    rows: u8,
    totals: Vec<u64>,
}

impl BitCounts {
    /// Counters for rows of so many words.
    pub(crate) fn new(words: usize) -> Self {
        Self { lanes: vec![[0; 8]; words], rows: 0, totals: vec![0; words * 64] }
    }

    /// Count a row.
    #[inline]
    pub(crate) fn add(&mut self, row: &[u64]) {
        for (lanes, word) in self.lanes.iter_mut().zip(row) {
            if *word != 0 {
                for (lane, byte) in lanes.iter_mut().zip(word.to_le_bytes()) {
                    *lane += SPREAD[usize::from(byte)];
                }
            }
        }
        self.rows += 1;
        if self.rows == u8::MAX {
            self.empty();
        }
    }

    /// Count a row of one word whose bits from `bytes * 8` on are clear.
    #[inline]
    pub(crate) fn add_low(&mut self, word: u64, bytes: usize) {
        let Some(lanes) = self.lanes.first_mut() else { return };
        for (lane, byte) in lanes.iter_mut().zip(word.to_le_bytes()).take(bytes) {
            *lane += SPREAD[usize::from(byte)];
        }
        self.rows += 1;
        if self.rows == u8::MAX {
            self.empty();
        }
    }

    #[cold]
    fn empty(&mut self) {
        for (lane, totals) in
            self.lanes.as_flattened_mut().iter_mut().zip(self.totals.chunks_mut(8))
        {
            for (total, count) in totals.iter_mut().zip(lane.to_le_bytes()) {
                *total += u64::from(count);
            }
            *lane = 0;
        }
        self.rows = 0;
    }

    /// By bit.
    pub(crate) fn finish(mut self) -> Vec<u64> {
        self.empty();
        self.totals
    }
}

/// How many pairs of words have bit `i` set in the first and bit `j` in the second, for all `i < j`,
/// and how many have bit `i` set in the first.
///
/// 64 pairs are turned into columns of bits at once: then a count is the number of ones that two
/// columns share, whatever is set in how many words.
#[derive(Debug, Clone)]
pub(crate) struct PairCounts {
    /// The largest `j - i` that is counted.
    reach: usize,
    waiting: usize,
    words: [[u64; 64]; 2],
    /// See [`Self::finish`].
    totals: Vec<u64>,
}

impl PairCounts {
    /// Counts pairs of bits that are at most `reach` apart.
    pub(crate) fn new(reach: usize) -> Self {
        Self { reach, waiting: 0, words: [[0; 64]; 2], totals: vec![0; 64 * 64] }
    }

    /// Count a pair of words.
    #[inline]
    pub(crate) fn add(&mut self, first: u64, second: u64) {
        self.words[0][self.waiting] = first;
        self.words[1][self.waiting] = second;
        self.waiting += 1;
        if self.waiting == 64 {
            self.empty();
        }
    }

    fn empty(&mut self) {
        let [first, second] = &mut self.words;
        for words in [&mut *first, &mut *second] {
            words[self.waiting..].fill(0);
            transpose(words);
        }
        self.waiting = 0;
        let last = second.iter().rposition(|column| *column != 0).unwrap_or(0);
        for (i, (own, totals)) in first.iter().zip(self.totals.chunks_exact_mut(64)).enumerate() {
            totals[0] += u64::from(own.count_ones());
            let to = last.min(i + self.reach) + 1;
            if *own != 0 && i + 1 < to {
                for (total, other) in totals[1..].iter_mut().zip(&second[i + 1..to]) {
                    *total += u64::from((own & other).count_ones());
                }
            }
        }
    }

    /// For every bit `i` 64 counts: those of the first word alone, then of pairs by `j - i`.
    pub(crate) fn finish(mut self) -> Vec<u64> {
        self.empty();
        self.totals
    }
}

/// Turn rows of bits into columns: bit `j` of word `i` becomes bit `i` of word `j`.
///
/// Halves are exchanged across the diagonal, then quarters of each, and so on.
fn transpose(words: &mut [u64; 64]) {
    let (mut width, mut mask) = (32, u64::from(u32::MAX));
    while width != 0 {
        for at in (0..64).filter(|at| at & width == 0) {
            let moved = (words[at] >> width ^ words[at + width]) & mask;
            words[at] ^= moved << width;
            words[at + width] ^= moved;
        }
        width /= 2;
        mask ^= mask << width;
    }
}

/// Set each bit that has a set bit among the `width - 1` before it.
#[inline]
pub(crate) fn smear_word(mut word: u64, width: usize) -> u64 {
    let mut done = 1;
    while done < width {
        let step = done.min(width - done);
        word |= word << step;
        done += step;
    }
    word
}

/// The same for a row.
pub(crate) fn smear(row: &mut [u64], width: usize) {
    let mut done = 1;
    while done < width {
        let step = done.min(width - done).min(63);
        for at in (0..row.len()).rev() {
            let carried = if at > 0 { row[at - 1] >> (64 - step) } else { 0 };
            row[at] |= row[at] << step | carried;
        }
        done += step;
    }
}

/// Words of a row of `len` bits with those of a range set.
pub(crate) fn range_mask(len: usize, range: std::ops::Range<usize>) -> Vec<u64> {
    let mut row = vec![0; len.div_ceil(64)];
    range.for_each(|bit| set(&mut row, bit));
    row
}

#[inline]
pub(crate) fn set(row: &mut [u64], bit: usize) {
    row[bit / 64] |= 1 << (bit % 64);
}

/// The bits that are set, rising.
pub(crate) fn ones(row: &[u64]) -> impl Iterator<Item = usize> + '_ {
    row.iter().enumerate().flat_map(|(at, &word)| {
        let mut left = word;
        std::iter::from_fn(move || {
            (left != 0).then(|| {
                let bit = left.trailing_zeros() as usize;
                left &= left - 1;
                at * 64 + bit
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bits_are_counted_one_by_one(
            words in 1usize..4,
            rows in prop::collection::vec(prop::array::uniform3(any::<u64>()), 0..700),
        ) {
            let mut counts = BitCounts::new(words);
            let mut low = BitCounts::new(1);
            for row in &rows {
                counts.add(&row[..words]);
                low.add_low(row[0] & 0xff_ffff, 3);
            }
            let of = |bit: usize| rows.iter().filter(|row| row[bit / 64] >> (bit % 64) & 1 == 1).count() as u64;
            prop_assert_eq!(counts.finish(), (0..words * 64).map(of).collect::<Vec<_>>());
            prop_assert_eq!(&low.finish()[..24], &(0..24).map(of).collect::<Vec<_>>()[..]);
        }

        #[test]
        fn pairs_of_bits_are_counted_one_by_one(
            pairs in prop::collection::vec((any::<u64>(), any::<u64>()), 0..200),
            reach in 1usize..64,
        ) {
            let mut counts = PairCounts::new(reach);
            pairs.iter().for_each(|(first, second)| counts.add(*first, *second));
            let counts = counts.finish();
            let has = |word: u64, bit: usize| word >> bit & 1 == 1;
            for i in 0..64 {
                let own = pairs.iter().filter(|(first, _)| has(*first, i));
                prop_assert_eq!(counts[i * 64], own.clone().count() as u64);
                for apart in 1..64 {
                    let is_counted = apart <= reach && i + apart < 64;
                    let both = own.clone().filter(|(_, second)| is_counted && has(*second, i + apart));
                    let want = both.count();
                    prop_assert_eq!(counts[i * 64 + apart], want as u64);
                }
            }
        }

        #[test]
        fn a_smeared_bit_is_set_when_one_of_the_last_few_was(
            row in prop::collection::vec(prop::num::u64::ANY, 1..4),
            sparse: u64,
            width in 1usize..80,
        ) {
            let row: Vec<u64> = row.iter().map(|word| word & sparse & sparse.rotate_left(7)).collect();
            let mut smeared = row.clone();
            smear(&mut smeared, width);
            let is_set = |row: &[u64], bit: usize| row[bit / 64] >> (bit % 64) & 1 == 1;
            for bit in 0..row.len() * 64 {
                let want = (bit.saturating_sub(width - 1)..=bit).any(|bit| is_set(&row, bit));
                prop_assert_eq!(is_set(&smeared, bit), want);
            }
            prop_assume!(width < 64);
            let mut first = [row[0]];
            smear(&mut first, width);
            prop_assert_eq!(smear_word(row[0], width), first[0]);
            prop_assert_eq!(ones(&row).collect::<Vec<_>>(), (0..row.len() * 64).filter(|bit| is_set(&row, *bit)).collect::<Vec<_>>());
        }
    }
}
