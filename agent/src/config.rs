//! The agent's own file, `agent.yaml`: every setting, its default, its check.
//!
//! Unlike soa-configs this file is ours, so it is read strictly: an unknown key is an error. Every
//! setting has a default; without a file the agent starts and says what it assumed.

mod assume;
mod check;
mod raw;
mod values;

pub(crate) use values::Span;

use std::{
    collections::BTreeSet,
    fmt,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use hacheck::{
    network::Network,
    settings::{CommandUser, Login, Secret},
};

use crate::{
    registry::{Ensemble, Layout, Source, zookeeper::security::Security},
    synapse::guard,
};

/// A checked configuration; every field can be used as it is.
#[derive(Clone, Debug)]
pub struct Config {
    /// soa-configs. Default `/nail/etc/services`.
    pub soa_dir: PathBuf,
    /// System configuration. Default `/etc/paasta`.
    pub paasta_dir: PathBuf,
    /// PaaSTA's cluster; default: what the system configuration says.
    pub cluster: Option<soa_configs::Cluster>,
    pub host: Host,
    pub locations: Locations,
    pub docker: Docker,
    /// Local processes that serve without a container. Default `/etc/smartstack/tasks.yaml`.
    pub local_tasks: PathBuf,
    /// `mesos`: the agent of this host, as a second source. Default: it is not asked.
    pub mesos: Option<crate::nerve::mesos::Settings>,
    /// Files of services that puppet put on this host. Default `/etc/nerve/puppet_services.d`.
    pub puppet_services_dir: PathBuf,
    /// `nerve_conf`: a configuration file of nerve whose entries are registered. Default: none.
    pub nerve_conf: Option<PathBuf>,
    pub registry: Registry,
    pub guard: guard::Policy,
    pub hacheck: Hacheck,
    pub admin: Admin,
    pub haproxy: crate::synapse::haproxy::Settings,
    /// When a task counts as flapping, and how long it is held out then.
    pub damping: crate::nerve::damper::Damping,
    /// `drain.hold`: how long an instance is held back after it was withdrawn, so that the proxies of
    /// other hosts have followed before it is called safe to stop. Default 5 s, as `updown_service`
    /// waits (nerve.md §6).
    pub drain_hold: Duration,
    /// The agent itself starts HAProxy (`haproxy.manage`). Default false: a systemd unit does.
    pub manage_haproxy: bool,
    /// `haproxy.use_nerve_weights`: the weights of records count. Default false (synapse.md §2.1).
    pub use_nerve_weights: bool,
    /// `oom_events`: how people are told of processes that were killed for want of memory. `None`: not at
    /// all. Default: as the system configuration says.
    pub oom_events: Option<crate::oom::Settings>,
    /// `statsd`: where metrics are sent, as `host:port`. Default: nowhere.
    pub statsd: Option<String>,
    /// `heartbeat`: a file touched every 10 s while the agent works, as nerve's. Default: none.
    pub heartbeat: Option<PathBuf>,
    pub files: Files,
    /// State of the agent. Default `/var/lib/smartstack`.
    pub state_dir: PathBuf,
    pub log: Log,
    /// What was assumed for want of a setting: one sentence each, for the log.
    pub assumptions: Vec<String>,
}

/// Who this host is in records.
#[derive(Clone, Debug)]
pub struct Host {
    /// Default: the host name.
    pub name: String,
    /// Default: the address the host name resolves to, or the one of the default route.
    pub address: IpAddr,
}

/// Where this host is.
#[derive(Clone, Debug)]
pub struct Locations {
    /// Holds one file per location type. Default `/nail/etc`.
    pub dir: PathBuf,
    /// Default `/nail/etc/services/location_types.json`.
    pub types_file: PathBuf,
    /// Default `/nail/etc/services/location_mapping.json`.
    pub mapping_file: PathBuf,
    /// Places given here, widest first; when there are any, the files are not read.
    pub fixed: Vec<soa_configs::Place>,
}

#[derive(Clone, Debug)]
pub struct Docker {
    /// Default true.
    pub enabled: bool,
    /// Default `/var/run/docker.sock`.
    pub socket: String,
    /// Default 30 s.
    pub resync: Duration,
    /// Default 2 min: `docker stop -t` and Mesos may give longer than the container itself says.
    pub stop_grace: Duration,
}

/// Where records go.
#[derive(Clone, Debug)]
pub struct Registry {
    pub kind: RegistryKind,
    /// Default both.
    pub layouts: BTreeSet<Layout>,
    /// Default v2.
    pub read: Source,
    /// Default: keep, so that a restart leaves no gap (design invariant 5).
    pub withdraw_on_stop: bool,
    /// How to log in to ZooKeeper. Default: not at all.
    pub security: Security,
    /// The file that named the ensemble, if one did.
    pub topology: Option<PathBuf>,
    /// Each location of this type has a ZooKeeper. Default superregion.
    pub location_type: String,
    /// Names the ZooKeeper of each. Default `/nail/etc/zookeeper_discovery/infrastructure`.
    pub topology_dir: PathBuf,
    /// Labels of operators. Default `/etc/nerve/labels.d`.
    pub labels_dir: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistryKind {
    /// In memory, for one host.
    Embedded,
    ZooKeeper {
        ensemble: Ensemble,
        /// Default 30 s.
        session_timeout: Duration,
    },
}

#[derive(Clone, Debug)]
pub struct Hacheck {
    /// Default `0.0.0.0:6666`.
    pub listen: SocketAddr,
    /// Default `/var/spool/hacheck`.
    pub spool: PathBuf,
    /// How long an answer is reused. Default 1 s.
    pub cache: Duration,
    /// Limit of one check asked over HTTP. Default 10 s.
    pub timeout: Duration,
    /// Networks that may set marks; loopback always may.
    pub remote_marks: Vec<Network>,
    /// Other hosts that may be checked through this one.
    pub targets: Vec<Network>,
    /// Request headers sent on to the service. Default `[Host]`.
    pub headers_to_copy: Vec<hyper::header::HeaderName>,
    /// Whoever sends this as a bearer token may set marks from anywhere. Default: nobody.
    pub token: Option<Secret>,
    /// A header that tells the service its name. Default: none.
    pub service_name_header: Option<hyper::header::HeaderName>,
    /// Whether connections to services that allow it are used again. Default true.
    pub keep_alive: bool,
    /// Who to log in to MySQL as. Default: nobody.
    pub mysql: Option<Login>,
    /// Who to log in to Redis as. Default: nobody.
    pub redis: Option<Login>,
    /// Who to log in to RabbitMQ as. Default: `guest`.
    pub rabbitmq: Option<Login>,
    /// Who runs the programs of checks. Default `nobody`, or this process's user if that is not root.
    pub command_user: CommandUser,
    /// Whether a mark on an instance is dropped when a newer container has its port. Default true.
    pub drop_stale_marks: bool,
}

/// The admin interface.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Default `/run/smartstack/agent.sock`.
    pub socket: PathBuf,
    /// Default `127.0.0.1:6667`.
    pub listen: SocketAddr,
}

/// Files that are written for other programs.
#[derive(Clone, Debug)]
pub struct Files {
    /// Where each backend has its `NAME.json`. Default `/var/run/synapse/services`.
    pub services_dir: Option<PathBuf>,
    /// Where each backend has its `NAME.yaml` for Envoy. Default: nowhere.
    pub envoy_dir: Option<PathBuf>,
    /// Whether `haproxy.map_file` is written. Default false: a cron job may do so.
    pub ip_map: bool,
    /// The file that may name another writer of the files of services. Default: none.
    pub envoy_migration: Option<PathBuf>,
}

#[derive(Clone, Debug)]
pub struct Log {
    pub format: LogFormat,
    /// A filter such as `info` or `agent=debug,info`. Default
    /// `info,zookeeper_client=warn`; `SMARTSTACK_LOG` overrides it.
    pub level: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    Text,
    Json,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot parse {}", path.display())]
    Parse {
        path: PathBuf,
        #[source]
        source: Box<serde_yaml::Error>,
    },
    #[error("{} is not valid:{}", path.display(), Lines(problems))]
    Invalid { path: PathBuf, problems: Vec<Problem> },
}

/// One thing wrong with the file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub line: u64,
    pub key: &'static str,
    pub message: String,
}

/// What the command line says over the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    pub soa_dir: Option<PathBuf>,
}

impl Config {
    /// Reads `path`. When it was not asked for and is not there, all settings are the defaults.
    ///
    /// # Errors
    /// With every problem of the file at once.
    pub fn load(path: &Path, asked_for: bool, overrides: &Overrides) -> Result<Self, Error> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !asked_for => {
                String::new()
            }
            Err(source) => return Err(Error::Read { path: path.into(), source }),
        };
        let mut config = Self::parse(&text, path)?;
        if let Some(soa_dir) = &overrides.soa_dir {
            config.soa_dir.clone_from(soa_dir);
        }
        if text.is_empty() {
            let sentence =
                format!("{} is not there: all settings are the defaults", path.display());
            config.assumptions.insert(0, sentence);
        }
        Ok(config)
    }

    /// # Errors
    /// With every problem of the text at once.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let raw = raw::parse(text)
            .map_err(|source| Error::Parse { path: path.into(), source: Box::new(source) })?;
        check::check(raw).map_err(|problems| Error::Invalid { path: path.into(), problems })
    }
}

struct Lines<'a>(&'a [Problem]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|p| {
            if p.line == 0 {
                return write!(f, "\n  {}: {}", p.key, p.message);
            }
            write!(f, "\n  line {}: {}: {}", p.line, p.key, p.message)
        })
    }
}

#[cfg(test)]
mod tests;
