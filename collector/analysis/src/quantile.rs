//! Exact quantiles of a bag of values.
//!
//! In: values in any order. Out: the value below which a share of them lies, interpolated between
//! neighbours (type 7 of Hyndman and Fan, "Sample Quantiles in Statistical Packages", 1996; what
//! NumPy's `percentile` and ClickHouse's `quantileExactInclusive` do).

/// Quantiles of a bag, whose order changes on the way. `None` for the quantiles of nothing.
pub fn quantiles<const N: usize>(bag: &mut [f64], shares: [f64; N]) -> [Option<f64>; N] {
    shares.map(|share| {
        let (below, part) = place(bag.len(), share)?;
        // Sorting all of it would take several times as long.
        let (_, value, above) = bag.select_nth_unstable_by(below, f64::total_cmp);
        let next = above.iter().copied().min_by(f64::total_cmp).unwrap_or(*value);
        Some(*value + (next - *value) * part)
    })
}

/// The value below a quantile, and how far it is from there to the next one.
fn place(len: usize, share: f64) -> Option<(usize, f64)> {
    let position = share.clamp(0.0, 1.0) * len.checked_sub(1)? as f64;
    Some((position.floor() as usize, position - position.floor()))
}

/// One quantile of sorted values; `share` is 0..=1.
pub fn of_sorted(sorted: &[f64], share: f64) -> Option<f64> {
    let (below, part) = place(sorted.len(), share)?;
    let above = (below + 1).min(sorted.len() - 1);
    Some(sorted[below] + (sorted[above] - sorted[below]) * part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::nothing(&[], 0.5, None)]
    #[case::one(&[7.0], 0.9, Some(7.0))]
    #[case::between_two(&[3.0, 1.0], 0.5, Some(2.0))]
    #[case::p90_as_numpy_percentile(&[5.0, 1.0, 4.0, 2.0, 3.0], 0.9, Some(4.6))]
    #[case::the_largest(&[1.0, 2.0], 1.0, Some(2.0))]
    fn a_quantile_is(#[case] values: &[f64], #[case] share: f64, #[case] want: Option<f64>) {
        let [got] = quantiles(&mut values.to_vec(), [share]);
        assert_eq!(got, want);
    }
}
