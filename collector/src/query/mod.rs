//! Reading: questions, lists of events, what there is, and taking events out.
//!
//! Invariant: the project is the credential's; a parameter can only narrow it for dashboard
//! sessions, which may see every project.
//!
//! Deliberately elsewhere: what questions mean (`tallymark_analysis`), forms of files (`bulk`).

pub mod events;
pub mod export;
pub mod people;
pub mod pick;
pub mod questions;
pub mod range;
pub mod schema;
pub mod stats;
