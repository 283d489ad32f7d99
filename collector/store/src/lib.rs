#![doc = include_str!("../README.md")]

pub mod catalog;
mod error;
mod options;
pub mod row;
pub mod schema;
mod stats;
mod store;

pub use catalog::{
    Catalog, CatalogChange, CatalogState, MemoryCatalog, RefusedRow, SegmentId, SegmentMeta,
    UsageDelta, UsageKind,
};
pub use error::{AppendError, CatalogError, FlushError, OpenError, ScanError};
pub use options::{Durability, StoreOptions};
pub use row::{Dim, Row};
pub use schema::{EventSchema, PropertySchema, Schema, SchemaDelta, TypeCounts};
pub use stats::{StoreStats, WriteState};
pub use store::{Append, Appended, Asked, RowRange, Store};
