//! Asks instances whether they are healthy.
//!
//! [`Checker::check`] is the one way to an answer, for HTTP requests and for the agent in process:
//! same cache, same limits. Each protocol is a module that turns a [`CheckRequest`] into a code and a
//! body; a new one gets a [`Kind`] and an arm in [`Checker`]'s `ask`.

mod connect;
mod http;
mod outcome;
mod request;
mod slots;
mod tcp;

use std::{future::Future, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{self, Instant},
};

pub use self::{
    connect::Detours,
    outcome::Outcome,
    request::{CheckRequest, Kind},
};
use self::{connect::Way, outcome::Failure, request::CheckKey, slots::Slots};
use crate::{
    cache::{Cache, Freshness, Limits, Statistics},
    marks::{Mark, MarkTable, UnixTime},
    names::Host,
    settings::CheckSettings,
    target::Target,
};

/// Makes checks and remembers their answers for a short while; cheap to clone.
#[derive(Clone, Debug)]
pub struct Checker {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    cache: Cache<CheckKey, Outcome>,
    slots: Arc<Slots>,
    detours: watch::Sender<Arc<Detours>>,
    timeout: Duration,
}

/// What is known about an instance.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Someone holds it down; it was not asked.
    Marked(Arc<Mark>),
    /// It was asked, now or a short while ago.
    Checked(Arc<Outcome>),
}

impl Checker {
    /// A checker with an empty cache.
    #[must_use]
    pub fn new(settings: &CheckSettings) -> Self {
        let limits = Limits {
            lifetime: settings.cache_time,
            entries: settings.cache_entries,
            bytes: settings.cache_bytes,
        };
        let slots = Slots::new(settings.per_target, settings.in_total, settings.waiting);
        let cache = Cache::new(limits, |key: &CheckKey, outcome: &Outcome| {
            key.bytes() + outcome.body.len()
        });
        let timeout = settings.timeout;
        let (slots, detours) = (Arc::new(slots), watch::Sender::default());
        Self { inner: Arc::new(Inner { cache, slots, detours, timeout }) }
    }

    /// Replaces the detours.
    pub fn set_detours(&self, detours: Detours) {
        self.inner.detours.send_replace(Arc::new(detours));
    }

    fn way(&self, request: &CheckRequest) -> Way {
        let known = self.inner.detours.borrow();
        let detour = known.get(&request.port).filter(|_| request.host == Host::Local);
        Way { address: request.address(), detour: detour.copied() }
    }

    /// Asks the instance, or remembers what it said.
    ///
    /// `timeout` replaces the configured one. Callers that join a check under way wait for that
    /// check, whatever timeout it was started with.
    pub async fn check(
        &self,
        request: &CheckRequest,
        freshness: Freshness,
        timeout: Option<Duration>,
    ) -> Arc<Outcome> {
        let check = || {
            let (slots, way) = (Arc::clone(&self.inner.slots), self.way(request));
            check(slots, request.clone(), way, timeout.unwrap_or(self.inner.timeout))
        };
        let outcome = self.inner.cache.get(&request.key(), freshness, check).await;
        // Only a bug of ours in the check leads here.
        outcome.unwrap_or_else(|| {
            Arc::new(Outcome::failed(request.kind, &Failure::Broken, Duration::ZERO))
        })
    }

    /// Asks the instance itself, past the cache and past everybody else's turn: for a caller who acts
    /// on the answer and must not wait behind strangers.
    pub async fn check_alone(&self, request: &CheckRequest, timeout: Duration) -> Outcome {
        ask(request, self.way(request), timeout).await
    }

    /// Looks for a mark first, and asks the instance only without one (hacheck.md §4).
    ///
    /// `registered_port` is the port under which proxies know the instance; marks go by it, also
    /// where health is checked on another port (hacheck.md §16.9).
    pub async fn answer(
        &self,
        marks: &MarkTable,
        registered_port: u16,
        request: &CheckRequest,
        freshness: Freshness,
        timeout: Option<Duration>,
    ) -> Answer {
        let now = UnixTime::now();
        match marks.lookup(&request.service, registered_port, request.host, now) {
            Some(mark) => Answer::Marked(Arc::clone(mark)),
            None => Answer::Checked(self.check(request, freshness, timeout).await),
        }
    }

    /// What the cache has done since the start.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.inner.cache.statistics()
    }

    /// How many checks wait for their turn.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.inner.slots.waiting()
    }
}

/// One check, from the queue to the answer. The time in the queue is ours, not the service's.
async fn check(slots: Arc<Slots>, request: CheckRequest, way: Way, timeout: Duration) -> Outcome {
    let target = Target { host: request.host, port: request.port };
    let Some(_slot) = slots.take(target).await else {
        return Outcome::failed(request.kind, &Failure::Overloaded, Duration::ZERO);
    };
    ask(&request, way, timeout).await
}

async fn ask(request: &CheckRequest, way: Way, timeout: Duration) -> Outcome {
    let started = Instant::now();
    let answered = match request.kind {
        Kind::Http => within(timeout, Failure::Silent(timeout), http::ask(request, way)).await,
        Kind::Tcp => within(timeout, Failure::Unconnected(timeout), tcp::ask(way)).await,
    };
    let took = started.elapsed();
    match answered {
        Ok((code, body)) => Outcome { code, body, took, overloaded: false },
        Err(failure) => Outcome::failed(request.kind, &failure, took),
    }
}

async fn within<T>(
    timeout: Duration,
    late: Failure,
    asking: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    time::timeout(timeout, asking).await.unwrap_or(Err(late))
}

#[cfg(test)]
mod tests;
