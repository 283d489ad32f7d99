//! The shades of a retention grid.
//!
//! The grid itself is a table with a shade per cell, not a drawing: it is already the table that
//! a screen reader, a copy or a print wants. Shades go from light to dark in one hue (dark to
//! light in the dark theme), so they are told apart without telling colours apart.

/// Number of shades; the style sheet has a class for each: `s0` to `s9`.
pub const SHADES: u8 = 10;

/// The shade of a share `ratio` in a grid whose largest cell is `max`: 0 to [`SHADES`] - 1.
///
/// Zero alone has shade 0; the rest is cut into equal parts, so that twice the share looks it.
pub fn shade(ratio: f64, max: f64) -> u8 {
    let share = ratio / max;
    if !share.is_finite() || ratio <= 0.0 {
        return 0;
    }
    let top = f64::from(SHADES - 1);
    (share.clamp(0.0, 1.0) * top).ceil().clamp(1.0, top) as u8
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::nobody(0.0, 0.5, 0)]
    #[case::hardly_anybody(1e-9, 0.5, 1)]
    #[case::the_most(0.5, 0.5, 9)]
    #[case::more_than_the_most(0.9, 0.5, 9)]
    #[case::a_third_of_the_most(0.5, 1.5, 3)]
    #[case::an_empty_grid(0.0, 0.0, 0)]
    #[case::unknown(f64::NAN, 0.5, 0)]
    fn a_share_has_the_shade(#[case] ratio: f64, #[case] max: f64, #[case] want: u8) {
        assert_eq!(shade(ratio, max), want);
    }
}
