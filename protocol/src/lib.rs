#![doc = include_str!("../README.md")]
// Without the wire types this goes into every page. The standard library would bring the formatting
// of panics with it, which weighs more than everything else together.
#![cfg_attr(not(any(test, feature = "wire", feature = "flags-native")), no_std)]

extern crate alloc;

pub mod allocation;
#[cfg(feature = "wire")]
pub mod batch;
pub mod codes;
pub mod drop_reason;
pub mod event_name;
pub mod flags;
pub mod hashing;
pub mod limits;
#[cfg(feature = "wire")]
pub mod problem;
#[cfg(feature = "wire")]
pub mod props;
#[cfg(any(test, target_arch = "wasm32"))]
mod sha256;
pub mod uuid7;

#[cfg(test)]
mod vectors;
