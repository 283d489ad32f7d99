//! Randomness that repeats: the same seed draws the same numbers on every machine and release.
//!
//! In: a seed and a stream number. Out: draws. Invariant: a stream depends on nothing but the two,
//! so one person's life does not change when somebody else's does.
//!
//! Deliberately not the `rand` crate: its generators may change their output between releases,
//! and demo data that changes under a screenshot or a test is worse than a generator of ten lines.

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): one multiplication chain per draw, full period.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The stream `stream` of `seed`.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut random = Self(seed ^ stream.wrapping_mul(0xd1b5_4a32_d192_ed03));
        random.next();
        random
    }

    /// 64 random bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `0.0..1.0`.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Whether something of probability `ratio` happens.
    pub fn chance(&mut self, ratio: f64) -> bool {
        self.unit() < ratio
    }

    /// Uniform in `low..high`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform index below `len`. `len` is at least 1.
    pub fn below(&mut self, len: usize) -> usize {
        ((self.unit() * len as f64) as usize).min(len - 1)
    }

    /// One entry, each as likely as its weight says. `table` has at least one entry.
    pub fn weighted<'a, T>(&mut self, table: &'a [(f64, T)]) -> &'a T {
        let total: f64 = table.iter().map(|(weight, _)| weight).sum();
        let mut point = self.unit() * total;
        for (weight, value) in table {
            point -= weight;
            if point < 0.0 {
                return value;
            }
        }
        &table[table.len() - 1].1
    }

    /// Log-normal with the given median; `sigma` says how heavy the tail is.
    pub fn log_normal(&mut self, median: f64, sigma: f64) -> f64 {
        median * (sigma * self.normal()).exp()
    }

    /// Standard normal: Box and Muller, one of the pair.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_draws_of_a_stream_never_change() {
        let mut random = Random::new(1, 2);
        let drawn: Vec<u64> = (0..3).map(|_| random.next()).collect();
        let mut again = Random::new(1, 2);
        assert_eq!(drawn, (0..3).map(|_| again.next()).collect::<Vec<_>>());
        assert_ne!(drawn[0], Random::new(1, 3).next());
        assert_ne!(drawn[0], Random::new(2, 2).next());
    }

    #[test]
    fn weights_decide_how_often_an_entry_is_drawn() {
        let mut random = Random::new(7, 0);
        let hits = (0..10_000).filter(|_| *random.weighted(&[(3.0, true), (1.0, false)])).count();
        assert!((7_300..7_700).contains(&hits), "{hits}");
    }

    #[test]
    fn half_of_a_log_normal_lies_below_its_median() {
        let mut random = Random::new(9, 0);
        let below = (0..10_000).filter(|_| random.log_normal(4.0, 1.2) < 4.0).count();
        assert!((4_800..5_200).contains(&below), "{below}");
    }
}
