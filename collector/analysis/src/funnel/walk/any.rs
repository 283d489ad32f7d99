//! Steps in any order: as many as possible of them, each by an event of its own, within a window.
//!
//! In: the events of a unit. Out: the largest number of steps done within some window; the first to get
//! there, from the latest start from which it can be had. Its events are those with which the number grew,
//! and the step each stands for is that which it was matched with. Where the first step comes first, only an
//! event of it may start, and stands for it.
//!
//! Which events serve which steps is a matching of events with steps: one that grows by a path along which
//! the events before change places (Berge, "Two theorems in graph theory", 1957).

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;

use super::{At, Chain, Did, Shape, bits};
use crate::funnel::MAX_STEPS;
use crate::funnel::options::Order;

/// Events matched with steps.
#[derive(Default)]
pub(super) struct Matching {
    /// By step: the event, by its place and the steps it matches.
    by_step: Vec<Option<(usize, u64)>>,
    size: usize,
}

impl Matching {
    pub(super) fn new(steps: usize) -> Self {
        Self { by_step: vec![None; steps], size: 0 }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.size == self.by_step.len()
    }

    /// Take an event if that makes it larger.
    pub(super) fn take(&mut self, event: usize, steps: u64) -> bool {
        let mut tried = 0;
        let grows = self.place((event, steps), &mut tried);
        self.size += usize::from(grows);
        grows
    }

    fn place(&mut self, event: (usize, u64), tried: &mut u64) -> bool {
        for step in bits(event.1 & !*tried) {
            if *tried >> step & 1 == 1 {
                continue;
            }
            *tried |= 1 << step;
            let has_moved = match self.by_step[step] {
                None => true,
                Some(other) => self.place(other, tried),
            };
            if has_moved {
                self.by_step[step] = Some(event);
                return true;
            }
        }
        false
    }

    /// The steps done, in the order of their events.
    pub(super) fn chain(&self) -> Chain {
        let did =
            |(step, at): (usize, &Option<(usize, u64)>)| Some(Did { step, event: at.as_ref()?.0 });
        let mut chain: Chain = self.by_step.iter().enumerate().filter_map(did).collect();
        chain.sort_by_key(|did| did.event);
        chain
    }
}

/// The best chain whose first event lies in this time.
pub(in crate::funnel) fn best(events: &[At], starts: &Range<i64>, shape: &Shape) -> Option<Chain> {
    let is_plain = shape.options.order == Order::Any
        && events.iter().all(|event| event.steps.count_ones() <= 1);
    if is_plain && events.is_sorted_by_key(|event| event.at_ms) {
        return best_of_one_step_each(events, starts, shape);
    }
    best_matching(events, starts, shape)
}

/// The same where no event matches several steps: then a step is done by the first event of it.
fn best_of_one_step_each(events: &[At], starts: &Range<i64>, shape: &Shape) -> Option<Chain> {
    // By step: its first event, of those from the one at hand on.
    let mut firsts = [usize::MAX; MAX_STEPS];
    // The steps done, the event that was the last of them, and the first one.
    let mut best: Option<(usize, Reverse<usize>, usize)> = None;
    for (first, event) in events.iter().enumerate().rev().filter(|(_, event)| event.steps != 0) {
        firsts[event.steps.trailing_zeros() as usize] = first;
        if !starts.contains(&event.at_ms) {
            continue;
        }
        let last_ms = event.at_ms.saturating_add(shape.window_ms);
        let is_within = |at: usize| events.get(at).is_some_and(|event| event.at_ms <= last_ms);
        let firsts = &firsts[..shape.steps];
        // Who does much mostly does all of it: then one look says so.
        let end = firsts.iter().copied().max().unwrap_or(first);
        let (done, last) = match is_within(end) {
            true => (shape.steps, end),
            false => {
                let done = firsts.iter().copied().filter(|at| is_within(*at));
                done.fold((0, first), |(done, last), at| (done + 1, last.max(at)))
            }
        };
        // Of equal ones the latest start, which was met before the others.
        if best.is_none_or(|(most, end, _)| (done, Reverse(last)) > (most, end)) {
            best = Some((done, Reverse(last), first));
        }
    }
    let (_, Reverse(last), first) = best?;
    let mut done = 0;
    let did = |event: usize| {
        let new = events[event].steps & !done;
        done |= new;
        (new != 0).then(|| Did { step: new.trailing_zeros() as usize, event })
    };
    Some((first..=last).filter_map(did).collect())
}

fn best_matching(events: &[At], starts: &Range<i64>, shape: &Shape) -> Option<Chain> {
    let mut alike: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    let matching = events.iter().enumerate().filter(|(_, event)| event.steps != 0);
    matching.for_each(|(at, event)| alike.entry(event.steps).or_default().push(at));
    // By event: the steps that those of its moment and after it match.
    let mut matched = vec![0u64; events.len()];
    let mut all = 0;
    for (at, event) in events.iter().enumerate().rev() {
        all |= event.steps;
        matched[at] = all;
    }
    for at in 1..events.len() {
        if events[at].at_ms == events[at - 1].at_ms {
            matched[at] = matched[at - 1];
        }
    }
    let mut best: Option<Chain> = None;
    let opening = shape.options.order.opening();
    for (first, event) in events.iter().enumerate() {
        if event.steps & opening == 0 || !starts.contains(&event.at_ms) {
            continue;
        }
        if let Some(best) = &best
            && best.last().is_some_and(|did| did.event < first)
            && best.len() >= matched[first].count_ones() as usize
        {
            break; // Nothing from here on comes further, or as far before.
        }
        let last_ms = event.at_ms.saturating_add(shape.window_ms);
        let mut matching = Matching::new(shape.steps);
        matching.take(first, event.steps & opening);
        let after = next(&alike, events, first);
        let mut chain = greedily(matching, events, &after, last_ms);
        // It may share its moment with events of other devices, which have no order.
        chain.sort_by_key(|did| did.event != first);
        let is_better = best.as_ref().is_none_or(|best| {
            let ended = |chain: &Chain| chain.last().map_or(0, |did| did.event);
            let ends = ended(&chain).cmp(&ended(best)).is_le();
            chain.len() > best.len() || chain.len() == best.len() && ends
        });
        if is_better {
            best = Some(chain);
        }
    }
    best
}

/// The events after one that can bring a step more: of those that match the same steps, no more than they
/// match. Those of other devices in the same moment are after it, too.
fn next(alike: &BTreeMap<u64, Vec<usize>>, all: &[At], first: usize) -> Vec<usize> {
    let is_after = |event: &&usize| **event > first || all[**event].actor != all[first].actor;
    let mut next: Vec<usize> = Vec::new();
    for (steps, events) in alike {
        let from = events.partition_point(|event| all[*event].at_ms < all[first].at_ms);
        let after = events[from..].iter().filter(is_after);
        next.extend(after.take(steps.count_ones() as usize));
    }
    next.sort_unstable();
    next
}

/// Take each event that brings a step more, up to a time.
fn greedily(mut matching: Matching, events: &[At], after: &[usize], last_ms: i64) -> Chain {
    for &event in after {
        if events[event].at_ms > last_ms || matching.is_whole() {
            break;
        }
        matching.take(event, events[event].steps);
    }
    matching.chain()
}
