//! All namespaces with the servers that clients should reach.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use soa_configs::{Namespace, NamespaceConfig};

/// Every namespace this host proxies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalog {
    pub pools: BTreeMap<Namespace, Arc<Pool>>,
}

/// One namespace: its settings and its servers.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    pub config: Arc<NamespaceConfig>,
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
