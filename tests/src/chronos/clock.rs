//! A clock that may run faster than the one of this machine.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    started: Instant,
    from: Timestamp,
    /// So many seconds pass in one.
    speed: u32,
}

impl Clock {
    pub(super) fn new(from: Timestamp, speed: u32) -> Self {
        Self { started: Instant::now(), from, speed: speed.max(1) }
    }

    pub(super) fn now(&self) -> Timestamp {
        let passed = self.started.elapsed().saturating_mul(self.speed);
        let passed = SignedDuration::try_from(passed).unwrap_or(SignedDuration::MAX);
        self.from.checked_add(passed).unwrap_or(Timestamp::MAX)
    }

    /// How long it is here until then.
    pub(super) fn until(&self, then: Timestamp) -> Duration {
        let wait = then.duration_since(self.now());
        Duration::try_from(wait).unwrap_or_default() / self.speed
    }
}
