//! Counting revenue, person by person.
//!
//! Table: `(0, bucket, currency)` → the columns of [`MOVED`]; `(1, bucket, currency)` → those of [`PAID`]; `(2, bucket)`
//! → people who were there; `(3, bucket)` → people who paid, and those who paid for the first time; `(4)` → events that
//! were not understood. Amounts that recur are twelfths of the smallest unit, amounts paid smallest units.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;

use super::Shape;
use super::ledger::{Interval, Ledger, Said, Status};
use crate::currency::Currencies;
use crate::events::{ABSENT, Dictionaries, Run};
use crate::filter::{Filter, Matcher};
use crate::kernel::{Key, Partial, RunKernel};

/// Columns of what recurs: amounts, then customers.
pub(super) const MOVED: usize = 12;
pub(super) const START: usize = 0;
pub(super) const NEW: usize = 1;
pub(super) const REACTIVATION: usize = 2;
pub(super) const EXPANSION: usize = 3;
pub(super) const CONTRACTION: usize = 4;
pub(super) const CHURN: usize = 5;
pub(super) const END: usize = 6;
/// Customers at the start; the others as the amounts above, without those whose amount changed.
pub(super) const CUSTOMERS: usize = 7;
pub(super) const CUSTOMERS_NEW: usize = 8;
pub(super) const CUSTOMERS_REACTIVATED: usize = 9;
pub(super) const CUSTOMERS_CHURNED: usize = 10;
pub(super) const CUSTOMERS_END: usize = 11;

/// Columns of what was paid.
pub(super) const PAID: usize = 7;
pub(super) const GROSS: usize = 0;
pub(super) const ONE_OFF: usize = 1;
pub(super) const REFUNDED: usize = 2;
pub(super) const PAYMENTS: usize = 3;
pub(super) const PAYERS: usize = 4;
pub(super) const REFUNDS: usize = 5;
/// Refunds of a payment that nobody saw.
pub(super) const UNLINKED: usize = 6;

/// Patterns of the matcher.
const STARTED: u64 = 1;
const RENEWED: u64 = 1 << 1;
const CHANGED: u64 = 1 << 2;
const ENDED: u64 = 1 << 3;
const PAYMENT: u64 = 1 << 4;
const REFUND: u64 = 1 << 5;

pub(super) struct Counter {
    shape: Arc<Shape>,
    matcher: Matcher,
    filter: Filter,
    currency: Currencies,
    /// By bucket and code of the currency.
    moved: BTreeMap<(usize, u32), [f64; MOVED]>,
    paid: BTreeMap<(usize, u32), [f64; PAID]>,
    /// By bucket: who paid, and who did so for the first time.
    payers: BTreeMap<usize, [f64; 2]>,
    not_understood: u64,
    ledger: Ledger,
    own: Own,
}

/// What is known of the person in hand.
#[derive(Default)]
struct Own {
    /// MRR by currency at the end of the bucket before.
    last: BTreeMap<u32, i64>,
    /// Currencies in which there was some before that, and since.
    ever: Vec<u32>,
    since: Vec<u32>,
    /// Currency of a payment, by the code of its id.
    payments: HashMap<u32, u32>,
    has_paid: bool,
    /// The bucket and currency counted last in `payers`.
    counted: Vec<(usize, u32)>,
}

impl Counter {
    pub(super) fn new(shape: &Arc<Shape>) -> Self {
        Self {
            shape: Arc::clone(shape),
            matcher: shape.matcher.clone(),
            filter: shape.filter.clone(),
            currency: shape.currency.clone(),
            moved: BTreeMap::new(),
            paid: BTreeMap::new(),
            payers: BTreeMap::new(),
            not_understood: 0,
            ledger: Ledger::default(),
            own: Own::default(),
        }
    }

    /// The number in a column, in smallest units.
    fn units(&self, run: &Run<'_>, column: usize, row: usize) -> Option<i64> {
        let value = run.numbers[column][row];
        // A number that is too large for money is cut at the largest there is.
        (!value.is_nan()).then(|| (value * self.shape.units).round() as i64)
    }

    /// An event says something of an item.
    fn item(&mut self, run: &Run<'_>, row: usize, mask: u64, dictionaries: &Dictionaries) {
        let shape = Arc::clone(&self.shape);
        let text = |column: crate::filter::TextColumn| {
            column.dictionary(dictionaries).text(column.of(run)[row])
        };
        let (status, interval) = (text(shape.status), text(shape.interval));
        let said_status = status.and_then(Status::parse);
        let said_interval = interval.and_then(Interval::parse);
        self.not_understood += u64::from(
            status.is_some() != said_status.is_some()
                || interval.is_some() != said_interval.is_some(),
        );
        let ends_at = run.numbers[shape.ends_at][row];
        let ends_ms = (!ends_at.is_nan()).then_some(ends_at as i64);
        let (status, ends_ms) = match mask {
            mask if mask & ENDED != 0 && ends_ms.is_none() => (Some(Status::Ended), None),
            mask if mask & ENDED != 0 => (None, ends_ms),
            mask if mask & (STARTED | RENEWED) != 0 => {
                (said_status.or(Some(Status::Paid)), ends_ms.or(Some(i64::MAX)))
            }
            _ => (said_status, ends_ms),
        };
        let said = Said {
            amount: self.units(run, shape.amount, row),
            discount: self.units(run, shape.discount, row),
            tax: self.units(run, shape.tax, row),
            interval: said_interval,
            currency: self.currency.named(run, row),
            status,
            ends_ms,
        };
        self.ledger.say(shape.subscription.of(run)[row], &said);
        for currency in self.ledger.monthly(run.ts[row]).into_keys() {
            if !self.own.since.contains(&currency) {
                self.own.since.push(currency);
            }
        }
    }

    /// Money that came or went.
    fn money(&mut self, run: &Run<'_>, row: usize, is_refund: bool) {
        let shape = Arc::clone(&self.shape);
        let Some(amount) = self.units(run, shape.amount, row) else {
            self.not_understood += 1;
            return;
        };
        let amount = amount.saturating_sub(self.units(run, shape.tax, row).unwrap_or(0)) as f64;
        let (id, named) = (shape.payment.of(run)[row], self.currency.named(run, row));
        let at_ms = run.ts[row];
        let bucket = (at_ms >= shape.buckets.bounds_ms[0]).then(|| shape.buckets.index(at_ms));
        if is_refund {
            let paid = self.own.payments.get(&id).copied();
            let currency = named.or(paid).unwrap_or(self.currency.default());
            let Some(bucket) = bucket else { return };
            let sums = self.paid.entry((bucket, currency)).or_default();
            sums[REFUNDED] += amount;
            sums[REFUNDS] += 1.0;
            sums[UNLINKED] += f64::from(u8::from(paid.is_none()));
            return;
        }
        let own = named.unwrap_or(self.currency.default());
        if id != ABSENT {
            self.own.payments.insert(id, own);
        }
        let is_first = !std::mem::replace(&mut self.own.has_paid, true);
        let Some(bucket) = bucket else { return };
        let sums = self.paid.entry((bucket, own)).or_default();
        sums[GROSS] += amount;
        sums[PAYMENTS] += 1.0;
        if shape.subscription.of(run)[row] == ABSENT {
            sums[ONE_OFF] += amount;
        }
        let counted = &mut self.own.counted;
        if counted.last().is_none_or(|(last, _)| *last != bucket) {
            counted.clear();
            let payers = self.payers.entry(bucket).or_default();
            payers[0] += 1.0;
            payers[1] += f64::from(u8::from(is_first));
        }
        if !counted.contains(&(bucket, own)) {
            counted.push((bucket, own));
            sums[PAYERS] += 1.0;
        }
    }

    /// A bucket is over: what the person's MRR is now, and how it came there.
    fn close(&mut self, bucket: usize, end_ms: i64) {
        let now = self.ledger.monthly(end_ms);
        let before = std::mem::replace(&mut self.own.last, now.clone());
        let mut currencies: Vec<u32> = before.keys().chain(now.keys()).copied().collect();
        currencies.sort_unstable();
        currencies.dedup();
        for currency in currencies {
            let of = |sums: &BTreeMap<u32, i64>| sums.get(&currency).copied().unwrap_or(0);
            let (start, end) = (of(&before), of(&now));
            let row = self.moved.entry((bucket, currency)).or_default();
            let mut add = |column: usize, amount: i64, customers: Option<usize>| {
                row[column] += amount as f64;
                if let Some(customers) = customers.filter(|_| amount > 0) {
                    row[customers] += 1.0;
                }
            };
            add(START, start, Some(CUSTOMERS));
            add(END, end, Some(CUSTOMERS_END));
            match (start, end) {
                (0, _) if self.own.ever.contains(&currency) => {
                    add(REACTIVATION, end, Some(CUSTOMERS_REACTIVATED));
                }
                (0, _) => add(NEW, end, Some(CUSTOMERS_NEW)),
                (_, 0) => add(CHURN, start, Some(CUSTOMERS_CHURNED)),
                _ => {
                    add(EXPANSION, (end - start).max(0), None);
                    add(CONTRACTION, (start - end).max(0), None);
                }
            }
        }
        self.learn_ever();
    }

    fn learn_ever(&mut self) {
        let Own { ever, since, last, .. } = &mut self.own;
        for currency in since.drain(..).chain(last.keys().copied()) {
            if !ever.contains(&currency) {
                ever.push(currency);
            }
        }
    }

    /// Take stock at every end of a bucket up to this moment, included.
    fn pass(&mut self, next: &mut usize, at_ms: i64) {
        let shape = Arc::clone(&self.shape);
        while *next <= shape.buckets.len() {
            let bound_ms = shape.buckets.bounds_ms[*next].min(shape.to_ms);
            if bound_ms > at_ms {
                break;
            }
            match next.checked_sub(1) {
                // The start of the first bucket.
                None => {
                    self.own.last = self.ledger.monthly(bound_ms);
                    self.learn_ever();
                }
                Some(bucket) => self.close(bucket, bound_ms),
            }
            *next += 1;
        }
    }
}

impl RunKernel for Counter {
    fn learn(&mut self, dictionaries: &Dictionaries) {
        self.matcher.learn(dictionaries);
        self.filter.learn(dictionaries);
        self.currency.learn(dictionaries);
    }

    fn person(&mut self, run: &Run<'_>, dictionaries: &Dictionaries) {
        self.ledger.begin(self.currency.default());
        self.own = Own::default();
        let mut next = 0;
        for row in 0..run.len() {
            if !self.filter.passes(run, row) {
                continue;
            }
            self.pass(&mut next, run.ts[row]);
            let mask = self.matcher.mask(run, row);
            if mask & (STARTED | RENEWED | CHANGED | ENDED) != 0 {
                self.item(run, row, mask, dictionaries);
            }
            if mask & PAYMENT != 0 {
                self.money(run, row, false);
            }
            if mask & REFUND != 0 {
                self.money(run, row, true);
            }
        }
        self.pass(&mut next, i64::MAX);
    }

    fn bytes(&self) -> usize {
        /// A row of the table, with its key.
        const ROW: usize = 256;
        (self.moved.len() + self.paid.len() + self.payers.len()) * ROW
    }

    fn finish(self: Box<Self>, dictionaries: &Dictionaries) -> Partial {
        let mut partial = Partial::default();
        let key = |table, bucket: usize, currency| {
            vec![Key::Int(table), bucket.into(), self.currency.key(currency, dictionaries)]
        };
        for ((bucket, currency), columns) in &self.moved {
            partial.add(key(0, *bucket, *currency), columns);
        }
        for ((bucket, currency), columns) in &self.paid {
            partial.add(key(1, *bucket, *currency), columns);
        }
        for (bucket, columns) in self.payers {
            partial.add(vec![Key::Int(3), bucket.into()], &columns);
        }
        if self.not_understood > 0 {
            partial.add(vec![Key::Int(4)], &[self.not_understood as f64]);
        }
        partial
    }
}

/// Who was there, by bucket.
pub(super) struct Seen {
    shape: Arc<Shape>,
    filter: Filter,
    persons: Vec<f64>,
}

impl Seen {
    pub(super) fn new(shape: &Arc<Shape>) -> Self {
        let persons = vec![0.0; shape.buckets.len()];
        Self { shape: Arc::clone(shape), filter: shape.filter.clone(), persons }
    }
}

impl RunKernel for Seen {
    fn learn(&mut self, dictionaries: &Dictionaries) {
        self.filter.learn(dictionaries);
    }

    fn person(&mut self, run: &Run<'_>, _: &Dictionaries) {
        let mut last = None;
        for row in (0..run.len()).filter(|row| self.filter.passes(run, *row)) {
            let bucket = self.shape.buckets.index(run.ts[row]);
            if last.replace(bucket) != Some(bucket) {
                self.persons[bucket] += 1.0;
            }
        }
    }

    fn finish(self: Box<Self>, _: &Dictionaries) -> Partial {
        let mut partial = Partial::default();
        for (bucket, persons) in self.persons.into_iter().enumerate() {
            if persons > 0.0 {
                partial.add(vec![Key::Int(2), bucket.into()], &[persons]);
            }
        }
        partial
    }
}
