//! Ingest: events a second into the collector, as a share of what a bare server takes, and how long
//! answers take at half of it, with batches sent when they are due whatever became of those before. As much
//! as is taken for some minutes, if they are asked for: then also what memory and segments are at the end of each.

use std::path::Path;

use anyhow::Context;
use serde_json::Value;

use super::collector::{Collector, create_project, started};
use super::tool;
use crate::shell::{Running, quiet, step};

/// One key from one network sends everything, of one project: as fast as it likes.
const NO_RATE: [&str; 6] = [
    "--ingest-rate-per-s",
    "1000000",
    "--network-rate-per-s",
    "1000000",
    "--project-rate-per-s",
    "1000000",
];
/// Senders, each of which waits for its answer: enough that one group can be on its way to the disk
/// while the next one is read.
const CONNECTIONS: &str = "64";
/// The best of these many turns.
const TURNS: usize = 3;
/// The length of one load.
const LOAD_SECONDS: u32 = 5;

/// Measure; the lines to print.
///
/// # Errors
/// When a server does not start or refuses what it is sent.
pub(super) fn ingest(binary: &Path, folder: &Path, minutes: u32) -> anyhow::Result<Vec<String>> {
    let mut lines = vec![
        "\nIngest, as a share of a bare server that reads and drops the same bodies".to_owned(),
    ];
    for (name, batch) in [("batches of 100", "100"), ("single events", "1")] {
        let data = folder.join(format!("batch-{batch}"));
        let project = create_project(binary, &data)?;
        let collector = Collector::start(binary, &data, &NO_RATE)?;
        let (bare, address) = bare_server()?;
        // Turn by turn, so that a busy minute of the machine hurts both.
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        step(&format!("ingest, {name}"), || {
            for _ in 0..TURNS {
                ours.push(load(&collector.address, &project, batch, None, LOAD_SECONDS)?);
                theirs.push(load(&address, &project, batch, None, LOAD_SECONDS)?);
            }
            Ok(())
        })?;
        let best = |runs: &[Value], field: &str| {
            runs.iter().filter_map(|run| run[field].as_f64()).fold(0.0, f64::max)
        };
        let (ours_rate, theirs_rate) = (best(&ours, "events_per_s"), best(&theirs, "events_per_s"));
        let wait = |runs: &[Value], field: &str| {
            runs.iter().filter_map(|run| run[field].as_f64()).fold(f64::INFINITY, f64::min)
        };
        lines.push(format!(
            "  {name:<16} {:>5.2}   ({ours_rate:.0} of {theirs_rate:.0} events/s; p50 {:.1} ms against {:.1}, p99 {:.1} against {:.1})",
            ours_rate / theirs_rate,
            wait(&ours, "p50_ms"), wait(&theirs, "p50_ms"), wait(&ours, "p99_ms"), wait(&theirs, "p99_ms"),
        ));
        drop(bare);
        let half = step(&format!("ingest, {name}, at half of the most"), || {
            load(&collector.address, &project, batch, Some(ours_rate / 2.0), LOAD_SECONDS)
        })?;
        let number = |field: &str| half[field].as_f64().unwrap_or(f64::NAN);
        lines.push(format!(
            "  {:<16}         (at {:.0} events/s: p50 {:.1} ms, p99 {:.1}, slowest {:.1}; the generator took {:.1} of {LOAD_SECONDS} CPU seconds)",
            "", number("events_per_s"), number("p50_ms"), number("p99_ms"), number("max_ms"), number("cpu_s"),
        ));
        if minutes > 0 && batch == "100" {
            lines.extend(step(
                &format!("ingest, {name}, as much as is taken, {minutes} minutes"),
                || go_on(&collector, &project, batch, minutes),
            )?);
        }
    }
    Ok(lines)
}

/// Minute after minute as much as is taken: how long answers took in each, and what the collector holds after it.
fn go_on(
    collector: &Collector,
    project: &Value,
    batch: &str,
    minutes: u32,
) -> anyhow::Result<Vec<String>> {
    let mut lines = vec![
        String::new(),
        "| minute | events/s | p50 ms | p99 ms | slowest ms | resident MiB | segments |".to_owned(),
        "|---|---|---|---|---|---|---|".to_owned(),
    ];
    for minute in 1..=minutes {
        let took = load(&collector.address, project, batch, None, 60)?;
        let number = |field: &str| took[field].as_f64().unwrap_or(f64::NAN);
        let line = format!(
            "| {minute} | {:.0} | {:.1} | {:.1} | {:.1} | {} | {} |",
            number("events_per_s"),
            number("p50_ms"),
            number("p99_ms"),
            number("max_ms"),
            collector.resident_bytes()? >> 20,
            collector.metric("store_segments")?,
        );
        // What comes after it may fail, and this took long.
        println!("{line}");
        lines.push(line);
    }
    lines.push(String::new());
    Ok(lines)
}

fn bare_server() -> anyhow::Result<(Running, String)> {
    let (process, ready) = started(&mut tool("bare_server"))?;
    let address = ready["address"].as_str().context("the bare server says where it listens")?;
    Ok((process, address.to_owned()))
}

/// Some seconds of load, as much as is answered or at a rate; what the generator measured.
fn load(
    address: &str,
    project: &Value,
    batch: &str,
    rate: Option<f64>,
    seconds: u32,
) -> anyhow::Result<Value> {
    let key = project["write_key"].as_str().context("a project has a write key")?;
    let mut load = tool("load");
    load.args([address, key, batch, CONNECTIONS]).arg(seconds.to_string());
    load.args(rate.map(|rate| rate.to_string()));
    Ok(serde_json::from_str(&quiet(&mut load)?)?)
}
