//! Repeating a test many times: progress on the way, an end in time, figures for the results page.

use std::time::{Duration, Instant};

use crate::seed::amount;

/// How often a repeated test says how far it is.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// An iterator over rounds, numbered from 0. It prints how far it is, and ends early when the time
/// that `TALLYMARK_TEST_MINUTES` gives is over: a full run is bounded even on a slow machine, and
/// says how many rounds it made.
#[derive(Debug)]
pub struct Rounds {
    what: &'static str,
    wanted: usize,
    made: usize,
    from: Instant,
    said: Instant,
    until: Option<Instant>,
}

impl Rounds {
    /// As many rounds as the environment variable says, else `default`.
    pub fn of(what: &'static str, variable: &str, default: usize) -> Rounds {
        let from = Instant::now();
        let minutes = amount("TALLYMARK_TEST_MINUTES", 0) as u64;
        let until = (minutes > 0).then(|| from + Duration::from_secs(minutes * 60));
        Rounds { what, wanted: amount(variable, default), made: 0, from, said: from, until }
    }

    /// How many rounds were asked for.
    pub fn wanted(&self) -> usize {
        self.wanted
    }

    /// `50 kills`, or what became of it when time was over.
    pub fn made(&self) -> String {
        let Rounds { what, made, wanted, .. } = self;
        if made == wanted {
            format!("{made} {what}")
        } else {
            format!("{made} of {wanted} {what}; then the time was over")
        }
    }
}

impl Iterator for Rounds {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let now = Instant::now();
        if self.made == self.wanted || self.until.is_some_and(|until| now >= until) {
            return None;
        }
        if now - self.said > SAY_EVERY {
            self.said = now;
            let (what, seconds) = (self.what, (now - self.from).as_secs());
            println!("… {} of {} {what} after {seconds} s", self.made, self.wanted);
        }
        self.made += 1;
        Some(self.made - 1)
    }
}

/// Say a result in a form that `cargo xtask soak` copies to the results page.
pub fn figure(text: &str) {
    println!("figure: {text}");
}

/// The value below which 99 % of the values lie; the largest of fewer than 100.
///
/// # Panics
/// When there is none.
pub fn p99<T: Ord + Copy>(values: &mut [T]) -> T {
    values.sort_unstable();
    values[(values.len() * 99).div_ceil(100) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_99th_percentile_leaves_one_of_a_hundred_out() {
        assert_eq!(p99(&mut [3, 1, 2]), 3);
        let mut hundred: Vec<u32> = (1..=100).rev().collect();
        assert_eq!(p99(&mut hundred), 99);
        let mut more: Vec<u32> = (1..=1_000).collect();
        assert_eq!(p99(&mut more), 990);
    }
}
