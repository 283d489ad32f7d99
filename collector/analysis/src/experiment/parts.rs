//! Parts of the people: by slices, and by days.
//!
//! In: the merged table. Out: the same figures as for everybody, for each value of a slice and for each day of
//! exposure; and for each value how the deciding metric's effect grew from day to day.

use super::answer::{Arm, DayResult, SliceDay, SliceEffect, SliceResult};
use super::detail::Scope;
use super::effects::{AllFigures, Comparing};
use super::family::share_error;
use super::figures::{Figures, Part, Table};
use super::read::{MAX_PARTS, all_figures, part_of};
use super::{Shape, checks};
use crate::kernel::Key;

impl Comparing<'_> {
    /// By the values of each slice.
    pub(super) fn slices(
        &self,
        table: &Table<'_>,
        shape: &Shape,
        arms: &[Arm],
        whole: &AllFigures,
    ) -> Vec<SliceResult> {
        let mut results = Vec::new();
        for slice in 0..shape.slices.len() {
            let parts = table.parts_of(Scope::Slice(slice));
            let start = results.len();
            for part in parts.iter().take(MAX_PARTS) {
                let own = all_figures(table, shape, arms, part);
                let count = shape.slices[slice].len();
                results.push(SliceResult {
                    slice: shape.slices[slice].clone(),
                    value: part.values[..count]
                        .iter()
                        .map(|key| key.text().map(Into::into))
                        .collect(),
                    persons: arms.iter().map(|arm| table.persons(part, &arm.variant)).collect(),
                    srm_p_value: None,
                    metrics: self.metrics(shape, arms, part_of(&own, whole), table),
                    values_not_listed: parts.len().saturating_sub(MAX_PARTS),
                    days: self.slice_days(table, shape, arms, part, whole),
                });
            }
            checks::sizes_of_slice(&mut results[start..], arms);
            // The values of one slice are a family of tests.
            let family = results[start..].iter_mut().flat_map(|result| &mut result.metrics);
            share_error(family.collect(), shape);
        }
        results
    }

    /// By day of exposure, and everybody up to that day.
    pub(super) fn days(
        &self,
        table: &Table<'_>,
        shape: &Shape,
        arms: &[Arm],
        whole: &AllFigures,
    ) -> Vec<DayResult> {
        let mut so_far: Option<AllFigures> = None;
        let mut results = Vec::new();
        for (day, part) in table.days(&Part::ALL) {
            debug_assert!(matches!(part.values[2], Key::Int(_)));
            let own = all_figures(table, shape, arms, &part);
            let all = so_far.as_ref().map_or_else(|| own.clone(), |before| with(before, &own));
            results.push(DayResult {
                day,
                metrics: self.metrics(shape, arms, part_of(&own, whole), table),
                cumulative: self.metrics(shape, arms, part_of(&all, whole), table),
            });
            so_far = Some(all);
        }
        results
    }

    /// The deciding metric of one value of a slice, up to each day on which somebody of it was exposed.
    fn slice_days(
        &self,
        table: &Table<'_>,
        shape: &Shape,
        arms: &[Arm],
        part: &Part,
        whole: &AllFigures,
    ) -> Vec<SliceDay> {
        let mut so_far: Option<AllFigures> = None;
        let mut results = Vec::new();
        for (day, part) in table.days(part) {
            let own = all_figures(table, shape, arms, &part);
            let all = so_far.as_ref().map_or_else(|| own.clone(), |before| with(before, &own));
            let people = part_of(&all, whole);
            let effect = |arm: usize| {
                let found = self.find(&people.pair(0, arm), &shape.metrics[0]).absolute.ok();
                SliceEffect {
                    variant: arms[arm].variant.clone(),
                    absolute: found.as_ref().map(|effect| effect.estimate),
                    always_valid_interval: found
                        .and_then(|effect| self.always_valid(&effect, None).absolute_interval),
                }
            };
            results.push(SliceDay {
                day,
                persons: all[0].iter().map(|figures| figures.persons).collect(),
                effects: (1..arms.len()).map(effect).collect(),
            });
            so_far = Some(all);
        }
        results
    }
}

/// These people and others, metric by metric and arm by arm.
pub(super) fn with(people: &AllFigures, others: &AllFigures) -> AllFigures {
    let arms = |(a, b): (&Vec<Figures>, &Vec<Figures>)| {
        a.iter().zip(b).map(|(a, b)| a.merged(b)).collect()
    };
    people.iter().zip(others).map(arms).collect()
}
