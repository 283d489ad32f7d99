//! Exact quantiles of a bag of values.
//!
//! In: values in any order. Out: the value below which a share of them lies, interpolated between
//! neighbours (type 7 of Hyndman and Fan, "Sample Quantiles in Statistical Packages", 1996; what
//! NumPy's `percentile` and ClickHouse's `quantileExactInclusive` do).

/// Quantiles of a bag, which is sorted on the way. `None` for the quantiles of nothing.
pub fn quantiles<const N: usize>(bag: &mut [f64], shares: [f64; N]) -> [Option<f64>; N] {
    bag.sort_unstable_by(f64::total_cmp);
    shares.map(|share| of_sorted(bag, share))
}

/// One quantile of sorted values; `share` is 0..=1.
pub fn of_sorted(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let position = share.clamp(0.0, 1.0) * last as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(last);
    Some(sorted[below] + (sorted[above] - sorted[below]) * (position - below as f64))
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
