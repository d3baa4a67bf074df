//! From the catalog to what a template may say: every field here is a stable interface for operators'
//! own templates, described in `templates/README.md`.

mod admit;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use serde::Serialize;
use soa_configs::{Mode, Namespace, NamespaceConfig, smartstack::Balance};

use super::{fingerprint::Fingerprint, settings::Settings};
use crate::synapse::catalog::{self, Catalog};

/// The number each server has in HAProxy, by backend and name.
pub type Ids = BTreeMap<String, BTreeMap<String, u32>>;

/// The settings each namespace was last rendered with.
pub type Accepted = BTreeMap<Namespace, Arc<NamespaceConfig>>;

/// What a template is given.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Model {
    pub global: Global,
    /// Ordered by name.
    pub namespaces: Vec<Section>,
}

/// What concerns the whole process.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Global {
    pub maxconn: u32,
    /// Path of the statistics socket.
    pub socket: String,
    /// `address:port` of the statistics page.
    pub stats_bind: SocketAddr,
    pub hard_stop_after_s: u64,
    /// Words of a `log` line, or null.
    pub log: Option<String>,
}

/// One namespace.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Section {
    /// `service.namespace`; the name of the backend and of the frontend (synapse.md §17.1).
    pub name: Namespace,
    /// HAProxy's word: `http` or `tcp`.
    pub mode: &'static str,
    /// Null for discovery only.
    pub frontend: Option<Frontend>,
    /// `leastconn`, `roundrobin` or null.
    pub balance: Option<&'static str>,
    pub keepalive: bool,
    /// Set on every request; http only.
    pub request_headers: Vec<Header>,
    pub check: Check,
    pub retries: Option<u16>,
    pub timeout_connect_ms: Option<u64>,
    pub timeout_server_ms: Option<u64>,
    pub maxconn_per_server: u32,
    pub maxqueue_per_server: u32,
    pub servers: Vec<Server>,
}

/// Where clients come in.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Frontend {
    /// `address:port`.
    pub bind: SocketAddr,
    /// UNIX socket, or null.
    pub socket: Option<String>,
    /// UNIX socket that expects the PROXY protocol, or null.
    pub proxy_socket: Option<String>,
    pub timeout_client_ms: Option<u64>,
}

/// How HAProxy asks hacheck (synapse.md §8.4).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    pub port: u16,
    pub uri: String,
    pub headers: Vec<Header>,
    /// `layer7` for http, else `layer4`.
    pub observe: &'static str,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Header {
    pub name: String,
    pub value: String,
}

/// One `server` line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Server {
    pub name: String,
    pub address: String,
    /// Unique in its backend and kept as long as HAProxy knows the server.
    pub id: u32,
    /// 0..=256, or null for HAProxy's default.
    pub weight: Option<u16>,
    pub backup: bool,
    /// Takes no new requests; its line must end in `disabled`.
    pub leaving: bool,
}

/// Something of the catalog that was not used, or not in its newest form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Refused {
    /// A namespace, or `namespace/server`.
    pub what: String,
    pub reason: String,
}

/// The outcome of [`build`].
#[derive(Clone, Debug, PartialEq)]
pub struct Built {
    pub model: Model,
    /// To be handed to the next call.
    pub accepted: Accepted,
    pub refused: Vec<Refused>,
}

/// Decides what HAProxy should be. A namespace whose settings cannot be rendered keeps those of
/// `accepted`; all others go on. `taken` are ports on which another process listens.
#[must_use]
pub fn build(
    settings: &Settings,
    catalog: &Catalog,
    ids: &Ids,
    accepted: &Accepted,
    taken: &BTreeSet<u16>,
) -> Built {
    let (accepted, mut refused) = admit::configs(settings, catalog, accepted, taken);
    let model = of(settings, catalog, accepted.iter(), ids, &mut refused);
    Built { model, accepted, refused }
}

/// The part of the model that concerns `names`, with the settings they were last rendered with: for
/// a catalog in which nothing but servers changed.
#[must_use]
pub fn servers_of(
    settings: &Settings,
    catalog: &Catalog,
    names: &BTreeSet<Namespace>,
    ids: &Ids,
    accepted: &Accepted,
) -> Model {
    let namespaces = names.iter().filter_map(|name| accepted.get_key_value(name));
    of(settings, catalog, namespaces, ids, &mut Vec::new())
}

fn of<'a>(
    settings: &Settings,
    catalog: &Catalog,
    accepted: impl Iterator<Item = (&'a Namespace, &'a Arc<NamespaceConfig>)>,
    ids: &Ids,
    refused: &mut Vec<Refused>,
) -> Model {
    let no_ids = BTreeMap::new();
    let namespaces = accepted
        .filter_map(|(name, config)| {
            let pool = catalog.pools.get(name)?;
            let known = ids.get(name.as_str()).unwrap_or(&no_ids);
            let servers = servers(settings, name, &pool.servers, known, refused);
            Some(section(settings, name, config, servers, refused))
        })
        .collect();
    let global = Global {
        maxconn: settings.maxconn,
        socket: settings.socket.display().to_string(),
        stats_bind: settings.stats_bind,
        hard_stop_after_s: settings.hard_stop_after.as_secs(),
        log: settings.log.clone(),
    };
    Model { global, namespaces }
}

fn section(
    settings: &Settings,
    name: &Namespace,
    config: &NamespaceConfig,
    servers: Vec<Server>,
    refused: &mut Vec<Refused>,
) -> Section {
    // A timeout given for one side holds for the other as well (synapse.md §8.4).
    let client = config.timeout_client.or(config.timeout_server);
    let server = config.timeout_server.or(config.timeout_client);
    Section {
        name: name.clone(),
        mode: if config.mode == Mode::Tcp { "tcp" } else { "http" },
        frontend: config.proxy_port.map(|port| Frontend {
            bind: SocketAddr::new(settings.bind_address, port.get()),
            socket: socket_path(settings, name, "sock", refused),
            proxy_socket: socket_path(settings, name, "prxy", refused),
            timeout_client_ms: client.map(admit::milliseconds),
        }),
        balance: config.balance.map(|balance| match balance {
            Balance::Leastconn => "leastconn",
            Balance::Roundrobin => "roundrobin",
        }),
        keepalive: config.keepalive,
        request_headers: headers(&config.extra_headers),
        check: check(settings, name, config),
        retries: config.retries,
        timeout_connect_ms: config.timeout_connect.map(admit::milliseconds),
        timeout_server_ms: server.map(admit::milliseconds),
        maxconn_per_server: settings.maxconn_per_server,
        maxqueue_per_server: settings.maxqueue_per_server,
        servers,
    }
}

fn check(settings: &Settings, name: &Namespace, config: &NamespaceConfig) -> Check {
    let mode = config.mode.as_str();
    let path = config.healthcheck_uri.trim_start_matches('/');
    Check {
        port: settings.hacheck_port,
        // The port is a dummy: hacheck takes the real one from a header (synapse.md §8.4).
        uri: format!("/{mode}/{name}/0/{path}"),
        headers: headers(&config.extra_healthcheck_headers),
        observe: if config.mode == Mode::Http { "layer7" } else { "layer4" },
    }
}

fn headers(map: &indexmap::IndexMap<String, String>) -> Vec<Header> {
    map.iter().map(|(name, value)| Header { name: name.clone(), value: value.clone() }).collect()
}

fn socket_path(
    settings: &Settings,
    name: &Namespace,
    suffix: &str,
    refused: &mut Vec<Refused>,
) -> Option<String> {
    let path = settings.sockets_dir.as_ref()?.join(format!("{name}.{suffix}"));
    let path = path.display().to_string();
    // `sun_path` has 108 bytes, and HAProxy binds under `<path>.<pid>.tmp` first.
    if path.len() <= 95 {
        return Some(path);
    }
    let reason = format!("no .{suffix} socket: the path `{path}` is longer than 95 bytes");
    refused.push(Refused { what: name.to_string(), reason });
    None
}

fn servers(
    settings: &Settings,
    namespace: &Namespace,
    servers: &[catalog::Server],
    known: &BTreeMap<String, u32>,
    refused: &mut Vec<Refused>,
) -> Vec<Server> {
    let mut kept = BTreeMap::new();
    for server in servers {
        let reason = match admit::server(server) {
            Err(reason) => reason,
            Ok(()) if kept.contains_key(&server.name) => "its name is taken".to_owned(),
            Ok(()) => {
                kept.insert(server.name.clone(), server);
                continue;
            }
        };
        refused
            .push(Refused { what: format!("{namespace}/{}", server.name.escape_debug()), reason });
    }
    let mut free = FreeIds::new(known);
    let mut lines: Vec<_> = kept
        .into_values()
        .map(|server| Server {
            id: known.get(&server.name).copied().unwrap_or_else(|| free.take()),
            name: server.name.clone(),
            address: SocketAddr::new(server.address.ip(), server.address.port()).to_string(),
            weight: server.weight,
            backup: server.backup,
            leaving: server.leaving,
        })
        .collect();
    let seed = Fingerprint::EMPTY.add(&settings.order_seed.to_be_bytes());
    lines.sort_by_cached_key(|server| seed.add(server.name.as_bytes()).value());
    lines
}

/// Hands out the lowest numbers that no known server has.
struct FreeIds {
    taken: BTreeSet<u32>,
    next: u32,
}

impl FreeIds {
    fn new(known: &BTreeMap<String, u32>) -> Self {
        Self { taken: known.values().copied().collect(), next: 1 }
    }

    fn take(&mut self) -> u32 {
        while self.taken.contains(&self.next) {
            self.next += 1;
        }
        let id = self.next;
        self.next += 1;
        id
    }
}

#[cfg(test)]
mod tests;
