//! Inputs made of other inputs: what a hostile or broken sender might send.
//!
//! In: a seed, an input and another of its kind. Out: bytes. The same seed makes the same bytes on every machine, so
//! an input that breaks something can be made again, and is kept in `tests/corpora` then.
//!
//! There is no looking at which code an input reaches: that needs another compiler. Inputs are many instead, and what they
//! are made of is close to what is read. This file is also a part of the tests of the store and of the collector, and so
//! uses nothing but the standard library.

/// Makes inputs.
pub struct Mutator(u64);

/// Numbers that readers get wrong.
const NUMBERS: [&str; 12] = [
    "0",
    "-0",
    "-1",
    "255",
    "65536",
    "4294967296",
    "9007199254740993",
    "-9223372036854775808",
    "18446744073709551616",
    "1e400",
    "-1e-400",
    "0.1e1",
];

impl Mutator {
    /// One that makes the inputs of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(2).wrapping_add(1))
    }

    /// A number below `end`; 0 when that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        // A linear congruential generator, whose upper half is good enough here.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if end == 0 { 0 } else { (self.0 >> 33) as usize % end }
    }

    /// One to eight changes of an input; parts may come from `other`, words from `words`.
    pub fn mutate(&mut self, input: &[u8], other: &[u8], words: &[&str]) -> Vec<u8> {
        let mut bytes = input.to_vec();
        for _ in 0..=self.below(8) {
            self.change(&mut bytes, other, words);
        }
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, other: &[u8], words: &[&str]) {
        let at = self.below(bytes.len() + 1);
        let to = (at + 1 + self.below(32)).min(bytes.len());
        match self.below(10) {
            0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            1 if at < bytes.len() => bytes[at] = self.below(256) as u8,
            2 => bytes.insert(at, self.below(256) as u8),
            3 => drop(bytes.drain(at.min(to)..to)),
            4 => bytes.truncate(at),
            // The same once more, or a thousand times.
            5 => {
                let part = bytes[at.min(to)..to].to_vec();
                let times = if self.below(8) == 0 { 1_000 } else { 1 };
                bytes.splice(at..at, part.repeat(times));
            }
            6 => {
                let from = self.below(other.len() + 1);
                let end = (from + self.below(64)).min(other.len());
                bytes.splice(at..at, other[from..end].iter().copied());
            }
            7 if !words.is_empty() => {
                let word = words[self.below(words.len())];
                bytes.splice(at..at, word.bytes());
            }
            // A number in place of a number.
            8 => {
                let digits = |from: usize| {
                    bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count()
                };
                if let Some(start) = bytes[at..].iter().position(u8::is_ascii_digit) {
                    let (start, number) = (at + start, NUMBERS[self.below(NUMBERS.len())]);
                    let end = start + digits(start);
                    bytes.splice(start..end, number.bytes());
                }
            }
            _ => {
                let from = self.below(bytes.len() + 1);
                let (low, high) = (from.min(at), from.max(at));
                bytes[low..high].reverse();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_the_same_inputs_each_time_and_another_makes_others() {
        let of = |seed| {
            let mut mutator = Mutator::new(seed);
            (0..100)
                .map(|_| mutator.mutate(b"{\"a\":12}", b"{\"b\":[]}", &["null"]))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
        assert!(of(7).iter().any(Vec::is_empty) || of(7).iter().any(|bytes| bytes.len() > 8));
        // Nothing to change is changed too.
        let mut mutator = Mutator::new(1);
        (0..1_000).for_each(|_| drop(mutator.mutate(b"", b"", &[])));
    }
}
