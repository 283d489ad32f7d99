//! What a project may know of people: its mode, its preset, and what both lead to.
//!
//! In: the settings of a project and of the installation. Out: [`Rules`], which arrival, retention, imports
//! and merges obey; a sheet that shows them ([`evidence`]); everything that is stored of one person
//! ([`report`]); which groups of people are too small to be shown ([`threshold`]).
//!
//! Invariant: rules are worked out where they are needed and stored nowhere, so no order in which settings
//! are made leads around a preset.
//!
//! Deliberately elsewhere: hashing (`ingest::identity`), the day's salt (`ingest::day_salts`), erasing
//! (`query::people`).

pub mod evidence;
pub mod handler;
pub mod report;
pub mod threshold;

use serde::{Deserialize, Serialize};
use tallymark_store::Keep;

use crate::config::Config;
use crate::meta::projects::Settings;

/// How long the collector can tell who somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// As long as the id lasts that a page or a server gives.
    Full,
    /// For a day: ids of pages are not looked at, those of servers count for the day only.
    Cookieless,
}

/// Settings that hold together and cannot be loosened one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// What the French data protection authority asks of audience measurement without consent.
    Cnil,
}

/// Twenty-five months, the shortest there are.
pub const CNIL_DAYS_MAX: u32 = 760;

/// What holds for a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How long people are known.
    pub mode: Mode,
    /// Whether the property guard is on.
    pub guard: bool,
    /// Days after which events go, whatever else is set.
    pub days_max: Option<u32>,
}

impl Rules {
    /// By the settings of a project, on this installation.
    pub fn of(settings: &Settings, config: &Config) -> Self {
        let strict = settings.preset == Some(Preset::Cnil);
        let full = config.user_tracking && !strict && settings.mode != Some(Mode::Cookieless);
        Self {
            mode: if full { Mode::Full } else { Mode::Cookieless },
            guard: config.property_guard || strict,
            days_max: days_max(settings),
        }
    }

    /// Whether ids last longer than a day.
    pub fn lasting(&self) -> bool {
        self.mode == Mode::Full
    }
}

/// Days after which events of a project go at the latest.
pub fn days_max(settings: &Settings) -> Option<u32> {
    settings.preset.map(|Preset::Cnil| CNIL_DAYS_MAX)
}

/// Rules of retention under a bound.
pub fn bounded(mut keep: Keep, days_max: Option<u32>) -> Keep {
    let Some(most) = days_max else { return keep };
    let bound = |days: &mut Option<u32>| *days = Some(days.map_or(most, |days| days.min(most)));
    bound(&mut keep.days);
    keep.events.values_mut().for_each(bound);
    keep
}

/// Whether origins are all of one site: one of them is the host that all others are, or are below.
pub fn one_site(origins: &[String]) -> bool {
    let hosts: Option<Vec<String>> = origins
        .iter()
        .map(|origin| Some(url::Url::parse(origin).ok()?.host_str()?.to_owned()))
        .collect();
    let Some(hosts) = hosts else { return false };
    let Some(top) = hosts.iter().min_by_key(|host| host.len()) else { return false };
    hosts.iter().all(|host| host == top || host.ends_with(&format!(".{top}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case::none(&[], false)]
    #[case::one(&["https://shop.example"], true)]
    #[case::parts_of_one(&["https://www.shop.example", "https://shop.example:8443"], true)]
    #[case::two(&["https://shop.example", "https://blog.example"], false)]
    #[case::the_same_end(&["https://shop.example", "https://myshop.example"], false)]
    #[case::beside_one_another(&["https://a.shop.example", "https://b.shop.example"], false)]
    fn one_site_is_a_host_and_what_is_below_it(#[case] origins: &[&str], #[case] want: bool) {
        let origins: Vec<String> = origins.iter().map(ToString::to_string).collect();
        assert_eq!(one_site(&origins), want);
    }

    #[rstest]
    #[case::nothing_said(None, None, true, Mode::Full)]
    #[case::cookieless(None, Some(Mode::Cookieless), true, Mode::Cookieless)]
    #[case::preset(Some(Preset::Cnil), None, true, Mode::Cookieless)]
    #[case::switched_off_for_all(None, Some(Mode::Full), false, Mode::Cookieless)]
    fn the_strictest_says_how_long_people_are_known(
        #[case] preset: Option<Preset>,
        #[case] mode: Option<Mode>,
        #[case] user_tracking: bool,
        #[case] want: Mode,
    ) {
        let config = Config { user_tracking, ..Config::default() };
        assert_eq!(
            Rules::of(&Settings { preset, mode, ..Settings::default() }, &config).mode,
            want
        );
    }

    fn days() -> impl Strategy<Value = Option<u32>> {
        proptest::option::of(1u32..40_000)
    }

    proptest! {
        /// Test 60 of the list of proofs, its first half.
        #[test]
        fn nothing_that_can_be_set_loosens_the_preset(
            full in any::<bool>(),
            property_guard in any::<bool>(),
            user_tracking in any::<bool>(),
            all in days(),
            events in prop::collection::vec(("[a-z]{1,8}", days()), 0..5),
        ) {
            let mode = full.then_some(Mode::Full);
            let settings = Settings { preset: Some(Preset::Cnil), mode, ..Settings::default() };
            let config = Config { property_guard, user_tracking, ..Config::default() };
            let rules = Rules::of(&settings, &config);
            prop_assert!(rules.guard && !rules.lasting());
            let keep = Keep { days: all, events: events.into_iter().collect() };
            let kept = bounded(keep.clone(), rules.days_max);
            let within = |days: Option<u32>| days.is_some_and(|days| days <= CNIL_DAYS_MAX);
            prop_assert!(within(kept.days) && kept.events.values().all(|days| within(*days)));
            // What is shorter stays.
            prop_assert!(all.is_none_or(|days| days > CNIL_DAYS_MAX || kept.days == Some(days)));
            prop_assert_eq!(kept.events.len(), keep.events.len());
        }
    }
}
