//! The sorter thread: long tails of the memtable become sorted runs.
//!
//! In: a tail that is long enough. Out: a run in its place. Readers keep seeing the unsorted one
//! until it is replaced.
//!
//! A thread of its own, because sorting takes as long as many group commits, and nobody who waits
//! for an answer shall wait for it.

use std::sync::Arc;
use std::time::Duration;

use crate::memtable::MemRun;
use crate::priority::{FLUSH_NICE, let_others_go_first};
use crate::shared::Shared;

/// How often it looks without being told.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Sort until the store closes.
pub(crate) fn run(shared: &Shared) {
    let_others_go_first(FLUSH_NICE);
    let mut live = shared.live();
    while !live.closing {
        let Some(chunks) = live.active.full_tail() else {
            live = shared.wait(live, LOOK_EVERY);
            continue;
        };
        let generation = live.generation;
        drop(live);
        let run = Arc::new(MemRun::sort(&chunks));
        live = shared.live();
        // Otherwise the table was taken away for a flush, which sorts what is left itself.
        if live.generation == generation {
            live.active.replace_tail(chunks.len(), run);
        }
        drop(live);
        drop(chunks); // Many rows, and nobody shall wait for their end.
        live = shared.live();
    }
}
