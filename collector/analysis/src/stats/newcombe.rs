//! The difference of two rates at small counts: Newcombe's interval.

use super::{StatsError, proportion::wilson};

/// Newcombe's hybrid score interval (his method 10) for treatment minus control, from Wilson's
/// intervals `l`, `u` of each arm: `d − √((pt − lt)² + (uc − pc)²)`, `d + √((ut − pt)² + (pc − lc)²)`.
/// Arms are `(n, converted)`.
///
/// # Errors
/// `no_units` when an arm has nobody.
///
/// Source: Newcombe, Statistics in Medicine 17 (1998), 873–890. Checked against statsmodels
/// `confint_proportions_2indep(method="newcomb")`.
pub fn difference(
    control: (f64, f64),
    treatment: (f64, f64),
    z: f64,
) -> Result<(f64, f64), StatsError> {
    let (control_low, control_high) = wilson(control.0, control.1, z)?;
    let (treatment_low, treatment_high) = wilson(treatment.0, treatment.1, z)?;
    let (control, treatment) = (control.1 / control.0, treatment.1 / treatment.0);
    let estimate = treatment - control;
    Ok((
        estimate - (treatment - treatment_low).hypot(control_high - control),
        estimate + (treatment_high - treatment).hypot(control - control_low),
    ))
}
