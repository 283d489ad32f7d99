#![doc = include_str!("../README.md")]

pub mod allocation;
#[cfg(feature = "wire")]
pub mod batch;
pub mod codes;
pub mod drop_reason;
pub mod event_name;
pub mod hashing;
pub mod limits;
#[cfg(feature = "wire")]
pub mod problem;
#[cfg(feature = "wire")]
pub mod props;
pub mod uuid7;

#[cfg(test)]
mod vectors;
