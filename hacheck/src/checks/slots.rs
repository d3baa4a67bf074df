//! Turns: how many checks are under way and how many begin in a second, to one target and in all.
//!
//! A service that hangs fills its own turns only (hacheck.md §16.2), and those who wait for it leave
//! room for others and do not wait for long.

use std::{
    collections::HashMap,
    future::{Future, poll_fn},
    num::NonZeroU32,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use governor::{
    NotUntil, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    state::{InMemoryState, NotKeyed, keyed::HashMapStateStore},
};
use parking_lot::Mutex;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time,
};

use crate::{settings::CheckSettings, target::Target};

/// Targets whose rate is remembered at once; those that have been quiet are forgotten first.
const MAX_RATES: usize = 20_000;
/// Which part of those who may wait may wait for one target.
const SHARE: usize = 10;

type Moment = <DefaultClock as Clock>::Instant;

#[derive(Debug)]
pub(super) struct Slots {
    per_target: usize,
    total: Semaphore,
    /// One permit for each check that may wait.
    queue: Semaphore,
    queue_length: usize,
    /// How long a check waits at most: whoever asked has given up by then, and a check that nobody
    /// wants must not hold a place.
    patience: Duration,
    /// Targets with checks under way or waiting. Each of these holds the semaphore once.
    targets: Mutex<HashMap<Target, Arc<Semaphore>>>,
    target_rates: RateLimiter<Target, HashMapStateStore<Target>, DefaultClock>,
    rate: RateLimiter<NotKeyed, InMemoryState, DefaultClock>,
}

/// A turn, or the wait for one; over when dropped.
#[derive(Debug)]
pub(super) struct Slot<'a> {
    slots: &'a Slots,
    target: Target,
    /// Of the target; `None` only while this is dropped.
    turns: Option<Arc<Semaphore>>,
    /// Whether a permit of `turns` is ours.
    has_turn: bool,
    of_total: Option<SemaphorePermit<'a>>,
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
            patience: settings.timeout,
            targets: Mutex::default(),
            target_rates: RateLimiter::hashmap(quota(settings.per_target_per_second)),
            rate: RateLimiter::direct(quota(settings.per_second)),
        }
    }

    /// Waits for a turn; `None` if too many wait already, or if it takes too long.
    pub(super) async fn take(&self, target: Target) -> Option<Slot<'_>> {
        let mut slot = self.line_up(target)?;
        {
            let mut begin = pin!(slot.begin());
            // Who need not wait takes no place from those who do, and gets by when there is none.
            if !poll_fn(|context| Poll::Ready(begin.as_mut().poll(context).is_ready())).await {
                let _waiting = self.queue.try_acquire().ok()?;
                time::timeout(self.patience, begin).await.ok()?;
            }
        }
        Some(slot)
    }

    /// Joins those who wait for a target, if there are not too many of them.
    fn line_up(&self, target: Target) -> Option<Slot<'_>> {
        let mut targets = self.targets.lock();
        let turns = targets.entry(target);
        let turns = turns.or_insert_with(|| Arc::new(Semaphore::new(self.per_target)));
        let present = Arc::strong_count(turns) - 1;
        if present >= self.per_target + (self.queue_length / SHARE).max(1) {
            return None;
        }
        let turns = Some(Arc::clone(turns));
        Some(Slot { slots: self, target, turns, has_turn: false, of_total: None })
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

impl Slot<'_> {
    /// Waits until it is this one's turn.
    async fn begin(&mut self) {
        // The semaphores are never closed. What is of all is taken last, so that whoever waits for a
        // busy target keeps it from nobody.
        if let Some(turns) = &self.turns
            && let Ok(turn) = turns.acquire().await
        {
            turn.forget();
            self.has_turn = true;
        }
        if self.slots.target_rates.len() >= MAX_RATES {
            self.slots.target_rates.retain_recent();
        }
        paced(|| self.slots.target_rates.check_key(&self.target)).await;
        self.of_total = self.slots.total.acquire().await.ok();
        paced(|| self.slots.rate.check()).await;
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut targets = self.slots.targets.lock();
        let Some(turns) = self.turns.take() else { return };
        if self.has_turn {
            turns.add_permits(1);
        }
        drop(turns);
        // Without checks under way or waiting nobody needs it.
        if targets.get(&self.target).is_some_and(|turns| Arc::strong_count(turns) == 1) {
            targets.remove(&self.target);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
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

    #[tokio::test(start_paused = true)]
    async fn a_crowd_that_waits_for_one_target_leaves_room_for_others_and_goes_in_time() {
        let slots = slots(1, 100, 20);
        let hanging = [slots.take(target(1)).await, slots.take(target(2)).await];
        let mut crowd: Vec<_> = (0..30).map(|_| Box::pin(slots.take(target(1)))).collect();
        let turned_away =
            crowd.iter_mut().filter_map(|one| one.as_mut().now_or_never()).inspect(|slot| {
                assert!(slot.is_none());
            });
        assert_eq!(turned_away.count(), 28);
        assert_eq!(slots.waiting(), 2);
        let mut other = pin!(slots.take(target(2)));
        assert!(other.as_mut().now_or_never().is_none(), "there is room to wait for another one");
        assert!(other.await.is_none(), "nobody waits for ever");
        drop(crowd);
        assert_eq!(slots.waiting(), 0);
        drop(hanging);
        assert!(slots.targets.lock().is_empty(), "forgotten when idle");
    }

    #[tokio::test(start_paused = true)]
    async fn who_need_not_wait_is_not_kept_out_by_those_who_do() {
        let slots = slots(1, 100, 2);
        let _hanging = [slots.take(target(1)).await, slots.take(target(2)).await];
        let mut waiting = [Box::pin(slots.take(target(1))), Box::pin(slots.take(target(2)))];
        for one in &mut waiting {
            assert!(one.as_mut().now_or_never().is_none());
        }
        assert_eq!(slots.waiting(), 2, "nobody else may wait");
        assert!(slots.take(target(3)).await.is_some());
    }
}
