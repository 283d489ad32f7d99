//! `cargo xtask reproducible`: the packages for pages and servers, built a second time from nothing, are the same
//! bytes. So whoever builds this version can say whether what they were given is it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::shell::{command, quiet, step};
use crate::{build, build_sdk, root};

/// Build both times and compare. With `--again` only build: that is the second process, with a target folder of its own.
///
/// # Errors
/// Naming the files that differ.
pub fn reproducible(arguments: &[String]) -> anyhow::Result<()> {
    if arguments.iter().any(|argument| argument == "--again") {
        return build_sdk::build_sdk(&root());
    }
    step("building the npm packages", || build_sdk::build_sdk(&root()))?;
    let first = files()?;
    let folder = build::target().join("again");
    let again = step("building them again from nothing", || {
        let program = std::env::current_exe()?;
        let mut again = command(&root(), &program.to_string_lossy(), &["reproducible", "--again"]);
        quiet(again.env("CARGO_TARGET_DIR", &folder)).map(drop)
    });
    // It is of no use to anybody, and large.
    let removed = std::fs::remove_dir_all(&folder).context("the second target folder");
    again?;
    removed?;
    let second = files()?;
    let names = first.keys().chain(second.keys());
    let different: Vec<_> = names
        .filter(|name| first.get(*name) != second.get(*name))
        .map(|name| name.display().to_string())
        .collect();
    ensure!(different.is_empty(), "not the same the second time: {}", different.join(", "));
    println!("{} files are the same bytes both times", first.len());
    Ok(())
}

/// What the build leaves for others, with its bytes.
fn files() -> anyhow::Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for folder in ["npm/dist", "npm/server/dist"] {
        collect(&root().join(folder), &mut found)?;
    }
    for tarball in build::packages()? {
        found.insert(tarball.clone(), std::fs::read(tarball)?);
    }
    ensure!(
        found.keys().any(|path| path.extension().is_some_and(|end| end == "wasm")),
        "no module was built"
    );
    Ok(found)
}

fn collect(folder: &Path, into: &mut BTreeMap<PathBuf, Vec<u8>>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, into)?;
        } else {
            into.insert(path.clone(), std::fs::read(path)?);
        }
    }
    Ok(())
}
