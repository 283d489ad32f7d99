//! Experiments, flags and holdouts: what a team defines, how it lives, and what browsers get of it.
//!
//! ```text
//! HTTP, command line ─▶ desk: checks ─▶ meta::definitions: row and audit trail in one transaction
//!                              page ◀─ served ◀─ document: the public part of what is running
//! ```
//!
//! Invariants: a change that would move people between variants of a running experiment is refused;
//! the document of a page holds nothing but what evaluation needs.
//!
//! Deliberately elsewhere: evaluation (`tallymark_protocol::flags`), results (`tallymark_analysis`).

pub mod asked;
pub mod definition;
pub mod desk;
pub mod document;
pub mod handler;
pub mod life;
pub mod served;
pub mod targeting;
