//! The table of a detailed question: who is in which cell, and the sums of each.

use std::collections::HashMap;
use std::sync::Arc;

use super::person::{Exposed, Person, Values};
use super::{Found, Kind, PAIRS, Phase, STATE, Scope, Setting, Split};
use crate::events::{ABSENT, Dictionaries, Run};
use crate::exact_sum::ExactSum;
use crate::filter::Matcher;
use crate::kernel::{Key, Partial, RunKernel};

/// Where a person counts: a scope, up to two values of it (codes) and a day (from 1), a variant.
type Place = (Scope, [u32; 3], u32);

/// What a cohort tells people apart by, not in it first.
const MEMBER: [&str; 2] = ["no", "yes"];

pub(super) struct Counter {
    setting: Arc<Setting>,
    matcher: Matcher,
    phase: Phase,
    experiment: Option<u32>,
    not_converted: Option<u32>,
    /// By code of the variant: whether the question knows it.
    known: Vec<bool>,
    cells: HashMap<Place, Cell>,
    /// By metric: the values of everybody in an arm, for a cap.
    to_cap: Vec<Vec<f64>>,
    excluded: [u64; 4],
    /// Unix milliseconds.
    first_ms: i64,
    /// The codes of the other experiments.
    others: Vec<Option<u32>>,
    /// One person's rows.
    masks: Vec<u64>,
    /// Values held.
    held: usize,
}

#[derive(Default)]
struct Cell {
    persons: u64,
    tallies: Vec<Tally>,
}

#[derive(Clone, Default)]
struct Tally {
    has_any: u64,
    sums: [ExactSum; STATE],
    /// Of a quantile.
    values: Vec<f64>,
}

impl Tally {
    fn add(&mut self, values: &Values) {
        self.has_any += u64::from(values.has_any);
        let state = values.state;
        let (means, products) = self.sums.split_at_mut(4);
        for (sum, value) in means.iter_mut().zip(state).filter(|(_, value)| *value != 0.0) {
            sum.add(value);
        }
        for (sum, (i, j)) in products.iter_mut().zip(PAIRS) {
            if state[i] != 0.0 && state[j] != 0.0 {
                sum.add_product(state[i], state[j]);
            }
        }
    }
}

impl Counter {
    pub(super) fn new(setting: Arc<Setting>, phase: Phase) -> Self {
        Self {
            matcher: setting.matcher.clone(),
            to_cap: vec![Vec::new(); setting.sources.len()],
            others: vec![None; setting.shape.others.len()],
            first_ms: i64::MAX,
            setting,
            phase,
            experiment: None,
            not_converted: None,
            known: Vec::new(),
            cells: HashMap::new(),
            excluded: [0; 4],
            masks: Vec::new(),
            held: 0,
        }
    }

    /// Where a person of this arm counts.
    fn places(&self, person: &Person<'_>, exposure: usize, variant: u32) -> Vec<Place> {
        let run = person.run;
        let day = self.setting.days.as_ref().map(|days| days.index(run.ts[exposure]) as u32 + 1);
        let mut places = vec![(Scope::All, [ABSENT; 3], variant)];
        for (scope, splits) in &self.setting.splits {
            let mut codes = [ABSENT; 3];
            for (code, split) in codes.iter_mut().zip(splits) {
                *code = match *split {
                    Split::Text(column) => column.of(run)[exposure],
                    Split::Member(at) => u32::from(self.setting.members[at].contain(run.person)),
                };
            }
            places.push((*scope, codes, variant));
            if let (Scope::Slice(index), Some(day)) = (*scope, day) {
                places.push((Scope::SliceDay(index), [codes[0], codes[1], day], variant));
            }
        }
        if let Some(day) = day {
            places.push((Scope::Day, [ABSENT, ABSENT, day], variant));
        }
        for (index, other) in self.others.iter().enumerate() {
            if let Some(met) = other.and_then(|other| person.only_variant_of(other)) {
                places.push((Scope::Other(index), [met, ABSENT, ABSENT], variant));
            }
        }
        places
    }
}

/// What is added to a person's cells.
enum More {
    Counted(Values),
    /// Of a quantile.
    Listed(Vec<f64>),
    Nothing,
}

impl RunKernel for Counter {
    fn learn(&mut self, dictionaries: &Dictionaries) {
        self.matcher.learn(dictionaries);
        let shape = &self.setting.shape;
        let find = |found: Option<u32>, column: crate::filter::TextColumn, text: &str| {
            found.or_else(|| column.dictionary(dictionaries).find(text))
        };
        self.experiment = find(self.experiment, shape.experiment_column, &shape.experiment);
        self.not_converted = find(self.not_converted, shape.converted_column, "false");
        for (code, key) in self.others.iter_mut().zip(&shape.others) {
            *code = find(*code, shape.experiment_column, key);
        }
        let variants = shape.variant_column.dictionary(dictionaries);
        for code in self.known.len()..variants.len() {
            let is_known = variants.text(code as u32).is_some_and(|text| {
                shape.variants.is_empty() || shape.variants.iter().any(|own| own.key == text)
            });
            self.known.push(is_known);
        }
    }

    fn person(&mut self, run: &Run<'_>, dictionaries: &Dictionaries) {
        // Nobody was exposed to an experiment whose key was never seen.
        let Some(experiment) = self.experiment else { return };
        self.masks.clear();
        self.masks.extend((0..run.len()).map(|row| self.matcher.mask(run, row)));
        let setting = Arc::clone(&self.setting);
        let person = Person {
            setting: &setting,
            run,
            masks: &self.masks,
            experiment,
            not_converted: self.not_converted,
        };
        let (variant, exposure, is_aside) = match person.exposed(&self.known) {
            Exposed::Never => return,
            Exposed::Unknown => {
                self.excluded[1] += 1;
                return;
            }
            Exposed::To { variant, row, several } => {
                self.excluded[0] += u64::from(several);
                (variant, row, several && !setting.shape.keeps_first)
            }
        };
        let (after, closes_ms) = person.after(exposure);
        if setting.done_by_ms.is_some_and(|now| person.done_ms(exposure, closes_ms) > now) {
            self.excluded[3] += u64::from(!is_aside);
            return;
        }
        let places = if is_aside {
            vec![(Scope::Aside, [ABSENT; 3], variant)]
        } else {
            self.excluded[2] += person.mismatches(after, variant);
            self.first_ms = self.first_ms.min(run.ts[exposure]);
            self.places(&person, exposure, variant)
        };
        let variant_name = setting.shape.variant_column.dictionary(dictionaries).text(variant);
        let mut more = Vec::with_capacity(setting.sources.len());
        for (index, source) in setting.sources.iter().enumerate() {
            more.push(match &self.phase {
                Phase::Survey if source.kind == Kind::Quantile => {
                    let mut values = Vec::new();
                    person.each_value(after, source, |value| values.push(value));
                    self.held += values.len() * places.len();
                    More::Listed(values)
                }
                Phase::Survey => {
                    if source.needs_survey() && !is_aside {
                        let values = person.values(exposure, after, source);
                        self.to_cap[index].push(values.state[0]);
                        self.held += 1;
                    }
                    More::Nothing
                }
                Phase::Count(found) if source.kind == Kind::Quantile => {
                    let at = variant_name.and_then(|name| found.quantile(name, index));
                    let mut values = Values::default();
                    person.each_value(after, source, |value| {
                        values.has_any = true;
                        values.state[0] += f64::from(u8::from(at.is_some_and(|at| value <= at)));
                        values.state[1] += 1.0;
                    });
                    More::Counted(values)
                }
                Phase::Count(found) => {
                    let mut values = person.values(exposure, after, source);
                    if let Some(caps) = &found.caps[index] {
                        values.state[0] = caps.apply(values.state[0]);
                        values.state[2] = caps.apply(values.state[2]);
                    }
                    More::Counted(values)
                }
            });
        }
        let is_counted = matches!(self.phase, Phase::Count(_));
        for place in places {
            let cell = self.cells.entry(place).or_default();
            cell.persons += u64::from(is_counted);
            cell.tallies.resize(setting.sources.len(), Tally::default());
            for (tally, more) in cell.tallies.iter_mut().zip(&more) {
                match more {
                    More::Counted(values) => tally.add(values),
                    More::Listed(values) => tally.values.extend_from_slice(values),
                    More::Nothing => {}
                }
            }
        }
    }

    fn bytes(&self) -> usize {
        let cell = self.setting.sources.len() * (size_of::<Tally>() + (1 + 12 * STATE) * 8);
        self.cells.len() * (cell + 200) + 16 * self.held
    }

    fn finish(self: Box<Self>, dictionaries: &Dictionaries) -> Partial {
        let mut partial = Partial::default();
        let shape = &self.setting.shape;
        let variants = shape.variant_column.dictionary(dictionaries);
        for ((scope, codes, variant), cell) in self.cells {
            let of = scope.without_days();
            let splits = self.setting.splits.iter().find(|(own, _)| *own == of);
            let value = |at: usize| match (scope, splits.and_then(|(_, all)| all.get(at))) {
                (Scope::Other(_), _) if at == 0 => Key::from_text(variants.text(codes[0])),
                (_, None) => Key::None,
                (_, Some(Split::Member(_))) => Key::Text(MEMBER[codes[at] as usize].into()),
                (_, Some(Split::Text(column))) => {
                    Key::from_text(column.dictionary(dictionaries).text(codes[at]))
                }
            };
            let day = match codes[2] {
                ABSENT => Key::None,
                day => Key::Int(i64::from(day) - 1),
            };
            let variant = Key::from_text(variants.text(variant));
            let key = |table: i64| {
                vec![Key::Int(table), scope.key(), value(0), value(1), day.clone(), variant.clone()]
            };
            if cell.persons > 0 {
                partial.add(key(10), &[cell.persons as f64]);
            }
            for (index, tally) in cell.tallies.into_iter().enumerate() {
                let with_metric = |table: i64| [key(table), vec![index.into()]].concat();
                if cell.persons > 0 {
                    let mut row = vec![tally.has_any as f64];
                    row.extend(tally.sums.iter().flat_map(ExactSum::columns));
                    partial.add(with_metric(11), &row);
                }
                if !tally.values.is_empty() {
                    partial.put(with_metric(13), tally.values);
                }
            }
        }
        for (index, values) in self.to_cap.into_iter().enumerate() {
            if !values.is_empty() {
                partial.put(vec![Key::Int(14), index.into()], values);
            }
        }
        // Who is left out is the same at both looks.
        if matches!(self.phase, Phase::Count(_)) && self.excluded != [0; 4] {
            partial.add(vec![Key::Int(12)], &self.excluded.map(|count| count as f64));
        }
        if self.first_ms < i64::MAX {
            partial.put(vec![Key::Int(15)], vec![self.first_ms as f64]);
        }
        partial
    }
}

impl Found {
    fn quantile(&self, variant: &str, metric: usize) -> Option<f64> {
        self.quantiles.get(&(variant.into(), metric)).copied()
    }
}
