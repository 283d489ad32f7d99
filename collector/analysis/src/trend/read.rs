//! From the merged table of a trend to its answer.

use hashbrown::HashSet;

use super::answer::{Previous, TrendAnswer, TrendSeries};
use super::counter::{CHUNK, OTHER, fields};
use super::{Line, Measure, Shape};
use crate::answer::{Figure, Group};
use crate::exact_sum::ExactSum;
use crate::kernel::{Key, Partial};
use crate::quantile::quantiles;

/// One figure in the making.
#[derive(Debug, Clone, Default)]
struct Cell {
    events: u64,
    /// Not known when people of several values were thrown together.
    persons: Option<u64>,
    sum: ExactSum,
    bag: Vec<f64>,
}

impl Cell {
    fn empty() -> Self {
        Self { persons: Some(0), ..Self::default() }
    }

    /// Add what adds up: everything but persons.
    fn absorb(&mut self, other: &Self) {
        self.events += other.events;
        self.sum.merge(&other.sum);
        self.bag.extend(&other.bag);
    }

    fn figure(&mut self, line: &Line) -> Figure {
        let persons = self.persons.map(|persons| persons as f64);
        match line.measure {
            Measure::Count => Figure::known(self.events as f64),
            Measure::Persons => Figure(persons),
            Measure::Sum => Figure::known(self.sum.value()),
            Measure::Avg => Figure::ratio(self.sum.value(), self.events as f64),
            Measure::PerPerson => {
                let of = if line.number.is_some() { self.sum.value() } else { self.events as f64 };
                persons.map_or(Figure(None), |persons| Figure::ratio(of, persons))
            }
            Measure::Min => Figure(self.bag.iter().copied().reduce(f64::min)),
            Measure::Max => Figure(self.bag.iter().copied().reduce(f64::max)),
            Measure::P50 | Measure::P90 | Measure::P95 | Measure::P99 => {
                let [value] = quantiles(&mut self.bag, [line.measure.quantile().unwrap_or(0.5)]);
                Figure(value)
            }
        }
    }

    /// What lines are ordered by.
    fn weight(&self, line: &Line) -> f64 {
        match line.measure {
            Measure::Persons => self.persons.unwrap_or(0) as f64,
            Measure::Sum => self.sum.value(),
            _ => self.events as f64,
        }
    }
}

type Row = Vec<Cell>;

/// The cells of one series by group, in the order of groups.
fn rows(partial: &Partial, shape: &Shape, series: usize) -> Vec<(Key, Row)> {
    let width = shape.width();
    let sums = shape.lines[series].sums();
    let fields = fields(sums);
    let mut rows: Vec<(Key, Row)> = Vec::new();
    for (key, values) in partial.starting_with(&[Key::Int(0), series.into()]) {
        if rows.last().is_none_or(|(last, _)| *last != key[0]) {
            rows.push((key[0].clone(), vec![Cell::empty(); width]));
        }
        let Some((_, row)) = rows.last_mut() else { continue };
        let first = key[1].int().unwrap_or(0) as usize * CHUNK;
        for (cell, values) in row[first..].iter_mut().zip(values.chunks_exact(fields)) {
            cell.events = values[0] as u64;
            cell.persons = Some(values[1] as u64);
            if sums {
                cell.sum = ExactSum::from_columns(&values[2..]);
            }
        }
    }
    for (key, bag) in &partial.bags {
        if let [Key::Int(1), of, group, column] = &key[..]
            && *of == series.into()
            && let Ok(at) = rows.binary_search_by(|(known, _)| known.cmp(group))
        {
            rows[at].1[column.int().unwrap_or(0) as usize].bag.clone_from(bag);
        }
    }
    for (_, row) in &mut rows {
        let mut first = 0;
        for period in &shape.periods {
            let (buckets, rest) = row[first..].split_at_mut(period.len());
            if let [only] = buckets {
                rest[0].persons = only.persons;
            }
            for cell in buckets {
                rest[0].absorb(cell);
            }
            first += period.len() + 1;
        }
    }
    rows
}

/// Places of the groups of one series in the order of the answer, and whether some are beyond the
/// limit.
fn order(rows: &[(Key, Row)], shape: &Shape, line: &Line) -> (Vec<usize>, bool) {
    let total = shape.periods[0].len();
    let named = rows.iter().enumerate().filter(|(_, (key, _))| key.text().is_some());
    let mut weights: Vec<(f64, usize)> =
        named.map(|(at, (_, row))| (row[total].weight(line), at)).collect();
    weights.sort_by(|(a, first), (b, second)| b.total_cmp(a).then_with(|| first.cmp(second)));
    let beyond = weights.len() > shape.limit;
    weights.truncate(shape.limit);
    (weights.into_iter().map(|(_, at)| at).collect(), beyond)
}

/// The listed values by series, and whether any series has more.
pub(super) fn listed(partial: &Partial, shape: &Shape) -> (Vec<HashSet<Key>>, bool) {
    let mut any_beyond = false;
    let listed = shape
        .lines
        .iter()
        .enumerate()
        .map(|(series, line)| {
            let rows = rows(partial, shape, series);
            let (places, beyond) = order(&rows, shape, line);
            any_beyond |= beyond;
            places.into_iter().map(|at| rows[at].0.clone()).collect()
        })
        .collect();
    (listed, any_beyond)
}

/// The answer.
pub(super) fn answer(partial: &Partial, shape: &Shape) -> TrendAnswer {
    let mut series = Vec::new();
    for (index, line) in shape.lines.iter().enumerate() {
        let mut rows = rows(partial, shape, index);
        if shape.breakdown.is_none() {
            let row = rows.pop().map_or_else(|| vec![Cell::empty(); shape.width()], |(_, row)| row);
            series.push(read(shape, index, Group::All, None, row));
            continue;
        }
        for at in order(&rows, shape, line).0 {
            let (key, row) = &mut rows[at];
            series.push(read(shape, index, Group::Value, key.text(), std::mem::take(row)));
        }
        // What is left are values beyond the limit, "absent", and what a second pass has counted.
        let (mut absent, mut beyond, mut counted): (_, Option<Row>, Option<Row>) =
            (None, None, None);
        for (key, row) in rows.into_iter().filter(|(_, row)| !row.is_empty()) {
            match (key, &mut beyond) {
                (Key::None, _) => absent = Some(row),
                (OTHER, _) => counted = Some(row),
                (_, None) => beyond = Some(row),
                (_, Some(sum)) => sum.iter_mut().zip(&row).for_each(|(sum, more)| sum.absorb(more)),
            }
        }
        if let Some(row) = absent {
            series.push(read(shape, index, Group::Absent, None, row));
        }
        if let Some(mut row) = beyond {
            for (at, cell) in row.iter_mut().enumerate() {
                cell.persons = counted.as_ref().and_then(|counted| counted[at].persons);
            }
            series.push(read(shape, index, Group::Other, None, row));
        }
    }
    if let Some(formula) = &shape.formula {
        series = vec![apply(formula, &series)];
    }
    TrendAnswer { buckets: shape.periods[0].labels.clone(), series }
}

fn read(
    shape: &Shape,
    index: usize,
    group: Group,
    value: Option<&str>,
    mut row: Row,
) -> TrendSeries {
    let line = &shape.lines[index];
    let mut figures = row.iter_mut().map(|cell| cell.figure(line));
    let mut period = |buckets: usize| -> (Vec<Figure>, Figure) {
        let data = figures.by_ref().take(buckets).collect();
        (data, figures.next().unwrap_or(Figure(None)))
    };
    let (data, total) = period(shape.periods[0].len());
    let previous = shape.periods.get(1).map(|before| {
        let (data, total) = period(before.len());
        Previous { buckets: before.labels.clone(), data, total }
    });
    TrendSeries {
        index,
        event: line.event.clone(),
        measure: line.measure.name().into(),
        group,
        value: value.map(str::to_owned),
        data,
        total,
        previous,
    }
}

/// One line from all of them, bucket by bucket; the total from the totals.
fn apply(formula: &super::formula::Formula, series: &[TrendSeries]) -> TrendSeries {
    let at = |figure: &dyn Fn(&TrendSeries) -> Figure| -> Figure {
        let inputs: Vec<Option<f64>> = series.iter().map(|line| figure(line).0).collect();
        formula.value(&inputs).map_or(Figure(None), Figure::known)
    };
    let get = |data: &[Figure], bucket: usize| data.get(bucket).copied().unwrap_or(Figure(None));
    let first = &series[0];
    let data = (0..first.data.len()).map(|bucket| at(&|line| get(&line.data, bucket))).collect();
    let previous = first.previous.as_ref().map(|before| Previous {
        buckets: before.buckets.clone(),
        data: (0..before.data.len())
            .map(|bucket| {
                at(&|line| line.previous.as_ref().map_or(Figure(None), |p| get(&p.data, bucket)))
            })
            .collect(),
        total: at(&|line| line.previous.as_ref().map_or(Figure(None), |p| p.total)),
    });
    TrendSeries {
        index: 0,
        event: None,
        measure: "formula".into(),
        group: Group::All,
        value: None,
        data,
        total: at(&|line| line.total),
        previous,
    }
}
