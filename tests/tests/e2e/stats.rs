//! The statistics as a calculator: every reference case through `tallymark stats` and over HTTP.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tallymark_tests::TestCollector;
use tallymark_tests::collector::binary;
use tallymark_tests::peer::root;

/// Files of the experiments' reference cases, and how many cases they have together.
const FILES: usize = 17;
const CASES: usize = 343;

/// All cases by id. `bucketing.json` is one of the files.
fn cases() -> BTreeMap<String, Value> {
    let folder = root().join("tests/vectors");
    let names = std::fs::read_dir(&folder).expect("the vectors are there").map(|entry| {
        entry.expect("a folder can be listed").file_name().into_string().expect("names are UTF-8")
    });
    let ours = |name: &String| name.starts_with("stats-") || name == "bucketing.json";
    let files: Vec<String> = names.filter(ours).collect();
    assert_eq!(files.len(), FILES, "{files:?}");
    let mut cases = BTreeMap::new();
    for name in files {
        let text = std::fs::read_to_string(folder.join(&name)).expect("a vector file");
        let file: Value = serde_json::from_str(&text).expect("vectors are JSON");
        for case in file["cases"].as_array().expect("a file has cases") {
            cases.insert(case["id"].as_str().expect("a case has an id").to_owned(), case.clone());
        }
    }
    assert_eq!(cases.len(), CASES);
    cases
}

/// `|got − expected| ≤ max(abs, rel × |expected|)`; lists element by element; the rest exactly.
fn is_close(got: &Value, expected: &Value, tolerance: &Value) -> bool {
    let limit = |name: &str| tolerance[name].as_f64().expect("a tolerance is a number");
    match (got, expected) {
        (Value::Number(got), Value::Number(want)) => {
            let (got, want) = (got.as_f64().unwrap_or(f64::NAN), want.as_f64().expect("a number"));
            (got - want).abs() <= limit("abs").max(limit("rel") * want.abs())
        }
        (Value::Array(got), Value::Array(want)) => {
            let mut pairs = got.iter().zip(want);
            got.len() == want.len() && pairs.all(|(got, want)| is_close(got, want, tolerance))
        }
        (Value::Object(got), Value::Object(want)) => want
            .iter()
            .all(|(key, want)| got.get(key).is_some_and(|got| is_close(got, want, tolerance))),
        (got, want) => got == want,
    }
}

/// The fields that are not what they should be.
fn wrong<'a>(case: &'a Value, got: &'a Value) -> impl Iterator<Item = String> + 'a {
    // `digits` is the same number once more, as text.
    let expected = case["expected"].as_object().expect("expected fields").iter();
    expected.filter(|(field, _)| *field != "digits").filter_map(move |(field, want)| {
        let own = case["tolerance"].get("fields").and_then(|fields| fields.get(field));
        let is_right = is_close(&got["got"][field], want, own.unwrap_or(&case["tolerance"]));
        (!is_right).then(|| format!("{} {field}: want {want}, got {got}", case["id"]))
    })
}

#[test]
fn every_reference_case_holds_on_the_command_line_in_less_than_a_second() {
    let cases = cases();
    let lines: String = cases
        .values()
        .map(|case| {
            format!("{}\n", json!({ "id": case["id"], "fn": case["fn"], "input": case["input"] }))
        })
        .collect();
    let from = Instant::now();
    let mut child = Command::new(binary())
        .arg("stats")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output().expect("the command ends");
    let took = from.elapsed();
    writer.join().expect("the writer ends").expect("all lines were read");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).expect("answers are UTF-8");
    let answers: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    assert_eq!(answers.len(), CASES);
    let of = |answer: &Value| answer["id"].as_str().expect("an answer has its id").to_owned();
    let wrong: Vec<String> = answers
        .iter()
        .flat_map(|answer| wrong(&cases[&of(answer)], answer).collect::<Vec<_>>())
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    eprintln!("figure: {CASES} cases in {took:.2?}");
    // A build without optimisations is some times slower.
    assert!(
        took < if cfg!(debug_assertions) { 10 } else { 1 } * Duration::from_secs(1),
        "{took:?}"
    );
}

#[test]
fn every_reference_case_holds_over_http() {
    let collector = TestCollector::start();
    let mut wrong_fields = Vec::new();
    for case in cases().values() {
        let path = format!("/v1/stats/{}", case["fn"].as_str().expect("a function"));
        let headers = [("content-type", "application/json")];
        let reply = collector.post(&path, &headers, case["input"].to_string().as_bytes());
        assert_eq!(reply.status, 200, "{}: {}", case["id"], reply.text);
        wrong_fields.extend(wrong(case, &reply.json()));
    }
    assert!(wrong_fields.is_empty(), "{}", wrong_fields.join("\n"));
}

#[test]
fn what_cannot_be_computed_is_a_problem_with_a_code() {
    let collector = TestCollector::start();
    let headers = [("content-type", "application/json")];
    for (function, input, code) in [
        ("magic", json!({}), "unknown_fn"),
        ("norm_ppf", json!({ "p": 2 }), "bad_input"),
        ("thompson_weights", json!({ "metric": "proportion", "arms": [] }), "bad_input"),
        (
            "two_sample_t",
            json!({ "metric": "proportion", "difference": "relative",
                "control": { "n": 50, "sum": 0 }, "treatment": { "n": 50, "sum": 5 } }),
            "baseline_zero",
        ),
    ] {
        let path = format!("/v1/stats/{function}");
        let reply = collector.post(&path, &headers, input.to_string().as_bytes());
        assert_eq!((reply.status, reply.code().as_str()), (422, code), "{}", reply.text);
    }
}
