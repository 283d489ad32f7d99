//! Flags and experiments: what somebody gets, and why.
//!
//! In: a document of features with their rules, somebody's attributes. Out: a value, the rule it
//! came from, and the experiments that decided on the way. Pure: the same inputs give the same
//! outcome in a browser and on a server.
//!
//! Documents have the form of the GrowthBook specification (0.8.0), so theirs are accepted and ours
//! can be read by their libraries; `tests/vectors/growthbook-cases.json` holds what it asks for.
//! Points come from [`crate::allocation`], the only hash.
//!
//! Elsewhere: where documents come from (`collector/src/experiments`), keeping sticky assignments
//! and recording exposures (`npm/src/experiments`).

mod address;
mod condition;
mod experiment;
mod feature;
mod host;
mod packed;
mod value;
mod version;

#[cfg(all(test, feature = "flags-native"))]
mod golden;

pub use address::{forced_variation, with_parameters};
pub use condition::{Conditions, OPERATORS};
pub use experiment::{Assignment, Leaf};
pub use feature::{Outcome, Source};
pub use host::Host;
#[cfg(feature = "flags-native")]
pub use host::{Native, compile};
pub use packed::unpack;
pub use value::{NULL, Value};

use alloc::vec::Vec;

/// An evaluation for one person. It notes which experiments decided, those of prerequisites and
/// holdouts included.
///
/// The document has `features`, `savedGroups` and `contextualBandits`. The person has `attributes`,
/// `url`, `forcedVariations`, `enabled`, `qaMode` and, where sticky assignments are kept,
/// `stickyBucketAssignmentDocs`.
pub struct Evaluation<'a, H> {
    document: &'a Value,
    person: &'a Value,
    host: &'a H,
    /// Places of the features that are being evaluated, each because of the one before.
    path: Vec<usize>,
    /// Features that may still be evaluated: many prerequisites of prerequisites multiply.
    left: u32,
    /// Experiments that gave this person a variant by allocation, in the order of their decisions.
    pub decided: Vec<Assignment>,
}

/// More prerequisites one behind the other are taken for a cycle.
const PATH_MAX: usize = 64;
/// More evaluations for one question are taken for a cycle.
const EVALUATIONS_MAX: u32 = 1_000;

impl<'a, H: Host> Evaluation<'a, H> {
    /// Nothing is evaluated yet.
    pub fn new(document: &'a Value, person: &'a Value, host: &'a H) -> Evaluation<'a, H> {
        let path = Vec::new();
        Evaluation { document, person, host, path, left: EVALUATIONS_MAX, decided: Vec::new() }
    }

    fn holds(&self, condition: &Value) -> bool {
        let groups = self.document.get("savedGroups");
        let conditions = Conditions { groups, host: self.host, is_value: false };
        conditions.hold(condition, self.person.get("attributes"))
    }
}
