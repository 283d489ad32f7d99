//! What nearly every question reads, read once after a start.
//!
//! In: the segments that a start finds, the newest first, because most questions are about the last
//! days. Out: in the cache, up to `StoreOptions::warm_bytes`, who did what on which day, and whose
//! rows are where, their events and times. So the first question after a restart does not wait for
//! all of that.
//!
//! Nobody waits for this, and nothing depends on it: what cannot be read is left to the question that
//! wants it, which says so.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::block::ColumnKey;
use crate::presence;
use crate::segment::Segment;
use crate::shared::Shared;

/// Days are as small as this part of what is read, at most.
const DAYS: u64 = 4;

/// Read until there is enough, or the store closes.
pub(crate) fn run(shared: &Shared) {
    let mut segments: Vec<Arc<Segment>> = shared.live().segments.to_vec();
    let most = shared.options.warm_bytes.min(shared.options.cache_bytes) as u64;
    presence::warm(shared, &segments, || {
        shared.cache.bytes() >= most / DAYS || shared.live().closing
    });
    segments.sort_by_key(|segment| Reverse(segment.meta().ts_max_ms));
    let reading = shared.cache.reading();
    for segment in segments {
        let blocks = segment.source(reading).blocks;
        // Events save as much work as times, and are a fraction of them.
        for keys in [&[ColumnKey::Runs, ColumnKey::Event][..], &[ColumnKey::Ts]] {
            for (block, key) in
                blocks.iter().flat_map(|block| keys.iter().map(move |key| (block, key)))
            {
                let is_enough = shared.cache.bytes() >= most;
                if is_enough || shared.live().closing || block.column(key).is_err() {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::{Random, Source, World, small_options};
    use crate::options::StoreOptions;

    /// Bytes in the cache after a start with so much room.
    fn warmed(warm_bytes: usize, cache_bytes: usize) -> u64 {
        let mut world = World::with(StoreOptions { warm_bytes, cache_bytes, ..small_options() });
        let (mut random, source) = (Random::new(7), Source::default());
        let rows = (0..200).map(|_| source.row(&mut random)).collect();
        world.append(rows).unwrap();
        world.flush().unwrap();
        world.kill();
        world.start().unwrap();
        let shared = &world.store().shared;
        assert_eq!(shared.cache.bytes(), 0, "nothing is read by the start itself");
        run(shared);
        shared.cache.bytes()
    }

    #[test]
    fn a_start_reads_as_much_as_it_may_and_no_more() {
        let all = warmed(1 << 20, 1 << 20);
        assert!(all > 200 * 5, "200 rows have 4 bytes of time and more: {all}");
        let some = warmed(500, 1 << 20);
        assert!((500..all).contains(&some), "{some}");
        assert_eq!((warmed(0, 1 << 20), warmed(1 << 20, 0)), (0, 0));
    }
}
