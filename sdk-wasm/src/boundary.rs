//! All that JavaScript can see of the core: functions of numbers, and some memory to write texts in.
//!
//! Nothing is kept between questions, and there are no JavaScript values, no clock and no network: the
//! page's scripts own all of that, and can call a second instance, or the same functions as plain
//! JavaScript, when the first one fails. Because only numbers cross, no glue and no allocator are
//! needed: they would weigh more than what is computed here.

use crate::retry;
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};
use tallymark_protocol::hashing::{self, Namespace};
use wasm_bindgen::prelude::*;

/// Longest salt and id together, in bytes. Ids are not that long; whoever has longer ones is told.
const ROOM_BYTES: usize = 128 * 1024;

/// Where the page writes a salt and an id, and finds their hash. Atomic, because it changes behind our
/// back; that costs nothing here.
static ROOM: [AtomicU8; ROOM_BYTES] = [const { AtomicU8::new(0) }; ROOM_BYTES];

/// Linked with the standard collections, so there has to be one; nothing here uses it.
#[cfg(not(target_feature = "atomics"))]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

/// The place of the room in the memory.
#[wasm_bindgen]
pub fn room() -> usize {
    ROOM.as_ptr() as usize
}

/// The first stage of hashing. In the room: the salt, then the id, of so many bytes. Afterwards its first
/// 32 bytes are the hash. Says whether there is one: an empty id has none, and neither has what does
/// not fit.
#[wasm_bindgen(js_name = hashId)]
pub fn hash_id(salt_bytes: usize, id_bytes: usize, is_device: bool) -> bool {
    let mut given = [0; ROOM_BYTES];
    given.iter_mut().zip(&ROOM).for_each(|(byte, at)| *byte = at.load(Relaxed));
    let Some((salt, rest)) = given.split_at_checked(salt_bytes) else { return false };
    let Some(id) = rest.get(..id_bytes) else { return false };
    if id.trim_ascii().is_empty() {
        return false;
    }
    let namespace = if is_device { Namespace::Device } else { Namespace::User };
    let hash = hashing::h1(salt, namespace, id);
    ROOM.iter().zip(hash).for_each(|(at, byte)| at.store(byte, Relaxed));
    true
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
