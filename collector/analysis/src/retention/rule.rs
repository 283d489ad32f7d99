//! Whose rules decide how periods are counted: what sets each apart from ours.
//!
//! They are defaults: a question that says `clock`, `mode` or `cohort_by` itself has that.

use crate::question::QuestionError;

/// One thing that another product does otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Difference {
    /// Mixpanel and Amplitude.
    RollingClock,
    /// Amplitude.
    FromTheHour,
    /// Mixpanel.
    OnOrAfter,
    /// Amplitude.
    EveryCohort,
}

/// A set of differences, a bit each; ours is the empty one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule(pub u8);

impl Rule {
    /// By bit: its permanent code, and what it means in a sentence.
    pub(super) const SAID: &[(&'static str, &'static str)] = &[
        ("rolling_clock", "periods are counted from the moment of the start, not by the calendar"),
        ("from_the_hour", "periods are counted from the beginning of the hour of the start (UTC)"),
        ("on_or_after", "a return counts for its period and all before it"),
        (
            "every_cohort",
            "a person is in every cohort in which they started, not in the first one only",
        ),
    ];

    const NAMES: &[(&'static str, &[Difference])] = &[
        ("tallymark", &[]),
        ("posthog", &[]),
        ("mixpanel", &[Difference::RollingClock, Difference::OnOrAfter]),
        (
            "amplitude",
            &[Difference::RollingClock, Difference::FromTheHour, Difference::EveryCohort],
        ),
    ];

    /// # Errors
    /// [`QuestionError::Field`] lists the names.
    pub(super) fn parse(field: &'static str, name: &str) -> Result<Self, QuestionError> {
        let found = Self::NAMES.iter().find(|(known, _)| *known == name);
        let Some((_, differences)) = found else {
            let names: Vec<_> = Self::NAMES.iter().map(|(name, _)| format!("`{name}`")).collect();
            let detail = format!("`{name}` is not known; write {}", names.join(" or "));
            return Err(QuestionError::Field { field, detail });
        };
        Ok(Self(differences.iter().fold(0, |bits, one| bits | 1 << *one as u8)))
    }

    pub(super) fn has(self, difference: Difference) -> bool {
        self.0 >> difference as u8 & 1 == 1
    }
}
