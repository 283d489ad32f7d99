//! Proofs that the store keeps its promises when disk, power and process do not.
//!
//! Each runs the store's own code on a disk in memory ([`sim_disk`]), driven by one thread
//! ([`world`]), with chance from a seed ([`random`], which says how seeds are chosen). The short
//! forms run with the other tests; the full ones in `cargo xtask soak`, by the name of the test and
//! `TALLYMARK_TEST_SEEDS`. Each prints one line for programs:
//!
//! ```text
//! soak: power-loss seeds=100000 from=0 result=ok events=2431337 ms=412345
//! ```

mod damage;
mod errors;
mod points;
mod power_loss;
mod random;
mod resend;
mod sim_disk;
mod simulation;
mod world;

pub(crate) use sim_disk::SimDisk;
