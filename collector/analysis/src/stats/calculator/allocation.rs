//! Who gets which variant, for checking assignments that were made elsewhere. The hash is
//! `protocol::allocation`.

use serde::Deserialize;
use serde_json::{Value, json};
use tallymark_protocol::allocation::{self, HashVersion, bucket_ranges, choose_variation, point};

use super::{StatsError, read};

/// Units counted at most.
const MAX_UNITS: u64 = 1_000_000;
/// Variations at most.
const MAX_VARIATIONS: usize = 1_000;

fn version(number: u32) -> Result<HashVersion, StatsError> {
    HashVersion::from_number(number).ok_or_else(|| StatsError::input("hash versions are 1 and 2"))
}

pub(super) fn growthbook_hash(input: &Value) -> Result<Value, StatsError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        seed: String,
        value: String,
        version: u32,
    }
    let input: Input = read(input)?;
    Ok(json!({ "value": point(&input.seed, &input.value, version(input.version)?) }))
}

/// The bucket of every unit, and its variation: −1 for those outside.
pub(super) fn growthbook_assign(input: &Value) -> Result<Value, StatsError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        seed: String,
        hash_version: u32,
        coverage: f64,
        weights: Vec<f64>,
        units: Vec<String>,
    }
    let input: Input = read(input)?;
    let version = version(input.hash_version)?;
    if !(1..=MAX_VARIATIONS).contains(&input.weights.len()) {
        return Err(StatsError::input(format!("1 to {MAX_VARIATIONS} variations")));
    }
    let ranges = bucket_ranges(input.weights.len(), input.coverage, Some(&input.weights));
    let buckets: Vec<f64> =
        input.units.iter().map(|unit| point(&input.seed, unit, version)).collect();
    let variation = |bucket: &f64| choose_variation(*bucket, &ranges).map_or(-1, |at| at as i64);
    let variations: Vec<i64> = buckets.iter().map(variation).collect();
    Ok(json!({ "buckets": buckets, "variations": variations }))
}

/// How many of the units `prefix0`, `prefix1`, … each of several equal variations gets.
pub(super) fn growthbook_counts(input: &Value) -> Result<Value, StatsError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        seed: String,
        hash_version: u32,
        coverage: f64,
        variations: usize,
        unit_prefix: String,
        units: u64,
    }
    let input: Input = read(input)?;
    let version = version(input.hash_version)?;
    if !(1..=MAX_VARIATIONS).contains(&input.variations) || input.units > MAX_UNITS {
        return Err(StatsError::input(format!(
            "1 to {MAX_VARIATIONS} variations and at most {MAX_UNITS} units"
        )));
    }
    let ranges = bucket_ranges(input.variations, input.coverage, None);
    let mut counts = vec![0u64; input.variations];
    let mut outside = 0u64;
    for unit in 0..input.units {
        let unit = format!("{}{unit}", input.unit_prefix);
        match choose_variation(point(&input.seed, &unit, version), &ranges) {
            Some(variation) => counts[variation] += 1,
            None => outside += 1,
        }
    }
    Ok(json!({ "counts": counts, "not_included": outside }))
}

pub(super) fn planout_uniform(input: &Value) -> Result<Value, StatsError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        salt: String,
        unit: String,
    }
    let input: Input = read(input)?;
    Ok(json!({ "value": allocation::planout_uniform(&input.salt, &input.unit) }))
}
