//! What retention answers, and how it is read from a merged table.

use std::collections::BTreeMap;

use serde::Serialize;

use super::cells::Cells;
use super::{Asked, Mode, Shape};
use crate::answer::{Group, GroupValue, LATENESS_MS, Ranked, ranked, ratio};
use crate::exact_sum::{DIGITS, ExactSum};
use crate::kernel::{Key, Partial};

/// Who came back, by when they started.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RetentionAnswer {
    /// One per bucket of the range, also where nobody started.
    pub cohorts: Vec<RetentionCohort>,
    /// Share of all cohorts' people who returned after 0, 1, 2 … periods: the sum over known cells
    /// only, so that young cohorts do not pull it down; `null` when no cell is known.
    pub overall: Vec<Option<f64>>,
    /// The brackets that the second and further figures of each list stand for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brackets: Option<Vec<[usize; 2]>>,
    /// The same per value of the breakdown property at the start: values by falling number of people,
    /// then the rest. Empty without a breakdown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub breakdown: Vec<RetentionGroup>,
}

/// The people who started in one bucket.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RetentionCohort {
    /// First day of the bucket.
    pub from: String,
    /// How many started.
    pub size: u64,
    /// How many returned after 0, 1, 2 … periods, as far as known; index 0 is `size`.
    pub returned: Vec<u64>,
    /// `returned / size`; `null` while late events may still change it, and for a cohort of nobody.
    pub ratio: Vec<Option<f64>>,
    /// With `sum`: the sum of the property over the return events of each of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sums: Option<Vec<f64>>,
}

/// One value of the breakdown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RetentionGroup {
    /// What `value` stands for.
    pub group: Group,
    /// The value.
    pub value: Option<GroupValue>,
    /// Its people, by when they started.
    pub cohorts: Vec<RetentionCohort>,
    /// As for everybody.
    pub overall: Vec<Option<f64>>,
}

/// One cohort's figures, by column.
#[derive(Debug, Clone)]
struct Line {
    people: Vec<u64>,
    sums: Vec<ExactSum>,
}

/// The figures of some people, by cohort.
type Lines = BTreeMap<usize, Line>;

fn merge(into: &mut Lines, from: &Lines) {
    for (cohort, line) in from {
        let Some(sum) = into.get_mut(cohort) else {
            into.insert(*cohort, line.clone());
            continue;
        };
        sum.people.iter_mut().zip(&line.people).for_each(|(sum, more)| *sum += more);
        sum.sums.iter_mut().zip(&line.sums).for_each(|(sum, more)| sum.merge(more));
    }
}

/// What a table of plain counts says.
pub(super) fn plain(partial: &Partial, shape: &Shape, now_ms: i64) -> (RetentionAnswer, bool) {
    let mode = match shape.mode {
        Mode::On => Asked::On,
        Mode::OnOrAfter => Asked::OnOrAfter,
    };
    let columns = Cells::columns(mode, shape.periods);
    let line = |(key, row): (&Vec<Key>, &Vec<f64>)| {
        let people = row.iter().map(|count| *count as u64).collect();
        Some((key[0].int()? as usize, Line { people, sums: Vec::new() }))
    };
    let lines = partial.rows.iter().filter_map(line).collect();
    let (cohorts, overall, all_known) = read(&lines, &columns, shape, now_ms);
    let (brackets, breakdown) = (None, Vec::new());
    (RetentionAnswer { cohorts, overall, brackets, breakdown }, all_known)
}

/// What a table of `cells` says.
pub(super) fn of_cells(
    partial: &Partial,
    cells: &Cells,
    has_brackets: bool,
    limit: usize,
    shape: &Shape,
    now_ms: i64,
) -> (RetentionAnswer, bool) {
    let mut of_value: BTreeMap<&Key, Lines> = BTreeMap::new();
    for (key, row) in &partial.rows {
        let [Key::Int(kind), value, Key::Int(cohort), rest @ ..] = &key[..] else { continue };
        let lines = of_value.entry(value).or_default();
        let line = lines
            .entry(*cohort as usize)
            .or_insert_with(|| Line { people: vec![0; cells.columns.len()], sums: Vec::new() });
        match (kind, rest) {
            (0, []) => line.people = row.iter().map(|count| *count as u64).collect(),
            (1, [Key::Int(column)]) => {
                line.sums.resize_with(cells.columns.len(), ExactSum::default);
                line.sums[*column as usize] = ExactSum::from_columns(&row[..DIGITS]);
            }
            _ => {}
        }
    }
    let mut everybody = Lines::new();
    of_value.values().for_each(|lines| merge(&mut everybody, lines));
    let (cohorts, overall, all_known) = read(&everybody, &cells.columns, shape, now_ms);
    let breakdown = match cells.breakdown {
        None => Vec::new(),
        Some(_) => groups(of_value, limit, |lines| {
            let (cohorts, overall, _) = read(lines, &cells.columns, shape, now_ms);
            (cohorts, overall)
        }),
    };
    let brackets = has_brackets.then(|| cells.columns[1..].to_vec());
    (RetentionAnswer { cohorts, overall, brackets, breakdown }, all_known)
}

/// Values by falling number of people (equal ones by name), then "absent", then the rest.
fn groups(
    of_value: BTreeMap<&Key, Lines>,
    limit: usize,
    read: impl Fn(&Lines) -> (Vec<RetentionCohort>, Vec<Option<f64>>),
) -> Vec<RetentionGroup> {
    let size = |lines: &Lines| lines.values().map(|line| line.people[0]).sum::<u64>();
    let Ranked { values, absent, beyond } = ranked(of_value, |lines| size(lines) as f64, limit);
    let value = |(key, lines): (&Key, Lines)| (Group::Value, GroupValue::of(key), lines);
    let mut all: Vec<(Group, Option<GroupValue>, Lines)> = values.into_iter().map(value).collect();
    all.extend(absent.map(|lines| (Group::Absent, None, lines)));
    if !beyond.is_empty() {
        let mut other = Lines::new();
        beyond.iter().for_each(|lines| merge(&mut other, lines));
        all.push((Group::Other, None, other));
    }
    let group = |(group, value, lines): (Group, Option<GroupValue>, Lines)| {
        let (cohorts, overall) = read(&lines);
        RetentionGroup { group, value, cohorts, overall }
    };
    all.into_iter().map(group).collect()
}

/// Cohorts, the shares over all of them, and whether every cell is known.
fn read(
    lines: &Lines,
    columns: &[[usize; 2]],
    shape: &Shape,
    now_ms: i64,
) -> (Vec<RetentionCohort>, Vec<Option<f64>>, bool) {
    let mut cohorts = Vec::with_capacity(shape.cohorts);
    let mut all_known = true;
    let mut overall = vec![(0, 0); columns.len()];
    for cohort in 0..shape.cohorts {
        let line = lines.get(&cohort);
        let people = |column: usize| line.map_or(0, |line| line.people[column]);
        let size = people(0);
        let (mut returned, mut ratios) = (Vec::new(), Vec::new());
        for (column, (&[from, to], sums)) in columns.iter().zip(&mut overall).enumerate() {
            // Who may return at any time after is known as soon as the first time is over.
            let last = if to == usize::MAX { from } else { to };
            let known = now_ms >= shape.end_ms(cohort, last) + LATENESS_MS;
            all_known &= known;
            let came = people(column);
            if known {
                sums.0 += came;
                sums.1 += size;
            }
            returned.push(came);
            ratios.push(ratio(came, size).filter(|_| known));
        }
        let sums = line.filter(|line| !line.sums.is_empty());
        cohorts.push(RetentionCohort {
            from: shape.buckets.labels[cohort].clone(),
            size,
            returned,
            ratio: ratios,
            sums: sums.map(|line| line.sums.iter().map(ExactSum::value).collect()),
        });
    }
    let overall = overall.into_iter().map(|(returned, size)| ratio(returned, size)).collect();
    (cohorts, overall, all_known)
}
