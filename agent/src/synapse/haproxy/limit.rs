//! How often HAProxy may be reloaded: each reload costs keep-alive clients some requests and memory
//! until the old worker is gone (synapse.md §15).

use std::{num::NonZeroU32, time::Duration};

use tokio::time::Instant;

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

/// Reloads are put off so long at most, however much changes.
const LONGEST_QUIET: Duration = Duration::from_secs(2);

/// Lets changes come to rest, so that many of them cost one reload.
#[derive(Debug)]
pub struct Quiet<T> {
    waiting: Option<Waiting<T>>,
}

#[derive(Debug)]
struct Waiting<T> {
    what: T,
    first: Instant,
    last: Instant,
    jitter: Duration,
}

impl<T> Default for Quiet<T> {
    fn default() -> Self {
        Self { waiting: None }
    }
}

impl<T: PartialEq> Quiet<T> {
    /// When `what`, which is wanted now, may be brought into force. `random` is from 0 to 1.
    pub fn until(&mut self, what: T, quiet: Duration, jitter: Duration, random: f64) -> Instant {
        let now = Instant::now();
        let waiting = match self.waiting.take() {
            Some(waiting) if waiting.what == what => waiting,
            Some(waiting) => Waiting { what, last: now, ..waiting },
            None => Waiting { what, first: now, last: now, jitter: jitter.mul_f64(random) },
        };
        let latest = waiting.first + LONGEST_QUIET.max(quiet) + waiting.jitter;
        let until = (waiting.last + quiet).max(waiting.first + waiting.jitter).min(latest);
        self.waiting = Some(waiting);
        until
    }

    /// Nothing waits any more.
    pub fn over(&mut self) {
        self.waiting = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn changes_are_waited_for_until_they_come_to_rest_but_not_for_ever() {
        let (quiet, jitter) = (Duration::from_millis(100), Duration::from_millis(400));
        let mut waiting = Quiet::default();
        let begun = Instant::now();
        let mut until = |what| waiting.until(what, quiet, jitter, 0.5);
        assert_eq!(until(1), begun + Duration::from_millis(200), "the jitter is longer");
        tokio::time::advance(Duration::from_millis(150)).await;
        assert_eq!(until(1), begun + Duration::from_millis(200));
        assert_eq!(until(2), begun + Duration::from_millis(250));
        for what in 3..40 {
            tokio::time::advance(Duration::from_millis(90)).await;
            assert!(until(what) <= begun + Duration::from_millis(2200));
        }
        assert!(until(40) < Instant::now(), "too much has changed for too long");
        waiting.over();
        assert!(waiting.until(40, quiet, jitter, 0.0) > Instant::now());
    }

    #[test]
    fn after_the_burst_comes_a_pause() {
        let burst = NonZeroU32::new(3).unwrap();
        let mut limit = Governed::new(Duration::from_secs(3600), burst);
        assert!((0..3).all(|_| limit.take().is_ok()));
        let wait = limit.take().unwrap_err();
        assert!(wait > Duration::from_secs(3500) && wait <= Duration::from_secs(3600), "{wait:?}");
    }
}
