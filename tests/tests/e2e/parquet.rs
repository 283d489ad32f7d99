//! Parquet between us and others: we read what pandas and DuckDB write, and they read what we store.
//!
//! `tests/parquet/files.py` is the other side.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tallymark_tests::TestCollector;
use tallymark_tests::peer::{python, root};

const ROWS: u64 = 5_000;

#[test]
fn files_of_pandas_and_duckdb_are_the_same_events_in_every_compression() {
    let collector = TestCollector::start();
    collector.project("shop");
    let folder = collector.scratch();
    files("make", folder);
    let compressions = ["snappy", "gzip", "zstd", "lz4"];
    let of = |writer: &'static str, plain: &'static str| {
        compressions.into_iter().chain([plain]).map(move |name| format!("{writer}-{name}.parquet"))
    };
    for (at, name) in of("pandas", "plain").chain(of("duckdb", "uncompressed")).enumerate() {
        let summary = import(&collector, &folder.join(&name));
        let new = if at == 0 { ROWS } else { 0 };
        let want = json!({ "read": ROWS, "stored": new, "duplicate": ROWS - new, "refused": 0 });
        for (field, want) in want.as_object().expect("an object") {
            assert_eq!(&summary[field], want, "{field} of {name}: {summary}");
        }
    }
}

#[test]
fn a_compression_that_we_do_not_read_says_what_to_do() {
    let collector = TestCollector::start();
    collector.project("shop");
    files("make", collector.scratch());
    for name in ["pandas-brotli.parquet", "duckdb-brotli.parquet"] {
        let file = collector.scratch().join(name);
        let output = collector.command(&arguments(&file));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{said}");
        let sentence =
            "compressed with Brotli, which cannot be read here; write it again with zstd";
        assert!(said.contains(sentence), "{said}");
    }
}

#[test]
fn pandas_duckdb_and_clickhouse_find_in_segments_what_was_imported() {
    let collector = TestCollector::start();
    let project = collector.project("shop");
    files("make", collector.scratch());
    import(&collector, &collector.scratch().join("pandas-snappy.parquet"));
    let found = files("read", &collector.data().join("seg"));
    let found: Value = serde_json::from_str(&found).expect("the script prints JSON");

    let rows = 0..ROWS;
    let users: std::collections::BTreeSet<u64> = rows.clone().map(|row| row * row % 401).collect();
    let want = json!([
        ROWS,
        users.len(),
        rows.clone().filter(|row| row % 3 == 0).count(),
        1_788_220_800_000_u64,
        1_788_220_800_000_u64 + (ROWS - 1) * 431_000,
        rows.clone().map(|row| (row % 1000) as f64 / 4.0).sum::<f64>(),
        rows.clone().filter(|row| row % 5 != 0).count(),
        ROWS / 2,
        97,
    ]);
    for engine in ["pandas", "duckdb", "clickhouse"] {
        let got = found[engine].as_array().expect("an engine finds a row of figures");
        for (got, want) in got.iter().zip(want.as_array().expect("a list")) {
            assert_eq!(got.as_f64(), want.as_f64(), "{engine} found {found}, we imported {want}");
        }
    }
    let question = json!({
        "from": "2026-09-01", "to": "2026-10-01",
        "series": [{ "event": "purchase", "measure": "sum", "prop": "amount" },
                   { "event": "refund", "measure": "sum", "prop": "amount" }],
    });
    let answer = collector.query(&project, "trend", &question);
    let total = |at: usize| answer["series"][at]["total"].as_f64().expect("a total");
    assert_eq!(Some(total(0) + total(1)), want[5].as_f64());
}

fn files(what: &str, folder: &Path) -> String {
    let script = root().join("tests/parquet/files.py");
    let output = Command::new(python()).arg(script).arg(what).arg(folder).output();
    let output = output.expect("Python starts; `cargo xtask test parquet` installs what it needs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("the script prints text")
}

fn arguments(file: &Path) -> [&str; 7] {
    let file = file.to_str().expect("a temporary path is UTF-8");
    ["import", "--project", "shop", "--format", "parquet", "--json", file]
}

fn import(collector: &TestCollector, file: &Path) -> Value {
    let printed = collector.command_ok(&arguments(file));
    let line = printed.trim().lines().last().unwrap_or_default();
    serde_json::from_str(line).unwrap_or_else(|_| panic!("no summary in {printed}"))
}
