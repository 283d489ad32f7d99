//! Dependencies point one way: `npm → sdk-wasm → protocol ← analysis ← store ← collector`.
//!
//! The table below is the architecture; a new edge is a decision, made here and explained in
//! `ARCHITECTURE.md`. Reads manifests through `cargo metadata` and the sources as text.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use rstest::rstest;
use serde_json::Value;
use tallymark_tests::peer::root;

/// Which of our crates a crate may build on.
const MAY_USE: &[(&str, &[&str])] = &[
    ("tallymark-protocol", &[]),
    ("tallymark-sdk-wasm", &["tallymark-protocol"]),
    ("tallymark-analysis", &["tallymark-protocol"]),
    ("tallymark-store", &["tallymark-protocol", "tallymark-analysis"]),
    ("tallymark", &["tallymark-protocol", "tallymark-analysis", "tallymark-store"]),
    ("tallymark-tests", &["tallymark-protocol", "tallymark-analysis"]),
    ("tallymark-bench", &[]),
    ("xtask", &[]),
];

/// Crates that bring a runtime, a server or SQL, and who alone may know them.
const ONLY: &[(&str, &[&str])] = &[
    // The bench's bare server is what the collector is compared with, so it is built of the same.
    ("axum", &["tallymark", "tallymark-bench"]),
    ("tokio", &["tallymark", "tallymark-bench"]),
    ("hyper", &["tallymark"]),
    ("sqlx", &["tallymark"]),
    ("tower-http", &["tallymark"]),
    ("parquet", &["tallymark-store", "tallymark", "tallymark-bench"]),
    ("web-sys", &["tallymark-sdk-wasm"]),
    ("wasm-bindgen", &["tallymark-sdk-wasm"]),
];

/// Ways to the outside world. Pure crates get time and randomness as arguments.
const OUTSIDE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "std::env",
    "SystemTime::now",
    "Instant::now",
    "Date::now",
    "Timestamp::now",
    "Zoned::now",
    "async fn",
    "getrandom",
];

#[test]
fn our_crates_build_only_on_the_crates_below_them() {
    let allowed: BTreeMap<_, BTreeSet<_>> =
        MAY_USE.iter().map(|(name, uses)| (*name, uses.iter().copied().collect())).collect();
    for (name, dependencies) in manifests() {
        let may = allowed.get(name.as_str());
        let may = may.unwrap_or_else(|| panic!("give {name} its row in the table of layers"));
        for (dependency, kind) in &dependencies {
            let ours = allowed.contains_key(dependency.as_str());
            assert!(
                !ours || kind == "dev" || may.contains(dependency.as_str()),
                "{name} depends on {dependency}: that edge points the wrong way"
            );
        }
    }
}

#[test]
fn only_the_collector_knows_a_runtime_a_server_or_sql() {
    for (name, dependencies) in manifests() {
        for (outside, users) in ONLY {
            let uses = dependencies.iter().any(|(used, kind)| used == outside && kind != "dev");
            assert!(
                !uses || users.contains(&name.as_str()),
                "{name} depends on {outside}, which is for {users:?}"
            );
        }
    }
}

#[rstest]
#[case::protocol("protocol/src")]
#[case::analysis("collector/analysis/src")]
#[case::sdk("sdk-wasm/src")]
fn a_pure_folder_touches_no_files_network_or_clock(#[case] folder: &str) {
    let folder = root().join(folder);
    let mut sources = Vec::new();
    if folder.is_dir() {
        collect_sources(&folder, &mut sources);
    }
    assert!(!sources.is_empty(), "{} has no sources: the table is out of date", folder.display());
    for source in sources {
        let text = std::fs::read_to_string(&source).expect("a source file is readable");
        for (number, line) in shipped_lines(&text) {
            let found = OUTSIDE.iter().find(|word| line.contains(**word));
            assert!(
                found.is_none(),
                "{}:{number} uses {}: pass it in as an argument",
                source.display(),
                found.unwrap_or(&"")
            );
        }
    }
}

#[test]
fn a_test_module_and_a_comment_are_not_shipped_lines() {
    let text = "let a = 1; // std::fs\n/// std::net\n#[cfg(test)]\nmod tests { use std::fs; }\n";
    let lines: Vec<_> = shipped_lines(text).collect();
    assert_eq!(lines, [(1, "let a = 1; "), (2, ""), (3, "#[cfg(test)]")]);
}

/// Whether a module is compiled for tests only, as its parent says.
fn is_for_tests(source: &Path) -> bool {
    let stem = source.file_stem().unwrap_or_default().to_string_lossy();
    let declared = format!("#[cfg(test)]\nmod {stem};");
    let parents = ["lib.rs", "mod.rs"].map(|name| source.with_file_name(name));
    parents
        .iter()
        .any(|parent| std::fs::read_to_string(parent).is_ok_and(|text| text.contains(&declared)))
}

/// Lines with comments cut off, up to the tests at the end of the file.
fn shipped_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .take_while(|line| !line.starts_with("mod tests {"))
        .map(|line| line.split_once("//").map_or(line, |(code, _)| code))
        .enumerate()
        .map(|(index, line)| (index + 1, line))
}

fn collect_sources(folder: &Path, into: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a source folder is readable") {
        let path = entry.expect("a folder entry is readable").path();
        if path.is_dir() {
            collect_sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && !is_for_tests(&path)
        {
            into.push(path);
        }
    }
}

/// Every crate of the workspace with its dependencies and their kind (`normal`, `dev`, `build`).
fn manifests() -> Vec<(String, Vec<(String, String)>)> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("metadata is JSON");
    let packages = metadata["packages"].as_array().expect("metadata lists packages");
    packages.iter().map(|package| (text(&package["name"]), dependencies(package))).collect()
}

fn dependencies(package: &Value) -> Vec<(String, String)> {
    let list = package["dependencies"].as_array().expect("a package lists dependencies");
    let kind = |value: &Value| value.as_str().unwrap_or("normal").to_owned();
    list.iter().map(|entry| (text(&entry["name"]), kind(&entry["kind"]))).collect()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a name is text").to_owned()
}
