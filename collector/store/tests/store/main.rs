//! The store from outside: what goes in comes out, once, whatever happens in between.

mod ageing;
mod durability;
mod flush;
mod golden;
mod identity;
mod load;
mod model;
mod presence;
mod progress;
mod questions;
mod retention;
mod support;
mod together;
mod usage;
