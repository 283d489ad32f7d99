//! Whether arms lost different shares of their events on the way: then they differ whatever people did.
//!
//! In: an answer, and how complete the page loads of each arm are. Out: the check beside the result, and a
//! verdict that is invalid where the check fails. The test is of page loads, not of events: what one of them
//! loses is lost together.
//!
//! Deliberately elsewhere: counting what is missing (`completeness`).

use super::answer::{ArmLoss, CheckStatus, ExperimentAnswer, LossCheck};
use crate::stats::chi_squared;
use crate::stats::decision::{Code, Reason};

/// The alarm.
const ALARM: f64 = 0.001;
/// Page loads with gaps and without, expected in each arm, for the test to be right.
const EXPECTED: f64 = 5.0;

/// The sentence of the verdict.
pub(super) const INVALID: &str = "Invalid: the arms lost different shares of their events on the way, so a \
    difference between them may be one of what arrived. Look for what one variant does to sending: errors, \
    crashes, pages that close sooner.";

/// Show the losses beside the result, and let them block it.
pub fn judge(answer: &mut ExperimentAnswer, losses: Vec<ArmLoss>) {
    let of = |variant: &str| losses.iter().find(|loss| loss.variant == variant).cloned();
    let none = |variant: &str| ArmLoss {
        variant: variant.into(),
        page_loads: 0,
        page_loads_with_gaps: 0,
        completeness_ratio: None,
    };
    let arms: Vec<ArmLoss> = answer
        .arms
        .iter()
        .map(|arm| of(&arm.variant).unwrap_or_else(|| none(&arm.variant)))
        .collect();
    let p_value = p_value(&arms);
    let status = match p_value {
        None => CheckStatus::NotEnoughData,
        Some(p) if p < ALARM => CheckStatus::Failed,
        Some(_) => CheckStatus::Ok,
    };
    if status == CheckStatus::Failed && answer.verdict.code != Code::Invalid {
        answer.verdict.code = Code::Invalid;
        answer.verdict.reason = Reason::LossDiffers;
        answer.verdict.variant = None;
        answer.verdict.text = INVALID.into();
        (answer.verdict.persons_more, answer.verdict.days_more) = (None, None);
    }
    answer.checks.loss = Some(LossCheck { status, p_value, arms });
}

/// Pearson's test that all arms lose alike: `Σ (o − e)²/e` over page loads with gaps and without, arms less
/// one degrees of freedom. `None` where too few are expected.
fn p_value(arms: &[ArmLoss]) -> Option<f64> {
    let loads: u64 = arms.iter().map(|arm| arm.page_loads).sum();
    let gaps: u64 = arms.iter().map(|arm| arm.page_loads_with_gaps).sum();
    let known = arms.iter().filter(|arm| arm.page_loads > 0);
    let mut statistic = 0.0;
    for arm in known.clone() {
        let all = arm.page_loads as f64;
        let expected = all * gaps as f64 / loads as f64;
        let fewest = expected.min(all - expected);
        if fewest < EXPECTED {
            return None;
        }
        let off = arm.page_loads_with_gaps as f64 - expected;
        statistic += off * off * (1.0 / expected + 1.0 / (all - expected));
    }
    let degrees = known.count().checked_sub(1).filter(|df| *df > 0)?;
    Some(chi_squared::upper_tail(statistic, degrees as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn arm(variant: &str, page_loads: u64, page_loads_with_gaps: u64) -> ArmLoss {
        let variant = variant.into();
        ArmLoss { variant, page_loads, page_loads_with_gaps, completeness_ratio: None }
    }

    // Of 13.3235 with one degree of freedom: Python 3 `math.erfc(sqrt(13.323464 / 2))` = 2.6211e-4.
    #[rstest]
    #[case::alike(&[arm("a", 1000, 20), arm("b", 1000, 20)], Some(1.0))]
    #[case::differs(&[arm("a", 1000, 20), arm("b", 1000, 50)], Some(2.621_1e-4))]
    #[case::too_few(&[arm("a", 1000, 4), arm("b", 1000, 4)], None)]
    #[case::enough(&[arm("a", 1000, 5), arm("b", 1000, 5)], Some(1.0))]
    #[case::nobody_keeps_anything(&[arm("a", 100, 100), arm("b", 100, 100)], None)]
    #[case::one_arm(&[arm("a", 1000, 20), arm("b", 0, 0)], None)]
    #[case::nothing(&[], None)]
    fn losses_are_compared_by_page_loads(#[case] arms: &[ArmLoss], #[case] want: Option<f64>) {
        match (p_value(arms), want) {
            (Some(got), Some(want)) => assert!((got / want - 1.0).abs() < 1e-3, "{got} {want}"),
            (got, want) => assert_eq!(got, want),
        }
    }
}
