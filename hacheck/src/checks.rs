//! Asks instances whether they are healthy.
//!
//! [`Checker::check`] is the one way to an answer, for HTTP requests and for the agent in process:
//! same cache, same limits. Each protocol is a module that turns a [`CheckRequest`] into a code and a
//! body; a new one gets a [`Kind`] and an arm in [`Inner`]'s `converse`.

mod command;
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
mod rabbitmq;
mod redis;
mod request;
mod slots;
mod smtp;
mod tcp;
mod tls;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use prometheus_client::registry::Registry;
use tokio::{
    net::TcpStream,
    runtime::Handle,
    sync::watch,
    time::{self, Instant},
};
use tokio_rustls::client::TlsStream;

pub(crate) use self::key::KeyWriter;
pub use self::{
    command::Command, connect::Detours, kind::Kind, outcome::Outcome, request::CheckRequest,
};
use self::{
    command::Commands,
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

/// Within this a healthy service has answered; who has not is asked once more for a caller in need.
const AT_ONCE: Duration = Duration::from_millis(100);

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
    rabbitmq: Option<Login>,
    commands: Commands,
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
                rabbitmq: settings.rabbitmq.clone(),
                commands: Commands::new(settings.command_user),
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
            Arc::new(Outcome::failed(
                request.kind.code_without_answer(),
                &Failure::Broken,
                Duration::ZERO,
            ))
        })
    }

    /// As [`Checker::check`], for a caller who has a right to an answer by its own `timeout`.
    ///
    /// A check that it begins takes no turn, and its answer is remembered for everybody. One that
    /// somebody else began may wait for its turn, or for longer than this caller may: if that one does
    /// not answer at once, the instance is asked for this caller alone.
    pub async fn check_promptly(
        &self,
        request: &CheckRequest,
        freshness: Freshness,
        timeout: Duration,
    ) -> Arc<Outcome> {
        let ours = AtomicBool::new(false);
        let check = || {
            ours.store(true, Ordering::Relaxed);
            let (inner, request) = (Arc::clone(&self.inner), request.clone());
            async move { inner.ask(&request, timeout).await }
        };
        let key = request.key();
        let mut shared = std::pin::pin!(self.inner.cache.get(&key, freshness, check));
        let first = time::timeout(AT_ONCE, &mut shared).await;
        let answer = match first {
            Ok(answer) => answer,
            Err(_) if ours.load(Ordering::Relaxed) => shared.await,
            Err(_) => None,
        };
        match answer.filter(|outcome| !outcome.overloaded) {
            Some(outcome) => outcome,
            None => Arc::new(self.inner.ask(request, timeout).await),
        }
    }

    /// Runs a program that says by its exit code whether a service is well. Never from memory, and
    /// there is no way to it over HTTP.
    pub async fn run(&self, command: &Command, timeout: Duration) -> Outcome {
        self.inner.commands.run(command, timeout).await
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
            let code = request.kind.code_without_answer();
            return Outcome::failed(code, &Failure::Overloaded, Duration::ZERO);
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
            Err(failure) => Outcome::failed(request.kind.code_without_answer(), &failure, took),
        };
        self.metrics.count(request.kind, &outcome);
        outcome
    }

    async fn converse(&self, request: &CheckRequest) -> Result<Answered, Failure> {
        let (way, login) = (self.way(request), request.login.as_ref());
        // Boxed, so that a check of TCP does not take the memory of one over TLS.
        match request.kind {
            Kind::Http => Box::pin(http::ask(request, way, &self.kept, connect)).await,
            Kind::Https => Box::pin(http::ask(request, way, &self.kept_tls, tls::open)).await,
            Kind::H2c => Box::pin(http2::ask(request, way)).await,
            Kind::Grpc => Box::pin(grpc::ask(request, way)).await,
            Kind::Tcp => tcp::ask(way).await,
            Kind::Smtp => Box::pin(smtp::ask(way)).await,
            Kind::Mysql => Box::pin(mysql::ask(way, login.or(self.mysql.as_ref()))).await,
            Kind::Redis => Box::pin(redis::ask(way, login.or(self.redis.as_ref()))).await,
            Kind::Rabbitmq => Box::pin(rabbitmq::ask(way, login.or(self.rabbitmq.as_ref()))).await,
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
