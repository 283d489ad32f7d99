//! Two rates, exactly: Fisher's test.

use super::{Alternative, StatsError};

/// People summed over at most: above, the z test is as good and the sum is long.
const MAX_CONVERTED: f64 = 10_000_000.0;

/// p-value of Fisher's exact test for treatment against control; arms are `(n, converted)`.
///
/// Sums the hypergeometric chances of all tables with the same margins: two-sided those no likelier
/// than the table at hand (up to 1e-7, as SciPy does), one-sided those with at least (at most) as
/// many conversions of treatment.
///
/// # Errors
/// `bad_input` above ten million conversions.
///
/// Source: Fisher, "Statistical Methods for Research Workers", section 21.02. Checked against SciPy
/// `stats.fisher_exact`.
pub fn p_value(
    control: (f64, f64),
    treatment: (f64, f64),
    alternative: Alternative,
) -> Result<f64, StatsError> {
    let converted = control.1 + treatment.1;
    let (low, high) = ((converted - control.0).max(0.0), converted.min(treatment.0));
    if high - low > MAX_CONVERTED {
        return Err(StatsError::input("Fisher's test is for small counts; use two_sample_z"));
    }
    // Chances relative to the table at hand: neighbours differ by a ratio of whole numbers.
    let up = |k: f64| {
        (treatment.0 - k) * (converted - k) / ((k + 1.0) * (control.0 - converted + k + 1.0))
    };
    let (mut below, mut above, mut alike) = (0.0, 0.0, 1.0);
    let mut visit = |chance: f64, total: &mut f64| {
        *total += chance;
        if chance <= 1.0 + 1e-7 {
            alike += chance;
        }
    };
    let (mut k, mut chance) = (treatment.1, 1.0);
    while k < high {
        chance *= up(k);
        k += 1.0;
        visit(chance, &mut above);
    }
    (k, chance) = (treatment.1, 1.0);
    while k > low {
        k -= 1.0;
        chance /= up(k);
        visit(chance, &mut below);
    }
    let all = below + 1.0 + above;
    let p = match alternative {
        Alternative::TwoSided => alike,
        Alternative::Greater => 1.0 + above,
        Alternative::Less => 1.0 + below,
    };
    Ok((p / all).min(1.0))
}
