//! Our side: the real binary over HTTP, its times and its memory.
//!
//! First every question in a process that has just started and has read what a start reads by itself,
//! which is what somebody meets after an update; then, in one process, all of them several times. Memory is looked at before the first
//! question, after the last one, and around each: how far the most that was resident while a warm
//! question ran lies above what was resident before it.

use std::path::Path;

use serde_json::Value;

use super::kept::Imported;
use super::questions::QUESTIONS;
use crate::bench::collector::Collector;

/// What was measured; lists are in the order of [`QUESTIONS`].
pub(super) struct Ours {
    /// How long a start read what it reads by itself, seconds.
    pub settling: f64,
    /// The first question after that, seconds.
    pub first: Vec<f64>,
    /// The best of several, everything warm, seconds.
    pub warm: Vec<f64>,
    /// Bytes that a warm question adds while it runs.
    pub adds: Vec<u64>,
    /// Bytes resident after a restart, before any question.
    pub resting: u64,
    /// Bytes resident after all questions.
    pub caches_warm: u64,
}

impl Ours {
    /// Ask everything. `agrees` fails when an answer is not that of the others.
    pub fn ask(
        binary: &Path,
        imported: &Imported,
        repeats: usize,
        agrees: impl Fn(usize, &Value) -> anyhow::Result<()>,
    ) -> anyhow::Result<Ours> {
        let Imported { data, key } = imported;
        let mut ours = Ours {
            settling: 0.0,
            first: Vec::new(),
            warm: Vec::new(),
            adds: Vec::new(),
            resting: 0,
            caches_warm: 0,
        };
        for question in QUESTIONS {
            let collector = Collector::start(binary, data, &[])?;
            ours.settling = ours.settling.max(collector.settle()?.as_secs_f64());
            ours.resting = ours.resting.max(collector.resident_bytes()?);
            let (_, took) = collector.ask(key, question.kind, &question.body())?;
            ours.first.push(took.as_secs_f64());
        }
        let collector = Collector::start(binary, data, &[])?;
        for (at, question) in QUESTIONS.iter().enumerate() {
            let body = question.body();
            let (answer, mut best) = collector.ask(key, question.kind, &body)?;
            agrees(at, &answer)?;
            let before = collector.resident_bytes()?;
            collector.forget_peak()?;
            for _ in 0..repeats {
                best = best.min(collector.ask(key, question.kind, &body)?.1);
            }
            ours.warm.push(best.as_secs_f64());
            ours.adds.push(collector.peak_bytes()?.saturating_sub(before));
        }
        ours.caches_warm = collector.resident_bytes()?;
        Ok(ours)
    }
}
