//! All that JavaScript can see of flags and experiments: texts in, numbers out.
//!
//! The document and the person are kept here between questions, because reading them takes longer
//! than answering. An outcome is a list of numbers that say *where* in the document the answer
//! stands; the page has the document too, so no value is written back.
//!
//! Deliberately elsewhere: evaluation itself (`tallymark_protocol::flags`), fetching the document,
//! storage and exposures (`npm/src/experiments`).

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use tallymark_protocol::flags::{Assignment, Evaluation, Host, Leaf, Source, Value, unpack};
use wasm_bindgen::prelude::*;

/// Smaller than the default, and faster.
#[cfg(all(not(feature = "core"), not(target_feature = "atomics")))]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

/// What the browser has already, see `npm/src/host.ts`.
#[wasm_bindgen(raw_module = "tallymark-host")]
extern "C" {
    fn matches(pattern: &str, any_case: bool, text: &str) -> bool;
    fn number(text: &str) -> f64;
    fn text(number: f64) -> String;
    fn lower(text: &str) -> String;
}

struct Browser;

impl Host for Browser {
    fn matches(&self, pattern: &str, any_case: bool, text: &str) -> bool {
        matches(pattern, any_case, text)
    }

    fn number_of(&self, text: &str) -> f64 {
        number(text)
    }

    fn text_of(&self, number: f64) -> String {
        text(number)
    }

    fn lower(&self, text: &str) -> String {
        lower(text)
    }
}

/// A document and a person.
#[wasm_bindgen]
pub struct Evaluator {
    document: Value,
    person: Value,
}

#[wasm_bindgen]
impl Evaluator {
    /// Nothing is known yet.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Evaluator {
        Evaluator { document: Value::Null, person: Value::Null }
    }

    /// Keeps a document, or the person (`is_person`), as `npm/src/pack.ts` packs them. Says whether it
    /// could be read; if not, the one before stays.
    pub fn keep(&mut self, is_person: bool, packed: &str) -> bool {
        let Some(value) = unpack(packed, &Browser) else { return false };
        if is_person {
            self.person = value;
        } else {
            self.document = value;
        }
        true
    }

    /// Evaluates a feature. Numbers: source, place of the rule (-1 for none), then every experiment
    /// that decided, see `push`; first the one the value came from, if it came from one.
    pub fn feature(&self, key: &str) -> Vec<f64> {
        let mut evaluation = self.begin();
        let outcome = evaluation.feature(key);
        let source = match outcome.source {
            Source::Unknown => 0.0,
            Source::Default => 1.0,
            Source::Force => 2.0,
            Source::Experiment => 3.0,
            Source::Prerequisite => 4.0,
            Source::Cyclic => 5.0,
        };
        let mut numbers = vec![source, outcome.rule.map_or(-1.0, |rule| rule as f64)];
        if let Some(met) = &outcome.assignment {
            push(&mut numbers, met);
        }
        for met in &evaluation.decided {
            push(&mut numbers, met);
        }
        numbers
    }

    /// Runs an experiment by itself. Numbers: see `push`.
    pub fn experiment(&self, packed: &str) -> Vec<f64> {
        let experiment = unpack(packed, &Browser).unwrap_or_default();
        let mut numbers = Vec::new();
        push(&mut numbers, &self.begin().experiment(&experiment));
        numbers
    }

    /// Where the first of these experiments that redirects leads: its place, a space and the address;
    /// nothing when none does.
    pub fn redirect(&self, packed: &str) -> String {
        let experiments = unpack(packed, &Browser).unwrap_or_default();
        let redirect = self.begin().redirect(experiments.items().unwrap_or_default());
        let Some((place, url)) = redirect else { return String::new() };
        let mut answer = text(place as f64);
        answer.push(' ');
        answer.push_str(&url);
        answer
    }
}

impl Evaluator {
    fn begin(&self) -> Evaluation<'_, Browser> {
        Evaluation::new(&self.document, &self.person, &Browser)
    }
}

/// What an experiment did, in six numbers: places of the feature and of its rule (-1 for an
/// experiment by itself), place of the variation, bits, point (-1 for none), leaf of a bandit (-2 for
/// none, -1 for the experiment's own weights, else its place).
///
/// Bits: 1 takes part, 2 by allocation, 4 as assigned before, 8 to be kept, 16 by the fallback.
fn push(numbers: &mut Vec<f64>, met: &Assignment) {
    let (feature, rule) = met.place.map_or((-1.0, -1.0), |(f, r)| (f as f64, r as f64));
    let bits = u8::from(met.included)
        | u8::from(met.hashed) << 1
        | u8::from(met.sticky) << 2
        | u8::from(met.keep) << 3
        | u8::from(met.by_fallback) << 4;
    let leaf = match met.leaf {
        Leaf::None => -2.0,
        Leaf::Marginal => -1.0,
        Leaf::At(place) => place as f64,
    };
    let bucket = met.bucket.unwrap_or(-1.0);
    numbers.extend_from_slice(&[
        feature,
        rule,
        met.variation as f64,
        f64::from(bits),
        bucket,
        leaf,
    ]);
}
