//! The store against ClickHouse's engine and DuckDB: the same events, the same questions, equal
//! answers, in one run.
//!
//! Per size: events are generated, each side loads them, then is asked everything (`questions`), best
//! of three with the page cache warm. ClickHouse keeps the events twice, in the order PostHog uses and
//! by person; a question counts with the better one. A figure counts only when all sides agree: a
//! disagreement ends the run.
//!
//! Events and peers' tables are kept under `target/bench/store` and used again while what they were
//! made from is the same; ours is imported again when the binary has changed. So a run that was
//! interrupted goes on where it was.
//!
//! Not here: what the figures were (`bench/RESULTS.md`), ingest over HTTP (`ingest`).

mod every;
mod kept;
mod ours;
mod questions;
mod table;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::setup;
use crate::shell::step;
use kept::{Events, Loaded, PEERS};
use ours::Ours;
use questions::{QUESTIONS, Question};

/// How often a question is asked, of which the best time counts.
#[derive(Clone, Copy)]
struct Repeats {
    least: usize,
    /// Again until so much time is over, all times together: a processor that had nothing to do takes a while to be at its
    /// full speed, which a question of a few milliseconds would never meet.
    until: Duration,
}

const REPEATS: Repeats = Repeats { least: 3, until: Duration::from_millis(500) };
const ONCE: Repeats = Repeats { least: 1, until: Duration::ZERO };
/// Events of the short form.
const CHECK_EVENTS: u64 = 1_000_000;

/// What one size gave.
struct Measured {
    events: u64,
    questions: Vec<&'static Question>,
    ours: Ours,
    ours_loaded: Loaded,
    peers: Vec<Peer>,
}

/// An engine's times.
struct Peer {
    name: &'static str,
    /// Seconds that loading took.
    load: f64,
    /// Bytes of the events on disk.
    bytes: u64,
    /// Seconds by question, in their order.
    seconds: Vec<f64>,
}

/// Measure all sizes, the last ones without the other engines; the Markdown to print.
///
/// # Errors
/// When something does not run, and when two engines disagree.
pub(super) fn store(
    binary: &Path,
    folder: &Path,
    sizes: &[u64],
    alone: &[u64],
    only: &[String],
) -> anyhow::Result<Vec<String>> {
    let questions = chosen(QUESTIONS.iter(), only)?;
    let mut all = Vec::new();
    let sizes = sizes.iter().map(|events| (*events, &PEERS[..]));
    for (events, peers) in sizes.chain(alone.iter().map(|events| (*events, &[][..]))) {
        println!("\n━━ {} events", table::count(events));
        let folder = folder.join(events.to_string());
        all.push(measure(binary, &folder, events, peers, questions.clone(), REPEATS)?);
    }
    Ok(table::tables(&all))
}

/// Measure every question at one size; the Markdown to print.
///
/// # Errors
/// When something does not run, and when two engines disagree.
pub(super) fn every(
    binary: &Path,
    folder: &Path,
    events: u64,
    only: &[String],
) -> anyhow::Result<Vec<String>> {
    let questions = chosen(all_questions(), only)?;
    println!("\n━━ {} events", table::count(events));
    let folder = folder.join(events.to_string());
    let measured = measure(binary, &folder, events, &PEERS, questions, REPEATS)?;
    Ok(table::tables(&[measured]))
}

fn all_questions() -> impl Iterator<Item = &'static Question> {
    QUESTIONS.iter().chain(every::EVERY)
}

/// The questions of these names; all of them, if none is named.
fn chosen(
    questions: impl Iterator<Item = &'static Question>,
    only: &[String],
) -> anyhow::Result<Vec<&'static Question>> {
    let all: Vec<&Question> = questions.collect();
    if let Some(name) = only.iter().find(|name| all.iter().all(|question| question.name != **name))
    {
        let names: Vec<_> = all.iter().map(|question| question.name).collect();
        bail!("no question is named {name:?}: take {}", names.join(", "));
    }
    let is_chosen =
        |question: &&Question| only.is_empty() || only.iter().any(|name| name == question.name);
    Ok(all.into_iter().filter(is_chosen).collect())
}

/// Every question once, at one size: that all engines run and agree.
///
/// # Errors
/// When something does not run, and when two engines disagree.
pub(super) fn check(binary: &Path, folder: &Path) -> anyhow::Result<()> {
    let measured = measure(binary, folder, CHECK_EVENTS, &PEERS, all_questions().collect(), ONCE)?;
    table::tables(&[measured]).iter().for_each(|line| println!("{line}"));
    Ok(())
}

fn measure(
    binary: &Path,
    folder: &Path,
    events: u64,
    names: &[&'static str],
    questions: Vec<&'static Question>,
    repeats: Repeats,
) -> anyhow::Result<Measured> {
    let python = setup::python()?;
    let data = Events::make(&folder.join("events"), events)?;
    let (imported, ours_loaded) = kept::import(binary, &python, &data, &folder.join("ours"))?;
    let mut peers = Vec::new();
    let mut answers = Vec::new();
    for &name in names {
        let load = kept::load_peer(&python, name, &data, &folder.join(name))?;
        let said = step(&format!("asking {name}"), || {
            kept::ask_peer(&python, name, &folder.join(name), repeats, &questions)
        })?;
        let mut seconds = Vec::new();
        for question in &questions {
            let time = said["answers"][question.name]["seconds"].as_f64();
            seconds.push(time.with_context(|| format!("{name} was asked {}", question.name))?);
        }
        let bytes =
            said["bytes"].as_u64().with_context(|| format!("{name} says how large it is"))?;
        peers.push(Peer { name, load, bytes, seconds });
        answers.push((name, said));
    }
    let agrees = |at: usize, answer: &Value| {
        for (name, said) in &answers {
            let question = questions[at];
            let theirs = &said["answers"][question.name]["answer"];
            ensure!(
                question.agrees(answer, theirs),
                "{name} answers {} differently:\n{theirs}\nours:\n{}",
                question.name,
                question.figures(answer)
            );
        }
        Ok(())
    };
    let ours =
        step("asking the collector", || Ours::ask(binary, &imported, &questions, repeats, agrees))?;
    Ok(Measured { events, questions, ours, ours_loaded, peers })
}
