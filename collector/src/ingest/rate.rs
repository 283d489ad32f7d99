//! How fast somebody may send: three budgets, of the network, the key and the project; and how many unknown keys a
//! network may try, which is a budget as well.
//!
//! A token bucket for each: `burst` batches at once, then `rate` per second. A batch needs a token of every one of its
//! budgets, or takes none. Keys and projects are known ones, so their number is bounded by what operators made; networks
//! are whoever asks, so their number is bounded here: those who have their whole burst again are forgotten first.

use std::net::IpAddr;
use std::sync::Mutex;

use hashbrown::HashMap;

/// Networks that are remembered.
const NETWORKS_MAX: usize = 100_000;

/// Whose budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Budget {
    /// Of a network, as requests are cut to it.
    Network(IpAddr),
    /// Of a network as well: keys that are unknown.
    Guesses(IpAddr),
    /// Of a key.
    Key(u32),
    /// Of a project.
    Project(u32),
}

/// How fast: batches per second on average, and at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Tokens that come in a second.
    pub per_s: f64,
    /// The most there are.
    pub burst: f64,
}

impl Pace {
    /// From settings.
    pub fn new(per_s: u32, burst: u32) -> Self {
        Self { per_s: per_s.into(), burst: burst.into() }
    }
}

/// The buckets.
#[derive(Debug, Default)]
pub struct Rates(Mutex<Buckets>);

#[derive(Debug, Default)]
struct Buckets {
    all: HashMap<Budget, Bucket>,
    /// When those that are whole again were last forgotten.
    swept_ms: i64,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    filled_ms: i64,
    pace: Pace,
}

impl Bucket {
    fn fill(&mut self, pace: Pace, now_ms: i64) {
        // A clock that went back fills nothing; it starts to fill from there.
        let passed_s = now_ms.saturating_sub(self.filled_ms).max(0) as f64 / 1e3;
        self.filled_ms = now_ms;
        self.pace = pace;
        self.tokens = (self.tokens + passed_s * pace.per_s).min(pace.burst);
    }

    fn is_whole(&self, now_ms: i64) -> bool {
        let passed_s = now_ms.saturating_sub(self.filled_ms).max(0) as f64 / 1e3;
        self.tokens + passed_s * self.pace.per_s >= self.pace.burst
    }
}

impl Rates {
    /// Take one token of each budget. `Err` says after how many seconds there is one, at least 1.
    ///
    /// # Errors
    /// When somebody sends faster than they may; then nothing is taken.
    pub fn take(&self, budgets: &[(Budget, Pace)], now_ms: i64) -> Result<(), u64> {
        let mut buckets = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let Buckets { all: buckets, swept_ms } = &mut *buckets;
        // Once a second: it looks at all of them.
        if buckets.len() >= NETWORKS_MAX && now_ms.abs_diff(*swept_ms) >= 1_000 {
            *swept_ms = now_ms;
            buckets.retain(|_, bucket| !bucket.is_whole(now_ms));
        }
        let mut wait_s = 0;
        for &(budget, pace) in budgets {
            let full = buckets.len() >= NETWORKS_MAX && !buckets.contains_key(&budget);
            if full && matches!(budget, Budget::Network(_) | Budget::Guesses(_)) {
                // That many at once, and all of them busy: the other budgets hold.
                continue;
            }
            let new = Bucket { tokens: pace.burst, filled_ms: now_ms, pace };
            let bucket = buckets.entry(budget).or_insert(new);
            bucket.fill(pace, now_ms);
            if bucket.tokens < 1.0 {
                wait_s = wait_s.max(((1.0 - bucket.tokens) / pace.per_s).ceil().max(1.0) as u64);
            }
        }
        if wait_s > 0 {
            return Err(wait_s);
        }
        for (budget, _) in budgets {
            if let Some(bucket) = buckets.get_mut(budget) {
                bucket.tokens -= 1.0;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Budget = Budget::Key(1);

    #[test]
    fn a_burst_passes_then_the_rate_counts() {
        let (rates, pace) = (Rates::default(), Pace::new(2, 3));
        let taken: Vec<_> = (0..4).map(|_| rates.take(&[(KEY, pace)], 0)).collect();
        assert_eq!(taken, [Ok(()), Ok(()), Ok(()), Err(1)]);
        assert_eq!(rates.take(&[(KEY, pace)], 499), Err(1));
        assert_eq!(rates.take(&[(KEY, pace)], 500), Ok(()));
        assert_eq!(rates.take(&[(Budget::Key(2), pace)], 0), Ok(()), "another key has its own");
        assert_eq!(rates.take(&[(Budget::Project(1), pace)], 0), Ok(()), "and so has a project");
    }

    #[test]
    fn a_clock_that_went_back_does_not_lock_a_key_out_for_long() {
        let (rates, pace) = (Rates::default(), Pace::new(1, 1));
        assert_eq!(rates.take(&[(KEY, pace)], 1_000_000), Ok(()));
        assert_eq!(rates.take(&[(KEY, pace)], 0), Err(1));
        assert_eq!(rates.take(&[(KEY, pace)], 1_000), Ok(()));
    }

    #[test]
    fn a_batch_that_one_budget_refuses_takes_nothing_of_the_others() {
        let rates = Rates::default();
        let all = [(KEY, Pace::new(1, 2)), (Budget::Project(1), Pace::new(1, 1))];
        assert_eq!(rates.take(&all, 0), Ok(()));
        for _ in 0..5 {
            assert_eq!(rates.take(&all, 0), Err(1), "the project's");
        }
        assert_eq!(rates.take(&all[..1], 0), Ok(()), "the key has its second one");
    }

    #[test]
    fn networks_are_bounded_and_those_with_nothing_left_are_remembered() {
        let (rates, pace) = (Rates::default(), Pace::new(1, 10));
        let network = |n: u32| Budget::Network(IpAddr::V4(n.to_be_bytes().into()));
        let slow = [(network(0), Pace { per_s: 0.01, burst: 1.0 })];
        assert_eq!(rates.take(&slow, 0), Ok(()));
        for n in 1..2 * NETWORKS_MAX as u32 {
            // Twenty a millisecond: ten seconds in all, and each has its whole burst again after one.
            assert_eq!(rates.take(&[(network(n), pace)], i64::from(n) / 20), Ok(()));
        }
        assert!(rates.0.lock().unwrap().all.len() <= NETWORKS_MAX);
        assert_eq!(rates.take(&slow, 10_000), Err(90));
    }
}
