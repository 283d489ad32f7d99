#![doc = include_str!("../README.md")]

pub mod active;
pub mod answer;
pub mod attribution;
mod by_run;
pub mod cohort;
pub mod columns;
pub mod completeness;
pub mod content;
pub mod currency;
pub mod events;
pub mod exact_sum;
pub mod experiment;
pub mod explain;
pub mod filter;
pub mod funnel;
pub mod kernel;
#[cfg(test)]
mod laws;
pub mod lifecycle;
#[cfg(test)]
mod limits;
mod pair;
pub mod paths;
pub mod persons;
pub mod presence;
pub mod pwa;
pub mod quantile;
pub mod question;
pub mod registry;
pub mod retention;
pub mod revenue;
pub mod sessions;
pub mod stats;
pub mod stickiness;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
pub mod time_bucket;
pub mod trend;
pub mod unusual;
mod wanted;

pub use answer::{Answer, AnswerBody, Facts};
pub use kernel::{Analysis, Kernel, Key, Partial};
pub use question::{Compiled, Context, QuestionError};
pub use registry::compile;
