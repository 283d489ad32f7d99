#![doc = include_str!("../README.md")]

#[cfg(all(target_arch = "wasm32", feature = "core"))]
mod boundary;
#[cfg(target_arch = "wasm32")]
mod browser;
pub mod experiments;
pub mod identity;
pub mod json;
pub mod queue;
pub mod random;
pub mod retry;
pub mod session;
pub mod settings;
pub mod tracker;
