//! All namespaces with the servers that clients should reach.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use soa_configs::{Namespace, NamespaceConfig, Place};

use crate::{
    nerve::publish::Away,
    registry::{Layout, Listing, ParentPath, Record, SeenRecord},
    soa::Soa,
};

/// Every namespace this host proxies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalog {
    pub pools: BTreeMap<Namespace, Arc<Pool>>,
    /// Namespaces that could not be taken up, and why.
    pub refused: BTreeMap<Namespace, String>,
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

/// The catalog of what soa-configs proxy and the listings that were believed.
///
/// A namespace without a listing is left out: nothing is known of it yet.
#[must_use]
pub fn assemble(
    soa: &Soa,
    listings: &BTreeMap<Namespace, Arc<Listing>>,
    layout: Layout,
    away: &Away,
) -> Catalog {
    let mut catalog = Catalog::default();
    for (namespace, config) in &soa.configs.namespaces {
        let Some(listing) = listings.get(namespace) else { continue };
        let Some(place) = soa.places.iter().find(|place| place.kind() == config.discover) else {
            let reason = format!(
                "`discover: {}` is no location type of this host (known: {})",
                config.discover,
                soa.places.iter().map(Place::as_str).collect::<Vec<_>>().join(", ")
            );
            catalog.refused.insert(namespace.clone(), reason);
            continue;
        };
        let near = near(layout, place, namespace);
        let records = listing.records.iter().filter(|seen| near(seen)).map(|seen| &seen.record);
        let servers = servers(records, |address| away.contains_key(&(namespace.clone(), address)));
        catalog
            .pools
            .insert(namespace.clone(), Arc::new(Pool { config: Arc::clone(config), servers }));
    }
    catalog
}

/// Whether a record is of `place`: a v1 path names the place, a v2 record carries it as a label with
/// an empty value.
pub(super) fn near(
    layout: Layout,
    place: &Place,
    namespace: &Namespace,
) -> impl Fn(&SeenRecord) -> bool + use<> {
    let parent = format!("{}/", ParentPath::v1(place, namespace));
    let place = place.clone();
    move |seen| match layout {
        Layout::V1 => seen.znode.starts_with(&parent),
        Layout::V2 => {
            let labels = seen.record.labels.as_ref();
            labels.is_some_and(|labels| labels.get(place.as_str()).is_some_and(String::is_empty))
        }
    }
}

/// One server a (host, port, name); the first record wins (synapse.md §3).
fn servers<'a>(
    records: impl Iterator<Item = &'a Record>,
    leaving: impl Fn(SocketAddr) -> bool,
) -> Vec<Server> {
    let mut names = BTreeSet::new();
    let mut servers: Vec<Server> = Vec::new();
    for record in records {
        let address = SocketAddr::new(record.host, record.port);
        let name = name(&record.name, address);
        if names.insert(name.clone()) {
            let backup = record
                .haproxy_server_options
                .as_deref()
                .is_some_and(|options| options.split_whitespace().any(|word| word == "backup"));
            // The registered weight is ignored, as synapse ignores it unless told (synapse.md §17.11).
            servers.push(Server { name, address, weight: None, backup, leaving: leaving(address) });
        }
    }
    servers.sort_by(|a, b| a.name.cmp(&b.name));
    servers
}

/// `<name>_<host>:<port>`, or `<host>:<port>` without a name (synapse.md §3.1).
#[must_use]
pub fn name(host_name: &str, address: SocketAddr) -> String {
    let (host, port) = (address.ip(), address.port());
    if host_name.is_empty() {
        format!("{host}:{port}")
    } else {
        format!("{host_name}_{host}:{port}")
    }
}

#[cfg(test)]
mod tests;
