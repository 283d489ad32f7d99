//! People by day, week or month from days alone: what most trends of people ask.
//!
//! In: the days of persons. Out: the table of `counter`, which is the same whichever of the two made it.
//!
//! A question has this form when every series counts people, without filters and breakdown, over whole local days;
//! with a period before only by day.

use std::sync::Arc;

use super::counter::{CHUNK, fields};
use super::{Measure, Shape};
use crate::events::EventSet;
use crate::kernel::{Key, Partial};
use crate::presence::bits::{BitCounts, range_mask};
use crate::presence::{Bucketer, DayBlock, DayKernel, Presence, PresencePlan};
use crate::question::{Common, QuestionError};
use crate::time_bucket::{Buckets, Unit};

/// The question in this form.
pub(super) struct Days {
    plan: PresencePlan,
    bucketer: Bucketer,
    /// The days of each period.
    periods: Vec<std::ops::Range<usize>>,
    shape: Arc<Shape>,
}

impl Days {
    /// The form of a question whose filters all pass everything, if it has one; `from_ms` is where its scan
    /// begins.
    pub(super) fn of(
        shape: &Arc<Shape>,
        common: &Common,
        unit: Unit,
        from_ms: i64,
    ) -> Result<Option<Self>, QuestionError> {
        let counts_people = shape.lines.iter().all(|line| line.measure == Measure::Persons);
        let is_alone = shape.periods.len() == 1;
        if !counts_people || shape.breakdown.is_some() || !(unit == Unit::Day || is_alone) {
            return Ok(None);
        }
        let days = Buckets::new(Unit::Day, &common.calendar, from_ms, shape.to_ms, 0)?;
        let ends = [from_ms, shape.from_ms, shape.to_ms];
        if unit.is_short() || !ends.iter().all(|at| days.bounds_ms.contains(at)) {
            return Ok(None);
        }
        let first = days.bounds_ms.iter().position(|at| *at == shape.from_ms).unwrap_or(0);
        let before = (!is_alone).then_some(0..first);
        let periods = std::iter::once(first..days.len()).chain(before).collect();
        let bucketer = match is_alone {
            true => Bucketer::new(&days, &shape.periods[0]),
            false => Bucketer::Same,
        };
        let events = |event: &Option<String>| match event {
            Some(event) => EventSet::Only(vec![event.clone()]),
            None => EventSet::All,
        };
        let mut sets = vec![EventSet::All; shape.tallies.len()];
        shape.lines.iter().for_each(|line| sets[line.tally] = events(&line.event));
        let plan = PresencePlan {
            tz: common.tz_name.clone(),
            days: Arc::new(days),
            to_ms: shape.to_ms,
            before: false,
            sets,
        };
        Ok(Some(Self { plan, bucketer, periods, shape: Arc::clone(shape) }))
    }
}

impl Presence for Days {
    fn plan(&self) -> &PresencePlan {
        &self.plan
    }

    fn kernel(&self) -> Box<dyn DayKernel> {
        let words = self.plan.words();
        let period = |days: &std::ops::Range<usize>| Period {
            // Bit 0 is the time before the first day.
            mask: range_mask(self.plan.bits(), days.start + 1..days.end + 1),
            first: if self.periods.len() > 1 { days.start + 1 } else { 1 },
            counts: BitCounts::new(words),
            persons: 0,
        };
        let tally = |_: &EventSet| self.periods.iter().map(period).collect();
        Box::new(Counter {
            bucketer: self.bucketer.clone(),
            shape: Arc::clone(&self.shape),
            tallies: self.plan.sets.iter().map(tally).collect(),
            masked: vec![0; words],
            row: vec![0; words],
        })
    }
}

struct Counter {
    bucketer: Bucketer,
    shape: Arc<Shape>,
    tallies: Vec<Vec<Period>>,
    masked: Vec<u64>,
    row: Vec<u64>,
}

struct Period {
    mask: Vec<u64>,
    /// The bit of its first bucket.
    first: usize,
    counts: BitCounts,
    persons: u64,
}

impl DayKernel for Counter {
    fn days(&mut self, block: &DayBlock<'_>) {
        for (periods, persons) in self.tallies.iter_mut().zip(block.sets) {
            for Period { mask, counts, persons: all, .. } in periods {
                if let [mask] = mask[..] {
                    let bytes = (u64::BITS - mask.leading_zeros()).div_ceil(8) as usize;
                    for person in *persons {
                        let row = self.bucketer.word(person & mask);
                        counts.add_low(row, bytes);
                        *all += u64::from(row != 0);
                    }
                    continue;
                }
                for person in persons.chunks_exact(block.words) {
                    let days = self.masked.iter_mut().zip(person.iter().zip(&*mask));
                    days.for_each(|(masked, (person, mask))| *masked = person & mask);
                    self.bucketer.row(&self.masked, &mut self.row);
                    counts.add(&self.row);
                    *all += u64::from(self.row.iter().any(|word| *word != 0));
                }
            }
        }
    }

    fn finish(self: Box<Self>) -> Partial {
        let mut partial = Partial::default();
        let width = self.shape.width();
        for (tally, periods) in self.tallies.into_iter().enumerate() {
            let mut columns = vec![0; width];
            let mut first = 0;
            for (period, buckets) in periods.into_iter().zip(&self.shape.periods) {
                let counts = period.counts.finish();
                let bits = &counts[period.first..][..buckets.len()];
                columns[first..first + buckets.len()].copy_from_slice(bits);
                if buckets.len() > 1 {
                    columns[first + buckets.len()] = period.persons;
                }
                first += buckets.len() + 1;
            }
            for (chunk, counts) in columns.chunks(CHUNK).enumerate() {
                if counts.iter().all(|count| *count == 0) {
                    continue;
                }
                let mut values = vec![0.0; fields(false) * CHUNK.min(width)];
                let (cells, _) = values.as_chunks_mut::<2>();
                cells.iter_mut().zip(counts).for_each(|(cell, count)| cell[1] = *count as f64);
                let key = vec![Key::Int(0), tally.into(), Key::None, Key::Int(chunk as i64)];
                partial.add(key, &values);
            }
        }
        partial
    }
}
