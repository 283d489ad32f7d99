//! Counting conversions by their touches, person by person.
//!
//! Table: `(0)` → conversions, and people who converted; `(1, kind, touch)` → conversions that the touch had a
//! part in; `(2, kind, touch, model)` → the digits of the sum of its shares; `(3, kind, touch, model,
//! currency)` → its part of the amounts, in the smallest unit. `kind` is [`KNOWN`] or [`DIRECT`].

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::Shape;
use super::models::split;
use crate::columns::{Block, Span};
use crate::events::{ABSENT, Dictionaries, NO_SESSION, UNNAMED_SESSION};
use crate::exact_sum::ExactSum;
use crate::filter::{Masks, Matcher, TextColumn};
use crate::kernel::{Kernel, Key, Partial};
use crate::sessions::cut::Cutter;

/// Pattern 0 is any event at all, 1 a conversion that passes the filter.
pub(super) const CONVERTS: u64 = 2;

pub(super) const KNOWN: i64 = 0;
pub(super) const DIRECT: i64 = 1;

pub(super) struct Counter {
    shape: Arc<Shape>,
    times: Range<i64>,
    matcher: Matcher,
    /// By slot: which patterns the rows match.
    masks: Vec<Masks>,
    cutter: Cutter,
    /// By code of the referrer: whether its host brings nobody.
    ignored: Vec<bool>,
    conversions: u64,
    persons: u64,
    /// By kind and code.
    touches: BTreeMap<(i64, u32), Sums>,
    /// The person's touches.
    own: Vec<Touch>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Touch {
    at_ms: i64,
    kind: i64,
    code: u32,
}

/// What a touch brought.
#[derive(Default)]
struct Sums {
    conversions: u64,
    /// By model.
    shares: Vec<ExactSum>,
    /// By model and code of the currency.
    amounts: BTreeMap<(usize, u32), i64>,
}

impl Counter {
    pub(super) fn new(shape: &Arc<Shape>, times: Range<i64>) -> Self {
        Self {
            shape: Arc::clone(shape),
            times,
            matcher: shape.matcher.clone(),
            masks: Vec::new(),
            cutter: Cutter::default(),
            ignored: Vec::new(),
            conversions: 0,
            persons: 0,
            touches: BTreeMap::new(),
            own: Vec::new(),
        }
    }

    fn learn(&mut self, dictionaries: &Dictionaries) {
        let hosts = self.shape.referrer.dictionary(dictionaries);
        for code in self.ignored.len()..hosts.len() {
            let host = hosts.text(code as u32);
            let is_ignored = |host: &str| self.shape.ignore_hosts.iter().any(|other| other == host);
            self.ignored.push(host.is_none_or(is_ignored));
        }
    }

    /// The touch that a session begins with.
    fn touch(&self, block: &Block, row: usize, dictionaries: &Dictionaries) -> Touch {
        let shape = &*self.shape;
        let code = |column: TextColumn| column.of_block(block).get(row);
        let text = |column: TextColumn| column.dictionary(dictionaries).text(code(column));
        let has_source = shape.known_by.iter().any(|column| code(*column) != ABSENT);
        let is_known = has_source
            || !self.ignored[code(shape.referrer) as usize] && {
                let host = text(shape.host);
                host.is_none() || host != text(shape.referrer)
            };
        let at_ms = block.ts.get(row);
        match is_known {
            true => Touch { at_ms, kind: KNOWN, code: code(shape.by) },
            false => Touch { at_ms, kind: DIRECT, code: ABSENT },
        }
    }

    /// Share one conversion among the touches before it.
    fn convert(&mut self, block: &Block, row: usize) {
        let shape = Arc::clone(&self.shape);
        let at_ms = block.ts.get(row);
        let is_near = |touch: &&Touch| touch.at_ms >= at_ms.saturating_sub(shape.lookback_ms);
        let near: Vec<Touch> = self.own.iter().filter(is_near).copied().collect();
        let mut touches: Vec<Touch> =
            near.iter().filter(|touch| touch.kind == KNOWN).copied().collect();
        if touches.is_empty() {
            let last = near.last().copied();
            touches.push(last.unwrap_or(Touch { at_ms, kind: DIRECT, code: ABSENT }));
        }
        let ages: Vec<i64> = touches.iter().map(|touch| at_ms - touch.at_ms).collect();
        let value = block.numbers[shape.value].get(row);
        let amount = (!value.is_nan()).then(|| (value * shape.units).round() as i64);
        let currency = shape.currency.of_block(block).get(row);
        // Few kinds of touches bring many of them: what a conversion gives to each is put together first.
        let mut met: Vec<(i64, u32)> = Vec::new();
        let place = |touch: &Touch| {
            let kind = (touch.kind, touch.code);
            met.iter().position(|other| *other == kind).unwrap_or_else(|| {
                met.push(kind);
                met.len() - 1
            })
        };
        let places: Vec<usize> = touches.iter().map(place).collect();
        for (model, rule) in shape.models.iter().enumerate() {
            let shares = rule.shares(&ages, shape.half_life_ms);
            let parts = amount.map(|amount| split(amount, &shares));
            let mut given = vec![(0.0, 0); met.len()];
            for (at, place) in places.iter().enumerate() {
                given[*place].0 += shares[at];
                given[*place].1 += parts.as_ref().map_or(0, |parts| parts[at]);
            }
            for (touch, (share, part)) in met.iter().zip(given) {
                let sums = self.touches.entry(*touch).or_default();
                sums.shares.resize_with(shape.models.len(), ExactSum::default);
                sums.shares[model].add(share);
                if amount.is_some() {
                    *sums.amounts.entry((model, currency)).or_default() += part;
                }
            }
        }
        for touch in met {
            self.touches.entry(touch).or_default().conversions += 1;
        }
    }
}

impl Kernel for Counter {
    fn block(&mut self, slot: usize, block: &Block, dictionaries: &Dictionaries) {
        if self.masks.len() <= slot {
            self.masks.resize_with(slot + 1, Masks::default);
        }
        self.matcher.look(block, dictionaries, &self.times, &mut self.masks[slot]);
        self.learn(dictionaries);
    }

    fn person(&mut self, person: u64, spans: &[Span<'_>], dictionaries: &Dictionaries) {
        self.cutter.next_person();
        self.own.clear();
        let mut converted = 0;
        for Span { slot, block, rows } in spans {
            let Some(sessions) = &block.sessions else { continue };
            // The session of the row before, if it has a name: such a one goes on, however long it is.
            let mut named = NO_SESSION;
            for row in rows.clone() {
                let (mask, session) = (self.masks[*slot].get(row), sessions[row]);
                if mask == 0 {
                    continue;
                }
                if session != named {
                    let at_ms = block.ts.get(row);
                    let actor = block.actors.as_ref().map_or(person, |actors| actors[row]);
                    let begun = self.cutter.len();
                    if self.cutter.place(at_ms, actor, session) == Some(begun) {
                        let touch = self.touch(block, row, dictionaries);
                        self.own.push(touch);
                    }
                    named = if session == UNNAMED_SESSION { NO_SESSION } else { session };
                }
                if mask & CONVERTS != 0
                    && (self.shape.from_ms..self.shape.to_ms).contains(&block.ts.get(row))
                {
                    converted += 1;
                    self.convert(block, row);
                }
            }
        }
        self.conversions += converted;
        self.persons += u64::from(converted > 0);
    }

    fn bytes(&self) -> usize {
        self.touches.len() * size_of::<Sums>()
    }

    fn finish(self: Box<Self>, dictionaries: &Dictionaries) -> Partial {
        let mut partial = Partial::default();
        if self.conversions > 0 {
            partial.add(vec![Key::Int(0)], &[self.conversions as f64, self.persons as f64]);
        }
        let names = self.shape.by.dictionary(dictionaries);
        let currencies = self.shape.currency.dictionary(dictionaries);
        for ((kind, code), sums) in self.touches {
            let touch = [Key::Int(kind), Key::from_text(names.text(code))];
            let key = |table: i64, rest: &[Key]| {
                let mut key = vec![Key::Int(table)];
                key.extend(touch.iter().chain(rest).cloned());
                key
            };
            partial.add(key(1, &[]), &[sums.conversions as f64]);
            for (model, share) in sums.shares.iter().enumerate() {
                partial.add(key(2, &[model.into()]), &share.columns());
            }
            for ((model, currency), amount) in sums.amounts {
                let currency = Key::from_text(currencies.text(currency));
                partial.add(key(3, &[model.into(), currency]), &[amount as f64]);
            }
        }
        partial
    }
}
