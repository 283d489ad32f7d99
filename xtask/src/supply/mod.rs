//! What we build on, and what we promise of our own sources: licences, a list of parts (SBOM), builds that come out
//! alike, no unsafe code and no panics where requests pass.
//!
//! In: `cargo metadata`, `deny.toml`, the sources as text. Out: complaints, `target/sbom.json`.
//!
//! Deliberately elsewhere: advisories. They are a matter of the day, and `cargo deny check advisories` asks for those
//! of today.

mod licence;
pub mod reproducible;
pub mod sbom;
mod sources;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::root;
use crate::shell::{cargo, quiet};

pub use sources::check as check_sources;

/// Everything that is built in, for this platform, as cargo knows it.
fn metadata() -> anyhow::Result<Value> {
    let host = quiet(&mut cargo(&root(), &["-vV"]))?;
    let host =
        host.lines().find_map(|line| line.strip_prefix("host: ")).context("cargo has a host")?;
    let ask = ["metadata", "--format-version", "1", "--locked", "--filter-platform", host];
    serde_json::from_str(&quiet(&mut cargo(&root(), &ask))?).context("cargo metadata is JSON")
}

fn packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    metadata["packages"].as_array().into_iter().flatten()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

/// Every licence can be met with those that `deny.toml` allows, and every package comes from where it should.
///
/// # Errors
/// Naming the packages that are not so.
pub fn check_licences() -> anyhow::Result<()> {
    let allowed = std::fs::read_to_string(root().join("deny.toml"))?;
    let allowed = licence::allowed(&allowed).context("deny.toml has a list `allow`")?;
    let metadata = metadata()?;
    let wrong: Vec<String> = packages(&metadata)
        .filter(|package| !package["source"].is_null())
        .filter_map(|package| {
            let (name, version) = (text(package, "name"), text(package, "version"));
            let licence = text(package, "license");
            if !licence::is_met(licence, &allowed) {
                return Some(format!("{name} {version}: {licence:?} cannot be met"));
            }
            let from = text(package, "source");
            let usual = from.starts_with("registry+") || from.starts_with("sparse+");
            (!usual).then(|| format!("{name} {version}: comes from {from}"))
        })
        .collect();
    ensure!(wrong.is_empty(), "packages that must not be built in:\n{}", wrong.join("\n"));
    Ok(())
}
