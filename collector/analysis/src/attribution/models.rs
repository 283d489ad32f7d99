//! How the credit of one conversion is shared among the touches before it.
//!
//! Invariant: the shares of a model add up to one, and what is split by them to the amount.

use serde::{Deserialize, Serialize};

/// How the credit is shared. What the position-based ones do with one or two touches is what Mixpanel
/// documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Model {
    /// All of it to the first touch.
    First,
    /// All of it to the last.
    Last,
    /// To each the same.
    Linear,
    /// Half as much for every half-life that a touch was earlier.
    Decay,
    /// 40 % to the first and the last each, the rest to those between; 50 and 50 of two.
    Position,
    /// 60 % to the last, 20 % to the first; 25 and 75 of two.
    J,
    /// 60 % to the first, 20 % to the last; 75 and 25 of two.
    InverseJ,
}

impl Model {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::First,
        Self::Last,
        Self::Linear,
        Self::Decay,
        Self::Position,
        Self::J,
        Self::InverseJ,
    ];

    /// Put the share of each touch, in order. `ages_ms` says how long before the conversion each of them was;
    /// there is at least one.
    pub(super) fn shares(self, ages_ms: &[i64], half_life_ms: i64, shares: &mut Vec<f64>) {
        let count = ages_ms.len();
        shares.clear();
        let mut ends = |first: f64, last: f64, of_two: [f64; 2]| match count {
            1 => shares.push(1.0),
            2 => shares.extend(of_two),
            _ => {
                shares.resize(count, (1.0 - first - last) / (count - 2) as f64);
                (shares[0], shares[count - 1]) = (first, last);
            }
        };
        match self {
            Self::First => ends(1.0, 0.0, [1.0, 0.0]),
            Self::Last => ends(0.0, 1.0, [0.0, 1.0]),
            Self::Linear => shares.resize(count, 1.0 / count as f64),
            Self::Position => ends(0.4, 0.4, [0.5, 0.5]),
            Self::J => ends(0.2, 0.6, [0.25, 0.75]),
            Self::InverseJ => ends(0.6, 0.2, [0.75, 0.25]),
            Self::Decay => {
                // Relative to the last touch: however long ago all of them were, one weight is 1.
                let last_ms = ages_ms[count - 1];
                let half_lives = |age: &i64| (age - last_ms) as f64 / half_life_ms as f64;
                shares.extend(ages_ms.iter().map(|age| (-half_lives(age)).exp2()));
                let all: f64 = shares.iter().sum();
                shares.iter_mut().for_each(|weight| *weight /= all);
            }
        }
    }
}

/// An amount in its smallest unit, split by shares: each part rounded towards zero, what is left over goes to
/// the last touch that has a share.
pub(super) fn split(amount: i64, shares: &[f64], parts: &mut Vec<i64>) {
    parts.clear();
    parts.extend(shares.iter().map(|share| (amount as f64 * share) as i64));
    let left = amount - parts.iter().sum::<i64>();
    let last = shares.iter().rposition(|share| *share > 0.0).unwrap_or(shares.len() - 1);
    parts[last] += left;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    const DAY: i64 = 86_400_000;

    fn shares(model: Model, ages_ms: &[i64], half_life_ms: i64) -> Vec<f64> {
        // What was there before is gone.
        let mut shares = vec![7.0];
        model.shares(ages_ms, half_life_ms, &mut shares);
        shares
    }

    fn split(amount: i64, shares: &[f64]) -> Vec<i64> {
        let mut parts = vec![7];
        super::split(amount, shares, &mut parts);
        parts
    }

    #[rstest]
    #[case(Model::First, 3, &[1.0, 0.0, 0.0])]
    #[case(Model::Last, 3, &[0.0, 0.0, 1.0])]
    #[case(Model::Linear, 4, &[0.25; 4])]
    #[case(Model::Position, 1, &[1.0])]
    #[case(Model::Position, 2, &[0.5, 0.5])]
    #[case(Model::Position, 4, &[0.4, 0.1, 0.1, 0.4])]
    #[case(Model::J, 2, &[0.25, 0.75])]
    #[case(Model::J, 3, &[0.2, 0.2, 0.6])]
    #[case(Model::InverseJ, 2, &[0.75, 0.25])]
    #[case(Model::InverseJ, 3, &[0.6, 0.2, 0.2])]
    // 7 days earlier is worth half: 1 and 2 of 3 parts.
    #[case(Model::Decay, 2, &[1.0 / 3.0, 2.0 / 3.0])]
    fn a_model_shares(#[case] model: Model, #[case] touches: i64, #[case] want: &[f64]) {
        let ages: Vec<i64> = (0..touches).rev().map(|touch| (touch * 7 + 1) * DAY).collect();
        let got = shares(model, &ages, 7 * DAY);
        let is_near = |(got, want): (&f64, &f64)| (got - want).abs() < 1e-12;
        assert!(got.len() == want.len() && got.iter().zip(want).all(is_near), "{got:?}");
    }

    #[test]
    fn vector_26_the_last_touch_gets_the_remainder() {
        assert_eq!(split(10_000, &[1.0 / 3.0; 3]), [3_333, 3_333, 3_334]);
        assert_eq!(split(-10_000, &[1.0 / 3.0; 3]), [-3_333, -3_333, -3_334]);
        assert_eq!(split(101, &[0.5, 0.5, 0.0]), [50, 51, 0]);
    }

    proptest! {
        #[test]
        fn shares_add_up_to_one_and_parts_to_the_amount(
            ages in prop::collection::vec(0i64..400 * DAY, 1..30),
            amount in -1_000_000_000i64..1_000_000_000, half_life in 1i64..60 * DAY,
        ) {
            let mut ages = ages;
            ages.sort_unstable_by(|a, b| b.cmp(a));
            for model in Model::ALL {
                let shares = shares(model, &ages, half_life);
                prop_assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
                prop_assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)));
                prop_assert_eq!(split(amount, &shares).iter().sum::<i64>(), amount);
            }
        }
    }
}
