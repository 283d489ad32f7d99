//! The npm package: Rust → wasm → glue → bundle → types → `npm/tallymark-web-<version>.tgz`.
//!
//! Stages, each skipped when nothing it reads has changed: every module (`modules`: cargo,
//! wasm-bindgen, wasm-opt), the package (`package`: esbuild, tsc, `npm pack`) and the one for servers. What was read is
//! remembered as a hash of names and contents in the target folder, so a fresh checkout or another
//! branch never gets a stale package.

mod modules;
mod package;
mod server;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::shell::{command, quiet};
use crate::{build, setup};
use modules::MODULES;

/// What a file weighs, in bytes.
#[derive(Clone, Copy)]
struct Size {
    /// As it is.
    raw: u64,
    /// After gzip, level 9.
    gzip: u64,
    /// After brotli, quality 11.
    brotli: u64,
}

/// Build and pack the npm package; prints what it weighs.
///
/// # Errors
/// When a tool is missing (the message says what to type) or a compiler refuses.
pub fn build_sdk(root: &Path) -> anyhow::Result<()> {
    let npm = root.join("npm");
    let dist = npm.join("dist");
    let work = build::target().join("sdk");
    setup::npm("npm", &[])?;

    let rust = ["protocol", "sdk-wasm", "Cargo.toml", "Cargo.lock", "npm/package-lock.json"];
    let rust = hash_of(root, &rust)? ^ hash_of(root, &["xtask/src/build_sdk"])?;
    for module in MODULES {
        let stamp = work.join(format!("{}.stamp", module.name));
        let files: Vec<_> = module.files().iter().map(|name| work.join(name)).collect();
        if !is_done(&stamp, rust, &files) {
            std::fs::create_dir_all(&work)?;
            module.build(root, &work)?;
            finish(&stamp, rust)?;
        }
    }

    let sources = ["src", "package.json", "package-lock.json", "tsconfig.json"];
    let pages = ["README.md", "EXPERIMENTS.md", "FRAMEWORKS.md", "MEASURES.md"];
    let input = rust ^ hash_of(&npm, &sources)? ^ hash_of(&npm, &pages)?;
    let loaded = package::loaded();
    let tarball = package::tarball(&npm)?;
    let outputs: Vec<_> = loaded.iter().map(|name| dist.join(name)).chain([tarball]).collect();
    if !is_done(&work.join("package.stamp"), input, &outputs) {
        package::build(root, &work)?;
        finish(&work.join("package.stamp"), input)?;
    }
    package::hand_over(root)?;

    let folder = npm.join("server");
    let input = input ^ hash_of(&folder, &["src", "package.json", "tsconfig.json", "README.md"])?;
    if !is_done(&work.join("server.stamp"), input, &[server::tarball(&folder)?]) {
        server::build(root, &work)?;
        finish(&work.join("server.stamp"), input)?;
    }

    let mut files = Vec::new();
    for name in &loaded {
        files.push((name.as_str(), size(root, &dist.join(name))?));
    }
    print_sizes(&files);
    Ok(())
}

/// One file's size. Brotli comes from Node's own zlib, which the build needs anyway.
fn size(root: &Path, file: &Path) -> anyhow::Result<Size> {
    const PROGRAM: &str = "const z=require('node:zlib'),b=require('node:fs').readFileSync(process.argv[1]);\
        console.log(z.gzipSync(b,{level:9}).length,z.brotliCompressSync(b).length)";
    let raw = file.metadata().with_context(|| format!("{} is missing", file.display()))?.len();
    let path = file.display().to_string();
    let printed = quiet(&mut command(root, "node", &["-e", PROGRAM, &path]))?;
    let mut numbers = printed.split_whitespace().map(str::parse);
    let (Some(Ok(gzip)), Some(Ok(brotli))) = (numbers.next(), numbers.next()) else {
        anyhow::bail!("node did not print two sizes, but: {printed}");
    };
    Ok(Size { raw, gzip, brotli })
}

fn print_sizes(files: &[(&str, Size)]) {
    println!("  {:<20}{:>9}{:>9}{:>9}", "bytes", "raw", "gzip", "brotli");
    let row = |name: &str, size: Size| {
        println!("  {name:<20}{:>9}{:>9}{:>9}", size.raw, size.gzip, size.brotli);
    };
    let mut sum = Size { raw: 0, gzip: 0, brotli: 0 };
    for (name, size) in files {
        row(name, *size);
        sum = Size {
            raw: sum.raw + size.raw,
            gzip: sum.gzip + size.gzip,
            brotli: sum.brotli + size.brotli,
        };
    }
    row("together", sum);
}

/// A hash of the names and contents of these files and folders.
fn hash_of(root: &Path, paths: &[&str]) -> anyhow::Result<u64> {
    let mut files = Vec::new();
    for path in paths {
        collect(&root.join(path), &mut files)?;
    }
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.strip_prefix(root).unwrap_or(&file).hash(&mut hasher);
        std::fs::read(&file)?.hash(&mut hasher);
    }
    Ok(hasher.finish())
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if path.is_file() {
        files.push(path.to_owned());
    } else if path.is_dir() {
        for entry in std::fs::read_dir(path)? {
            collect(&entry?.path(), files)?;
        }
    }
    Ok(())
}

/// Whether this stage was finished with this input, and its outputs are still there.
fn is_done(stamp: &Path, input: u64, outputs: &[PathBuf]) -> bool {
    let remembered = std::fs::read_to_string(stamp).is_ok_and(|text| text == input.to_string());
    remembered && outputs.iter().all(|file| file.exists())
}

fn finish(stamp: &Path, input: u64) -> anyhow::Result<()> {
    let mut file = std::fs::File::create(stamp)?;
    write!(file, "{input}").context("the target folder is not writable")?;
    ensure!(stamp.exists());
    Ok(())
}
