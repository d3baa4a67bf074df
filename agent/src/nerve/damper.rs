//! Flap damping: whoever falls again and again comes back later each time. It delays coming back, never
//! leaving: traffic is kept from a task that cannot be relied on, and ZooKeeper from its changes.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// When a task counts as flapping and how long it is held out then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damping {
    /// So many falls within the window are one too many; 0: nobody is held out. Default 4.
    pub falls: usize,
    /// Default 5 min.
    pub window: Duration,
    /// How long it is held out, counted from its fall; twice as long for each further fall. Default 10 s.
    pub hold: Duration,
    /// But never longer than this. Default 2 min.
    pub longest: Duration,
}

impl Default for Damping {
    fn default() -> Self {
        Self {
            falls: 4,
            window: Duration::from_secs(300),
            hold: Duration::from_secs(10),
            longest: Duration::from_secs(120),
        }
    }
}

/// More falls than these make no difference.
const REMEMBERED: usize = 64;

/// The falls of one registration.
#[derive(Clone, Debug)]
pub struct Damper {
    policy: Damping,
    falls: VecDeque<Instant>,
    until: Option<Instant>,
}

impl Damper {
    #[must_use]
    pub fn new(policy: Damping) -> Self {
        Self { policy, falls: VecDeque::new(), until: None }
    }

    /// It was up and is down.
    pub fn fell(&mut self, now: Instant) {
        self.falls.retain(|at| now.duration_since(*at) < self.policy.window);
        if self.falls.len() == REMEMBERED {
            self.falls.pop_front();
        }
        self.falls.push_back(now);
        if self.policy.falls == 0 || self.falls.len() < self.policy.falls {
            return;
        }
        let doublings = u32::try_from(self.falls.len() - self.policy.falls).unwrap_or(u32::MAX);
        let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
        let hold = self.policy.hold.saturating_mul(factor).min(self.policy.longest);
        self.until = Some(now + hold);
    }

    /// How long it is still held out; `None`: it may come back.
    #[must_use]
    pub fn held(&self, now: Instant) -> Option<Duration> {
        self.until
            .and_then(|until| until.checked_duration_since(now))
            .filter(|left| !left.is_zero())
    }

    /// How often it fell within the window.
    #[must_use]
    pub fn falls(&self) -> usize {
        self.falls.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_fourth_fall_holds_it_out_and_each_further_one_for_longer() {
        let mut damper = Damper::new(Damping::default());
        let mut now = Instant::now();
        let mut holds = Vec::new();
        for _ in 0..9 {
            damper.fell(now);
            holds.push(damper.held(now).map_or(0, |left| left.as_secs()));
            now += SECOND;
        }
        assert_eq!(holds, [0, 0, 0, 10, 20, 40, 80, 120, 120]);
        assert_eq!(damper.held(now + 119 * SECOND), None);
    }

    #[test]
    fn old_falls_are_forgotten() {
        let mut damper = Damper::new(Damping::default());
        let mut now = Instant::now();
        for _ in 0..20 {
            damper.fell(now);
            assert_eq!(damper.held(now), None);
            now += 101 * SECOND;
        }
        assert_eq!(damper.falls(), 3);
    }

    #[test]
    fn without_a_limit_nobody_is_held_out() {
        let mut damper = Damper::new(Damping { falls: 0, ..Damping::default() });
        let now = Instant::now();
        (0..200).for_each(|_| damper.fell(now));
        assert_eq!((damper.held(now), damper.falls()), (None, REMEMBERED));
    }
}
