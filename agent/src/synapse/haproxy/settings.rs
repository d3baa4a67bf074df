//! What an operator can set about HAProxy, with the defaults of the old programs (synapse.md §8.1).

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    path::PathBuf,
    time::Duration,
};

/// Settings of the HAProxy rooms. [`Settings::default`] documents every default.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where the frontends listen. Default `127.0.0.1`.
    pub bind_address: IpAddr,
    /// Where hacheck answers on every server's own address. Default 6666.
    pub hacheck_port: u16,
    /// The statistics page, read by PaaSTA from afar (synapse.md §11.1). Default `0.0.0.0:3212`.
    pub stats_bind: SocketAddr,
    /// Default `/var/run/synapse/haproxy.cfg`.
    pub config_file: PathBuf,
    /// The statistics socket. Default `/var/run/synapse/haproxy.sock`.
    pub socket: PathBuf,
    /// The socket of HAProxy's master process. Default `/var/run/synapse/haproxy-master.sock`.
    pub master_socket: PathBuf,
    /// Each namespace is also served at `SERVICE.NAMESPACE.sock` and, with the PROXY protocol,
    /// `.prxy` in this directory. `None`: TCP only. Default `/var/run/synapse/sockets`.
    pub sockets_dir: Option<PathBuf>,
    /// The program, for `-c` and when the agent starts it. Default `haproxy`.
    pub program: PathBuf,
    /// Directory with an operator's own `haproxy.cfg.tera`. Default `None`: the built-in one.
    pub templates: Option<PathBuf>,
    /// Connections of the whole process. Default 10000.
    pub maxconn: u32,
    /// Default 50.
    pub maxconn_per_server: u32,
    /// Default 10.
    pub maxqueue_per_server: u32,
    /// Where HAProxy sends its log, as words of its `log` line. `None`: nowhere.
    /// Default `127.0.0.1:1514 daemon info`.
    pub log: Option<String>,
    /// Request headers that are logged, with the length that is kept. Default: Zipkin's.
    pub captured_headers: Vec<(String, u16)>,
    /// What is sent instead of HAProxy's own error pages, by status. Default none.
    pub error_files: BTreeMap<u16, PathBuf>,
    /// Where synapse-tools' scripts are, for plugins. Default `/usr/share/synapse-tools/lua_scripts`.
    pub lua_dir: PathBuf,
    /// The names of the files there at the start.
    pub lua_files: BTreeSet<String>,
    /// For the logging script: the share of requests it logs. Default 1.
    pub log_sample_rate: f64,
    /// For scripts: which service has which container address.
    /// Default `/var/run/synapse/maps/ip_to_service.map`.
    pub map_file: PathBuf,
    /// Between two checks of a server that is up. Default 10 min: its own host looks once a second.
    pub check_interval: Duration,
    /// How long the old process may live for its last connections. Default 1 h, the age at which
    /// the old programs' reaper killed (synapse.md §10).
    pub hard_stop_after: Duration,
    /// Old processes that may live at the same time; the oldest are ended before a further reload.
    /// Default 10, as with the reaper.
    pub max_old_workers: usize,
    /// A reload waits until nothing has changed for so long, 2 s at most. Default 100 ms.
    pub reload_quiet: Duration,
    /// And a random time up to this, so that not all hosts of a fleet reload at once. Default 1 s.
    pub reload_jitter: Duration,
    /// Pause between two reloads once [`Self::reload_burst`] is used up. Default 2 s.
    pub reload_interval: Duration,
    /// Reloads that may follow each other at once. Default 3.
    pub reload_burst: NonZeroU32,
    /// Deadline for one exchange on a socket. Default 5 s.
    pub command_timeout: Duration,
    /// Deadline for `haproxy -c`; 3000 namespaces take 0.35 s (synapse.md §15.1). Default 30 s.
    pub check_timeout: Duration,
    /// Deadline for the proof that a reload succeeded. Default 10 s.
    pub proof_timeout: Duration,
    /// Between two comparisons of everything with what runs; drift is repaired and a changed
    /// template noticed within this time. Default 10 s.
    pub compare_interval: Duration,
    /// Mixed into the order of server lines, so that hosts do not all begin with the same server.
    /// Default 0; the daemon sets it from the host name.
    pub order_seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bind_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            hacheck_port: 6666,
            stats_bind: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 3212)),
            config_file: "/var/run/synapse/haproxy.cfg".into(),
            socket: "/var/run/synapse/haproxy.sock".into(),
            master_socket: "/var/run/synapse/haproxy-master.sock".into(),
            sockets_dir: Some("/var/run/synapse/sockets".into()),
            program: "haproxy".into(),
            templates: None,
            maxconn: 10_000,
            maxconn_per_server: 50,
            maxqueue_per_server: 10,
            log: Some("127.0.0.1:1514 daemon info".to_owned()),
            captured_headers: [
                ("X-B3-SpanId", 64),
                ("X-B3-TraceId", 64),
                ("X-B3-ParentSpanId", 64),
                ("X-B3-Flags", 10),
                ("X-B3-Sampled", 10),
            ]
            .map(|(name, length)| (name.to_owned(), length))
            .to_vec(),
            error_files: BTreeMap::new(),
            lua_dir: "/usr/share/synapse-tools/lua_scripts".into(),
            lua_files: BTreeSet::new(),
            log_sample_rate: 1.0,
            map_file: "/var/run/synapse/maps/ip_to_service.map".into(),
            check_interval: Duration::from_secs(600),
            hard_stop_after: Duration::from_secs(3600),
            max_old_workers: 10,
            reload_quiet: Duration::from_millis(100),
            reload_jitter: Duration::from_secs(1),
            reload_interval: Duration::from_secs(2),
            reload_burst: NonZeroU32::MIN.saturating_add(2),
            command_timeout: Duration::from_secs(5),
            check_timeout: Duration::from_secs(30),
            proof_timeout: Duration::from_secs(10),
            compare_interval: Duration::from_secs(10),
            order_seed: 0,
        }
    }
}
