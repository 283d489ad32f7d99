//! Whether a day was unusual: its count against the same weekday of the weeks before.
//!
//! In: a count for each day, oldest first, and the count of the day after them. Out: what is usual for that day, how
//! far away it was, and a p-value; nothing where there is [too little history](WEEKS_MIN).
//!
//! Counts are compared as `g(y) = 2 √(y + 3/8)`, whose spread is 1 for any Poisson count (Anscombe, Biometrika 35,
//! 1948). So a small count needs a larger ratio to be unusual, zero included, and weekdays of different size can be
//! looked at together. With `m` the median of `g` over the [same weekdays](WEEKS) before:
//!
//! `z = (g(x) − m) / (s √(1 + π / 2n))`
//!
//! `s` is the largest of three: 1, which is what chance alone does to a count; 1.4826 times the median distance from
//! `m` of the same weekdays; and 1.4826 √(n / (n − 1)) times the median distance of all days from the median of their
//! own weekday. The factor makes it a standard deviation where values are normal (Hampel, JASA 69, 1974); a few odd days move neither
//! median. The root is for the median's own error, of variance `π s² / 2n`. Steady growth spreads the same weekdays by
//! as much as it carries the day away, and so is not unusual.
//!
//! A few weeks do not know their spread well, so p is of Student's t, two-sided, with one and a quarter degrees of
//! freedom for each week. That is from simulation (60,000 draws of each kind): where days differ by chance and by up to
//! 15 % besides, no more of them are below a p-value than it says, from 0.05 down to 0.0005; with 25 %, at most 1.7
//! times as many.
//!
//! Many figures are looked at on one day: [`unusual`] keeps those that are left at [`LEVEL`] by Benjamini and Hochberg.
//! Where nothing changed, at most so many days have a false alarm.
//!
//! Deliberately elsewhere: which figures to look at and why one may have changed (the collector).

use std::f64::consts::PI;

use crate::stats::many_tests::{Method, adjust};
use crate::stats::student;

/// Weeks that a day is compared with.
pub const WEEKS: usize = 8;
/// Fewer say nothing.
pub const WEEKS_MIN: usize = 4;
/// Days before the one that is judged.
pub const DAYS: usize = 7 * WEEKS;
/// Share of days that may have an alarm where nothing changed.
pub const LEVEL: f64 = 0.05;
/// Degrees of freedom that a week is worth.
const FREEDOM: f64 = 1.25;
/// A median distance as a standard deviation.
const MAD_SCALE: f64 = 1.4826;

/// A day against the weeks before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judged {
    /// The median of the same weekdays.
    pub usual: f64,
    /// Standard deviations away from it; below zero for fewer.
    pub z: f64,
    /// How often chance alone is as far away.
    pub p_value: f64,
}

/// Judge the count of a day by those of the days before it, oldest first: at most [`DAYS`] of them are looked at.
/// Nothing with less than [`WEEKS_MIN`] weeks of them, and nothing of what is no count.
pub fn judge(before: &[f64], day: f64) -> Option<Judged> {
    let before = &before[before.len().saturating_sub(DAYS)..];
    let is_count = |value: &f64| value.is_finite() && *value >= 0.0;
    if before.len() < 7 * WEEKS_MIN || !before.iter().chain([&day]).all(is_count) {
        return None;
    }
    let same: Vec<f64> = weekday(before, 7).collect();
    let usual = median(same.clone());
    let steadied: Vec<f64> = same.iter().copied().map(steady).collect();
    let middle = median(steadied.clone());
    let of_weekday = MAD_SCALE * median(distances(&steadied));
    let all =
        (1..=7).flat_map(|back| distances(&weekday(before, back).map(steady).collect::<Vec<_>>()));
    let weeks = same.len() as f64;
    let of_all = MAD_SCALE * median(all.collect()) * (weeks / (weeks - 1.0)).sqrt();
    let spread = of_weekday.max(of_all).max(1.0);
    let error = (1.0 + PI / (2.0 * weeks)).sqrt();
    let z = (steady(day) - middle) / (spread * error);
    let p_value = (2.0 * student::upper_tail(z.abs(), FREEDOM * weeks)).min(1.0);
    Some(Judged { usual, z, p_value })
}

/// Which of these are unusual although so many were looked at: places, the strongest first.
pub fn unusual(judged: &[Option<Judged>]) -> Vec<usize> {
    let known: Vec<(usize, Judged)> =
        judged.iter().enumerate().filter_map(|(place, judged)| Some((place, (*judged)?))).collect();
    let p_values: Vec<f64> = known.iter().map(|(_, judged)| judged.p_value).collect();
    let Ok(adjusted) = adjust(&p_values, Method::BenjaminiHochberg) else { return Vec::new() };
    let left = known.into_iter().zip(adjusted).filter(|(_, p)| *p <= LEVEL);
    let mut left: Vec<(usize, Judged)> = left.map(|(known, _)| known).collect();
    left.sort_by(|(_, a), (_, b)| b.z.abs().total_cmp(&a.z.abs()));
    left.into_iter().map(|(place, _)| place).collect()
}

/// A count whose spread does not depend on its size.
fn steady(count: f64) -> f64 {
    2.0 * (count + 0.375).sqrt()
}

/// The counts of so many days back and of the same weekday before, newest first.
fn weekday(before: &[f64], back: usize) -> impl Iterator<Item = f64> + '_ {
    before.iter().rev().skip(back - 1).step_by(7).copied()
}

/// How far values are from their median.
fn distances(values: &[f64]) -> Vec<f64> {
    let middle = median(values.to_vec());
    values.iter().map(|value| (value - middle).abs()).collect()
}

/// The middle value, or the mean of the two in the middle; 0 of none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => 0.0,
        len if len % 2 == 1 => values[half],
        _ => f64::midpoint(values[half - 1], values[half]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    /// Draws that are the same in every run.
    struct Draws(u64);

    impl Draws {
        fn unit(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
        }

        /// Of the standard normal distribution, by Box and Muller.
        fn normal(&mut self) -> f64 {
            let (radius, angle) = (self.unit(), self.unit());
            (-2.0 * (1.0 - radius).ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
        }

        /// A Poisson count, by Knuth below 50 and the normal distribution above.
        fn poisson(&mut self, mean: f64) -> f64 {
            if mean > 50.0 {
                return (mean + mean.sqrt() * self.normal()).round().max(0.0);
            }
            let (floor, mut product, mut count) = ((-mean).exp(), self.unit(), 0.0);
            while product > floor {
                product *= self.unit();
                count += 1.0;
            }
            count
        }
    }

    const WEEK: [f64; 7] = [0.97, 1.0, 1.0, 0.95, 0.84, 0.56, 0.68];

    /// So many days of a site with a rhythm of its week, whose days differ by a log-normal factor besides, and the day
    /// after them, of which `factor` is expected.
    fn drawn(draws: &mut Draws, (mean, noise): (f64, f64), days: usize, factor: f64) -> Vec<f64> {
        let mut all = Vec::with_capacity(days + 1);
        for day in 0..=days {
            let of_day = (noise * draws.normal() - noise * noise / 2.0).exp();
            let factor = if day == days { factor } else { 1.0 };
            all.push(draws.poisson(mean * WEEK[day % 7] * of_day * factor));
        }
        all
    }

    fn judged(all: &[f64]) -> Judged {
        judge(&all[..all.len() - 1], all[all.len() - 1]).expect("there is enough history")
    }

    #[rstest]
    #[case::rare((1.0, 0.15), DAYS)]
    #[case::few((10.0, 0.15), DAYS)]
    #[case::chance_alone((1_000.0, 0.0), DAYS)]
    #[case::some((100.0, 0.15), DAYS)]
    #[case::many((100_000.0, 0.15), DAYS)]
    #[case::young((1_000.0, 0.15), 7 * WEEKS_MIN)]
    fn stationary_days_are_no_more_often_unusual_than_said(
        #[case] site: (f64, f64),
        #[case] days: usize,
    ) {
        let mut draws = Draws(7);
        let count = 4_000;
        let drawn = (0..count).map(|_| judged(&drawn(&mut draws, site, days, 1.0)).p_value);
        let p_values: Vec<f64> = drawn.collect();
        for level in [0.05, 0.01, 0.001] {
            let below = p_values.iter().filter(|p| **p <= level).count() as f64;
            let expected = level * f64::from(count);
            assert!(below <= expected + 3.0 * expected.sqrt(), "{level}: {below}");
        }
    }

    /// Sixty figures of a site, as a page looks at.
    fn family(draws: &mut Draws, changed: usize, factor: f64) -> Vec<usize> {
        let figure = |place: usize| {
            let site = ([2.0, 12.0, 80.0, 400.0, 6_000.0][place % 5], 0.05);
            Some(judged(&drawn(draws, site, DAYS, if place == changed { factor } else { 1.0 })))
        };
        unusual(&(0..60).map(figure).collect::<Vec<_>>())
    }

    #[test]
    fn of_days_on_which_nothing_changed_hardly_any_has_an_alarm() {
        let mut draws = Draws(11);
        let days = 400;
        let alarms = (0..days).filter(|_| !family(&mut draws, 99, 1.0).is_empty()).count();
        // Three standard errors above five in a hundred.
        assert!(alarms <= 33, "{alarms} of {days} days");
    }

    #[rstest]
    #[case::less(0.5)]
    #[case::more(2.0)]
    #[case::nothing(0.0)]
    fn a_planted_change_is_found_among_sixty_figures(#[case] factor: f64) {
        let mut draws = Draws(13);
        // The place of one of about 400 a day.
        let found = (0..60).filter(|_| family(&mut draws, 33, factor).first() == Some(&33)).count();
        assert!(found >= 54, "{found} of 60");
    }

    /// By hand: eight Mondays of 100, 104, 96, 100, 110, 90, 100, 100, other days like them; `g(100) = 20.0375`.
    #[test]
    fn a_day_is_judged_by_the_same_weekdays() {
        let mondays = [100.0, 104.0, 96.0, 100.0, 110.0, 90.0, 100.0, 100.0];
        let before: Vec<f64> = mondays.iter().flat_map(|monday| [*monday; 7]).collect();
        let got = judge(&before, 64.0).unwrap();
        assert_eq!(got.usual, 100.0);
        // g(64) − g(100) = 16.0468 − 20.0375 = −3.9906; the spread is 1; √(1 + π/16) = 1.0937.
        assert!((got.z - -3.6486).abs() < 1e-3, "{got:?}");
        assert!((got.p_value - 0.00448).abs() < 2e-4, "{got:?}");
    }

    #[test]
    fn weekends_are_compared_with_weekends() {
        let before: Vec<f64> =
            (0..DAYS).map(|day| if day % 7 < 2 { 100.0 } else { 900.0 }).collect();
        assert_eq!(judge(&before, 100.0).unwrap().z, 0.0);
        assert!(judge(&before, 900.0).unwrap().p_value < 1e-6);
    }

    #[test]
    fn steady_growth_is_not_unusual() {
        let before: Vec<f64> = (0..DAYS).map(|day| 500.0 + 20.0 * day as f64).collect();
        let next = judge(&before, 500.0 + 20.0 * DAYS as f64).unwrap();
        assert!(next.z > 0.5 && next.p_value > 0.1, "{next:?}");
    }

    #[test]
    fn an_odd_week_hides_nothing() {
        let mut before = vec![400.0; DAYS];
        before[DAYS - 7..].fill(4_000.0);
        assert_eq!(judge(&before, 400.0).unwrap().usual, 400.0);
        assert!(judge(&before, 100.0).unwrap().p_value < 1e-5);
    }

    #[rstest]
    #[case::too_little(7 * WEEKS_MIN - 1, 5.0, false)]
    #[case::enough(7 * WEEKS_MIN, 5.0, true)]
    #[case::no_count(DAYS, -1.0, false)]
    #[case::no_number(DAYS, f64::NAN, false)]
    fn what_cannot_be_judged_is_not(#[case] days: usize, #[case] day: f64, #[case] known: bool) {
        assert_eq!(judge(&vec![5.0; days], day).is_some(), known);
    }

    #[test]
    fn small_counts_are_seldom_unusual() {
        let of = |usual: f64, day| judge(&[usual; DAYS], day).unwrap().p_value;
        assert!(of(0.0, 3.0) > 0.001, "three where there were none");
        assert!(of(4.0, 0.0) > 0.001, "none where there were four");
        assert!(of(0.0, 40.0) < 1e-5);
        assert!(of(60.0, 0.0) < 1e-5);
    }

    proptest! {
        #[test]
        fn judging_keeps_order_and_ignores_what_is_older(
            before in prop::collection::vec(0u32..100_000, 28..140),
            day in 0u32..100_000,
            more in 0u32..100_000,
        ) {
            let before: Vec<f64> = before.into_iter().map(f64::from).collect();
            let of = |before: &[f64], day: u32| judge(before, f64::from(day)).unwrap();
            let one = of(&before, day);
            prop_assert!((0.0..=1.0).contains(&one.p_value) && one.z.is_finite());
            prop_assert!(of(&before, day + more).z >= one.z, "more is never less");
            prop_assert_eq!(of(&before[before.len().saturating_sub(DAYS)..], day), one);
        }

        #[test]
        fn what_is_left_after_many_looks_was_below_the_level_alone(p in prop::collection::vec(0.0f64..1.0, 0..40)) {
            let judged: Vec<_> = p
                .iter()
                .enumerate()
                .map(|(at, p)| (at % 5 > 0).then_some(Judged { usual: 1.0, z: 1.0 / (p + 1e-9), p_value: *p }))
                .collect();
            let left = unusual(&judged);
            prop_assert!(left.iter().all(|at| p[*at] <= LEVEL && at % 5 > 0));
            prop_assert!(left.windows(2).all(|pair| p[pair[0]] <= p[pair[1]]), "the strongest first");
            let bonferroni = LEVEL / p.len().max(1) as f64;
            prop_assert!((0..p.len()).all(|at| at % 5 == 0 || p[at] > bonferroni || left.contains(&at)));
        }
    }
}
