//! What a series measures, and what that takes.

use serde::{Deserialize, Serialize};

/// What a series measures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Measure {
    #[default]
    Count,
    Persons,
    Sum,
    Avg,
    Min,
    Max,
    P50,
    P90,
    P95,
    P99,
    PerPerson,
}

impl Measure {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Persons => "persons",
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::PerPerson => "per_person",
        }
    }

    pub(super) fn needs_number(self) -> bool {
        !matches!(self, Self::Count | Self::Persons | Self::PerPerson)
    }

    pub(super) fn sums(self) -> bool {
        matches!(self, Self::Sum | Self::Avg | Self::PerPerson)
    }

    pub(super) fn counts_persons(self) -> bool {
        matches!(self, Self::Persons | Self::PerPerson)
    }

    /// The share below a quantile.
    pub(super) fn quantile(self) -> Option<f64> {
        match self {
            Self::P50 => Some(0.5),
            Self::P90 => Some(0.9),
            Self::P95 => Some(0.95),
            Self::P99 => Some(0.99),
            _ => None,
        }
    }
}
