//! Randomness that can be played again.
//!
//! A randomised test calls [`seeded`] once. It prints the seed, and takes it from
//! `TALLYMARK_TEST_SEED` when that is set, so a failure of last night is this morning's test.

use rand::{SeedableRng, rngs::StdRng};

/// A generator for the named test, with its seed printed.
///
/// # Panics
/// When `TALLYMARK_TEST_SEED` is set and is no whole number.
pub fn seeded(test: &str) -> (u64, StdRng) {
    let seed = match std::env::var("TALLYMARK_TEST_SEED") {
        Ok(text) => text.parse().expect("TALLYMARK_TEST_SEED is a whole number"),
        Err(_) => rand::random::<u32>().into(),
    };
    println!("{test}: TALLYMARK_TEST_SEED={seed} plays this run again");
    (seed, StdRng::seed_from_u64(seed))
}

/// A whole number from the environment, or `default`: how long a long test is.
///
/// # Panics
/// When the variable is set and is no whole number.
pub fn amount(variable: &str, default: usize) -> usize {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable} is a whole number")),
        Err(_) => default,
    }
}
