//! Asks instances whether they are healthy.
//!
//! [`Checker::check`] is the one way to an answer, for HTTP requests and for the agent in process:
//! same cache, same limits. Each protocol is a module that turns a [`CheckRequest`] into a code and a
//! body; a new one gets a [`Kind`] and an arm in [`Inner`]'s `converse`.

mod connect;
mod dialogue;
mod grpc;
mod http;
mod http2;
mod kept;
mod key;
mod kind;
mod metrics;
mod mysql;
mod outcome;
mod redis;
mod request;
mod slots;
mod smtp;
mod tcp;
mod tls;

use std::{sync::Arc, time::Duration};

use prometheus_client::registry::Registry;
use tokio::{
    net::TcpStream,
    runtime::Handle,
    sync::watch,
    time::{self, Instant},
};
use tokio_rustls::client::TlsStream;

pub(crate) use self::key::KeyWriter;
pub use self::{connect::Detours, kind::Kind, outcome::Outcome, request::CheckRequest};
use self::{
    connect::{Way, connect},
    kept::Kept,
    key::CheckKey,
    metrics::CheckMetrics,
    outcome::{Answered, Failure},
    slots::Slots,
};
use crate::{
    cache::{Cache, Freshness, Limits, Statistics},
    marks::{Mark, MarkTable, UnixTime},
    names::Host,
    settings::{CheckSettings, Login},
};

/// Makes checks and remembers their answers for a short while; cheap to clone.
#[derive(Clone, Debug)]
pub struct Checker {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    cache: Cache<CheckKey, Outcome>,
    slots: Slots,
    detours: watch::Sender<Arc<Detours>>,
    timeout: Duration,
    kept: Arc<Kept<TcpStream>>,
    kept_tls: Arc<Kept<TlsStream<TcpStream>>>,
    mysql: Option<Login>,
    redis: Option<Login>,
    metrics: CheckMetrics,
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
    /// A checker with an empty cache, whose checks run on `runtime`: best not on the threads that
    /// answer requests, which would wait behind them.
    #[must_use]
    pub fn new(settings: &CheckSettings, runtime: Handle) -> Self {
        let limits = Limits {
            lifetime: settings.cache_time,
            entries: settings.cache_entries,
            bytes: settings.cache_bytes,
        };
        // That it was not asked says nothing about a service.
        let weigh = |key: &CheckKey, outcome: &Outcome| {
            (!outcome.overloaded).then(|| key.bytes() + outcome.body.len())
        };
        let kept = if settings.keep_alive { settings.kept_connections } else { 0 };
        Self {
            inner: Arc::new(Inner {
                cache: Cache::new(runtime, limits, weigh),
                slots: Slots::new(settings),
                detours: watch::Sender::default(),
                timeout: settings.timeout,
                kept: Kept::new(kept),
                kept_tls: Kept::new(kept),
                mysql: settings.mysql.clone(),
                redis: settings.redis.clone(),
                metrics: CheckMetrics::default(),
            }),
        }
    }

    /// Replaces the detours.
    pub fn set_detours(&self, detours: Detours) {
        self.inner.detours.send_replace(Arc::new(detours));
    }

    /// The answer that is remembered for the question with this key, without a copy of it.
    pub(crate) fn remembered(&self, key: &[u8], freshness: Freshness) -> Option<Arc<Outcome>> {
        self.inner.cache.kept(key, freshness)
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
            let (inner, request) = (Arc::clone(&self.inner), request.clone());
            let timeout = timeout.unwrap_or(inner.timeout);
            async move { inner.check(&request, timeout).await }
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
        self.inner.ask(request, timeout).await
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
        match marks.lookup(request.service.as_str(), registered_port, request.host, now) {
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

    /// Registers the metrics of checks and their cache as they are now.
    pub(crate) fn register_metrics(&self, registry: &mut Registry) {
        let inner = &*self.inner;
        let kept = inner.kept.len() + inner.kept_tls.len();
        inner.metrics.register(registry);
        metrics::register_cache(registry, inner.cache.statistics());
        metrics::register_turns(registry, inner.slots.waiting(), kept);
    }
}

impl Inner {
    /// One check, from the queue to the answer. The time in the queue is ours, not the service's.
    async fn check(&self, request: &CheckRequest, timeout: Duration) -> Outcome {
        let Some(_slot) = self.slots.take(request.target()).await else {
            return Outcome::failed(request.kind, &Failure::Overloaded, Duration::ZERO);
        };
        self.ask(request, timeout).await
    }

    async fn ask(&self, request: &CheckRequest, timeout: Duration) -> Outcome {
        let began = Instant::now();
        let late = match request.kind {
            Kind::Tcp | Kind::Smtp => Failure::Unconnected(timeout),
            _ => Failure::Silent(timeout),
        };
        let answered = time::timeout(timeout, self.converse(request)).await;
        let took = began.elapsed();
        let outcome = match answered.unwrap_or(Err(late)) {
            Ok((code, body)) => Outcome::answered(code, body, took),
            Err(failure) => Outcome::failed(request.kind, &failure, took),
        };
        self.metrics.count(request.kind, &outcome);
        outcome
    }

    async fn converse(&self, request: &CheckRequest) -> Result<Answered, Failure> {
        let way = self.way(request);
        // Boxed, so that a check of TCP does not take the memory of one over TLS.
        match request.kind {
            Kind::Http => Box::pin(http::ask(request, way, &self.kept, connect)).await,
            Kind::Https => Box::pin(http::ask(request, way, &self.kept_tls, tls::open)).await,
            Kind::H2c => Box::pin(http2::ask(request, way)).await,
            Kind::Grpc => Box::pin(grpc::ask(request, way)).await,
            Kind::Tcp => tcp::ask(way).await,
            Kind::Smtp => Box::pin(smtp::ask(way)).await,
            Kind::Mysql => Box::pin(mysql::ask(way, self.mysql.as_ref())).await,
            Kind::Redis => Box::pin(redis::ask(way, self.redis.as_ref())).await,
        }
    }

    fn way(&self, request: &CheckRequest) -> Way {
        let known = self.detours.borrow();
        let detour = known.get(&request.port).filter(|_| request.host == Host::Local);
        Way { address: request.address(), detour: detour.copied() }
    }
}

#[cfg(test)]
mod tests;
