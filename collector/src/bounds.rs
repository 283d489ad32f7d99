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
        warm_bytes: size(config.warm_bytes),
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
    use rstest::rstest;

    type Of = fn(&StoreOptions) -> u64;

    #[rstest]
    #[case::what_waits_for_the_log("queue_bytes", "2000000", |o| o.queue_bytes as u64, 2_000_000)]
    #[case::log_files("log_file_bytes", "2000000", |o| o.wal_file_bytes, 2_000_000)]
    #[case::room_on_the_disk("min_free_bytes", "7", |o| o.min_free_bytes, 7)]
    #[case::events_in_memory("memtable_bytes", "2000000", |o| o.memtable_bytes as u64, 2_000_000)]
    #[case::how_long("flush_interval_ms", "1001", |o| o.flush_after_ms, 1_001)]
    #[case::ids("dedupe_bytes", "2000000", |o| o.dedupe_ids as u64, 100_000)]
    #[case::days_of_ids("dedupe_days", "3", |o| o.dedupe_days.into(), 3)]
    #[case::who_is_who("links_bytes", "3000000", |o| o.links_max as u64, 20_000)]
    #[case::moved_rows("moved_bytes", "2000000", |o| o.moved_bytes as u64, 2_000_000)]
    #[case::columns("cache_bytes", "5", |o| o.cache_bytes as u64, 5)]
    #[case::a_share_of_the_machine("cache_bytes", "10%", |o| o.cache_bytes as u64, 100)]
    #[case::what_a_start_reads("warm_bytes", "6", |o| o.warm_bytes as u64, 6)]
    #[case::one_question("question_bytes", "20000000", |o| o.question_bytes as u64, 20_000_000)]
    #[case::threads("query_threads", "9", |o| o.query_threads as u64, 9)]
    #[case::merged_at_once("merge_segments", "5", |o| o.merge_fan_in as u64, 5)]
    #[case::quiet_weeks("merge_idle_ms", "1002", |o| o.merge_idle_ms, 1_002)]
    #[case::months("month_after_days", "4", |o| o.month_after_days.into(), 4)]
    fn a_bound_of_the_store_is_a_setting(
        #[case] key: &str,
        #[case] value: &str,
        #[case] of: Of,
        #[case] want: u64,
    ) {
        let mut config = Config::default();
        assert_ne!(
            of(&of_store(&config, 1_000, Path::new("data"))),
            want,
            "the default is another"
        );
        config.set(key, value).unwrap();
        assert_eq!(of(&of_store(&config, 1_000, Path::new("data"))), want);
    }
}
