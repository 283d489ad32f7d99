//! Caps on people's values, so that one order of a wholesaler does not decide an experiment.
//!
//! The cap is found over the values of all arms together: a cap per arm would hide a difference. A
//! percentile interpolates between neighbours, as NumPy does.

use super::StatsError;
use crate::quantile::of_sorted;

/// Where values are cut.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Cap {
    /// At this value.
    Absolute {
        /// The largest a person can have.
        upper: f64,
    },
    /// At this share of all people's values.
    Percentile {
        /// 0.99: the largest hundredth is cut.
        upper: f64,
        /// The same from below.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lower: Option<f64>,
        /// Whether people without a value are left out of finding it.
        #[serde(default)]
        ignore_zeros: bool,
    },
}

/// The two values found; `None` where nothing is cut.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "lower and upper cap")]
pub struct Caps {
    pub lower: Option<f64>,
    pub upper: Option<f64>,
}

impl Cap {
    /// Whether it makes sense.
    ///
    /// # Errors
    /// `bad_input` when it does not.
    pub fn checked(self) -> Result<Self, StatsError> {
        let is_right = match self {
            Self::Absolute { upper } => upper.is_finite(),
            Self::Percentile { upper, lower, .. } => {
                let lower = lower.unwrap_or(0.0);
                (0.0..=1.0).contains(&upper) && (0.0..=1.0).contains(&lower) && lower <= upper
            }
        };
        let detail = "a cap is a value, or shares with 0 ≤ lower ≤ upper ≤ 1";
        if is_right { Ok(self) } else { Err(StatsError::input(detail)) }
    }

    /// Find the caps in the values of all arms.
    pub fn of(&self, values: impl Iterator<Item = f64>) -> Caps {
        match *self {
            Self::Absolute { upper } => Caps { lower: None, upper: Some(upper) },
            Self::Percentile { upper, lower, ignore_zeros } => {
                let mut all: Vec<f64> =
                    values.filter(|value| !ignore_zeros || *value != 0.0).collect();
                all.sort_by(f64::total_cmp);
                Caps {
                    lower: lower.and_then(|share| of_sorted(&all, share)),
                    upper: of_sorted(&all, upper),
                }
            }
        }
    }
}

impl Caps {
    /// A value within the caps.
    pub fn apply(&self, value: f64) -> f64 {
        let value = self.upper.map_or(value, |upper| value.min(upper));
        self.lower.map_or(value, |lower| value.max(lower))
    }
}
