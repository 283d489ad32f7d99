//! Who does it: ids, how much each does, since when, from which country, device and kind of window.

use rand::{Rng, RngExt};

use crate::draw::EXPOSURE;

/// Persons are drawn by weight, those who have not come yet are not there.
///
/// A person's weight is Pareto distributed (Lomax, shape 1.2, plus 0.05). Persons stand in the
/// order of their first day, an equal number each day, so that those there on a day come first.
pub struct People {
    people: Vec<Person>,
    days: u64,
    by_weight: Alias,
}

struct Person {
    id: i64,
    country: u8,
    device: u8,
    variant: u8,
    mode: u8,
}

impl People {
    pub fn new(events: u64, days: u64, random: &mut impl Rng) -> People {
        let count = (events / 100).max(1_000);
        // Zipf with exponent 1.5; what lies beyond the last country is from there.
        let shares: Vec<f64> = (1..60).map(|rank| f64::from(rank).powf(-1.5)).collect();
        const ALL: f64 = 2.612_375_348_685_488; // zeta(1.5)
        let last = ALL - shares.iter().sum::<f64>();
        let country = Alias::new(shares.into_iter().chain([last]));
        let device = Alias::new([0.55, 0.38, 0.07].into_iter());
        let people = (0..count)
            .map(|_| Person {
                id: random.random_range(1..i64::MAX),
                country: country.pick(random) as u8,
                device: device.pick(random) as u8,
                variant: random.random_range(0..2),
                // One in seven has the app installed.
                mode: u8::from(random.random_range(0..7) == 0),
            })
            .collect();
        let weights: Vec<f64> = (0..count)
            .map(|_| (1.0 - random.random::<f64>()).powf(-1.0 / 1.2) - 1.0 + 0.05)
            .collect();
        People { people, days, by_weight: Alias::new(weights.into_iter()) }
    }

    /// Somebody who is there on a day: by weight, but after two who are not yet, anyone.
    pub fn pick(&self, day: u64, random: &mut impl Rng) -> usize {
        let there = (self.people.len() as u64 * (day + 1) / self.days).max(1) as usize;
        let mut weighted = || Some(self.by_weight.pick(random)).filter(|who| *who < there);
        let first = weighted();
        first.or_else(weighted).unwrap_or_else(|| random.random_range(0..there))
    }

    pub fn id(&self, who: usize) -> i64 {
        self.people[who].id
    }

    pub fn country(&self, who: usize) -> i32 {
        self.people[who].country.into()
    }

    pub fn device(&self, who: usize) -> i32 {
        self.people[who].device.into()
    }

    /// How they open the app.
    pub fn mode(&self, who: usize) -> i32 {
        self.people[who].mode.into()
    }

    /// What an event says of the experiment.
    pub fn variant(&self, who: usize, name: usize) -> Option<i32> {
        (name == EXPOSURE).then(|| self.people[who].variant.into())
    }
}

/// Draws from a list of weights in two steps, however long it is (Walker's alias method, as built by
/// Vose, "A linear algorithm for generating random numbers with a given distribution", 1991).
pub struct Alias {
    /// How much of a place is its own, and whose the rest is.
    places: Vec<(f32, u32)>,
}

impl Alias {
    pub fn new(weights: impl Iterator<Item = f64>) -> Alias {
        let mut weights: Vec<f64> = weights.collect();
        let mean = weights.iter().sum::<f64>() / weights.len() as f64;
        weights.iter_mut().for_each(|weight| *weight /= mean);
        let mut places: Vec<_> = (0..weights.len()).map(|i| (1.0, i as u32)).collect();
        let (mut small, mut large): (Vec<_>, Vec<_>) =
            (0..weights.len()).partition(|i| weights[*i] < 1.0);
        while let (Some(&little), Some(&much)) = (small.last(), large.last()) {
            small.pop();
            places[little] = (weights[little] as f32, much as u32);
            weights[much] -= 1.0 - weights[little];
            if weights[much] < 1.0 {
                small.extend(large.pop());
            }
        }
        Alias { places }
    }

    pub fn pick(&self, random: &mut impl Rng) -> usize {
        let place = random.random_range(0..self.places.len());
        let (own, other) = self.places[place];
        if random.random::<f32>() < own { place } else { other as usize }
    }
}
