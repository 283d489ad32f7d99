//! `cargo xtask build`: the packed npm package and the collector's binary.

use std::path::PathBuf;

use crate::shell::{cargo, loud, step};
use crate::{build_sdk, root, setup};

/// Build both; gives the binary's path.
///
/// # Errors
/// When a tool is missing or a compiler refuses.
pub fn build() -> anyhow::Result<PathBuf> {
    setup::wasm_target()?;
    setup::node()?;
    step("building the npm package", || build_sdk::build_sdk(&root()))?;
    collector()
}

/// The collector at nearly release speed (profile `fast`); gives the binary's path. With
/// `TALLYMARK_BIN` set that binary is taken and nothing is built.
///
/// # Errors
/// When the compiler refuses.
pub fn collector() -> anyhow::Result<PathBuf> {
    if std::env::var_os("TALLYMARK_BIN").is_some() {
        return Ok(binary());
    }
    step("building the collector", || {
        loud(&mut cargo(&root(), &["build", "--quiet", "--profile", "fast", "-p", "tallymark"]))
    })?;
    Ok(binary())
}

/// Where the collector's binary is, or will be.
pub fn binary() -> PathBuf {
    std::env::var_os("TALLYMARK_BIN").map_or_else(|| target().join("fast/tallymark"), PathBuf::from)
}

/// The packed npm packages.
///
/// # Errors
/// When the folder cannot be read.
pub fn packages() -> anyhow::Result<Vec<PathBuf>> {
    let mut packed = Vec::new();
    for folder in ["npm", "npm/server"] {
        let files =
            std::fs::read_dir(root().join(folder))?.filter_map(|entry| Some(entry.ok()?.path()));
        packed.extend(files.filter(|file| file.extension().is_some_and(|ending| ending == "tgz")));
    }
    Ok(packed)
}

/// Where cargo puts what it builds.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}
