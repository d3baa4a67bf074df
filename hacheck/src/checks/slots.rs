//! Turns: how many checks are under way, to one target and in all.
//!
//! A service that hangs fills its own turns only (hacheck.md §16.2).

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::target::Target;

#[derive(Debug)]
pub(super) struct Slots {
    per_target: usize,
    total: Semaphore,
    /// One permit for each check that may wait.
    queue: Semaphore,
    queue_length: usize,
    /// Targets with checks under way or waiting.
    targets: Mutex<HashMap<Target, Arc<Semaphore>>>,
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
    pub(super) fn new(per_target: usize, total: usize, queue_length: usize) -> Self {
        Self {
            per_target,
            total: Semaphore::new(total),
            queue: Semaphore::new(queue_length),
            queue_length,
            targets: Mutex::default(),
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
        // The semaphores are never closed. A turn in all is taken last, so that whoever waits for a
        // busy target keeps it from nobody.
        let of_target = Some(turns.acquire_owned().await.ok()?);
        let of_total = self.total.acquire().await.ok()?;
        Some(Slot { slots: self, target, of_target, _of_total: of_total })
    }

    /// How many checks wait for a turn.
    pub(super) fn waiting(&self) -> usize {
        self.queue_length - self.queue.available_permits()
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
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::names::Host;

    const SOON: Duration = Duration::from_secs(5);

    fn target(port: u16) -> Target {
        Target { host: Host::Local, port }
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_target_keeps_nobody_else_waiting() {
        let slots = Slots::new(2, 3, 10);
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
        let slots = Slots::new(4, 1, 1);
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
}
