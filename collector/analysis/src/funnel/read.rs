//! Reading the counts of a funnel: lines by breakdown value, steps, times between them.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::answer::{Duration, Durations, FunnelAnswer, FunnelBucket, FunnelGroup, FunnelStep};
use crate::answer::{Group, GroupValue, Ranked, ranked, ratio};
use crate::kernel::{Key, Partial};
use crate::quantile::quantiles;

/// Where the histogram of times is cut, in seconds.
const CUTS_S: &[u64] = &[
    0, 1, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400, 172_800,
    259_200, 604_800, 1_209_600, 2_592_000,
];

/// What the answer says of the question.
pub(super) struct Reading {
    pub events: Vec<Option<String>>,
    /// Steps that may be left out, as bits.
    pub optional: u64,
    pub broken_down: bool,
    pub limit: usize,
    /// Labels of the buckets of time; none where none were asked for.
    pub buckets: Vec<String>,
}

/// The people and times of one line of the answer.
#[derive(Debug, Clone)]
struct Line {
    reached: Vec<u64>,
    /// By step that may be left out: who did it.
    did: Vec<u64>,
    times_ms: Vec<Vec<f64>>,
}

impl Line {
    fn new(steps: usize) -> Self {
        Self { reached: vec![0; steps], did: vec![0; steps], times_ms: vec![Vec::new(); steps] }
    }

    fn entered(&self) -> u64 {
        self.reached.iter().sum()
    }

    fn merge(&mut self, other: &Self) {
        let sums = self.reached.iter_mut().chain(&mut self.did);
        sums.zip(other.reached.iter().chain(&other.did)).for_each(|(sum, more)| *sum += more);
        for (bag, more) in self.times_ms.iter_mut().zip(&other.times_ms) {
            bag.extend(more);
        }
    }

    fn read(mut self, reading: &Reading) -> (Vec<FunnelStep>, Durations) {
        let mut reached = self.entered();
        let entered = reached;
        let mut previous = reached;
        let mut steps = Vec::with_capacity(reading.events.len());
        let times = durations(&mut self.times_ms[0]);
        for (step, event) in reading.events.iter().enumerate() {
            let [median_ms, p90_ms] = match step {
                0 => [None, None],
                step => quantiles(&mut self.times_ms[step], [0.5, 0.9]),
            };
            let optional = reading.optional >> step & 1 == 1;
            let persons = if optional { self.did[step] } else { reached };
            steps.push(FunnelStep {
                step: step + 1,
                event: event.clone(),
                optional,
                persons,
                conversion_ratio: ratio(persons, entered),
                from_previous_ratio: ratio(persons, previous),
                median_ms,
                p90_ms,
            });
            if !optional {
                previous = persons;
            }
            reached -= self.reached[step];
        }
        (steps, times)
    }
}

fn durations(times_ms: &mut [f64]) -> Durations {
    let [median_ms, p90_ms] = quantiles(times_ms, [0.5, 0.9]);
    let mut counts = vec![0u64; CUTS_S.len()];
    for time_ms in &*times_ms {
        let cut = CUTS_S.partition_point(|cut| *cut as f64 * 1000.0 <= *time_ms);
        counts[cut.saturating_sub(1)] += 1;
    }
    let used = |at: &usize| counts[*at] > 0;
    let (first, last) = ((0..counts.len()).find(used), (0..counts.len()).rfind(used));
    let histogram = first.zip(last).map_or(Vec::new(), |(first, last)| {
        let bar = |at: usize| Duration {
            from_ms: CUTS_S[at] * 1000,
            to_ms: CUTS_S.get(at + 1).map(|cut| cut * 1000),
            persons: counts[at],
        };
        (first..=last).map(bar).collect()
    });
    Durations { persons: times_ms.len() as u64, median_ms, p90_ms, histogram }
}

impl Reading {
    /// The answer of a merged table.
    pub(super) fn read(&self, partial: &Partial) -> FunnelAnswer {
        let steps = self.events.len();
        let mut lines: HashMap<&Key, Line> = HashMap::new();
        let mut by_bucket: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
        for (key, row) in &partial.rows {
            let count = row[0] as u64;
            match &key[..] {
                [Key::Int(kind @ (0 | 3)), value, Key::Int(step)] => {
                    let line = lines.entry(value).or_insert_with(|| Line::new(steps));
                    match kind {
                        0 => line.reached[*step as usize - 1] += count,
                        _ => line.did[*step as usize] += count,
                    }
                }
                [Key::Int(4), _, Key::Int(bucket), Key::Int(reached)] => {
                    let bucket = by_bucket.entry(*bucket as usize);
                    let persons = bucket.or_insert_with(|| vec![0; steps]);
                    persons[..*reached as usize].iter_mut().for_each(|sum| *sum += count);
                }
                _ => {}
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
        let breakdown = if self.broken_down { self.groups(lines) } else { Vec::new() };
        let (of_steps, time_to_convert) = everybody.read(self);
        let bucket = |(at, label): (usize, &String)| {
            let persons = by_bucket.remove(&at).unwrap_or_else(|| vec![0; steps]);
            let conversion_ratio = ratio(persons[steps - 1], persons[0]);
            FunnelBucket { bucket: label.clone(), persons, conversion_ratio }
        };
        let over_time: Vec<_> = self.buckets.iter().enumerate().map(bucket).collect();
        let over_time = (!over_time.is_empty()).then_some(over_time);
        FunnelAnswer { steps: of_steps, breakdown, time_to_convert, over_time }
    }

    /// Values by falling number of entries (equal ones by name), then "absent", then the rest.
    fn groups(&self, lines: HashMap<&Key, Line>) -> Vec<FunnelGroup> {
        let Ranked { values, absent, beyond } =
            ranked(lines, |line| line.entered() as f64, self.limit);
        let mut all: Vec<(Group, Option<GroupValue>, Line)> = values
            .into_iter()
            .map(|(key, line)| (Group::Value, GroupValue::of(key), line))
            .collect();
        all.extend(absent.map(|line| (Group::Absent, None, line)));
        if !beyond.is_empty() {
            let mut other = Line::new(self.events.len());
            beyond.iter().for_each(|line| other.merge(line));
            all.push((Group::Other, None, other));
        }
        all.into_iter()
            .map(|(group, value, line)| {
                let (steps, time_to_convert) = line.read(self);
                FunnelGroup { group, value, steps, time_to_convert }
            })
            .collect()
    }
}
