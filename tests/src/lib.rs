//! The collector under test, as a stranger meets it: the real binary, its command line and HTTP.
//!
//! [`TestCollector`] spawns the binary on a free port with a data folder of its own and waits
//! until it says that it is ready. What it hands out are plain JSON values: a test reads what a
//! customer's program would read, so no test can pass because both sides share a type.
//!
//! Which binary: `TALLYMARK_BIN`, else the newest of `target/{fast,release,debug}/tallymark`
//! (`cargo xtask test` builds `fast` and names it).
//!
//! Not here: the browser (`tests/browser`, in TypeScript) and tests of one crate's inside, which
//! live in that crate.

pub mod collector;
pub mod event;
pub mod http;
pub mod launch;
pub mod load;
pub mod mutate;
pub mod peer;
pub mod phase;
pub mod proxy;
pub mod rounds;
pub mod seed;
pub mod trace;

pub use collector::{TestCollector, TestProject};
pub use event::{Event, batch};
pub use http::Reply;
pub use launch::Launch;
pub use load::Load;
