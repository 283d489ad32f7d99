//! `cargo xtask sbom`: every package that is in the collector's binary, as CycloneDX 1.5 in `target/sbom.json`.
//!
//! The npm packages bring nothing else (`npm/test/package.test.mjs`), so they are components without parts.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::{metadata, packages, text};
use crate::{build, root};

/// Write it, and say how many parts there are.
///
/// # Errors
/// When cargo does not know, or the file cannot be written.
pub fn write() -> anyhow::Result<()> {
    let list = list()?;
    let path = build::target().join("sbom.json");
    std::fs::create_dir_all(build::target())?;
    std::fs::write(&path, serde_json::to_string_pretty(&list)? + "\n")?;
    println!("{}: {} parts", path.display(), list["components"].as_array().map_or(0, Vec::len));
    Ok(())
}

/// Every part has a version, a licence and the checksum of what was downloaded.
///
/// # Errors
/// Naming those that do not.
pub fn check() -> anyhow::Result<()> {
    let list = list()?;
    let parts = list["components"].as_array().context("a list has parts")?;
    let named: BTreeSet<&str> = parts.iter().map(|part| text(part, "name")).collect();
    for sure in [
        "tallymark-store",
        "tallymark-analysis",
        "tallymark-protocol",
        "axum",
        "sqlx",
        "ring",
        "libsqlite3-sys",
    ] {
        ensure!(named.contains(sure), "the list of parts does not name {sure}");
    }
    ensure!(!named.contains("proptest"), "the list of parts names what only tests use");
    let ours = |part: &Value| text(part, "name").starts_with("tallymark");
    let whole = |part: &Value| {
        let hashed = part["hashes"][0]["content"].as_str().is_some_and(|hash| hash.len() == 64);
        let licensed = part["licenses"][0]["expression"].is_string();
        licensed && !text(part, "version").is_empty() && (hashed || ours(part))
    };
    let wrong: Vec<_> =
        parts.iter().filter(|part| !whole(part)).map(|part| text(part, "purl")).collect();
    ensure!(wrong.is_empty(), "parts without a version, licence or checksum: {}", wrong.join(", "));
    Ok(())
}

fn list() -> anyhow::Result<Value> {
    let lock = std::fs::read_to_string(root().join("Cargo.lock"))?;
    Ok(of(&metadata()?, &checksums(&lock)))
}

/// (name, version) → SHA-256, as `Cargo.lock` has them.
fn checksums(lock: &str) -> BTreeMap<(&str, &str), &str> {
    let field = |part: &'_ str, name: &str| {
        let begin = format!("\n{name} = \"");
        let at = part.find(&begin)? + begin.len();
        let length = part[at..].find('"')?;
        Some(at..at + length)
    };
    let parts = lock.split("\n[[package]]").skip(1);
    let known = parts.filter_map(|part| {
        let [name, version, sum] =
            ["name", "version", "checksum"].map(|name| field(part, name).map(|at| &part[at]));
        Some(((name?, version?), sum?))
    });
    known.collect()
}

/// What the collector is made of: everything its crate needs to run or to be built, and what that needs.
fn of(metadata: &Value, checksums: &BTreeMap<(&str, &str), &str>) -> Value {
    let nodes: BTreeMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|node| (text(node, "id"), node))
        .collect();
    let by_id: BTreeMap<&str, &Value> =
        packages(metadata).map(|package| (text(package, "id"), package)).collect();
    let start = packages(metadata).find(|package| text(package, "name") == "tallymark");
    let start = start.map_or("", |package| text(package, "id"));
    let mut seen = BTreeSet::from([start]);
    let mut next = vec![start];
    while let Some(id) = next.pop() {
        let needs = nodes.get(id).and_then(|node| node["deps"].as_array()).into_iter().flatten();
        let shipped = needs.filter(|need| {
            let kinds = need["dep_kinds"].as_array().into_iter().flatten();
            kinds.into_iter().any(|kind| kind["kind"] != "dev")
        });
        next.extend(shipped.map(|need| text(need, "pkg")).filter(|id| seen.insert(id)));
    }
    seen.remove(start);
    let mut parts: Vec<Value> = seen
        .iter()
        .filter_map(|id| by_id.get(id))
        .map(|package| part(package, checksums))
        .collect();
    parts.sort_by(|a, b| {
        (text(a, "name"), text(a, "version")).cmp(&(text(b, "name"), text(b, "version")))
    });
    let main = by_id.get(start).map(|package| part(package, checksums));
    json!({ "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "metadata": { "component": main }, "components": parts })
}

fn part(package: &Value, checksums: &BTreeMap<(&str, &str), &str>) -> Value {
    let (name, version) = (text(package, "name"), text(package, "version"));
    let mut part = json!({
        "type": if name == "tallymark" { "application" } else { "library" },
        "name": name, "version": version,
        "purl": format!("pkg:cargo/{name}@{version}"),
        "licenses": [{ "expression": text(package, "license").replace('/', " OR ") }],
    });
    if let Some(sum) = checksums.get(&(name, version)) {
        part["hashes"] = json!([{ "alg": "SHA-256", "content": sum }]);
    }
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_what_is_needed_at_any_remove_and_not_for_tests_only() {
        let package = |name: &str| json!({ "id": name, "name": name, "version": "1.0.0", "license": "MIT/ISC" });
        let need =
            |name: &str, kind: Value| json!({ "pkg": name, "dep_kinds": [{ "kind": kind }] });
        let metadata = json!({
            "packages": [package("tallymark"), package("a"), package("b"), package("c"), package("d")],
            "resolve": { "nodes": [
                { "id": "tallymark", "deps": [need("a", Value::Null), need("c", json!("dev"))] },
                { "id": "a", "deps": [need("b", json!("build")), need("tallymark", Value::Null)] },
                { "id": "c", "deps": [need("d", Value::Null)] },
            ] },
        });
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nchecksum = \"ab\"\n\n[[package]]\nname = \"b\"\nversion = \"1.0.0\"\n";
        let list = of(&metadata, &checksums(lock));
        let names: Vec<&str> =
            list["components"].as_array().unwrap().iter().map(|part| text(part, "name")).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(list["components"][0]["hashes"][0]["content"], "ab");
        assert_eq!(list["components"][0]["licenses"][0]["expression"], "MIT OR ISC");
        assert_eq!(list["components"][1]["hashes"], Value::Null);
        assert_eq!(list["metadata"]["component"]["name"], "tallymark");
    }
}
