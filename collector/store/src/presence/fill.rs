//! Lists into rows of bits: the part of a question that runs once per person, event and segment.

use super::rollup::{DayList, Masks};

/// Where the days of a list are among the bits of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shift {
    /// Bits of a mask that are days of the question.
    keep: u64,
    /// The bit of the mask's first day; it may lie before the first one.
    first: i64,
    before: u64,
    after: u64,
    /// The bit for "after".
    last: usize,
}

impl Shift {
    /// `offset`: the day of the question that the mask's first day is, negative when it lies before
    /// the first one. `len`: how many days masks have. `days`: how many the question has.
    pub(super) fn new(offset: i64, len: usize, days: usize) -> Self {
        let below = |day: i64| match day - offset {
            n if n <= 0 => 0,
            n if n >= 64 => u64::MAX,
            n => (1 << n) - 1,
        };
        let before = below(0);
        let inside = below(days as i64);
        let all = if len < 64 { (1 << len) - 1 } else { u64::MAX };
        Self {
            keep: inside & !before & all,
            first: offset + 1,
            before: before & all,
            after: !inside & all,
            last: days + 1,
        }
    }

    /// Set what a mask says in a person's bits.
    #[inline]
    fn set(&self, mask: u64, bits: &mut [u64]) {
        let kept = mask & self.keep;
        if self.first < 0 {
            // Below bit 1 nothing is kept.
            bits[0] |= kept.checked_shr(self.first.unsigned_abs() as u32).unwrap_or(0);
        } else {
            let (word, bit) = (self.first as usize / 64, self.first as usize % 64);
            if word < bits.len() {
                bits[word] |= kept << bit;
                if bit > 0 && word + 1 < bits.len() {
                    bits[word + 1] |= kept >> (64 - bit);
                }
            }
        }
        bits[0] |= u64::from(mask & self.before != 0);
        if mask & self.after != 0 {
            bits[self.last / 64] |= 1 << (self.last % 64);
        }
    }
}

/// Persons of a roster from `from` on, as many as `bits` has room for.
pub(super) struct Window<'a> {
    pub from: usize,
    pub to: usize,
    pub words: usize,
    /// Words of the persons, one after the other.
    pub bits: &'a mut [u64],
}

impl Window<'_> {
    /// Add a list of a source whose persons have these places. Returns how many entries there were.
    pub(super) fn add(&mut self, list: &DayList, places: &[u32], shift: Shift) -> usize {
        match &list.masks {
            Masks::U8(masks) => self.add_masks(list, masks, places, shift),
            Masks::U16(masks) => self.add_masks(list, masks, places, shift),
            Masks::U32(masks) => self.add_masks(list, masks, places, shift),
            Masks::U64(masks) => self.add_masks(list, masks, places, shift),
        }
    }

    fn add_masks<M: Copy + Into<u64>>(
        &mut self,
        list: &DayList,
        masks: &[M],
        places: &[u32],
        shift: Shift,
    ) -> usize {
        let of = |place: usize| places.partition_point(|at| (*at as usize) < place);
        let persons = of(self.from)..of(self.to);
        match &list.at {
            None => {
                let masks = &masks[persons.clone()];
                self.set(masks, places[persons].iter().copied(), shift);
                masks.len()
            }
            Some(at) => {
                let entry = |person: usize| at.partition_point(|at| (*at as usize) < person);
                let entries = entry(persons.start)..entry(persons.end);
                let masks = &masks[entries.clone()];
                self.set(masks, at[entries].iter().map(|at| places[*at as usize]), shift);
                masks.len()
            }
        }
    }

    #[inline]
    fn set<M: Copy + Into<u64>>(
        &mut self,
        masks: &[M],
        places: impl Iterator<Item = u32>,
        shift: Shift,
    ) {
        let entries = masks.iter().zip(places);
        let is_inside = shift.before == 0 && shift.after == 0 && shift.first >= 0;
        if self.words == 1 && is_inside {
            // Nearly all of the work of nearly every question.
            for (mask, place) in entries {
                self.bits[place as usize - self.from] |= (*mask).into() << shift.first;
            }
        } else {
            for (mask, place) in entries {
                let at = (place as usize - self.from) * self.words;
                shift.set((*mask).into(), &mut self.bits[at..at + self.words]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_day_of_a_list_gets_its_bit(
            masks in prop::collection::vec(any::<u64>(), 0..20),
            sparse in any::<u64>(),
            width in prop::sample::select(vec![8u32, 16, 32, 64]),
            offset in -140i64..140,
            days in 1usize..130,
            is_dense in any::<bool>(),
            cut in 0usize..40,
        ) {
            let masks: Vec<u64> = masks.iter().map(|mask| mask & sparse & (u64::MAX >> (64 - width))).collect();
            // Person `i` of the source has place `2 i + 1`.
            let at: Vec<u32> = (0..masks.len() as u32).map(|i| if is_dense { i } else { 3 * i }).collect();
            let persons = at.last().map_or(0, |last| *last as usize + 1);
            let places: Vec<u32> = (0..persons as u32).map(|i| 2 * i + 1).collect();
            let list = DayList { at: (!is_dense).then(|| at.clone()), masks: Masks::narrow(masks.clone()) };
            let words = (days + 2).div_ceil(64);
            let all = 2 * persons + 1;
            let cut = cut.min(all);
            let mut bits = vec![0; all * words];
            let mut count = 0;
            let shift = Shift::new(offset, width as usize, days);
            for (from, to) in [(0, cut), (cut, all)] {
                let bits = &mut bits[from * words..to * words];
                count += Window { from, to, words, bits }.add(&list, &places, shift);
            }
            prop_assert_eq!(count, masks.len());
            let mut want = vec![0u64; all * words];
            for (at, mask) in at.iter().zip(&masks) {
                let person = places[*at as usize] as usize;
                for day in (0..64).filter(|day| mask >> day & 1 == 1) {
                    let bit = (offset + day + 1).clamp(0, days as i64 + 1) as usize;
                    want[person * words + bit / 64] |= 1 << (bit % 64);
                }
            }
            prop_assert_eq!(bits, want);
        }
    }
}
