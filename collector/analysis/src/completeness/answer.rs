//! How much of what pages made is here, as it is answered.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::answer::ratio;

/// How much of what pages made is here.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CompletenessAnswer {
    /// The first instant that is answered for: writers of page loads before it are forgotten.
    pub known_from: String,
    /// All days and browsers.
    pub total: Completeness,
    /// By day, as far as they are known.
    pub days: Vec<CompletenessDay>,
    /// By browser, by falling number of page loads.
    pub browsers: Vec<CompletenessBrowser>,
}

/// Page loads and their events.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Completeness {
    /// Page loads of which at least one event is here.
    pub page_loads: u64,
    /// Page loads of which an event is missing.
    pub page_loads_with_gaps: u64,
    /// Numbers that were given to events, up to the last one that is here.
    pub issued: u64,
    /// Events that are here.
    pub received: u64,
    /// `issued` less `received`.
    pub missing: u64,
    /// `received` as a share of `issued`; `null` without page loads.
    pub completeness_ratio: Option<f64>,
    /// What pages said that they lost, by reason.
    pub lost: BTreeMap<String, u64>,
    /// Missing events that no page gave a reason for.
    pub unexplained: u64,
}

/// One day.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CompletenessDay {
    /// The local date.
    pub day: String,
    /// All browsers.
    #[serde(flatten)]
    pub all: Completeness,
    /// By browser, by falling number of page loads.
    pub browsers: Vec<CompletenessBrowser>,
}

/// One browser.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CompletenessBrowser {
    /// Its name; `null` where nothing says.
    pub browser: Option<String>,
    /// Its page loads.
    #[serde(flatten)]
    pub all: Completeness,
}

impl Completeness {
    pub(super) fn add(&mut self, other: &Self) {
        self.page_loads += other.page_loads;
        self.page_loads_with_gaps += other.page_loads_with_gaps;
        self.issued += other.issued;
        self.received += other.received;
        for (reason, count) in &other.lost {
            *self.lost.entry(reason.clone()).or_default() += count;
        }
    }

    /// The figures that follow from the others.
    pub(super) fn finish(mut self) -> Self {
        self.missing = self.issued - self.received;
        self.completeness_ratio = ratio(self.received, self.issued);
        self.unexplained = self.missing.saturating_sub(self.lost.values().sum());
        self
    }
}

/// Browsers by falling number of page loads.
pub(super) fn listed(
    browsers: BTreeMap<&Option<String>, Completeness>,
) -> Vec<CompletenessBrowser> {
    let mut list: Vec<_> = browsers
        .into_iter()
        .map(|(browser, all)| CompletenessBrowser { browser: browser.clone(), all: all.finish() })
        .collect();
    list.sort_by_key(|browser| std::cmp::Reverse(browser.all.page_loads));
    list
}
