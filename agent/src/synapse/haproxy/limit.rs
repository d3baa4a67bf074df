//! How often HAProxy may be reloaded: each reload costs keep-alive clients some requests and memory
//! until the old worker is gone (synapse.md §15).

use std::{num::NonZeroU32, time::Duration};

use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
};

/// Says whether a reload may happen now. Replaced in tests.
pub trait Limit: Send {
    /// Takes one reload from the allowance.
    ///
    /// # Errors
    /// With the time to wait if there is none left.
    fn take(&mut self) -> Result<(), Duration>;
}

/// The limit in use.
#[derive(Debug)]
pub struct Governed {
    limiter: DefaultDirectRateLimiter,
    clock: DefaultClock,
}

impl Governed {
    /// `burst` reloads at once, then one per `interval` (at least a millisecond).
    #[must_use]
    pub fn new(interval: Duration, burst: NonZeroU32) -> Self {
        let interval = interval.max(Duration::from_millis(1));
        let quota = Quota::with_period(interval).unwrap_or(Quota::per_second(NonZeroU32::MIN));
        Self {
            limiter: RateLimiter::direct(quota.allow_burst(burst)),
            clock: DefaultClock::default(),
        }
    }
}

impl Limit for Governed {
    fn take(&mut self) -> Result<(), Duration> {
        self.limiter.check().map_err(|until| until.wait_time_from(self.clock.now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_burst_comes_a_pause() {
        let burst = NonZeroU32::new(3).unwrap();
        let mut limit = Governed::new(Duration::from_secs(3600), burst);
        assert!((0..3).all(|_| limit.take().is_ok()));
        let wait = limit.take().unwrap_err();
        assert!(wait > Duration::from_secs(3500) && wait <= Duration::from_secs(3600), "{wait:?}");
    }
}
