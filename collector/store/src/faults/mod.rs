//! Proofs that the store keeps its promises when disk, power and process do not.
//!
//! Each runs the store's own code on a disk in memory ([`sim_disk`]), driven by one thread
//! ([`world`]), with chance from a seed ([`random`], which says how seeds are chosen). The short
//! forms run with the other tests. The full ones, of an optimised build
//! (`cargo test --profile fast -p tallymark-store --lib faults:: -- --nocapture`):
//!
//! | proof | test | full form |
//! |---|---|---|
//! | `power-loss` | `faults::power_loss::` | `TALLYMARK_TEST_SEEDS=100000` |
//! | `log-bits`, `segment-bits` | `faults::damage::every_changed_bit` | `TALLYMARK_TEST_SEEDS=700000`, more than there are bits |
//! | cuts of log and segment | `faults::damage::` | always whole |
//! | `failing-calls` | `faults::errors::` | `TALLYMARK_TEST_SEEDS=200` |
//! | `kill-at-points` | `faults::points::` | `TALLYMARK_TEST_SEEDS=20` |
//! | `simulation` | `faults::simulation::` | `TALLYMARK_TEST_SEEDS=1000000` |
//! | `resends` | `faults::resend::` | `TALLYMARK_TEST_EVENTS=1000000 TALLYMARK_TEST_SEEDS=1` |
//!
//! Each prints one line for programs; when it fails, the last one names the seed:
//!
//! ```text
//! soak: power-loss seeds=100000 from=0 result=ok events=2431337 ms=412345
//! soak: power-loss seeds=1 from=4711 result=failed
//! ```

mod damage;
mod errors;
mod points;
mod power_loss;
mod random;
mod resend;
mod sim_catalog;
mod sim_disk;
mod simulation;
mod source;
mod world;

pub(crate) use random::Random;
pub(crate) use sim_disk::SimDisk;
pub(crate) use source::Source;
pub(crate) use world::{IN_A_MERGE, World, small_options};
