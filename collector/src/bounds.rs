//! The store's bounds, as the settings have them.
//!
//! In: settings and the machine's memory. Out: [`StoreOptions`]; clock, zones and retention come from
//! elsewhere.
//!
//! Invariant: whatever the store holds in memory, takes of the disk or waits for has a setting.

use std::path::Path;

use tallymark_store::StoreOptions;

use crate::config::Config;

/// What a known event id takes in memory, about: 9 bytes in a table that is between half and full.
const DEDUPE_ID_BYTES: u64 = 20;
/// What a link takes in memory, about.
const LINK_BYTES: u64 = 150;

/// The options of a store in this folder.
pub(crate) fn of_store(config: &Config, machine_bytes: u64, root: &Path) -> StoreOptions {
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    StoreOptions {
        queue_bytes: size(config.queue_bytes),
        dedupe_ids: size(config.dedupe_bytes / DEDUPE_ID_BYTES),
        links_max: size(config.links_bytes / LINK_BYTES),
        moved_bytes: size(config.moved_bytes),
        memtable_bytes: size(config.memtable_bytes),
        flush_after_ms: config.flush_interval_ms,
        wal_file_bytes: config.log_file_bytes,
        min_free_bytes: config.min_free_bytes,
        query_threads: config.query_threads as usize,
        question_bytes: size(config.question_bytes),
        cache_bytes: size(config.cache_bytes.bytes(machine_bytes)),
        warm_bytes: config.warm_bytes.bytes().map(size),
        dedupe_days: config.dedupe_days,
        month_after_days: config.month_after_days,
        merge_fan_in: config.merge_segments as usize,
        merge_idle_ms: config.merge_idle_ms,
        ..StoreOptions::new(root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Of = fn(&StoreOptions) -> u64;

    /// A setting, a value that is not its default, and what the store makes of it.
    const BOUNDS: &[(&str, &str, Of, u64)] = &[
        ("queue_bytes", "2000000", |o| o.queue_bytes as u64, 2_000_000),
        ("log_file_bytes", "2000000", |o| o.wal_file_bytes, 2_000_000),
        ("min_free_bytes", "7", |o| o.min_free_bytes, 7),
        ("memtable_bytes", "2000000", |o| o.memtable_bytes as u64, 2_000_000),
        ("flush_interval_ms", "1001", |o| o.flush_after_ms, 1_001),
        ("dedupe_bytes", "2000000", |o| o.dedupe_ids as u64, 100_000),
        ("dedupe_days", "3", |o| o.dedupe_days.into(), 3),
        ("links_bytes", "3000000", |o| o.links_max as u64, 20_000),
        ("moved_bytes", "2000000", |o| o.moved_bytes as u64, 2_000_000),
        ("cache_bytes", "5", |o| o.cache_bytes as u64, 5),
        ("cache_bytes", "10%", |o| o.cache_bytes as u64, 100),
        ("warm_bytes", "6", |o| o.warm_bytes.map_or(0, |bytes| bytes as u64), 6),
        ("question_bytes", "20000000", |o| o.question_bytes as u64, 20_000_000),
        ("query_threads", "9", |o| o.query_threads as u64, 9),
        ("merge_segments", "5", |o| o.merge_fan_in as u64, 5),
        ("merge_idle_ms", "1002", |o| o.merge_idle_ms, 1_002),
        ("month_after_days", "4", |o| o.month_after_days.into(), 4),
    ];

    #[test]
    fn every_bound_of_the_store_is_a_setting() {
        let of_store = |config: &Config| of_store(config, 1_000, Path::new("data"));
        for (key, value, of, want) in BOUNDS {
            let mut config = Config::default();
            assert_ne!(of(&of_store(&config)), *want, "{key}: the default is another");
            config.set(key, value).unwrap();
            assert_eq!(of(&of_store(&config)), *want, "{key}");
        }
    }
}
