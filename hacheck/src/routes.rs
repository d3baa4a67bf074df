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
mod documents;
mod metrics;
mod path;
mod question;
mod seen;

use std::{collections::HashSet, future::Future, net::IpAddr, pin::Pin, sync::Arc, time::Instant};

use bytes::Bytes;
use futures_util::future::{self, Either, Ready};
use hyper::{
    Method, Request, StatusCode, Uri,
    body::Body,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};
use prometheus_client::registry::Registry;
use tokio::sync::{Semaphore, watch};

use self::{
    answers::Refusal,
    change::{Change, Gate},
    metrics::{RequestMetrics, Verdict},
    path::{Instance, Route},
    question::Question,
    seen::Seen,
};
use crate::{
    cache::Freshness,
    checks::{Checker, Kind, Outcome},
    etag,
    marks::{Mark, Marks, UnixTime},
    names::{Host, LocalAddresses, ServiceName},
    server::{Peer, Reply},
    settings::Settings,
    target::{Target, parse_port, target},
};

const SERVER_STATE: HeaderName = HeaderName::from_static("x-haproxy-server-state");
const CHECK_IP: HeaderName = HeaderName::from_static("x-nerve-check-ip");

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
    /// One turn, for the document that is being written.
    documents: Semaphore,
    started: Instant,
}

/// An answer that is there, or one that takes its time.
pub type Answering = Either<Ready<Reply>, Pin<Box<dyn Future<Output = Reply> + Send>>>;

/// What of a request is looked at, where it stands.
#[derive(Clone, Copy, Debug)]
struct Head<'a> {
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
}

/// What headers say about a check.
#[derive(Clone, Copy, Debug, Default)]
struct Said<'a> {
    server_state: Option<&'a HeaderValue>,
    check_ip: Option<&'a HeaderValue>,
    none_match: Option<&'a HeaderValue>,
    freshness: Freshness,
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
            documents: Semaphore::new(1),
            started: Instant::now(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Answers one request: at once where nothing has to be waited for.
    pub fn handle<B>(&self, peer: Peer, request: Request<B>) -> Answering
    where
        B: Body<Data = Bytes> + Send + 'static,
    {
        let head = Head::of(&request);
        let route = path::parse(head.uri.path());
        if let Some(answered) = self.inner.at_once(peer, head, route) {
            return Either::Left(future::ready(self.inner.finish(head, route, answered)));
        }
        // In a box: whatever has to be waited for takes much more memory than what is known.
        let inner = Arc::clone(&self.inner);
        Either::Right(Box::pin(async move {
            let (parts, body) = request.into_parts();
            let head = Head { method: &parts.method, uri: &parts.uri, headers: &parts.headers };
            let route = path::parse(head.uri.path());
            let answered = inner.in_time(peer, head, route, body).await;
            inner.finish(head, route, answered)
        }))
    }

    /// Registers everything that is counted here: requests, checks, their cache, and marks.
    pub fn register_metrics(&self, registry: &mut Registry) {
        self.inner.register_metrics(registry);
    }
}

impl Inner {
    /// The answer, if it can be given without waiting.
    fn at_once(
        &self,
        peer: Peer,
        head: Head<'_>,
        route: Option<Route<'_>>,
    ) -> Option<Result<Told, Refusal>> {
        let Some(route) = route else { return Some(Err(Refusal::NotFound)) };
        Some(match (head.method, route) {
            (&Method::GET, Route::Check { kind, instance, rest }) => {
                return self.known(peer, head, kind, instance, rest).transpose();
            }
            (&Method::POST, Route::Spool(_)) | (&Method::GET, Route::Recent | Route::Count) => {
                return None;
            }
            (&Method::GET, Route::Spool(instance)) => self.spool(peer, head, instance),
            (&Method::GET, Route::Status) => Ok(self.status(head)),
            (&Method::GET, Route::Metrics) => Ok((self.metrics_text(), Verdict::Up)),
            _ => Err(Refusal::Method),
        })
    }

    /// The answer for which a service or the disk has to be waited for, or that is long.
    async fn in_time<B>(
        self: &Arc<Self>,
        peer: Peer,
        head: Head<'_>,
        route: Option<Route<'_>>,
        body: B,
    ) -> Result<Told, Refusal>
    where
        B: Body<Data = Bytes>,
    {
        match route {
            Some(Route::Check { kind, instance, rest }) => {
                self.check(peer, head, kind, instance, rest).await
            }
            Some(Route::Spool(instance)) => self.change(peer, head, instance, body).await,
            Some(Route::Recent) => self.recent(head).await,
            Some(Route::Count) => Ok(self.counts(head).await),
            _ => Err(Refusal::NotFound),
        }
    }

    /// Counts an answer, and puts a refusal into words.
    fn finish(
        &self,
        head: Head<'_>,
        route: Option<Route<'_>>,
        answered: Result<Told, Refusal>,
    ) -> Reply {
        let (reply, verdict) = answered.unwrap_or_else(|refusal| {
            let verdict = Verdict::of_refusal(refusal.status());
            (refusal.into(), verdict)
        });
        self.metrics.count(route.as_ref(), head.method == Method::POST, verdict);
        reply
    }

    /// What is known about an instance: its mark, or what it said a short while ago.
    fn known(
        &self,
        peer: Peer,
        head: Head<'_>,
        kind: Kind,
        instance: Instance<'_>,
        rest: &str,
    ) -> Result<Option<Told>, Refusal> {
        let said = Said::in_headers(head.headers);
        let Asked { service, target } = self.asked(&said, instance)?;
        if let Some(mark) = self.marks.lookup(service, target.port, target.host) {
            self.seen.note(service, peer, 503, UnixTime::now());
            return Ok(Some(marked(&mark)));
        }
        let (query, headers) = (head.uri.query(), head.headers);
        let question = Question { kind, service, target, rest, query, headers };
        let remembered = question.remembered(&self.checker, &self.settings, said.freshness);
        Ok(remembered.map(|outcome| {
            self.seen.note(service, peer, outcome.code, UnixTime::now());
            checked(said.none_match, &outcome)
        }))
    }

    async fn check(
        &self,
        peer: Peer,
        head: Head<'_>,
        kind: Kind,
        instance: Instance<'_>,
        rest: &str,
    ) -> Result<Told, Refusal> {
        let said = Said::in_headers(head.headers);
        let Asked { service, target } = self.asked(&said, instance)?;
        let (query, headers) = (head.uri.query(), head.headers);
        let question = Question { kind, service, target, rest, query, headers };
        let request = question.to_request(&self.settings)?;
        self.seen.ask(service, peer, UnixTime::now());
        let outcome = self.checker.check(&request, said.freshness, None).await;
        self.seen.answer(service, peer, outcome.code, UnixTime::now());
        Ok(checked(said.none_match, &outcome))
    }

    fn spool(&self, peer: Peer, head: Head<'_>, instance: Instance<'_>) -> Result<Told, Refusal> {
        let said = Said::in_headers(head.headers);
        let Asked { service, target } = self.asked(&said, instance)?;
        let mark = self.marks.lookup(service, target.port, target.host);
        let code = if mark.is_some() { 503 } else { 200 };
        self.seen.note(service, peer, code, UnixTime::now());
        Ok(match mark {
            Some(mark) => marked(&mark),
            None => {
                let reply = answers::up(said.none_match, Bytes::new(), Some(&etag::OF_NOTHING));
                (reply, Verdict::Up)
            }
        })
    }

    /// Sets or removes a mark. Answered when the disk has it: PaaSTA relies on marks that survive us.
    async fn change<B>(
        &self,
        peer: Peer,
        head: Head<'_>,
        instance: Instance<'_>,
        body: B,
    ) -> Result<Told, Refusal>
    where
        B: Body<Data = Bytes>,
    {
        self.gate.admit(peer, head.headers)?;
        let key = change::key(instance)?;
        let change = change::read(head, body).await?;
        let result = match change.clone() {
            Change::Down(wish) => self.marks.set(key.clone(), wish).await,
            Change::Up => self.marks.remove(key.clone()).await,
        };
        change::log(&change, &key, peer, head, result.as_ref().err());
        result?;
        Ok((answers::html(StatusCode::OK, Bytes::new()), Verdict::Up))
    }

    fn register_metrics(&self, registry: &mut Registry) {
        self.metrics.register(registry);
        self.checker.register_metrics(registry);
        metrics::register_marks(registry, self.marks.table().len());
    }

    /// The instance that a request means.
    fn asked<'a, 'b>(&self, said: &Said<'b>, instance: Instance<'a>) -> Result<Asked<'a>, Refusal> {
        let service = ServiceName::check(instance.service)?;
        let port = parse_port(instance.port).ok_or_else(|| Refusal::Port(instance.port.into()))?;
        let allowed = |address: IpAddr| {
            let listed = self.settings.target_networks.iter().any(|one| one.contains(address));
            listed || self.containers.borrow().contains(&address)
        };
        if said.server_state.is_none() && said.check_ip.is_none() {
            return Ok(Asked { service, target: Target { host: Host::Local, port } });
        }
        let text = |value: Option<&'b HeaderValue>| {
            value.map(|value| String::from_utf8_lossy(value.as_bytes()))
        };
        let (server_state, check_ip) = (text(said.server_state), text(said.check_ip));
        let local = &self.local.borrow();
        let target = target(port, server_state.as_deref(), check_ip.as_deref(), local, allowed)?;
        Ok(Asked { service, target })
    }
}

impl<'a> Head<'a> {
    fn of<B>(request: &'a Request<B>) -> Self {
        Self { method: request.method(), uri: request.uri(), headers: request.headers() }
    }
}

impl<'a> Said<'a> {
    /// One walk through all headers, of which there are few, instead of a search for each.
    fn in_headers(headers: &'a HeaderMap) -> Self {
        let mut said = Self::default();
        for (name, value) in headers {
            if name == SERVER_STATE {
                said.server_state.get_or_insert(value);
            } else if name == CHECK_IP {
                said.check_ip.get_or_insert(value);
            } else if name == header::IF_NONE_MATCH {
                said.none_match.get_or_insert(value);
            } else if name == header::PRAGMA && value == "no-cache" {
                // Only this spelling of this header counts (hacheck.md §4).
                said.freshness = Freshness::Now;
            }
        }
        said
    }
}

fn marked(mark: &Mark) -> Told {
    (answers::html(StatusCode::SERVICE_UNAVAILABLE, mark.text()), Verdict::Marked)
}

fn checked(none_match: Option<&HeaderValue>, outcome: &Outcome) -> Told {
    let (status, body) = (outcome.status(), outcome.body.clone());
    let verdict = match outcome.is_healthy() {
        true => Verdict::Up,
        false if outcome.overloaded => Verdict::Failed,
        false => Verdict::Down,
    };
    let reply = match status {
        StatusCode::OK => answers::up(none_match, body, outcome.etag()),
        _ => answers::html(status, body),
    };
    (reply, verdict)
}

#[cfg(test)]
mod tests;
