//! Real purchases: the public CDNOW log against what pandas says about it.
//!
//! `tests/vectors/cdnow.json` is the expectation, made by `make_cdnow.py` beside it. The log
//! itself is not ours to copy; it comes with the PyPI package Lifetimes, which
//! `cargo xtask test` unpacks. The import below is the one the README of `tests` documents.

use std::path::PathBuf;

use serde_json::{Value, json};
use tallymark_tests::peer::root;
use tallymark_tests::{TestCollector, TestProject};

#[test]
fn the_cdnow_log_gives_the_figures_of_pandas() {
    let want = vector();
    let collector = TestCollector::start();
    let project = collector.project("cdnow");
    let log = log();
    let import = [
        "import",
        "--project",
        "cdnow",
        "--format",
        "csv",
        "--delimiter",
        "whitespace",
        "--map",
        "user=customer_id,at=date,name==purchase",
        "--json",
        log.to_str().expect("the path of the log is UTF-8"),
    ];
    let first = summary(&collector.command_ok(&import));
    let second = summary(&collector.command_ok(&import));

    let purchases = want["purchases"].as_u64();
    assert_eq!(purchases, Some(69_659), "the vector is of the whole log");
    assert_eq!(
        (first["read"].as_u64(), first["stored"].as_u64()),
        (purchases, purchases),
        "{first}"
    );
    assert_eq!(
        (second["stored"].as_u64(), second["duplicate"].as_u64()),
        (Some(0), purchases),
        "{second}"
    );
    totals_agree(&collector, &project, &want);
    months_agree(&collector, &project, &want);
    cohorts_agree(&collector, &project, &want);
}

fn totals_agree(collector: &TestCollector, project: &TestProject, want: &Value) {
    // Ten years as one bucket would not exist; months add up for counts and sums, not for persons.
    let answer = trend(collector, project, &["count", "sum number_of_cds", "sum dollar_value"]);
    let totals: Vec<_> = (0..3).map(|index| sum(&answer["series"][index]["data"])).collect();
    assert_eq!(totals[0], want["purchases"].as_f64().expect("a number"));
    assert_eq!(totals[1], want["quantity"].as_f64().expect("a number"));
    let cents = (totals[2] * 100.0).round();
    assert_eq!(cents, want["amount_cents"].as_f64().expect("a number"));
}

fn months_agree(collector: &TestCollector, project: &TestProject, want: &Value) {
    let answer = trend(collector, project, &["count", "persons"]);
    let months: Vec<_> =
        strings(&answer["buckets"]).iter().map(|day| day[..7].to_owned()).collect();
    assert_eq!(months, strings(&want["months"]));
    assert_eq!(numbers(&answer["series"][0]["data"]), numbers(&want["purchases_by_month"]));
    assert_eq!(numbers(&answer["series"][1]["data"]), numbers(&want["customers_by_month"]));
}

fn cohorts_agree(collector: &TestCollector, project: &TestProject, want: &Value) {
    let question = json!({
        "from": "1997-01-01", "to": "1998-07-01", "bucket": "month", "periods": 18,
        "start": { "event": "purchase" }, "return": { "event": "purchase" },
        "mode": "on", "cohort_by": "first_ever",
    });
    let answer = collector.query(project, "retention", &question);
    let cohorts = answer["cohorts"].as_array().expect("a list of cohorts");
    let wanted = want["cohorts"].as_array().expect("a list of cohorts");
    let customers: f64 = cohorts.iter().filter_map(|cohort| cohort["size"].as_f64()).sum();
    assert_eq!(Some(customers), want["customers"].as_f64(), "every customer is in one cohort");
    for want in wanted {
        let month = want["month"].as_str().expect("a month");
        let found = cohorts
            .iter()
            .find(|got| got["from"].as_str().is_some_and(|from| from.starts_with(month)));
        let got = found.unwrap_or_else(|| panic!("no cohort {month} in {answer}"));
        assert_eq!(got["size"].as_f64(), want["size"].as_f64(), "size of {month}");
        let want = numbers(&want["returned"]);
        let got = numbers(&got["returned"]);
        assert!(got.len() >= want.len(), "{month} has {} of {} periods", got.len(), want.len());
        assert_eq!(got[..want.len()], want, "retention of {month}");
    }
}

/// Purchases by month; a measure is `count`, `persons` or `sum <property>`.
fn trend(collector: &TestCollector, project: &TestProject, measures: &[&str]) -> Value {
    let series: Vec<_> = measures
        .iter()
        .map(|measure| match measure.split_once(' ') {
            Some((measure, prop)) => {
                json!({ "event": "purchase", "measure": measure, "prop": prop })
            }
            None => json!({ "event": "purchase", "measure": measure }),
        })
        .collect();
    let question =
        json!({ "from": "1997-01-01", "to": "1998-07-01", "bucket": "month", "series": series });
    collector.query(project, "trend", &question)
}

/// Where the log is.
fn log() -> PathBuf {
    let folders = root().join(".venv/lib");
    let inside = "site-packages/lifetimes/datasets/CDNOW_master.txt";
    let found = std::env::var_os("TALLYMARK_CDNOW").map(PathBuf::from).or_else(|| {
        let pythons = std::fs::read_dir(folders).ok()?;
        pythons
            .filter_map(|entry| Some(entry.ok()?.path().join(inside)))
            .find(|path| path.is_file())
    });
    found.expect("the CDNOW log is missing: `cargo xtask test cdnow` installs it")
}

fn vector() -> Value {
    let path = root().join("tests/vectors/cdnow.json");
    serde_json::from_str(&std::fs::read_to_string(path).expect("the vector is there"))
        .expect("JSON")
}

fn summary(printed: &str) -> Value {
    let line = printed.trim().lines().last().unwrap_or_default();
    serde_json::from_str(line).unwrap_or_else(|_| panic!("no summary in {printed}"))
}

fn numbers(list: &Value) -> Vec<Option<f64>> {
    list.as_array().expect("a list").iter().map(Value::as_f64).collect()
}

fn sum(list: &Value) -> f64 {
    numbers(list).into_iter().flatten().sum()
}

fn strings(list: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    list.as_array().expect("a list").iter().map(text).collect()
}
