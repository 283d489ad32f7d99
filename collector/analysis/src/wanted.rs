//! The wanted rows of a block, as a list.
//!
//! In: a column of a block, and which values are wanted. Out: the rows that have one, person by person.
//! Where few rows are wanted, or none is like the row before, a list is quicker to walk than the masks.

use std::ops::Range;

use crate::columns::Codes;
use crate::each_width;

/// Rows in order.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// The first [`Self::count`] are meant.
    rows: Vec<u32>,
    count: usize,
    /// Those before this one belong to persons that were seen.
    next: usize,
    /// Where the list is of all rows of a range: the first of them. Then nobody need search it, and the list of
    /// one block does for the next.
    all_from: Option<u32>,
}

/// Codes of which each is compared with every row.
pub(crate) const FEW: usize = 4;
/// Rows looked at at once.
const WORD: usize = u64::BITS as usize;

/// A bit for each byte that is one; the others are zero.
fn bits_of(flags: &[u8; WORD]) -> u64 {
    /// Moves bit `8 i` to bit `56 + i`, for every `i` below 8.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let (eights, _) = flags.as_chunks();
    (0..).step_by(8).zip(eights).fold(0, |bits, (at, eight)| {
        bits | (u64::from_le_bytes(*eight).wrapping_mul(GATHER) >> 56) << at
    })
}

impl Codes {
    /// The rows that have one of these codes, in order.
    pub fn rows_with(&self, wanted: &[u32]) -> Vec<u32> {
        let mut found = Wanted::default();
        match self {
            Self::U8(codes) if wanted.len() <= FEW => {
                found.fill_few(codes, 0..codes.len(), wanted);
            }
            codes => each_width!(codes, codes => {
                let most = wanted.iter().max().map_or(0, |code| *code as usize + 1);
                let mut is_wanted = vec![false; most];
                wanted.iter().for_each(|code| is_wanted[*code as usize] = true);
                let is_one = |code: usize| is_wanted.get(code).is_some_and(|is| *is);
                found.fill(codes, 0..codes.len(), |code| is_one(*code as usize));
            }),
        }
        found.rows.truncate(found.count);
        found.rows
    }
}

impl Wanted {
    /// The rows of a range whose value in a column is wanted.
    pub(crate) fn fill<T>(
        &mut self,
        column: &[T],
        rows: Range<usize>,
        is_wanted: impl Fn(&T) -> bool,
    ) {
        self.all_from = None;
        // Every place is written, and only those of wanted rows are kept.
        if self.rows.len() < rows.len() {
            self.rows.resize(rows.len(), 0);
        }
        let places = &mut self.rows[..rows.len()];
        let mut count = 0;
        for (row, value) in (rows.start as u32..).zip(&column[rows]) {
            places[count] = row;
            count += usize::from(is_wanted(value));
        }
        self.count = count;
        self.next = 0;
    }

    /// Keep of the listed rows those that are wanted for another reason, too.
    pub(crate) fn retain(&mut self, is_wanted: impl Fn(usize) -> bool) {
        self.all_from = None;
        self.rows.truncate(self.count);
        self.rows.retain(|row| is_wanted(*row as usize));
        self.count = self.rows.len();
        self.next = 0;
    }

    /// Those of some rows, in order, that lie in a range and are wanted.
    pub(crate) fn fill_among(
        &mut self,
        some: &[u32],
        rows: Range<usize>,
        is_wanted: impl Fn(usize) -> bool,
    ) {
        let place = |row: usize| some.partition_point(|other| (*other as usize) < row);
        let some = &some[place(rows.start)..place(rows.end)];
        self.all_from = None;
        self.rows.clear();
        self.rows.extend(some.iter().copied().filter(|row| is_wanted(*row as usize)));
        self.count = self.rows.len();
        self.next = 0;
    }

    /// All rows of a range.
    pub(crate) fn fill_all(&mut self, rows: Range<usize>) {
        let (first, end) = (rows.start as u32, rows.end as u32);
        if self.all_from != Some(first) {
            self.rows.clear();
            self.all_from = Some(first);
        }
        self.rows.extend(first + self.rows.len() as u32..end);
        self.count = rows.len();
    }

    /// Those of a column of codes of which a few are wanted: so many rows at once that those
    /// without one cost little.
    pub(crate) fn fill_few<T: Copy + PartialEq + TryFrom<u32>>(
        &mut self,
        column: &[T],
        rows: Range<usize>,
        wanted: &[u32],
    ) {
        let wanted: Vec<T> = wanted.iter().filter_map(|code| T::try_from(*code).ok()).collect();
        self.all_from = None;
        // Memory for every row would cost more than finding the few.
        let mut count = 0;
        let (start, column) = (rows.start as u32, &column[rows]);
        let (words, rest) = column.as_chunks::<WORD>();
        for (row, codes) in (start..).step_by(WORD).zip(words) {
            let mut flags = [0u8; WORD];
            for value in &wanted {
                for (flag, code) in flags.iter_mut().zip(codes) {
                    *flag |= u8::from(code == value);
                }
            }
            if flags.iter().fold(0, |any, flag| any | flag) == 0 {
                continue;
            }
            if self.rows.len() < count + WORD {
                self.rows.resize((2 * count).max(16 * WORD), 0);
            }
            let mut bits = bits_of(&flags);
            while bits != 0 {
                self.rows[count] = row + bits.trailing_zeros();
                count += 1;
                bits &= bits - 1;
            }
        }
        self.rows.resize(self.rows.len().max(count + rest.len()), 0);
        for (row, code) in (start + (words.len() * WORD) as u32..).zip(rest) {
            if wanted.contains(code) {
                self.rows[count] = row;
                count += 1;
            }
        }
        self.count = count;
        self.next = 0;
    }

    /// All of them.
    pub(crate) fn rows(&self) -> &[u32] {
        &self.rows[..self.count]
    }

    /// The range they are, where it is known that they are one.
    pub(crate) fn range(&self) -> Option<Range<usize>> {
        self.all_from.map(|first| first as usize..first as usize + self.count)
    }

    /// Where those of a span are in the list. Spans of a block mostly come in order.
    pub(crate) fn within(&mut self, span: &Range<usize>) -> Range<usize> {
        let (first, end) = (span.start as u32, span.end as u32);
        if let Some(all_from) = self.all_from {
            let place = |row: u32| (row.saturating_sub(all_from) as usize).min(self.count);
            return place(first)..place(end);
        }
        let rows = &self.rows[..self.count];
        let has_gone_back = self.next > 0 && rows[self.next - 1] >= first;
        if has_gone_back {
            self.next = rows.partition_point(|row| *row < first);
        }
        let rest = &rows[self.next..];
        let skipped = rest.iter().take_while(|row| **row < first).count();
        let count = below(&rest[skipped..], end);
        let from = self.next + skipped;
        self.next = from + count;
        from..self.next
    }
}

/// How many of the first rows, which are in order, lie below `end`. How many a person has is as good as
/// random, so they are compared some at a time.
fn below(rows: &[u32], end: u32) -> usize {
    let (parts, rest) = rows.as_chunks::<8>();
    let mut count = 0;
    for part in parts {
        let below = part.iter().map(|row| usize::from(*row < end)).sum::<usize>();
        count += below;
        if below < part.len() {
            return count;
        }
    }
    count + rest.iter().take_while(|row| **row < end).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_span_gets_its_wanted_rows_whatever_came_before(
            masks in prop::collection::vec(prop::sample::select(vec![0u8, 0, 0, 1, 128]), 1..200),
            from in 0usize..20, spans in prop::collection::vec((0usize..200, 0usize..40), 1..20),
        ) {
            let from = from.min(masks.len());
            let mut wanted = Wanted::default();
            wanted.fill_few(&masks, from..masks.len(), &[1, 128, 300]);
            let bytes = wanted.rows().to_vec();
            let wide: Vec<u16> = masks.iter().map(|mask| u16::from(*mask) * 500).collect();
            wanted.fill_few(&wide, from..masks.len(), &[500, 64_000]);
            prop_assert_eq!(&bytes, wanted.rows());
            wanted.fill_all(from..masks.len());
            wanted.retain(|row| masks[row] != 0);
            prop_assert_eq!(&bytes, wanted.rows());
            wanted.fill(&masks, from..masks.len(), |mask| *mask != 0);
            prop_assert_eq!(&bytes, wanted.rows());
            let some: Vec<u32> = (0..masks.len() as u32).filter(|row| row % 3 > 0 || masks[*row as usize] > 0).collect();
            wanted.fill_among(&some, from..masks.len(), |row| masks[row] != 0);
            prop_assert_eq!(&bytes, wanted.rows());
            wanted.fill_all(from..masks.len());
            prop_assert!(wanted.rows().iter().copied().eq(from as u32..masks.len() as u32));
            wanted.fill(&masks, from..masks.len(), |mask| *mask != 0);
            let plain = |rows: Range<usize>| -> Vec<u32> {
                rows.filter(|row| masks[*row] != 0).map(|row| row as u32).collect()
            };
            prop_assert_eq!(wanted.rows(), plain(from..masks.len()));
            let mut all = Wanted::default();
            for (start, length) in spans {
                let start = start.clamp(from, masks.len());
                let span = start..(start + length).min(masks.len());
                let places = wanted.within(&span);
                prop_assert_eq!(&wanted.rows()[places], plain(span.clone()));
                // A list of all rows goes from block to block, longer or shorter.
                all.fill_all(from..span.end);
                let places = all.within(&span);
                prop_assert!(all.rows()[places].iter().copied().eq(start as u32..span.end as u32));
                prop_assert_eq!(all.rows().len(), span.end - from);
            }
        }
    }
}
