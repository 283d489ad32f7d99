//! Which rows of a trend are counted together.
//!
//! In: masks of rows. Out: how many rows belong to each tally.

use super::MAX_SERIES;
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
