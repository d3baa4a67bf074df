//! What is to be checked.

#[cfg(test)]
use std::borrow::Borrow;
use std::net::SocketAddr;

use hyper::{
    header::{HeaderName, HeaderValue},
    http::uri::PathAndQuery,
};

use super::{
    Kind,
    key::{CheckKey, KeyWriter},
};
use crate::{
    names::{Host, ServiceName},
    settings::Login,
    target::Target,
};

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
    /// What is asked for, percent-encoded as received (hacheck.md §16.8). A GET uses all of it;
    /// [`Kind::Grpc`] asks for the service that `service=` in the query names; others ignore it.
    pub path_and_query: PathAndQuery,
    /// Headers that the service sees, if the check is a GET.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Who to log in as, over what the settings say; for the protocols that have a login.
    pub login: Option<Login>,
}

impl CheckRequest {
    /// Where to connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.host.address(), self.port)
    }

    /// The instance that is asked.
    #[must_use]
    pub fn target(&self) -> Target {
        Target { host: self.host, port: self.port }
    }

    /// The name of the service is not part of it: several services on one port share their checks.
    pub(super) fn key(&self) -> CheckKey {
        let mut bytes = Vec::new();
        let mut key = KeyWriter::new(&mut bytes, self.kind, self.target());
        if self.kind.is_get() {
            key.path(&[self.path_and_query.as_str()]);
            self.headers.iter().for_each(|(name, value)| key.header(name, [value.as_bytes()]));
        } else if self.kind == Kind::Grpc {
            key.path(&[self.path_and_query.query().unwrap_or_default()]);
        } else if let Some(Login { user, password }) = &self.login {
            key.path(&[user, "\0", password.expose()]);
        }
        bytes.into()
    }
}

#[cfg(test)]
impl CheckRequest {
    pub(crate) fn key_bytes(&self) -> Vec<u8> {
        let key = self.key();
        let bytes: &[u8] = key.borrow();
        bytes.to_owned()
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
            login: None,
        }
    }

    fn login(user: &str, password: &str) -> Option<Login> {
        Some(Login { user: user.into(), password: crate::settings::Secret::new(password) })
    }

    #[test]
    fn what_the_service_can_tell_apart_is_in_the_key() {
        let plain = request(Kind::Http, "/a", &[]);
        let host = |address: &str| Host::Other(address.parse().unwrap());
        let different = [
            plain.clone(),
            request(Kind::Http, "/b", &[]),
            request(Kind::Http, "/a?b", &[]),
            request(Kind::Http, "/a", &[("x-mode", "ro")]),
            request(Kind::Http, "/a", &[("host", "tenant.example")]),
            request(Kind::Http, "/a", &[("x", "a"), ("y", "b")]),
            request(Kind::Http, "/a", &[("x", "a,y:b")]),
            request(Kind::Https, "/a", &[]),
            request(Kind::H2c, "/a", &[]),
            request(Kind::Grpc, "/?service=a", &[]),
            request(Kind::Grpc, "/?service=b", &[]),
            request(Kind::Tcp, "/a", &[]),
            request(Kind::Redis, "/a", &[]),
            CheckRequest { login: login("me", "a"), ..request(Kind::Redis, "/a", &[]) },
            CheckRequest { login: login("me", "b"), ..request(Kind::Redis, "/a", &[]) },
            CheckRequest { port: 81, ..plain.clone() },
            CheckRequest { host: host("10.0.0.9"), ..plain.clone() },
            CheckRequest { host: host("fd00::9"), ..plain },
        ];
        for (place, one) in different.iter().enumerate() {
            for other in &different[place + 1..] {
                assert_ne!(one.key(), other.key(), "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn what_the_service_does_not_see_is_not_in_the_key() {
        let plain = request(Kind::Http, "/a", &[("x-mode", "ro")]);
        let service = "svc.other".parse().unwrap();
        let key = plain.key();
        assert_eq!(key, CheckRequest { service, ..plain }.key());
        for kind in [Kind::Tcp, Kind::Smtp, Kind::Mysql, Kind::Redis, Kind::Grpc] {
            let key = request(kind, "/a", &[("x-mode", "ro")]).key();
            assert_eq!(key, request(kind, "/b", &[]).key(), "{kind:?}");
        }
    }
}
