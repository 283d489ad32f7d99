//! Rust to WebAssembly: one module per row of [`MODULES`], each with the functions of one cargo
//! feature of `sdk-wasm`, so that a page loads only what it imports.
//!
//! Out, per module, in the work folder: `<name>_bg.wasm`; where texts cross, the glue `<name>_bg.js`,
//! which TypeScript imports as `tallymark-glue/<name>`; and where it is asked for `<name>_asm.js`, the
//! same functions as plain JavaScript for browsers that refuse WebAssembly.

use std::path::Path;

use anyhow::Context;
use wasm_bindgen_cli_support::Bindgen;

use crate::shell::{cargo, command, loud, quiet};
use crate::{build, setup};

/// A WebAssembly module of the package.
pub struct Module {
    /// The first part of its files' names.
    pub name: &'static str,
    /// The feature of `sdk-wasm` that exports its functions.
    pub feature: &'static str,
    /// Whether texts cross its boundary. Functions of numbers are called as they are exported.
    pub has_glue: bool,
    /// Whether it is also made as plain JavaScript. Such a module passes texts, bytes and numbers
    /// only: what holds JavaScript values needs tables that plain JavaScript has not.
    pub has_fallback: bool,
}

/// All of them. A new one is a row here, a feature in `sdk-wasm/Cargo.toml` and a boundary file.
pub const MODULES: &[Module] = &[
    Module { name: "tallymark", feature: "core", has_glue: false, has_fallback: true },
    Module { name: "experiments", feature: "experiments", has_glue: true, has_fallback: true },
];

const TARGET: &str = "wasm32-unknown-unknown";

/// What `wasm-opt` may use: what rustc uses by default, and nothing newer, for older browsers.
const FEATURES: [&str; 5] = [
    "--enable-bulk-memory",
    "--enable-nontrapping-float-to-int",
    "--enable-sign-ext",
    "--enable-mutable-globals",
    "--enable-multivalue",
];

impl Module {
    /// The files a build leaves in the work folder.
    pub fn files(&self) -> Vec<String> {
        let mut files = vec![format!("{}_bg.wasm", self.name)];
        if self.has_glue {
            files.push(format!("{}_bg.js", self.name));
        }
        if self.has_fallback {
            files.push(format!("{}_asm.js", self.name));
        }
        files
    }

    /// Build it, the smallest we can.
    ///
    /// # Errors
    /// When a tool is missing or a compiler refuses.
    pub fn build(&self, root: &Path, work: &Path) -> anyhow::Result<()> {
        setup::wasm_target()?;
        let compiled = self.compile(root)?;
        // Rust's own library claims reference types, which we have turned off.
        let plain = work.join(format!("{}.wasm", self.name));
        binaryen(root, "wasm-opt", &["--strip-target-features"], &compiled, &plain)?;
        let bound = work.join(format!("bindgen-{}", self.name));
        Bindgen::new()
            .input_path(&plain)
            .out_name(self.name)
            .bundler(true)?
            .typescript(false)
            .remove_name_section(true)
            .remove_producers_section(true)
            .generate(&bound)
            .context("wasm-bindgen cannot read the module")?;
        if self.has_glue {
            let glue = format!("{}_bg.js", self.name);
            let mut text = std::fs::read_to_string(bound.join(&glue))?;
            if self.has_fallback {
                text = with_fresh_views(&text)?;
            }
            std::fs::write(work.join(&glue), text)?;
        }

        let wasm = format!("{}_bg.wasm", self.name);
        let (from, to) = (bound.join(&wasm), work.join(&wasm));
        let passes = ["-Oz", "--converge", "--strip-debug", "--strip-producers"];
        binaryen(root, "wasm-opt", &passes, &from, &to)?;
        if self.has_fallback {
            let lower = bound.join("lower.wasm");
            // What plain JavaScript has no instruction for is spelled out first.
            let lowered =
                ["--llvm-memory-copy-fill-lowering", "--llvm-nontrapping-fptoint-lowering", "-Oz"];
            binaryen(root, "wasm-opt", &lowered, &to, &lower)?;
            let asm = work.join(format!("{}_asm.js", self.name));
            binaryen(root, "wasm2js", &["-Oz"], &lower, &asm)?;
        }
        Ok(())
    }

    /// Rust to a module that wasm-bindgen can read; gives its path.
    fn compile(&self, root: &Path) -> anyhow::Result<std::path::PathBuf> {
        // Paths of this machine would end up in the messages of panics, and in everybody's pages.
        let home = std::env::var("CARGO_HOME")
            .or_else(|_| Ok::<_, std::env::VarError>(format!("{}/.cargo", std::env::var("HOME")?)));
        // Without reference types there is no table to set up, and plain JavaScript can follow. No
        // page gives us more than 16 MiB, whatever it passes.
        let lean = "-C target-feature=-reference-types -C link-arg=--max-memory=16777216";
        let mut flags = format!("{lean} --remap-path-prefix={}=tallymark", root.display());
        if let Ok(home) = home {
            flags.push_str(&format!(" --remap-path-prefix={home}=cargo"));
        }
        let arguments = [
            "build",
            "--quiet",
            "-p",
            "tallymark-sdk-wasm",
            "--target",
            TARGET,
            "--profile",
            "wasm",
            "--features",
            self.feature,
        ];
        loud(cargo(root, &arguments).env("RUSTFLAGS", flags))?;
        Ok(build::target().join(TARGET).join("wasm/tallymark_sdk_wasm.wasm"))
    }
}

/// Glue that looks whether its views are still those of the memory. Memory that grows in WebAssembly
/// leaves its old buffer empty, and that is what the glue looks for; plain JavaScript copies it to a
/// new one, and the old one looks as good as ever.
fn with_fresh_views(glue: &str) -> anyhow::Result<String> {
    let mut lines = Vec::new();
    let mut found = 0;
    for line in glue.lines() {
        let view = line.trim_start().strip_prefix("if (cached").and_then(|rest| {
            let (name, rest) = rest.split_once(" === null ||")?;
            rest.ends_with("{").then_some(name)
        });
        match view {
            Some(name) => {
                found += 1;
                lines.push(format!("if (cached{name}?.buffer !== wasm.memory.buffer) {{"));
            }
            None => lines.push(line.to_owned()),
        }
    }
    anyhow::ensure!(
        found > 0,
        "wasm-bindgen's glue looks at its memory in another way than before"
    );
    Ok(lines.join("\n") + "\n")
}

/// Run a program of npm's `binaryen` from one file to another.
fn binaryen(
    root: &Path,
    program: &str,
    passes: &[&str],
    from: &Path,
    to: &Path,
) -> anyhow::Result<()> {
    let (from, to) = (from.display().to_string(), to.display().to_string());
    let files = [from.as_str(), "-o", to.as_str()];
    let arguments: Vec<&str> = passes.iter().chain(&FEATURES).chain(&files).copied().collect();
    let program = format!("npm/node_modules/.bin/{program}");
    quiet(&mut command(root, &program, &arguments)).map(drop)
}
