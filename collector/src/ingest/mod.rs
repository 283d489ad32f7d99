//! From a request body to stored rows and a receipt.
//!
//! ```text
//! handler:  body → unpack → envelope → key → rate ─▶ accept: event → checks → time → identity → guard → Row
//!                                       receipt ◀── store: group commit ◀── rows and refused rows
//! ```
//!
//! Invariants: no answer before the store says that the batch is on disk; one bad event never fails
//! its batch; no raw id, no first-stage hash and no whole address is in what goes to the store.
//!
//! Deliberately elsewhere: the wire form (`tallymark_protocol::batch`), deduplication (the store),
//! files of events (`bulk`).

pub mod accept;
pub mod agent;
pub mod bots;
pub mod channel;
pub mod country;
pub(crate) mod counts;
pub mod day_salts;
pub mod dims;
pub mod guard;
pub mod handler;
pub mod hints;
pub mod identity;
pub mod quarantine;
pub mod rate;
pub mod remembered;
pub mod said;
pub mod time;
pub mod unpack;
