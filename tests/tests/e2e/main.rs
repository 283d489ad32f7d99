//! End to end: the real binary, from outside.
//!
//! One test binary, because each links the whole client side again. A file is a concept:
//! `cargo xtask test crash` runs one of them.

mod cdnow;
mod crash;
mod delivery;
mod differential;
mod identity;
mod layers;
mod malformed;
mod restart;
mod tenants;
