//! How long to wait before trying again: doubling, capped, jittered.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// Settings of a back-off; a plain value, so that every user names its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    jitter: f64,
}

/// Why three numbers are no back-off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBackoff {
    #[error("the shortest wait must be longer than zero")]
    Zero,
    #[error("the longest wait is shorter than the shortest")]
    Order,
    #[error("jitter must be between 0 and 1")]
    Jitter,
}

impl Backoff {
    /// The first wait is about `min`, each further one twice as long, none longer than `max`.
    /// A wait is cut by a random share of up to `jitter` (0 to 1) of itself, but never below `min`.
    ///
    /// # Errors
    /// When `min` is zero or above `max`, or `jitter` is outside 0..=1.
    pub fn new(min: Duration, max: Duration, jitter: f64) -> Result<Self, InvalidBackoff> {
        if min.is_zero() {
            return Err(InvalidBackoff::Zero);
        }
        if max < min {
            return Err(InvalidBackoff::Order);
        }
        if !(0.0..=1.0).contains(&jitter) {
            return Err(InvalidBackoff::Jitter);
        }
        Ok(Self { min, max, jitter })
    }

    /// For constants, where the numbers stand in the source: half of each wait is jitter.
    #[must_use]
    pub(crate) const fn fixed(min_ms: u64, max_ms: u64) -> Self {
        assert!(0 < min_ms && min_ms <= max_ms, "min and max are out of order");
        Self { min: Duration::from_millis(min_ms), max: Duration::from_millis(max_ms), jitter: 0.5 }
    }

    /// The wait after `failures` earlier ones; `random` is in 0..1.
    #[must_use]
    pub fn wait(&self, failures: u32, random: f64) -> Duration {
        let factor = 2_u32.saturating_pow(failures.min(31));
        let base = self.min.saturating_mul(factor).min(self.max);
        base.mul_f64(1.0 - self.jitter * random.clamp(0.0, 1.0)).max(self.min)
    }

    /// A fresh series of waits.
    #[must_use]
    pub fn waits(self) -> Waits {
        Waits { backoff: self, failures: 0 }
    }
}

/// The waits of one series of failures.
#[derive(Clone, Debug)]
pub struct Waits {
    backoff: Backoff,
    failures: u32,
}

impl Waits {
    /// The wait after one more failure.
    pub fn after_failure(&mut self) -> Duration {
        let wait = self.backoff.wait(self.failures, random());
        self.failures = self.failures.saturating_add(1);
        wait
    }

    /// How many failures there have been since the last success.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Ends the series: the next failure waits shortest again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Evenly spread over 0..1; good enough to keep hosts apart, not for secrets.
#[must_use]
pub fn random() -> f64 {
    // The standard library seeds every hasher state anew, which saves a dependency.
    let bits = RandomState::new().hash_one(());
    f64::from(u32::try_from(bits >> 32).unwrap_or_default()) / 2_f64.powi(32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn waits_double_up_to_the_cap_and_start_anew_after_a_success() {
        let mut waits = Backoff::new(100 * MS, 1000 * MS, 0.0).unwrap().waits();
        let series: Vec<_> = (0..6).map(|_| waits.after_failure().as_millis()).collect();
        assert_eq!(series, [100, 200, 400, 800, 1000, 1000]);
        waits.reset();
        assert_eq!(waits.after_failure(), 100 * MS);
        assert_eq!(waits.failures(), 1);
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(Backoff::new(Duration::ZERO, MS, 0.5), Err(InvalidBackoff::Zero));
        assert_eq!(Backoff::new(2 * MS, MS, 0.5), Err(InvalidBackoff::Order));
        for jitter in [-0.1, 1.1, f64::NAN] {
            assert_eq!(Backoff::new(MS, MS, jitter), Err(InvalidBackoff::Jitter));
        }
    }

    #[test]
    fn random_numbers_are_spread_over_the_unit() {
        let drawn: Vec<f64> = (0..1000).map(|_| random()).collect();
        assert!(drawn.iter().all(|r| (0.0..1.0).contains(r)));
        assert!(drawn.iter().any(|r| *r < 0.2) && drawn.iter().any(|r| *r > 0.8));
    }

    proptest! {
        #[test]
        fn a_wait_stays_between_min_and_max(
            min in 1_u64..100_000,
            more in 0_u64..10_000_000,
            jitter in 0.0_f64..=1.0,
            failures: u32,
            random in 0.0_f64..1.0,
        ) {
            let (min, max) = (Duration::from_millis(min), Duration::from_millis(min + more));
            let wait = Backoff::new(min, max, jitter).unwrap().wait(failures, random);
            prop_assert!(min <= wait && wait <= max, "{wait:?}");
        }
    }
}
