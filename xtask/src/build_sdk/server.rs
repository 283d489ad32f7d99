//! `@tallymark/server`: TypeScript and the Rust that is plain JavaScript to modules, types and a tarball.
//!
//! It shares sources with the package for pages, so it is made by the same tools, installed there.

use std::path::{Path, PathBuf};

use super::package::{aliases, pack, version};
use crate::shell::{command, quiet};

/// Build and pack.
///
/// # Errors
/// When a compiler refuses.
pub fn build(root: &Path, work: &Path) -> anyhow::Result<()> {
    let npm = root.join("npm");
    let folder = npm.join("server");
    let _ = std::fs::remove_dir_all(folder.join("dist"));
    quiet(&mut command(&npm, "node_modules/.bin/tsc", &["-p", "server/tsconfig.json"]))?;
    let bundle = |entries: &[&str]| -> anyhow::Result<()> {
        let mut arguments: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
        arguments.push("--outdir=server/dist".to_owned());
        arguments.push(format!("--define:TALLYMARK_VERSION=\"{}\"", version(&folder)?));
        arguments.extend(aliases(&npm, work)?);
        // Nothing of a platform is known, so nothing of one can be imported.
        let common = [
            "--bundle",
            "--splitting",
            "--platform=neutral",
            "--format=esm",
            "--target=es2021",
            "--minify-syntax",
            "--sourcemap",
            "--log-level=warning",
        ];
        arguments.extend(common.map(str::to_owned));
        quiet(&mut command(&npm, "node_modules/.bin/esbuild", &arguments)).map(drop)
    };
    bundle(&["server/src/index.ts", "server/src/evaluator.ts"])?;
    // It takes the client as it is, hashing included.
    bundle(&["server/src/stripe.ts", "--external:./index.js"])?;
    pack(root, &folder)
}

/// Where the packed package is.
///
/// # Errors
/// When the manifest cannot be read.
pub fn tarball(folder: &Path) -> anyhow::Result<PathBuf> {
    Ok(folder.join(format!("tallymark-server-{}.tgz", version(folder)?)))
}
