//! From the catalog to what a template may say: every field here is a stable interface for operators'
//! own templates, described in `templates/README.md`.

mod admit;
mod context;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use serde::Serialize;
use soa_configs::{Mode, Namespace, NamespaceConfig, smartstack::Balance};

pub use self::context::{
    Backend, Capture, Check, ErrorFile, Frontend, Global, Header, Model, Plugins, Route, Section,
    Server,
};

use super::{carry, fingerprint::Fingerprint, guilty::HeldBack, settings::Settings};
use crate::synapse::catalog::{self, Catalog, Fault, Pool};

/// The number each server has in HAProxy, by backend and name.
pub type Ids = BTreeMap<String, BTreeMap<String, u32>>;

/// The settings each namespace was last rendered with.
pub type Accepted = BTreeMap<Namespace, Arc<NamespaceConfig>>;

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
/// `accepted`; all others go on. `held_back` are those that HAProxy would not take, `taken` ports on
/// which another process listens.
#[must_use]
pub fn build(
    settings: &Settings,
    catalog: &Catalog,
    ids: &Ids,
    accepted: &Accepted,
    held_back: &HeldBack,
    taken: &BTreeSet<u16>,
) -> Built {
    let (accepted, mut refused) = admit::configs(settings, catalog, accepted, held_back, taken);
    let model = of(settings, catalog, accepted.iter(), ids, &accepted, &mut refused);
    Built { model, accepted, refused }
}

/// The model of these namespaces with these settings, to be tried out.
#[must_use]
pub fn of_these(settings: &Settings, catalog: &Catalog, these: &Accepted, ids: &Ids) -> Model {
    of(settings, catalog, these.iter(), ids, these, &mut Vec::new())
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
    of(settings, catalog, namespaces, ids, accepted, &mut Vec::new())
}

fn of<'a>(
    settings: &Settings,
    catalog: &Catalog,
    namespaces: impl Iterator<Item = (&'a Namespace, &'a Arc<NamespaceConfig>)>,
    ids: &Ids,
    accepted: &Accepted,
    refused: &mut Vec<Refused>,
) -> Model {
    let mut sections = Vec::new();
    for (name, config) in namespaces {
        let Some(pool) = catalog.pools.get(name) else { continue };
        let mut part = Part { settings, name, config, pool, refused: &mut *refused };
        sections.push(part.section(ids, accepted));
    }
    Model { global: global(settings, &sections), namespaces: sections }
}

fn global(settings: &Settings, sections: &[Section]) -> Global {
    let capture = |(name, length): &(String, u16)| Capture { name: name.clone(), length: *length };
    let used = |script: &Script| sections.iter().any(|section| (script.used)(&section.plugins));
    let path = |name: &str| settings.lua_dir.join(name).display().to_string();
    let error_file = |(code, file): (&u16, &std::path::PathBuf)| ErrorFile {
        code: *code,
        file: file.display().to_string(),
    };
    Global {
        maxconn: settings.maxconn,
        socket: settings.socket.display().to_string(),
        stats_bind: settings.stats_bind,
        state_file: carry::file(settings).display().to_string(),
        hard_stop_after_s: settings.hard_stop_after.as_secs(),
        log: settings.log.clone(),
        captured_headers: settings.captured_headers.iter().map(capture).collect(),
        error_files: settings.error_files.iter().map(error_file).collect(),
        lua_scripts: SCRIPTS.iter().filter(|s| used(s)).map(|s| path(s.file)).collect(),
        log_sample_rate: settings.log_sample_rate,
        map_file: settings.map_file.display().to_string(),
        check_interval_s: settings.check_interval.as_secs().max(1),
    }
}

/// A script of synapse-tools that a plugin needs.
struct Script {
    plugin: &'static str,
    file: &'static str,
    used: fn(&Plugins) -> bool,
}

const SCRIPTS: [Script; 3] = [
    Script { plugin: "logging", file: "log_requests.lua", used: |p| p.logging },
    Script {
        plugin: "path_based_routing",
        file: "path_based_routing.lua",
        used: |p| p.path_based_routing,
    },
    Script {
        plugin: "source_required",
        file: "add_source_header.lua",
        used: |p| p.source_required,
    },
];

/// What a section is made of.
struct Part<'a> {
    settings: &'a Settings,
    name: &'a Namespace,
    config: &'a NamespaceConfig,
    pool: &'a Pool,
    refused: &'a mut Vec<Refused>,
}

impl Part<'_> {
    fn section(&mut self, ids: &Ids, accepted: &Accepted) -> Section {
        let (settings, config) = (self.settings, self.config);
        Section {
            name: self.name.clone(),
            mode: if self.is_tcp() { "tcp" } else { "http" },
            frontend: config.proxy_port.map(|port| self.frontend(port.get(), accepted)),
            balance: config.balance.map(|balance| match balance {
                Balance::Leastconn => "leastconn",
                Balance::Roundrobin => "roundrobin",
            }),
            keepalive: config.keepalive,
            request_headers: headers(&config.extra_headers),
            check: check(settings, self.name, config),
            retries: config.retries,
            timeout_connect_ms: config.timeout_connect.map(admit::milliseconds),
            slowstart_ms: config.slowstart.map(admit::milliseconds),
            all_backups: config.spillover.is_some(),
            maxconn_per_server: settings.maxconn_per_server,
            maxqueue_per_server: settings.maxqueue_per_server,
            is_proxy: config.is_proxy && !self.is_tcp(),
            plugins: self.plugins(),
            backends: self.backends(ids),
        }
    }

    fn is_tcp(&self) -> bool {
        self.config.mode == Mode::Tcp
    }

    fn refuse(&mut self, reason: String) {
        self.refused.push(Refused { what: self.name.to_string(), reason });
    }

    fn frontend(&mut self, port: u16, accepted: &Accepted) -> Frontend {
        let config = self.config;
        // A timeout given for one side holds for the other as well (synapse.md §8.4).
        let client = config.timeout_client.or(config.timeout_server);
        Frontend {
            bind: SocketAddr::new(self.settings.bind_address, port),
            socket: socket_path(self.settings, self.name, "sock", self.refused),
            proxy_socket: socket_path(self.settings, self.name, "prxy", self.refused),
            timeout_client_ms: client.map(admit::milliseconds),
            drops: self.pool.fault == Some(Fault::Drop),
            delay_ms: match self.pool.fault {
                Some(Fault::Delay(delay)) => Some(admit::milliseconds(delay)),
                _ => None,
            },
            proxied_through: self.proxied_through(accepted),
            routes: self.routes(),
        }
    }

    /// The namespace through which requests pass first, if HAProxy will have it.
    fn proxied_through(&mut self, accepted: &Accepted) -> Option<Namespace> {
        let through = self.config.proxied_through.as_ref()?;
        let reason = match accepted.get(through) {
            _ if self.is_tcp() => "only http can be `proxied_through` another namespace".to_owned(),
            None => format!("`proxied_through: {through}` is not served here; served directly"),
            Some(proxy) if proxy.mode == Mode::Tcp => {
                format!("`proxied_through: {through}` is not http; served directly")
            }
            Some(_) => return Some(through.clone()),
        };
        self.refuse(reason);
        None
    }

    /// Clients go to the place of `discover`, and to wider ones when that is full or empty; never to a
    /// narrower one (synapse.md §8.3).
    fn routes(&self) -> Vec<Route> {
        let of_discover = |variant: &catalog::Variant<'_>| variant.reach.is_discovered;
        let variants = self.pool.variants(self.name, self.config);
        let variants = variants.skip_while(|variant| !of_discover(variant));
        // Without HTTP there are no paths.
        let usable = variants.filter(|variant| variant.endpoint.is_none() || !self.is_tcp());
        let route = |variant: catalog::Variant<'_>| Route {
            backend: variant.name,
            path: variant.endpoint.map(|(path, _)| path.to_owned()),
        };
        usable.map(route).collect()
    }

    fn plugins(&mut self) -> Plugins {
        let asked = &self.config.plugins;
        let mut plugins = Plugins {
            logging: asked.logging && !self.is_tcp(),
            path_based_routing: asked.path_based_routing && !self.is_tcp(),
            source_required: asked.source_required && !self.is_tcp(),
        };
        for script in &SCRIPTS {
            if (script.used)(&plugins) && !self.settings.lua_files.contains(script.file) {
                let (plugin, file) = (script.plugin, script.file);
                self.refuse(format!("plugins.{plugin} needs the script {file} in haproxy.lua_dir"));
                match plugin {
                    "logging" => plugins.logging = false,
                    "path_based_routing" => plugins.path_based_routing = false,
                    _ => plugins.source_required = false,
                }
            }
        }
        plugins
    }

    fn backends(&mut self, ids: &Ids) -> Vec<Backend> {
        let no_ids = BTreeMap::new();
        let server = self.config.timeout_server.or(self.config.timeout_client);
        let mut backends = Vec::new();
        for variant in self.pool.variants(self.name, self.config) {
            let is_main = variant.is_main();
            let known = ids.get(&variant.name).unwrap_or(&no_ids);
            // The same servers stand in each of them: told once.
            let mut told = Vec::new();
            let servers =
                servers(self.settings, self.name, &variant.reach.servers, known, &mut told);
            if variant.endpoint.is_none() {
                self.refused.append(&mut told);
            }
            let timeout: Option<Duration> = variant.endpoint.map(|(_, timeout)| timeout).or(server);
            backends.push(Backend {
                place_type: variant.reach.place.kind().to_owned(),
                endpoint: variant.endpoint.map(|(path, _)| path.to_owned()),
                name: variant.name,
                is_main,
                timeout_server_ms: timeout.map(admit::milliseconds),
                servers,
            });
        }
        backends
    }
}

fn check(settings: &Settings, name: &Namespace, config: &NamespaceConfig) -> Check {
    let mode = config.mode.as_str();
    let path = config.healthcheck_uri.trim_start_matches('/');
    Check {
        port: settings.hacheck_port,
        // The port is a dummy: hacheck takes the real one from a header (synapse.md §8.4).
        uri: format!("/{mode}/{name}/0/{path}"),
        status_path: config.healthcheck_uri.clone(),
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
