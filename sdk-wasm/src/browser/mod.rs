//! Carries out what the tracker wants, and tells it what happens. One capability per file; no
//! decision is made here.
//!
//! Nothing here throws: a capability that is missing or refused acts like one that did nothing.

mod alarm;
mod clock;
mod lifecycle;
mod page;
mod random;
mod signals;
mod storage;
mod transport;

use crate::settings::Settings;
use crate::tracker::{Effect, Input, Moment, STORE_EVERY_MS, Tracker};
use gloo_timers::callback::Timeout;
use js_sys::Function;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use wasm_bindgen::JsValue;

/// A tracker in a browser.
pub struct Shell {
    tracker: RefCell<Tracker>,
    /// Where batches go.
    url: String,
    /// Under which key the storage is used.
    storage_key: String,
    /// Takes a code and a detail.
    on_report: Function,
    alarm: RefCell<Option<Timeout>>,
    /// Resolve functions of `flush()` promises.
    flushes: RefCell<Vec<Function>>,
    /// When the storage was read last, monotonic.
    storage_read_ms: Cell<f64>,
}

impl Shell {
    /// Sets up the page: reads the storage, listens to its life, and starts.
    pub fn start(mut settings: Settings, url: String, on_report: Function) -> Rc<Shell> {
        settings.asks_for_privacy = signals::asks_for_privacy();
        let storage_key = ["tallymark:", &settings.key].concat();
        let stored = storage::read(&storage_key);
        let shell = Rc::new(Shell {
            tracker: RefCell::new(Tracker::new(settings, random::seed(), stored)),
            url,
            storage_key,
            on_report,
            alarm: RefCell::default(),
            flushes: RefCell::default(),
            storage_read_ms: Cell::new(clock::now().mono_ms),
        });
        lifecycle::listen(&shell);
        shell.step(Input::Started);
        shell
    }

    /// Tells the tracker what happens now and does what it wants.
    pub fn step(self: &Rc<Self>, input: Input<'_>) {
        let now = clock::now();
        self.step_late(input, now, now);
    }

    /// As [`Self::step`], for what happened a while ago on the page with this address, or on the
    /// same page as before when there is none.
    pub fn step_on_page(
        self: &Rc<Self>,
        input: Input<'_>,
        happened: Moment,
        address: Option<&str>,
    ) {
        if let Some(address) = address {
            let context_json = page::context_json(address);
            self.step(Input::Moved { context_json: &context_json });
        }
        let now = clock::now();
        if now.mono_ms - self.storage_read_ms.get() >= STORE_EVERY_MS {
            self.read_storage();
        }
        self.step_late(input, happened, now);
    }

    fn step_late(self: &Rc<Self>, input: Input<'_>, happened: Moment, now: Moment) {
        // The borrow ends before anything is carried out: a report may call us again.
        let effects = self.tracker.borrow_mut().step_late(input, happened, now);
        for effect in effects {
            self.carry_out(effect);
        }
    }

    /// Reads the storage again. Other tabs tell what they write, but this one may have slept, and
    /// must not write back what it knew before: so it reads at least as often as it writes.
    pub fn read_storage(self: &Rc<Self>) {
        self.storage_read_ms.set(clock::now().mono_ms);
        if let Some(text) = storage::read(&self.storage_key) {
            self.step(Input::Stored { text: &text });
        }
    }

    /// Looks something up in the tracker.
    pub fn ask<T>(&self, question: impl FnOnce(&Tracker) -> T) -> T {
        question(&self.tracker.borrow())
    }

    /// Sends everything that waits; `resolve` is called with whether all of it arrived.
    pub fn flush(self: &Rc<Self>, resolve: Function) {
        self.flushes.borrow_mut().push(resolve);
        self.step(Input::Flush);
    }

    fn carry_out(self: &Rc<Self>, effect: Effect) {
        match effect {
            Effect::Send { request, body } => transport::send(self, request, &body),
            Effect::Wake { after_ms } => alarm::set(self, after_ms),
            Effect::Store { text } => storage::write(&self.storage_key, &text),
            Effect::Erase => storage::erase(&self.storage_key),
            Effect::Report { code, detail } => {
                let (code, detail) = (JsValue::from(code), JsValue::from(detail));
                let _ = self.on_report.call2(&JsValue::NULL, &code, &detail);
            }
            Effect::Flushed { delivered } => {
                for resolve in self.flushes.take() {
                    let _ = resolve.call1(&JsValue::NULL, &delivered.into());
                }
            }
        }
    }
}
