//! End to end: the real binary, from outside.
//!
//! One test binary, because each links the whole client side again. A file is a concept:
//! `cargo xtask test crash` runs one of them.

mod backup;
mod cancel;
mod cdnow;
mod certificates;
mod client_clocks;
mod clock;
mod completeness;
mod connections;
mod crash;
mod definitions;
mod delivery;
mod deploy;
mod differential;
mod disk_errors;
mod disk_full;
mod endurance;
mod erase;
mod exactly_once;
mod experiments;
mod fairness;
mod golden;
mod growth;
mod identity;
mod import;
mod layers;
mod malformed;
mod many_values;
mod order;
mod parquet;
mod people;
mod power;
mod privacy;
mod quarantine;
mod restart;
mod retention;
mod rules;
mod stats;
mod tenants;
mod traces;
mod usage;
mod visits;
