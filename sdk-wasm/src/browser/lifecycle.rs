//! The page's life: hidden, shown again, online, and what other tabs store.
//!
//! No `unload` and no `beforeunload`: listening to them keeps a page out of the back/forward
//! cache. Listeners live as long as the page.

use super::Shell;
use crate::tracker::Input;
use std::rc::Rc;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{EventTarget, StorageEvent, VisibilityState};

/// Listens from now on.
pub fn listen(shell: &Rc<Shell>) {
    let Some(window) = web_sys::window() else { return };
    let Some(document) = window.document() else { return };
    let seen = document.clone();
    on(shell, &document, "visibilitychange", move |shell, _| {
        let hidden = seen.visibility_state() == VisibilityState::Hidden;
        turn(shell, if hidden { Input::Hidden } else { Input::Shown });
    });
    on(shell, &window, "pagehide", |shell, _| turn(shell, Input::Hidden));
    on(shell, &document, "freeze", |shell, _| turn(shell, Input::Hidden));
    on(shell, &window, "pageshow", |shell, _| turn(shell, Input::Shown));
    on(shell, &window, "online", |shell, _| shell.step(Input::Online));
    on(shell, &window, "storage", |shell, event| {
        let Ok(event) = event.dyn_into::<StorageEvent>() else { return };
        if event.key().as_deref() == Some(&shell.storage_key)
            && let Some(text) = event.new_value()
        {
            shell.step(Input::Stored { text: &text });
        }
    });
}

/// The page is hidden or shown: either way other tabs may have written meanwhile.
fn turn(shell: &Rc<Shell>, input: Input<'_>) {
    shell.read_storage();
    shell.step(input);
}

fn on(
    shell: &Rc<Shell>,
    target: &EventTarget,
    name: &str,
    act: impl Fn(&Rc<Shell>, JsValue) + 'static,
) {
    let shell = shell.clone();
    let listener: Closure<dyn Fn(JsValue)> = Closure::new(move |event| act(&shell, event));
    let _ = target.add_event_listener_with_callback(name, listener.as_ref().unchecked_ref());
    listener.forget();
}
