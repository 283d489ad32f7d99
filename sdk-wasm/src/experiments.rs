//! Which variant this visitor has, and whether the exposure was recorded already.
//!
//! Assignment is a pure function of the unit (a hash) and the experiment's settings. Without a
//! unit there is no assignment: in cookieless mode nothing lasts, and a variant that changes with
//! every page load would harm both the visitor and the result.

use crate::identity::Identity;
use crate::settings::{Experiment, Unit};
use tallymark_protocol::allocation::{
    HashVersion, Range, bucket_ranges, choose_variation, in_namespace, point,
};

/// Running experiments of this page, and the exposures recorded on it.
pub struct Experiments {
    running: Vec<Experiment>,
    /// (session, experiment, variant).
    exposed: Vec<(u128, String, String)>,
}

impl Experiments {
    /// Nobody is exposed yet.
    pub fn new(running: Vec<Experiment>) -> Experiments {
        Experiments { running, exposed: Vec::new() }
    }

    /// The variant of `key` for this visitor: `None` for an unknown experiment, without a unit,
    /// or when the unit does not take part.
    pub fn variant(&self, key: &str, identity: &Identity) -> Option<&str> {
        let experiment = self.running.iter().find(|experiment| experiment.key == key)?;
        let unit = match experiment.unit {
            Unit::Device => identity.device(),
            Unit::User => identity.user(),
        };
        let chosen = assign(experiment, unit?)?;
        experiment.variants.get(chosen).map(String::as_str)
    }

    /// Notes that the visitor met a variant; gives whether that is news in this session.
    pub fn expose(&mut self, session: u128, key: &str, variant: &str) -> bool {
        let known = |(s, k, v): &(u128, String, String)| *s == session && k == key && v == variant;
        if self.exposed.iter().any(known) {
            return false;
        }
        self.exposed.push((session, key.to_owned(), variant.to_owned()));
        true
    }
}

/// The place of the variant that `unit` gets.
fn assign(experiment: &Experiment, unit: &str) -> Option<usize> {
    if let Some((name, start, end)) = &experiment.namespace
        && !in_namespace(unit, name, Range { start: *start, end: *end })
    {
        return None;
    }
    let seed = experiment.seed.as_ref().unwrap_or(&experiment.key);
    let coverage = experiment.coverage.unwrap_or(1.0);
    let weights = experiment.weights.as_deref();
    let ranges = bucket_ranges(experiment.variants.len(), coverage, weights);
    choose_variation(point(seed, unit, HashVersion::V2), &ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn experiment(key: &str) -> Experiment {
        Experiment {
            key: key.to_owned(),
            variants: vec!["control".into(), "green".into()],
            weights: None,
            coverage: None,
            namespace: None,
            seed: None,
            unit: Unit::Device,
        }
    }

    #[test]
    fn halves_are_halves_and_stay() {
        let experiment = experiment("buy-button");
        let green = (0..10_000).filter(|i| assign(&experiment, &format!("u{i}")) == Some(1));
        // Five standard errors of a fair coin thrown 10,000 times are 250.
        let green = green.count();
        assert!((4_750..=5_250).contains(&green), "{green}");
        assert_eq!(assign(&experiment, "u1"), assign(&experiment, "u1"));
    }

    #[test]
    fn another_seed_deals_anew_and_the_key_is_the_default_seed() {
        let by_key = experiment("a");
        let same = Experiment { seed: Some("a".into()), ..experiment("b") };
        let other = Experiment { seed: Some("c".into()), ..experiment("a") };
        let all =
            |e: &Experiment| (0..100).map(|i| assign(e, &format!("u{i}"))).collect::<Vec<_>>();
        assert_eq!(all(&by_key), all(&same));
        assert_ne!(all(&by_key), all(&other));
    }

    #[test]
    fn coverage_and_namespace_leave_units_out() {
        let nobody = Experiment { coverage: Some(0.0), ..experiment("a") };
        assert!((0..100).all(|i| assign(&nobody, &format!("u{i}")).is_none()));
        let lower = Experiment { namespace: Some(("n".into(), 0.0, 0.5)), ..experiment("a") };
        let upper = Experiment { namespace: Some(("n".into(), 0.5, 1.0)), ..experiment("b") };
        for i in 0..100 {
            let unit = format!("u{i}");
            assert_ne!(assign(&lower, &unit).is_some(), assign(&upper, &unit).is_some());
        }
    }

    #[test]
    fn an_exposure_is_news_once_per_session() {
        let mut experiments = Experiments::new(Vec::new());
        assert!(experiments.expose(1, "a", "green"));
        assert!(!experiments.expose(1, "a", "green"));
        assert!(experiments.expose(1, "a", "control"));
        assert!(experiments.expose(1, "b", "green"));
        assert!(experiments.expose(2, "a", "green"));
    }
}
