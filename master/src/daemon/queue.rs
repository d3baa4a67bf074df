//! Which instance is looked at next (marathon-sync.md §18). Pure: the time goes in.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;

/// Bulk work comes after everything else.
pub const BULK: i64 = 99;
/// No failure makes an instance wait longer.
const LONGEST: u64 = 6000;

/// How long an instance waits after so many failures.
#[must_use]
pub fn back_off(factor: u16, failures: u32) -> Duration {
    let doubled = 2_u64.checked_pow(failures).unwrap_or(LONGEST);
    Duration::from_secs(doubled.saturating_mul(factor.into()).min(LONGEST))
}

/// Whole seconds between two instances, at so many a minute.
#[must_use]
pub fn spacing(a_minute: f64) -> Duration {
    // A rate of nothing is no rate; a day is as good as never.
    Duration::try_from_secs_f64((60.0 / a_minute).trunc()).unwrap_or(Duration::from_secs(86_400))
}

/// An instance that is to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    due: Instant,
    /// Lower ones first.
    priority: i64,
    arrival: u64,
    failures: u32,
    /// The place of its group of servers.
    shard: usize,
}

/// Instances by name, `(service, instance)`; each at most once.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: BTreeMap<Name, Entry>,
    under_way: BTreeMap<Name, Entry>,
    /// Those that changed while they were under way.
    again: BTreeSet<Name>,
    arrivals: u64,
}

pub type Name = (String, String);

impl Queue {
    /// Puts an instance in, due then. One that waits already stays as it is when it is due earlier; one that is
    /// under way is looked at again right afterwards.
    pub fn add(&mut self, name: Name, due: Instant, priority: i64, shard: usize) {
        if self.under_way.contains_key(&name) {
            self.again.insert(name);
            return;
        }
        let failures = self.waiting.get(&name).map_or(0, |entry| entry.failures);
        if self.waiting.get(&name).is_some_and(|entry| entry.due < due) {
            return;
        }
        self.arrivals += 1;
        let arrival = self.arrivals;
        self.waiting.insert(name, Entry { due, priority, arrival, failures, shard });
    }

    /// The next one that is due, by priority and then arrival, as long as its group of servers has fewer than
    /// `for_each` under way.
    pub fn take(&mut self, now: Instant, for_each: usize) -> Option<Name> {
        let busy = |shard| self.under_way.values().filter(|entry| entry.shard == shard).count();
        let ready = self.waiting.iter().filter(|(_, entry)| entry.due <= now);
        let ready = ready.filter(|(_, entry)| busy(entry.shard) < for_each);
        let (name, _) = ready.min_by_key(|(_, entry)| (entry.priority, entry.arrival))?;
        let name = name.clone();
        let entry = self.waiting.remove(&name)?;
        self.under_way.insert(name.clone(), entry);
        Some(name)
    }

    /// When the next one is due.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.waiting.values().map(|entry| entry.due).min()
    }

    /// A pass over an instance has ended. `wait`: until the next one; none, when something changes.
    pub fn done(
        &mut self,
        name: &Name,
        now: Instant,
        has_failed: bool,
        wait: Option<Duration>,
        factor: u16,
    ) {
        let Some(mut entry) = self.under_way.remove(name) else { return };
        entry.failures = if has_failed { entry.failures.saturating_add(1) } else { entry.failures };
        let wait = if has_failed { Some(back_off(factor, entry.failures)) } else { wait };
        let wait = if self.again.remove(name) { Some(Duration::ZERO) } else { wait };
        if let Some(wait) = wait {
            entry.due = now + wait;
            self.waiting.insert(name.clone(), entry);
        }
    }

    /// Forgets those that wait and that nobody asks for any more.
    pub fn retain(&mut self, is_wanted: impl Fn(&Name) -> bool) {
        self.waiting.retain(|name, _| is_wanted(name));
        self.again.retain(is_wanted);
    }

    /// A pass over an instance has ended, and nobody asks for it any more.
    pub fn forget(&mut self, name: &Name) {
        self.under_way.remove(name);
        self.again.remove(name);
    }

    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub fn under_way(&self) -> impl Iterator<Item = &Name> {
        self.under_way.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> Name {
        (name.to_owned(), "main".to_owned())
    }

    #[tokio::test]
    async fn what_is_due_comes_by_priority_and_then_arrival() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        let later = now + Duration::from_secs(60);
        queue.add(name("bulk"), now, BULK, 0);
        queue.add(name("a"), now, 0, 0);
        queue.add(name("b"), now, 0, 0);
        queue.add(name("first"), now, -5, 1);
        queue.add(name("later"), later, -9, 0);
        // It is due already.
        queue.add(name("a"), later, -9, 0);
        let taken: Vec<_> =
            std::iter::from_fn(|| queue.take(now, 2)).map(|(name, _)| name).collect();
        assert_eq!(taken, ["first", "a", "b"]);
        assert_eq!((queue.waiting(), queue.next_due()), (2, Some(now)));
        queue.done(&name("a"), now, false, None, 30);
        assert_eq!(queue.take(now, 2), Some(name("bulk")));
        assert_eq!(queue.take(later, 3), Some(name("later")));
    }

    #[tokio::test]
    async fn what_nobody_asks_for_any_more_is_forgotten() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.add(name("a"), now, 0, 0);
        queue.add(name("b"), now, 0, 0);
        assert_eq!(queue.take(now, 1), Some(name("a")));
        queue.add(name("a"), now, 0, 0);
        queue.retain(|_| false);
        queue.forget(&name("a"));
        queue.done(&name("a"), now, true, None, 30);
        assert_eq!((queue.waiting(), queue.under_way().count()), (0, 0));
    }

    #[tokio::test]
    async fn failures_wait_longer_each_time_and_changes_are_not_missed() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.add(name("a"), now, 0, 0);
        for wait in [60, 120, 240] {
            let due = queue.next_due().unwrap();
            assert_eq!(queue.take(due, 1), Some(name("a")));
            queue.done(&name("a"), now, true, None, 30);
            assert_eq!(queue.next_due(), Some(now + Duration::from_secs(wait)));
        }
        queue.add(name("a"), now, 0, 0);
        assert_eq!(queue.take(now, 1), Some(name("a")));
        queue.add(name("a"), now, 0, 0);
        queue.done(&name("a"), now, false, None, 30);
        assert_eq!(queue.take(now, 1), Some(name("a")));
        queue.done(&name("a"), now, false, Some(Duration::from_secs(60)), 30);
        assert_eq!(queue.next_due(), Some(now + Duration::from_secs(60)));
    }
}
