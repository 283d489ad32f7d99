//! From a call of the page to an event in the queue: checked, stamped, encoded once.

use super::{Effect, Moment, Tracker};
use crate::identity::Grip;
use crate::json::{push_key, push_member, push_tenths, push_whole};
use crate::queue::Queued;
use crate::session::Session;
use tallymark_protocol::drop_reason::DropReason;
use tallymark_protocol::limits::EVENT_BYTES_MAX;
use tallymark_protocol::{event_name, hashing, uuid7};

impl Tracker {
    pub(super) fn track(
        &mut self,
        name: &str,
        props_json: &str,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
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
            if !std::mem::replace(&mut self.told_full, true) {
                effects.push(Effect::report(
                    "queue_full",
                    "more events wait for the collector than are kept: the oldest are dropped",
                ));
            }
        }
        self.store(now, false, effects);
    }

    pub(super) fn identify(
        &mut self,
        user_id: &str,
        traits: &str,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
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

    pub(super) fn expose(
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

    /// The event as a batch carries it. Its id is made here and never again.
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
}
