//! Which registry a record stands in: the ZooKeeper servers that hold it.

use std::{collections::BTreeSet, fmt, str::FromStr, sync::Arc};

/// The port of a server that is named without one.
const PORT: u16 = 2181;

/// An ensemble is told by a list of its servers; nobody has a longer one.
const MOST_SERVERS: usize = 64;

/// The longest name of a server, with its port.
const LONGEST: usize = 260;

/// One registry, told by the servers that hold it: `host:port,...`, sorted, each once, as nerve sorts
/// its `zk_hosts` into one connection (nerve.md §1.3). Cheap to clone.
///
/// Two lists that name different servers are two ensembles, even if the same registry is behind them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ensemble(Arc<str>);

/// A list that names no ensemble.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEnsemble {
    #[error("no server is named")]
    Empty,
    #[error("more than {MOST_SERVERS} servers are named")]
    TooMany,
    #[error("`{}`: expected HOST:PORT", .0.escape_debug())]
    Server(String),
}

impl Ensemble {
    /// The ensemble of these servers, each `host` or `host:port`; an IPv6 address stands in brackets.
    /// The port defaults to 2181.
    ///
    /// # Errors
    /// When there are none or too many, or one is no server.
    pub fn of<T: AsRef<str>>(
        servers: impl IntoIterator<Item = T>,
    ) -> Result<Self, InvalidEnsemble> {
        let servers: BTreeSet<String> =
            servers.into_iter().map(|s| server(s.as_ref())).collect::<Result<_, _>>()?;
        match servers.len() {
            0 => Err(InvalidEnsemble::Empty),
            1..=MOST_SERVERS => Ok(Self(servers.into_iter().collect::<Vec<_>>().join(",").into())),
            _ => Err(InvalidEnsemble::TooMany),
        }
    }

    /// The registry in the memory of this host, which has no servers.
    #[must_use]
    pub fn memory() -> Self {
        Self("memory".into())
    }

    /// What nerve's metrics call it: the first label of the alphabetically first host, without digits at
    /// its end (nerve.md §1.5); of an address, all of it.
    #[must_use]
    pub fn cluster(&self) -> String {
        let first = self.0.split(',').next().unwrap_or_default();
        let host = first.rsplit_once(':').map_or(first, |(host, _)| host);
        let label = host.split('.').next().unwrap_or_default();
        let name = label.trim_end_matches(|c: char| c.is_ascii_digit());
        if name.is_empty() || host.starts_with('[') { host.to_owned() } else { name.to_owned() }
    }

    /// `host:port,...`, fit for a connection.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn server(text: &str) -> Result<String, InvalidEnsemble> {
    let refused = || InvalidEnsemble::Server(text.chars().take(LONGEST).collect());
    let text = text.trim();
    if text.is_empty() || text.len() > LONGEST {
        return Err(refused());
    }
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => {
            address.parse::<std::net::Ipv6Addr>().map_err(|_| refused())?;
            let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':')) };
            (format!("[{address}]"), port.map(Option::unwrap_or_default))
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host.to_owned(), Some(port)),
            None => (text.to_owned(), None),
        },
    };
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let named = host.starts_with('[') || (!host.is_empty() && host.chars().all(word));
    let port = match port {
        None => Some(PORT),
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => port.parse().ok(),
        Some(_) => None,
    };
    match port {
        Some(port) if named && port != 0 => Ok(format!("{host}:{port}")),
        _ => Err(refused()),
    }
}

impl FromStr for Ensemble {
    type Err = InvalidEnsemble;

    fn from_str(text: &str) -> Result<Self, InvalidEnsemble> {
        if text == Self::memory().as_str() { Ok(Self::memory()) } else { Self::of(text.split(',')) }
    }
}

impl fmt::Display for Ensemble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Ensemble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_repetition_and_the_usual_port_make_no_difference() {
        let one = Ensemble::of(["zk2:2181", "zk1", "[::1]:2182", "zk1:2181"]).unwrap();
        assert_eq!(one.as_str(), "[::1]:2182,zk1:2181,zk2:2181");
        assert_eq!(one.as_str().parse(), Ok(one.clone()));
        assert_ne!(one, Ensemble::of(["zk1"]).unwrap());
        assert_eq!("memory".parse(), Ok(Ensemble::memory()));
    }

    #[test]
    fn a_cluster_is_called_by_its_first_host() {
        for (servers, name) in [
            (["zk12-devc3.example.org:2181", "zk9-other"], "zk12-devc"),
            (["zk1:2181", "zk2"], "zk"),
            (["10.0.0.1", "10.0.0.2"], "10.0.0.1"),
            (["[fd00::1]", "[fd00::2]"], "[fd00::1]"),
        ] {
            assert_eq!(Ensemble::of(servers).unwrap().cluster(), name);
        }
    }

    #[test]
    fn what_would_change_a_connection_string_is_refused() {
        for text in
            ["", "a/b:1", "a:0", "a:70000", "a:b", "a:1:2", "[x]:1", "[::1", "[::1]2", "a b", "::1"]
        {
            assert!(Ensemble::of([text]).is_err(), "{text:?}");
        }
        assert_eq!(Ensemble::of::<&str>([]), Err(InvalidEnsemble::Empty));
        let many = (0..65).map(|n| format!("zk{n}"));
        assert_eq!(Ensemble::of(many), Err(InvalidEnsemble::TooMany));
    }
}
