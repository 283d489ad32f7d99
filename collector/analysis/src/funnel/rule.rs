//! Whose rules decide how ties, repeated events and exclusions are read: what sets each apart from ours.

use super::options::one_of;
use crate::question::QuestionError;

/// One thing that another product does otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Difference {
    /// PostHog.
    InstantAnyOrder,
    /// PostHog.
    ExclusionRemoves,
    /// Mixpanel.
    OneAttempt,
    /// Mixpanel.
    CloseSteps,
    /// Amplitude.
    WholeSeconds,
    /// ClickHouse.
    EventServesSteps,
    /// ClickHouse.
    EndsWithRange,
}

impl Difference {
    /// In the same order: its permanent code, and what it means in a sentence.
    pub(super) const SAID: &[(&'static str, &'static str)] = &[
        (
            "instant_any_order",
            "events of one millisecond are tried in every order, also those of one device",
        ),
        (
            "exclusion_removes",
            "who met an excluded event leaves the funnel, unless another chain came as far without one",
        ),
        (
            "one_attempt",
            "the first start counts until it is completed, excluded or out of time; a later one does not replace it",
        ),
        ("close_steps", "two steps within two seconds may have happened the other way round"),
        (
            "whole_seconds",
            "times are cut to seconds; within one second any order counts, and the same event once",
        ),
        (
            "event_serves_steps",
            "one event may serve several steps; events of one millisecond are taken in the order of the steps",
        ),
        (
            "ends_with_range",
            "events after the end of the range are not looked at, although the window is still open",
        ),
    ];

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of differences; ours is the empty one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule(u8);

impl Rule {
    pub(super) const OURS: Self = Self(0);

    /// By the names that `compat` takes, ours first.
    pub(super) const NAMES: &[(&'static str, &[Difference])] = &[
        ("tallymark", &[]),
        ("clickhouse", &[Difference::EventServesSteps, Difference::EndsWithRange]),
        ("posthog", &[Difference::InstantAnyOrder, Difference::ExclusionRemoves]),
        ("mixpanel", &[Difference::OneAttempt, Difference::CloseSteps]),
        ("amplitude", &[Difference::WholeSeconds]),
    ];

    /// # Errors
    /// [`QuestionError::Field`] lists the names.
    pub(super) fn parse(field: &'static str, name: &str) -> Result<Self, QuestionError> {
        let of = |differences: &[Difference]| {
            Self(differences.iter().fold(0, |bits, difference| bits | difference.bit()))
        };
        let known: Vec<_> = Self::NAMES.iter().map(|(name, all)| (*name, of(all))).collect();
        one_of(field, name, &known)
    }

    pub(super) fn has(self, difference: Difference) -> bool {
        self.0 & difference.bit() != 0
    }

    /// Whether it is ClickHouse's, whose function has fewer options than ours.
    pub(super) fn is_clickhouse(self) -> bool {
        self.has(Difference::EventServesSteps)
    }

    /// A bit for each difference, in their order.
    pub(super) fn bits(self) -> u8 {
        self.0
    }

    /// The rule with these differences.
    pub(super) fn from_bits(bits: u8) -> Self {
        Self(bits)
    }
}
