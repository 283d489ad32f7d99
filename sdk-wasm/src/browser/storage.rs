//! Local storage: one key with hashes, session and consent. Denied storage acts like an empty one.

use web_sys::Storage;

fn open() -> Option<Storage> {
    web_sys::window()?.local_storage().ok()?
}

/// The text under `key`.
pub fn read(key: &str) -> Option<String> {
    open()?.get_item(key).ok()?
}

/// Keeps `text` under `key`. A full storage keeps nothing.
pub fn write(key: &str, text: &str) {
    if let Some(storage) = open() {
        let _ = storage.set_item(key, text);
    }
}

/// Keeps nothing under `key`.
pub fn erase(key: &str) {
    if let Some(storage) = open() {
        let _ = storage.remove_item(key);
    }
}
