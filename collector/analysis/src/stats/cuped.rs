//! CUPED: what people did before the experiment takes its noise out of what they do in it.
//!
//! Values of a person are (after, before) for a mean and (numerator, denominator, numerator before,
//! denominator before) for a ratio. The covariate must end at the person's first exposure: a
//! covariate that the treatment can move takes the effect away.
//!
//! Source: Deng, Xu, Kohavi and Walker, "Improving the Sensitivity of Online Controlled Experiments
//! by Utilizing Pre-Experiment Data" (2013); the lift's exact delta method as in GrowthBook's
//! repository at 8f1db4456915. Checked against gbstats 0.8.0 by `tests/vectors/stats-cuped.json`.

use super::StatsError;
use super::moments::Moments;
use super::two_sample::{
    Arm, Difference, Effect, baseline_zero, degrees_of_freedom, no_units, zero_variance,
};

/// A difference after the adjustment.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "see `mean`")]
pub struct Adjusted {
    pub theta: f64,
    pub control: Arm,
    pub treatment: Arm,
    pub effect: Effect,
}

/// Adjust a mean by its covariate: `θ = cov(y, x) / var(x)` over both arms together,
/// `m' = y − θx`, `v' = vy + θ² vx − 2θ cov`. The absolute difference is that of the adjusted means.
/// The lift divides it by control's *unadjusted* mean `yc`, with
/// `s² = vt'/(nt yc²) + (vyc yt²/yc² + θ² vxc − 2θ covc yt/yc) / (nc yc²)`.
///
/// `θ` is 0, and nothing is adjusted, where nobody has a past.
///
/// # Errors
/// `no_units` below two people in an arm, `baseline_zero`, `zero_variance`.
pub fn mean(
    control: &Moments<2>,
    treatment: &Moments<2>,
    difference: Difference,
) -> Result<Adjusted, StatsError> {
    if !(control.n >= 2.0 && treatment.n >= 2.0) {
        return Err(no_units());
    }
    let both = control.merged(treatment);
    let spread = both.variance(1);
    let theta = if spread > 0.0 { both.covariance(0, 1) / spread } else { 0.0 };
    let arm = |moments: &Moments<2>| Arm {
        n: moments.n,
        mean: moments.mean[0] - theta * moments.mean[1],
        variance: (moments.variance(0) + theta * theta * moments.variance(1)
            - 2.0 * theta * moments.covariance(0, 1))
        .max(0.0),
    };
    let (control_arm, treatment_arm) = (arm(control), arm(treatment));
    if !(control_arm.variance > 0.0 && treatment_arm.variance > 0.0) {
        return Err(zero_variance());
    }
    let absolute = treatment_arm.mean - control_arm.mean;
    let (yc, yt) = (control.mean[0], treatment.mean[0]);
    let (estimate, error_squared) = match difference {
        Difference::Absolute => {
            (absolute, treatment_arm.variance / treatment.n + control_arm.variance / control.n)
        }
        Difference::Relative if yc == 0.0 => return Err(baseline_zero()),
        Difference::Relative => {
            let ratio = yt / yc;
            let of_control = control.variance(0) * ratio * ratio
                + theta * theta * control.variance(1)
                - 2.0 * theta * control.covariance(0, 1) * ratio;
            let square = yc * yc;
            (
                absolute / yc.abs(),
                treatment_arm.variance / (treatment.n * square) + of_control / (control.n * square),
            )
        }
    };
    let effect = Effect {
        n: control.n + treatment.n,
        estimate,
        standard_error: error_squared.sqrt(),
        degrees_of_freedom: degrees_of_freedom(control_arm, treatment_arm),
    };
    Ok(Adjusted {
        theta,
        control: control_arm,
        treatment: treatment_arm,
        effect: effect.checked()?,
    })
}

/// Adjust a ratio `M/D` by the same ratio before, `Mx/Dx`: `r' = M/D − θ Mx/Dx` with the gradient
/// `(1/D, −M/D², −θ/Dx, θ Mx/Dx²)` over the 4×4 covariance; `θ` is the covariance of the two ratios
/// over the variance of the earlier one, each added up over both arms. Without a past in an arm `θ`
/// is 0. The lift divides by control's unadjusted ratio; control's part of its error has
/// `1 + lift` before the first two terms of the gradient.
///
/// # Errors
/// As [`mean()`]; `baseline_zero` also where the denominators of an arm add up to zero.
pub fn ratio(
    control: &Moments<4>,
    treatment: &Moments<4>,
    difference: Difference,
) -> Result<Adjusted, StatsError> {
    if !(control.n >= 2.0 && treatment.n >= 2.0) {
        return Err(no_units());
    }
    if control.mean[1] == 0.0 || treatment.mean[1] == 0.0 {
        return Err(StatsError::new("baseline_zero", "the denominator is zero"));
    }
    let (before, after) = (|m: &Moments<4>| gradient(m, 2), |m: &Moments<4>| gradient(m, 0));
    let has_past = control.mean[3] != 0.0 && treatment.mean[3] != 0.0;
    let arms = [control, treatment];
    let (spread, common) = if has_past {
        (
            arms.iter().map(|arm| form(arm, before(arm), before(arm))).sum(),
            arms.iter().map(|arm| form(arm, after(arm), before(arm))).sum(),
        )
    } else {
        (0.0, 0.0)
    };
    let theta = if spread > 0.0 { common / spread } else { 0.0 };
    let adjusted = |moments: &Moments<4>, scale: f64| -> [f64; 4] {
        let (now, past) = (after(moments), if theta == 0.0 { [0.0; 4] } else { before(moments) });
        std::array::from_fn(|i| scale * now[i] - theta * past[i])
    };
    let arm = |moments: &Moments<4>| {
        let weights = adjusted(moments, 1.0);
        let past = if theta == 0.0 { 0.0 } else { moments.mean[2] / moments.mean[3] };
        Arm {
            n: moments.n,
            mean: moments.mean[0] / moments.mean[1] - theta * past,
            variance: form(moments, weights, weights).max(0.0),
        }
    };
    let (control_arm, treatment_arm) = (arm(control), arm(treatment));
    if !(control_arm.variance > 0.0 && treatment_arm.variance > 0.0) {
        return Err(zero_variance());
    }
    let absolute = treatment_arm.mean - control_arm.mean;
    let of_treatment = treatment_arm.variance / treatment.n;
    let baseline = control.mean[0] / control.mean[1];
    let (estimate, error_squared) = match difference {
        Difference::Absolute => (absolute, of_treatment + control_arm.variance / control.n),
        Difference::Relative if baseline == 0.0 => return Err(baseline_zero()),
        Difference::Relative => {
            // Control's own ratio moves the lift twice: it is subtracted, and divided by.
            let weights = adjusted(control, 1.0 + absolute / baseline);
            let of_control = form(control, weights, weights) / control.n;
            (absolute / baseline.abs(), (of_treatment + of_control) / (baseline * baseline))
        }
    };
    let effect = Effect {
        n: control.n + treatment.n,
        estimate,
        standard_error: error_squared.sqrt(),
        degrees_of_freedom: degrees_of_freedom(control_arm, treatment_arm),
    };
    Ok(Adjusted {
        theta,
        control: control_arm,
        treatment: treatment_arm,
        effect: effect.checked()?,
    })
}

/// How `values[at] / values[at + 1]` moves with the means.
fn gradient(moments: &Moments<4>, at: usize) -> [f64; 4] {
    let (m, d) = (moments.mean[at], moments.mean[at + 1]);
    let mut weights = [0.0; 4];
    weights[at] = 1.0 / d;
    weights[at + 1] = -m / (d * d);
    weights
}

/// The covariance of two linear forms of a person's values.
fn form(moments: &Moments<4>, left: [f64; 4], right: [f64; 4]) -> f64 {
    let mut sum = 0.0;
    for (i, a) in left.iter().enumerate().filter(|(_, weight)| **weight != 0.0) {
        for (j, b) in right.iter().enumerate().filter(|(_, weight)| **weight != 0.0) {
            sum += a * b * moments.covariance(i, j);
        }
    }
    sum
}
