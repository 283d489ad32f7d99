#![doc = include_str!("../README.md")]
// See `tallymark-protocol`: in a page, a panic traps and says nothing.
#![cfg_attr(all(target_arch = "wasm32", not(feature = "std")), no_std)]

#[cfg(all(target_arch = "wasm32", feature = "experiments"))]
extern crate alloc;

#[cfg(all(target_arch = "wasm32", feature = "core"))]
mod boundary;
#[cfg(all(target_arch = "wasm32", feature = "experiments"))]
mod evaluation;
pub mod retry;

#[cfg(all(target_arch = "wasm32", not(feature = "std")))]
#[panic_handler]
fn trap(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
