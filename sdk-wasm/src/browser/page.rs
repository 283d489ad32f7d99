//! Where the page is shown: its context in a batch.

use crate::json::{push_key, push_member, push_whole};
use js_sys::{Array, Intl, Object, Reflect};
use web_sys::Window;

/// Longest text of a context, in bytes: an address can be megabytes of data.
const TEXT_BYTES_MAX: usize = 2_048;

/// The context of the page at `address`, as JSON.
///
/// A fragment that is no route (`#/…`, `#!…`) is left out: it names a place on the page, and
/// sign-in flows put tokens there.
pub fn context_json(address: &str) -> String {
    let mut json = String::from("{");
    push_short(
        &mut json,
        "url",
        match address.split_once('#') {
            Some((page, fragment)) if !fragment.starts_with(['/', '!']) => page,
            _ => address,
        },
    );
    if let Some(window) = web_sys::window() {
        describe(&window, &mut json);
    }
    json.push('}');
    json
}

fn describe(window: &Window, json: &mut String) {
    if let Some(document) = window.document() {
        push_short(json, "referrer", &document.referrer());
    }
    push_short(json, "language", &window.navigator().language().unwrap_or_default());
    let format = Intl::DateTimeFormat::new(&Array::new(), &Object::new());
    let zone = Reflect::get(&format.resolved_options(), &"timeZone".into());
    push_short(json, "tz", &zone.ok().and_then(|zone| zone.as_string()).unwrap_or_default());
    if let Ok(screen) = window.screen() {
        push_key(json, "screen");
        json.push('[');
        push_whole(json, u64::try_from(screen.width().unwrap_or(0)).unwrap_or(0));
        json.push(',');
        push_whole(json, u64::try_from(screen.height().unwrap_or(0)).unwrap_or(0));
        json.push(']');
    }
    push_member(json, "display_mode", display_mode(window));
}

/// How the page is shown; `browser` for an ordinary tab.
fn display_mode(window: &Window) -> &'static str {
    let modes = [
        ("standalone", "(display-mode: standalone)"),
        ("minimal-ui", "(display-mode: minimal-ui)"),
        ("window-controls-overlay", "(display-mode: window-controls-overlay)"),
        ("fullscreen", "(display-mode: fullscreen)"),
    ];
    let shown =
        |query: &str| window.match_media(query).is_ok_and(|m| m.is_some_and(|m| m.matches()));
    if let Some((mode, _)) = modes.iter().find(|(_, query)| shown(query)) {
        return mode;
    }
    // Safari on iOS told so before it knew display modes.
    let navigator = window.navigator();
    let ios = Reflect::get(&navigator, &"standalone".into());
    if ios.is_ok_and(|standalone| standalone.is_truthy()) { "standalone" } else { "browser" }
}

fn push_short(json: &mut String, key: &str, text: &str) {
    if text.is_empty() {
        return;
    }
    let end = text.floor_char_boundary(TEXT_BYTES_MAX);
    // Not an index: its panic would bring the formatting of text into every page.
    push_member(json, key, text.get(..end).unwrap_or_default());
}
