//! When the next round of checks of a registration begins.

use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::{Backoff, Waits};

/// Pace of the first checks of a task that does not answer yet: however long a service takes to
/// start, it waits no longer than this for its first good check.
const STARTING: Backoff = Backoff::fixed(10, 80);
/// Longer than services take to start; one that still does not answer is asked less often.
const STARTS_WITHIN: Duration = Duration::from_secs(300);
/// One that was up and fell comes back sooner than one that never was.
const FALLEN: Backoff = Backoff::fixed(50, 500);
const STALLED: Backoff = Backoff::fixed(250, 500);
/// Between a bad answer and the question whether it was meant so.
const CONFIRM: Backoff = Backoff::fixed(100, 200);

/// What the last round found, as far as time goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Well,
    /// Still up, with an answer that speaks against it.
    Doubtful,
    Down,
}

/// The clock of one registration.
///
/// Healthy targets are asked at fixed times, one interval after the other however long answers take,
/// and each at a time of its own within the interval: a thousand of them neither drift nor bunch.
#[derive(Debug)]
pub(super) struct Rounds {
    interval: Duration,
    confirms: bool,
    /// The next fixed time; `None` until it was well once.
    next: Option<Instant>,
    /// Set while it is down.
    down: Option<Down>,
    doubts: Waits,
}

#[derive(Debug)]
struct Down {
    since: Instant,
    waits: Waits,
}

impl Rounds {
    pub(super) fn new(interval: Duration, confirms: bool) -> Self {
        Self { interval, confirms, next: None, down: None, doubts: CONFIRM.waits() }
    }

    /// Whether an answer of before will not do.
    pub(super) fn asks_now(&self) -> bool {
        self.next.is_none() || self.down.is_some() || self.doubts.failures() > 0
    }

    /// Begins anew, as after a mark: what was down is wanted soon.
    pub(super) fn restart(&mut self) {
        self.next = None;
        self.down = None;
        self.doubts.reset();
    }

    /// When the next round begins; `phase`, from 0 to 1, is drawn once for each registration.
    pub(super) fn after(&mut self, found: Found, now: Instant, phase: f64) -> Instant {
        match found {
            Found::Well => {
                self.down = None;
                self.doubts.reset();
                self.fixed(now, phase)
            }
            Found::Doubtful if self.confirms => {
                self.down = None;
                let soon = now + self.doubts.after_failure();
                soon.min(self.fixed(now, phase))
            }
            Found::Doubtful => self.fixed(now, phase),
            Found::Down => {
                self.doubts.reset();
                now + self.pause(now).min(self.interval)
            }
        }
    }

    fn pause(&mut self, now: Instant) -> Duration {
        let pace = if self.next.is_some() { FALLEN } else { STARTING };
        let down = self.down.get_or_insert_with(|| Down { since: now, waits: pace.waits() });
        if now.duration_since(down.since) >= STARTS_WITHIN {
            return STALLED.wait(down.waits.failures(), crate::backoff::random());
        }
        down.waits.after_failure()
    }

    /// The next of the fixed times. Those that were missed are passed over.
    fn fixed(&mut self, now: Instant, phase: f64) -> Instant {
        let next = match self.next {
            None => now + self.interval.mul_f64(phase),
            Some(at) if at > now => at,
            Some(at) => {
                let late = now.duration_since(at).as_nanos();
                let missed = late / self.interval.as_nanos().max(1);
                let missed = u32::try_from(missed).unwrap_or(u32::MAX);
                at + self.interval.saturating_mul(missed.saturating_add(1))
            }
        };
        self.next = Some(next);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(2);
    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn healthy_targets_are_asked_at_fixed_times_however_long_they_take() {
        let start = Instant::now();
        let mut rounds = Rounds::new(INTERVAL, true);
        assert!(rounds.asks_now(), "the first answer must not be an old one");
        let first = rounds.after(Found::Well, start, 0.25);
        assert_eq!(first, start + INTERVAL / 4);
        assert!(!rounds.asks_now());
        for (took, missed) in [(1, 1), (1900, 1), (2000, 2), (4500, 3)] {
            let mut rounds = Rounds::new(INTERVAL, true);
            let first = rounds.after(Found::Well, start, 0.25);
            let next = rounds.after(Found::Well, first + took * MS, 0.9);
            assert_eq!(next, first + missed * INTERVAL, "{took}");
        }
    }

    #[test]
    fn a_thousand_targets_that_start_together_do_not_bunch() {
        let start = Instant::now();
        let mut slots = [0; 20];
        for target in 0..1000_u32 {
            let mut rounds = Rounds::new(INTERVAL, true);
            let mut at = rounds.after(Found::Well, start, f64::from(target) / 1000.0);
            for _ in 0..50 {
                at = rounds.after(Found::Well, at + 3 * MS, 0.5);
            }
            let place = at.duration_since(start).as_millis() % INTERVAL.as_millis() / 100;
            slots[usize::try_from(place).unwrap()] += 1;
        }
        assert_eq!(slots, [50; 20]);
    }

    #[test]
    fn a_bad_answer_is_confirmed_at_once_and_keeps_the_fixed_times() {
        let start = Instant::now();
        let mut rounds = Rounds::new(INTERVAL, true);
        let fixed = rounds.after(Found::Well, start, 1.0);
        let next = fixed + INTERVAL;
        let soon = rounds.after(Found::Doubtful, fixed, 0.0);
        assert!(rounds.asks_now() && soon > fixed && soon <= fixed + 200 * MS);
        assert_eq!(rounds.after(Found::Well, soon, 0.0), next);
        let mut patient = Rounds::new(INTERVAL, false);
        let fixed = patient.after(Found::Well, start, 1.0);
        assert_eq!(patient.after(Found::Doubtful, fixed, 0.0), fixed + INTERVAL);
    }

    #[test]
    fn one_that_is_down_is_asked_often_until_it_answers_and_less_often_after_long() {
        let mut rounds = Rounds::new(INTERVAL, true);
        let (mut now, start) = (Instant::now(), Instant::now());
        while now < start + STARTS_WITHIN {
            let next = rounds.after(Found::Down, now, 0.5);
            assert!(next <= now + 80 * MS && next > now);
            now = next;
        }
        assert!(rounds.after(Found::Down, now, 0.5) >= now + 250 * MS);
        rounds.after(Found::Well, now, 0.5);
        // It fell.
        let next = rounds.after(Found::Down, now, 0.5);
        assert!(rounds.asks_now() && next <= now + 500 * MS);
        rounds.restart();
        assert!(rounds.after(Found::Down, now, 0.5) <= now + 80 * MS);
    }

    #[test]
    fn nobody_is_asked_less_often_than_its_interval() {
        let mut rounds = Rounds::new(5 * MS, true);
        let now = Instant::now();
        for found in [Found::Down, Found::Well, Found::Doubtful, Found::Down] {
            assert!(rounds.after(found, now, 0.5) <= now + 5 * MS, "{found:?}");
        }
    }
}
