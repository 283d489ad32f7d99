//! The wanted rows of a block, as a list.
//!
//! In: masks of a block's rows. Out: the rows whose mask is not zero, person by person. Where few rows are
//! wanted, or none is like the row before, a list is quicker to walk than the masks.

use std::ops::Range;

use crate::filter::{Mask, Masks};

/// Rows in order.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    rows: Vec<u32>,
    /// Those before this one belong to persons that were seen.
    next: usize,
}

impl Wanted {
    /// The rows of a range whose mask is not zero.
    pub(crate) fn fill(&mut self, masks: &Masks, rows: Range<usize>) {
        match masks {
            Masks::Small(masks) => self.fill_from(masks, rows),
            Masks::Large(masks) => self.fill_from(masks, rows),
        }
    }

    fn fill_from<M: Mask>(&mut self, masks: &[M], rows: Range<usize>) {
        // Every place is written, and only those of wanted rows are kept.
        self.rows.resize(rows.len(), 0);
        let mut count = 0;
        for (at, masks) in masks[rows.clone()].chunks(8).enumerate() {
            if masks.iter().fold(0, |all, mask| all | mask.bits()) == 0 {
                continue;
            }
            for (row, mask) in (rows.start + at * 8..).zip(masks) {
                self.rows[count] = row as u32;
                count += usize::from(mask.bits() != 0);
            }
        }
        self.rows.truncate(count);
        self.next = 0;
    }

    /// Those of a span. Spans of a block mostly come in order.
    pub(crate) fn within(&mut self, span: &Range<usize>) -> &[u32] {
        let (first, end) = (span.start as u32, span.end as u32);
        let has_gone_back = self.next > 0 && self.rows[self.next - 1] >= first;
        if has_gone_back {
            self.next = self.rows.partition_point(|row| *row < first);
        }
        let rest = &self.rows[self.next..];
        let skipped = rest.iter().take_while(|row| **row < first).count();
        let count = rest[skipped..].iter().take_while(|row| **row < end).count();
        let from = self.next + skipped;
        self.next = from + count;
        &self.rows[from..self.next]
    }
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
            wanted.fill(&Masks::Small(masks.clone()), from..masks.len());
            let plain = |rows: Range<usize>| -> Vec<u32> {
                rows.filter(|row| masks[*row] != 0).map(|row| row as u32).collect()
            };
            prop_assert_eq!(&wanted.rows, &plain(from..masks.len()));
            for (start, length) in spans {
                let start = start.clamp(from, masks.len());
                let span = start..(start + length).min(masks.len());
                prop_assert_eq!(wanted.within(&span), plain(span.clone()));
            }
        }
    }
}
