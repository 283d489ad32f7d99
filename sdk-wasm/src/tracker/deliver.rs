//! From the queue to the collector: when a batch leaves, what is in it, and what its reply means.

use super::{Effect, Moment, Request, Tracker};
use crate::json::{push_key, push_member, push_tenths, push_whole};
use crate::queue::Cut;
use crate::retry::{Reply, Verdict, backoff_ms, judge};
use tallymark_protocol::drop_reason::DropReason;
use tallymark_protocol::hashing::push_hex;
use tallymark_protocol::limits::{
    SDK_BATCH_BYTES_MAX, SDK_FLUSH_BYTES, SDK_FLUSH_EVENTS, SDK_FLUSH_MS, SDK_HIDE_BYTES_MAX,
};

/// Room for everything in a batch but its events and context.
const ENVELOPE_BYTES: usize = 512;

impl Tracker {
    /// Sends what is due, and sets the alarm for what is not.
    pub(super) fn pump(&mut self, now: Moment, effects: &mut Vec<Effect>) {
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
    pub(super) fn send_all_now(&mut self, now: Moment, effects: &mut Vec<Effect>) {
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

    pub(super) fn answered(
        &mut self,
        number: u32,
        reply: &Reply,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        let Some(at) = self.on_the_way.iter().position(|request| request.number == number) else {
            return; // Answered before, or given up by opting out.
        };
        let request = self.on_the_way.swap_remove(at);
        let verdict = judge(reply, &request.nonce);
        match verdict {
            Verdict::Settled => {
                self.queue.settle(number);
                self.failures = 0;
                self.told_full = false;
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

    pub(super) fn flushed(&mut self, delivered: bool, effects: &mut Vec<Effect>) {
        if std::mem::take(&mut self.flushing) {
            effects.push(Effect::Flushed { delivered });
        }
    }
}
