//! One namespace as this host sees it.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use soa_configs::{Namespace, NamespaceConfig, Place, smartstack::Fail};

use crate::registry::SeenRecord;

/// One namespace: its settings and its servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    pub config: Arc<NamespaceConfig>,
    /// What was believed of the registry, from everywhere.
    pub records: Arc<Vec<SeenRecord>>,
    /// One for each place of this host in which the namespace is discovered or advertised, most
    /// specific first. Exactly one of them is that of `discover`.
    pub reaches: Vec<Reach>,
    /// Made on purpose on this host (`chaos`).
    pub fault: Option<Fault>,
    /// Where tasks of this host are on their way out.
    pub leaving: BTreeSet<SocketAddr>,
    /// Servers of a wider place have joined those of `discover` (`spillover`).
    pub spilled: bool,
}

/// The servers of one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    pub place: Place,
    /// It is where clients of this host look first.
    pub is_discovered: bool,
    /// Ordered and without duplicates by name.
    pub servers: Vec<Server>,
}

/// One member of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// `<name>_<host>:<port>` (synapse.md §3.1); only `A-Z a-z 0-9 _ . : -`.
    pub name: String,
    pub address: SocketAddr,
    /// HAProxy's weight, 0..=256; `None`: HAProxy's default.
    pub weight: Option<u16>,
    pub backup: bool,
    /// This host knows that the task is leaving (mark, drain, stop signal): no new request may go there.
    pub leaving: bool,
}

/// A fault that is made on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Connections are rejected.
    Drop,
    /// There are no servers.
    Error503,
    /// Requests wait so long.
    Delay(Duration),
}

impl From<Fail> for Fault {
    fn from(fail: Fail) -> Self {
        match fail {
            Fail::Drop => Self::Drop,
            Fail::Error503 => Self::Error503,
        }
    }
}

/// One backend of a namespace: the servers of a place, with the timeout of an endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant<'a> {
    /// `NAMESPACE[.TYPE][.ENDPOINT_timeouts]` (synapse.md §8.3).
    pub name: String,
    pub reach: &'a Reach,
    /// A path and its timeout; `None`: all other paths.
    pub endpoint: Option<(&'a str, Duration)>,
}

impl Variant<'_> {
    /// Whether it is the one that is called as the namespace.
    #[must_use]
    pub fn is_main(&self) -> bool {
        self.reach.is_discovered && self.endpoint.is_none()
    }
}

impl Pool {
    /// The servers where clients of this host look first.
    #[must_use]
    pub fn servers(&self) -> &[Server] {
        let discovered = self.reaches.iter().find(|reach| reach.is_discovered);
        discovered.map_or(&[], |reach| &reach.servers)
    }

    /// Whether everything but the servers is as in `other`.
    #[must_use]
    pub fn differs_in_servers_only(&self, other: &Self) -> bool {
        self.config == other.config && self.fault == other.fault && self.places().eq(other.places())
    }

    /// The place of each reach, and whether it is that of `discover`.
    pub(super) fn places(&self) -> impl Iterator<Item = (&Place, bool)> {
        self.reaches.iter().map(|reach| (&reach.place, reach.is_discovered))
    }

    /// The backends of the namespace `name` when it is set up by `config`: places from the most
    /// specific one, in each the endpoints in the order of the file and then everything else.
    pub fn variants<'a>(
        &'a self,
        name: &'a Namespace,
        config: &'a NamespaceConfig,
    ) -> impl Iterator<Item = Variant<'a>> {
        self.reaches.iter().flat_map(move |reach| {
            let endpoints = config.endpoint_timeouts.iter();
            let endpoints = endpoints.map(|(path, timeout)| Some((path.as_str(), *timeout)));
            endpoints.chain([None]).map(move |endpoint| {
                let path = endpoint.map(|(path, _)| path);
                Variant { name: backend(name, reach, path), reach, endpoint }
            })
        })
    }
}

fn backend(namespace: &Namespace, reach: &Reach, endpoint: Option<&str>) -> String {
    let mut name = namespace.to_string();
    if !reach.is_discovered {
        name = format!("{name}.{}", reach.place.kind());
    }
    match endpoint {
        Some(path) => format!("{name}.{}_timeouts", path.replace('/', "__")),
        None => name,
    }
}
