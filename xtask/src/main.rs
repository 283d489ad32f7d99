//! The project's chores, one command per file: `cargo xtask` lists them.
//!
//! A command says what it does before it does it and how long it took after. What it needs and
//! does not find it installs, or says exactly what to type (`setup`).

mod bench;
mod build;
mod build_sdk;
mod check;
mod checklist;
mod demo;
mod doc_blocks;
mod fetch;
mod readme;
mod setup;
mod shell;
mod soak;
mod supply;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask <command>

  demo [--check]    a shop, a collector and 90 days of data, running; --check proves it and ends
  test [part…]      all tests, or only these parts; `test --list` names them
  soak [name…]      the long proofs of durability, one after the other; `soak --list` names them
  build             the npm package and the collector's binary
  bench [part…]     ratios: ingest (--minutes N), store (against other engines; --events N,… --alone N,…), sdk, pages
  check             format, lints, layers, repeated documentation, links
  sbom              every package in the collector's binary, as CycloneDX
  reproducible      the npm packages, built twice from nothing, are the same bytes
  checklist         write down which test shows which row of the checklist
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The chain of causes; where in xtask it happened helps nobody.
            eprintln!("\n{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next();
    let rest: Vec<_> = arguments.collect();
    match command.as_deref() {
        Some("demo") => demo::demo(&rest),
        Some("test") => test::test(&rest),
        Some("soak") => soak::soak(&rest),
        Some("build") => build::build().map(drop),
        Some("bench") => bench::bench(&rest),
        Some("check") => check::check(),
        Some("sbom") => supply::sbom::write(),
        Some("reproducible") => supply::reproducible::reproducible(&rest),
        Some("checklist") => checklist::write(),
        None | Some("help" | "--help" | "-h") => {
            print!("{HELP}");
            Ok(())
        }
        Some(unknown) => anyhow::bail!("there is no `{unknown}`\n\n{HELP}"),
    }
}

/// The project's folder.
fn root() -> PathBuf {
    let xtask = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().expect("xtask is a folder of the project").to_owned()
}
