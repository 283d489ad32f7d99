//! Files of events: in and out.
//!
//! ```text
//! csv │ jsonl │ parquet ─▶ tables of cells ─(mapping)─▶ columns ─▶ store  import, demo
//! store ─▶ Row ─▶ the same columns ─▶ csv │ jsonl │ parquet              export
//! ```
//!
//! Invariants: importing a file twice changes nothing; a bad row is named and never stops the rest;
//! an export imported again gives equal answers.
//!
//! **Ids in an export.** An export has no raw ids, because there are none. It has what is stored:
//! `stored_person` and `stored_actor`, and `stored_realm`, a keyed fingerprint of the project they
//! belong to. Imported into that project they are taken as they are. Imported anywhere else they are
//! hashed once more with that project's key: who is the same person stays the same person, so all
//! answers are equal, but nobody can join two projects by moving an export from one to the other.
//!
//! Deliberately elsewhere: batches over HTTP (`ingest`), deduplication (the store).

pub mod at;
pub mod bucket;
pub mod cell;
pub mod csv_in;
pub mod demo;
pub mod draft;
pub mod export;
pub mod form;
pub mod import;
pub mod jsonl_in;
pub mod mapping;
pub mod parquet_in;
pub mod parquet_out;
pub mod people;
pub mod properties;
pub mod schedule;
pub mod table;
pub mod text_out;
pub mod text_rows;
pub mod under_way;
pub mod work;
