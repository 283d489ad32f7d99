//! Which variant a unit gets: id → point in [0, 1) → variant. The only hash of experiments.
//!
//! Follows the published GrowthBook specification, so that an assignment made in a browser, on a
//! server or by another library of that specification is the same. Points are FNV-1a (32 bits)
//! over UTF-16 code units, as a JavaScript string has them: that is what makes non-ASCII ids
//! agree. Same id and experiment, same variant, for ever.
//!
//! Elsewhere: what the unit is (a hashed device or user id: `npm`), and *exposure*: that the
//! person really met the variant.

use alloc::vec;
use alloc::vec::Vec;

/// How a point is made from an id.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(target_arch = "wasm32"), derive(Debug))]
pub enum HashVersion {
    /// Thousandths. Kept for experiments that started with it: seeds that share an ending give
    /// related points.
    V1,
    /// Ten-thousandths, hashed twice. What new experiments use.
    V2,
}

impl HashVersion {
    /// The version with this number; `None` for one we do not know.
    pub const fn from_number(number: u32) -> Option<HashVersion> {
        match number {
            1 => Some(HashVersion::V1),
            2 => Some(HashVersion::V2),
            _ => None,
        }
    }
}

/// The point in [0, 1) of `value` under `seed`.
pub fn point(seed: &str, value: &str, version: HashVersion) -> f64 {
    match version {
        HashVersion::V1 => f64::from(fnv1a(fnv1a(FNV_START, value), seed) % 1_000) / 1_000.0,
        HashVersion::V2 => {
            let once = fnv1a(fnv1a(FNV_START, seed), value);
            f64::from(fnv1a_decimal(once) % 10_000) / 10_000.0
        }
    }
}

/// A part of [0, 1): from `start`, included, to `end`, not included. Empty when they are equal.
#[derive(Clone, Copy, PartialEq)]
#[cfg_attr(not(target_arch = "wasm32"), derive(Debug))]
pub struct Range {
    /// First point inside.
    pub start: f64,
    /// First point after it.
    pub end: f64,
}

impl Range {
    /// Whether `point` lies inside.
    pub fn contains(&self, point: f64) -> bool {
        point >= self.start && point < self.end
    }
}

/// `count` equal weights that sum to 1; none for 0.
pub fn equal_weights(count: usize) -> Vec<f64> {
    vec![1.0 / count as f64; count]
}

/// The range of each of `count` variants.
///
/// `coverage` is the share of units that take part and is clamped to 0..=1; each variant is cut
/// from its end, so raising the coverage moves nobody to another variant. Weights that do not fit
/// (another count, or a sum outside 0.99..=1.01) are replaced by equal ones.
pub fn bucket_ranges(count: usize, coverage: f64, weights: Option<&[f64]>) -> Vec<Range> {
    // A coverage that is no number means nobody takes part, instead of spreading.
    let coverage = if coverage.is_nan() { 0.0 } else { coverage.clamp(0.0, 1.0) };
    let usable = |weights: &&[f64]| {
        weights.len() == count && (0.99..=1.01).contains(&weights.iter().sum::<f64>())
    };
    let equal;
    let weights = match weights.filter(usable) {
        Some(weights) => weights,
        None => {
            equal = equal_weights(count);
            &equal
        }
    };
    let mut cumulative = 0.0;
    let range = |weight: &f64| {
        let start = cumulative;
        cumulative += weight;
        Range { start, end: start + coverage * weight }
    };
    weights.iter().map(range).collect()
}

/// The variant whose range holds `point`, the first one if several do; `None` when the unit does
/// not take part.
pub fn choose_variation(point: f64, ranges: &[Range]) -> Option<usize> {
    ranges.iter().position(|range| range.contains(point))
}

/// Whether `unit` lies in this part of a namespace. Experiments that share a namespace in parts
/// that do not overlap never share a unit.
pub fn in_namespace(unit: &str, namespace: &str, part: Range) -> bool {
    let hash = fnv1a(fnv1a(fnv1a(FNV_START, unit), "__"), namespace);
    part.contains(f64::from(hash % 1_000) / 1_000.0)
}

/// PlanOut's point in [0, 1]: the first 15 hexadecimal digits of `sha1(salt + "." + unit)` over
/// their largest value. For checking assignments that were made elsewhere; browsers do not carry it.
#[cfg(not(target_arch = "wasm32"))]
pub fn planout_uniform(salt: &str, unit: &str) -> f64 {
    let digest = sha1(&[salt.as_bytes(), b".", unit.as_bytes()].concat());
    let [a, b, c, d, e, f, g, h, ..] = digest;
    let fifteen_digits = u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 4;
    fifteen_digits as f64 / 0xFFF_FFFF_FFFF_FFFFu64 as f64
}

const FNV_START: u32 = 0x811C_9DC5;
const FNV_PRIME: u32 = 0x0100_0193;

/// FNV-1a over UTF-16 code units, continued from `hash`: texts are hashed one after the other
/// instead of being joined first.
fn fnv1a(hash: u32, text: &str) -> u32 {
    text.encode_utf16().fold(hash, |hash, unit| (hash ^ u32::from(unit)).wrapping_mul(FNV_PRIME))
}

/// FNV-1a of a number in decimal, without the formatting machinery: it is 2 KB in a browser.
fn fnv1a_decimal(number: u32) -> u32 {
    let mut hash = FNV_START;
    let mut place = 1_000_000_000;
    while place > number && place > 1 {
        place /= 10;
    }
    while place > 0 {
        let digit = u32::from(b'0') + number / place % 10;
        hash = (hash ^ digit).wrapping_mul(FNV_PRIME);
        place /= 10;
    }
    hash
}

/// SHA-1 (FIPS 180-4). Not for secrets; here because PlanOut is defined by it.
#[cfg(not(target_arch = "wasm32"))]
fn sha1(message: &[u8]) -> [u8; 20] {
    let mut state = [0x6745_2301u32, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0];
    let mut padded = message.to_vec();
    padded.push(0x80);
    padded.resize((padded.len() + 8).next_multiple_of(64) - 8, 0);
    padded.extend((message.len() as u64 * 8).to_be_bytes());
    let (blocks, _) = padded.as_chunks::<64>();
    for block in blocks {
        let (words, _) = block.as_chunks::<4>();
        let mut schedule = [0u32; 80];
        for (slot, word) in schedule.iter_mut().zip(words) {
            *slot = u32::from_be_bytes(*word);
        }
        for i in 16..80 {
            let mixed = schedule[i - 3] ^ schedule[i - 8] ^ schedule[i - 14] ^ schedule[i - 16];
            schedule[i] = mixed.rotate_left(1);
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (i, word) in schedule.iter().enumerate() {
            let (choice, constant) = match i {
                0..20 => (b & c | !b & d, 0x5A82_7999),
                20..40 => (b ^ c ^ d, 0x6ED9_EBA1),
                40..60 => (b & c | b & d | c & d, 0x8F1B_BCDC),
                _ => (b ^ c ^ d, 0xCA62_C1D6u32),
            };
            let next =
                [choice, e, constant, *word].into_iter().fold(a.rotate_left(5), u32::wrapping_add);
            (a, b, c, d, e) = (next, a, b.rotate_left(30), c, d);
        }
        for (sum, add) in state.iter_mut().zip([a, b, c, d, e]) {
            *sum = sum.wrapping_add(add);
        }
    }
    let mut digest = [0; 20];
    for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors;
    use proptest::prelude::*;
    use serde::Deserialize;
    use serde_json::Value;

    /// How the specification writes its cases: lists of (name, input…, expected).
    type Pairs = Vec<(f64, f64)>;
    type RangesCase = (String, (usize, f64, Option<Vec<f64>>), Pairs);
    type ChoiceCase = (String, f64, Pairs, i64);
    type NamespaceCase = (String, String, (String, f64, f64), bool);

    #[derive(Deserialize)]
    struct GrowthBook {
        hash: Vec<(String, String, u32, Option<f64>)>,
        #[serde(rename = "getBucketRange")]
        bucket_ranges: Vec<RangesCase>,
        #[serde(rename = "chooseVariation")]
        choose_variation: Vec<ChoiceCase>,
        #[serde(rename = "inNamespace")]
        in_namespace: Vec<NamespaceCase>,
        #[serde(rename = "getEqualWeights")]
        equal_weights: Vec<(i64, Vec<f64>)>,
    }

    fn growthbook() -> GrowthBook {
        vectors::load("growthbook-cases.json")
    }

    fn ranges(pairs: &[(f64, f64)]) -> Vec<Range> {
        pairs.iter().map(|&(start, end)| Range { start, end }).collect()
    }

    #[test]
    fn points_equal_the_specification() {
        for (seed, value, version, want) in growthbook().hash {
            let got = HashVersion::from_number(version).map(|v| point(&seed, &value, v));
            assert_eq!(got, want, "{seed:?} {value:?} version {version}");
        }
    }

    #[test]
    fn ranges_equal_the_specification() {
        for (name, (count, coverage, weights), want) in growthbook().bucket_ranges {
            let got = bucket_ranges(count, coverage, weights.as_deref());
            assert_eq!(got.len(), want.len(), "{name}");
            for (got, want) in got.iter().zip(ranges(&want)) {
                let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
                assert!(
                    close(got.start, want.start) && close(got.end, want.end),
                    "{name}: {got:?}"
                );
            }
        }
    }

    #[test]
    fn choices_equal_the_specification() {
        for (name, point, pairs, want) in growthbook().choose_variation {
            let got = choose_variation(point, &ranges(&pairs));
            assert_eq!(got, usize::try_from(want).ok(), "{name}");
        }
    }

    #[test]
    fn namespaces_equal_the_specification() {
        for (name, unit, (namespace, start, end), want) in growthbook().in_namespace {
            assert_eq!(in_namespace(&unit, &namespace, Range { start, end }), want, "{name}");
        }
    }

    #[test]
    fn equal_weights_equal_the_specification() {
        for (count, want) in growthbook().equal_weights {
            // A negative count cannot be written in our type; the specification wants none for it.
            let got = equal_weights(usize::try_from(count).unwrap_or(0));
            assert_eq!(got.len(), want.len(), "{count}");
            assert!(got.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-8), "{count}: {got:?}");
        }
    }

    #[derive(Deserialize)]
    struct Bucketing {
        cases: Vec<BucketingCase>,
    }

    #[derive(Deserialize)]
    struct BucketingCase {
        id: String,
        #[serde(rename = "fn")]
        function: String,
        input: Value,
        expected: Value,
    }

    #[derive(Deserialize)]
    struct Hash {
        seed: String,
        value: String,
        version: u32,
    }

    #[derive(Deserialize)]
    struct Assign {
        seed: String,
        hash_version: u32,
        coverage: f64,
        weights: Vec<f64>,
        units: Vec<String>,
    }

    #[derive(Deserialize)]
    struct Counts {
        seed: String,
        hash_version: u32,
        coverage: f64,
        variations: usize,
        unit_prefix: String,
        units: usize,
    }

    #[derive(Deserialize)]
    struct Planout {
        salt: String,
        unit: String,
    }

    fn version(number: u32) -> HashVersion {
        HashVersion::from_number(number).expect("a known version")
    }

    fn typed<T: serde::de::DeserializeOwned>(value: &Value) -> T {
        serde_json::from_value(value.clone()).expect("the input of the case")
    }

    #[test]
    fn buckets_variants_and_counts_equal_the_golden_cases() {
        let file: Bucketing = vectors::load("bucketing.json");
        for BucketingCase { id, function, input, expected } in file.cases {
            match function.as_str() {
                "growthbook_hash" => {
                    let Hash { seed, value, version: number } = typed(&input);
                    assert_eq!(expected["value"], point(&seed, &value, version(number)), "{id}");
                }
                "growthbook_assign" => {
                    let Assign { seed, hash_version, coverage, weights, units } = typed(&input);
                    let ranges = bucket_ranges(weights.len(), coverage, Some(&weights));
                    for (at, unit) in units.iter().enumerate() {
                        let bucket = point(&seed, unit, version(hash_version));
                        let variation = choose_variation(bucket, &ranges).map_or(-1, |v| v as i64);
                        assert_eq!(expected["buckets"][at], bucket, "{id} {unit}");
                        assert_eq!(expected["variations"][at], variation, "{id} {unit}");
                    }
                }
                "growthbook_counts" => {
                    let counts: Counts = typed(&input);
                    let ranges = bucket_ranges(counts.variations, counts.coverage, None);
                    let mut got = vec![0u64; counts.variations];
                    let mut outside = 0u64;
                    for unit in 0..counts.units {
                        let unit = format!("{}{unit}", counts.unit_prefix);
                        let point = point(&counts.seed, &unit, version(counts.hash_version));
                        match choose_variation(point, &ranges) {
                            Some(variation) => got[variation] += 1,
                            None => outside += 1,
                        }
                    }
                    assert_eq!(expected["counts"], serde_json::json!(got), "{id}");
                    assert_eq!(expected["not_included"], outside, "{id}");
                }
                "planout_uniform" => {
                    let Planout { salt, unit } = typed(&input);
                    let want = expected["value"].as_f64().expect("a number");
                    let got = planout_uniform(&salt, &unit);
                    assert!((got - want).abs() <= 1e-15 * want, "{id}: {got} {want}");
                }
                other => panic!("{id}: no such function: {other}"),
            }
        }
    }

    #[test]
    fn sha1_equals_fips_180() {
        let hex = |bytes: [u8; 20]| bytes.map(|b| format!("{b:02x}")).concat();
        assert_eq!(hex(sha1(b"")), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        assert_eq!(hex(sha1(b"abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
        let two_blocks = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
        assert_eq!(hex(sha1(two_blocks)), "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    }

    proptest! {
        #[test]
        fn points_lie_in_zero_to_one(seed in ".{0,8}", value in ".{0,8}") {
            for version in [HashVersion::V1, HashVersion::V2] {
                prop_assert!((0.0..1.0).contains(&point(&seed, &value, version)));
            }
        }

        #[test]
        fn raising_the_coverage_moves_nobody_to_another_variant(
            value in ".{0,8}", low in 0.0..1.0f64, high in 0.0..1.0f64, weight in 0.01..0.99f64
        ) {
            let (low, high) = (low.min(high), low.max(high));
            let weights = [weight, 1.0 - weight];
            let at = point("seed", &value, HashVersion::V2);
            let before = choose_variation(at, &bucket_ranges(2, low, Some(&weights)));
            let after = choose_variation(at, &bucket_ranges(2, high, Some(&weights)));
            prop_assert!(before.is_none() || before == after);
        }

        #[test]
        fn full_coverage_leaves_nobody_out(value in ".{0,8}", count in 1usize..20) {
            // Up to rounding: the last range may end some 1e-16 below 1, points end at 0.9999.
            let at = point("seed", &value, HashVersion::V2);
            prop_assert!(choose_variation(at, &bucket_ranges(count, 1.0, None)).is_some());
        }

        #[test]
        fn the_digits_of_a_number_are_those_of_its_text(number in any::<u32>()) {
            prop_assert_eq!(fnv1a_decimal(number), fnv1a(FNV_START, &number.to_string()));
        }
    }
}
