//! Integrals of functions whose logarithm is concave: densities, tails, and products of both.
//!
//! One peak, and both sides fall at least exponentially: so the peak is found by climbing, the ends
//! by walking until nothing is left, and between them the trapezoidal rule converges faster than any
//! power of the step (Trefethen and Weideman, "The Exponentially Convergent Trapezoidal Rule",
//! SIAM Review 56, 2014). Working with logarithms keeps integrals right that are far below 1e-308.

/// `e^-46` of the peak: what lies beyond the ends is below the last digit.
const FALL: f64 = 46.0;

/// Points between the ends: the error for a bell is far below the last digit.
const POINTS: f64 = 160.0;

/// The logarithm of `∫ exp(ln_f)`. `near` is a place where the function is not zero, `scale` about
/// how far it extends, `finest` the widest step that still meets its bends (infinite for a bell).
pub(super) fn ln_integral(ln_f: impl Fn(f64) -> f64, near: f64, scale: f64, finest: f64) -> f64 {
    let peak = peak(&ln_f, near, scale);
    let top = ln_f(peak);
    if !top.is_finite() {
        return top;
    }
    let ends = |direction: f64| {
        let (mut inside, mut step) = (peak, scale * direction);
        while ln_f(inside + step) > top - FALL && step.is_finite() {
            inside += step;
            step *= 2.0;
        }
        let mut outside = inside + step;
        for _ in 0..20 {
            let middle = 0.5 * (inside + outside);
            if ln_f(middle) > top - FALL {
                inside = middle;
            } else {
                outside = middle;
            }
        }
        outside
    };
    let (low, high) = (ends(-1.0), ends(1.0));
    let count = ((high - low) / finest).max(POINTS).ceil();
    let step = (high - low) / count;
    let sum: f64 = (0..=count as usize).map(|i| (ln_f(low + step * i as f64) - top).exp()).sum();
    top + (sum * step).ln()
}

/// About where the function is largest.
fn peak(ln_f: &impl Fn(f64) -> f64, near: f64, scale: f64) -> f64 {
    let uphill = if ln_f(near + scale) > ln_f(near) { 1.0 } else { -1.0 };
    let (mut behind, mut here, mut step) = (near - uphill * scale, near, uphill * scale);
    while ln_f(here + step) > ln_f(here) && step.is_finite() {
        behind = here;
        here += step;
        step *= 2.0;
    }
    let (mut low, mut high) = (behind.min(here + step), behind.max(here + step));
    // A hundredth of the width is near enough: the ends are found from here, nothing else.
    for _ in 0..40 {
        let (left, right) = (low + (high - low) / 3.0, high - (high - low) / 3.0);
        if ln_f(left) < ln_f(right) {
            low = left;
        } else {
            high = right;
        }
        if high - low < 1e-3 * scale {
            break;
        }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    fn a_bell_integrates_to_one_wherever_it_is(
        #[values(0.0, 1e6, -3.0)] middle: f64,
        #[values(1e-3, 1.0, 1e4)] width: f64,
        #[values(0.0, -2000.0)] ln_factor: f64,
    ) {
        let ln_f = |x: f64| {
            let z = (x - middle) / width;
            ln_factor - 0.5 * z * z - (width * std::f64::consts::TAU.sqrt()).ln()
        };
        let got = ln_integral(ln_f, middle + 5.0 * width, width, f64::INFINITY);
        assert!((got - ln_factor).abs() < 1e-9, "{got}");
    }

    #[test]
    fn two_exponentials_that_meet_in_a_bend_are_met_with_a_fine_step() {
        // ∫ e^t / (1 + e^t)^1.01 … of the beta distribution with shapes 1 and 0.01, by its logit.
        let ln_f = |t: f64| t - 1.01 * (t.max(0.0) + (-t.abs()).exp().ln_1p());
        let got = ln_integral(ln_f, 0.0, 1.0, 0.5);
        assert!((got - 100f64.ln()).abs() < 1e-9, "{got}");
    }
}
