//! From the merged table of a trend to its answer.

use hashbrown::HashSet;

use super::answer::{Previous, TrendAnswer, TrendSeries};
use super::counter::{CHUNK, OTHER, fields};
use super::{Line, Measure, Shape};
use crate::answer::{Figure, Group, GroupValue};
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
}

type Row = Vec<Cell>;

/// Some columns of a group: the group, the first column, and the cells.
type Piece<'a> = (&'a Key, usize, &'a [f64]);

/// The cells of one tally. There may be many groups, and few are shown, so no more is made of the others
/// than is needed to put them in order.
struct Groups<'a> {
    partial: &'a Partial,
    shape: &'a Shape,
    tally: usize,
    /// In the order of groups.
    pieces: Vec<Piece<'a>>,
}

impl<'a> Groups<'a> {
    fn new(partial: &'a Partial, shape: &'a Shape, tally: usize) -> Self {
        let pieces = partial.rows.iter().filter_map(|(key, values)| match &key[..] {
            [Key::Int(0), of, group, Key::Int(chunk)] if *of == tally.into() => {
                Some((group, *chunk as usize * CHUNK, &values[..]))
            }
            _ => None,
        });
        Self { pieces: pieces.collect(), partial, shape, tally }
    }

    fn each(&self) -> Vec<&[Piece<'a>]> {
        self.pieces.chunk_by(|(a, ..), (b, ..)| a == b).collect()
    }

    fn sums(&self) -> bool {
        self.shape.tallies[self.tally].sums()
    }

    /// The columns of a group with their cells.
    fn cells(&self, group: &[Piece<'a>]) -> impl Iterator<Item = (usize, &'a [f64])> {
        let (fields, width) = (fields(self.sums()), self.shape.width());
        // The last piece of a group is as long as the others: there is nothing behind the last column.
        let columns =
            move |first: usize, cells: &'a [f64]| (first..width).zip(cells.chunks_exact(fields));
        group.iter().flat_map(move |(_, first, cells)| columns(*first, cells))
    }

    /// What lines are ordered by.
    fn weight(&self, group: &[Piece<'a>], line: &Line) -> f64 {
        let buckets = self.shape.periods[0].len();
        let total = if buckets == 1 { 0 } else { buckets };
        let in_range = self.cells(group).filter(|(column, _)| *column < buckets);
        match line.measure {
            Measure::Persons => {
                self.cells(group).find(|(column, _)| *column == total).map_or(0.0, |(_, c)| c[1])
            }
            Measure::Sum => {
                let mut sum = ExactSum::default();
                in_range.for_each(|(_, cell)| sum.merge(&ExactSum::from_columns(&cell[2..])));
                sum.value()
            }
            _ => in_range.map(|(_, cell)| cell[0]).sum(),
        }
    }

    /// Add a group to a row.
    fn add(&self, group: &[Piece<'a>], row: &mut Row) {
        let has_bags = self.shape.tallies[self.tally].number.is_some() && !self.sums();
        for (column, values) in self.cells(group) {
            let cell = &mut row[column];
            cell.events += values[0] as u64;
            cell.persons = cell.persons.map(|persons| persons + values[1] as u64);
            if self.sums() {
                cell.sum.merge(&ExactSum::from_columns(&values[2..]));
            }
            if has_bags {
                let key = [Key::Int(1), self.tally.into(), group[0].0.clone(), column.into()];
                cell.bag.extend(self.partial.bags.get(&key[..]).into_iter().flatten());
            }
        }
    }

    /// The totals of a row's periods.
    fn total(&self, row: &mut Row) {
        let mut first = 0;
        for period in &self.shape.periods {
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

    /// The row of one group.
    fn row(&self, group: &[Piece<'a>]) -> Row {
        let mut row = vec![Cell::empty(); self.shape.width()];
        self.add(group, &mut row);
        self.total(&mut row);
        row
    }

    /// The listed values in the order of the answer, and what else there is.
    fn shown(&self, line: &Line) -> Shown<'a> {
        let groups = self.each();
        let named = groups.iter().filter(|group| group[0].0.text().is_some());
        let mut weights: Vec<(f64, &Key)> =
            named.map(|group| (self.weight(group, line), group[0].0)).collect();
        weights.sort_by(|(a, first), (b, second)| b.total_cmp(a).then_with(|| first.cmp(second)));
        let has_other = weights.len() > self.shape.limit;
        weights.truncate(self.shape.limit);
        let listed = weights.into_iter().map(|(_, key)| key).collect();
        let has_absent = groups.iter().any(|group| *group[0].0 == Key::None);
        Shown { listed, has_absent, has_other }
    }
}

/// Which rows of a breakdown a line has.
#[derive(Debug, Clone)]
struct Shown<'a> {
    listed: Vec<&'a Key>,
    has_absent: bool,
    has_other: bool,
}

/// By line: its table and the rows it has. What a formula puts together has the same rows in every line:
/// the values that the first one lists.
fn lines<'a>(partial: &'a Partial, shape: &'a Shape) -> Vec<(Groups<'a>, Shown<'a>)> {
    let table = |line: &Line| {
        let table = Groups::new(partial, shape, line.tally);
        let shown = table.shown(line);
        (table, shown)
    };
    let mut lines: Vec<_> = shape.lines.iter().map(table).collect();
    if shape.formula.is_some() && shape.breakdown.is_some() {
        let mut all = lines[0].1.clone();
        let listed: HashSet<&Key> = all.listed.iter().copied().collect();
        for (table, shown) in &lines {
            all.has_absent |= shown.has_absent;
            all.has_other |= table.each().iter().any(|group| {
                let key = group[0].0;
                key.text().is_some() && !listed.contains(key)
            });
        }
        lines.iter_mut().for_each(|(_, shown)| *shown = all.clone());
    }
    lines
}

/// The listed values by series, and whether any series has more.
pub(super) fn listed(partial: &Partial, shape: &Shape) -> (Vec<HashSet<Key>>, bool) {
    let lines = lines(partial, shape);
    let has_other = lines.iter().any(|(_, shown)| shown.has_other);
    let listed = lines.iter().map(|(_, shown)| shown.listed.iter().copied().cloned().collect());
    (listed.collect(), has_other)
}

/// The answer.
pub(super) fn answer(partial: &Partial, shape: &Shape) -> TrendAnswer {
    let mut series = Vec::new();
    for (index, (table, shown)) in lines(partial, shape).iter().enumerate() {
        let groups = table.each();
        let none: &[Piece<'_>] = &[];
        if shape.breakdown.is_none() {
            let row = table.row(groups.first().copied().unwrap_or(none));
            series.push(read(shape, index, Group::All, None, row));
            continue;
        }
        // In the order of groups.
        let of = |key: &Key| {
            let at = groups.binary_search_by(|group| group[0].0.cmp(key));
            table.row(at.map_or(none, |at| groups[at]))
        };
        for key in &shown.listed {
            series.push(read(shape, index, Group::Value, GroupValue::of(key), of(key)));
        }
        if shown.has_absent {
            series.push(read(shape, index, Group::Absent, None, of(&Key::None)));
        }
        if shown.has_other {
            let mut row = vec![Cell::empty(); shape.width()];
            let listed: HashSet<&Key> = shown.listed.iter().copied().collect();
            let named = groups.iter().filter(|group| group[0].0.text().is_some());
            named
                .filter(|group| !listed.contains(group[0].0))
                .for_each(|group| table.add(group, &mut row));
            table.total(&mut row);
            // Known from a second pass, if there was one.
            let counted = groups.iter().find(|group| *group[0].0 == OTHER);
            let counted = counted.map(|group| table.row(group));
            let has_beyond = row.iter().any(|cell| cell.events > 0) || counted.is_some();
            for (at, cell) in row.iter_mut().enumerate() {
                let persons = counted.as_ref().and_then(|counted| counted[at].persons);
                cell.persons = if has_beyond { persons } else { Some(0) };
            }
            series.push(read(shape, index, Group::Other, None, row));
        }
    }
    if let Some(formula) = &shape.formula {
        series = apply(formula, series);
    }
    TrendAnswer { buckets: shape.periods[0].labels.clone(), series }
}

fn read(
    shape: &Shape,
    index: usize,
    group: Group,
    value: Option<GroupValue>,
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
        value,
        data,
        total,
        previous,
    }
}

/// One line from those of all series, bucket by bucket, the total from the totals; one for each row of the
/// breakdown, which every series has.
pub(super) fn apply(
    formula: &super::formula::Formula,
    series: Vec<TrendSeries>,
) -> Vec<TrendSeries> {
    let rows = series.iter().take_while(|line| line.index == 0).count();
    let of_row = |row| {
        let lines: Vec<&TrendSeries> = series.iter().skip(row).step_by(rows).collect();
        together(formula, &lines)
    };
    (0..rows).map(of_row).collect()
}

fn together(formula: &super::formula::Formula, series: &[&TrendSeries]) -> TrendSeries {
    let at = |figure: &dyn Fn(&TrendSeries) -> Figure| -> Figure {
        let inputs: Vec<Option<f64>> = series.iter().map(|line| figure(line).0).collect();
        formula.value(&inputs).map_or(Figure(None), Figure::known)
    };
    let get = |data: &[Figure], bucket: usize| data.get(bucket).copied().unwrap_or(Figure(None));
    let first = series[0];
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
        group: first.group,
        value: first.value.clone(),
        data,
        total: at(&|line| line.total),
        previous,
    }
}
