//! What a template is given: the stable interface that `templates/README.md` describes.

use std::net::SocketAddr;

use serde::Serialize;
use soa_configs::Namespace;

/// Everything.
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
    /// From which a new worker learns what the old one knew of servers.
    pub state_file: String,
    /// Words of a `log` line, or null.
    pub log: Option<String>,
    /// Of requests, into the log.
    pub captured_headers: Vec<Capture>,
    pub error_files: Vec<ErrorFile>,
    /// Scripts that the plugins of some namespace need.
    pub lua_scripts: Vec<String>,
    /// The share of requests that the logging script logs; for its environment.
    pub log_sample_rate: f64,
    /// Container addresses and their services; for the environment of scripts.
    pub map_file: String,
    /// Between two checks of a server that is up.
    pub check_interval_s: u64,
}

/// A request header that is logged.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Capture {
    pub name: String,
    pub length: u16,
}

/// What is sent instead of HAProxy's own page.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ErrorFile {
    pub code: u16,
    pub file: String,
}

/// One namespace.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Section {
    /// `service.namespace`; the name of the frontend and of the main backend (synapse.md §17.1).
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
    /// A server that is new gets its full share only after so long.
    pub slowstart_ms: Option<u64>,
    /// All backup servers are used together when no other is left, not the first of them alone.
    pub all_backups: bool,
    pub maxconn_per_server: u32,
    pub maxqueue_per_server: u32,
    /// Others are `proxied_through` it.
    pub is_proxy: bool,
    pub plugins: Plugins,
    /// One for each place and endpoint.
    pub backends: Vec<Backend>,
}

/// Plugins that are asked for and whose scripts are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Plugins {
    pub logging: bool,
    pub path_based_routing: bool,
    pub source_required: bool,
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
    /// Connections are rejected, on purpose (`chaos`).
    pub drops: bool,
    /// Requests wait so long, on purpose.
    pub delay_ms: Option<u64>,
    /// The namespace through which requests pass first; it is served here.
    pub proxied_through: Option<Namespace>,
    /// Backends in the order in which they are tried while they have room; the main one, by which a
    /// request is served in the end, among them.
    pub routes: Vec<Route>,
}

/// One way from a frontend to a backend.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Route {
    pub backend: String,
    /// Only for paths that begin so; `/` stands for itself alone. Null: for all.
    pub path: Option<String>,
}

/// Servers of one place, with the timeout of one endpoint.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Backend {
    /// `NAMESPACE[.TYPE][.ENDPOINT_timeouts]` (synapse.md §8.3).
    pub name: String,
    /// The location type of its servers.
    pub place_type: String,
    pub endpoint: Option<String>,
    /// It is called as the namespace.
    pub is_main: bool,
    pub timeout_server_ms: Option<u64>,
    pub servers: Vec<Server>,
}

/// How HAProxy asks hacheck (synapse.md §8.4).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    pub port: u16,
    pub uri: String,
    /// The path by which a request is known as a health check.
    pub status_path: String,
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
