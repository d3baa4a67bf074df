//! The file as it is written; strict, because it is ours.

use std::{
    collections::BTreeMap,
    num::{NonZeroU16, NonZeroU32},
    path::PathBuf,
};

use indexmap::IndexMap;
use serde::Deserialize;
use serde_yaml::Spanned;

use super::LogFormat;

/// A value as text, with the place where it stands.
pub(super) type Text = Option<Spanned<String>>;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    pub(super) soa_dir: Option<PathBuf>,
    pub(super) paasta_dir: Option<PathBuf>,
    pub(super) cluster: Text,
    pub(super) host: RawHost,
    pub(super) locations: RawLocations,
    pub(super) docker: RawDocker,
    pub(super) local_tasks: Option<PathBuf>,
    pub(super) mesos: RawMesos,
    pub(super) puppet_services_dir: Option<PathBuf>,
    pub(super) nerve_conf: Option<PathBuf>,
    pub(super) registry: RawRegistry,
    pub(super) guard: RawGuard,
    pub(super) hacheck: RawHacheck,
    pub(super) admin: RawAdmin,
    pub(super) haproxy: RawHaproxy,
    pub(super) drain: RawDrain,
    pub(super) damping: RawDamping,
    pub(super) oom_events: RawOomEvents,
    pub(super) statsd: Option<RawStatsd>,
    pub(super) heartbeat: Option<PathBuf>,
    pub(super) files: RawFiles,
    pub(super) state_dir: Option<PathBuf>,
    pub(super) log: RawLog,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawHost {
    pub(super) name: Text,
    pub(super) address: Text,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawLocations {
    pub(super) dir: Option<PathBuf>,
    pub(super) types_file: Option<PathBuf>,
    pub(super) mapping_file: Option<PathBuf>,
    pub(super) fixed: Option<Spanned<IndexMap<String, String>>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawDocker {
    pub(super) enabled: Option<bool>,
    pub(super) socket: Option<String>,
    pub(super) resync: Text,
    pub(super) stop_grace: Text,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawOomEvents {
    pub(super) enabled: Option<bool>,
    pub(super) sensu: Text,
    pub(super) realert_every: Option<Spanned<i64>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawRegistry {
    pub(super) kind: Text,
    pub(super) hosts: Option<Spanned<Vec<String>>>,
    pub(super) topology: Option<Spanned<PathBuf>>,
    pub(super) session_timeout: Text,
    pub(super) layouts: Option<Spanned<Vec<String>>>,
    pub(super) read: Text,
    pub(super) on_stop: Text,
    pub(super) auth: Option<Spanned<RawSecretLogin>>,
    pub(super) sasl: Option<Spanned<RawSecretLogin>>,
    pub(super) tls: Option<Spanned<RawTls>>,
    pub(super) acl: Text,
    pub(super) location_type: Text,
    pub(super) topology_dir: Option<PathBuf>,
    pub(super) labels_dir: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSecretLogin {
    pub(super) user: String,
    pub(super) password: Option<String>,
    pub(super) password_file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTls {
    pub(super) ca: PathBuf,
    pub(super) cert: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawGuard {
    pub(super) share: Option<Spanned<f64>>,
    pub(super) hold: Text,
    pub(super) long_hold: Text,
    pub(super) panic: Option<Spanned<f64>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawHacheck {
    pub(super) listen: Text,
    pub(super) spool: Option<PathBuf>,
    pub(super) cache: Text,
    pub(super) timeout: Text,
    pub(super) remote_marks: RawRemoteMarks,
    pub(super) targets: Option<Spanned<Vec<String>>>,
    pub(super) headers_to_copy: Option<Spanned<Vec<String>>>,
    pub(super) service_name_header: Text,
    pub(super) keep_alive: Option<bool>,
    pub(super) mysql: Option<RawLogin>,
    pub(super) redis: Option<RawLogin>,
    pub(super) rabbitmq: Option<RawLogin>,
    pub(super) command_user: Text,
    pub(super) drop_stale_marks: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLogin {
    #[serde(default)]
    pub(super) user: String,
    pub(super) password: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawRemoteMarks {
    pub(super) allow: Option<Spanned<Vec<String>>>,
    pub(super) token: Text,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAdmin {
    pub(super) socket: Option<PathBuf>,
    pub(super) listen: Text,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawHaproxy {
    pub(super) program: Option<PathBuf>,
    pub(super) manage: Option<bool>,
    pub(super) bind_address: Text,
    pub(super) stats: Text,
    pub(super) config_file: Option<PathBuf>,
    pub(super) socket: Option<PathBuf>,
    pub(super) master_socket: Option<PathBuf>,
    pub(super) sockets_dir: Option<PathBuf>,
    pub(super) templates: Option<PathBuf>,
    pub(super) log: Option<String>,
    pub(super) hacheck_port: Option<NonZeroU16>,
    pub(super) maxconn: Option<u32>,
    pub(super) maxconn_per_server: Option<u32>,
    pub(super) maxqueue_per_server: Option<u32>,
    pub(super) captured_headers: Option<Spanned<Vec<String>>>,
    pub(super) errorfiles: Option<BTreeMap<u16, PathBuf>>,
    pub(super) lua_dir: Option<PathBuf>,
    pub(super) log_sample_rate: Option<f64>,
    pub(super) map_file: Option<PathBuf>,
    pub(super) check_interval: Text,
    pub(super) hard_stop_after: Text,
    pub(super) reload_interval: Text,
    pub(super) reload_quiet: Text,
    pub(super) reload_jitter: Text,
    pub(super) max_old_workers: Option<usize>,
    pub(super) reload_burst: Option<NonZeroU32>,
    pub(super) use_nerve_weights: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawDrain {
    pub(super) hold: Text,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawMesos {
    pub(super) agent_url: Text,
    pub(super) poll: Text,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawDamping {
    pub(super) falls: Option<u16>,
    pub(super) window: Text,
    pub(super) hold: Text,
    pub(super) longest: Text,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawStatsd {
    pub(super) host: Text,
    pub(super) port: Option<NonZeroU16>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawFiles {
    pub(super) services_dir: Option<PathBuf>,
    pub(super) envoy_dir: Option<PathBuf>,
    pub(super) ip_map: Option<bool>,
    pub(super) envoy_migration: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawLog {
    pub(super) format: Option<LogFormat>,
    pub(super) level: Text,
}

pub(super) fn parse(text: &str) -> Result<Raw, serde_yaml::Error> {
    let options = serde_yaml::options! { legacy_octal_numbers: true };
    // A file of comments only is an empty document, which is null and not a mapping.
    let raw: Option<Raw> = serde_yaml::from_str_with_options(text, options)?;
    Ok(raw.unwrap_or_default())
}
