//! When people visit: days of the week, hours of the day, and a site that grows.
//!
//! In: a time and the visitor's offset from UTC. Out: how likely a visit is then, relative to the
//! busiest moment (1.0). Offsets are whole hours: a demo has no daylight saving time.

use super::random::Random;

/// One day in milliseconds.
pub const DAY_MS: i64 = 86_400_000;
const HOUR_MS: i64 = 3_600_000;

/// Monday first. Work days carry a shop with articles; Saturday is out of doors.
const WEEKDAY: [f64; 7] = [0.97, 1.0, 1.0, 0.95, 0.84, 0.56, 0.68];

/// Midnight first: a small peak at lunch, the big one in the evening.
const HOUR: [f64; 24] = [
    0.16, 0.09, 0.05, 0.04, 0.05, 0.09, 0.22, 0.42, 0.56, 0.62, 0.66, 0.72, 0.82, 0.76, 0.68, 0.66,
    0.68, 0.74, 0.82, 0.92, 1.0, 0.92, 0.64, 0.34,
];

/// How likely a visit at `ts_ms` (Unix time) is for someone `offset_hours` ahead of UTC: 0..=1.
pub fn likelihood(ts_ms: i64, offset_hours: i64) -> f64 {
    let local_ms = ts_ms + offset_hours * HOUR_MS;
    let weekday = (local_ms.div_euclid(DAY_MS) + 3).rem_euclid(7);
    let hour = local_ms.rem_euclid(DAY_MS) / HOUR_MS;
    WEEKDAY[weekday as usize] * HOUR[hour as usize]
}

/// A moment for a visit, near what `draw` proposes but at a time of day when people are awake.
///
/// Proposals are rejected by their likelihood; after 40 refusals the last one is taken, so that
/// this always ends.
pub fn moment(
    random: &mut Random,
    offset_hours: i64,
    mut draw: impl FnMut(&mut Random) -> i64,
) -> i64 {
    let mut ts_ms = draw(random);
    for _ in 0..40 {
        if random.chance(likelihood(ts_ms, offset_hours)) {
            break;
        }
        ts_ms = draw(random);
    }
    ts_ms
}

/// How far into the period (0..1) somebody shows up for the first time: later is likelier, the
/// last day has about `growth` times the newcomers of the first.
pub fn arrival(random: &mut Random, growth: f64) -> f64 {
    // The inverse of the distribution with density 1 + (growth - 1) x, normalised.
    let slope = growth - 1.0;
    let area = 1.0 + slope / 2.0;
    let u = random.unit() * area;
    if slope.abs() < 1e-9 { u } else { ((1.0 + 2.0 * slope * u).sqrt() - 1.0) / slope }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_epoch_was_a_thursday_night_in_london() {
        assert_eq!(likelihood(0, 0), WEEKDAY[3] * HOUR[0]);
        assert_eq!(likelihood(-1, 0), WEEKDAY[2] * HOUR[23]);
        assert_eq!(likelihood(0, -5), WEEKDAY[2] * HOUR[19]);
    }

    #[test]
    fn growth_brings_more_people_late_than_early() {
        let mut random = Random::new(3, 0);
        let drawn: Vec<f64> = (0..10_000).map(|_| arrival(&mut random, 3.0)).collect();
        assert!(drawn.iter().all(|x| (0.0..1.0).contains(x)));
        let late = drawn.iter().filter(|x| **x >= 0.5).count();
        assert!((6_100..6_400).contains(&late), "2.5 of 4 parts lie in the later half, got {late}");
    }
}
