//! Chance from a seed, and how a proof is told which seeds to run.
//!
//! `TALLYMARK_TEST_SEED` alone runs one seed, the one a failure printed. `TALLYMARK_TEST_SEEDS` says
//! how many to run, from that one or from 0; without it a short number is run, the one that CI has
//! time for. `TALLYMARK_TEST_MINUTES` ends a run early; it prints how many it ran, and of how many.

use std::ops::Range;
use std::time::Instant;

/// SplitMix64: small, and the same everywhere.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x7461_6c6c_796d_6172)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.below(range.end - range.start)
    }

    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end as u64 + 1) as usize);
        }
    }
}

/// Run a proof for each seed it is told to, and print one line that a program can read.
///
/// `run` gives how many events it dealt with. A failure names the seed.
pub(crate) fn each_seed(proof: &str, short: u64, mut run: impl FnMut(u64) -> u64) {
    let var = |name| std::env::var(name).ok().map(|text| whole_number(name, &text));
    let (from, wanted) = (var("TALLYMARK_TEST_SEED"), var("TALLYMARK_TEST_SEEDS"));
    let wanted = wanted.unwrap_or(if from.is_some() { 1 } else { short });
    let from = from.unwrap_or(0);
    let minutes = var("TALLYMARK_TEST_MINUTES").unwrap_or(u64::MAX / 60);
    let started = Instant::now();
    let (mut seeds, mut events) = (0, 0);
    while seeds < wanted && started.elapsed().as_secs() < minutes * 60 {
        let naming = NameSeed { proof, seed: from + seeds };
        events += run(from + seeds);
        std::mem::forget(naming);
        seeds += 1;
    }
    let ms = started.elapsed().as_millis();
    let of = if seeds < wanted { format!(" of={wanted}") } else { String::new() };
    println!("soak: {proof} seeds={seeds}{of} from={from} result=ok events={events} ms={ms}");
}

fn whole_number(name: &str, text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}; it takes a whole number"))
}

/// Says how to play a run again when the run panics.
struct NameSeed<'a> {
    proof: &'a str,
    seed: u64,
}

impl Drop for NameSeed<'_> {
    fn drop(&mut self) {
        println!("soak: {} seeds=1 from={} result=failed", self.proof, self.seed);
        println!("{}: TALLYMARK_TEST_SEED={} plays this run again", self.proof, self.seed);
    }
}
