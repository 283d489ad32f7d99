//! How fast a key may send.
//!
//! A token bucket per key: `burst` batches at once, then `rate` per second. Keys are known keys, so
//! the number of buckets is bounded by what operators made.

use std::sync::Mutex;

use hashbrown::HashMap;

/// The buckets.
#[derive(Debug)]
pub struct Rates {
    per_s: f64,
    burst: f64,
    buckets: Mutex<HashMap<u32, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    filled_ms: i64,
}

impl Rates {
    /// `per_s` batches per second and key, `burst` of them at once.
    pub fn new(per_s: u32, burst: u32) -> Self {
        Self { per_s: per_s.into(), burst: burst.into(), buckets: Mutex::default() }
    }

    /// Take one token of a key. `Err` says after how many seconds there is one, at least 1.
    ///
    /// # Errors
    /// When the key sends faster than it may.
    pub fn take(&self, key: u32, now_ms: i64) -> Result<(), u64> {
        let mut buckets = self.buckets.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let bucket = buckets.entry(key).or_insert(Bucket { tokens: self.burst, filled_ms: now_ms });
        // A clock that went back fills nothing; it starts to fill from there.
        let passed_s = now_ms.saturating_sub(bucket.filled_ms).max(0) as f64 / 1e3;
        bucket.filled_ms = now_ms;
        bucket.tokens = (bucket.tokens + passed_s * self.per_s).min(self.burst);
        if bucket.tokens < 1.0 {
            return Err(((1.0 - bucket.tokens) / self.per_s).ceil().max(1.0) as u64);
        }
        bucket.tokens -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_counts() {
        let rates = Rates::new(2, 3);
        let taken: Vec<_> = (0..4).map(|_| rates.take(1, 0)).collect();
        assert_eq!(taken, [Ok(()), Ok(()), Ok(()), Err(1)]);
        assert_eq!(rates.take(1, 499), Err(1));
        assert_eq!(rates.take(1, 500), Ok(()));
        assert_eq!(rates.take(2, 0), Ok(()), "another key has a bucket of its own");
    }

    #[test]
    fn a_clock_that_went_back_does_not_lock_a_key_out_for_long() {
        let rates = Rates::new(1, 1);
        assert_eq!(rates.take(1, 1_000_000), Ok(()));
        assert_eq!(rates.take(1, 0), Err(1));
        assert_eq!(rates.take(1, 1_000), Ok(()));
    }
}
