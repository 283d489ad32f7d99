//! Presence: who did what on which local day, kept beside the rows, for questions that need no more.
//!
//! In: sorted rows of segments and memtable runs. Out: answers of analyses that have a
//! [presence form](tallymark_analysis::presence), without looking at a row.
//!
//! Every segment has a file that is derived from it (`file`); a run in memory keeps its own
//! ([`Rollup`]). A question adds the lists of its events up over all of them, thousands of persons
//! at a time, and hands their days to the analysis (`ask`). Days are those of the project's own
//! time zone: a question in another zone, or one that cuts a day in which something happened, goes
//! through the rows and gets the same answer.
//!
//! Invariant: presence is never the truth, and an answer does not depend on whether it is there.
//!
//! Deliberately elsewhere: what days mean (`tallymark_analysis`), rows (`driver`).

mod ask;
mod codec;
mod file;
mod fill;
mod rollup;
mod roster;
mod sources;
mod stored;
mod warm;

pub(crate) use ask::ask;
pub(crate) use file::Origin;
pub(crate) use rollup::{Builder, DayList, Rollup, Rows};
pub(crate) use roster::Rosters;
pub(crate) use stored::Stored;
pub(crate) use warm::warm;
