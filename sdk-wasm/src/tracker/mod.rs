//! The tracker: one step for each thing that happens, giving what has to be done about it.
//!
//! Pure: no browser, no clock, no randomness of its own. An event is encoded once, when it
//! happens, and waits in the queue until a receipt with its batch's nonce settles it. One batch is
//! on its way at a time, except when the page is being hidden: then everything that still waits
//! leaves at once, newest first, as far as browsers let it.
//!
//! Invariant: every event that was accepted is waiting, on its way, settled, or counted as lost.

mod deliver;
mod effect;
mod input;
mod record;
#[cfg(test)]
mod tests;

pub use effect::Effect;
pub use input::{Input, Moment};

use crate::experiments::Experiments;
use crate::identity::{Consent, Grip, Identity};
use crate::json::{push_text, push_whole};
use crate::queue::Queue;
use crate::random::Random;
use crate::settings::Settings;
use std::rc::Rc;
use tallymark_protocol::drop_reason::DropReason;
use tallymark_protocol::hashing::push_hex;
use tallymark_protocol::limits::SDK_BATCH_EVENTS_MAX;

/// The session's last event is written to storage at most this often, in milliseconds, and when
/// the page is hidden: storage is shared with the page and slow.
pub const STORE_EVERY_MS: f64 = 5_000.0;

/// Everything the SDK knows about this page load.
pub struct Tracker {
    key: String,
    sdk: String,
    /// 128 random bits in hexadecimal: a loss meter, not a person.
    writer: String,
    /// Events of this page so far.
    n: u32,
    context: Rc<str>,
    identity: Identity,
    experiments: Experiments,
    random: Random,
    queue: Queue,
    on_the_way: Vec<Request>,
    requests: u32,
    /// Failed sends in a row.
    failures: u32,
    /// Nothing is sent before this monotonic time.
    paused_until: f64,
    /// The pause was asked for by the collector, not chosen by us.
    pause_was_asked: bool,
    events_max: usize,
    /// What a 413 taught us.
    events_cap: usize,
    sent_one: bool,
    /// The page was told that the queue is full, and nothing was settled since.
    told_full: bool,
    flushing: bool,
    hidden: bool,
    closed: bool,
    lost: [u32; DropReason::ALL.len()],
    /// When the shell will wake us, monotonic.
    alarm: Option<f64>,
    stored: Option<String>,
    stored_at: f64,
}

/// A batch on its way.
struct Request {
    number: u32,
    nonce: String,
    count: usize,
    bytes: usize,
}

impl Tracker {
    /// A tracker for one page load. `seed` comes from the browser's cryptographic source;
    /// `stored` is what the storage held under this key.
    pub fn new(settings: Settings, seed: [u8; 32], stored: Option<String>) -> Tracker {
        let mut random = Random::new(seed);
        let mut identity = Identity::new(&settings);
        identity.adopt(stored.as_deref().unwrap_or_default());
        let mut writer = String::with_capacity(32);
        random.bytes::<16>().into_iter().for_each(|byte| push_hex(&mut writer, byte));
        Tracker {
            key: settings.key,
            sdk: settings.sdk,
            writer,
            n: 0,
            context: "{}".into(),
            identity,
            experiments: Experiments::new(settings.experiments),
            random,
            queue: Queue::default(),
            on_the_way: Vec::new(),
            requests: 0,
            failures: 0,
            paused_until: 0.0,
            pause_was_asked: false,
            events_max: SDK_BATCH_EVENTS_MAX,
            events_cap: SDK_BATCH_EVENTS_MAX,
            sent_one: false,
            told_full: false,
            flushing: false,
            hidden: false,
            closed: false,
            lost: [0; DropReason::ALL.len()],
            alarm: None,
            stored,
            stored_at: 0.0,
        }
    }

    /// The variant this visitor has now; see `experiments`.
    pub fn variant(&self, experiment: &str) -> Option<&str> {
        self.experiments.variant(experiment, &self.identity)
    }

    /// Events lost on this page for this reason.
    pub fn lost(&self, reason: DropReason) -> u32 {
        self.lost[reason as usize]
    }

    /// Events that are not settled yet.
    pub fn pending(&self) -> usize {
        self.queue.len()
    }

    /// Something happened at `now`: what is to be done, in this order.
    pub fn step(&mut self, input: Input<'_>, now: Moment) -> Vec<Effect> {
        self.step_late(input, now, now)
    }

    /// As [`Self::step`], for something that `happened` before this module was loaded: the event
    /// carries that time, sending goes by `now`.
    pub fn step_late(&mut self, input: Input<'_>, happened: Moment, now: Moment) -> Vec<Effect> {
        let mut effects = Vec::new();
        match input {
            Input::Started => {
                self.identity.ensure_device(now.wall_ms, &mut self.random);
                self.store(now, true, &mut effects);
            }
            Input::Moved { context_json } => self.context = context_json.into(),
            Input::Tracked { name, props_json } => {
                self.track(name, props_json, happened, &mut effects);
            }
            Input::Identified { user_id, traits_json } => {
                self.identify(user_id, traits_json, happened, &mut effects);
            }
            Input::Exposed { experiment, variant } => {
                self.expose(experiment, variant, happened, &mut effects);
            }
            Input::Reset => {
                self.identity.forget();
                self.identity.ensure_device(now.wall_ms, &mut self.random);
                self.store(now, true, &mut effects);
            }
            Input::OptedIn => {
                self.identity.consent = Consent::Granted;
                self.identity.ensure_device(now.wall_ms, &mut self.random);
                self.store(now, true, &mut effects);
            }
            Input::OptedOut => {
                self.identity.consent = Consent::Denied;
                self.stop(DropReason::OptedOut);
                self.store(now, true, &mut effects);
            }
            Input::Stored { text } => {
                self.identity.adopt(text);
                self.stored = Some(text.to_owned());
                if self.identity.grip() == Grip::Off {
                    self.stop(DropReason::OptedOut);
                }
            }
            Input::Hidden => {
                self.hidden = true;
                self.store(now, true, &mut effects);
                self.send_all_now(now, &mut effects);
            }
            Input::Shown => self.hidden = false,
            Input::Online => {
                if !self.pause_was_asked {
                    self.paused_until = 0.0;
                }
            }
            Input::Woken => self.alarm = None,
            Input::Flush => {
                self.flushing = true;
                if !self.pause_was_asked {
                    self.paused_until = 0.0;
                }
            }
            Input::Answered { request, reply } => {
                self.answered(request, &reply, now, &mut effects);
            }
        }
        // What is recorded while the page goes away must not wait for the batch before it.
        if self.hidden && self.queue.has_new() {
            self.send_all_now(now, &mut effects);
        }
        self.pump(now, &mut effects);
        effects
    }

    /// Empties the queue for good; replies still to come are ignored.
    fn stop(&mut self, reason: DropReason) {
        let gone = self.queue.clear() as u32;
        self.on_the_way.clear();
        self.lose(reason, gone);
        if reason == DropReason::OptedOut {
            self.identity.forget();
        }
    }

    /// Brings the storage up to date, or leaves nothing in it.
    fn store(&mut self, now: Moment, at_once: bool, effects: &mut Vec<Effect>) {
        let due = at_once || now.mono_ms - self.stored_at >= STORE_EVERY_MS;
        if !due {
            return;
        }
        let text = self.identity.stored();
        if text != self.stored {
            effects.push(match &text {
                Some(text) => Effect::Store { text: text.clone() },
                None => Effect::Erase,
            });
            self.stored = text;
        }
        self.stored_at = now.mono_ms;
    }

    fn lose(&mut self, reason: DropReason, count: u32) {
        self.lost[reason as usize] = self.lost[reason as usize].saturating_add(count);
    }

    /// What was lost on this page, as a JSON object of reasons and counts.
    pub fn lost_json(&self) -> String {
        let mut json = String::from("{");
        for reason in DropReason::ALL {
            if self.lost(*reason) > 0 {
                push_text_count(&mut json, reason.as_str(), self.lost(*reason));
            }
        }
        json.push('}');
        json
    }
}

fn push_text_count(json: &mut String, name: &str, count: u32) {
    if !json.ends_with('{') {
        json.push(',');
    }
    push_text(json, name);
    json.push(':');
    push_whole(json, u64::from(count));
}
