//! What questions read, read once after a start.
//!
//! In: the segments that a start finds, the newest first, because most questions are about the last
//! days, and what was asked for before it (`recall`). Out: in the cache, up to
//! `StoreOptions::warm_bytes`, by default more for more rows, what nearly every question reads: who did
//! what on which day, and whose rows are where, their events, properties that are small because neighbours have the same, what the codes of
//! other texts stand for, rows that few have and that were asked for before, properties that have few texts,
//! and times. Then, where there is room left, other properties, the smallest first. So the first question
//! after a restart does not wait for all of that.
//!
//! Nobody waits for this, and nothing depends on it: what cannot be read is left to the question that
//! wants it, which says so.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::block::{Block, ColumnKey};
use crate::options::StoreOptions;
use crate::presence;
use crate::recall;
use crate::segment::Segment;
use crate::shared::Shared;

/// What is usual: with 100 million rows a process has 400 MiB then, and three bytes a row are the same of more rows.
const USUAL_BYTES: u64 = 304 << 20;
const USUAL_ROW_BYTES: u64 = 3;

/// Days are as small as this part of what is read, at most.
const DAYS: u64 = 4;

/// Rows that few have are as small a part, at most.
const RARE: u64 = 4;

/// Read until there is enough, or the store closes. `known` was asked for before.
pub(crate) fn run(shared: &Shared, known: &[recall::Set]) {
    let mut segments: Vec<Arc<Segment>> = shared.live().segments.to_vec();
    let rows = segments.iter().map(|segment| segment.meta().rows).sum();
    let most = bytes_max(&shared.options, rows);
    presence::warm(shared, &segments, || {
        shared.cache.bytes() >= most / DAYS || shared.live().closing
    });
    segments.sort_by_key(|segment| Reverse(segment.meta().ts_max_ms));
    let reading = shared.cache.reading();
    let read = |block: &Arc<dyn Block>, key: &ColumnKey| {
        let is_enough = shared.cache.bytes() >= most || shared.live().closing;
        !is_enough && block.column(key).is_ok()
    };
    let read_all = |blocks: &[Arc<dyn Block>], keys: &[ColumnKey]| {
        keys.iter().all(|key| blocks.iter().all(|block| read(block, key)))
    };
    // Events save as much work as times, and are a fraction of them; properties in runs are less.
    let usual = [ColumnKey::Runs, ColumnKey::Event];
    let mut later = Vec::new();
    for segment in &segments {
        let blocks = segment.source(reading).blocks;
        let [small, few_texts, others] = segment.properties();
        let tables: Vec<ColumnKey> =
            few_texts.iter().chain(&others).filter_map(|key| segment.small_table(key)).collect();
        if ![&usual[..], &small, &tables].iter().all(|keys| read_all(&blocks, keys)) {
            return;
        }
        later.push((blocks, few_texts, others));
    }
    let enough = shared.cache.bytes() + most / RARE;
    for set in known {
        // A block remembers the rows of one set.
        for block in segments.iter().flat_map(|segment| segment.source(reading).blocks) {
            if shared.cache.bytes() < enough
                && let Ok(true) = block.may_have(&set.having)
                && let Ok(Some(few)) = block.few(&set.having)
            {
                let _ = set.columns.iter().all(|key| read(&few, key));
            }
        }
    }
    // Few texts are as much work as times, and an eighth of them in memory.
    let _ = later.iter().all(|(blocks, few_texts, _)| read_all(blocks, few_texts))
        && later.iter().all(|(blocks, ..)| read_all(blocks, &[ColumnKey::Ts]))
        && later.iter().all(|(blocks, _, others)| read_all(blocks, others));
}

/// Bytes that a start reads at most, with so many rows stored.
fn bytes_max(options: &StoreOptions, rows: u64) -> u64 {
    let usual = || USUAL_BYTES.max(rows.saturating_mul(USUAL_ROW_BYTES));
    let most = options.warm_bytes.map_or_else(usual, |bytes| bytes as u64);
    most.min(options.cache_bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::{Random, Source, World, small_options};
    use crate::row::Row;
    use serde_json::json;
    use tallymark_analysis::{Context, compile};

    /// A store that was started with rows in a file, and so much room.
    fn started(warm_bytes: usize, cache_bytes: usize) -> World {
        let warm_bytes = Some(warm_bytes);
        let mut world = World::with(StoreOptions { warm_bytes, cache_bytes, ..small_options() });
        let (mut random, source) = (Random::new(7), Source::default());
        let rows = (0..200).map(|_| source.row(&mut random)).collect();
        world.append(rows).unwrap();
        world.flush().unwrap();
        world.kill();
        world.start().unwrap();
        assert_eq!(world.store().shared.cache.bytes(), 0, "nothing is read by the start itself");
        world
    }

    /// Bytes in the cache after that.
    fn warmed(warm_bytes: usize, cache_bytes: usize) -> u64 {
        let world = started(warm_bytes, cache_bytes);
        let shared = &world.store().shared;
        run(shared, &[]);
        shared.cache.bytes()
    }

    /// Whether times were decoded for a trend of March.
    fn reads_times(world: &World, bucket: &str) -> bool {
        let question = json!({ "from": "2024-03-01", "to": "2024-04-01", "tz": "UTC",
                               "bucket": bucket, "series": [{ "measure": "count" }] });
        let analysis =
            compile("trend", question, &Context::utc(1_720_000_000_000)).unwrap().analysis;
        let shared = &world.store().shared;
        world.store().ask(1, &*analysis).unwrap();
        let before = shared.cache.bytes();
        for segment in shared.live().segments.iter() {
            for block in segment.source(shared.cache.reading()).blocks {
                block.column(&ColumnKey::Ts).unwrap();
            }
        }
        shared.cache.bytes() == before
    }

    #[test]
    fn times_are_read_where_somebody_looks_at_them() {
        let world = || World::with(StoreOptions { cache_bytes: 1 << 20, ..small_options() });
        let (mut random, source) = (Random::new(7), Source::default());
        let mut send = |world: &World, hours: std::ops::Range<i64>| {
            let row = |n: i64| Row {
                project: 1,
                ts_ms: 1_710_000_000_000 + n * 3_600_000,
                ..source.row(&mut random)
            };
            world.append(hours.map(row).collect()).unwrap();
            world.flush().unwrap();
        };
        for (bucket, wants) in [("month", false), ("day", true)] {
            let world = world();
            send(&world, 0..20);
            assert_eq!(reads_times(&world, bucket), wants, "{bucket}");
        }
        // Rows of one person in two files that overlap have to be put in order.
        let world = world();
        send(&world, 0..20);
        send(&world, 5..15);
        assert!(reads_times(&world, "month"));
    }

    #[test]
    fn properties_are_read_where_there_is_room() {
        let world = started(1 << 20, 1 << 20);
        let shared = &world.store().shared;
        run(shared, &[]);
        let before = shared.cache.bytes();
        let segment = Arc::clone(&shared.live().segments[0]);
        let keys = segment.properties().concat();
        assert!(keys.len() > 1, "{keys:?}");
        let block = Arc::clone(&segment.source(shared.cache.reading()).blocks[0]);
        keys.iter().for_each(|key| drop(block.column(key).unwrap()));
        assert_eq!(shared.cache.bytes(), before, "all of them were there");
    }

    #[test]
    fn a_start_reads_as_much_as_it_may_and_no_more() {
        let all = warmed(1 << 20, 1 << 20);
        assert!(all > 200 * 5, "200 rows have 4 bytes of time and more: {all}");
        let some = warmed(500, 1 << 20);
        assert!((500..all).contains(&some), "{some}");
        assert_eq!((warmed(0, 1 << 20), warmed(1 << 20, 0)), (0, 0));
    }

    #[test]
    fn of_more_rows_a_start_reads_more_unless_it_is_told_how_much() {
        let mut options = StoreOptions { cache_bytes: 2 << 30, ..small_options() };
        options.warm_bytes = None;
        assert_eq!([0, 100_000_000].map(|rows| bytes_max(&options, rows)), [304 << 20; 2]);
        assert_eq!(bytes_max(&options, 300_000_000), 900_000_000);
        assert_eq!(bytes_max(&options, u64::MAX), 2 << 30, "what the cache may hold");
        options.warm_bytes = Some(7);
        assert_eq!(bytes_max(&options, 300_000_000), 7);
    }
}
