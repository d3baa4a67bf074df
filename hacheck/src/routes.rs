//! hacheck's HTTP interface:
//!
//! - `GET /http/SVC/PORT/REST` and the other protocols of [`Kind`]: marks, then a check;
//! - `GET /spool/SVC/PORT[/REST]`: marks only; `POST` sets and removes them;
//! - `GET /recent`, `/status`, `/status/count`: what has been asked; `/metrics`.
//!
//! Paths, codes and bodies are those of hacheck.md §3 to §11; HAProxy, nerve and PaaSTA rely on them.
//! Almost every request is answered from memory: on that way nothing is copied but the answer.

mod answers;
mod arguments;
mod change;
mod metrics;
mod path;
mod question;
mod seen;

use std::{collections::HashSet, net::IpAddr, sync::Arc, time::Instant};

use bytes::Bytes;
use hyper::{
    Method, Request, StatusCode,
    body::Body,
    header::{self, HeaderMap, HeaderName},
    http::request::Parts,
};
use prometheus_client::registry::Registry;
use serde::Serialize;
use tokio::sync::watch;

use self::{
    answers::Refusal,
    change::{Change, Gate},
    metrics::{RequestMetrics, Verdict},
    path::{Instance, Route},
    question::Question,
    seen::Seen,
};
use crate::{
    cache::{Freshness, Statistics},
    checks::{Checker, Kind, Outcome},
    etag,
    marks::{Mark, Marks, UnixTime},
    names::{LocalAddresses, ServiceName},
    server::{Peer, Reply},
    settings::Settings,
    target::{Target, parse_port, target},
};

const SERVER_STATE: HeaderName = HeaderName::from_static("x-haproxy-server-state");
const CHECK_IP: HeaderName = HeaderName::from_static("x-nerve-check-ip");
/// How far `/recent` looks back, in seconds, unless asked otherwise.
const RECENT: i64 = 600;

/// Answers hacheck's requests; cheap to clone.
#[derive(Clone, Debug)]
pub struct Hacheck {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: Settings,
    marks: Marks,
    checker: Checker,
    local: watch::Receiver<Arc<LocalAddresses>>,
    containers: watch::Receiver<Arc<HashSet<IpAddr>>>,
    gate: Gate,
    seen: Seen,
    metrics: RequestMetrics,
    started: Instant,
}

/// `/status`
#[derive(Serialize)]
struct Status {
    cache: Statistics,
    uptime: f64,
    outbound_request_queue_size: usize,
}

/// An answer, and what it says in a word.
type Told = (Reply, Verdict);

/// The instance that a request means.
#[derive(Clone, Copy, Debug)]
struct Asked<'a> {
    service: &'a str,
    target: Target,
}

impl Hacheck {
    /// An interface to `marks` and `checker` on the host with the addresses `local`.
    ///
    /// Beside this host, instances at the addresses in `containers` may be checked: those of the
    /// containers that run here.
    #[must_use]
    pub fn new(
        settings: Settings,
        marks: Marks,
        checker: Checker,
        local: watch::Receiver<Arc<LocalAddresses>>,
        containers: watch::Receiver<Arc<HashSet<IpAddr>>>,
    ) -> Self {
        let inner = Inner {
            gate: Gate::new(settings.remote_marks.clone()),
            settings,
            marks,
            checker,
            local,
            containers,
            seen: Seen::default(),
            metrics: RequestMetrics::default(),
            started: Instant::now(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Answers one request.
    pub async fn handle<B>(&self, peer: Peer, request: Request<B>) -> Reply
    where
        B: Body<Data = Bytes>,
    {
        let (head, body) = request.into_parts();
        let route = path::parse(head.uri.path());
        let answered = self.inner.answer(peer, &head, route, body).await;
        let (reply, verdict) = answered.unwrap_or_else(|refusal| {
            let verdict = Verdict::of_refusal(refusal.status());
            (refusal.into(), verdict)
        });
        let is_post = head.method == Method::POST;
        self.inner.metrics.count(route.as_ref(), is_post, verdict);
        reply
    }

    /// Registers everything that is counted here: requests, checks, their cache, and marks.
    pub fn register_metrics(&self, registry: &mut Registry) {
        self.inner.register_metrics(registry);
    }
}

impl Inner {
    async fn answer<B>(
        &self,
        peer: Peer,
        head: &Parts,
        route: Option<Route<'_>>,
        body: B,
    ) -> Result<Told, Refusal>
    where
        B: Body<Data = Bytes>,
    {
        match (&head.method, route.ok_or(Refusal::NotFound)?) {
            (&Method::GET, Route::Check { kind, instance, rest }) => {
                self.check(peer, head, kind, instance, rest).await
            }
            (&Method::GET, Route::Spool(instance)) => self.spool(peer, head, instance),
            (&Method::POST, Route::Spool(instance)) => {
                self.change(peer, head, instance, body).await
            }
            (&Method::GET, Route::Recent) => self.recent(head),
            (&Method::GET, Route::Status) => Ok(document(head, &self.status())),
            (&Method::GET, Route::Count) => Ok(document(head, &self.seen.counts())),
            (&Method::GET, Route::Metrics) => Ok((self.metrics_text(), Verdict::Up)),
            _ => Err(Refusal::Method),
        }
    }

    async fn check(
        &self,
        peer: Peer,
        head: &Parts,
        kind: Kind,
        instance: Instance<'_>,
        rest: &str,
    ) -> Result<Told, Refusal> {
        let Asked { service, target } = self.asked(head, instance)?;
        if let Some(mark) = self.marks.lookup(service, target.port, target.host) {
            self.seen.note(service, peer, 503, UnixTime::now());
            return Ok(marked(&mark));
        }
        let (query, headers) = (head.uri.query(), &head.headers);
        let question = Question { kind, service, target, rest, query, headers };
        let freshness = freshness(&head.headers);
        if let Some(outcome) = question.remembered(&self.checker, &self.settings, freshness) {
            self.seen.note(service, peer, outcome.code, UnixTime::now());
            return Ok(checked(head, &outcome));
        }
        let request = question.to_request(&self.settings)?;
        self.seen.ask(service, peer, UnixTime::now());
        let outcome = self.checker.check(&request, freshness, None).await;
        self.seen.answer(service, peer, outcome.code, UnixTime::now());
        Ok(checked(head, &outcome))
    }

    fn spool(&self, peer: Peer, head: &Parts, instance: Instance<'_>) -> Result<Told, Refusal> {
        let Asked { service, target } = self.asked(head, instance)?;
        let mark = self.marks.lookup(service, target.port, target.host);
        let code = if mark.is_some() { 503 } else { 200 };
        self.seen.note(service, peer, code, UnixTime::now());
        Ok(match mark {
            Some(mark) => marked(&mark),
            None => (answers::up(head, Bytes::new(), Some(&etag::OF_NOTHING)), Verdict::Up),
        })
    }

    /// Sets or removes a mark. Answered when the disk has it: PaaSTA relies on marks that survive us.
    async fn change<B>(
        &self,
        peer: Peer,
        head: &Parts,
        instance: Instance<'_>,
        body: B,
    ) -> Result<Told, Refusal>
    where
        B: Body<Data = Bytes>,
    {
        self.gate.admit(peer, &head.headers)?;
        let key = change::key(instance)?;
        let change = change::read(head, body).await?;
        change::log(&change, &key, peer, head);
        match change {
            Change::Down(wish) => self.marks.set(key, wish).await?,
            Change::Up => self.marks.remove(key).await?,
        }
        Ok((answers::html(StatusCode::OK, Bytes::new()), Verdict::Up))
    }

    fn recent(&self, head: &Parts) -> Result<Told, Refusal> {
        let arguments = head.uri.query().unwrap_or_default().split('&');
        let threshold = arguments.filter_map(|pair| pair.strip_prefix("threshold=")).next_back();
        let threshold = threshold.map_or(Ok(RECENT), str::parse);
        let threshold = threshold.map_err(|_| Refusal::Number("threshold"))?;
        Ok(document(head, &self.seen.recent(threshold, UnixTime::now())))
    }

    fn status(&self) -> Status {
        Status {
            cache: self.checker.statistics(),
            uptime: self.started.elapsed().as_secs_f64(),
            outbound_request_queue_size: self.checker.waiting(),
        }
    }

    fn metrics_text(&self) -> Reply {
        let mut registry = Registry::with_prefix("hacheck");
        self.register_metrics(&mut registry);
        metrics::text(&registry)
    }

    fn register_metrics(&self, registry: &mut Registry) {
        self.metrics.register(registry);
        self.checker.register_metrics(registry);
        metrics::register_marks(registry, self.marks.table().len());
    }

    /// The instance that a request means.
    fn asked<'a>(&self, head: &Parts, instance: Instance<'a>) -> Result<Asked<'a>, Refusal> {
        let service = ServiceName::check(instance.service)?;
        let port = parse_port(instance.port).ok_or_else(|| Refusal::Port(instance.port.into()))?;
        let text =
            |name| head.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
        let (server_state, check_ip) = (text(SERVER_STATE), text(CHECK_IP));
        let allowed = |address: IpAddr| {
            let listed = self.settings.target_networks.iter().any(|one| one.contains(address));
            listed || self.containers.borrow().contains(&address)
        };
        let local = &self.local.borrow();
        let target = target(port, server_state.as_deref(), check_ip.as_deref(), local, allowed)?;
        Ok(Asked { service, target })
    }
}

/// Only this spelling of this header counts (hacheck.md §4).
fn freshness(headers: &HeaderMap) -> Freshness {
    match headers.get(header::PRAGMA) {
        Some(value) if value == "no-cache" => Freshness::Now,
        _ => Freshness::Cached,
    }
}

fn marked(mark: &Mark) -> Told {
    (answers::html(StatusCode::SERVICE_UNAVAILABLE, mark.text()), Verdict::Marked)
}

fn checked(head: &Parts, outcome: &Outcome) -> Told {
    let (status, body) = (outcome.status(), outcome.body.clone());
    let verdict = match outcome.is_healthy() {
        true => Verdict::Up,
        false if outcome.overloaded => Verdict::Failed,
        false => Verdict::Down,
    };
    let reply = match status {
        StatusCode::OK => answers::up(head, body, outcome.etag()),
        _ => answers::html(status, body),
    };
    (reply, verdict)
}

fn document(head: &Parts, document: &impl Serialize) -> Told {
    (answers::json(head, document), Verdict::Up)
}

#[cfg(test)]
mod tests;
