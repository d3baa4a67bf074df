//! Turns: how many checks are under way and how many begin in a second, to one target and in all.
//!
//! A service that hangs fills its own turns only (hacheck.md §16.2).

use std::{collections::HashMap, num::NonZeroU32, sync::Arc, time::Duration};

use governor::{
    NotUntil, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    state::{InMemoryState, NotKeyed, keyed::HashMapStateStore},
};
use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit},
    time,
};

use crate::{settings::CheckSettings, target::Target};

/// Targets whose rate is remembered at once; those that have been quiet are forgotten first.
const MAX_RATES: usize = 20_000;

type Moment = <DefaultClock as Clock>::Instant;

#[derive(Debug)]
pub(super) struct Slots {
    per_target: usize,
    total: Semaphore,
    /// One permit for each check that may wait.
    queue: Semaphore,
    queue_length: usize,
    /// Targets with checks under way or waiting.
    targets: Mutex<HashMap<Target, Arc<Semaphore>>>,
    target_rates: RateLimiter<Target, HashMapStateStore<Target>, DefaultClock>,
    rate: RateLimiter<NotKeyed, InMemoryState, DefaultClock>,
}

/// A turn; over when dropped.
#[derive(Debug)]
pub(super) struct Slot<'a> {
    slots: &'a Slots,
    target: Target,
    of_target: Option<OwnedSemaphorePermit>,
    _of_total: SemaphorePermit<'a>,
}

impl Slots {
    pub(super) fn new(settings: &CheckSettings) -> Self {
        let quota = |per_second: NonZeroU32| {
            Quota::per_second(per_second).allow_burst(per_second.saturating_mul(TWO))
        };
        Self {
            per_target: settings.per_target,
            total: Semaphore::new(settings.in_total),
            queue: Semaphore::new(settings.waiting),
            queue_length: settings.waiting,
            targets: Mutex::default(),
            target_rates: RateLimiter::hashmap(quota(settings.per_target_per_second)),
            rate: RateLimiter::direct(quota(settings.per_second)),
        }
    }

    /// Waits for a turn; `None` if too many wait already.
    pub(super) async fn take(&self, target: Target) -> Option<Slot<'_>> {
        let _waiting = self.queue.try_acquire().ok()?;
        let turns = {
            let mut targets = self.targets.lock();
            let turns = targets.entry(target);
            Arc::clone(turns.or_insert_with(|| Arc::new(Semaphore::new(self.per_target))))
        };
        // The semaphores are never closed. What is of all is taken last, so that whoever waits for a
        // busy target keeps it from nobody.
        let of_target = Some(turns.acquire_owned().await.ok()?);
        if self.target_rates.len() >= MAX_RATES {
            self.target_rates.retain_recent();
        }
        paced(|| self.target_rates.check_key(&target)).await;
        let of_total = self.total.acquire().await.ok()?;
        paced(|| self.rate.check()).await;
        Some(Slot { slots: self, target, of_target, _of_total: of_total })
    }

    /// How many checks wait for a turn.
    pub(super) fn waiting(&self) -> usize {
        self.queue_length - self.queue.available_permits()
    }
}

const TWO: NonZeroU32 = NonZeroU32::MIN.saturating_add(1);

/// Waits until `allowed` allows it.
async fn paced(allowed: impl Fn() -> Result<(), NotUntil<Moment>>) {
    while let Err(later) = allowed() {
        let wait = later.wait_time_from(DefaultClock::default().now());
        time::sleep(wait.max(Duration::from_millis(1))).await;
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut targets = self.slots.targets.lock();
        // The permit and every waiter hold the semaphore; without them nobody needs it.
        self.of_target = None;
        if targets.get(&self.target).is_some_and(|turns| Arc::strong_count(turns) == 1) {
            targets.remove(&self.target);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::time::timeout;

    use super::*;
    use crate::names::Host;

    const SOON: Duration = Duration::from_secs(5);
    const PATIENCE: Duration = Duration::from_secs(60);

    fn slots(per_target: usize, in_total: usize, waiting: usize) -> Slots {
        let settings = CheckSettings { per_target, in_total, waiting, ..CheckSettings::default() };
        Slots::new(&settings)
    }

    fn target(port: u16) -> Target {
        Target { host: Host::Local, port }
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_target_keeps_nobody_else_waiting() {
        let slots = slots(2, 3, 10);
        let first = slots.take(target(1)).await;
        let second = slots.take(target(1)).await;
        assert!(timeout(SOON, slots.take(target(1))).await.is_err(), "its turns are taken");
        assert!(timeout(SOON, slots.take(target(2))).await.is_ok(), "this one is free");
        drop(first);
        assert!(timeout(SOON, slots.take(target(1))).await.is_ok());
        drop(second);
        assert!(slots.targets.lock().is_empty(), "forgotten when idle");
    }

    #[tokio::test(start_paused = true)]
    async fn all_targets_together_are_bounded_and_so_are_those_who_wait() {
        let slots = slots(4, 1, 1);
        let first = slots.take(target(1)).await;
        let second = slots.take(target(2));
        tokio::pin!(second);
        assert!(timeout(SOON, &mut second).await.is_err(), "it waits");
        assert_eq!(slots.waiting(), 1);
        assert!(slots.take(target(3)).await.is_none(), "no room to wait");
        drop(first);
        assert!(timeout(SOON, &mut second).await.is_ok_and(|slot| slot.is_some()));
        assert_eq!(slots.waiting(), 0);
    }

    #[tokio::test]
    async fn a_target_that_is_asked_too_often_waits_and_another_one_does_not() {
        let per_target_per_second = NonZeroU32::MIN;
        let slots =
            Slots::new(&CheckSettings { per_target_per_second, ..CheckSettings::default() });
        assert!(slots.take(target(1)).await.is_some());
        assert!(slots.take(target(1)).await.is_some(), "a burst is allowed");
        let mut third = pin!(slots.take(target(1)));
        tokio::select! {
            biased;
            _ = &mut third => panic!("its rate is used up"),
            other = slots.take(target(2)) => assert!(other.is_some()),
        }
        assert_eq!(slots.waiting(), 1);
        assert!(timeout(PATIENCE, third).await.is_ok_and(|slot| slot.is_some()), "in its time");
    }
}
