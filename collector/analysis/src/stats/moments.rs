//! Sufficient statistics of one arm: people, means and co-moments of `K` values per person. They
//! merge, so a day's state is added to the days before it.
//!
//! `K` is 1 for a mean, 2 for a ratio (numerator, denominator) or a mean with its covariate, 4 for a
//! ratio with both of its covariates.
//!
//! Source: Welford, Technometrics 4 (1962), for one more person; Chan, Golub and LeVeque, "Updating
//! Formulae" (1979), for merging: `M2 = M2a + M2b + d² na nb / (na + nb)`, co-moments alike. The
//! trap is `Σx² − (Σx)²/n`, which cancels far from zero: where only sums are known, [`from_sums`]
//! subtracts with twice the digits.
//!
//! [`from_sums`]: Moments::from_sums

use super::{StatsError, two_sample};
use crate::exact_sum::Double;

/// See the [module](self).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moments<const K: usize> {
    /// People.
    pub n: f64,
    /// Mean of each value.
    pub mean: [f64; K],
    /// Sums of products of deviations from the means.
    comoments: [[f64; K]; K],
}

impl<const K: usize> Default for Moments<K> {
    fn default() -> Self {
        Self { n: 0.0, mean: [0.0; K], comoments: [[0.0; K]; K] }
    }
}

impl<const K: usize> Moments<K> {
    /// One more person with these values.
    pub fn push(&mut self, values: [f64; K]) {
        self.n += 1.0;
        let before: [f64; K] = std::array::from_fn(|i| values[i] - self.mean[i]);
        for (mean, difference) in self.mean.iter_mut().zip(before) {
            *mean += difference / self.n;
        }
        for (i, row) in self.comoments.iter_mut().enumerate() {
            for (j, sum) in row.iter_mut().enumerate() {
                *sum += before[i] * (values[j] - self.mean[j]);
            }
        }
    }

    /// These people and those of another arm or day.
    #[must_use]
    pub fn merged(&self, other: &Self) -> Self {
        let n = self.n + other.n;
        if self.n == 0.0 || other.n == 0.0 {
            return if self.n == 0.0 { *other } else { *self };
        }
        let apart: [f64; K] = std::array::from_fn(|i| other.mean[i] - self.mean[i]);
        let weight = self.n * (other.n / n);
        Self {
            n,
            mean: std::array::from_fn(|i| self.mean[i] + apart[i] * (other.n / n)),
            comoments: std::array::from_fn(|i| {
                std::array::from_fn(|j| {
                    self.comoments[i][j] + other.comoments[i][j] + apart[i] * apart[j] * weight
                })
            }),
        }
    }

    /// From `Σx` and `Σxy`, of numbers of 106 bits.
    pub fn from_sums(n: f64, sums: [Double; K], products: [[Double; K]; K]) -> Self {
        let count = Double::new(n);
        Self {
            n,
            mean: sums.map(|sum| sum.high / n),
            comoments: std::array::from_fn(|i| {
                std::array::from_fn(|j| {
                    count.times(products[i][j]).minus(sums[i].times(sums[j])).high / n
                })
            }),
        }
    }

    /// Some of the values only, in this order.
    pub fn only<const J: usize>(&self, values: [usize; J]) -> Moments<J> {
        Moments {
            n: self.n,
            mean: values.map(|i| self.mean[i]),
            comoments: values.map(|i| values.map(|j| self.comoments[i][j])),
        }
    }

    /// `Σ(x − x̄)(y − ȳ) / (n − 1)` of two of the values. Not a number for one person.
    pub fn covariance(&self, i: usize, j: usize) -> f64 {
        self.comoments[i][j] / (self.n - 1.0)
    }

    /// `Σ(x − x̄)² / (n − 1)` of a value. Not a number for one person.
    pub fn variance(&self, i: usize) -> f64 {
        (self.comoments[i][i] / (self.n - 1.0)).max(0.0)
    }

    /// One of the values as the arm of a comparison.
    ///
    /// # Errors
    /// `no_units` for an arm of nobody.
    pub fn arm(&self, i: usize) -> Result<two_sample::Arm, StatsError> {
        if !super::positive(self.n) {
            return Err(two_sample::no_units());
        }
        Ok(two_sample::Arm { n: self.n, mean: self.mean[i], variance: self.variance(i) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exact_sum::ExactSum;
    use proptest::prelude::*;

    fn of(pairs: &[[f64; 2]]) -> Moments<2> {
        let mut moments = Moments::default();
        pairs.iter().for_each(|pair| moments.push(*pair));
        moments
    }

    #[test]
    fn a_variance_survives_a_large_offset() {
        let at =
            |offset: f64| of(&[4.0, 7.0, 13.0, 16.0].map(|x| [x + offset, 2.0 * (x + offset)]));
        assert_eq!(at(1e9).variance(0), 30.0);
        assert_eq!(at(1e9).covariance(0, 1), 60.0);
        // What one would write first: it is wrong by the size of the answer itself.
        let values = [4.0, 7.0, 13.0, 16.0].map(|x: f64| x + 1e9);
        let (sum, squares) =
            (values.iter().sum::<f64>(), values.map(|x| x * x).iter().sum::<f64>());
        assert!(((squares - sum * sum / 4.0) / 3.0 - 30.0).abs() > 10.0);
    }

    proptest! {
        #[test]
        fn merging_equals_the_whole_and_the_exact_sums(
            pairs in prop::collection::vec((-1e3f64..1e3, -1e3f64..1e3), 2..80),
            cut in any::<prop::sample::Index>(),
            offset in prop::sample::select(vec![0.0, 1e6]),
        ) {
            let pairs: Vec<[f64; 2]> = pairs.into_iter().map(|(x, y)| [x + offset, y]).collect();
            let (left, right) = pairs.split_at(cut.index(pairs.len()));
            let whole = of(&pairs);
            let merged = of(left).merged(&of(right));
            let double = |value: &dyn Fn(&[f64; 2], &mut ExactSum)| {
                let mut sum = ExactSum::default();
                pairs.iter().for_each(|pair| value(pair, &mut sum));
                sum.double()
            };
            let sums = [0, 1].map(|i| double(&move |p: &[f64; 2], s: &mut ExactSum| s.add(p[i])));
            let products = [0, 1].map(|i| [0, 1].map(|j| double(&move |p: &[f64; 2], s: &mut ExactSum| {
                s.add_product(p[i], p[j]);
            })));
            let exact = Moments::from_sums(pairs.len() as f64, sums, products);
            let scale = 1e-9 * (1.0 + offset.abs() * 1e-3);
            for other in [merged, exact] {
                prop_assert_eq!(other.n, whole.n);
                for i in 0..2 {
                    prop_assert!((other.mean[i] - whole.mean[i]).abs() <= 1e-9 * (1.0 + whole.mean[i].abs()));
                    for j in 0..2 {
                        let (a, b) = (other.covariance(i, j), whole.covariance(i, j));
                        let size = (whole.variance(i) * whole.variance(j)).sqrt();
                        prop_assert!((a - b).abs() <= scale * (1.0 + size), "{} {}", a, b);
                    }
                }
            }
        }
    }
}
