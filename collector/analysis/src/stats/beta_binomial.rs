//! Rates, Bayesian: a beta prior, a binomial likelihood, and what they say about which is larger.
//!
//! Everything is an integral over the logit of a rate, of products of densities and distribution
//! functions, which are all log-concave there: [`quadrature`](super::quadrature). Evan Miller's
//! finite sum ("Formulas for Bayesian A/B Testing", 2015) gives the same for whole numbers, and is
//! what the tests compare with; it needs a term for every conversion. Losses are integrals of
//! positive functions, never differences of expectations, which cancel.

use super::quadrature::ln_integral;
use super::{Interval, StatsError, beta};

/// People, and numbers of a prior, at most.
const MOST: f64 = 1e9;

/// The rate of an arm after what was seen: `Beta(a, b)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    a: f64,
    b: f64,
}

/// What to expect of two rates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Odds {
    /// Chance that treatment's rate is above control's.
    pub chance_to_win: f64,
    /// What shipping treatment costs on average: `E max(control − treatment, 0)`.
    pub loss_of_shipping: f64,
    /// What keeping control costs on average: `E max(treatment − control, 0)`.
    pub loss_of_keeping: f64,
}

impl Rate {
    /// With the prior `Beta(prior.0, prior.1)` and `converted` of `n` people.
    ///
    /// # Errors
    /// `bad_input` when the prior's numbers are not between 0.1 and a thousand million, or there are more
    /// people than that: the effort grows with their root, and the normal posterior is as good there.
    pub fn new(n: f64, converted: f64, prior: (f64, f64)) -> Result<Self, StatsError> {
        let usable = |shape: f64| (0.1..=MOST).contains(&shape);
        if !(usable(prior.0) && usable(prior.1)) {
            return Err(StatsError::input("a prior's numbers lie between 0.1 and 1e9"));
        }
        if n > MOST {
            return Err(StatsError::input("above 1e9 people use bayes_gaussian"));
        }
        Ok(Self { a: prior.0 + converted, b: prior.1 + n - converted })
    }

    /// Its expectation, `a / (a + b)`.
    pub fn mean(&self) -> f64 {
        self.a / (self.a + self.b)
    }

    /// What it lies between with chance `1 − alpha`, as likely below as above.
    pub fn interval(&self, alpha: f64) -> Interval {
        // The mirror image keeps the digits of ends close to one.
        let high = 1.0 - beta::quantile(alpha / 2.0, self.b, self.a);
        Interval { low: Some(beta::quantile(alpha / 2.0, self.a, self.b)), high: Some(high) }
    }

    fn ln_density(&self, x: f64, y: f64) -> f64 {
        beta::ln_density(x, y, self.a, self.b)
    }

    fn ln_below(&self, x: f64, y: f64) -> f64 {
        beta::ln_distribution(x, y, self.a, self.b)
    }

    fn ln_above(&self, x: f64, y: f64) -> f64 {
        beta::ln_distribution(y, x, self.b, self.a)
    }

    /// Where the logit is, and about how wide it is spread.
    fn logit(&self) -> (f64, f64) {
        ((self.a / self.b).ln(), (1.0 / self.a + 1.0 / self.b).sqrt())
    }
}

/// `∫ exp(ln_f(x, 1 − x)) dt` over the logit `t` of `x`, for functions that are not zero around the
/// first of the rates and bend no faster than the narrowest.
fn over_logit(rates: &[Rate], ln_f: impl Fn(f64, f64) -> f64) -> f64 {
    let (middle, width) = rates[0].logit();
    let narrowest = rates.iter().map(|rate| rate.logit().1).fold(width, f64::min);
    let ln = |t: f64| ln_f(1.0 / (1.0 + (-t).exp()), 1.0 / (1.0 + t.exp()));
    // Half the narrowest spread, and well below π, where the logistic function has its poles. Rates so
    // far apart that this is not affordable are known to be so.
    let finest = (0.5 * narrowest).min(0.4).max(width / 2000.0);
    ln_integral(ln, middle, width, finest).exp()
}

/// Compare two rates.
pub fn compare(control: &Rate, treatment: &Rate) -> Odds {
    let loss = |above: &Rate, below: &Rate| {
        over_logit(&[*below, *above], |x, y| {
            x.ln() + y.ln() + above.ln_above(x, y) + below.ln_below(x, y)
        })
    };
    Odds {
        chance_to_win: chance_of_best(&[*treatment, *control], 0),
        loss_of_shipping: loss(control, treatment),
        loss_of_keeping: loss(treatment, control),
    }
}

/// Chance that the rate `at` is the largest: `∫ f_i ∏ F_j`.
pub fn chance_of_best(rates: &[Rate], at: usize) -> f64 {
    let mut rates = rates.to_vec();
    rates.swap(0, at);
    let chance = over_logit(&rates, |x, y| {
        let others = rates[1..].iter().map(|rate| rate.ln_below(x, y));
        rates[0].ln_density(x, y) + others.sum::<f64>()
    });
    chance.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// Evan Miller's sum, for whole numbers.
    fn summed(control: &Rate, treatment: &Rate) -> f64 {
        let ln_beta = |a: f64, b: f64| libm::lgamma(a) + libm::lgamma(b) - libm::lgamma(a + b);
        let (c, t) = (control, treatment);
        (0..t.a as u32)
            .map(f64::from)
            .map(|i| {
                (ln_beta(c.a + i, c.b + t.b)
                    - (t.b + i).ln()
                    - ln_beta(1.0 + i, t.b)
                    - ln_beta(c.a, c.b))
                .exp()
            })
            .sum()
    }

    fn rate(n: f64, converted: f64) -> Rate {
        Rate::new(n, converted, (1.0, 1.0)).unwrap()
    }

    #[rstest]
    #[case::alike((100.0, 10.0), (100.0, 10.0))]
    #[case::nobody((0.0, 0.0), (0.0, 0.0))]
    #[case::far_apart((2000.0, 1500.0), (2000.0, 400.0))]
    #[case::at_the_edges((50.0, 0.0), (40.0, 40.0))]
    #[case::uneven((100_000.0, 30.0), (60.0, 1.0))]
    fn the_chance_to_win_equals_the_finite_sum(
        #[case] control: (f64, f64),
        #[case] treatment: (f64, f64),
    ) {
        let (control, treatment) = (rate(control.0, control.1), rate(treatment.0, treatment.1));
        let (got, want) =
            (compare(&control, &treatment).chance_to_win, summed(&control, &treatment));
        assert!((got - want).abs() <= 1e-9 * want, "{got} {want}");
    }

    #[rstest]
    fn gain_less_loss_is_the_difference_of_the_means(#[values(0.1, 0.5, 7.0)] prior: f64) {
        let of = |n, converted| Rate::new(n, converted, (prior, prior)).unwrap();
        let (control, treatment) = (of(400.0, 0.0), of(300.0, 11.0));
        let odds = compare(&control, &treatment);
        let difference = treatment.mean() - control.mean();
        let got = odds.loss_of_keeping - odds.loss_of_shipping;
        assert!((got - difference).abs() < 1e-10 * difference, "{got} {difference}");
    }

    #[test]
    fn chances_of_all_add_up_to_one() {
        let rates = [rate(1000.0, 80.0), rate(900.0, 81.0), rate(50.0, 6.0), rate(0.0, 0.0)];
        let sum: f64 = (0..4).map(|at| chance_of_best(&rates, at)).sum();
        assert!((sum - 1.0).abs() < 1e-10, "{sum}");
    }
}
