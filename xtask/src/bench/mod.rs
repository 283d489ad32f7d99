//! `cargo xtask bench`: what is fast and what is not, as ratios measured in one run.
//!
//! Three parts, each with the other side in its best form: ingest against a bare server that drops
//! the same bodies, the store against ClickHouse's engine and DuckDB on the same events with equal
//! answers, and the SDK against those of other products. A fourth, `trials`, counts how often
//! verdicts of experiments err; a fifth, `pages`, opens every page over many events. Absolute times of one machine say little; `bench/RESULTS.md` keeps
//! ratios with their machine.

mod collector;
mod ingest;
mod pages;
mod sdk;
mod store;
mod trials;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};

use crate::shell::{cargo, loud, step};
use crate::{build, root};

/// Events of the store's part, when none are named: enough for a first look.
const EVENTS: u64 = 1_000_000;

const PARTS: [&str; 6] = ["ingest", "store", "sdk", "trials", "questions", "pages"];

/// Events of the parts `questions` and `pages`, when none are named.
const EVERY_EVENTS: u64 = 20_000_000;

/// What to measure.
#[derive(Debug, Default, PartialEq)]
struct Wanted {
    /// All of them, if none is named.
    parts: Vec<String>,
    /// Sizes of the store's part.
    events: Vec<u64>,
    /// More sizes, which the other engines are not asked: for how time grows.
    alone: Vec<u64>,
    /// How long ingest goes on at half of the most; 0 for a few seconds.
    minutes: u32,
    /// Experiments of each kind that are made up.
    trials: Option<u32>,
    /// Names of the store's questions; all of them, if none is named.
    only: Vec<String>,
}

/// Run all parts, or those that are named. `--events 1000000,10000000` are sizes of the store's part,
/// `--alone 300000000` more of them, without the other engines; `--minutes 10` is how long ingest goes on; `--trials 20000` how many
/// experiments of each kind are made up; `--only needle,pairs` are the questions of `store` and `questions`.
///
/// # Errors
/// When something does not build or run, and when two engines disagree.
pub fn bench(arguments: &[String]) -> anyhow::Result<()> {
    let Wanted { parts, events, alone, minutes, trials, only } = Wanted::read(arguments)?;
    let is_sized = arguments.iter().any(|argument| argument == "--events");
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|name| name == part);
    let binary = if wanted("sdk") { build::build()? } else { build::collector()? };
    let named = |part: &str| parts.iter().any(|name| name == part);
    let (every, pages) = (named("questions"), named("pages"));
    let many = if is_sized { events[0] } else { EVERY_EVENTS };
    if wanted("ingest") || wanted("store") || every {
        tools()?;
    }
    let mut lines = Vec::new();
    if wanted("ingest") {
        lines.extend(ingest::ingest(&binary, &fresh_folder("ingest")?, minutes)?);
    }
    if wanted("store") {
        lines.extend(store::store(&binary, &folder("store"), &events, &alone, &only)?);
    }
    if every {
        lines.extend(store::every(&binary, &folder("store"), many, &only)?);
    }
    if pages {
        lines.extend(pages::pages(&binary, many)?);
    }
    if wanted("sdk") {
        lines.extend(sdk::sdk()?);
    }
    if wanted("trials") {
        lines.extend(trials::trials(&binary, trials.unwrap_or(trials::TRIALS))?);
    }
    println!("\n{}", machine());
    lines.iter().for_each(|line| println!("{line}"));
    Ok(())
}

/// The store's part in its short form, for the tests: every answer of every engine, once.
///
/// # Errors
/// When something does not run, and when two engines disagree.
pub fn check() -> anyhow::Result<()> {
    tools()?;
    store::check(&build::binary(), &fresh_folder("check")?)
}

/// The verdicts of a few experiments, for the tests.
///
/// # Errors
/// When they err more often or find less than they promise.
pub fn check_trials() -> anyhow::Result<()> {
    trials::trials(&build::binary(), 500)?.iter().for_each(|line| println!("{line}"));
    Ok(())
}

impl Wanted {
    fn read(arguments: &[String]) -> anyhow::Result<Wanted> {
        fn number<T: std::str::FromStr>(text: &str) -> anyhow::Result<T> {
            text.parse().ok().with_context(|| format!("{text:?} is no number"))
        }
        let mut wanted = Wanted::default();
        let mut left = arguments.iter().map(String::as_str);
        while let Some(argument) = left.next() {
            let mut value = || left.next().with_context(|| format!("{argument} takes a value"));
            match argument {
                "--events" | "--alone" => {
                    let sizes: anyhow::Result<Vec<u64>> = value()?.split(',').map(number).collect();
                    let alone = argument == "--alone";
                    (if alone { &mut wanted.alone } else { &mut wanted.events }).extend(sizes?);
                }
                "--only" => wanted.only.extend(value()?.split(',').map(str::to_owned)),
                "--minutes" => wanted.minutes = number(value()?)?,
                "--trials" => wanted.trials = Some(number(value()?)?),
                part if PARTS.contains(&part) => wanted.parts.push(part.to_owned()),
                other => bail!("the bench has no part {other:?}: take {}", PARTS.join(", ")),
            }
        }
        if wanted.events.is_empty() && wanted.alone.is_empty() {
            wanted.events.push(EVENTS);
        }
        Ok(wanted)
    }
}

fn tools() -> anyhow::Result<()> {
    step("building the load generator, the bare server and the event generator", || {
        let build = ["build", "--quiet", "--profile", "fast", "-p", "tallymark-bench"];
        loud(&mut cargo(&root(), &build))
    })
}

fn tool(name: &str) -> Command {
    Command::new(build::target().join("fast").join(name))
}

/// Where a part keeps its files, also between runs.
fn folder(part: &str) -> PathBuf {
    build::target().join("bench").join(part)
}

/// The same, empty.
fn fresh_folder(part: &str) -> anyhow::Result<PathBuf> {
    let path = folder(part);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path)?;
    Ok(path)
}

fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("\t: unknown");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let model = model.trim_start_matches(['\t', ' ', ':']);
    format!("On {cores} cores of {model}; other machines give other times, ratios less so.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_sizes_are_read_in_any_order() {
        let read = |text: &str| {
            Wanted::read(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        };
        let usual = Wanted { events: vec![EVENTS], ..Wanted::default() };
        assert_eq!(read("").unwrap(), usual);
        let named = read("store --events 10,20 --alone 30 ingest --minutes 2").unwrap();
        let parts = vec!["store".to_owned(), "ingest".to_owned()];
        let alone = vec![30];
        assert_eq!(
            named,
            Wanted { parts, events: vec![10, 20], alone, minutes: 2, ..Wanted::default() }
        );
        assert!(read("--alone 30").unwrap().events.is_empty());
        assert_eq!(read("questions --only needle,pairs").unwrap().only, ["needle", "pairs"]);
        assert!(read("stores").is_err());
        assert!(read("--events many").is_err());
        assert!(read("--minutes").is_err());
    }
}
