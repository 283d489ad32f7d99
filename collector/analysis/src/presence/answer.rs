//! Why a figure over several days is not known.

use serde::Serialize;

/// Why figures of an answer are `null`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The permanent code.
    pub code: &'static str,
    /// What it means and what to do.
    pub detail: &'static str,
}

impl Reason {
    /// People whose id is made anew every day cannot be known again on another day.
    pub const DAILY_IDS: Self = Self {
        code: "daily_ids",
        detail: "some of these people have an id that changes every day (cookieless visitors), so \
                 nobody can know how many they are over several days; the filter \
                 {\"prop\": \"identity\", \"op\": \"ne\", \"value\": \"day\"} leaves them out",
    };
}
