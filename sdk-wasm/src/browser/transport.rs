//! Sends a batch and brings back the reply.
//!
//! `fetch` with `keepalive`, so that the request outlives the page; `sendBeacon` where that is
//! missing and the page is hidden. `text/plain` and no credentials: browsers send no preflight.

use super::Shell;
use crate::retry::{Receipt, Reply};
use crate::tracker::Input;
use gloo_timers::callback::Timeout;
use js_sys::{Array, Reflect};
use std::rc::Rc;
use tallymark_protocol::limits::SEND_TIMEOUT_MS;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::prelude::*;
use web_sys::{RequestCredentials, RequestInit, Response, VisibilityState, Window};

#[wasm_bindgen]
extern "C" {
    /// A promise, reduced to what is needed: one callback for either end.
    type Thenable;
    #[wasm_bindgen(method)]
    fn then(this: &Thenable, fulfilled: &JsValue, rejected: &JsValue);
}

/// Sends `body`; the tracker gets exactly one answer that it heeds.
pub fn send(shell: &Rc<Shell>, request: u32, body: &str) {
    let Some(window) = web_sys::window() else { return };
    if is_hidden(&window) && !outlives_the_page() {
        let _ = window.navigator().send_beacon_with_opt_str(&shell.url, Some(body));
        // A beacon has no reply. Should the page come back, the events are sent again.
        answer(shell, request, Reply::default());
        return;
    }
    let init = RequestInit::new();
    init.set_method("POST");
    init.set_body(&body.into());
    init.set_credentials(RequestCredentials::Omit);
    let _ = Reflect::set(&init, &"keepalive".into(), &JsValue::TRUE);

    // A request may hang for minutes. The first answer counts, the tracker ignores a second.
    let waiting = shell.clone();
    let timeout =
        Timeout::new(SEND_TIMEOUT_MS, move || answer(&waiting, request, Reply::default()));
    let shell = shell.clone();
    let promise = window.fetch_with_str_and_init(&shell.url, &init);
    on_end(&promise, move |end| match end.dyn_into::<Response>() {
        Ok(response) => read(&shell, request, &response, timeout),
        Err(_) => {
            timeout.cancel();
            answer(&shell, request, Reply::default());
        }
    });
}

/// Reads the reply's body, which may not be ours and not even JSON, and may stall half-way: the
/// timeout goes on until it is here.
fn read(shell: &Rc<Shell>, request: u32, response: &Response, timeout: Timeout) {
    let status = response.status();
    let retry_after = response.headers().get("retry-after").ok().flatten();
    let retry_after_ms = retry_after.and_then(|seconds| seconds.trim().parse::<u32>().ok());
    let retry_after_ms = retry_after_ms.map(|seconds| u64::from(seconds) * 1_000);
    let shell = shell.clone();
    let Ok(promise) = response.json() else {
        timeout.cancel();
        return answer(&shell, request, Reply { status, retry_after_ms, ..Reply::default() });
    };
    on_end(&promise, move |body| {
        timeout.cancel();
        let receipt = receipt(&body);
        let problem_code = text(&body, "code");
        answer(&shell, request, Reply { status, retry_after_ms, receipt, problem_code });
    });
}

/// The receipt, when the body is one.
fn receipt(body: &JsValue) -> Option<Receipt> {
    let nonce = text(body, "nonce")?;
    Reflect::get(body, &"ok".into()).ok()?.as_f64()?;
    let rejected = Reflect::get(body, &"rejected".into()).ok()?.dyn_into::<Array>().ok()?;
    let codes = rejected.iter().map(|event| {
        let place = Reflect::get(&event, &"i".into()).ok().and_then(|place| place.as_f64());
        (place.unwrap_or(0.0) as u32, text(&event, "code").unwrap_or_default())
    });
    Some(Receipt { nonce, rejected: codes.collect() })
}

fn text(object: &JsValue, key: &str) -> Option<String> {
    Reflect::get(object, &key.into()).ok()?.as_string()
}

fn answer(shell: &Rc<Shell>, request: u32, reply: Reply) {
    shell.step(Input::Answered { request, reply });
}

fn on_end(promise: &js_sys::Promise, act: impl FnOnce(JsValue) + 'static) {
    // One callback for both ends: it is called once, and freed by that.
    let act = Closure::once_into_js(act);
    promise.unchecked_ref::<Thenable>().then(&act, &act);
}

fn is_hidden(window: &Window) -> bool {
    window.document().is_some_and(|document| document.visibility_state() == VisibilityState::Hidden)
}

/// Whether `fetch` knows `keepalive`. Firefox does since release 133.
fn outlives_the_page() -> bool {
    let global = js_sys::global();
    Reflect::get(&global, &"Request".into())
        .and_then(|request| Reflect::get(&request, &"prototype".into()))
        .and_then(|prototype| Reflect::has(&prototype, &"keepalive".into()))
        .unwrap_or(false)
}
