//! What somebody pays by the month: the recurring items of one person, and what they come to at a moment.
//!
//! In: what events say of items, in the order of time. Out: amounts by currency.
//!
//! An item counts a twelfth of its price when it is paid by the year, all of it by the month, 52 twelfths by the week,
//! 365 by the day. So everything is kept in twelfths of the currency's smallest unit, where all of these are whole
//! numbers and nothing is rounded before it is shown.

use std::collections::BTreeMap;

/// Twelfths of a smallest unit, in a unit.
pub(super) const TWELFTHS: i64 = 12;

/// How often a price is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interval {
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

impl Interval {
    /// The interval of this name, as events have it.
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "day" | "daily" => Self::Day,
            "week" | "weekly" => Self::Week,
            "month" | "monthly" => Self::Month,
            "quarter" | "quarterly" => Self::Quarter,
            "year" | "yearly" | "annual" | "annually" => Self::Year,
            _ => return None,
        })
    }

    /// How often it comes in a year.
    fn per_year(self) -> i64 {
        match self {
            Self::Day => 365,
            Self::Week => 52,
            Self::Month => 12,
            Self::Quarter => 4,
            Self::Year => 1,
        }
    }
}

/// Whether an item is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// Paid; also while a payment is late: it is kept until it is cancelled.
    Paid,
    /// On trial, or paused: it is there and counts nothing.
    Free,
    /// Over.
    Ended,
}

impl Status {
    /// The status of this name, as events have it.
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "active" | "past_due" => Self::Paid,
            "trial" | "trialing" | "paused" => Self::Free,
            "cancelled" | "canceled" | "ended" => Self::Ended,
            _ => return None,
        })
    }
}

/// What an event says of an item. What it does not say stays as it was.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Said {
    /// In smallest units, before discount.
    pub amount: Option<i64>,
    /// Part of the amount that is not paid, and part that is tax.
    pub discount: Option<i64>,
    pub tax: Option<i64>,
    pub interval: Option<Interval>,
    /// Code of the currency.
    pub currency: Option<u32>,
    pub status: Option<Status>,
    /// When it is over, if that is known before.
    pub ends_ms: Option<i64>,
}

#[derive(Debug, Clone, Copy)]
struct Item {
    amount: i64,
    discount: i64,
    tax: i64,
    interval: Interval,
    currency: u32,
    status: Status,
    ends_ms: i64,
}

impl Item {
    /// What it comes to by the month, in twelfths of the smallest unit.
    fn monthly(&self, at_ms: i64) -> i64 {
        if self.status != Status::Paid || at_ms >= self.ends_ms {
            return 0;
        }
        let paid = self.amount.saturating_sub(self.discount).saturating_sub(self.tax).max(0);
        paid.saturating_mul(self.interval.per_year())
    }
}

/// One person's items.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// By code of the item's name.
    items: BTreeMap<u32, Item>,
    /// Code of the currency of an item that never named one.
    currency: u32,
}

impl Ledger {
    /// Begin with somebody else, whose items are in this currency where they name none.
    pub(super) fn begin(&mut self, currency: u32) {
        self.items.clear();
        self.currency = currency;
    }

    /// An event says something of an item. A new one is paid by the month, unless it says otherwise.
    pub(super) fn say(&mut self, name: u32, said: &Said) {
        let item = self.items.entry(name).or_insert(Item {
            amount: 0,
            discount: 0,
            tax: 0,
            interval: Interval::Month,
            currency: self.currency,
            status: Status::Paid,
            ends_ms: i64::MAX,
        });
        let Said { amount, discount, tax, interval, currency, status, ends_ms } = *said;
        item.amount = amount.unwrap_or(item.amount);
        item.discount = discount.unwrap_or(item.discount);
        item.tax = tax.unwrap_or(item.tax);
        item.interval = interval.unwrap_or(item.interval);
        item.currency = currency.unwrap_or(item.currency);
        item.status = status.unwrap_or(item.status);
        item.ends_ms = ends_ms.unwrap_or(item.ends_ms);
    }

    /// What it comes to by the month, by currency: those with something only.
    pub(super) fn monthly(&self, at_ms: i64) -> BTreeMap<u32, i64> {
        let mut sums: BTreeMap<u32, i64> = BTreeMap::new();
        for item in self.items.values() {
            let monthly = item.monthly(at_ms);
            if monthly > 0 {
                let sum = sums.entry(item.currency).or_default();
                *sum = sum.saturating_add(monthly);
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn paid(amount: i64, interval: Interval) -> Said {
        Said { amount: Some(amount), interval: Some(interval), ..Said::default() }
    }

    #[rstest]
    #[case::by_the_year(Interval::Year, 12_000, 1_000 * TWELFTHS)]
    #[case::by_the_quarter(Interval::Quarter, 3_000, 1_000 * TWELFTHS)]
    #[case::by_the_month(Interval::Month, 1_000, 1_000 * TWELFTHS)]
    #[case::by_the_week(Interval::Week, 1_200, 5_200 * TWELFTHS)]
    #[case::by_the_day(Interval::Day, 120, 3_650 * TWELFTHS)]
    fn an_interval_counts_its_part_of_a_month(
        #[case] interval: Interval,
        #[case] amount: i64,
        #[case] want: i64,
    ) {
        let mut ledger = Ledger::default();
        ledger.say(1, &paid(amount, interval));
        assert_eq!(ledger.monthly(0).values().sum::<i64>(), want);
    }

    #[rstest]
    #[case("active", 1)]
    #[case("past_due", 1)]
    #[case("trialing", 0)]
    #[case("paused", 0)]
    #[case("canceled", 0)]
    fn what_is_late_counts_and_what_is_free_or_over_does_not(
        #[case] status: &str,
        #[case] items: usize,
    ) {
        let mut ledger = Ledger::default();
        let status = Some(Status::parse(status).unwrap());
        ledger.say(1, &Said { status, ..paid(1_000, Interval::Month) });
        assert_eq!(ledger.monthly(0).len(), items);
    }

    #[test]
    fn an_amount_counts_after_its_discount_and_without_its_tax() {
        let mut ledger = Ledger::default();
        let parts = Said { discount: Some(200), tax: Some(100), ..paid(1_000, Interval::Month) };
        ledger.say(1, &parts);
        assert_eq!(ledger.monthly(0)[&0], 700 * TWELFTHS);
        ledger.say(1, &Said { discount: Some(5_000), ..Said::default() });
        assert!(ledger.monthly(0).is_empty(), "it is never less than nothing");
    }

    #[test]
    fn an_item_counts_until_it_ends_and_not_at_that_moment() {
        let mut ledger = Ledger::default();
        ledger.say(1, &paid(1_000, Interval::Month));
        ledger.say(1, &Said { ends_ms: Some(50), ..Said::default() });
        assert_eq!((ledger.monthly(49).len(), ledger.monthly(50).len()), (1, 0));
        ledger.say(1, &Said { ends_ms: Some(i64::MAX), ..Said::default() });
        assert_eq!(ledger.monthly(50).len(), 1, "it may be taken back");
    }

    #[test]
    fn what_an_event_does_not_say_stays() {
        let mut ledger = Ledger::default();
        ledger.say(1, &Said { currency: Some(3), ..paid(120, Interval::Year) });
        ledger.say(1, &Said { status: Some(Status::Paid), ..Said::default() });
        ledger.say(2, &Said { currency: Some(4), ..paid(7, Interval::Month) });
        assert_eq!(ledger.monthly(0), BTreeMap::from([(3, 120), (4, 7 * TWELFTHS)]));
    }
}
