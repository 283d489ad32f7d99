//! All that JavaScript can see of the core: pure functions of texts and numbers.
//!
//! No state, no JavaScript values, no clock and no network: the page's scripts own all of that, and
//! can call a second instance, or the same functions as plain JavaScript, when the first one fails.

use crate::retry;
use alloc::boxed::Box;
use tallymark_protocol::hashing::{self, Namespace};
use wasm_bindgen::prelude::*;

/// Smaller than the default, and faster.
#[cfg(not(target_feature = "atomics"))]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

/// The first stage of hashing, 32 bytes; none for an empty id. Digits are the caller's to write: here
/// they would need texts that grow.
#[wasm_bindgen(js_name = hashId)]
pub fn hash_id(salt: &str, is_device: bool, id: &str) -> Box<[u8]> {
    if hashing::normalise(id).is_empty() {
        return Box::new([]);
    }
    let namespace = if is_device { Namespace::Device } else { Namespace::User };
    Box::new(hashing::h1(salt.as_bytes(), namespace, id))
}

/// What a reply means for the events of its batch: a pause in milliseconds, or one of the negative
/// numbers of `retry::Verdict::number`. `retry_after_ms` is negative without such a header.
#[wasm_bindgen]
pub fn judge(status: u16, has_receipt: bool, is_ours: bool, retry_after_ms: f64) -> f64 {
    let retry_after_ms = (retry_after_ms >= 0.0).then_some(retry_after_ms as u64);
    retry::judge(&retry::Reply { status, has_receipt, is_ours, retry_after_ms }).number()
}

/// The wait after so many failures in a row, in milliseconds; `ratio` is a random number in [0, 1).
#[wasm_bindgen(js_name = backoffMs)]
pub fn backoff_ms(failures: u32, ratio: f64) -> f64 {
    retry::backoff_ms(failures, ratio) as f64
}
