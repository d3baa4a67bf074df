//! All namespaces with the servers that clients should reach.

mod pool;
mod traffic;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use soa_configs::{Namespace, NamespaceConfig, Place, smartstack::Canary};

pub use self::pool::{Fault, Pool, Reach, Server, Variant};
use crate::{
    nerve::publish::Away,
    registry::{Listing, ParentPath, Record, SeenRecord, Source},
    soa::Soa,
};

/// Every namespace this host proxies.
/// Cheap to compare: what did not change is shared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    pub pools: BTreeMap<Namespace, Arc<Pool>>,
    /// Namespaces that could not be taken up, and why.
    pub refused: BTreeMap<Namespace, String>,
    /// Namespaces of soa-configs of which the registry has said nothing yet.
    pub unread: BTreeSet<Namespace>,
}

/// How records become servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    pub source: Source,
    /// Whether the weight of a record counts. Default no, as with synapse (synapse.md §17.11).
    pub weights: bool,
}

/// The catalog of what soa-configs proxy and the listings that were believed. What did not change is
/// taken from `before`.
///
/// A namespace without a listing gets no pool: nothing is known of it yet.
#[must_use]
pub fn assemble(
    soa: &Soa,
    listings: &BTreeMap<Namespace, Arc<Listing>>,
    reading: Reading,
    away: &Away,
    before: Option<&Catalog>,
) -> Catalog {
    let mut catalog = Catalog::default();
    for (namespace, config) in &soa.configs.namespaces {
        let Some(listing) = listings.get(namespace) else {
            catalog.unread.insert(namespace.clone());
            continue;
        };
        let places = match places(soa, config) {
            Ok(places) => places,
            Err(reason) => {
                catalog.refused.insert(namespace.clone(), reason);
                continue;
            }
        };
        let part = Part { namespace, config, listing, places, fault: fault(soa, config) };
        let leaving = away_of(namespace, away);
        let old = before.and_then(|before| before.pools.get(namespace));
        let pool = match old.filter(|old| part.is_in(old, &leaving)) {
            Some(old) => Arc::clone(old),
            None => {
                let spilled = old.is_some_and(|old| old.spilled);
                Arc::new(part.pool(reading, leaving, spilled))
            }
        };
        catalog.pools.insert(namespace.clone(), pool);
    }
    catalog
}

/// What a pool is made of.
struct Part<'a> {
    namespace: &'a Namespace,
    config: &'a Arc<NamespaceConfig>,
    listing: &'a Listing,
    /// Most specific first, and whether it is that of `discover`.
    places: Vec<(&'a Place, bool)>,
    fault: Option<Fault>,
}

impl Part<'_> {
    fn is_in(&self, pool: &Pool, leaving: &BTreeSet<SocketAddr>) -> bool {
        Arc::ptr_eq(&pool.config, self.config)
            && Arc::ptr_eq(&pool.records, &self.listing.records)
            && pool.leaving == *leaving
            && pool.fault == self.fault
            && pool.places().eq(self.places.iter().copied())
    }

    fn pool(&self, reading: Reading, leaving: BTreeSet<SocketAddr>, spilled: bool) -> Pool {
        let reach = |(place, is_discovered): &(&Place, bool)| {
            let near = near(reading.source, place, self.namespace);
            let records = self.listing.records.iter().filter(|seen| near(seen));
            let records = records.map(|seen| seen.record.as_ref());
            let servers = match self.fault {
                Some(Fault::Error503) => Vec::new(),
                _ => servers(records, reading, &leaving, self.config.canary.as_ref()),
            };
            Reach { place: (*place).clone(), is_discovered: *is_discovered, servers }
        };
        let mut reaches: Vec<_> = self.places.iter().map(reach).collect();
        self.defaults(&mut reaches);
        let spillover = self.config.spillover;
        let spilled = spillover.is_some_and(|s| traffic::spill(&mut reaches, s, spilled));
        Pool {
            config: Arc::clone(self.config),
            records: Arc::clone(&self.listing.records),
            reaches,
            fault: self.fault,
            leaving,
            spilled,
        }
    }

    /// Nobody is registered where clients look first.
    fn defaults(&self, reaches: &mut [Reach]) {
        let fails = self.fault == Some(Fault::Error503);
        let empty = |reach: &&mut Reach| reach.is_discovered && reach.servers.is_empty() && !fails;
        for reach in reaches.iter_mut().filter(empty) {
            let defaults = self.config.default_servers.iter().map(|default| Server {
                name: name(&default.name, default.address),
                address: default.address,
                weight: None,
                backup: false,
                leaving: false,
            });
            reach.servers.extend(defaults);
        }
    }
}

/// The places of this host in which a namespace is discovered or advertised.
///
/// # Errors
/// When this host is in no place of the type that `discover` names.
fn places<'a>(soa: &'a Soa, config: &NamespaceConfig) -> Result<Vec<(&'a Place, bool)>, String> {
    let is_discovered = |place: &Place| place.kind() == config.discover;
    if !soa.places.iter().any(is_discovered) {
        return Err(format!(
            "`discover: {}` is no location type of this host (known: {})",
            config.discover,
            soa.places.iter().map(Place::as_str).collect::<Vec<_>>().join(", ")
        ));
    }
    let is_advertised = |place: &Place| config.advertise.iter().any(|kind| kind == place.kind());
    let places = soa.places.iter().rev().map(|place| (place, is_discovered(place)));
    Ok(places.filter(|(place, is_discovered)| *is_discovered || is_advertised(place)).collect())
}

/// The fault that is made on purpose in the places of this host: entries of the file are merged, and
/// failing wins over waiting (synapse.md §8.4).
fn fault(soa: &Soa, config: &NamespaceConfig) -> Option<Fault> {
    let here = config.chaos.iter().filter(|(place, _)| soa.places.contains(place));
    let (mut fail, mut delay) = (None, None);
    for (_, chaos) in here {
        fail = chaos.fail.or(fail);
        delay = chaos.delay.or(delay);
    }
    fail.map(Fault::from).or(delay.map(Fault::Delay))
}

/// Where tasks of this host are leaving a namespace.
fn away_of(namespace: &Namespace, away: &Away) -> BTreeSet<SocketAddr> {
    let first = (namespace.clone(), SocketAddr::from(([0, 0, 0, 0], 0)));
    let of = away.range(first..).take_while(|((other, _), _)| other == namespace);
    of.map(|((_, address), _)| *address).collect()
}

/// Whether a record is of `place`: a v1 path names the place, a v2 record carries it as a label with
/// an empty value.
pub(super) fn near(
    source: Source,
    place: &Place,
    namespace: &Namespace,
) -> impl Fn(&SeenRecord) -> bool + use<> {
    let parent = format!("{}/", ParentPath::v1(place, namespace));
    let place = place.clone();
    let by_path = source != Source::V2;
    let by_label = source != Source::V1;
    move |seen| {
        let labels = seen.record.labels.as_ref();
        let label = labels.and_then(|labels| labels.get(place.as_str()));
        (by_path && seen.znode.starts_with(&parent))
            || (by_label && label.is_some_and(String::is_empty))
    }
}

/// One server a (host, port, name); the first record wins (synapse.md §3).
fn servers<'a>(
    records: impl Iterator<Item = &'a Record>,
    reading: Reading,
    leaving: &BTreeSet<SocketAddr>,
    canary: Option<&Canary>,
) -> Vec<Server> {
    let (mut servers, mut canaries) = (BTreeMap::new(), BTreeSet::new());
    for record in records {
        let address = SocketAddr::new(record.host, record.port);
        let name = name(&record.name, address);
        if canary.is_some_and(|canary| traffic::is_canary(canary, record)) {
            canaries.insert(name.clone());
        }
        servers.entry(name).or_insert_with_key(|name| Server {
            name: name.clone(),
            address,
            weight: record.weight.filter(|_| reading.weights).map(weight),
            backup: is_backup(record),
            leaving: leaving.contains(&address),
        });
    }
    let mut servers: Vec<Server> = servers.into_values().collect();
    if let Some(canary) = canary {
        traffic::divide(&mut servers, canary.share, |server| canaries.contains(&server.name));
    }
    servers
}

fn is_backup(record: &Record) -> bool {
    let options = record.haproxy_server_options.as_deref().unwrap_or_default();
    options.split_whitespace().any(|word| word == "backup")
}

/// HAProxy's weights end at 256.
fn weight(weight: u32) -> u16 {
    u16::try_from(weight.min(256)).unwrap_or(256)
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
