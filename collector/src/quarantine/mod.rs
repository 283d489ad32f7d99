//! Events that were refused: listed with the reason, and sent again once it is mended.
//!
//! What is refused is kept in the catalog, the newest `quarantine_events` of each project; older ones
//! go, and are counted. Sending again applies one fix to many events, takes the way of every
//! event, and leaves out what is stored now. An event keeps its id, so nothing counts twice, whatever
//! is repeated.
//!
//! Deliberately elsewhere: what is kept of a refused event (`ingest::quarantine`).

mod fix;
pub mod handler;
pub(crate) mod repo;
