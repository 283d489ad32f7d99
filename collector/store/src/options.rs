//! Every bound of the store, with its default and why.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::retention::Retention;

/// How and where a store keeps its data, and how much of the machine it may use.
#[derive(Clone)]
pub struct StoreOptions {
    /// The data folder. `wal/`, `seg/`, `tmp/` and `lock` are made inside it.
    pub dir: PathBuf,
    /// What "acknowledged" means.
    pub durability: Durability,
    /// Bytes of rows that may wait for the writer thread before [`AppendError::Busy`].
    ///
    /// [`AppendError::Busy`]: crate::AppendError::Busy
    pub queue_bytes: usize,
    /// The most that a log file is made long, all of it written when it is made, so that a full disk
    /// shows then. A store with little to write makes shorter ones. One file is made ahead.
    pub wal_file_bytes: u64,
    /// A new log file is only begun when this much would still be free: flushing needs room, and a
    /// flush is what frees the log.
    pub min_free_bytes: u64,
    /// Size of the memtable, in bytes held, at which it is flushed to segments. Twice as much may
    /// be held: one table being written while the next one fills.
    pub memtable_bytes: usize,
    /// Rows of the memtable at which it is flushed.
    pub memtable_rows: usize,
    /// Age of the oldest row in the memtable, in milliseconds, at which it is flushed.
    pub flush_after_ms: u64,
    /// Rows after which a row group of a segment ends, at the next person. The unit of decoding and
    /// caching: large enough that a column's overhead does not show, small enough that a thread
    /// can hold the columns of many segments.
    pub group_rows: usize,
    /// Segments of one size class in one week that are merged into one.
    pub merge_fan_in: usize,
    /// Time without a new segment, in milliseconds, after which a week counts as settled: then
    /// segments of different size classes are merged too, because every segment that a person is in
    /// costs each question a little.
    pub merge_idle_ms: u64,
    /// Event ids (as 8-byte fingerprints, about 20 bytes each in memory) kept for finding
    /// duplicates. Days that are not in use and do not fit are read from the segments again when
    /// they are needed; of a day in use, what does not fit goes to a file, 8 bytes each.
    pub dedupe_ids: usize,
    /// Links between ids, those that were taken back among them; counted as 150 bytes
    /// each in memory. Beyond it events are stored without joining their device to their person, and counted.
    pub links_max: usize,
    /// Bytes of rows that a flush or a merge gives to another person and holds in memory; what does not
    /// fit waits in a file.
    pub moved_bytes: usize,
    /// Bytes of decoded columns kept between questions; 0 keeps nothing.
    pub cache_bytes: usize,
    /// How many of those a start fills before anybody asks. `None`: what is usual for so many rows.
    pub warm_bytes: Option<usize>,
    /// Bytes that one question may hold beside the cache: values of a breakdown, figures, lists for
    /// medians. One that needs more is given up.
    pub question_bytes: usize,
    /// Threads that work on one question.
    pub query_threads: usize,
    /// The time zones of projects: whose days are kept beside the rows.
    pub zones: Zones,
    /// How long events are kept.
    pub retention: Retention,
    /// Days after its receipt in which a resend of an event is found for certain. A merge of segments
    /// whose rows are all older drops their ids.
    pub dedupe_days: u32,
    /// Days after which the weeks of a month are merged into one.
    pub month_after_days: u32,
    /// The clock, in Unix milliseconds. It decides when ids and old rows go, and never anything
    /// in a replay.
    pub now_ms: NowMs,
}

/// Gives Unix milliseconds.
pub type NowMs = Arc<dyn Fn() -> i64 + Send + Sync>;

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreOptions").field("dir", &self.dir).finish_non_exhaustive()
    }
}

#[expect(clippy::disallowed_methods, reason = "the default of an argument")]
fn system_now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Tells the IANA time zone of a project.
#[derive(Clone)]
pub struct Zones(Arc<dyn Fn(u32) -> String + Send + Sync>);

impl Zones {
    /// Ask this for a project's zone. Called now and then, from any thread; must not block.
    pub fn new(zone: impl Fn(u32) -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(zone))
    }

    /// The zone of a project.
    pub(crate) fn of(&self, project: u32) -> String {
        (self.0)(project)
    }
}

impl fmt::Debug for Zones {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zones").finish_non_exhaustive()
    }
}

/// What must have happened to a batch before it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// On the disk (`fdatasync`): survives loss of power.
    Power,
    /// Handed to the operating system: survives the death of this process only.
    Process,
}

impl StoreOptions {
    /// The defaults, for a data folder.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            durability: Durability::Power,
            queue_bytes: 32 << 20,
            wal_file_bytes: 64 << 20,
            min_free_bytes: 256 << 20,
            memtable_bytes: 128 << 20,
            memtable_rows: 1 << 20,
            flush_after_ms: 5 * 60 * 1000,
            group_rows: 128 << 10,
            merge_fan_in: 8,
            merge_idle_ms: 10 * 60 * 1000,
            dedupe_ids: 7_500_000,
            links_max: 1_800_000,
            moved_bytes: 32 << 20,
            cache_bytes: 768 << 20,
            warm_bytes: None,
            question_bytes: 256 << 20,
            zones: Zones::new(|_| "UTC".into()),
            retention: Retention::default(),
            query_threads: std::thread::available_parallelism().map_or(1, |n| n.get()),
            dedupe_days: 31,
            month_after_days: 35,
            now_ms: Arc::new(system_now_ms),
        }
    }
}
