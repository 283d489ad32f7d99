//! Reading the counts of a funnel: lines by breakdown value, steps, times between them.

use hashbrown::HashMap;

use super::answer::{Durations, FunnelAnswer, FunnelGroup, FunnelStep};
use crate::answer::{Group, ratio};
use crate::kernel::{Key, Partial};
use crate::quantile::quantiles;

/// The people and times of one line of the answer.
#[derive(Debug, Clone)]
struct Line {
    reached: Vec<u64>,
    times_ms: Vec<Vec<f64>>,
}

impl Line {
    fn new(steps: usize) -> Self {
        Self { reached: vec![0; steps], times_ms: vec![Vec::new(); steps] }
    }

    fn entered(&self) -> u64 {
        self.reached.iter().sum()
    }

    fn merge(&mut self, other: &Self) {
        for (sum, more) in self.reached.iter_mut().zip(&other.reached) {
            *sum += more;
        }
        for (bag, more) in self.times_ms.iter_mut().zip(&other.times_ms) {
            bag.extend(more);
        }
    }

    fn read(mut self, events: &[Option<String>]) -> (Vec<FunnelStep>, Durations) {
        let mut persons = self.entered();
        let entered = persons;
        let mut previous = persons;
        let mut steps = Vec::with_capacity(events.len());
        let [median_ms, p90_ms] = quantiles(&mut self.times_ms[0], [0.5, 0.9]);
        let times = Durations { persons: self.times_ms[0].len() as u64, median_ms, p90_ms };
        for (step, event) in events.iter().enumerate() {
            let [median_ms, p90_ms] = match step {
                0 => [None, None],
                step => quantiles(&mut self.times_ms[step], [0.5, 0.9]),
            };
            steps.push(FunnelStep {
                step: step + 1,
                event: event.clone(),
                persons,
                conversion_ratio: ratio(persons, entered),
                from_previous_ratio: ratio(persons, previous),
                median_ms,
                p90_ms,
            });
            previous = persons;
            persons -= self.reached[step];
        }
        (steps, times)
    }
}

/// The answer of a merged table.
pub(super) fn read(
    partial: &Partial,
    events: &[Option<String>],
    broken_down: bool,
    limit: usize,
) -> FunnelAnswer {
    let steps = events.len();
    let mut lines: HashMap<&Key, Line> = HashMap::new();
    for (key, row) in &partial.rows {
        if let [_, value, reached] = &key[..] {
            let reached = reached.int().unwrap_or(1) as usize;
            lines.entry(value).or_insert_with(|| Line::new(steps)).reached[reached - 1] +=
                row[0] as u64;
        }
    }
    for (key, bag) in &partial.bags {
        let step = key.get(2).and_then(Key::int).unwrap_or(0) as usize;
        if let Some(line) = lines.get_mut(&key[1]) {
            line.times_ms[step].extend(bag);
        }
    }
    let mut everybody = Line::new(steps);
    lines.values().for_each(|line| everybody.merge(line));
    let breakdown = if broken_down { groups(lines, events, limit) } else { Vec::new() };
    let (steps, time_to_convert) = everybody.read(events);
    FunnelAnswer { steps, breakdown, time_to_convert }
}

/// Values by falling number of entries (equal ones by name), then "absent", then the rest.
fn groups(lines: HashMap<&Key, Line>, events: &[Option<String>], limit: usize) -> Vec<FunnelGroup> {
    let mut lines: Vec<(&Key, Line)> = lines.into_iter().collect();
    lines.sort_by(|(a, first), (b, second)| {
        second.entered().cmp(&first.entered()).then_with(|| a.cmp(b))
    });
    let absent = lines.iter().position(|(key, _)| **key == Key::None).map(|at| lines.remove(at));
    let beyond = lines.split_off(limit.min(lines.len()));
    let mut all: Vec<(Group, Option<String>, Line)> = lines
        .into_iter()
        .map(|(key, line)| (Group::Value, key.text().map(str::to_owned), line))
        .collect();
    all.extend(absent.map(|(_, line)| (Group::Absent, None, line)));
    if !beyond.is_empty() {
        let mut other = Line::new(events.len());
        beyond.iter().for_each(|(_, line)| other.merge(line));
        all.push((Group::Other, None, other));
    }
    all.into_iter()
        .map(|(group, value, line)| {
            let (steps, time_to_convert) = line.read(events);
            FunnelGroup { group, value, steps, time_to_convert }
        })
        .collect()
}
