//! Counting conversions by their touches, person by person.
//!
//! Table: `(0)` → conversions, and people who converted; `(1, kind, touch)` → conversions that the touch had a
//! part in; `(2, kind, touch, model)` → the digits of the sum of its shares; `(3, kind, touch, model,
//! currency)` → its part of the amounts, in the smallest unit. `kind` is [`KNOWN`] or [`DIRECT`].

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Shape;
use super::models::split;
use crate::events::{ABSENT, Dictionaries, Run};
use crate::exact_sum::ExactSum;
use crate::filter::{Filter, Matcher};
use crate::kernel::{Key, Partial, RunKernel};
use crate::sessions::cut::Cutter;

pub(super) const KNOWN: i64 = 0;
pub(super) const DIRECT: i64 = 1;

pub(super) struct Counter {
    shape: Arc<Shape>,
    conversion: Matcher,
    filter: Filter,
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
    pub(super) fn new(shape: &Arc<Shape>) -> Self {
        Self {
            shape: Arc::clone(shape),
            conversion: shape.conversion.clone(),
            filter: shape.filter.clone(),
            cutter: Cutter::default(),
            ignored: Vec::new(),
            conversions: 0,
            persons: 0,
            touches: BTreeMap::new(),
            own: Vec::new(),
        }
    }

    fn learn(&mut self, dictionaries: &Dictionaries) {
        self.conversion.learn(dictionaries);
        self.filter.learn(dictionaries);
        let hosts = self.shape.referrer.dictionary(dictionaries);
        for code in self.ignored.len()..hosts.len() {
            let host = hosts.text(code as u32);
            let is_ignored = |host: &str| self.shape.ignore_hosts.iter().any(|other| other == host);
            self.ignored.push(host.is_none_or(is_ignored));
        }
    }

    /// The touch that a session begins with.
    fn touch(&self, run: &Run<'_>, row: usize, is_own_host: bool) -> Touch {
        let shape = &*self.shape;
        let has_source = shape.known_by.iter().any(|column| column.of(run)[row] != ABSENT);
        let referrer = shape.referrer.of(run)[row];
        let is_known = has_source || !self.ignored[referrer as usize] && !is_own_host;
        let at_ms = run.ts[row];
        match is_known {
            true => Touch { at_ms, kind: KNOWN, code: shape.by.of(run)[row] },
            false => Touch { at_ms, kind: DIRECT, code: ABSENT },
        }
    }

    /// Share one conversion among the touches before it.
    fn convert(&mut self, run: &Run<'_>, row: usize) {
        let shape = Arc::clone(&self.shape);
        let at_ms = run.ts[row];
        let is_near = |touch: &&Touch| touch.at_ms >= at_ms.saturating_sub(shape.lookback_ms);
        let near: Vec<Touch> = self.own.iter().filter(is_near).copied().collect();
        let mut touches: Vec<Touch> =
            near.iter().filter(|touch| touch.kind == KNOWN).copied().collect();
        if touches.is_empty() {
            let last = near.last().copied();
            touches.push(last.unwrap_or(Touch { at_ms, kind: DIRECT, code: ABSENT }));
        }
        let ages: Vec<i64> = touches.iter().map(|touch| at_ms - touch.at_ms).collect();
        let value = run.numbers[shape.value][row];
        let amount = (!value.is_nan()).then(|| (value * shape.units).round() as i64);
        let currency = shape.currency.of(run)[row];
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

impl RunKernel for Counter {
    fn person(&mut self, run: &Run<'_>, dictionaries: &Dictionaries) {
        self.learn(dictionaries);
        self.cutter.next_person();
        self.own.clear();
        let shape = Arc::clone(&self.shape);
        let texts = |column: crate::filter::TextColumn| column.dictionary(dictionaries);
        let (hosts, referrers) = (texts(shape.host), texts(shape.referrer));
        let mut converted = 0;
        for row in 0..run.len() {
            let at_ms = run.ts[row];
            let begun = self.cutter.len();
            let place = self.cutter.place(at_ms, run.actor[row], run.sessions[row]);
            if place == Some(begun) {
                let host = hosts.text(shape.host.of(run)[row]);
                let referrer = referrers.text(shape.referrer.of(run)[row]);
                let touch = self.touch(run, row, host.is_some() && host == referrer);
                self.own.push(touch);
            }
            let counts = (shape.from_ms..shape.to_ms).contains(&at_ms)
                && self.conversion.mask(run, row) != 0
                && self.filter.passes(run, row);
            if counts {
                converted += 1;
                self.convert(run, row);
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
