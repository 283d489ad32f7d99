//! Charts: pure functions from figures to SVG that reads at any width and in both themes.
//!
//! In: figures and texts. Out: [`Markup`](super::markup::Markup). A drawing has no `viewBox` of
//! its own: across it counts in percent, downwards in pixels, so text keeps its size from a phone
//! to a wall. Colours are classes that the style sheet fills in.
//!
//! Invariant: whatever the figures (none, one, zeros, huge, not a number), every coordinate is a
//! finite number and every text is escaped.
//!
//! Deliberately elsewhere: which figures to show (`view`), the table beside each chart
//! (templates).

pub mod bars;
pub mod columns;
pub mod effect;
pub mod funnel;
pub mod grid;
pub mod interval;
pub mod line;
pub mod sankey;

/// Round steps for an axis from 0 to at least `max`: three to five of them.
///
/// Gives the steps' values, 0 first; `[0, 1]` when there is nothing to show.
pub fn ticks(max: f64) -> Vec<f64> {
    if !max.is_finite() || max <= 0.0 {
        return vec![0.0, 1.0];
    }
    let rough = max / 4.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0]
        .map(|m| m * power)
        .into_iter()
        .find(|step| *step >= rough * 0.999_999)
        .unwrap_or(power * 10.0);
    if !step.is_finite() || step <= 0.0 {
        return vec![0.0, max];
    }
    let last = (max / step - 1e-9).ceil().max(1.0);
    if !(last * step).is_finite() {
        return vec![0.0, max];
    }
    (0..=last as usize).map(|index| index as f64 * step).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::nothing(0.0, &[0.0, 1.0])]
    #[case::not_a_number(f64::NAN, &[0.0, 1.0])]
    #[case::one(1.0, &[0.0, 0.25, 0.5, 0.75, 1.0])]
    #[case::in_between(37.0, &[0.0, 10.0, 20.0, 30.0, 40.0])]
    #[case::thousands(9_100.0, &[0.0, 2_500.0, 5_000.0, 7_500.0, 10_000.0])]
    fn an_axis_has_round_steps(#[case] max: f64, #[case] want: &[f64]) {
        assert_eq!(ticks(max), want);
    }

    #[rstest]
    #[case(1e-300)]
    #[case(f64::MAX)]
    #[case(f64::MIN_POSITIVE)]
    fn an_axis_reaches_over_the_extremes(#[case] max: f64) {
        let steps = ticks(max);
        assert!(steps.len() >= 2 && steps.len() <= 6, "{steps:?}");
        assert!(steps.last().is_some_and(|last| *last >= max * 0.999));
    }
}
