//! The best chain of steps in order: with steps that may be left out, or with nothing in between.
//!
//! In: the events of a unit. Out: the furthest chain, the first to get there; of several starts the
//! latest, and of those with the same start the one that left out least.
//!
//! For every step the chain that reached it and started last is kept, because it stays within the window
//! longest. Events of one instant that have no order of their own are tried in every order, and of each
//! step the best of all is kept; above [`ORDERS_MAX`] orders they are taken as they are.

use std::ops::Range;

use super::{At, Chain, Did, Shape, bits};
use crate::funnel::options::Order;
use crate::funnel::rule::Difference;

/// Orders of one instant that are tried: those of five events.
const ORDERS_MAX: usize = 120;

/// One step of a chain; the chain is read backwards.
#[derive(Debug, Clone, Copy)]
struct Link {
    did: Did,
    /// The chain's first event.
    start: usize,
    /// How many steps it has.
    length: usize,
    before: Option<usize>,
}

/// By step: the chain kept for it, as its last link.
type Kept = Vec<Option<usize>>;

struct Search<'a> {
    shape: &'a Shape,
    events: &'a [At],
    starts: &'a Range<i64>,
    links: Vec<Link>,
    best: Option<usize>,
    /// For PostHog's rule. By step: whether a chain reached it and met no exclusion; and the furthest
    /// step at which a chain met one.
    clean: u64,
    excluded: Option<usize>,
    /// Memory for the chains that go on.
    going_on: Kept,
}

/// The best chain that starts in this time.
pub(in crate::funnel) fn best(events: &[At], starts: &Range<i64>, shape: &Shape) -> Option<Chain> {
    // Persons are many, and most have few events: little is set aside for each.
    let (links, clean) = (Vec::with_capacity(events.len().min(64)), 0);
    let is_strict = shape.options.order == Order::Strict;
    let going_on = if is_strict { vec![None; shape.steps] } else { Vec::new() };
    let best = None;
    let mut search = Search { shape, events, starts, links, best, clean, excluded: None, going_on };
    let mut kept: Kept = vec![None; shape.steps];
    let mut next = 0;
    while next < events.len() {
        let instant = search.instant(next);
        next = instant.end;
        // Most events are alone in their instant.
        match instant.len() {
            _ if shape.options.rule.is_clickhouse() => search.take_all(&mut kept, instant),
            1 => search.take_one(&mut kept, instant.start),
            _ => search.take(&mut kept, instant),
        }
        if search.is_over() {
            break;
        }
    }
    search.chain()
}

impl Search<'_> {
    /// When an event happened, as the rule has it.
    fn at_ms(&self, event: usize) -> i64 {
        let at_ms = self.events[event].at_ms;
        match self.shape.options.rule.has(Difference::WholeSeconds) {
            true => at_ms.div_euclid(1000) * 1000,
            false => at_ms,
        }
    }

    /// The events of one instant.
    fn instant(&self, first: usize) -> Range<usize> {
        let rest = (first..self.events.len()).take_while(|at| self.at_ms(*at) == self.at_ms(first));
        first..first + rest.count()
    }

    /// Whether no event can change the best chain any more: it has come through, and none can be ruled out later.
    fn is_over(&self) -> bool {
        let is_through = |best: usize| self.links[best].did.step + 1 == self.shape.steps;
        self.best.is_some_and(is_through)
            && !self.shape.options.rule.has(Difference::ExclusionRemoves)
    }

    fn take(&mut self, kept: &mut Kept, instant: Range<usize>) {
        let mut events: Vec<usize> = instant.collect();
        let rule = self.shape.options.rule;
        let has_seconds = rule.has(Difference::WholeSeconds);
        if has_seconds {
            // The same done twice in a second was done once.
            let mut met: Vec<u64> = Vec::new();
            events.retain(|event| {
                let steps = self.events[*event].steps;
                let is_new = steps == 0 || !met.contains(&steps);
                met.push(steps);
                is_new
            });
        }
        let has_no_order = has_seconds || rule.has(Difference::InstantAnyOrder);
        if rule.has(Difference::InstantAnyOrder) {
            events.sort_by_key(|event| self.events[*event].kills == 0);
        }
        let device = |event: usize| match has_no_order {
            true => event as u64,
            false => self.events[event].actor,
        };
        let orders = if events.len() > 1 { orders(&events, device) } else { vec![events] };
        let before = kept.clone();
        let mut after: Kept = vec![None; self.shape.steps];
        for order in orders {
            let mut state = before.clone();
            order.into_iter().for_each(|event| self.take_one(&mut state, event));
            for (best, other) in after.iter_mut().zip(state) {
                if self.is_better(other, *best) {
                    *best = other;
                }
            }
        }
        *kept = after;
    }

    /// Take all events of an instant as ClickHouse does: in the order of the steps, and whatever matches
    /// several steps may serve them all.
    fn take_all(&mut self, kept: &mut Kept, instant: Range<usize>) {
        for step in 0..self.shape.steps {
            let serves = |event: &usize| self.events[*event].steps >> step & 1 == 1;
            if let Some(event) = instant.clone().find(serves) {
                self.extend(kept, 1 << step, event, None);
            }
        }
    }

    fn take_one(&mut self, kept: &mut Kept, event: usize) {
        let At { steps, kills, .. } = self.events[event];
        let is_strict = self.shape.options.order == Order::Strict;
        if steps == 0 && kills == 0 && !is_strict {
            return;
        }
        for step in bits(kills) {
            if let Some(link) = kept[step].take()
                && self.is_within(link, event)
            {
                self.clean &= !(1 << step);
                self.excluded = self.excluded.max(Some(step));
            }
        }
        if is_strict && kills == 0 && steps & 1 == 0 {
            // Nothing begins here.
            if steps == 0 || kept.iter().all(Option::is_none) {
                return kept.fill(None);
            }
        }
        if is_strict {
            // Chains go on with this event or not at all.
            let mut going_on = std::mem::take(&mut self.going_on);
            going_on.fill(None);
            self.extend(kept, steps, event, Some(&mut going_on));
            std::mem::swap(kept, &mut going_on);
            self.going_on = going_on;
        } else {
            self.extend(kept, steps, event, None);
        }
    }

    /// Extend chains by an event, from the last step to the first: what is kept for a step is read
    /// before it changes, so the event never serves two steps of one chain.
    fn extend(&mut self, kept: &mut Kept, steps: u64, event: usize, mut into: Option<&mut Kept>) {
        let mut left = steps;
        while left != 0 {
            let step = 63 - left.leading_zeros() as usize;
            left &= !(1 << step);
            let link = match step {
                0 if self.starts.contains(&self.events[event].at_ms) => {
                    Link { did: Did { step, event }, start: event, length: 1, before: None }
                }
                0 => continue,
                step => match self.before(kept, step, event) {
                    Some(index) => {
                        let Link { start, length, .. } = self.links[index];
                        let did = Did { step, event };
                        Link { did, start, length: length + 1, before: Some(index) }
                    }
                    None => continue,
                },
            };
            self.links.push(link);
            let new = Some(self.links.len() - 1);
            let kept = into.as_mut().map_or(&mut *kept, |into| &mut **into);
            if self.is_better(new, kept[step]) {
                kept[step] = new;
                self.clean |= 1 << step;
                if self.best.is_none_or(|best| self.links[best].did.step < step) {
                    self.best = new;
                }
            }
        }
    }

    /// The chain that an event of a step goes on with: that of the step before, or of one before steps
    /// that may be left out.
    fn before(&self, kept: &Kept, step: usize, event: usize) -> Option<usize> {
        let mut best = None;
        for from in (0..step).rev() {
            let open = kept[from].filter(|link| self.is_within(*link, event));
            if self.is_better(open, best) {
                best = open;
            }
            if self.shape.optional >> from & 1 == 0 {
                break;
            }
        }
        best
    }

    fn is_within(&self, link: usize, event: usize) -> bool {
        self.at_ms(event) - self.at_ms(self.links[link].start) <= self.shape.window_ms
    }

    /// Whether a chain is to be kept instead of another that reached the same step.
    fn is_better(&self, new: Option<usize>, old: Option<usize>) -> bool {
        let Some(new) = new else { return false };
        let rank = |link: usize| (self.links[link].start, self.links[link].length);
        old.is_none_or(|old| rank(new) > rank(old))
    }

    fn chain(&self) -> Option<Chain> {
        let mut last = self.best?;
        if self.shape.options.rule.has(Difference::ExclusionRemoves) && self.excluded.is_some() {
            // Whoever met an exclusion is out, unless another chain came as far without one.
            let clean =
                u64::BITS.checked_sub(self.clean.leading_zeros() + 1).map(|step| step as usize);
            if clean < self.excluded {
                return None;
            }
            let reached = |link: &Link| Some(link.did.step) == clean;
            last = self.links.iter().position(reached)?;
        }
        let mut chain = Vec::with_capacity(self.links[last].length);
        let mut next = Some(last);
        while let Some(link) = next.map(|link| self.links[link]) {
            chain.push(link.did);
            next = link.before;
        }
        chain.reverse();
        Some(chain)
    }
}

/// Every order in which events can have happened that have one only on their device; the given one
/// comes first, and alone when there are too many.
fn orders(events: &[usize], device: impl Fn(usize) -> u64) -> Vec<Vec<usize>> {
    let mut devices: Vec<(u64, Vec<usize>)> = Vec::new();
    for &event in events {
        match devices.iter_mut().find(|(of, _)| *of == device(event)) {
            Some((_, own)) => own.push(event),
            None => devices.push((device(event), vec![event])),
        }
    }
    let (mut found, mut count) = (vec![events.to_vec()], 1usize);
    for (placed, (_, own)) in devices.iter().scan(0, |placed, device| {
        let before = *placed;
        *placed += device.1.len();
        Some((before, device))
    }) {
        // Ways to put these among those that are placed.
        for at in 1..=own.len() {
            count = count.saturating_mul(placed + at) / at;
        }
    }
    if count == 1 || count > ORDERS_MAX {
        return found;
    }
    found.clear();
    interleave(&mut devices.iter().map(|(_, own)| &own[..]).collect(), &mut Vec::new(), &mut found);
    found
}

fn interleave(rest: &mut Vec<&[usize]>, order: &mut Vec<usize>, found: &mut Vec<Vec<usize>>) {
    if rest.iter().all(|own| own.is_empty()) {
        found.push(order.clone());
        return;
    }
    for device in 0..rest.len() {
        let Some((first, others)) = rest[device].split_first() else { continue };
        let own = std::mem::replace(&mut rest[device], others);
        order.push(*first);
        interleave(rest, order, found);
        order.pop();
        rest[device] = own;
    }
}
