//! TypeScript and glue to the package's scripts, types and tarball.
//!
//! Each row of [`ENTRIES`] is bundled by itself. What it loads later stays an import of a file
//! beside it, so that a page's own bundler sees it and can do the same.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::modules::MODULES;
use crate::shell::{command, quiet};

/// A script of `npm/dist`, made of `npm/src/<name>.ts`.
pub struct Entry {
    /// Its name without an ending.
    pub name: &'static str,
    /// Whether pages import it by themselves: then its types are in the package.
    pub is_public: bool,
    /// Whether it is a plain script, to be inlined in a page's head, instead of a module.
    pub is_script: bool,
}

const fn public(name: &'static str) -> Entry {
    Entry { name, is_public: true, is_script: false }
}

const fn private(name: &'static str) -> Entry {
    Entry { name, is_public: false, is_script: false }
}

/// All of them.
pub const ENTRIES: &[Entry] = &[
    public("index"),
    private("core"),
    private("fallback"),
    private("debug"),
    public("evaluator"),
    private("evaluator-plain"),
    public("experiments"),
    public("openfeature"),
    Entry { name: "assign-sync", is_public: false, is_script: true },
];

/// Types that public ones refer to.
const SHARED_TYPES: [&str; 1] = ["types.d.ts"];

/// In the package as in the project; there only while it is packed.
const LICENCES: [&str; 2] = ["LICENSE-APACHE", "LICENSE-MIT"];

/// The files of `npm/dist` that pages may load.
pub fn loaded() -> Vec<String> {
    let scripts = ENTRIES.iter().map(|entry| format!("{}.js", entry.name));
    let modules = MODULES.iter().map(|module| format!("{}_bg.wasm", module.name));
    scripts.chain(modules).collect()
}

/// Build and pack.
///
/// # Errors
/// When a compiler refuses.
pub fn build(root: &Path, work: &Path) -> anyhow::Result<()> {
    let npm = root.join("npm");
    let dist = npm.join("dist");
    // Written over, not emptied first: an example or a test may be reading the one before.
    std::fs::create_dir_all(&dist)?;
    for module in MODULES {
        let wasm = format!("{}_bg.wasm", module.name);
        std::fs::copy(work.join(&wasm), dist.join(&wasm))?;
    }
    for licence in LICENCES {
        std::fs::copy(root.join(licence), npm.join(licence))?;
    }
    quiet(&mut command(&npm, "node_modules/.bin/tsc", &["-p", "tsconfig.json"]))?;
    remove_all_but(&dist, &wanted())?;
    for entry in ENTRIES {
        bundle(&npm, work, entry)?;
    }
    let packed = quiet(&mut command(&npm, "npm", &["pack", "--silent"]));
    for licence in LICENCES {
        let _ = std::fs::remove_file(npm.join(licence));
    }
    packed.map(drop)
}

fn bundle(npm: &Path, work: &Path, entry: &Entry) -> anyhow::Result<()> {
    let mut arguments = vec![
        format!("src/{}.ts", entry.name),
        format!("--outfile=dist/{}.js", entry.name),
        format!("--define:TALLYMARK_VERSION=\"{}\"", version(npm)?),
    ];
    for other in ENTRIES.iter().filter(|other| other.name != entry.name) {
        arguments.push(format!("--external:./{}.js", other.name));
    }
    for module in MODULES {
        for (kind, file) in [("glue", "bg"), ("asm", "asm")] {
            let path = work.join(format!("{}_{file}.js", module.name));
            arguments.push(format!("--alias:tallymark-{kind}/{}={}", module.name, path.display()));
        }
    }
    // What Rust imports, see `sdk-wasm/src/evaluation.rs`.
    arguments.push(format!("--alias:tallymark-host={}", npm.join("src/host.ts").display()));
    let common = [
        "--bundle",
        "--external:@openfeature/*",
        "--target=es2022",
        "--minify",
        "--sourcemap",
        "--log-level=warning",
    ];
    arguments.push(format!("--format={}", if entry.is_script { "iife" } else { "esm" }));
    arguments.extend(common.map(str::to_owned));
    quiet(&mut command(npm, "node_modules/.bin/esbuild", &arguments)).map(drop)
}

/// Names of what `npm/dist` holds. Only public types: the rest would document what nobody can import.
fn wanted() -> Vec<String> {
    let mut wanted = loaded();
    wanted.extend(SHARED_TYPES.map(str::to_owned));
    for entry in ENTRIES {
        wanted.push(format!("{}.js.map", entry.name));
        if entry.is_public {
            wanted.push(format!("{}.d.ts", entry.name));
        }
    }
    wanted
}

fn remove_all_but(folder: &Path, wanted: &[String]) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if wanted.iter().all(|name| entry.file_name() != name.as_str()) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Where the packed package is.
///
/// # Errors
/// When the manifest cannot be read.
pub fn tarball(npm: &Path) -> anyhow::Result<PathBuf> {
    Ok(npm.join(format!("tallymark-web-{}.tgz", version(npm)?)))
}

/// The package's version, from its manifest.
fn version(npm: &Path) -> anyhow::Result<String> {
    let manifest = std::fs::read_to_string(npm.join("package.json"))?;
    let manifest: serde_json::Value = serde_json::from_str(&manifest)?;
    let version = manifest["version"].as_str().context("npm/package.json has no version")?;
    Ok(version.to_owned())
}
