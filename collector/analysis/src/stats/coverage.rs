//! How often intervals hold what they promise, and tests err, in many made-up experiments.

use rstest::rstest;

use super::two_sample::{Arm, Difference, Test, effect};
use super::{Alternative, Interval, fieller};

const TRIALS: u32 = 20_000;
const PEOPLE: u32 = 1_000;

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    /// Above 0, at most 1.
    fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((bits ^ bits >> 31) >> 11) as f64 / (1u64 << 53) as f64 + f64::EPSILON / 4.0
    }

    /// An arm in which each converts with this chance: from one who does to the next.
    fn arm(&mut self, rate: f64) -> Arm {
        let (mut at, mut converted) = (0.0, 0.0);
        loop {
            at += (self.share().ln() / (-rate).ln_1p()).floor() + 1.0;
            if at > f64::from(PEOPLE) {
                return Arm::proportion(f64::from(PEOPLE), converted).expect("there are people");
            }
            converted += 1.0;
        }
    }
}

fn holds(interval: Interval, truth: f64) -> bool {
    interval.low.is_none_or(|low| low <= truth) && interval.high.is_none_or(|high| truth <= high)
}

/// The share of experiments in which something is so; those that cannot be compared are left out.
fn share(rates: [f64; 2], is_so: impl Fn(Arm, Arm) -> Option<bool>) -> f64 {
    let mut random = Random(20_261_126);
    let (mut all, mut so) = (0u32, 0u32);
    for _ in 0..TRIALS {
        let (control, treatment) = (random.arm(rates[0]), random.arm(rates[1]));
        if let Some(is_so) = is_so(control, treatment) {
            all += 1;
            so += u32::from(is_so);
        }
    }
    f64::from(so) / f64::from(all)
}

#[test]
fn a_fixed_test_errs_in_five_percent() {
    let errs = share([0.1, 0.1], |control, treatment| {
        let effect = effect(control, treatment, Difference::Absolute).ok()?;
        Some(effect.test(Test::Welch, 0.05, Alternative::TwoSided).p_value < 0.05)
    });
    assert!((errs - 0.05).abs() < 0.005, "{errs}");
}

#[rstest]
fn intervals_hold_the_truth_in_ninety_five_of_a_hundred(
    #[values(Difference::Absolute, Difference::Relative)] difference: Difference,
    #[values([0.1, 0.1], [0.1, 0.13], [0.4, 0.3])] rates: [f64; 2],
) {
    let truth = match difference {
        Difference::Absolute => rates[1] - rates[0],
        Difference::Relative => rates[1] / rates[0] - 1.0,
    };
    let held = share(rates, |control, treatment| {
        let effect = effect(control, treatment, difference).ok()?;
        Some(holds(effect.test(Test::Welch, 0.05, Alternative::TwoSided).interval, truth))
    });
    assert!((0.945..=0.955).contains(&held), "{held}");
}

/// Where control has ten conversions the delta method does not hold what it promises, and Fieller's interval
/// takes its place.
#[test]
fn the_lift_over_ten_conversions_is_held_by_fiellers_interval() {
    let rates = [0.01, 0.012];
    let by_fieller = share(rates, |control, treatment| {
        Some(holds(fieller::lift(control, treatment, 0.05).ok()?.1, 0.2))
    });
    assert!(by_fieller >= 0.94, "{by_fieller}");
    let by_delta = share(rates, |control, treatment| {
        let effect = effect(control, treatment, Difference::Relative).ok()?;
        Some(holds(effect.test(Test::Welch, 0.05, Alternative::TwoSided).interval, 0.2))
    });
    assert!(by_delta < by_fieller, "{by_delta} {by_fieller}");
}
