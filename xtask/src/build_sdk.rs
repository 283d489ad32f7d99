//! The npm package: Rust → wasm → glue → bundle → types → `npm/tallymark-web-<version>.tgz`.
//!
//! Two stages, each skipped when nothing it reads has changed: the module (cargo, wasm-bindgen,
//! wasm-opt) and the package (esbuild, tsc, `npm pack`). What was read is remembered as a hash
//! of names and contents in the target folder, so a fresh checkout or another branch never gets a
//! stale package.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use wasm_bindgen_cli_support::Bindgen;

use crate::shell::{cargo, command, loud, quiet};
use crate::{build, setup};

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

/// The files of `npm/dist` a page loads.
const LOADED: [&str; 3] = ["index.js", "glue.js", "tallymark_bg.wasm"];

/// In the package as in the project; there only while it is packed.
const LICENCES: [&str; 2] = ["LICENSE-APACHE", "LICENSE-MIT"];

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
    let wasm_input = hash_of(root, &rust)?;
    let module = work.join("tallymark_bg.wasm");
    if !is_done(&work.join("module.stamp"), wasm_input, std::slice::from_ref(&module)) {
        build_module(root, &work)?;
        finish(&work.join("module.stamp"), wasm_input)?;
    }

    let tarball = npm.join(format!("tallymark-web-{}.tgz", version(&npm)?));
    let package = ["src", "package.json", "package-lock.json", "tsconfig.json", "README.md"];
    let input = wasm_input ^ hash_of(&npm, &package)?;
    let outputs: Vec<_> =
        LOADED.iter().map(|name| dist.join(name)).chain([tarball.clone()]).collect();
    if !is_done(&work.join("package.stamp"), input, &outputs) {
        build_package(root, &work)?;
        finish(&work.join("package.stamp"), input)?;
    }

    let mut files = Vec::new();
    for name in LOADED {
        files.push((name, size(root, &dist.join(name))?));
    }
    print_sizes(&files);
    Ok(())
}

/// Rust to wasm, the smallest we can.
fn build_module(root: &Path, work: &Path) -> anyhow::Result<()> {
    setup::wasm_target()?;
    let target = "wasm32-unknown-unknown";
    let arguments =
        ["build", "--quiet", "-p", "tallymark-sdk-wasm", "--target", target, "--profile", "wasm"];
    // Paths of this machine would end up in the messages of panics, and in everybody's pages.
    let home = std::env::var("CARGO_HOME")
        .or_else(|_| Ok::<_, std::env::VarError>(format!("{}/.cargo", std::env::var("HOME")?)));
    // SHA-256 in a loop instead of unrolled: 6 KB less, and a page hashes a handful of ids.
    let compact = r#"--cfg sha2_backend="soft" --cfg sha2_backend_soft="compact""#;
    let mut flags = format!("{compact} --remap-path-prefix={}=tallymark", root.display());
    if let Ok(home) = home {
        flags.push_str(&format!(" --remap-path-prefix={home}=cargo"));
    }
    loud(cargo(root, &arguments).env("RUSTFLAGS", flags))?;

    let compiled = build::target().join(target).join("wasm/tallymark_sdk_wasm.wasm");
    let bound = work.join("bindgen");
    Bindgen::new()
        .input_path(&compiled)
        .out_name("tallymark")
        .web(true)?
        .omit_default_module_path(true)
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(&bound)
        .context("wasm-bindgen cannot read the module")?;

    let optimised = work.join("tallymark_bg.wasm");
    let (from, to) = (bound.join("tallymark_bg.wasm"), optimised.display().to_string());
    let from = from.display().to_string();
    // The features rustc uses by default; everything newer stays out, for older browsers.
    let features = [
        "--enable-bulk-memory",
        "--enable-nontrapping-float-to-int",
        "--enable-sign-ext",
        "--enable-mutable-globals",
        "--enable-reference-types",
        "--enable-multivalue",
    ];
    let passes = ["-Oz", "--converge", "--strip-debug", "--strip-producers"];
    let arguments: Vec<&str> =
        passes.iter().chain(&features).copied().chain([from.as_str(), "-o", to.as_str()]).collect();
    quiet(&mut command(root, "npm/node_modules/.bin/wasm-opt", &arguments))?;
    Ok(())
}

/// TypeScript and glue to JavaScript, types, tarball.
fn build_package(root: &Path, work: &Path) -> anyhow::Result<()> {
    let npm = root.join("npm");
    let dist = npm.join("dist");
    // Written over, not emptied first: an example or a test may be reading the one before.
    std::fs::create_dir_all(&dist)?;
    std::fs::copy(work.join("tallymark_bg.wasm"), dist.join("tallymark_bg.wasm"))?;
    for licence in LICENCES {
        std::fs::copy(root.join(licence), npm.join(licence))?;
    }

    quiet(&mut command(&npm, "node_modules/.bin/tsc", &["-p", "tsconfig.json"]))?;
    // Only `index` and `types` are public; the rest would document what nobody can import.
    let wanted = LOADED.iter().chain(&["index.js.map", "glue.js.map", "index.d.ts", "types.d.ts"]);
    let wanted: Vec<_> = wanted.map(|name| dist.join(name)).collect();
    for entry in std::fs::read_dir(&dist)? {
        let path = entry?.path();
        if !wanted.contains(&path) {
            std::fs::remove_file(&path)?;
        }
    }
    let version = format!("--define:TALLYMARK_VERSION=\"{}\"", version(&npm)?);
    let common =
        ["--format=esm", "--target=es2021", "--minify", "--sourcemap", "--log-level=warning"];
    let index = [
        "src/index.ts",
        "--bundle",
        "--external:./glue.js",
        "--outfile=dist/index.js",
        version.as_str(),
    ];
    let glue = work.join("bindgen/tallymark.js").display().to_string();
    let glue = [glue.as_str(), "--outfile=dist/glue.js"];
    for one in [&index[..], &glue[..]] {
        let arguments: Vec<&str> = one.iter().chain(&common).copied().collect();
        quiet(&mut command(&npm, "node_modules/.bin/esbuild", &arguments))?;
    }
    let packed = quiet(&mut command(&npm, "npm", &["pack", "--silent"]));
    for licence in LICENCES {
        let _ = std::fs::remove_file(npm.join(licence));
    }
    packed.map(drop)
}

/// The package's version, from its manifest.
fn version(npm: &Path) -> anyhow::Result<String> {
    let manifest = std::fs::read_to_string(npm.join("package.json"))?;
    let manifest: serde_json::Value = serde_json::from_str(&manifest)?;
    let version = manifest["version"].as_str().context("npm/package.json has no version")?;
    Ok(version.to_owned())
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
