//! Our side: the real binary over HTTP, its times and its memory.
//!
//! First every question in a process that has just started and has read what a start reads by itself, and
//! was never asked before; nothing is in the page cache. Then, in one process, all of them several times.
//! That one is stopped as an operator does it, and every question is asked again after a start: with the
//! files in the page cache, which is what somebody meets after an update, and without, as after a start of
//! the machine. Memory is looked at before the first question, after the last one, and around each: how far
//! the most that was resident while a warm question ran lies above what was resident before it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::{Value, json};

use super::Repeats;
use super::kept::Imported;
use super::questions::Question;
use crate::bench::collector::Collector;

/// What was measured; lists are in the order of the questions.
pub(super) struct Ours {
    /// How long a start read what it reads by itself, seconds.
    pub settling: f64,
    /// The first question after that, which was never asked before; nothing is in the page cache.
    pub unasked: Vec<First>,
    /// The same where it was asked before the start, the files in the page cache.
    pub first: Vec<First>,
    /// That with nothing in the page cache.
    pub from_disk: Vec<First>,
    /// The best of several, everything warm, seconds.
    pub warm: Vec<f64>,
    /// Bytes that a warm question adds while it runs.
    pub adds: Vec<u64>,
    /// Bytes resident after a restart, before any question.
    pub resting: u64,
    /// Bytes resident after all questions.
    pub caches_warm: u64,
}

/// A first question; the best of some starts.
pub(super) struct First {
    /// What it took.
    pub seconds: f64,
    /// What only reading the bytes takes that it read.
    pub reading: f64,
}

impl Ours {
    /// Ask everything. `agrees` fails when an answer is not that of the others.
    pub fn ask(
        binary: &Path,
        imported: &Imported,
        questions: &[&Question],
        Repeats { least, until }: Repeats,
        agrees: impl Fn(usize, &Value) -> anyhow::Result<()>,
    ) -> anyhow::Result<Ours> {
        let Imported { data, key } = imported;
        let mut ours = Ours {
            settling: 0.0,
            unasked: Vec::new(),
            first: Vec::new(),
            from_disk: Vec::new(),
            warm: Vec::new(),
            adds: Vec::new(),
            resting: 0,
            caches_warm: 0,
        };
        let (mut settling, mut resting) = (0.0_f64, 0);
        let busiest = busiest(&Collector::start(binary, data, &[])?, key)?;
        let mut first = |question: &Question, in_page_cache: bool| {
            let prepare = || if in_page_cache { Ok(()) } else { forget(data) };
            let mut best = First { seconds: f64::INFINITY, reading: f64::INFINITY };
            for _ in 0..least {
                prepare()?;
                let collector = Collector::start(binary, data, &[])?;
                settling = settling.max(collector.settle()?.as_secs_f64());
                resting = resting.max(collector.resident_bytes()?);
                let before = collector.bytes_read()?;
                let (_, took) = collector.ask(key, question.kind, &question.body(&busiest))?;
                let bytes = collector.bytes_read()? - before;
                // Killed, so that it remembers nothing.
                drop(collector);
                prepare()?;
                best.seconds = best.seconds.min(took.as_secs_f64());
                best.reading = best.reading.min(reading(data, bytes)?);
            }
            anyhow::Ok(best)
        };
        let remembered = data.join("recall.json");
        if remembered.exists() {
            std::fs::remove_file(remembered)?;
        }
        for question in questions {
            ours.unasked.push(first(question, false)?);
        }
        let collector = Collector::start(binary, data, &[])?;
        // What a start reads by itself is not the questions' doing.
        collector.settle()?;
        for (at, question) in questions.iter().enumerate() {
            let body = question.body(&busiest);
            let (answer, mut best) = collector.ask(key, question.kind, &body)?;
            agrees(at, &answer)?;
            let before = collector.resident_bytes()?;
            collector.forget_peak()?;
            let (mut asked, mut all) = (0, Duration::ZERO);
            while asked < least || all < until {
                let (_, took) = collector.ask(key, question.kind, &body)?;
                best = best.min(took);
                asked += 1;
                all += took;
            }
            ours.warm.push(best.as_secs_f64());
            ours.adds.push(collector.peak_bytes()?.saturating_sub(before));
        }
        ours.caches_warm = collector.resident_bytes()?;
        collector.stop()?;
        for question in questions {
            ours.first.push(first(question, true)?);
        }
        for question in questions {
            ours.from_disk.push(first(question, false)?);
        }
        (ours.settling, ours.resting) = (settling, resting);
        Ok(ours)
    }
}

/// The name of the person with most events: whom one asks for by name.
fn busiest(collector: &Collector, key: &str) -> anyhow::Result<String> {
    let question =
        json!({ "from": "2026-09-01", "to": "2026-10-01", "sort": "events", "limit": 1 });
    let (answer, _) = collector.ask(key, "persons", &question)?;
    let name = answer["persons"][0]["person"].as_str().context("somebody did something")?;
    Ok(name.to_owned())
}

/// How long it takes to read so many bytes of a data folder's segments and do nothing with them.
fn reading(data: &Path, bytes: u64) -> anyhow::Result<f64> {
    let mut buffer = vec![0; 256 << 10];
    let (mut left, mut took) = (bytes, Duration::ZERO);
    for file in files_in(&data.join("seg"))? {
        let mut file = File::open(file)?;
        let from = Instant::now();
        while left > 0 {
            let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let read = file.read(&mut buffer[..most])?;
            if read == 0 {
                break;
            }
            left -= read as u64;
        }
        took += from.elapsed();
    }
    // What was read twice is longer than the files.
    let read = bytes - left;
    Ok(if read == 0 { 0.0 } else { took.as_secs_f64() * bytes as f64 / read as f64 })
}

/// Have the page cache forget the segments of a data folder, as if the machine had just started.
fn forget(data: &Path) -> anyhow::Result<()> {
    for file in files_in(&data.join("seg"))? {
        let file = File::open(file)?;
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    }
    Ok(())
}

/// All files under a folder.
fn files_in(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { files.extend(files_in(&path)?) } else { files.push(path) }
    }
    Ok(files)
}
