//! Running forms of a trend: every bucket stands for itself and those before it.
//!
//! `form: "cumulative"` counts from the start of the range up to the end of each bucket; `"rolling:7"` the bucket
//! and the six before it, also where those lie before the range. People are distinct over all of that, so neither
//! is a sum of figures: a person is one from the bucket in which they come in to the one in which they fall out.
//!
//! Table: `(0, series, value)` → people of the range, then per bucket its events and how many more people there
//! are than in the bucket before; `(1, series, value, bucket)` → the digits of the sum of its numbers.

mod form;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::answer::{TrendAnswer, TrendSeries};
use super::{Line, Measure, Question, read};
use crate::answer::{
    Answer, AnswerBody, Facts, Figure, Group, GroupValue, LATENESS_MS, Ranked, ranked,
};
use crate::events::{ABSENT, Dictionaries, EventSet, Run, ScanPlan};
use crate::exact_sum::ExactSum;
use crate::filter::{Columns, Condition, Matcher, TextColumn};
use crate::kernel::{Analysis, ByRun, Kernel, Key, Partial, RunKernel};
use crate::question::{Common, Compiled, QuestionError, definition};
use crate::time_bucket::Buckets;
pub(super) use form::{Form, buckets};

/// What a question of any form has understood before.
pub(super) struct Bound {
    pub lines: Vec<Line>,
    /// Those of [`buckets`].
    pub buckets: Buckets,
    pub events: EventSet,
    pub formula: Option<super::formula::Formula>,
    /// Where the scan begins.
    pub from_ms: i64,
}

/// A question in a running form.
pub(super) fn compile(
    common: &Common,
    question: &Question,
    form: Form,
    bound: Bound,
) -> Result<Compiled, QuestionError> {
    let Bound { mut lines, buckets, events, formula, from_ms } = bound;
    let mut columns = Columns::default();
    // A pattern each: which rows a series counts depends on its number, too.
    let patterns = question.series.iter().map(|series| {
        let condition = Condition::parse(&series.filter)?.and(common.filter.clone());
        Ok((series.event.clone(), condition.bind(&mut columns)))
    });
    let matcher = Matcher::new(patterns.collect::<Result<_, QuestionError>>()?);
    for (line, series) in lines.iter_mut().zip(&question.series) {
        line.number = series.prop.as_ref().map(|prop| columns.number(prop));
    }
    let range = Buckets::new(question.bucket, &common.calendar, common.from_ms, common.to_ms, 0)?;
    let shape = Shape {
        form,
        lines,
        lead: buckets.len() - range.len(),
        buckets,
        to_ms: common.to_ms,
        breakdown: common.breakdown.as_ref().map(|breakdown| breakdown.column(&mut columns)),
        limit: common.breakdown.as_ref().map_or(0, |breakdown| breakdown.limit),
        formula,
    };
    let plan = ScanPlan::with(columns, from_ms, common.to_ms, events);
    let analysis = Running { plan, matcher, shape: Arc::new(shape) };
    Ok(Compiled::new(definition(common, question), analysis))
}

/// What the kernels and the answer share.
pub(super) struct Shape {
    pub form: Form,
    pub lines: Vec<Line>,
    /// Those before the range, then those of it.
    pub buckets: Buckets,
    /// How many lie before it.
    pub lead: usize,
    pub to_ms: i64,
    pub breakdown: Option<TextColumn>,
    pub limit: usize,
    pub formula: Option<super::formula::Formula>,
}

pub(super) struct Running {
    pub plan: ScanPlan,
    /// One pattern a series.
    pub matcher: Matcher,
    pub shape: Arc<Shape>,
}

impl Analysis for Running {
    fn scan(&self) -> &ScanPlan {
        &self.plan
    }

    fn kernel(&self) -> Box<dyn Kernel> {
        let counter = Counter {
            shape: Arc::clone(&self.shape),
            matcher: self.matcher.clone(),
            groups: BTreeMap::new(),
            own: Vec::new(),
        };
        Box::new(ByRun::new(&self.plan, counter))
    }

    fn answer(&self, partial: &Partial, facts: &Facts) -> Answer {
        Answer {
            complete: facts.now_ms >= self.shape.to_ms + LATENESS_MS,
            body: AnswerBody::Trend(self.shape.answer(partial)),
        }
    }
}

struct Counter {
    shape: Arc<Shape>,
    matcher: Matcher,
    /// By series and code of the breakdown.
    groups: BTreeMap<(usize, u32), Cells>,
    /// The person's buckets, by series and code.
    own: Vec<(usize, u32, usize)>,
}

#[derive(Clone)]
struct Cells {
    persons: u64,
    events: Vec<u64>,
    more_persons: Vec<i64>,
    sums: Vec<ExactSum>,
}

impl RunKernel for Counter {
    fn learn(&mut self, dictionaries: &Dictionaries) {
        self.matcher.learn(dictionaries);
    }

    fn person(&mut self, run: &Run<'_>, _: &Dictionaries) {
        let shape = Arc::clone(&self.shape);
        let count = shape.buckets.len();
        self.own.clear();
        for (row, &at_ms) in run.ts.iter().enumerate() {
            let mask = self.matcher.mask(run, row);
            if mask == 0 {
                continue;
            }
            let bucket = shape.buckets.index(at_ms);
            let code = shape.breakdown.map_or(ABSENT, |column| column.of(run)[row]);
            for (index, line) in shape.lines.iter().enumerate() {
                let value = line.number.map(|column| run.numbers[column][row]);
                if mask >> index & 1 == 0 || value.is_some_and(f64::is_nan) {
                    continue;
                }
                let cells = self.groups.entry((index, code)).or_insert_with(|| Cells {
                    persons: 0,
                    events: vec![0; count],
                    more_persons: vec![0; count],
                    sums: vec![ExactSum::default(); if line.number.is_some() { count } else { 0 }],
                });
                cells.events[bucket] += 1;
                if let Some(value) = value {
                    cells.sums[bucket].add(value);
                }
                self.own.push((index, code, bucket));
            }
        }
        self.own.sort_unstable();
        self.own.dedup();
        for own in self.own.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let Some(cells) = self.groups.get_mut(&(own[0].0, own[0].1)) else { continue };
            cells.add_person(own.iter().map(|(.., bucket)| *bucket), &shape);
        }
    }

    fn bytes(&self) -> usize {
        let buckets = self.shape.buckets.len();
        let has_sums = self.shape.lines.iter().any(|line| line.number.is_some());
        let bucket = 2 * size_of::<u64>() + if has_sums { size_of::<ExactSum>() } else { 0 };
        self.groups.len() * buckets * bucket
    }

    fn finish(self: Box<Self>, dictionaries: &Dictionaries) -> Partial {
        let mut partial = Partial::default();
        for ((index, code), cells) in self.groups {
            let value = self.shape.breakdown.map_or(Key::None, |column| {
                Key::from_text(column.dictionary(dictionaries).text(code))
            });
            let mut row = vec![cells.persons as f64];
            let both = cells.events.iter().zip(&cells.more_persons);
            row.extend(both.flat_map(|(events, more)| [*events as f64, *more as f64]));
            partial.add(vec![Key::Int(0), index.into(), value.clone()], &row);
            for (bucket, sum) in cells.sums.iter().enumerate() {
                if cells.events[bucket] > 0 {
                    let key = vec![Key::Int(1), index.into(), value.clone(), bucket.into()];
                    partial.add(key, &sum.columns());
                }
            }
        }
        partial
    }
}

impl Cells {
    /// A person who was there in these buckets, which rise.
    fn add_person(&mut self, buckets: impl Iterator<Item = usize>, shape: &Shape) {
        let stays = match shape.form {
            Form::Cumulative => self.events.len(),
            Form::Rolling(buckets) => buckets,
        };
        let mut add = |bucket: usize, persons: i64| {
            if let Some(more) = self.more_persons.get_mut(bucket) {
                *more += persons;
            }
        };
        let (mut out, mut is_in_range) = (None, false);
        for bucket in buckets {
            is_in_range |= bucket >= shape.lead;
            match out {
                // Still there: they fall out later.
                Some(out) if bucket <= out => add(out, 1),
                _ => add(bucket, 1),
            }
            add(bucket + stays, -1);
            out = Some(bucket + stays);
        }
        self.persons += u64::from(is_in_range);
    }

    fn merge(&mut self, other: &Self) {
        self.persons += other.persons;
        self.events.iter_mut().zip(&other.events).for_each(|(sum, more)| *sum += more);
        let persons = self.more_persons.iter_mut().zip(&other.more_persons);
        persons.for_each(|(sum, more)| *sum += more);
        self.sums.resize_with(self.sums.len().max(other.sums.len()), ExactSum::default);
        self.sums.iter_mut().zip(&other.sums).for_each(|(sum, more)| sum.merge(more));
    }
}

impl Shape {
    fn answer(&self, partial: &Partial) -> TrendAnswer {
        let lines = self.lines.iter().enumerate();
        let lines: Vec<_> = lines
            .map(|(index, line)| {
                let weight = |cells: &Cells| match line.measure {
                    Measure::Persons => cells.persons as f64,
                    Measure::Sum => self.range_sum(cells).value(),
                    _ => cells.events[self.lead..].iter().sum::<u64>() as f64,
                };
                ranked(self.groups(partial, index), weight, usize::MAX)
            })
            .collect();
        // What a formula puts together has the same rows in every line: the values that the first one lists.
        let keys = |line: &Ranked<'_, Cells>| -> Vec<Key> {
            line.values.iter().take(self.limit).map(|(key, _)| Key::clone(key)).collect()
        };
        let together = self.formula.is_some().then(|| keys(&lines[0]));
        let has_absent = lines.iter().any(|line| line.absent.is_some());
        let beyond = |listed: &[Key], line: &Ranked<'_, Cells>| -> Vec<Cells> {
            let listed: HashSet<&Key> = listed.iter().collect();
            let others = line.values.iter().filter(|(key, _)| !listed.contains(key));
            others.map(|(_, cells)| cells.clone()).collect()
        };
        let any_other = together
            .as_ref()
            .is_some_and(|listed| lines.iter().any(|line| !beyond(listed, line).is_empty()));
        let mut series = Vec::new();
        for (index, (line, found)) in self.lines.iter().zip(&lines).enumerate() {
            let mut push = |group, cells: &Cells, knows| {
                series.push(self.series(index, line, group, cells, knows));
            };
            if self.breakdown.is_none() {
                let cells = found.absent.clone().unwrap_or_else(|| self.nothing());
                push((Group::All, None), &cells, true);
                continue;
            }
            let listed = together.clone().unwrap_or_else(|| keys(found));
            let of: HashMap<&Key, &Cells> =
                found.values.iter().map(|(key, cells)| (*key, cells)).collect();
            let nothing = self.nothing();
            for key in &listed {
                let cells = of.get(key).copied().unwrap_or(&nothing);
                push((Group::Value, GroupValue::of(key)), cells, true);
            }
            if found.absent.is_some() || together.is_some() && has_absent {
                let cells = found.absent.as_ref().unwrap_or(&nothing);
                push((Group::Absent, None), cells, true);
            }
            let others = beyond(&listed, found);
            if !others.is_empty() || any_other {
                let mut other = self.nothing();
                others.iter().for_each(|cells| other.merge(cells));
                // Who did several of these was counted with each.
                push((Group::Other, None), &other, others.is_empty());
            }
        }
        if let Some(formula) = &self.formula {
            series = read::apply(formula, series);
        }
        let buckets = self.buckets.labels[self.lead..].to_vec();
        TrendAnswer { buckets, series }
    }

    fn nothing(&self) -> Cells {
        let count = self.buckets.len();
        Cells { persons: 0, events: vec![0; count], more_persons: vec![0; count], sums: Vec::new() }
    }

    fn groups<'a>(&self, partial: &'a Partial, index: usize) -> Vec<(&'a Key, Cells)> {
        let start = [Key::Int(0), index.into()];
        let of_series = partial.rows.iter().filter(|(key, _)| key.starts_with(&start));
        let cells = |(key, row): (&'a Vec<Key>, &'a Vec<f64>)| {
            let (pairs, _) = row[1..].as_chunks::<2>();
            let sums = match self.lines[index].number {
                None => Vec::new(),
                Some(_) => (0..self.buckets.len())
                    .map(|bucket| {
                        let key = [Key::Int(1), index.into(), key[2].clone(), bucket.into()];
                        let digits = partial.rows.get(&key[..]);
                        digits.map_or_else(ExactSum::default, |row| ExactSum::from_columns(row))
                    })
                    .collect(),
            };
            let cells = Cells {
                persons: row[0] as u64,
                events: pairs.iter().map(|[events, _]| *events as u64).collect(),
                more_persons: pairs.iter().map(|[_, more]| *more as i64).collect(),
                sums,
            };
            (&key[2], cells)
        };
        of_series.map(cells).collect()
    }

    fn range_sum(&self, cells: &Cells) -> ExactSum {
        let mut sum = ExactSum::default();
        cells.sums.iter().skip(self.lead).for_each(|more| sum.merge(more));
        sum
    }

    fn series(
        &self,
        index: usize,
        line: &Line,
        (group, value): (Group, Option<GroupValue>),
        cells: &Cells,
        knows_persons: bool,
    ) -> TrendSeries {
        let lead = self.lead;
        let figure = |events: u64, persons: i64, sum: &ExactSum| {
            let persons = knows_persons.then_some(persons as f64);
            let events = events as f64;
            match line.measure {
                Measure::Count => Figure::known(events),
                Measure::Persons => Figure(persons),
                Measure::Sum => Figure::known(sum.value()),
                Measure::PerPerson => {
                    let of = if line.number.is_some() { sum.value() } else { events };
                    persons.map_or(Figure(None), |persons| Figure::ratio(of, persons))
                }
                _ => Figure::ratio(sum.value(), events),
            }
        };
        let mut persons = 0;
        let mut data = Vec::with_capacity(self.buckets.len() - lead);
        for bucket in 0..self.buckets.len() {
            persons += cells.more_persons[bucket];
            if bucket < lead {
                continue;
            }
            let first = self.form.first(bucket);
            let mut sum = ExactSum::default();
            cells.sums.iter().take(bucket + 1).skip(first).for_each(|more| sum.merge(more));
            let events = cells.events[first..=bucket].iter().sum();
            data.push(figure(events, persons, &sum));
        }
        let events = cells.events[lead..].iter().sum();
        let total = figure(events, cells.persons as i64, &self.range_sum(cells));
        TrendSeries {
            index,
            event: line.event.clone(),
            measure: line.measure.name().into(),
            group,
            value,
            data,
            total,
            previous: None,
        }
    }
}
