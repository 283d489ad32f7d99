#![doc = include_str!("../README.md")]

mod block;
pub mod catalog;
pub mod columns;
mod dedupe;
mod disk;
mod driver;
mod error;
#[cfg(test)]
mod faults;
mod files;
mod keeper;
mod load;
mod memtable;
mod names;
mod open;
mod options;
mod people;
mod presence;
mod priority;
mod progress;
mod props;
mod queue;
mod recall;
mod retention;
pub mod row;
mod rows;
mod runs;
pub mod schema;
mod segment;
mod shared;
mod sorter;
mod stats;
mod store;
#[cfg(test)]
mod testing;
mod usage;
mod values;
mod verify;
mod wal;
mod warm;
mod week;
mod writer;

/// The target of spans that are made for traces: of flushes and merges here.
pub const TRACE: &str = "tallymark::trace";

pub use catalog::{
    Catalog, CatalogChange, CatalogState, MemoryCatalog, RefusedRow, RestatedDay, SegmentId,
    SegmentMeta, UsageDelta, UsageKind,
};
pub use error::{AppendError, CatalogError, FlushError, OpenError, PeopleError, ScanError};
pub use files::{HeldCatalog, StoreFile, StoreFiles};
pub use load::{Chunk, Claim, Load, Loaded, OnProgress};
pub use options::{Durability, NowMs, StoreOptions, Zones};
pub use people::{
    Ends, Erasure, Link, LinkBy, MergeRefused, PeopleCommand, PeopleDelta, PeopleDone, PeopleState,
    Undone,
};
pub use progress::Progress;
pub use retention::{Keep, Retention};
pub use row::{Dim, Dims, Row};
pub use schema::{EventSchema, PropertySchema, Schema, SchemaDelta, TypeCounts};
pub use stats::{StoreStats, WriteState};
pub use store::{Append, Appended, Asked, RowRange, Snapshot, Store, Tried};
pub use usage::{AMOUNT_MAX, METRIC_CHARS_MAX, USAGE_EVENT, Used, is_metric, metered};
pub use verify::{Problem, Verified};
