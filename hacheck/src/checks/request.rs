//! What is to be checked.

use std::net::SocketAddr;

use hyper::{
    header::{HeaderName, HeaderValue},
    http::uri::PathAndQuery,
};

use crate::names::{Host, ServiceName};

/// The protocol of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// HTTP GET; the answer's status and body count.
    Http,
    /// Connecting is enough.
    Tcp,
}

/// One question to an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckRequest {
    /// How to ask.
    pub kind: Kind,
    /// Who is asked about; marks go by it.
    pub service: ServiceName,
    /// Where it runs.
    pub host: Host,
    /// Which port is asked.
    pub port: u16,
    /// What is asked for, percent-encoded as received (hacheck.md §16.8). Not used by [`Kind::Tcp`].
    pub path_and_query: PathAndQuery,
    /// Headers that the service sees. Not used by [`Kind::Tcp`].
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// Questions with the same key have the same answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct CheckKey {
    kind: Kind,
    host: Host,
    port: u16,
    path_and_query: Option<PathAndQuery>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl CheckRequest {
    /// Where to connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.host.address(), self.port)
    }

    /// The name of the service is not part of it: several services on one port share their checks.
    /// Every header that the service sees is: it may answer by it (hacheck.md §16.3).
    pub(super) fn key(&self) -> CheckKey {
        let (path_and_query, headers) = match self.kind {
            Kind::Http => (Some(self.path_and_query.clone()), self.headers.clone()),
            Kind::Tcp => (None, Vec::new()),
        };
        CheckKey { kind: self.kind, host: self.host, port: self.port, path_and_query, headers }
    }
}

impl CheckKey {
    /// Roughly what it holds of the memory.
    pub(super) fn bytes(&self) -> usize {
        let path = self.path_and_query.as_ref().map_or(0, |path| path.as_str().len());
        let headers = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
        path + headers.sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(kind: Kind, path: &str, headers: &[(&'static str, &'static str)]) -> CheckRequest {
        let header =
            |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        CheckRequest {
            kind,
            service: "svc.main".parse().unwrap(),
            host: Host::Local,
            port: 80,
            path_and_query: path.parse().unwrap(),
            headers: headers.iter().map(header).collect(),
        }
    }

    #[test]
    fn what_the_service_can_tell_apart_is_in_the_key() {
        let plain = request(Kind::Http, "/a", &[]);
        let different = [
            request(Kind::Http, "/b", &[]),
            request(Kind::Http, "/a?b", &[]),
            request(Kind::Http, "/a", &[("x-mode", "ro")]),
            request(Kind::Http, "/a", &[("host", "tenant.example")]),
            request(Kind::Tcp, "/a", &[]),
            CheckRequest { port: 81, ..plain.clone() },
            CheckRequest { host: Host::Other("10.0.0.9".parse().unwrap()), ..plain.clone() },
        ];
        for other in different {
            assert_ne!(plain.key(), other.key(), "{other:?}");
        }
    }

    #[test]
    fn the_name_of_the_service_is_not_in_the_key() {
        let plain = request(Kind::Http, "/a", &[("x-mode", "ro")]);
        let service = "svc.other".parse().unwrap();
        let key = plain.key();
        assert_eq!(key, CheckRequest { service, ..plain }.key());
        let tcp = request(Kind::Tcp, "/a", &[("x-mode", "ro")]);
        assert_eq!(tcp.key(), request(Kind::Tcp, "/b", &[]).key());
    }
}
