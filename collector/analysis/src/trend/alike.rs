//! Which rows of a trend are counted together.
//!
//! In: masks and groups of rows. Out: how many rows belong to each tally, and whether two rows are of one
//! group.

use super::MAX_SERIES;
use crate::events::ABSENT;
use crate::filter::Mask;
use crate::presence::bits::SPREAD;

/// How many of some rows belong to each tally: a counter of a byte each.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Alike([u64; MAX_SERIES.div_ceil(8)]);

impl Alike {
    /// A counter holds no more.
    pub(super) const ROWS_MAX: usize = u8::MAX as usize;

    #[inline]
    pub(super) fn add<M: Mask>(&mut self, mask: M) {
        for (lanes, byte) in self.0.iter_mut().zip(mask.bits().to_le_bytes()).take(size_of::<M>()) {
            *lanes += SPREAD[usize::from(byte)];
        }
    }

    #[inline]
    pub(super) fn of(&self, tally: usize) -> u64 {
        self.0[tally / 8] >> (8 * (tally % 8)) & u64::from(u8::MAX)
    }
}

/// Which rows belong to which group.
pub(super) trait Groups {
    /// The group of a row.
    fn of(&self, row: usize) -> u32;
    /// Whether two rows are known to belong to the same group.
    fn same(&self, row: usize, other: usize) -> bool;
    /// Whether there is only one.
    fn is_one(&self) -> bool {
        false
    }
}

/// All of them, to the same.
pub(super) struct OneGroup;

impl Groups for OneGroup {
    fn of(&self, _: usize) -> u32 {
        ABSENT
    }
    fn same(&self, _: usize, _: usize) -> bool {
        true
    }
    fn is_one(&self) -> bool {
        true
    }
}

/// By the value of a column: its codes, and what they are in the question's dictionary.
pub(super) struct ByCode<'a, T> {
    pub codes: &'a [T],
    pub global: &'a [u32],
}

impl<T: Copy + PartialEq + TryInto<usize>> Groups for ByCode<'_, T> {
    #[inline]
    fn of(&self, row: usize) -> u32 {
        self.codes[row].try_into().map_or(ABSENT, |code| self.global[code])
    }
    #[inline]
    fn same(&self, row: usize, other: usize) -> bool {
        self.codes[row] == self.codes[other]
    }
}
