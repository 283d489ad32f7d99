//! Planning: how many people an experiment needs, what it can find, and how long that takes.
//!
//! `ratio` is treatment over control unless said otherwise. Power counts both directions of a
//! two-sided test, as statsmodels does; closed forms count the right one only. Checked against
//! statsmodels 0.15.0, spotify-confidence 4.1.0 and SciPy by `tests/vectors/stats-power.json`.

use super::quadrature::ln_integral;
use super::{Alternative, StatsError, normal, student};

/// What a test may miss and may claim.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "the usual names")]
pub struct Errors {
    pub alpha: f64,
    pub power: f64,
    pub alternative: Alternative,
}

impl Errors {
    /// What each tail may claim.
    fn tail(&self) -> f64 {
        if self.alternative == Alternative::TwoSided { self.alpha / 2.0 } else { self.alpha }
    }

    fn is_two_sided(&self) -> bool {
        self.alternative == Alternative::TwoSided
    }

    /// `z_{1−α/2} + z_{1−β}`.
    pub fn quantiles(&self) -> f64 {
        normal::upper_quantile(self.tail()) - normal::upper_quantile(self.power)
    }
}

/// Power of a z test whose statistic has the mean `shift` and the standard deviation `1 / scale`
/// of its null: `Q((z − shift) scale)` and the other side.
fn power_z(shift: f64, scale: f64, errors: &Errors) -> f64 {
    let z = normal::upper_quantile(errors.tail());
    let other = if errors.is_two_sided() { normal::upper_tail((z + shift) * scale) } else { 0.0 };
    normal::upper_tail((z - shift) * scale) + other
}

/// Power of the t test of means with `df = n_control (1 + ratio) − 2`, by the noncentral
/// distribution: `E Q(t S − δ)` over the chi distributed `S`. `effect` is the difference in standard
/// deviations.
pub fn power_mean_t(n_control: f64, ratio: f64, effect: f64, errors: &Errors) -> f64 {
    let df = n_control * (1.0 + ratio) - 2.0;
    let shift = effect.abs() * (n_control * ratio / (1.0 + ratio)).sqrt();
    let critical = student::upper_quantile(errors.tail(), df);
    let a = 0.5 * df;
    // The density of ln S, S² the mean square of df normal values.
    let ln_density = |w: f64| {
        std::f64::consts::LN_2 + a * a.ln() - libm::lgamma(a) + df * w - a * (2.0 * w).exp()
    };
    let chance = |side: f64| {
        let ln_f =
            |w: f64| ln_density(w) + normal::ln_upper_tail(critical * w.exp() - side * shift);
        ln_integral(ln_f, 0.0, (2.0 * df).sqrt().recip(), 0.25).exp()
    };
    let other = if errors.is_two_sided() { chance(-1.0) } else { 0.0 };
    (chance(1.0) + other).min(1.0)
}

/// The number for which a rising `power` reaches what was asked for, found from about there.
fn solve(about: f64, least: f64, errors: &Errors, power: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (about.max(least), about.max(least));
    while low > least && power(low) > errors.power {
        low = (0.5 * low).max(least);
    }
    while power(high) < errors.power && high < 1e300 {
        high *= 2.0;
    }
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if power(middle) < errors.power { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// People of control for a difference of means, one tail: `z² (1 + 1/ratio) sd²/δ²` with the sum of
/// the two quantiles. `effect` is `δ/sd`.
pub fn size_mean_closed_form(effect: f64, ratio: f64, errors: &Errors) -> f64 {
    (errors.quantiles() / effect).powi(2) * (1.0 + 1.0 / ratio)
}

/// The same with both tails of the z test.
pub fn size_mean_z(effect: f64, ratio: f64, errors: &Errors) -> f64 {
    let power = |n: f64| power_z(effect.abs() * (n * ratio / (1.0 + ratio)).sqrt(), 1.0, errors);
    solve(size_mean_closed_form(effect, ratio, errors), 1e-9, errors, power)
}

/// The same for the t test, which needs a little more.
pub fn size_mean_t(effect: f64, ratio: f64, errors: &Errors) -> f64 {
    let least = 2.0 / (1.0 + ratio) + 1e-3;
    let about = size_mean_closed_form(effect, ratio, errors);
    solve(about, least, errors, |n| power_mean_t(n, ratio, effect, errors))
}

/// Standard deviations of the difference of two rates times the root of treatment's people, under no
/// difference (pooled) and under the difference. `ratio` is control over treatment.
fn deviations(control: f64, treatment: f64, ratio: f64) -> (f64, f64) {
    let pooled = (treatment + control * ratio) / (1.0 + ratio);
    let null = (pooled * (1.0 - pooled) * (1.0 + 1.0 / ratio)).sqrt();
    let real = (treatment * (1.0 - treatment) + control * (1.0 - control) / ratio).sqrt();
    (null, real)
}

/// People of *treatment* for two rates, by the pooled z test: `((z₁ s0 + z₂ s1)/d)²`. `ratio` is
/// control over treatment.
pub fn size_rates_pooled(control: f64, treatment: f64, ratio: f64, errors: &Errors) -> f64 {
    let (null, real) = deviations(control, treatment, ratio);
    let need =
        normal::upper_quantile(errors.tail()) * null - normal::upper_quantile(errors.power) * real;
    (need / (treatment - control)).powi(2)
}

/// Power of that test with `n` people in each arm.
pub fn power_rates_pooled(control: f64, treatment: f64, n: f64, errors: &Errors) -> f64 {
    let (null, real) = deviations(control, treatment, 1.0);
    power_z((treatment - control).abs() * n.sqrt() / null, null / real, errors)
}

/// Cohen's effect size of two rates, `2 asin √pt − 2 asin √pc`.
pub fn arcsine_effect(control: f64, treatment: f64) -> f64 {
    2.0 * treatment.sqrt().asin() - 2.0 * control.sqrt().asin()
}

/// People per arm by Evan Miller's calculator: both arms vary like control under no difference.
pub fn size_rates_evan_miller(control: f64, treatment: f64, errors: &Errors) -> f64 {
    let null = (2.0 * control * (1.0 - control)).sqrt();
    let real = (control * (1.0 - control) + treatment * (1.0 - treatment)).sqrt();
    let need =
        normal::upper_quantile(errors.tail()) * null - normal::upper_quantile(errors.power) * real;
    (need / (treatment - control)).powi(2)
}

/// Power to find a lift with `n` people per arm, whose values have this mean and variance: the error
/// is that of the lift at this effect, `s² = v/(n m²) + v (1 + d)²/(n m²)`.
pub fn power_lift(mean: f64, variance: f64, n: f64, lift: f64, errors: &Errors) -> f64 {
    let unit = variance / (n * mean * mean);
    let s = (unit * (1.0 + (1.0 + lift) * (1.0 + lift))).sqrt();
    power_z(lift.abs() / s, 1.0, errors)
}

/// The smallest lift found with the power asked for: `d = mB/m − 1` from
/// `A mB² − 2 m mB + m² − k² v/n = 0`, `A = 1 − k² v/(n m²)`. None when `A ≤ 0`: then no lift is
/// large enough, because its own error grows as fast.
pub fn smallest_lift(mean: f64, variance: f64, n: f64, errors: &Errors) -> Option<f64> {
    let k_squared = errors.quantiles().powi(2);
    let unit = k_squared * variance / (n * mean * mean);
    let a = 1.0 - unit;
    // In units of the mean: A x² − 2x + 1 − unit = 0.
    let root = (1.0 - a * a).sqrt();
    (a > 0.0).then_some((1.0 + root) / a - 1.0)
}

/// Power to find a difference of which this is the standard error. `width` is how much wider the interval is
/// than that of a fixed test (1 for that one).
pub fn power_of_difference(
    difference: f64,
    standard_error: f64,
    width: f64,
    errors: &Errors,
) -> f64 {
    let z = width * normal::upper_quantile(errors.tail());
    let shift = difference.abs() / standard_error;
    let other = if errors.is_two_sided() { normal::upper_tail(z + shift) } else { 0.0 };
    normal::upper_tail(z - shift) + other
}

/// The smallest difference that is found with the power asked for: `(w z_{1−α/2} + z_{1−β}) s`.
pub fn smallest_difference(standard_error: f64, width: f64, errors: &Errors) -> f64 {
    let z = width * normal::upper_quantile(errors.tail()) - normal::upper_quantile(errors.power);
    z * standard_error
}

/// By what factor today's people must grow until a lift is found with the power asked for, one at
/// least. `goals` metrics that must all be found take the power to the power of `1/goals`. `width` is
/// how much wider the interval is than that of a fixed test (1 for that one).
///
/// # Errors
/// `bad_input` for a lift of zero, or one that no number of people finds.
pub fn growth_needed(
    lift: f64,
    standard_error: f64,
    goals: f64,
    width: f64,
    errors: &Errors,
) -> Result<f64, StatsError> {
    let each = Errors { power: errors.power.powf(1.0 / goals), ..*errors };
    let z = width * normal::upper_quantile(errors.tail()) - normal::upper_quantile(each.power);
    let growth = (z * standard_error / lift).powi(2);
    if lift == 0.0 || !growth.is_finite() {
        return Err(StatsError::input("say which difference should be found"));
    }
    Ok(growth.max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn errors(power: f64) -> Errors {
        Errors { alpha: 0.05, power, alternative: Alternative::TwoSided }
    }

    #[rstest]
    fn a_size_has_the_power_it_was_made_for(
        #[values(0.05, 0.4, 3.0)] effect: f64,
        #[values(0.5, 0.8, 0.99)] power: f64,
        #[values(0.25, 1.0, 4.0)] ratio: f64,
    ) {
        let n = size_mean_t(effect, ratio, &errors(power));
        let got = power_mean_t(n, ratio, effect, &errors(power));
        // Two people each way are the fewest: then there is more power than asked for.
        assert!((got - power).abs() < 1e-6 || (n < 4.0 && got > power), "{n} {got}");
    }

    #[test]
    fn without_an_effect_the_power_is_alpha() {
        for n in [3.0, 50.0, 1e6] {
            let got = power_mean_t(n, 1.0, 0.0, &errors(0.8));
            assert!((got - 0.05).abs() < 1e-9, "{n}: {got}");
        }
    }

    #[test]
    fn the_smallest_lift_has_the_power_asked_for_and_may_not_exist() {
        let lift = smallest_lift(0.1, 0.09, 5000.0, &errors(0.8)).unwrap();
        // The closed form counts one tail: the other adds less than 1e-5.
        assert!((power_lift(0.1, 0.09, 5000.0, lift, &errors(0.8)) - 0.8).abs() < 1e-5);
        assert_eq!(smallest_lift(0.1, 0.09, 60.0, &errors(0.8)), None);
    }

    #[rstest]
    fn the_smallest_difference_needs_no_more_people(#[values(1.0, 1.55)] width: f64) {
        let smallest = smallest_difference(0.3, width, &errors(0.8));
        assert!((power_of_difference(smallest, 0.3, width, &errors(0.8)) - 0.8).abs() < 1e-5);
        let growth = growth_needed(smallest, 0.3, 1.0, width, &errors(0.8)).unwrap();
        assert!((growth - 1.0).abs() < 1e-12, "{growth}");
        assert!((power_of_difference(0.0, 0.3, 1.0, &errors(0.8)) - 0.05).abs() < 1e-12);
    }

    #[test]
    fn growth_scales_the_error_to_what_is_needed() {
        let all = errors(0.8);
        let growth = growth_needed(0.1, 0.1, 1.0, 1.0, &all).unwrap();
        assert!((growth - all.quantiles().powi(2)).abs() < 1e-12);
        assert_eq!(growth_needed(0.5, 0.01, 1.0, 1.0, &all).unwrap(), 1.0);
        assert!(growth_needed(0.1, 0.1, 3.0, 1.0, &all).unwrap() > growth);
        assert!(growth_needed(0.1, 0.1, 1.0, 1.55, &all).unwrap() > growth);
        assert!(growth_needed(0.0, 0.1, 1.0, 1.0, &all).is_err());
    }
}
