//! What revenue answers, and how it is read from a merged table.
//!
//! Amounts that recur are whole numbers of twelfths of the smallest unit. They are rounded once, along the way from the
//! start to the end: a figure is the difference of two rounded sums, so the figures shown add up to the unit as well.

use std::collections::BTreeSet;

use serde::Serialize;

use super::Shape;
use super::counter::{
    CHURN, CONTRACTION, CUSTOMERS, CUSTOMERS_CHURNED, CUSTOMERS_END, CUSTOMERS_NEW,
    CUSTOMERS_REACTIVATED, END, EXPANSION, GROSS, NEW, ONE_OFF, PAYERS, PAYMENTS, REACTIVATION,
    REFUNDED, REFUNDS, START, UNLINKED,
};
use super::ledger::TWELFTHS;
use crate::answer::ratio;
use crate::kernel::{Key, Partial};

/// Revenue by bucket. All lists are as long as `buckets`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RevenueAnswer {
    /// First day of each bucket.
    pub buckets: Vec<String>,
    /// People who were there.
    pub active: Vec<u64>,
    /// People who paid.
    pub paying: Vec<u64>,
    /// People who paid for the first time.
    pub first_paying: Vec<u64>,
    /// `first_paying / active`.
    pub conversion_ratio: Vec<Option<f64>>,
    /// By currency; they are never added up.
    pub currencies: Vec<RevenueCurrency>,
    /// Events with an interval, a status or an amount that cannot be read, of all times.
    pub not_understood: u64,
}

/// Revenue in one currency.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RevenueCurrency {
    /// As events name it.
    pub currency: Option<String>,
    /// What recurs.
    pub recurring: Vec<Recurring>,
    /// What was paid.
    pub taken: Vec<Taken>,
}

/// What recurs by the month (MRR), and how it moved in a bucket.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recurring {
    /// MRR when the bucket began.
    pub start: f64,
    /// Of customers who never paid before.
    pub new: f64,
    /// Of customers who had stopped.
    pub reactivation: f64,
    /// More than before.
    pub expansion: f64,
    /// Less than before.
    pub contraction: f64,
    /// Of customers who pay nothing any more.
    pub churn: f64,
    /// MRR when the bucket ended.
    pub end: f64,
    /// Twelve times the end.
    pub arr: f64,
    /// Who pays.
    pub customers: Customers,
    /// Customers lost, of those at the start.
    pub customer_churn_ratio: Option<f64>,
    /// `(churn + contraction) / start`.
    pub revenue_churn_ratio: Option<f64>,
    /// `(start + expansion − contraction − churn) / start`.
    pub net_retention_ratio: Option<f64>,
}

/// People with something that recurs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "as the amounts of `Recurring`")]
pub struct Customers {
    pub start: u64,
    pub new: u64,
    pub reactivated: u64,
    pub churned: u64,
    pub end: u64,
}

/// What was paid in a bucket, without tax.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Taken {
    /// Payments.
    pub gross: f64,
    /// Given back in this bucket, whenever it was paid.
    pub refunded: f64,
    /// `gross − refunded`.
    pub net: f64,
    /// The part of `gross` that belongs to no subscription.
    pub one_off: f64,
    /// How many payments.
    pub payments: u64,
    /// How many refunds, and how many of them name no payment that was seen before.
    pub refunds: u64,
    /// See `refunds`.
    pub unlinked_refunds: u64,
    /// People who paid.
    pub payers: u64,
    /// `net` by people who were there.
    pub arpu: Option<f64>,
    /// `net` by people who paid.
    pub arppu: Option<f64>,
    /// `arppu × margin / customer_churn_ratio`; not known while nobody leaves.
    pub ltv: Option<f64>,
}

pub(super) fn read(partial: &Partial, shape: &Shape) -> RevenueAnswer {
    let buckets = 0..shape.buckets.len();
    let count = |table: i64, column: usize| -> Vec<u64> {
        let cell = |bucket: usize| partial.count(&[Key::Int(table), bucket.into()], column);
        buckets.clone().map(cell).collect()
    };
    let (active, paying, first_paying) = (count(2, 0), count(3, 0), count(3, 1));
    let names: BTreeSet<&Key> = partial
        .rows
        .keys()
        .filter_map(|key| match &key[..] {
            [Key::Int(0 | 1), _, currency] => Some(currency),
            _ => None,
        })
        .collect();
    let of_currency = |name: &Key| {
        let recurring: Vec<Recurring> = buckets
            .clone()
            .map(|bucket| {
                let key = [Key::Int(0), bucket.into(), name.clone()];
                recurring(|column| partial.cell(&key, column), shape)
            })
            .collect();
        let taken = buckets.clone().map(|bucket| {
            let key = [Key::Int(1), bucket.into(), name.clone()];
            let churn = recurring[bucket].customer_churn_ratio;
            taken(|column| partial.cell(&key, column), active[bucket], churn, shape)
        });
        let taken = taken.collect();
        RevenueCurrency { currency: name.text().map(str::to_owned), recurring, taken }
    };
    RevenueAnswer {
        buckets: shape.buckets.labels.clone(),
        conversion_ratio: first_paying
            .iter()
            .zip(&active)
            .map(|(first, active)| ratio(*first, *active))
            .collect(),
        currencies: names.into_iter().map(of_currency).collect(),
        not_understood: partial.count(&[Key::Int(4)], 0),
        active,
        paying,
        first_paying,
    }
}

fn recurring(cell: impl Fn(usize) -> f64, shape: &Shape) -> Recurring {
    let count = |column: usize| cell(column) as u64;
    // Half a unit is rounded up, and always the same way, so a sum has one rounded form.
    let rounded = |twelfths: f64| (twelfths / TWELFTHS as f64 + 0.5).floor();
    let mut exact = cell(START);
    let start = rounded(exact);
    let mut shown = start;
    let mut move_by = |twelfths: f64| {
        exact += twelfths;
        let before = std::mem::replace(&mut shown, rounded(exact));
        (shown - before).abs() / shape.units
    };
    let new = move_by(cell(NEW));
    let reactivation = move_by(cell(REACTIVATION));
    let expansion = move_by(cell(EXPANSION));
    let contraction = move_by(-cell(CONTRACTION));
    let churn = move_by(-cell(CHURN));
    let share = |part: f64| (cell(START) != 0.0).then(|| part / cell(START));
    let customers = Customers {
        start: count(CUSTOMERS),
        new: count(CUSTOMERS_NEW),
        reactivated: count(CUSTOMERS_REACTIVATED),
        churned: count(CUSTOMERS_CHURNED),
        end: count(CUSTOMERS_END),
    };
    Recurring {
        start: start / shape.units,
        new,
        reactivation,
        expansion,
        contraction,
        churn,
        end: rounded(cell(END)) / shape.units,
        arr: cell(END) / shape.units,
        customers,
        customer_churn_ratio: ratio(customers.churned, customers.start),
        revenue_churn_ratio: share(cell(CHURN) + cell(CONTRACTION)),
        net_retention_ratio: share(cell(START) + cell(EXPANSION) - cell(CONTRACTION) - cell(CHURN)),
    }
}

fn taken(cell: impl Fn(usize) -> f64, active: u64, churn: Option<f64>, shape: &Shape) -> Taken {
    let count = |column: usize| cell(column) as u64;
    let amount = |units: f64| units / shape.units;
    let net = amount(cell(GROSS) - cell(REFUNDED));
    let by = |people: u64| (people != 0).then(|| net / people as f64);
    let arppu = by(count(PAYERS));
    let life = churn.filter(|churn| *churn > 0.0);
    Taken {
        gross: amount(cell(GROSS)),
        refunded: amount(cell(REFUNDED)),
        net,
        one_off: amount(cell(ONE_OFF)),
        payments: count(PAYMENTS),
        refunds: count(REFUNDS),
        unlinked_refunds: count(UNLINKED),
        payers: count(PAYERS),
        arpu: by(active),
        arppu,
        ltv: arppu.zip(life).map(|(arppu, churn)| arppu * shape.margin / churn),
    }
}
