//! The tracker: one step for each thing that happens, giving what has to be done about it.
//!
//! Pure: no browser, no clock, no randomness of its own. An event is encoded once, when it
//! happens, and waits in the queue until a receipt with its batch's nonce settles it. One batch is
//! on its way at a time, except when the page is being hidden: then everything that still waits
//! leaves at once, newest first, as far as browsers let it.
//!
//! Invariant: every event that was accepted is waiting, on its way, settled, or counted as lost.

mod effect;
mod input;
#[cfg(test)]
mod tests;

pub use effect::Effect;
pub use input::{Input, Moment};

use crate::experiments::Experiments;
use crate::identity::{Consent, Grip, Identity};
use crate::json::{push_key, push_member, push_tenths, push_text, push_whole};
use crate::queue::{Cut, Queue, Queued};
use crate::random::Random;
use crate::retry::{Reply, Verdict, backoff_ms, judge};
use crate::session::Session;
use crate::settings::Settings;
use std::rc::Rc;
use tallymark_protocol::drop_reason::DropReason;
use tallymark_protocol::hashing::push_hex;
use tallymark_protocol::limits::{
    EVENT_BYTES_MAX, SDK_BATCH_BYTES_MAX, SDK_BATCH_EVENTS_MAX, SDK_FLUSH_BYTES, SDK_FLUSH_EVENTS,
    SDK_FLUSH_MS, SDK_HIDE_BYTES_MAX,
};
use tallymark_protocol::{event_name, hashing, uuid7};

/// Room for everything in a batch but its events and context.
const ENVELOPE_BYTES: usize = 512;

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

    fn track(&mut self, name: &str, props_json: &str, now: Moment, effects: &mut Vec<Effect>) {
        if self.closed || self.identity.grip() == Grip::Off {
            let reason = if self.closed { DropReason::Closed } else { DropReason::OptedOut };
            self.lose(reason, 1);
            return;
        }
        if let Err(code) = event_name::check(name) {
            self.lose(DropReason::NameInvalid, 1);
            effects.push(Effect::report(code.as_str(), code.detail()));
            return;
        }
        let session = self.touch_session(now);
        let json = self.encode(name, props_json, session, now);
        if json.len() > EVENT_BYTES_MAX {
            self.lose(DropReason::EventTooLarge, 1);
            effects.push(Effect::report(
                "event_too_large",
                "one event is at most 32 KiB of JSON; send large texts somewhere else",
            ));
            return;
        }
        let context = self.context.clone();
        let event = Queued { json, context, since_ms: now.mono_ms, request: None, tried: false };
        self.n += 1;
        let dropped = self.queue.push(event);
        if dropped > 0 {
            self.lose(DropReason::QueueFull, dropped);
            effects.push(Effect::report(
                "queue_full",
                "the collector cannot be reached and the queue is full: oldest events were dropped",
            ));
        }
        self.store(now, false, effects);
    }

    fn identify(&mut self, user_id: &str, traits: &str, now: Moment, effects: &mut Vec<Effect>) {
        if hashing::normalise(user_id).is_empty() {
            effects.push(Effect::report("user_id_empty", "identify needs the id of a user"));
            return;
        }
        if self.identity.grip() == Grip::Off {
            self.lose(DropReason::OptedOut, 1);
            return;
        }
        self.identity.sign_in(user_id);
        if self.identity.grip() == Grip::Full {
            self.track("$identify", traits, now, effects);
            self.store(now, true, effects);
        } else {
            effects.push(Effect::report(
                "identify_needs_consent",
                "without mode \"full\" or optIn() no lasting id is sent; this one waits for optIn()",
            ));
        }
    }

    fn expose(
        &mut self,
        experiment: &str,
        variant: Option<&str>,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        if self.identity.grip() == Grip::Off {
            return;
        }
        let Some(variant) = variant.or_else(|| self.variant(experiment)).map(str::to_owned) else {
            effects.push(Effect::report(
                "not_in_experiment",
                "this visitor has no variant of that experiment, so there is no exposure",
            ));
            return;
        };
        let session = self.touch_session(now);
        if self.experiments.expose(session, experiment, &variant) {
            let mut props = String::from("{");
            push_member(&mut props, "experiment", experiment);
            push_member(&mut props, "variant", &variant);
            props.push('}');
            self.track("$exposure", &props, now, effects);
        }
    }

    /// The session this event belongs to, begun if need be.
    fn touch_session(&mut self, now: Moment) -> u128 {
        let session = match self.identity.session {
            Some(session) if session.holds(now.wall_ms) => {
                Session { last_ms: session.last_ms.max(now.wall_ms), ..session }
            }
            _ => Session::begin(uuid7::make(now.wall_ms, self.random.bytes()), now.wall_ms),
        };
        self.identity.session = Some(session);
        session.id
    }

    /// The event as `spec` of the batch has it. Its id is made here and never again.
    fn encode(&mut self, name: &str, props_json: &str, session: u128, now: Moment) -> String {
        let id = uuid7::make(now.wall_ms, self.random.bytes());
        let mut json = String::with_capacity(400 + props_json.len());
        json.push('{');
        push_member(&mut json, "id", &uuid7::format(id));
        push_member(&mut json, "name", name);
        push_key(&mut json, "at");
        push_whole(&mut json, now.wall_ms);
        push_key(&mut json, "mono");
        push_tenths(&mut json, now.mono_ms);
        push_member(&mut json, "writer", &self.writer);
        push_key(&mut json, "n");
        push_whole(&mut json, u64::from(self.n));
        if let Some(device) = self.identity.device() {
            push_member(&mut json, "device", device);
        }
        if let Some(user) = self.identity.user() {
            push_member(&mut json, "user", user);
        }
        push_member(&mut json, "session", &uuid7::format(session));
        if !props_json.is_empty() {
            push_key(&mut json, "props");
            json.push_str(props_json);
        }
        json.push('}');
        json
    }

    /// Sends what is due, and sets the alarm for what is not.
    fn pump(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if self.queue.is_empty() {
            self.flushed(true, effects);
            return;
        }
        if !self.on_the_way.is_empty() {
            return;
        }
        let Some((count, bytes, since_ms)) = self.queue.waiting() else { return };
        let full = count >= SDK_FLUSH_EVENTS || bytes >= SDK_FLUSH_BYTES;
        let due = match full || self.flushing || !self.sent_one || self.failures > 0 {
            true => self.paused_until,
            false => (since_ms + SDK_FLUSH_MS as f64).max(self.paused_until),
        };
        if due > now.mono_ms {
            if self.flushing && self.pause_was_asked {
                self.flushed(false, effects);
            }
            if self.alarm.is_none_or(|alarm| due < alarm) {
                self.alarm = Some(due);
                // Rounded up: a timer that fires early would only be set again.
                effects.push(Effect::Wake { after_ms: (due - now.mono_ms).ceil() as u32 });
            }
            return;
        }
        let bytes_max = SDK_BATCH_BYTES_MAX - ENVELOPE_BYTES;
        if let Some(cut) = self.queue.cut_oldest(self.requests, self.events_max, bytes_max) {
            self.send(cut, now, effects);
        }
    }

    /// The page may be gone in a moment: everything that waits leaves now, newest first, as far as
    /// what browsers let be in flight reaches. Nothing is deleted before its receipt.
    fn send_all_now(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let in_flight: usize = self.on_the_way.iter().map(|request| request.bytes).sum();
        let mut room = SDK_HIDE_BYTES_MAX.saturating_sub(in_flight);
        while room > ENVELOPE_BYTES {
            let bytes_max = (room - ENVELOPE_BYTES).min(SDK_BATCH_BYTES_MAX);
            let Some(cut) = self.queue.cut_newest(self.requests, self.events_cap, bytes_max) else {
                return;
            };
            room -= self.send(cut, now, effects).min(room);
        }
    }

    /// Puts a batch on its way; gives its length in bytes.
    fn send(&mut self, cut: Cut, now: Moment, effects: &mut Vec<Effect>) -> usize {
        let mut nonce = String::with_capacity(16);
        self.random.bytes::<8>().into_iter().for_each(|byte| push_hex(&mut nonce, byte));
        let room = ENVELOPE_BYTES + cut.context.len() + cut.events.len();
        let mut body = String::with_capacity(room);
        body.push('{');
        push_member(&mut body, "key", &self.key);
        push_member(&mut body, "nonce", &nonce);
        push_member(&mut body, "sdk", &self.sdk);
        push_key(&mut body, "sent_at");
        push_whole(&mut body, now.wall_ms);
        push_key(&mut body, "sent_mono");
        push_tenths(&mut body, now.mono_ms);
        push_key(&mut body, "context");
        body.push_str(&cut.context);
        push_key(&mut body, "events");
        body.push('[');
        body.push_str(&cut.events);
        body.push_str("]}");
        let bytes = body.len();
        let number = self.requests;
        self.requests += 1;
        self.sent_one = true;
        self.on_the_way.push(Request { number, nonce, count: cut.count, bytes });
        effects.push(Effect::Send { request: number, body });
        bytes
    }

    fn answered(&mut self, number: u32, reply: &Reply, now: Moment, effects: &mut Vec<Effect>) {
        let Some(at) = self.on_the_way.iter().position(|request| request.number == number) else {
            return; // Answered before, or given up by opting out.
        };
        let request = self.on_the_way.swap_remove(at);
        let verdict = judge(reply, &request.nonce);
        match verdict {
            Verdict::Settled => {
                self.queue.settle(number);
                self.failures = 0;
                self.events_max = (self.events_max * 2).min(self.events_cap);
                for (_, code) in reply.receipt.iter().flat_map(|receipt| &receipt.rejected) {
                    self.lose(DropReason::Refused, 1);
                    effects.push(Effect::report(code, "the collector refused an event"));
                }
            }
            Verdict::Halve | Verdict::TooLong if request.count <= 1 => {
                self.queue.settle(number);
                self.lose(DropReason::Unreadable, 1);
                effects.push(Effect::report(
                    "batch_unreadable",
                    "the collector cannot read a batch of one event; it was dropped",
                ));
            }
            Verdict::Halve | Verdict::TooLong => {
                self.queue.release(number);
                self.events_max = request.count / 2;
                if verdict == Verdict::TooLong {
                    self.events_cap = self.events_max;
                }
            }
            Verdict::Pause { ms } => {
                self.queue.release(number);
                self.pause(ms, true, now, effects);
                effects.push(Effect::report(
                    reply.problem_code.as_deref().unwrap_or("paused"),
                    "the collector asks to wait; events are kept",
                ));
            }
            Verdict::Backoff => {
                self.queue.release(number);
                let ms = backoff_ms(self.failures + 1, self.random.ratio());
                self.pause(ms, false, now, effects);
            }
            Verdict::Closed => {
                self.closed = true;
                self.stop(DropReason::Closed);
                effects.push(Effect::report("closed", "this project takes no more events"));
            }
        }
    }

    fn pause(&mut self, ms: u64, asked: bool, now: Moment, effects: &mut Vec<Effect>) {
        self.failures += 1;
        self.paused_until = now.mono_ms + ms as f64;
        self.pause_was_asked = asked;
        self.flushed(false, effects);
    }

    fn flushed(&mut self, delivered: bool, effects: &mut Vec<Effect>) {
        if std::mem::take(&mut self.flushing) {
            effects.push(Effect::Flushed { delivered });
        }
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
