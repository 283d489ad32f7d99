//! `cargo xtask check`: everything a machine can say about the text of the project.

use anyhow::ensure;

use crate::shell::{cargo, command, find, loud, quiet, step};
use crate::{checklist, doc_blocks, root, supply};

/// Format, lints, layers, documentation, changelog, licences.
///
/// # Errors
/// With the first complaint and what to do about it.
pub fn check() -> anyhow::Result<()> {
    text()?;
    step("lints", || {
        let lint =
            ["clippy", "--quiet", "--workspace", "--all-targets", "--", "--deny", "warnings"];
        loud(&mut cargo(&root(), &lint))
    })?;
    step("the collector without its optional parts", || {
        let bare = ["check", "--quiet", "-p", "tallymark", "--no-default-features"];
        loud(&mut cargo(&root(), &bare))
    })?;
    step("layers", || {
        let layers = ["test", "--quiet", "-p", "tallymark-tests", "--test", "e2e", "layers::"];
        quiet(&mut cargo(&root(), &layers)).map(drop)
    })?;
    if find("cargo-deny").is_some() {
        step("advisories, and versions of dependencies", || {
            quiet(&mut cargo(&root(), &["deny", "check"])).map(drop)
        })?;
    } else {
        println!("· advisories: not asked, `cargo install cargo-deny` brings the tool");
    }
    Ok(())
}

/// The part that compiles nothing; also a part of `cargo xtask test`.
///
/// # Errors
/// With the first complaint and what to do about it.
pub fn text() -> anyhow::Result<()> {
    step("format", || {
        quiet(&mut cargo(&root(), &["fmt", "--all", "--check"]))
            .map(drop)
            .map_err(|differences| differences.context("`cargo fmt --all` repairs this"))
    })?;
    step("documentation that stands twice, links that lead nowhere", || {
        doc_blocks::check()?;
        doc_blocks::links()
    })?;
    step("rows of the checklist and their tests", checklist::check)?;
    step("unsafe code and panics in what ships", supply::check_sources)?;
    step("licences and sources of dependencies", supply::check_licences)?;
    step("the list of parts", supply::sbom::check)?;
    step("changelog fragments", fragments)?;
    step("generated and private paths", private_paths)
}

/// `changelog.d/<slug>.<kind>.md`, so that a release can sort them.
fn fragments() -> anyhow::Result<()> {
    const KINDS: [&str; 4] = ["breaking", "security", "feature", "fix"];
    for entry in std::fs::read_dir(root().join("changelog.d"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let kind =
            name.strip_suffix(".md").and_then(|stem| stem.rsplit_once('.')).map(|(_, kind)| kind);
        ensure!(
            name == "README.md" || kind.is_some_and(|kind| KINDS.contains(&kind)),
            "changelog.d/{name}: name it <slug>.<{}>.md",
            KINDS.join("|")
        );
    }
    Ok(())
}

/// No committed file speaks of one person's machine.
fn private_paths() -> anyhow::Result<()> {
    // Split, so that this file does not name what it forbids.
    let homes = [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Use", "rs/")];
    let pattern = homes.join("\\|");
    let found = command(
        &root(),
        "git",
        &["grep", "-In", &pattern, "--", ":!*.lock", ":!*package-lock.json"],
    );
    let mut found = found;
    let output = found.output()?;
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(lines.trim().is_empty(), "paths of one machine in committed files:\n{lines}");
    Ok(())
}
