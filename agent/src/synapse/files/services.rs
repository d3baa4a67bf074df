//! `SERVICE.NAMESPACE.json`: who serves a backend, byte for byte as synapse's file_output writes it
//! (synapse.md §6).

use std::{collections::BTreeSet, net::IpAddr};

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::Value;
use soa_configs::Namespace;

use crate::{
    registry::{SeenRecord, Source},
    synapse::catalog::{Fault, Pool, Reach, near},
};

/// One server, with its keys in synapse's order. What its record does not say is null.
#[derive(Serialize)]
struct Entry<'a> {
    name: Option<&'a str>,
    host: IpAddr,
    port: u16,
    id: Option<u64>,
    weight: Option<u32>,
    haproxy_server_options: Option<&'a str>,
    labels: Option<&'a IndexMap<String, String>>,
}

impl<'a> From<&'a SeenRecord> for Entry<'a> {
    fn from(seen: &'a SeenRecord) -> Self {
        let record = &seen.record;
        Self {
            name: Some(record.name.as_str()).filter(|name| !name.is_empty()),
            host: record.host,
            port: record.port,
            id: id(&seen.znode),
            weight: record.weight,
            haproxy_server_options: record.haproxy_server_options.as_deref(),
            labels: record.labels.as_ref(),
        }
    }
}

/// What the file of a reach says: compact, without a final newline, in the order of the records.
pub(super) fn text(
    source: Source,
    namespace: &Namespace,
    pool: &Pool,
    reach: &Reach,
) -> Result<String, serde_json::Error> {
    let near = near(source, &reach.place, namespace);
    let mut met = BTreeSet::new();
    let mut is_first = |seen: &SeenRecord| {
        let record = &seen.record;
        met.insert((record.host, record.port, record.name.clone()))
    };
    // A service that fails on purpose has no servers for those who read files either (synapse.md §8.4).
    let fails = pool.fault == Some(Fault::Error503);
    let records = pool.records.iter().filter(|seen| !fails && near(seen) && is_first(seen));
    serde_json::to_string(&records.map(Entry::from).collect::<Vec<_>>())
}

/// The number that ZooKeeper gave a znode: its last piece, if that is one.
fn id(znode: &str) -> Option<u64> {
    let last = znode.trim_end_matches('_').rsplit(['_', '/']).next()?;
    let digits = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    last.parse().ok().filter(|_| digits)
}

/// Whether `present` names the servers of `text`. ZooKeeper lists children in no particular order, so
/// the order says nothing, and readers are not woken for it.
pub(super) fn says_the_same(present: &[u8], text: &str) -> bool {
    let servers = |json: &[u8]| {
        let servers: Vec<Value> = serde_json::from_slice(json).ok()?;
        let mut servers: Vec<String> = servers.iter().map(Value::to_string).collect();
        servers.sort_unstable();
        Some(servers)
    };
    present == text.as_bytes()
        || servers(present).is_some_and(|present| Some(present) == servers(text.as_bytes()))
}

#[cfg(test)]
mod tests;
