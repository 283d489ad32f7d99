//! The families of reference cases, and what is refused.

use super::*;
use rstest::rstest;

/// `|got − expected| ≤ max(abs, rel × |expected|)`; lists element by element; the rest exactly.
fn close(got: &Value, expected: &Value, tolerance: &Value) -> bool {
    match (got, expected) {
        (Value::Number(got), Value::Number(expected)) => {
            let (got, expected) = (got.as_f64().unwrap(), expected.as_f64().unwrap());
            let rel = tolerance["rel"].as_f64().unwrap() * expected.abs();
            (got - expected).abs() <= tolerance["abs"].as_f64().unwrap().max(rel)
        }
        (Value::Array(got), Value::Array(expected)) => {
            got.len() == expected.len()
                && got.iter().zip(expected).all(|(g, e)| close(g, e, tolerance))
        }
        (Value::Object(got), Value::Object(expected)) => {
            expected.iter().all(|(key, e)| got.get(key).is_some_and(|g| close(g, e, tolerance)))
        }
        (got, expected) => got == expected,
    }
}

/// The expected numbers come from other programs, named in each file.
#[rstest]
#[case::proportions(include_str!("../../../../../tests/vectors/stats-proportions.json"), 41)]
#[case::means(include_str!("../../../../../tests/vectors/stats-means.json"), 17)]
#[case::ratio(include_str!("../../../../../tests/vectors/stats-ratio.json"), 12)]
#[case::srm(include_str!("../../../../../tests/vectors/stats-srm.json"), 13)]
#[case::power(include_str!("../../../../../tests/vectors/stats-power.json"), 32)]
#[case::bayesian_gaussian(include_str!("../../../../../tests/vectors/stats-bayesian-gaussian.json"), 17)]
#[case::bayesian_beta_binomial(include_str!("../../../../../tests/vectors/stats-bayesian-beta-binomial.json"), 10)]
#[case::sequential(include_str!("../../../../../tests/vectors/stats-sequential.json"), 20)]
#[case::cuped(include_str!("../../../../../tests/vectors/stats-cuped.json"), 13)]
#[case::multiple_testing(include_str!("../../../../../tests/vectors/stats-multiple-testing.json"), 29)]
#[case::winsorized(include_str!("../../../../../tests/vectors/stats-winsorized.json"), 5)]
#[case::quantile(include_str!("../../../../../tests/vectors/stats-quantile.json"), 10)]
#[case::non_inferiority(include_str!("../../../../../tests/vectors/stats-non-inferiority.json"), 6)]
#[case::bucketing(include_str!("../../../../../tests/vectors/bucketing.json"), 51)]
#[case::attribution(include_str!("../../../../../tests/vectors/stats-attribution.json"), 9)]
#[case::edge(include_str!("../../../../../tests/vectors/stats-edge.json"), 12)]
#[case::special(include_str!("../../../../../tests/vectors/stats-special-functions.json"), 46)]
fn every_case_of_the_family_holds(#[case] file: &str, #[case] count: usize) {
    let file: Value = serde_json::from_str(file).unwrap();
    let cases = file["cases"].as_array().unwrap();
    assert_eq!(cases.len(), count);
    let mut wrong = Vec::new();
    for case in cases {
        let got = calculate(case["fn"].as_str().unwrap(), &case["input"]);
        let expected = case["expected"].as_object().unwrap();
        for (field, want) in expected.iter().filter(|(field, _)| *field != "digits") {
            let tolerance = &case["tolerance"];
            let own = tolerance.get("fields").and_then(|fields| fields.get(field));
            let ok =
                got.as_ref().is_ok_and(|got| close(&got[field], want, own.unwrap_or(tolerance)));
            if !ok {
                wrong.push(format!("{} {field}: got {got:?}, want {want}", case["id"]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[rstest]
#[case("two_sample_q", json!({}), "unknown_fn")]
#[case("norm_sf", json!({ "y": 1 }), "bad_input")]
#[case("norm_ppf", json!({ "p": 2 }), "bad_input")]
#[case("proportion_ci", json!({ "n": 0, "sum": 0, "method": "wilson" }), "no_units")]
#[case("proportion_ci", json!({ "n": 5, "sum": 6, "method": "wilson" }), "bad_input")]
#[case("srm_chi2", json!({ "users": [1], "weights": [1, 1] }), "bad_input")]
#[case("srm_chi2", json!({ "users": [0, 0], "weights": [1, 1] }), "no_units")]
#[case("srm_chi2", json!({ "users": [1, 2], "weights": [1, 0] }), "bad_input")]
fn what_cannot_be_computed_is_an_error(
    #[case] function: &str,
    #[case] input: Value,
    #[case] code: &str,
) {
    assert_eq!(calculate(function, &input).unwrap_err().code, code);
}

#[rstest]
#[case::nobody_in_an_arm(json!({ "n": 0, "sum": 0 }), "no_units")]
#[case::nobody_converted(json!({ "n": 50, "sum": 0 }), "baseline_zero")]
#[case::everybody_converted(json!({ "n": 50, "sum": 50 }), "zero_variance")]
fn not_enough_data_is_no_number(#[case] control: Value, #[case] code: &str) {
    let input = json!({ "metric": "proportion", "control": control,
        "treatment": { "n": 60, "sum": 6 }, "difference": "relative" });
    assert_eq!(calculate("two_sample_t", &input).unwrap_err().code, code);
}

#[rstest]
fn a_students_quantile_undoes_its_tail(
    #[values(1.0, 1.6, 3.0, 30.0, 999.0, 1000.0, 1e4, 1e6, 1e9)] df: f64,
    #[values(0.4, 0.1, 0.025, 0.0005, 1e-8)] tail: f64,
) {
    let t = student::upper_quantile(tail, df);
    let back = student::upper_tail(t, df);
    assert!((back - tail).abs() <= 1e-10 * tail, "df {df}, tail {tail}: {t}, {back}");
}

#[rstest]
fn a_normal_quantile_undoes_its_tail(
    #[values(0.49, 0.3, 0.1, 1e-3, 1e-10, 1e-100, 1e-300)] tail: f64,
) {
    let back = normal::upper_tail(normal::upper_quantile(tail));
    assert!((back - tail).abs() <= 1e-12 * tail, "tail {tail}: {back}");
}

/// Numbers of all sizes from a seed, many of them at an edge.
struct Arms(u64);

impl Arms {
    fn share(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    fn count(&mut self) -> f64 {
        match (self.share() * 6.0) as u8 {
            0 => (self.share() * 3.0).floor(),
            1 => (self.share() * 1e9).floor(),
            _ => (10f64.powf(self.share() * 6.0)).floor(),
        }
    }

    fn proportion(&mut self) -> Value {
        let n = self.count();
        let share = match (self.share() * 5.0) as u8 {
            0 => 0.0,
            1 => 1.0,
            _ => self.share(),
        };
        json!({ "n": n, "sum": (n * share).floor() })
    }

    fn mean(&mut self) -> Value {
        let n = self.count();
        let offset = [0.0, 1.0, -1e9, 1e12][(self.share() * 4.0) as usize];
        let spread = [0.0, 1e-6, 1.0, 1e9][(self.share() * 4.0) as usize];
        json!({ "n": n, "sum": n * offset, "sum_squares": n * (offset * offset + spread * spread) })
    }
}

#[test]
fn whatever_the_arms_are_there_is_a_number_or_a_reason() {
    let mut arms = Arms(11);
    for _ in 0..5_000 {
        let is_rate = arms.share() < 0.5;
        let mut arm = || if is_rate { arms.proportion() } else { arms.mean() };
        let (control, treatment) = (arm(), arm());
        let difference = if arms.share() < 0.5 { "absolute" } else { "relative" };
        let metric = if is_rate { "proportion" } else { "mean" };
        let input = json!({ "metric": metric, "control": control, "treatment": treatment,
            "difference": difference });
        for function in ["two_sample_t", "two_sample_z", "sequential_two_sided", "bayes_gaussian"] {
            match calculate(function, &input) {
                Ok(got) => {
                    // Not-a-number and the infinities are `null` in JSON.
                    let known = got.as_object().unwrap().values().all(Value::is_number);
                    assert!(known, "{function} {input}: {got}");
                    if let Some(p) = got.get("p_value") {
                        assert!((0.0..=1.0).contains(&p.as_f64().unwrap()), "{function} {input}");
                    }
                    assert!(
                        got["ci_low"].as_f64() <= got["ci_high"].as_f64(),
                        "{function} {input}: {got}"
                    );
                }
                Err(error) => {
                    assert!(
                        ["no_units", "zero_variance", "baseline_zero"].contains(&error.code),
                        "{function} {input}: {error:?}"
                    );
                }
            }
        }
        // The chance by beta distributions takes its time at 1e9 people.
        let most = |arm: &Value| arm["n"].as_f64().unwrap() > 1e5;
        if is_rate && (most(&input["control"]) || most(&input["treatment"])) {
            continue;
        }
        let edge = calculate("edge_two_sample_t", &input).unwrap();
        let ok = edge["status"] == "ok";
        assert_eq!(ok, edge["p_value"].is_number(), "{input}: {edge}");
        assert!(ok || edge["reason"].is_string(), "{input}: {edge}");
    }
}

/// The trap of libraries: with as many degrees of freedom as a large service has users they lose
/// digits, or do not return.
#[rstest]
#[case(0.975, 1e6, 1.959_966_356_814_107)]
#[case(0.975, 1e7, 1.959_964_221_767_205_5)]
#[case(0.975, 3e8, 1.959_963_992_447_625)]
fn a_large_service_gets_the_right_quantile(#[case] p: f64, #[case] df: f64, #[case] want: f64) {
    // mpmath 1.3.0, 40 digits.
    let got = calculate("t_ppf", &json!({ "p": p, "df": df })).unwrap()["value"].as_f64().unwrap();
    assert!((got / want - 1.0).abs() < 1e-12, "{got}");
}

/// 1 − cdf would be 0 from 1e-16 on.
#[test]
fn a_p_value_far_in_the_tail_keeps_its_digits() {
    let far = json!({ "metric": "proportion", "difference": "absolute",
        "control": { "n": 1_000_000, "sum": 100_000 },
        "treatment": { "n": 1_000_000, "sum": 115_000 } });
    let got = calculate("two_sample_z", &far).unwrap();
    let z = got["statistic"].as_f64().unwrap();
    // φ(z)/z (1 − 1/z² + 3/z⁴), twice.
    let s = 1.0 / (z * z);
    let want = 2.0 * normal::density(z) / z * (1.0 - s * (1.0 - s * (3.0 - 15.0 * s)));
    let p = got["p_value"].as_f64().unwrap();
    assert!(p > 0.0 && p < 1e-240, "{p}");
    assert!((p / want - 1.0).abs() < 1e-6, "{p} {want}");
}
