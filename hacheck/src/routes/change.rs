//! `POST /spool/SVC/PORT`: marks set and removed over HTTP (hacheck.md §10).

use std::{pin::pin, time::Duration};

use bytes::{Bytes, BytesMut};
use governor::{RateLimiter, clock::DefaultClock, state::keyed::HashMapStateStore};
use http_body_util::BodyExt;
use hyper::{
    body::Body,
    header::{self, HeaderMap, HeaderValue},
};
use tokio::time;
use tracing::info;

use super::{Head, answers::Refusal, arguments::Arguments, path::Instance};
use crate::{
    marks::{MarkError, MarkKey, UnixTime, Wish},
    names::{Host, ServiceName},
    server::Peer,
    settings::RemoteMarks,
    target::parse_port,
};

/// A form with four short fields; the rest is the reason.
const MAX_FORM: usize = 64 * 1024;
/// A form fits one packet or a few.
const FORM_WITHIN: Duration = Duration::from_secs(5);
/// Clients whose rate is remembered. Only clients who may set marks get here.
const MAX_CLIENTS: usize = 10_000;

/// Decides who may change marks, and how often.
#[derive(Debug)]
pub(super) struct Gate {
    settings: RemoteMarks,
    rates: RateLimiter<Peer, HashMapStateStore<Peer>, DefaultClock>,
}

/// What a client wants.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    Down(Wish),
    Up,
}

impl Gate {
    pub(super) fn new(settings: RemoteMarks) -> Self {
        let quota = governor::Quota::per_second(settings.per_second).allow_burst(settings.burst);
        Self { settings, rates: RateLimiter::hashmap(quota) }
    }

    /// Lets `peer`, who sent `headers`, make one change.
    pub(super) fn admit(&self, peer: Peer, headers: &HeaderMap) -> Result<(), Refusal> {
        let listed = match peer {
            Peer::Ip(address) => self.settings.allow.iter().any(|n| n.contains(address)),
            Peer::Unix => false,
        };
        if !peer.is_loopback() && !listed {
            self.admit_by_token(headers)?;
        }
        if self.rates.len() >= MAX_CLIENTS {
            // Forgets those who have been quiet long enough to start afresh.
            self.rates.retain_recent();
        }
        let known_or_room = self.rates.len() < MAX_CLIENTS;
        if known_or_room && self.rates.check_key(&peer).is_ok() {
            Ok(())
        } else {
            Err(Refusal::Rate)
        }
    }

    fn admit_by_token(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let sent = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        match (&self.settings.token, sent.and_then(|value| value.strip_prefix(b"Bearer "))) {
            (Some(token), Some(sent)) if token.is(sent.trim_ascii()) => Ok(()),
            (Some(_), Some(_)) => Err(Refusal::Token),
            _ => Err(Refusal::RemoteMarks),
        }
    }
}

/// The mark that a path means: with port 0 the one on the whole service or host.
pub(super) fn key(instance: Instance<'_>) -> Result<MarkKey, Refusal> {
    let service: ServiceName = instance.service.parse()?;
    let port = parse_port(instance.port).ok_or_else(|| Refusal::Port(instance.port.to_owned()))?;
    if port == 0 {
        return Ok(MarkKey::service(service));
    }
    Ok(MarkKey::Instance(service, Host::Local, port))
}

/// Reads the change from query and body.
pub(super) async fn read<B>(head: Head<'_>, body: B) -> Result<Change, Refusal>
where
    B: Body<Data = Bytes>,
{
    let form = time::timeout(FORM_WITHIN, read_form(body)).await;
    let form = form.unwrap_or(Err(Refusal::FormTime))?;
    let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let query = head.uri.query().unwrap_or_default();
    let arguments = Arguments::read(query, content_type.unwrap_or_default(), &form);
    change(arguments.map_err(|_| Refusal::Form)?)
}

async fn read_form<B>(body: B) -> Result<Bytes, Refusal>
where
    B: Body<Data = Bytes>,
{
    let mut body = pin!(body);
    let mut form = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Refusal::Form)?.into_data() else { continue };
        if form.len() + data.len() > MAX_FORM {
            return Err(Refusal::FormSize(MAX_FORM));
        }
        form.extend_from_slice(&data);
    }
    Ok(form.freeze())
}

fn change(arguments: Arguments) -> Result<Change, Refusal> {
    match arguments.status.as_deref() {
        None => Err(Refusal::Missing("status")),
        Some("up") => Ok(Change::Up),
        Some("down") => {
            let reason = arguments.reason.ok_or(Refusal::Missing("reason"))?;
            let expiration = seconds("expiration", arguments.expiration)?;
            let creation = seconds("creation", arguments.creation)?;
            Ok(Change::Down(Wish { reason, expiration, creation }))
        }
        Some(_) => Err(Refusal::UpOrDown),
    }
}

fn seconds(name: &'static str, text: Option<String>) -> Result<Option<UnixTime>, Refusal> {
    text.map(|text| text.parse().map_err(|_| Refusal::Number(name))).transpose()
}

/// Leaves a trace of who did what, why and until when, and whether it went wrong.
pub(super) fn log(
    change: &Change,
    key: &MarkKey,
    peer: Peer,
    head: Head<'_>,
    error: Option<&MarkError>,
) {
    // Escaped, because the words are a stranger's.
    let agent = head.headers.get(header::USER_AGENT).map(HeaderValue::as_bytes);
    let agent = agent.unwrap_or_default().escape_ascii();
    let error = error.map(tracing::field::display);
    match change {
        Change::Down(wish) => {
            let until = wish.expiration.map(UnixTime::seconds);
            let since = wish.creation.map(UnixTime::seconds);
            let reason = wish.reason.escape_debug();
            info!(mark = %key, %peer, %agent, %reason, since, until, error, "marked down");
        }
        Change::Up => info!(mark = %key, %peer, %agent, error, "marked up"),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::settings::Secret;

    fn arguments(
        status: Option<&str>,
        reason: Option<&str>,
        expiration: Option<&str>,
    ) -> Arguments {
        let [status, reason, expiration] =
            [status, reason, expiration].map(|v| v.map(str::to_owned));
        Arguments { status, reason, expiration, creation: None }
    }

    #[test]
    fn a_change_needs_a_status_and_down_needs_a_reason() {
        let (up, down) = (Some("up"), Some("down"));
        let refused = |status, reason, expiration| {
            change(arguments(status, reason, expiration)).unwrap_err().to_string()
        };
        assert_eq!(refused(None, None, None), "argument `status` is missing");
        assert_eq!(refused(Some("Up"), None, None), "status must be up or down");
        assert_eq!(refused(down, None, None), "argument `reason` is missing");
        for odd in ["", "soon", "inf", "nan"] {
            let text = refused(down, Some(""), Some(odd));
            assert_eq!(text, "argument `expiration` is not a number");
        }
        assert_eq!(change(arguments(up, None, Some("soon"))).unwrap(), Change::Up);
        let wish = Wish { expiration: UnixTime::new(7.5), ..Wish::default() };
        let read = change(arguments(down, Some(""), Some("7.5"))).unwrap();
        assert_eq!(read, Change::Down(wish));
    }

    #[test]
    fn the_path_names_the_mark() {
        let key = |service, port| key(Instance { service, port }).map(|key| key.to_string());
        assert_eq!(key("svc.main", "31000").unwrap(), "svc.main:31000");
        assert_eq!(key("svc.main", "00").unwrap(), "svc.main");
        assert_eq!(key("all", "0").unwrap(), "all");
        assert_eq!(key("all", "80").unwrap(), "all:80");
        assert!(matches!(key("..", "0"), Err(Refusal::Service(_))));
        assert!(matches!(key("svc", "65536"), Err(Refusal::Port(_))));
    }

    #[test]
    fn only_this_host_and_listed_networks_may_change_marks() {
        let allow = vec!["10.4.0.0/16".parse().unwrap()];
        let gate = Gate::new(RemoteMarks { allow, ..RemoteMarks::default() });
        let ip = |text: &str| Peer::Ip(text.parse().unwrap());
        let none = HeaderMap::new();
        for peer in [ip("127.0.0.1"), ip("::1"), ip("10.4.1.2"), Peer::Unix] {
            assert!(gate.admit(peer, &none).is_ok(), "{peer}");
        }
        for peer in [ip("10.5.0.1"), ip("fd00::1")] {
            assert!(matches!(gate.admit(peer, &none), Err(Refusal::RemoteMarks)), "{peer}");
        }
    }

    #[test]
    fn whoever_knows_the_token_may_change_marks_from_anywhere() {
        let peer = Peer::Ip("10.5.0.1".parse().unwrap());
        let admit = |token: Option<&str>, sent: &str| {
            let token = token.map(Secret::new);
            let gate = Gate::new(RemoteMarks { token, ..RemoteMarks::default() });
            let headers = [(header::AUTHORIZATION, sent.parse().unwrap())].into_iter().collect();
            gate.admit(peer, &headers)
        };
        assert!(admit(Some("s3cret"), "Bearer s3cret").is_ok());
        for wrong in ["Bearer s3cre", "Bearer ", "Bearer s3cret2"] {
            assert!(matches!(admit(Some("s3cret"), wrong), Err(Refusal::Token)), "{wrong}");
        }
        for none in ["Basic s3cret", "s3cret", ""] {
            assert!(matches!(admit(Some("s3cret"), none), Err(Refusal::RemoteMarks)), "{none}");
        }
        assert!(matches!(admit(None, "Bearer s3cret"), Err(Refusal::RemoteMarks)));
    }

    #[test]
    fn a_client_that_is_too_fast_is_held_back_and_others_are_not() {
        let (per_second, burst) = (NonZeroU32::MIN, NonZeroU32::new(3).unwrap());
        let gate = Gate::new(RemoteMarks { per_second, burst, ..RemoteMarks::default() });
        let peer = Peer::Ip("127.0.0.1".parse().unwrap());
        let none = HeaderMap::new();
        let refused =
            (0..50).filter(|_| matches!(gate.admit(peer, &none), Err(Refusal::Rate))).count();
        assert!(refused >= 40, "{refused}");
        assert!(gate.admit(Peer::Unix, &none).is_ok());
    }
}
