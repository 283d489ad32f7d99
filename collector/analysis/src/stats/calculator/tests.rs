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
