//! What the browser says about the visitor's wishes: Global Privacy Control and Do Not Track.

use js_sys::Reflect;
use wasm_bindgen::JsValue;

/// Whether either of them is set.
pub fn asks_for_privacy() -> bool {
    let Some(window) = web_sys::window() else { return false };
    let navigator = window.navigator();
    let read = |name: &str| Reflect::get(&navigator, &name.into()).unwrap_or(JsValue::UNDEFINED);
    read("globalPrivacyControl").is_truthy()
        || read("doNotTrack").as_string().as_deref() == Some("1")
}
