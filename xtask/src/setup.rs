//! What the chores need beside Rust: found, installed, or named with the command that installs it.
//!
//! Everything here is safe to repeat and skips what is there. What is installed stays inside the
//! project (`.venv`, `node_modules`), except the Rust target and what apt brings:
//! Chromium, strace, the programs that run beside a collector.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, bail, ensure};

use crate::shell::{command, find, quiet, step};
use crate::{build, root};

/// The standard library for wasm.
///
/// # Errors
/// When it is missing and rustup cannot add it.
pub fn wasm_target() -> anyhow::Result<()> {
    let sysroot = quiet(&mut command(&root(), "rustc", &["--print", "sysroot"]))?;
    if Path::new(sysroot.trim()).join("lib/rustlib/wasm32-unknown-unknown").is_dir() {
        return Ok(());
    }
    step("adding Rust's wasm target", || {
        let add = ["target", "add", "wasm32-unknown-unknown"];
        quiet(&mut command(&root(), "rustup", &add)).map(drop)
    })
}

/// Room on the disk, so that what runs out of it does not look like a fault of what is tested.
///
/// # Errors
/// When less than so much is free for what is built, or for what tests write.
pub fn room(gib: u64) -> anyhow::Result<()> {
    std::fs::create_dir_all(build::target())?;
    for folder in [build::target(), std::env::temp_dir()] {
        let told = quiet(command(&root(), "df", &["-Pk"]).arg(&folder))?;
        let free = told.lines().last().and_then(|line| line.split_whitespace().nth(3));
        let free = free.and_then(|kib| kib.parse::<u64>().ok()).map(|kib| kib >> 20);
        let free = free.with_context(|| format!("df says nothing that can be read: {told}"))?;
        ensure!(
            free >= gib,
            "{} has {free} GiB of room, and this needs {gib}: make room, or choose another disk with \
             CARGO_TARGET_DIR and TMPDIR",
            folder.display()
        );
    }
    Ok(())
}

/// Node.js with npm.
///
/// # Errors
/// When it is missing or too old.
pub fn node() -> anyhow::Result<()> {
    let hint = "install Node.js 20 or newer with npm (Debian: apt-get install -y nodejs npm)";
    ensure!(find("node").is_some() && find("npm").is_some(), "{hint}");
    let version = quiet(&mut command(&root(), "node", &["--version"]))?;
    let major =
        version.trim().trim_start_matches('v').split('.').next().and_then(|n| n.parse().ok());
    ensure!(major >= Some(20), "this is Node.js {}: {hint}", version.trim());
    Ok(())
}

/// The packages of one npm project, as its lock file says; again when the lock file or one of
/// the `newer` files (the packed SDK) is newer than what is installed.
///
/// # Errors
/// When npm fails.
#[expect(clippy::disallowed_methods, reason = "the time of a file is the machine's")]
pub fn npm(folder: &str, newer: &[PathBuf]) -> anyhow::Result<()> {
    node()?;
    let folder = root().join(folder);
    let installed = changed(&folder.join("node_modules/.package-lock.json"));
    let wanted = newer
        .iter()
        .filter_map(|file| changed(file))
        .chain(changed(&folder.join("package-lock.json")));
    if installed >= wanted.max() && installed.is_some() {
        return Ok(());
    }
    step(&format!("npm packages of {}", shown(&folder)), || {
        let ci = ["ci", "--no-audit", "--no-fund", "--loglevel=error"];
        quiet(&mut command(&folder, "npm", &ci))?;
        // npm keeps the time of an unchanged lock file; ours must be the time of this run.
        let lock = std::fs::File::options()
            .append(true)
            .open(folder.join("node_modules/.package-lock.json"));
        lock.and_then(|file| file.set_modified(SystemTime::now()))
            .context("node_modules is not writable")
    })
}

/// Chromium's program, installed by apt where that is possible.
///
/// # Errors
/// When there is none and we may not install one, saying what to type.
pub fn chromium() -> anyhow::Result<PathBuf> {
    const NAMES: [&str; 4] =
        ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    if let Some(given) = std::env::var_os("CHROMIUM") {
        return Ok(given.into());
    }
    if let Some(found) = NAMES.iter().find_map(|name| find(name)) {
        return Ok(found);
    }
    apt(&["chromium"], "the browser tests need Chromium", "chromium, or CHROMIUM=/path/to/it")?;
    NAMES
        .iter()
        .find_map(|name| find(name))
        .context("apt installed Chromium, but it is not on the path")
}

/// The tracer that makes system calls fail and shows their order.
///
/// # Errors
/// When it is missing and we may not install it, saying what to type.
pub fn strace() -> anyhow::Result<()> {
    if find("strace").is_some() {
        return Ok(());
    }
    apt(&["strace"], "this needs strace, which makes system calls fail", "strace")
}

/// The program that reads the PDFs of reports.
///
/// # Errors
/// When it is missing and we may not install it, saying what to type.
pub fn pdftotext() -> anyhow::Result<()> {
    if find("pdftotext").is_some() {
        return Ok(());
    }
    apt(&["poppler-utils"], "this needs pdftotext, which reads PDFs", "poppler-utils")
}

/// What tests on file systems of their own need: mounts in a namespace, loop devices, ext4's tools.
///
/// # Errors
/// When something is missing, saying what; nothing of it can be installed from here.
pub fn mounts() -> anyhow::Result<()> {
    let script = "mount -t tmpfs tmpfs /mnt && test -b /dev/loop0 -o -c /dev/loop-control";
    let mut tried = command(&root(), "unshare", &["--mount", "sh", "-c", script]);
    if let Err(error) = quiet(&mut tried) {
        bail!(
            "this mounts file systems of its own, so it needs root (CAP_SYS_ADMIN) and loop devices \
             (in a container: --privileged): run the same command with `sudo -E env PATH=$PATH`\n{error:#}"
        );
    }
    // Not always on the path, even where it is installed.
    let is_there =
        ["/sbin", "/usr/sbin"].iter().any(|folder| Path::new(folder).join("mkfs.ext4").is_file());
    if !is_there && find("mkfs.ext4").is_none() {
        apt(&["e2fsprogs"], "this makes ext4 file systems", "e2fsprogs")?;
    }
    Ok(())
}

/// The programs that stand beside a collector: two proxies and Prometheus' checker.
///
/// # Errors
/// When one is missing and we may not install it, saying what to type.
pub fn neighbours() -> anyhow::Result<()> {
    const ALL: [(&str, &str); 3] =
        [("promtool", "prometheus"), ("nginx", "nginx-light"), ("caddy", "caddy")];
    for (program, package) in ALL {
        // Not on everybody's path, even where it is installed.
        if find(program).is_some() || Path::new("/usr/sbin").join(program).is_file() {
            continue;
        }
        let why = format!("this runs what is in deploy/ with {program}");
        // Its package is a service that would start here.
        ensure!(
            !Path::new("/run/systemd/system").exists(),
            "{why}: `sudo apt-get install -y --no-install-recommends {package}`"
        );
        apt(&["--no-install-recommends", package], &why, package)?;
    }
    Ok(())
}

/// Install one package, as root on Debian and its like.
fn apt(wanted: &[&str], why: &str, what: &str) -> anyhow::Result<()> {
    let user = quiet(&mut command(&root(), "id", &["-u"]))?;
    if user.trim() != "0" || find("apt-get").is_none() {
        bail!("{why}: `sudo apt-get install -y {what}`");
    }
    step(&format!("installing {what} with apt"), || {
        quiet(&mut command(&root(), "apt-get", &["update", "-q"]))?;
        let install = [&["install", "-y", "-q"], wanted].concat();
        quiet(&mut command(&root(), "apt-get", &install)).map(drop)
    })
}

/// Python with the packages of `tests/requirements.txt` and the CDNOW log, in `.venv`.
///
/// # Errors
/// When Python is missing or pip fails.
pub fn python() -> anyhow::Result<PathBuf> {
    /// Only its data file is read, so none of its dependencies is wanted.
    const CDNOW: &str = "Lifetimes==0.11.3";
    if let Some(given) = std::env::var_os("TALLYMARK_PYTHON") {
        return Ok(given.into());
    }
    let folder = root().join(".venv");
    let (python, stamp) = (folder.join("bin/python"), folder.join("installed.txt"));
    let wanted = std::fs::read_to_string(root().join("tests/requirements.txt"))? + CDNOW;
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    ensure!(
        find("python3").is_some(),
        "install Python 3.11 or newer with venv (Debian: apt-get install -y python3-venv)"
    );
    step("Python packages to compare with, in .venv", || {
        quiet(&mut command(&root(), "python3", &["-m", "venv", ".venv"]))?;
        let pip = |arguments: &[&str]| {
            let all: Vec<_> = ["-m", "pip", "install", "-q", "--disable-pip-version-check"]
                .iter()
                .chain(arguments)
                .copied()
                .collect();
            quiet(&mut command(&root(), ".venv/bin/python", &all))
        };
        pip(&["-r", "tests/requirements.txt"])?;
        pip(&["--no-deps", CDNOW])?;
        std::fs::write(&stamp, wanted).context(".venv is not writable")
    })?;
    Ok(python)
}

/// When a file was last written, if it is there.
fn changed(file: &Path) -> Option<SystemTime> {
    file.metadata().ok()?.modified().ok()
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}
