//! What a mark holds down, and the file name that says so (hacheck.md §9).

use std::{fmt, str::FromStr};

use crate::{
    names::{Host, ServiceName},
    target::parse_port,
};

/// What a mark holds down; one to one with the name of its file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MarkKey {
    /// Everything on this host: `all`.
    All,
    /// A service on every port and host: `SVC`.
    Service(ServiceName),
    /// One instance: `SVC:PORT` on this host, `SVC:HOST:PORT` on another.
    Instance(ServiceName, Host, u16),
}

/// A file name that names no mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its name is not of the form all, SVC, SVC:PORT or SVC:HOST:PORT")]
pub struct InvalidMarkKey;

impl MarkKey {
    /// The mark on a whole service; for the reserved service `all`, on the whole host.
    #[must_use]
    pub fn service(service: ServiceName) -> Self {
        if service.is_all() { Self::All } else { Self::Service(service) }
    }

    /// The word that the 503 text names: never a port or host.
    #[must_use]
    pub fn shown(&self) -> &str {
        match self {
            Self::All => "all",
            Self::Service(service) | Self::Instance(service, ..) => service.as_str(),
        }
    }
}

impl fmt::Display for MarkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Service(service) => write!(f, "{service}"),
            Self::Instance(service, Host::Local, port) => write!(f, "{service}:{port}"),
            Self::Instance(service, Host::Other(host), port) => {
                write!(f, "{service}:{host}:{port}")
            }
        }
    }
}

impl FromStr for MarkKey {
    type Err = InvalidMarkKey;

    /// Reads a file name. A name that would be written otherwise, such as `svc:080`, is refused: two
    /// files must never mean the same mark.
    fn from_str(name: &str) -> Result<Self, InvalidMarkKey> {
        let (service, rest) = match name.split_once(':') {
            Some((service, rest)) => (service, Some(rest)),
            None => (name, None),
        };
        let service: ServiceName = service.parse().map_err(|_| InvalidMarkKey)?;
        let Some(rest) = rest else { return Ok(Self::service(service)) };
        // An IPv6 address has colons of its own, a port has none.
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) => (Host::Other(host.parse().map_err(|_| InvalidMarkKey)?), port),
            None => (Host::Local, rest),
        };
        let key = Self::Instance(service, host, parse_port(port).ok_or(InvalidMarkKey)?);
        if key.to_string() == name { Ok(key) } else { Err(InvalidMarkKey) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn service(name: &str) -> ServiceName {
        name.parse().unwrap()
    }

    #[test]
    fn a_file_name_says_what_is_down() {
        let other = |text: &str| Host::Other(text.parse().unwrap());
        let cases = [
            ("all", MarkKey::All),
            ("svc.main", MarkKey::Service(service("svc.main"))),
            ("svc.main:31000", MarkKey::Instance(service("svc.main"), Host::Local, 31000)),
            ("svc:10.1.2.3:8888", MarkKey::Instance(service("svc"), other("10.1.2.3"), 8888)),
            ("svc:fd00::7:80", MarkKey::Instance(service("svc"), other("fd00::7"), 80)),
            ("all:0", MarkKey::Instance(service("all"), Host::Local, 0)),
        ];
        for (name, key) in cases {
            assert_eq!(name.parse(), Ok(key.clone()), "{name}");
            assert_eq!(key.to_string(), name);
        }
    }

    #[test]
    fn other_file_names_are_no_marks() {
        for name in ["", ".", "a b", "svc:", "svc:1.tmp", "svc:080", "svc:70000", ":1", "svc:pod:1"]
        {
            assert_eq!(name.parse::<MarkKey>(), Err(InvalidMarkKey), "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn any_file_name_is_read_without_harm_and_reads_back(name in "[a-z.:0-9/\u{e4}]{0,20}") {
            if let Ok(key) = name.parse::<MarkKey>() {
                prop_assert_eq!(key.to_string(), name);
            }
        }
    }
}
