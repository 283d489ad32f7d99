//! Quotas: what was agreed for a day, by metric.
//!
//! In: the setting `quota_defaults` and a project's own. Out: those in force. A project's own quota stands
//! before the default of its metric; `null` lifts it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::SettingValue;

/// Quotas of one place.
const QUOTAS_MAX: usize = 100;

/// What happens beyond a quota.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// It is said and counted; everything goes on.
    #[default]
    Soft,
    /// Of events and their bytes: batches are answered 429 until the next day, or until the quota is raised.
    /// Of what servers tell: they are told that no more is allowed.
    Throttle,
}

/// A quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Said")]
pub struct Quota {
    /// The most that is agreed for a day, included; none lifts a default.
    pub limit: Option<u64>,
    /// What happens beyond it.
    pub policy: Policy,
}

/// A quota as people write it: a number, or all of it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Said {
    Limit(Option<u64>),
    All(All),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct All {
    limit: Option<u64>,
    #[serde(default)]
    policy: Policy,
}

impl From<Said> for Quota {
    fn from(said: Said) -> Self {
        match said {
            Said::Limit(limit) => Self { limit, policy: Policy::default() },
            Said::All(All { limit, policy }) => Self { limit, policy },
        }
    }
}

/// Quotas by metric.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quotas(pub BTreeMap<String, Quota>);

impl Quotas {
    /// Whether they can be used.
    ///
    /// # Errors
    /// A sentence that names the metric.
    pub fn check(&self) -> Result<(), String> {
        if self.0.len() > QUOTAS_MAX {
            return Err(format!("at most {QUOTAS_MAX}"));
        }
        for (metric, quota) in &self.0 {
            if !tallymark_store::is_metric(metric) {
                return Err(format!(
                    "{metric:?} is no metric: write lower-case letters, digits, _ . - and :, at most {}",
                    tallymark_store::METRIC_CHARS_MAX
                ));
            }
            if quota.limit.is_some_and(|limit| limit > tallymark_store::AMOUNT_MAX) {
                return Err(format!("{metric}: at most {}", tallymark_store::AMOUNT_MAX));
            }
        }
        Ok(())
    }

    /// Those in force in a project with these of its own: metric, limit and policy.
    pub fn with<'a>(&'a self, own: &'a Self) -> BTreeMap<&'a str, (u64, Policy)> {
        let all = self.0.iter().chain(&own.0).map(|(metric, quota)| (metric.as_str(), quota));
        // The last of equal keys counts.
        let all: BTreeMap<&str, &Quota> = all.collect();
        all.into_iter()
            .filter_map(|(metric, quota)| Some((metric, (quota.limit?, quota.policy))))
            .collect()
    }
}

impl SettingValue for Quotas {
    fn parse(text: &str) -> Result<Self, String> {
        let quotas: Self = serde_json::from_str(text).map_err(|error| {
            format!("not quotas ({error}); write JSON like {{\"api_requests_daily\": 100000}}")
        })?;
        quotas.check().map(|()| quotas)
    }
    fn show(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn quotas(text: &str) -> Quotas {
        <Quotas as SettingValue>::parse(text).unwrap()
    }

    #[test]
    fn quotas_are_numbers_or_say_their_policy() {
        let quotas = quotas(r#"{"a":5,"b":{"limit":7,"policy":"throttle"},"c":null}"#);
        let none = Quotas::default();
        let want = [("a", (5, Policy::Soft)), ("b", (7, Policy::Throttle))].into();
        assert_eq!(none.with(&quotas), want);
        assert_eq!(<Quotas as SettingValue>::parse(&quotas.show()), Ok(quotas));
    }

    #[test]
    fn a_project_stands_before_the_defaults() {
        let defaults = quotas(r#"{"a":5,"b":6,"c":7}"#);
        let own = quotas(r#"{"b":60,"c":null,"d":8}"#);
        let want = [("a", 5), ("b", 60), ("d", 8)];
        let want = want.map(|(metric, limit)| (metric, (limit, Policy::Soft))).into();
        assert_eq!(defaults.with(&own), want);
    }

    #[rstest]
    #[case::no_json("{a:5}", "not quotas")]
    #[case::a_list("[]", "not quotas")]
    #[case::negative(r#"{"a":-1}"#, "not quotas")]
    #[case::a_part(r#"{"a":0.5}"#, "not quotas")]
    #[case::policy(r#"{"a":{"limit":1,"policy":"hard"}}"#, "not quotas")]
    #[case::name(r#"{"A":1}"#, "\"A\" is no metric")]
    #[case::too_much(r#"{"a":9007199254740993}"#, "a: at most 9007199254740992")]
    fn what_is_wrong_is_said(#[case] text: &str, #[case] what: &str) {
        let error = <Quotas as SettingValue>::parse(text).unwrap_err();
        assert!(error.starts_with(what), "{error}");
    }
}
