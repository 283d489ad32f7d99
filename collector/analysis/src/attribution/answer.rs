//! What attribution answers, and how it is read from a merged table.

use std::collections::BTreeMap;

use serde::Serialize;

use super::counter::DIRECT;
use super::{Model, Shape};
use crate::exact_sum::{DIGITS, ExactSum};
use crate::kernel::{Key, Partial};

/// What led to conversions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttributionAnswer {
    /// Conversions in the range.
    pub conversions: u64,
    /// People who converted.
    pub persons: u64,
    /// Touches by falling share of the first model, then what is beyond the limit.
    pub touches: Vec<AttributionTouch>,
}

/// What a row stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TouchGroup {
    /// Touches of this value.
    Value,
    /// Known touches that do not carry the property.
    Absent,
    /// Nothing known led there.
    Direct,
    /// Everything beyond the limit.
    Other,
}

/// One kind of touch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttributionTouch {
    /// What `value` stands for.
    pub group: TouchGroup,
    /// The value of the property asked for.
    pub value: Option<String>,
    /// Conversions that it had a part in; a conversion has several touches, so these do not add up, and
    /// for `other` they are `null`.
    pub conversions: Option<u64>,
    /// Its part, by model, in the order asked for.
    pub models: Vec<AttributionModel>,
}

/// A part by one model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttributionModel {
    /// The model.
    pub model: Model,
    /// Its share of conversions: these add up to all of them.
    pub conversions: f64,
    /// Its part of what conversions were worth, by currency.
    pub amounts: Vec<Amount>,
}

/// Money.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Amount {
    /// As conversions name it.
    pub currency: Option<String>,
    /// How much.
    pub value: f64,
}

#[derive(Clone)]
struct Line {
    conversions: Option<u64>,
    shares: Vec<ExactSum>,
    /// By model and currency, in the smallest unit.
    amounts: BTreeMap<(usize, Key), f64>,
}

impl Line {
    fn new(models: usize) -> Self {
        let (shares, amounts) = (vec![ExactSum::default(); models], BTreeMap::new());
        Self { conversions: Some(0), shares, amounts }
    }

    fn merge(&mut self, other: &Self) {
        self.shares.iter_mut().zip(&other.shares).for_each(|(sum, more)| sum.merge(more));
        for (key, amount) in &other.amounts {
            *self.amounts.entry(key.clone()).or_default() += amount;
        }
    }

    fn read(&self, shape: &Shape) -> Vec<AttributionModel> {
        let of_model = |(at, model): (usize, &Model)| AttributionModel {
            model: *model,
            conversions: self.shares[at].value(),
            amounts: self
                .amounts
                .iter()
                .filter(|((model, _), _)| *model == at)
                .map(|((_, currency), amount)| Amount {
                    currency: currency.text().map(str::to_owned),
                    value: amount / shape.units,
                })
                .collect(),
        };
        shape.models.iter().enumerate().map(of_model).collect()
    }
}

pub(super) fn read(partial: &Partial, shape: &Shape) -> AttributionAnswer {
    let models = shape.models.len();
    let mut lines: BTreeMap<(i64, &Key), Line> = BTreeMap::new();
    for (key, row) in &partial.rows {
        let [Key::Int(table), Key::Int(kind), touch, rest @ ..] = &key[..] else { continue };
        let line = lines.entry((*kind, touch)).or_insert_with(|| Line::new(models));
        match (table, rest) {
            (1, []) => line.conversions = Some(row[0] as u64),
            (2, [Key::Int(model)]) => {
                line.shares[*model as usize] = ExactSum::from_columns(&row[..DIGITS]);
            }
            (3, [Key::Int(model), currency]) => {
                line.amounts.insert((*model as usize, currency.clone()), row[0]);
            }
            _ => {}
        }
    }
    let mut lines: Vec<((i64, &Key), Line)> = lines.into_iter().collect();
    // Keys are in order already, and the sort keeps that among equals.
    lines.sort_by(|(_, a), (_, b)| b.shares[0].value().total_cmp(&a.shares[0].value()));
    let beyond = lines.split_off(shape.limit.min(lines.len()));
    let mut touches: Vec<AttributionTouch> = lines
        .iter()
        .map(|((kind, value), line)| AttributionTouch {
            group: match (*kind, value) {
                (DIRECT, _) => TouchGroup::Direct,
                (_, Key::None) => TouchGroup::Absent,
                _ => TouchGroup::Value,
            },
            value: value.text().map(str::to_owned),
            conversions: line.conversions,
            models: line.read(shape),
        })
        .collect();
    if !beyond.is_empty() {
        let mut other = Line { conversions: None, ..Line::new(models) };
        beyond.iter().for_each(|(_, line)| other.merge(line));
        touches.push(AttributionTouch {
            group: TouchGroup::Other,
            value: None,
            conversions: None,
            models: other.read(shape),
        });
    }
    let total = [Key::Int(0)];
    let (conversions, persons) = (partial.count(&total, 0), partial.count(&total, 1));
    AttributionAnswer { conversions, persons, touches }
}
