//! Counting conversions by their touches, person by person.
//!
//! Table: `(0)` → conversions, and people who converted; `(1, kind, touch)` → conversions that the touch had a
//! part in; `(2, kind, touch, model)` → the digits of the sum of its shares; `(3, kind, touch, model,
//! currency)` → its part of the amounts, in the smallest unit. `kind` is [`KNOWN`] or [`DIRECT`].

use std::ops::Range;
use std::sync::Arc;

use super::Shape;
use super::models::split;
use crate::columns::{Block, Span};
use crate::currency::Currencies;
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
    currency: Currencies,
    /// By code of the referrer: whether its host brings nobody.
    ignored: Vec<bool>,
    conversions: u64,
    persons: u64,
    /// Of each touch that was met; [`NOBODY`] is first.
    sums: Vec<Sums>,
    /// By code of a known touch: where its sums are, and 0 where it was not met.
    places: Vec<u32>,
    /// The person's touches that are known, in order of time.
    own: Vec<Touch>,
    scratch: Scratch,
}

#[derive(Debug, Clone, Copy)]
struct Touch {
    at_ms: i64,
    /// Place of its sums.
    sums: u32,
}

/// Place of the sums of direct touches.
const NOBODY: u32 = 0;

/// What a touch brought.
struct Sums {
    /// Code of a known one.
    code: u32,
    conversions: u64,
    /// By model: shares, and amounts by code of the currency.
    models: Vec<(ExactSum, Vec<(u32, i64)>)>,
    /// The last conversion that it had a part in, and its place among the touches of that.
    met: (u64, u32),
}

impl Sums {
    fn new(code: u32, models: usize) -> Self {
        Self { code, conversions: 0, models: vec![Default::default(); models], met: (0, 0) }
    }

    fn add(&mut self, model: usize, share: f64, amount: Option<(u32, i64)>) {
        let (shares, amounts) = &mut self.models[model];
        shares.add(share);
        let Some((currency, part)) = amount else { return };
        match amounts.iter_mut().find(|(other, _)| *other == currency) {
            Some((_, sum)) => *sum += part,
            None => amounts.push((currency, part)),
        }
    }
}

/// Memory for one conversion: what each touch is, and what it gets.
#[derive(Default)]
struct Scratch {
    ages_ms: Vec<i64>,
    /// Places of the sums of those that differ.
    met: Vec<u32>,
    /// Of every touch, its place there.
    at: Vec<u32>,
    shares: Vec<f64>,
    parts: Vec<i64>,
    /// What each that was met is given.
    given: Vec<(f64, i64)>,
}

impl Counter {
    pub(super) fn new(shape: &Arc<Shape>, times: Range<i64>) -> Self {
        Self {
            shape: Arc::clone(shape),
            times,
            matcher: shape.matcher.clone(),
            masks: Vec::new(),
            cutter: Cutter::default(),
            currency: shape.currency.clone(),
            ignored: Vec::new(),
            conversions: 0,
            persons: 0,
            sums: vec![Sums::new(ABSENT, shape.models.len())],
            places: Vec::new(),
            own: Vec::new(),
            scratch: Scratch::default(),
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

    /// A session begins with this row: remember what brought it, if that is known.
    fn begin(&mut self, block: &Block, row: usize, dictionaries: &Dictionaries) {
        let shape = &*self.shape;
        let code = |column: TextColumn| column.of_block(block).get(row);
        let text = |column: TextColumn| column.dictionary(dictionaries).text(code(column));
        let has_source = shape.known_by.iter().any(|column| code(*column) != ABSENT);
        let is_known = has_source
            || !self.ignored[code(shape.referrer) as usize] && {
                let host = text(shape.host);
                host.is_none() || host != text(shape.referrer)
            };
        if !is_known {
            return;
        }
        let by = code(shape.by);
        let place = &mut self.places[by as usize];
        if *place == 0 {
            *place = self.sums.len() as u32;
            self.sums.push(Sums::new(by, shape.models.len()));
        }
        self.own.push(Touch { at_ms: block.ts.get(row), sums: *place });
    }

    /// Share one conversion among the touches before it.
    fn convert(&mut self, block: &Block, row: usize) {
        let Self { shape, sums, own, scratch, currency, .. } = self;
        let at_ms = block.ts.get(row);
        let nearest_ms = at_ms.saturating_sub(shape.lookback_ms);
        let near = &own[own.partition_point(|touch| touch.at_ms < nearest_ms)..];
        // Direct touches share nothing among known ones, and all of them are one.
        let direct = [Touch { at_ms, sums: NOBODY }];
        let touches = if near.is_empty() { &direct } else { near };
        let value = block.numbers[shape.value].get(row);
        let amount = (!value.is_nan()).then(|| (value * shape.units).round() as i64);
        let named = currency.column().of_block(block).get(row);
        let currency = if named == ABSENT { currency.default() } else { named };

        self.conversions += 1;
        let Scratch { ages_ms, met, at, shares, parts, given } = scratch;
        ages_ms.clear();
        ages_ms.extend(touches.iter().map(|touch| at_ms - touch.at_ms));
        // Few kinds of touches bring many of them: what a conversion gives to each is put together first.
        met.clear();
        at.clear();
        for touch in touches {
            let sums = &mut sums[touch.sums as usize];
            if sums.met.0 != self.conversions {
                sums.met = (self.conversions, met.len() as u32);
                sums.conversions += 1;
                met.push(touch.sums);
            }
            at.push(sums.met.1);
        }
        for (model, rule) in shape.models.iter().enumerate() {
            rule.shares(ages_ms, shape.half_life_ms, shares);
            split(amount.unwrap_or(0), shares, parts);
            given.clear();
            given.resize(met.len(), (0.0, 0));
            for ((at, share), part) in at.iter().zip(&*shares).zip(&*parts) {
                let given = &mut given[*at as usize];
                *given = (given.0 + share, given.1 + part);
            }
            for (touch, (share, part)) in met.iter().zip(&*given) {
                sums[*touch as usize].add(model, *share, amount.map(|_| (currency, *part)));
            }
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
        self.currency.learn(dictionaries);
        self.places.resize(self.shape.by.dictionary(dictionaries).len(), 0);
    }

    fn person(&mut self, person: u64, spans: &[Span<'_>], dictionaries: &Dictionaries) {
        self.cutter.next_person();
        self.own.clear();
        let before = self.conversions;
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
                        self.begin(block, row, dictionaries);
                    }
                    named = if session == UNNAMED_SESSION { NO_SESSION } else { session };
                }
                if mask & CONVERTS != 0
                    && (self.shape.from_ms..self.shape.to_ms).contains(&block.ts.get(row))
                {
                    self.convert(block, row);
                }
            }
        }
        self.persons += u64::from(self.conversions > before);
    }

    fn bytes(&self) -> usize {
        size_of_val(&self.places[..])
            + self.sums.len()
                * (size_of::<Sums>() + self.shape.models.len() * size_of::<ExactSum>())
    }

    fn finish(self: Box<Self>, dictionaries: &Dictionaries) -> Partial {
        let mut partial = Partial::default();
        if self.conversions > 0 {
            partial.add(vec![Key::Int(0)], &[self.conversions as f64, self.persons as f64]);
        }
        let names = self.shape.by.dictionary(dictionaries);
        for (place, sums) in self.sums.into_iter().enumerate() {
            if sums.conversions == 0 {
                continue;
            }
            let kind = if place == NOBODY as usize { DIRECT } else { KNOWN };
            let touch = [Key::Int(kind), Key::from_text(names.text(sums.code))];
            let key = |table: i64, rest: &[Key]| {
                let mut key = vec![Key::Int(table)];
                key.extend(touch.iter().chain(rest).cloned());
                key
            };
            partial.add(key(1, &[]), &[sums.conversions as f64]);
            for (model, (share, amounts)) in sums.models.into_iter().enumerate() {
                partial.add(key(2, &[model.into()]), &share.columns());
                for (currency, amount) in amounts {
                    let currency = self.currency.key(currency, dictionaries);
                    partial.add(key(3, &[model.into(), currency]), &[amount as f64]);
                }
            }
        }
        partial
    }
}
