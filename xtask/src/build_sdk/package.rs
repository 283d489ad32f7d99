//! TypeScript and glue to the package's scripts, types and tarball, and to what the collector serves.
//!
//! Each row of [`ENTRIES`] is bundled by itself. What it loads later stays an import of a file
//! beside it, so that a page's own bundler sees it and can do the same. The script for pages without
//! a bundler holds what every page needs, and loads the rest as scripts whose hashes it knows.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use super::modules::MODULES;
use crate::shell::{command, quiet};

/// A script of `npm/dist`.
pub struct Entry {
    /// Its name without an ending.
    pub name: &'static str,
    /// What it is made of: `npm/src/<source>.ts`.
    source: &'static str,
    form: Form,
    /// Packages that its users have; such an entry is of no use without a bundler.
    peers: &'static [&'static str],
}

#[derive(Clone, Copy, PartialEq)]
enum Form {
    /// A module that pages import: its types are in the package.
    Public,
    /// A module that others load.
    Part,
    /// A script to be inlined in a page's head.
    Head,
    /// A script that [`Form::Script`] loads.
    ScriptPart,
    /// The package as one script.
    Script,
}

const fn public(name: &'static str) -> Entry {
    Entry { name, source: name, form: Form::Public, peers: &[] }
}

const fn part(name: &'static str) -> Entry {
    Entry { name, source: name, form: Form::Part, peers: &[] }
}

const fn script(name: &'static str, source: &'static str, form: Form) -> Entry {
    Entry { name, source, form, peers: &[] }
}

/// All of them; the parts of the script before the script, which names their hashes.
pub const ENTRIES: &[Entry] = &[
    public("index"),
    part("core"),
    part("fallback"),
    part("debug"),
    part("guard"),
    public("evaluator"),
    part("evaluator-plain"),
    public("experiments"),
    Entry { peers: &["@openfeature/*"], ..public("openfeature") },
    public("content"),
    public("pwa"),
    public("vitals"),
    public("errors"),
    part("scope"),
    public("autocapture"),
    public("business"),
    Entry { peers: &["react"], ..public("react") },
    Entry { peers: &["vue"], ..public("vue") },
    public("svelte"),
    public("worker"),
    public("consent-mode"),
    script("assign-sync", "assign-sync", Form::Head),
    script("tallymark-fallback", "fallback", Form::ScriptPart),
    script("tallymark-debug", "debug", Form::ScriptPart),
    script("tallymark-guard", "guard", Form::ScriptPart),
    script("tallymark", "script", Form::Script),
];

/// Types that public ones refer to.
const SHARED_TYPES: [&str; 3] = ["client.d.ts", "types.d.ts", "flag-types.d.ts"];

/// In the package as in the project; there only while it is packed.
const LICENCES: [&str; 2] = ["LICENSE-APACHE", "LICENSE-MIT"];

/// The files of `npm/dist` that pages may load.
pub fn loaded() -> Vec<String> {
    let scripts = ENTRIES.iter().map(|entry| format!("{}.js", entry.name));
    scripts.chain(modules()).collect()
}

fn modules() -> impl Iterator<Item = String> {
    MODULES.iter().map(|module| format!("{}_bg.wasm", module.name))
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
    quiet(&mut command(&npm, "node_modules/.bin/tsc", &["-p", "tsconfig.json"]))?;
    remove_all_but(&dist, &wanted())?;
    for entry in ENTRIES {
        bundle(&npm, work, entry)?;
    }
    pack(root, &npm)
}

/// `npm pack`, with the licences.
pub fn pack(root: &Path, package: &Path) -> anyhow::Result<()> {
    for licence in LICENCES {
        std::fs::copy(root.join(licence), package.join(licence))?;
    }
    let packed = quiet(&mut command(package, "npm", &["pack", "--silent"]));
    for licence in LICENCES {
        let _ = std::fs::remove_file(package.join(licence));
    }
    packed.map(drop)
}

fn bundle(npm: &Path, work: &Path, entry: &Entry) -> anyhow::Result<()> {
    let mut arguments = vec![
        format!("src/{}.ts", entry.source),
        format!("--outfile=dist/{}.js", entry.name),
        format!("--define:TALLYMARK_VERSION=\"{}\"", version(npm)?),
    ];
    let is_script = entry.form == Form::Script;
    // The script holds the core; modules leave everything to the page's bundler.
    let inside: &[&str] = if is_script { &["index", "core"] } else { &[] };
    let beside = ENTRIES.iter().filter(|other| {
        matches!(other.form, Form::Public | Form::Part)
            && other.source != entry.source
            && !inside.contains(&other.source)
    });
    arguments.extend(beside.map(|other| format!("--external:./{}.js", other.name)));
    arguments.extend(entry.peers.iter().map(|peer| format!("--external:{peer}")));
    arguments.extend(aliases(npm, work)?);
    let common = ["--bundle", "--target=es2022", "--minify", "--sourcemap", "--log-level=warning"];
    arguments.extend(common.map(str::to_owned));
    arguments.push(match entry.form {
        Form::Public | Form::Part => "--format=esm".to_owned(),
        Form::Head | Form::ScriptPart | Form::Script => "--format=iife".to_owned(),
    });
    if entry.form == Form::ScriptPart {
        arguments.push(format!("--global-name=tallymarkParts.{}", entry.source));
    }
    if is_script {
        arguments.push(format!("--define:TALLYMARK_INTEGRITY={}", integrity(npm)?));
        // It passes the module's bytes, so nobody asks where the module is.
        arguments.push("--define:import.meta.url=\"\"".to_owned());
    }
    quiet(&mut command(npm, "node_modules/.bin/esbuild", &arguments))?;
    if is_script { load_parts_by_hash(&npm.join("dist"), entry) } else { Ok(()) }
}

/// Where the sources find what is made of Rust: copied to one place, because names of files are in what is built, and it is
/// to be the same wherever cargo builds.
///
/// # Errors
/// When a file cannot be copied.
pub fn aliases(npm: &Path, work: &Path) -> anyhow::Result<Vec<String>> {
    let made = npm.join("made");
    std::fs::create_dir_all(&made)?;
    let mut arguments = Vec::new();
    for module in MODULES {
        for (kind, file) in [("glue", "bg"), ("asm", "asm")] {
            let name = format!("{}_{file}.js", module.name);
            let (from, path) = (work.join(&name), made.join(&name));
            if from.exists() {
                std::fs::copy(&from, &path)?;
            }
            arguments.push(format!("--alias:tallymark-{kind}/{}={}", module.name, path.display()));
        }
    }
    // What Rust imports, see `sdk-wasm/src/evaluation.rs`.
    arguments.push(format!("--alias:tallymark-host={}", npm.join("src/host.ts").display()));
    Ok(arguments)
}

/// The hashes of everything that the script loads later, as JSON.
fn integrity(npm: &Path) -> anyhow::Result<String> {
    const PROGRAM: &str = "const{createHash:h}=require('node:crypto'),{readFileSync:r}=require('node:fs');\
        const hash=(n)=>[n,'sha384-'+h('sha384').update(r('dist/'+n)).digest('base64')];\
        process.stdout.write(JSON.stringify(Object.fromEntries(process.argv.slice(1).map(hash))))";
    let scripts = ENTRIES.iter().filter(|entry| entry.form == Form::ScriptPart);
    let scripts = scripts.map(|entry| format!("{}.js", entry.name));
    let files: Vec<_> = scripts.chain(["tallymark_bg.wasm".to_owned()]).collect();
    let mut arguments = vec!["-e".to_owned(), PROGRAM.to_owned()];
    arguments.extend(files);
    quiet(&mut command(npm, "node", &arguments))
}

/// A plain script cannot say what it expects of an `import()`; a script element can.
fn load_parts_by_hash(dist: &Path, script: &Entry) -> anyhow::Result<()> {
    let file = dist.join(format!("{}.js", script.name));
    let mut text = std::fs::read_to_string(&file)?;
    for part in ENTRIES.iter().filter(|entry| entry.form == Form::ScriptPart) {
        let import = format!("import(\"./{}.js\")", part.source);
        ensure!(text.contains(&import), "the script does not load {} any more", part.source);
        text = text.replace(&import, &format!("tallymarkParts.load(\"{}\")", part.source));
    }
    ensure!(!text.contains("import("), "the script loads something that has no hash");
    Ok(std::fs::write(file, text)?)
}

/// Names of what `npm/dist` holds. Only public types: the rest would document what nobody can import.
fn wanted() -> Vec<String> {
    let mut wanted = loaded();
    wanted.extend(SHARED_TYPES.map(str::to_owned));
    for entry in ENTRIES {
        wanted.push(format!("{}.js.map", entry.name));
        if entry.form == Form::Public {
            wanted.push(format!("{}.d.ts", entry.name));
        }
    }
    wanted
}

/// Put what pages can use without a bundler where the collector takes it into its binary, packed as
/// well. Files that are as before are left alone: else the collector would be built again.
///
/// # Errors
/// When a file cannot be read or written.
pub fn hand_over(root: &Path) -> anyhow::Result<()> {
    const PROGRAM: &str = "const f=require('node:fs'),z=require('node:zlib');\
        const put=(n,b)=>{let old;try{old=f.readFileSync(n)}catch{}if(!old?.equals(b))f.writeFileSync(n,b)};\
        const[to,...names]=process.argv.slice(1);\
        for(const n of names){const b=f.readFileSync('npm/dist/'+n);put(to+n,b);put(to+n+'.br',z.brotliCompressSync(b))}";
    const TO: &str = "collector/sdk/";
    let usable = ENTRIES.iter().filter(|entry| entry.peers.is_empty());
    let names: Vec<_> = usable.map(|entry| format!("{}.js", entry.name)).chain(modules()).collect();
    let mut kept = vec![".gitignore".to_owned()];
    kept.extend(names.iter().flat_map(|name| [name.clone(), format!("{name}.br")]));
    remove_all_but(&root.join(TO), &kept)?;
    let mut arguments = vec!["-e".to_owned(), PROGRAM.to_owned(), TO.to_owned()];
    arguments.extend(names);
    quiet(&mut command(root, "node", &arguments)).map(drop)
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

/// A package's version, from its manifest.
///
/// # Errors
/// When the manifest cannot be read.
pub fn version(npm: &Path) -> anyhow::Result<String> {
    let manifest = std::fs::read_to_string(npm.join("package.json"))?;
    let manifest: serde_json::Value = serde_json::from_str(&manifest)?;
    let version = manifest["version"]
        .as_str()
        .with_context(|| format!("{} has no version", npm.display()))?;
    Ok(version.to_owned())
}
