//! hacheck's HTTP interface:
//!
//! - `GET /http/SVC/PORT/REST`, `GET /tcp/SVC/PORT[/REST]`: marks, then a check;
//! - `GET /spool/SVC/PORT[/REST]`: marks only; `POST` sets and removes them;
//! - `GET /recent`, `/status`, `/status/count`: what has been asked.
//!
//! Paths, codes and bodies are those of hacheck.md §3 to §11; HAProxy, nerve and PaaSTA rely on them.

mod answers;
mod arguments;
mod change;
mod path;
mod seen;

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use hyper::{
    HeaderMap, Method, Request, StatusCode,
    body::Body,
    header::{self, HeaderName, HeaderValue},
    http::{request::Parts, uri::PathAndQuery},
};
use serde::Serialize;
use tokio::sync::watch;

use self::{
    answers::Refusal,
    change::{Change, Gate},
    path::{Instance, Route},
    seen::Seen,
};
use crate::{
    cache::{Freshness, Statistics},
    checks::{Answer, CheckRequest, Checker, Kind},
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
    gate: Gate,
    seen: Seen,
    started: Instant,
}

/// `/status`
#[derive(Serialize)]
struct Status {
    cache: Statistics,
    uptime: f64,
    outbound_request_queue_size: usize,
}

impl Hacheck {
    /// An interface to `marks` and `checker` on the host with the addresses `local`.
    #[must_use]
    pub fn new(
        settings: Settings,
        marks: Marks,
        checker: Checker,
        local: watch::Receiver<Arc<LocalAddresses>>,
    ) -> Self {
        let gate = Gate::new(settings.remote_marks.clone());
        let (seen, started) = (Seen::default(), Instant::now());
        Self { inner: Arc::new(Inner { settings, marks, checker, local, gate, seen, started }) }
    }

    /// Answers one request.
    pub async fn handle<B>(&self, peer: Peer, request: Request<B>) -> Reply
    where
        B: Body<Data = Bytes>,
    {
        let (head, body) = request.into_parts();
        let answered = self.inner.answer(peer, &head, body).await;
        answered.unwrap_or_else(Reply::from)
    }
}

impl Inner {
    async fn answer<B>(&self, peer: Peer, head: &Parts, body: B) -> Result<Reply, Refusal>
    where
        B: Body<Data = Bytes>,
    {
        let route = path::parse(head.uri.path()).ok_or(Refusal::NotFound)?;
        match (&head.method, route) {
            (&Method::GET, Route::Check { kind, instance, rest }) => {
                self.check(peer, head, kind, instance, rest).await
            }
            (&Method::GET, Route::Spool(instance)) => self.spool(peer, head, instance),
            (&Method::POST, Route::Spool(instance)) => {
                self.change(peer, head, instance, body).await
            }
            (&Method::GET, Route::Recent) => self.recent(head),
            (&Method::GET, Route::Status) => Ok(self.status()),
            (&Method::GET, Route::Count) => Ok(answers::json(&self.seen.counts())),
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
    ) -> Result<Reply, Refusal> {
        let (service, Target { host, port }) = self.asked(peer, head, instance)?;
        let path_and_query = path_and_query(rest, head.uri.query())?;
        let headers = match kind {
            Kind::Http => self.copied(&head.headers, &service),
            Kind::Tcp => Vec::new(),
        };
        let request = CheckRequest { kind, service, host, port, path_and_query, headers };
        let marks = self.marks.table();
        let freshness = freshness(&head.headers);
        let answer = self.checker.answer(&marks, port, &request, freshness, None).await;
        let (code, reply) = match answer {
            Answer::Marked(mark) => marked(&mark),
            Answer::Checked(outcome) => {
                (outcome.code, answers::html(outcome.status(), outcome.body.clone()))
            }
        };
        self.seen.answer(&request.service, peer, code, UnixTime::now());
        Ok(reply)
    }

    fn spool(&self, peer: Peer, head: &Parts, instance: Instance<'_>) -> Result<Reply, Refusal> {
        let (service, Target { host, port }) = self.asked(peer, head, instance)?;
        let (code, reply) = match self.marks.lookup(&service, port, host) {
            Some(mark) => marked(&mark),
            None => (200, answers::html(StatusCode::OK, Bytes::new())),
        };
        self.seen.answer(&service, peer, code, UnixTime::now());
        Ok(reply)
    }

    /// Sets or removes a mark. Answered when the disk has it: PaaSTA relies on marks that survive us.
    async fn change<B>(
        &self,
        peer: Peer,
        head: &Parts,
        instance: Instance<'_>,
        body: B,
    ) -> Result<Reply, Refusal>
    where
        B: Body<Data = Bytes>,
    {
        self.gate.admit(peer)?;
        let key = change::key(instance)?;
        let change = change::read(head, body).await?;
        change::log(&change, &key, peer, head);
        match change {
            Change::Down(wish) => self.marks.set(key, wish).await?,
            Change::Up => self.marks.remove(key).await?,
        }
        Ok(answers::html(StatusCode::OK, Bytes::new()))
    }

    fn recent(&self, head: &Parts) -> Result<Reply, Refusal> {
        let arguments = head.uri.query().unwrap_or_default().split('&');
        let threshold = arguments.filter_map(|pair| pair.strip_prefix("threshold=")).next_back();
        let threshold = threshold.map_or(Ok(RECENT), str::parse);
        let threshold = threshold.map_err(|_| Refusal::Number("threshold"))?;
        Ok(answers::json(&self.seen.recent(threshold, UnixTime::now())))
    }

    fn status(&self) -> Reply {
        answers::json(&Status {
            cache: self.checker.statistics(),
            uptime: self.started.elapsed().as_secs_f64(),
            outbound_request_queue_size: self.checker.waiting(),
        })
    }

    /// The instance that a request means, noted as seen.
    fn asked(
        &self,
        peer: Peer,
        head: &Parts,
        instance: Instance<'_>,
    ) -> Result<(ServiceName, Target), Refusal> {
        let service: ServiceName = instance.service.parse()?;
        let port = parse_port(instance.port).ok_or_else(|| Refusal::Port(instance.port.into()))?;
        let text =
            |name| head.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
        let (server_state, check_ip) = (text(SERVER_STATE), text(CHECK_IP));
        let allowed = &self.settings.target_networks;
        let target = target(
            port,
            server_state.as_deref(),
            check_ip.as_deref(),
            &self.local.borrow(),
            allowed,
        )?;
        self.seen.ask(&service, peer, UnixTime::now());
        Ok((service, target))
    }

    /// The headers that the service is to see.
    ///
    /// A `Host` that is an address names hacheck and not the service: nerve sends `127.0.0.1:6666`,
    /// HAProxy none. Left out, their checks are one (hacheck.md §16.3).
    fn copied(&self, headers: &HeaderMap, service: &ServiceName) -> Vec<(HeaderName, HeaderValue)> {
        let names = self.settings.http_headers_to_copy.iter();
        let present = names.filter_map(|name| Some((name.clone(), joined(headers, name)?)));
        let present = present.filter(|(name, value)| name != header::HOST || !is_address(value));
        let own = self.settings.service_name_header.iter().filter_map(|name| {
            // Every service name is a valid header value.
            Some((name.clone(), HeaderValue::from_str(service.as_str()).ok()?))
        });
        present.chain(own).collect()
    }
}

/// Whether a `Host` is an address or `localhost`, with or without a port.
fn is_address(host: &HeaderValue) -> bool {
    let Ok(text) = host.to_str() else { return false };
    let name = match text.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => text,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<std::net::IpAddr>().is_ok()
}

/// The value of a header; several of one name become one, divided by commas (hacheck.md §6).
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    let rest: Vec<_> = values.collect();
    if rest.is_empty() {
        return Some(first.clone());
    }
    let values: Vec<_> = [first].into_iter().chain(rest).map(HeaderValue::as_bytes).collect();
    HeaderValue::from_bytes(&values.join(&b","[..])).ok()
}

/// What to ask the service for: as received, after the port (hacheck.md §6, §16.8).
fn path_and_query(rest: &str, query: Option<&str>) -> Result<PathAndQuery, Refusal> {
    let slash = if rest.starts_with('/') { "" } else { "/" };
    let text = match query.filter(|query| !query.is_empty()) {
        Some(query) => format!("{slash}{rest}?{query}"),
        None => format!("{slash}{rest}"),
    };
    PathAndQuery::try_from(text).map_err(|_| Refusal::Path)
}

/// Only this spelling of this header counts (hacheck.md §4).
fn freshness(headers: &HeaderMap) -> Freshness {
    match headers.get(header::PRAGMA) {
        Some(value) if value == "no-cache" => Freshness::Now,
        _ => Freshness::Cached,
    }
}

fn marked(mark: &Mark) -> (u16, Reply) {
    (503, answers::html(StatusCode::SERVICE_UNAVAILABLE, mark.text()))
}

#[cfg(test)]
mod tests;
