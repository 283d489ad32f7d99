//! All that JavaScript can see.
//!
//! Nothing is decided here and nothing is done here: calls become inputs. Besides the client there
//! are the pure functions that `tests/vectors` compares with the native ones.

use crate::browser::Shell;
use crate::settings::Settings;
use crate::tracker::{Input, Moment};
use js_sys::{Function, Promise};
use std::rc::Rc;
use tallymark_protocol::allocation::{self, HashVersion, Range};
use tallymark_protocol::hashing::{self, Namespace};
use tallymark_protocol::uuid7;
use wasm_bindgen::prelude::*;

/// 2.4 KB less than the default, compressed, and faster.
#[cfg(not(target_feature = "atomics"))]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

/// The SDK of one page.
#[wasm_bindgen]
pub struct Client {
    shell: Rc<Shell>,
}

#[wasm_bindgen]
impl Client {
    /// Starts. `settings` is an object, `url` where batches go, `on_report` takes a code and a
    /// detail. Throws when the settings cannot be read, saying which one.
    #[wasm_bindgen(constructor)]
    pub fn new(settings: JsValue, url: String, on_report: Function) -> Result<Client, JsValue> {
        let settings: Settings = serde_wasm_bindgen::from_value(settings)?;
        Ok(Client { shell: Shell::start(settings, url, on_report) })
    }

    /// Records an event that happened at these times on the page with this address; none means
    /// the same page as the event before. `props_json` is a JSON object, or empty.
    pub fn track(
        &self,
        name: &str,
        props_json: &str,
        wall_ms: f64,
        mono_ms: f64,
        address: Option<String>,
    ) {
        let input = Input::Tracked { name, props_json };
        self.shell.step_on_page(input, moment(wall_ms, mono_ms), address.as_deref());
    }

    /// Someone signed in; the id is hashed before this returns.
    pub fn identify(
        &self,
        user_id: &str,
        traits_json: &str,
        wall_ms: f64,
        mono_ms: f64,
        address: Option<String>,
    ) {
        let input = Input::Identified { user_id, traits_json };
        self.shell.step_on_page(input, moment(wall_ms, mono_ms), address.as_deref());
    }

    /// The visitor met a variant: this one, or the one assigned.
    pub fn exposure(
        &self,
        experiment: &str,
        variant: Option<String>,
        wall_ms: f64,
        mono_ms: f64,
        address: Option<String>,
    ) {
        let input = Input::Exposed { experiment, variant: variant.as_deref() };
        self.shell.step_on_page(input, moment(wall_ms, mono_ms), address.as_deref());
    }

    /// The visitor's variant, if any.
    pub fn variant(&self, experiment: &str) -> Option<String> {
        self.shell.ask(|tracker| tracker.variant(experiment).map(str::to_owned))
    }

    /// The next event belongs to somebody new.
    pub fn reset(&self) {
        self.shell.step(Input::Reset);
    }

    /// The visitor agreed.
    #[wasm_bindgen(js_name = optIn)]
    pub fn opt_in(&self) {
        self.shell.step(Input::OptedIn);
    }

    /// The visitor declined.
    #[wasm_bindgen(js_name = optOut)]
    pub fn opt_out(&self) {
        self.shell.step(Input::OptedOut);
    }

    /// Sends what waits; resolves to whether all of it was acknowledged.
    pub fn flush(&self) -> Promise {
        let shell = self.shell.clone();
        Promise::new(&mut |resolve, _| shell.flush(resolve))
    }

    /// Events of this page that were lost, by reason, as JSON.
    pub fn lost(&self) -> String {
        self.shell.ask(|tracker| tracker.lost_json())
    }
}

fn moment(wall_ms: f64, mono_ms: f64) -> Moment {
    Moment { wall_ms: wall_ms as u64, mono_ms }
}

/// The first stage of hashing, in hexadecimal; an empty text for an unknown namespace.
#[wasm_bindgen(js_name = hashId)]
pub fn hash_id(salt: &str, namespace: &str, id: &str) -> String {
    let namespace = match namespace {
        "user" => Namespace::User,
        "device" => Namespace::Device,
        _ => return String::new(),
    };
    hashing::to_hex(&hashing::h1(salt.as_bytes(), namespace, id))
}

/// The point of `unit` in [0, 1); -1 for an unknown version.
#[wasm_bindgen(js_name = allocationPoint)]
pub fn allocation_point(seed: &str, unit: &str, version: u32) -> f64 {
    HashVersion::from_number(version).map_or(-1.0, |version| allocation::point(seed, unit, version))
}

/// The variant at `point` of `count` ones; -1 for none. No weights mean equal ones.
#[wasm_bindgen(js_name = chooseVariant)]
pub fn choose_variant(point: f64, count: usize, coverage: f64, weights: Option<Vec<f64>>) -> i32 {
    let ranges = allocation::bucket_ranges(count, coverage, weights.as_deref());
    allocation::choose_variation(point, &ranges).map_or(-1, |place| place as i32)
}

/// Whether `unit` lies in this part of a namespace.
#[wasm_bindgen(js_name = inNamespace)]
pub fn in_namespace(unit: &str, namespace: &str, start: f64, end: f64) -> bool {
    allocation::in_namespace(unit, namespace, Range { start, end })
}

/// The UUIDv7 of a time and ten random bytes (fewer are filled with zeros).
#[wasm_bindgen(js_name = uuid7)]
pub fn uuid7_text(now_ms: f64, random: &[u8]) -> String {
    let mut bytes = [0; 10];
    for (byte, given) in bytes.iter_mut().zip(random) {
        *byte = *given;
    }
    uuid7::format(uuid7::make(now_ms as u64, bytes))
}
