//! Which records may be written now: within the pipeline and the rate, and not again too soon after a
//! failure. A record that the server refuses waits alone.

use std::{collections::BTreeMap, num::NonZeroU32};

use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};
use tokio::time::Instant;
use tracing::warn;

use super::{
    operation::PIPELINE,
    plan::{self, Missing},
};
use crate::{
    backoff::{Backoff, Waits},
    registry::{RecordKey, Wanted},
};

const RETRY: Backoff = Backoff::fixed(200, 10_000);

struct Failure {
    reason: String,
    waits: Waits,
    retry_at: Instant,
}

pub(super) struct Turns {
    limiter: DefaultDirectRateLimiter,
    failures: BTreeMap<RecordKey, Failure>,
    /// Nothing is written before.
    from: Instant,
    /// Whether the rate held something back when last asked.
    throttled: bool,
}

impl Turns {
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        let limiter = RateLimiter::direct(Quota::per_second(per_second));
        Self { limiter, failures: BTreeMap::new(), from: Instant::now(), throttled: false }
    }

    /// Starts anew: earlier failures mean nothing in a new session.
    pub(super) fn restart(&mut self, from: Instant) {
        self.failures.clear();
        self.from = from;
    }

    /// The records to write now, and when to look again if some have to wait.
    pub(super) fn next(&mut self, missing: Vec<Missing>) -> (Vec<Missing>, Option<Instant>) {
        let now = Instant::now();
        self.throttled = false;
        let mut batch = Vec::new();
        let mut more_at: Option<Instant> = None;
        let mut later = |at: Instant| more_at = Some(more_at.map_or(at, |more| more.min(at)));
        for missing in missing {
            let failed_until = self.failures.get(&missing.key).map(|failure| failure.retry_at);
            let not_before = failed_until.unwrap_or(now).max(self.from);
            if not_before > now {
                later(not_before);
            } else if batch.len() == PIPELINE {
                later(now);
                break;
            } else if let Some(reason) = plan::refusal(&missing.payload) {
                later(self.failed(missing.key, reason));
            } else if let Err(not_until) = self.limiter.check() {
                self.throttled = true;
                later(now + not_until.wait_time_from(DefaultClock::default().now()));
                break;
            } else {
                batch.push(missing);
            }
        }
        (batch, more_at)
    }

    /// Notes a failure; returns when the record has its next turn.
    pub(super) fn failed(&mut self, key: RecordKey, reason: String) -> Instant {
        let known = self.failures.remove(&key);
        let mut waits = known.map_or_else(|| RETRY.waits(), |failure| failure.waits);
        if waits.failures() == 0 {
            warn!(parent = %key.parent, task = %key.task, reason, "record not written");
        }
        let retry_at = Instant::now() + waits.after_failure();
        self.failures.insert(key, Failure { reason, waits, retry_at });
        retry_at
    }

    pub(super) fn succeeded(&mut self, key: &RecordKey) {
        self.failures.remove(key);
    }

    /// Forgets the failures of records that nobody wants any more.
    pub(super) fn forget_unwanted(&mut self, wanted: &Wanted) {
        self.failures.retain(|key, _| wanted.records.contains_key(key));
    }

    /// Whether the rate held something back when last asked.
    pub(super) fn is_throttled(&self) -> bool {
        self.throttled
    }

    /// Attempts in a row of the record that failed most often.
    pub(super) fn longest_failure(&self) -> u32 {
        self.failures.values().map(|failure| failure.waits.failures()).max().unwrap_or(0)
    }

    /// Why a record was not written when last tried.
    pub(super) fn reason(&self, key: &RecordKey) -> Option<&str> {
        self.failures.get(key).map(|failure| failure.reason.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time;

    use super::*;
    use crate::registry::TaskId;

    fn missing(count: usize) -> Vec<Missing> {
        let key = |task: usize| RecordKey {
            ensemble: "zk1".parse().unwrap(),
            parent: "/smartstack/global/web.main".parse().unwrap(),
            task: TaskId(task.to_string().into()),
        };
        let one = |task: usize| Missing { key: key(task), payload: b"{}".to_vec() };
        (0..count).map(one).collect()
    }

    fn turns() -> Turns {
        Turns::new(NonZeroU32::new(1000).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_fills_the_pipeline_and_the_rest_follows_at_once() {
        let (batch, more_at) = turns().next(missing(100));
        assert_eq!((batch.len(), more_at), (PIPELINE, Some(Instant::now())));
        let (batch, more_at) = turns().next(missing(3));
        assert_eq!((batch.len(), more_at), (3, None));
    }

    #[tokio::test(start_paused = true)]
    async fn the_rate_holds_back_the_rest() {
        let mut turns = Turns::new(NonZeroU32::new(2).unwrap());
        let (batch, more_at) = turns.next(missing(5));
        assert!(batch.len() == 2 && turns.is_throttled());
        let wait = more_at.unwrap() - Instant::now();
        assert!(Duration::ZERO < wait && wait <= Duration::from_millis(500), "{wait:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_record_waits_alone_until_its_turn() {
        let mut turns = turns();
        let all = missing(3);
        let retry_at = turns.failed(all[1].key.clone(), "refused".to_owned());
        let (batch, more_at) = turns.next(all.clone());
        assert_eq!((batch.len(), more_at), (2, Some(retry_at)));
        assert!(!turns.is_throttled() && turns.longest_failure() == 1);
        assert_eq!(turns.reason(&all[1].key), Some("refused"));
        time::advance(Duration::from_millis(200)).await;
        assert_eq!(turns.next(all.clone()).0.len(), 3);
        turns.succeeded(&all[1].key);
        assert_eq!(turns.reason(&all[1].key), None);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_written_before_the_herd_has_spread() {
        let mut turns = turns();
        let from = Instant::now() + Duration::from_millis(300);
        turns.restart(from);
        assert_eq!(turns.next(missing(2)), (vec![], Some(from)));
        time::advance(Duration::from_millis(300)).await;
        assert_eq!(turns.next(missing(2)).0.len(), 2);
    }
}
