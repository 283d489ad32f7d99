//! Random bytes from one seed, so that the tracker stays pure and asks the browser only once.
//!
//! HMAC-SHA256 of a counter under the seed: as unpredictable as the seed, which comes from
//! `crypto.getRandomValues`.

use tallymark_protocol::hashing::{self, Namespace};

/// A stream of random bytes. The same seed gives the same stream.
pub struct Random {
    seed: [u8; 32],
    blocks: u64,
    block: [u8; 32],
    used: usize,
}

impl Random {
    /// The stream of `seed`.
    pub fn new(seed: [u8; 32]) -> Random {
        Random { seed, blocks: 0, block: [0; 32], used: 32 }
    }

    /// The next `N` bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        for byte in &mut out {
            if self.used >= self.block.len() {
                let mut counter = String::new();
                crate::json::push_whole(&mut counter, self.blocks);
                // The namespace is of no meaning here: this is the HMAC that is in the module anyway.
                self.block = hashing::h1(&self.seed, Namespace::Device, &counter);
                self.blocks += 1;
                self.used = 0;
            }
            *byte = self.block[self.used & 31];
            self.used += 1;
        }
        out
    }

    /// A number in [0, 1).
    pub fn ratio(&mut self) -> f64 {
        f64::from(u32::from_be_bytes(self.bytes())) / 4_294_967_296.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_stream_and_never_repeats_itself() {
        let (mut one, mut two) = (Random::new([7; 32]), Random::new([7; 32]));
        let first: [u8; 10] = one.bytes();
        assert_eq!(first, two.bytes());
        let mut seen = std::collections::HashSet::from([first]);
        for _ in 0..1_000 {
            assert!(seen.insert(one.bytes()));
        }
        assert_ne!(Random::new([8; 32]).bytes::<10>(), first);
    }

    #[test]
    fn ratios_fill_zero_to_one() {
        let mut random = Random::new([1; 32]);
        let ratios: Vec<f64> = (0..1_000).map(|_| random.ratio()).collect();
        assert!(ratios.iter().all(|ratio| (0.0..1.0).contains(ratio)));
        let mean = ratios.iter().sum::<f64>() / 1_000.0;
        // Five standard errors of the mean of 1,000 uniform numbers.
        assert!((mean - 0.5).abs() < 5.0 * (1.0f64 / 12.0 / 1_000.0).sqrt(), "{mean}");
    }
}
