//! Every attempt of a person: one after the other, no event in two of them.
//!
//! In: the events of a unit. Out: a chain per attempt. An attempt begins with an event of the first step (in
//! any order: of any step) and takes the next step whenever it comes. It ends with the last step, when the
//! window has passed, with an exclusion, and in strict order with anything else; only then the next one may
//! begin, with a later event or the one that ended it.

use std::ops::Range;

use super::any::Matching;
use super::{At, Chain, Did, Shape, bits};
use crate::funnel::options::Order;

/// An attempt that is not over.
struct Open {
    start_ms: i64,
    chain: Chain,
    /// Where any order will do.
    matching: Matching,
}

impl Open {
    fn chain(self, order: Order) -> Chain {
        if order.is_any() { self.matching.chain() } else { self.chain }
    }

    /// Go on with an event if it is the next step; whether it was.
    fn take(&mut self, event: usize, at: &At, shape: &Shape) -> bool {
        if shape.options.order.is_any() {
            return self.matching.take(event, at.steps);
        }
        let reached = self.chain.last().map_or(0, |did| did.step);
        for step in reached + 1..shape.steps {
            if at.steps >> step & 1 == 1 {
                self.chain.push(Did { step, event });
                return true;
            }
            if shape.optional >> step & 1 == 0 {
                break;
            }
        }
        false
    }

    fn is_whole(&self, shape: &Shape) -> bool {
        match shape.options.order {
            order if order.is_any() => self.matching.is_whole(),
            _ => self.chain.last().is_some_and(|did| did.step + 1 == shape.steps),
        }
    }
}

/// All attempts that begin in this time.
pub(in crate::funnel) fn all(events: &[At], starts: &Range<i64>, shape: &Shape) -> Vec<Chain> {
    let order = shape.options.order;
    let (mut over, mut open) = (Vec::new(), None::<Open>);
    for (event, at) in events.iter().enumerate() {
        if let Some(attempt) = &mut open {
            let is_late = at.at_ms - attempt.start_ms > shape.window_ms;
            let reached = attempt.chain.last().map_or(0, |did| did.step);
            let is_excluded = bits(at.kills).any(|step| step == reached);
            let goes_on = !is_late && !is_excluded;
            if goes_on && attempt.take(event, at, shape) {
                if attempt.is_whole(shape) {
                    over.extend(open.take().map(|attempt| attempt.chain(order)));
                }
                continue;
            }
            if goes_on && order != Order::Strict {
                continue;
            }
            over.extend(open.take().map(|attempt| attempt.chain(order)));
        }
        let opening = at.steps & order.opening();
        if opening != 0 && starts.contains(&at.at_ms) {
            let mut matching = Matching::new(shape.steps);
            matching.take(event, opening);
            let begun = Open { start_ms: at.at_ms, chain: vec![Did { step: 0, event }], matching };
            match begun.is_whole(shape) {
                true => over.push(begun.chain(order)),
                false => open = Some(begun),
            }
        }
    }
    over.extend(open.map(|attempt| attempt.chain(order)));
    over
}
