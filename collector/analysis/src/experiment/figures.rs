//! From the table of either kernel to one arm's figures of one metric.

use super::Shape;
use super::answer::Excluded;
use super::detail::{PAIRS, STATE, Scope};
use super::question::Kind;
use crate::exact_sum::{DIGITS, Double, ExactSum};
use crate::kernel::{Key, Partial};
use crate::quantile::of_sorted;
use crate::stats::moments::Moments;
use crate::stats::quantile_metric::{Observed, n_star, outer};
use crate::stats::two_sample::{Arm, no_units};
use crate::stats::winsorize::Caps;
use crate::stats::{StatsError, ratio};
use crate::time_bucket::Buckets;

/// The merged table of one of the two kernels.
pub(super) enum Table<'a> {
    /// Of `counter`.
    Plain { partial: &'a Partial, shape: &'a Shape },
    /// Of `detail`.
    Detail {
        partial: &'a Partial,
        has_past: bool,
        days: Option<&'a Buckets>,
        caps: &'a [Option<Caps>],
    },
}

/// A scope and its values.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Part {
    pub(super) scope: Scope,
    pub(super) values: [Key; 3],
}

impl Part {
    /// Everybody.
    pub(super) const ALL: Self = Self::of(Scope::All);

    /// All of a scope.
    pub(super) const fn of(scope: Scope) -> Self {
        Self { scope, values: [Key::None, Key::None, Key::None] }
    }
}

/// One arm's figures of one metric, before rounding.
#[derive(Debug, Clone, Default)]
pub(super) struct Figures {
    pub(super) persons: u64,
    /// People with something.
    pub(super) converted: u64,
    /// Rounded once.
    pub(super) sum: f64,
    /// The value, its denominator, and both before the exposure.
    pub(super) state: Moments<4>,
    /// Of a quantile, sorted.
    pub(super) values: Vec<f64>,
}

impl Table<'_> {
    fn partial(&self) -> &Partial {
        match self {
            Self::Plain { partial, .. } | Self::Detail { partial, .. } => partial,
        }
    }

    pub(super) fn has_past(&self) -> bool {
        matches!(self, Self::Detail { has_past: true, .. })
    }

    pub(super) fn excluded(&self) -> Excluded {
        let key = match self {
            Self::Plain { .. } => [Key::Int(2)],
            Self::Detail { .. } => [Key::Int(12)],
        };
        let at = |column| self.partial().count(&key, column);
        Excluded {
            multi_variant: at(0),
            unknown_variant: at(1),
            variant_mismatch: at(2),
            in_progress: at(3),
        }
    }

    /// People who met several variants under more than one kind of identity, if that was looked at.
    pub(super) fn joined(&self) -> Option<u64> {
        let row = self.partial().rows.get(&[Key::Int(20)][..])?;
        row.first().map(|count| *count as u64)
    }

    /// The variants that people met.
    pub(super) fn met(&self) -> Vec<String> {
        let start = match self {
            Self::Plain { .. } => vec![Key::Int(0)],
            Self::Detail { .. } => vec![Key::Int(10), Key::Int(0), Key::None, Key::None, Key::None],
        };
        let rows = self.partial().starting_with(&start);
        rows.filter_map(|(key, _)| key.first()?.text().map(str::to_owned)).collect()
    }

    /// When somebody in an arm was exposed first.
    pub(super) fn first_ms(&self) -> Option<i64> {
        let key = match self {
            Self::Plain { .. } => Key::Int(5),
            Self::Detail { .. } => Key::Int(15),
        };
        let first = self.partial().bags.get(&[key][..])?.iter().copied().reduce(f64::min);
        first.map(|at| at as i64)
    }

    fn key(&self, tables: [i64; 2], part: &Part, variant: &str) -> Vec<Key> {
        let variant = Key::Text(variant.into());
        match (self, part.scope) {
            (Self::Plain { .. }, Scope::Aside) => vec![Key::Int(tables[0] + 3), variant],
            (Self::Plain { .. }, _) => vec![Key::Int(tables[0]), variant],
            (Self::Detail { .. }, scope) => {
                let [first, second, day] = part.values.clone();
                vec![Key::Int(tables[1]), scope.key(), first, second, day, variant]
            }
        }
    }

    pub(super) fn persons(&self, part: &Part, variant: &str) -> u64 {
        self.partial().count(&self.key([0, 10], part, variant), 0)
    }

    pub(super) fn figures(&self, part: &Part, variant: &str, metric: usize) -> Figures {
        let persons = self.persons(part, variant);
        let mut key = self.key([1, 11], part, variant);
        key.push(metric.into());
        let row = self.partial().rows.get(&key).map_or(&[][..], Vec::as_slice);
        let exact = |at: usize| {
            let start = 1 + DIGITS * at;
            ExactSum::from_columns(row.get(start..start + DIGITS).unwrap_or_default())
        };
        let mut sums = [Double::default(); 4];
        let mut products = [[Double::default(); 4]; 4];
        match self {
            Self::Plain { shape, .. } if shape.metrics[metric].kind.is_yes_or_no() => {
                // A person's value is whether they converted; the sums are of the events' numbers.
                let converted = Double::new(row.first().copied().unwrap_or(0.0));
                (sums[0], products[0][0]) = (converted, converted);
            }
            Self::Plain { .. } => {
                (sums[0], products[0][0]) = (exact(0).double(), exact(1).double());
            }
            Self::Detail { .. } => {
                for (at, sum) in sums.iter_mut().enumerate() {
                    *sum = exact(at).double();
                }
                for (at, (i, j)) in PAIRS.into_iter().enumerate().take(STATE - 4) {
                    let product = exact(4 + at).double();
                    (products[i][j], products[j][i]) = (product, product);
                }
            }
        }
        let mut values = Vec::new();
        if let Self::Detail { partial, .. } = self {
            key[0] = Key::Int(13);
            values = partial.bags.get(&key).cloned().unwrap_or_default();
            values.sort_by(f64::total_cmp);
        }
        Figures {
            persons,
            converted: row.first().copied().unwrap_or(0.0) as u64,
            sum: exact(0).value(),
            state: if persons == 0 {
                Moments::default()
            } else {
                Moments::from_sums(persons as f64, sums, products)
            },
            values,
        }
    }

    /// The values of a slice, or of the strata, that people have, those with the most people first.
    pub(super) fn parts_of(&self, scope: Scope) -> Vec<Part> {
        let start = [Key::Int(10), scope.key()];
        let mut persons: Vec<(u64, Part)> = Vec::new();
        for (key, row) in self.partial().starting_with(&start) {
            let values = [key[0].clone(), key[1].clone(), Key::None];
            let count = row.first().copied().unwrap_or(0.0) as u64;
            match persons.last_mut() {
                // Keys are in order: the arms of one value stand together.
                Some((sum, part)) if part.values == values => *sum += count,
                _ => persons.push((count, Part { scope, values })),
            }
        }
        persons.sort_by(|(a, one), (b, other)| b.cmp(a).then_with(|| one.cmp(other)));
        persons.into_iter().map(|(_, part)| part).collect()
    }

    /// The days that somebody of a part was exposed on, with their dates.
    pub(super) fn days(&self, of: &Part) -> Vec<(String, Part)> {
        let Self::Detail { days: Some(days), partial, .. } = self else { return Vec::new() };
        let scope = match of.scope {
            Scope::Slice(index) => Scope::SliceDay(index),
            _ => Scope::Day,
        };
        let [first, second, _] = of.values.clone();
        let start = [Key::Int(10), scope.key(), first.clone(), second.clone()];
        let mut found: Vec<i64> =
            partial.starting_with(&start).filter_map(|(key, _)| key[0].int()).collect();
        found.dedup();
        let part =
            |day: i64| Part { scope, values: [first.clone(), second.clone(), Key::Int(day)] };
        found.into_iter().map(|day| (days.labels[day as usize].clone(), part(day))).collect()
    }

    pub(super) fn caps(&self, metric: usize) -> Option<Caps> {
        match self {
            Self::Plain { .. } => None,
            Self::Detail { caps, .. } => caps.get(metric).copied().flatten(),
        }
    }
}

impl Figures {
    /// These people and others.
    pub(super) fn merged(&self, other: &Self) -> Self {
        let mut values = [&self.values[..], &other.values].concat();
        values.sort_by(f64::total_cmp);
        Self {
            persons: self.persons + other.persons,
            converted: self.converted + other.converted,
            sum: self.sum + other.sum,
            state: self.state.merged(&other.state),
            values,
        }
    }

    /// Two of the four values.
    pub(super) fn pair(&self, i: usize, j: usize) -> Moments<2> {
        self.state.only([i, j])
    }

    /// As the arm of a comparison. `whole` is the same arm of everybody: a part of it takes its
    /// clusters from there.
    pub(super) fn arm(
        &self,
        kind: Kind,
        quantile: Option<f64>,
        whole: &Self,
    ) -> Result<Arm, StatsError> {
        match (kind, quantile) {
            (Kind::Ratio, _) => ratio::arm(&self.pair(0, 1)),
            (Kind::Quantile, Some(nu)) => self.quantile_arm(nu, whole),
            (kind, _) if kind.is_yes_or_no() => {
                Arm::proportion(self.persons as f64, self.state.mean[0] * self.persons as f64)
            }
            _ => {
                let mut arm = self.state.arm(0)?;
                // The spread of one person is not known.
                if self.persons < 2 {
                    arm.variance = 0.0;
                }
                Ok(arm)
            }
        }
    }

    fn quantile_arm(&self, nu: f64, whole: &Self) -> Result<Arm, StatsError> {
        let n = self.values.len() as f64;
        let at = |share| of_sorted(&self.values, share).ok_or_else(no_units);
        let (low, high) = outer(nu, n_star(n)).ok_or_else(no_units)?;
        let observed = Observed {
            n,
            n_star: n_star(n),
            nu,
            value: at(nu)?,
            lower: at(low)?,
            upper: at(high)?,
        };
        // One value per person: people are no clusters.
        if whole.values.len() as u64 == whole.converted {
            return observed.arm();
        }
        let whole_n = whole.values.len() as f64;
        let all = Observed { n: whole_n, n_star: n_star(whole_n), ..observed };
        let (clustered, _) = all.clustered_arm(&whole.pair(0, 1))?;
        let inflation = clustered.variance / all.arm()?.variance;
        let arm = observed.arm()?;
        Ok(Arm { variance: arm.variance * inflation, ..arm })
    }
}
