//! Answers from memory for a short while; at most one check per key is under way.
//!
//! A check runs in a task of its own, so that it survives the client that asked first. Its answer
//! lives from the moment it arrives: a slow service is not asked twice at once (hacheck.md §8).

use std::{
    borrow::Borrow, collections::HashMap, future::Future, hash::Hash, sync::Arc, time::Duration,
};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::{runtime::Handle, sync::watch, time::Instant};

/// How many keys are looked at for one that can be forgotten.
const LOOKS: usize = 8;

/// How old an answer may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Freshness {
    /// As old as the lifetime of answers.
    #[default]
    Cached,
    /// No older than this, and than the lifetime: for who asks again and again, and must not be given its
    /// own last answer.
    Within(Duration),
    /// No finished answer will do; that of a check which is under way will.
    Now,
}

/// Bounds of a [`Cache`].
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long an answer is used after it has arrived.
    pub lifetime: Duration,
    /// How many keys are remembered. One more takes the place of some other, or is not kept.
    pub entries: usize,
    /// How many bytes of answers are kept, as the cache's `weigh` counts them.
    pub bytes: usize,
}

/// What the cache has done since the start, with the names of hacheck.md §8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Statistics {
    /// Answers found too old, or passed over for a fresh one.
    pub expirations: u64,
    /// Checks started.
    pub sets: u64,
    /// Answers asked for.
    pub gets: u64,
    /// Answered from memory or by a check that was under way.
    pub hits: u64,
    /// Answered by a new check.
    pub misses: u64,
    /// Of the hits, those that waited for a check under way. `/status` never showed it.
    #[serde(skip)]
    pub coalesced: u64,
}

/// How many bytes a key counts for with its answer; `None`: the answer is not to be kept.
pub type Weigh<K, V> = fn(&K, &V) -> Option<usize>;

/// A coalescing cache; share it in an `Arc`.
#[derive(Debug)]
pub struct Cache<K, V> {
    inner: Arc<Inner<K, V>>,
}

#[derive(Debug)]
struct Inner<K, V> {
    /// Where checks run: not on the threads that answer from memory.
    runtime: Handle,
    limits: Limits,
    weigh: Weigh<K, V>,
    state: Mutex<State<K, V>>,
}

#[derive(Debug)]
struct State<K, V> {
    slots: HashMap<K, Slot<V>>,
    /// Sum of the weights of all finished answers.
    bytes: usize,
    next_sweep: Instant,
    statistics: Statistics,
}

type Answer<V> = watch::Receiver<Option<Arc<V>>>;

#[derive(Debug)]
enum Slot<V> {
    Running(Answer<V>),
    Finished { at: Instant, answer: Arc<V>, bytes: usize },
}

/// What a lookup leads to.
enum Found<V> {
    Answer(Arc<V>),
    Running(Answer<V>),
    Start { remember: bool },
}

impl<K, V> Cache<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Send + Sync + 'static,
{
    /// An empty cache, bounded by what `weigh` says. Checks run on `runtime`.
    #[must_use]
    pub fn new(runtime: Handle, limits: Limits, weigh: Weigh<K, V>) -> Self {
        let state = State {
            slots: HashMap::new(),
            bytes: 0,
            next_sweep: Instant::now(),
            statistics: Statistics::default(),
        };
        Self { inner: Arc::new(Inner { runtime, limits, weigh, state: Mutex::new(state) }) }
    }

    /// The kept answer, if there is one: the way of almost every request, without a copy of its key.
    #[must_use]
    pub fn kept<Q>(&self, key: &Q, freshness: Freshness) -> Option<Arc<V>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let state = &mut *self.inner.state.lock();
        let Some(Slot::Finished { at, answer, .. }) = state.slots.get(key) else { return None };
        if !is_fresh(*at, Instant::now(), freshness, &self.inner.limits) {
            return None;
        }
        state.statistics.gets += 1;
        state.statistics.hits += 1;
        Some(Arc::clone(answer))
    }

    /// The kept answer, or that of a check under way, or that of a new check.
    ///
    /// `None` if the check panicked.
    pub async fn get<F>(
        &self,
        key: &K,
        freshness: Freshness,
        check: impl FnOnce() -> F,
    ) -> Option<Arc<V>>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut answer = {
            let mut state = self.inner.state.lock();
            match state.find(key, freshness, &self.inner.limits) {
                Found::Answer(answer) => return Some(answer),
                Found::Running(answer) => answer,
                Found::Start { remember } => {
                    let (answered, answer) = watch::channel(None);
                    if remember {
                        state.slots.insert(key.clone(), Slot::Running(answer.clone()));
                    }
                    drop(state);
                    self.start(key.clone(), remember, check(), answered);
                    answer
                }
            }
        };
        let answer = answer.wait_for(Option::is_some).await.ok()?;
        answer.as_ref().map(Arc::clone)
    }

    /// What has been done so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.inner.state.lock().statistics
    }

    fn start<F>(&self, key: K, remember: bool, check: F, answered: watch::Sender<Option<Arc<V>>>)
    where
        F: Future<Output = V> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        self.inner.runtime.spawn(async move {
            let answer = Arc::new(check.await);
            if remember {
                let bytes = (inner.weigh)(&key, &answer);
                inner.state.lock().settle(key, &answer, bytes, inner.limits.bytes);
            }
            answered.send_replace(Some(answer));
        });
    }
}

impl<K: Clone + Eq + Hash, V> State<K, V> {
    fn find(&mut self, key: &K, freshness: Freshness, limits: &Limits) -> Found<V> {
        self.statistics.gets += 1;
        let now = Instant::now();
        match self.slots.get(key) {
            Some(Slot::Running(answer)) if is_alive(answer) => {
                self.statistics.hits += 1;
                self.statistics.coalesced += 1;
                return Found::Running(answer.clone());
            }
            Some(Slot::Finished { at, answer, .. }) => {
                if is_fresh(*at, now, freshness, limits) {
                    self.statistics.hits += 1;
                    return Found::Answer(Arc::clone(answer));
                }
                self.statistics.expirations += 1;
            }
            Some(Slot::Running(_)) | None => {}
        }
        self.statistics.misses += 1;
        self.statistics.sets += 1;
        // Half a lifetime bounds both the memory that stale answers hold and the cost of looking.
        if now >= self.next_sweep {
            self.sweep(now, limits.lifetime);
            self.next_sweep = now + limits.lifetime / 2;
        }
        self.forget(key);
        Found::Start { remember: self.slots.len() < limits.entries || self.make_room() }
    }

    /// Forgets some answer. Which one does not matter: the cache is full of answers that nobody asks
    /// for a second time, or it would not be full.
    fn make_room(&mut self) -> bool {
        let mut some = self.slots.iter().take(LOOKS);
        let finished = some.find(|(_, slot)| matches!(slot, Slot::Finished { .. }));
        let Some(key) = finished.map(|(key, _)| key.clone()) else { return false };
        self.forget(&key);
        true
    }

    /// A check has ended.
    fn settle(&mut self, key: K, answer: &Arc<V>, bytes: Option<usize>, limit: usize) {
        self.forget(&key);
        let Some(bytes) = bytes else { return };
        if self.bytes.saturating_add(bytes) <= limit {
            self.bytes += bytes;
            let answer = Arc::clone(answer);
            self.slots.insert(key, Slot::Finished { at: Instant::now(), answer, bytes });
        }
    }

    fn forget(&mut self, key: &K) {
        if let Some(Slot::Finished { bytes, .. }) = self.slots.remove(key) {
            self.bytes -= bytes;
        }
    }

    /// Drops answers nobody can use any more, and checks that have panicked.
    fn sweep(&mut self, now: Instant, lifetime: Duration) {
        let total = &mut self.bytes;
        self.slots.retain(|_, slot| match slot {
            Slot::Running(answer) => is_alive(answer),
            Slot::Finished { at, bytes, .. } => {
                let fresh = now - *at < lifetime;
                if !fresh {
                    *total -= *bytes;
                }
                fresh
            }
        });
    }
}

fn is_fresh(at: Instant, now: Instant, freshness: Freshness, limits: &Limits) -> bool {
    let oldest = match freshness {
        Freshness::Cached => limits.lifetime,
        Freshness::Within(age) => limits.lifetime.min(age),
        Freshness::Now => return false,
    };
    now - at < oldest
}

/// A sender that is gone without an answer means that the check panicked.
fn is_alive<V>(answer: &Answer<V>) -> bool {
    answer.has_changed().is_ok()
}

#[cfg(test)]
mod tests;
