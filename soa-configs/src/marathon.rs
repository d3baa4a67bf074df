//! A Marathon instance with every key and its default (marathon-sync.md §3).
//!
//! Values that go into an app unchanged stay as they are written, as [`Node`]s: an integer and a float
//! of equal value make different hashes.

mod read;

use std::collections::BTreeMap;

use indexmap::IndexMap;

use self::read::Keys;
use crate::{
    documents::ServiceDocuments,
    load::Instance,
    paasta::Volume,
    yaml::{Map, Node, Value},
};

/// Why an instance makes no app. The variants are the classes that PaaSTA tells apart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("{0}")]
    InvalidInstanceConfig(String),
    #[error("Unknown mode: {0}")]
    InvalidHealthcheckMode(String),
    #[error("Unknown mode: {0}")]
    InvalidSmartstackMode(String),
    #[error("invalid job id {0}")]
    InvalidJobName(String),
    /// A value of another kind than the tools can work with.
    #[error("{key}: expected {expected}")]
    WrongType { key: String, expected: &'static str },
    /// A list with too few or too many items.
    #[error("{key}: expected {expected}")]
    BadValue { key: String, expected: &'static str },
    #[error("`{0}` is missing")]
    MissingKey(&'static str),
}

/// What a namespace says to Marathon. It is looked up under the own service and the name behind the
/// dot of the first registration (marathon-sync.md §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceNamespace {
    /// `http`, `https` or `tcp`; `None` when it is not in SmartStack and says nothing.
    pub mode: Option<String>,
    /// There is a `proxy_port` that is not null.
    pub is_in_smartstack: bool,
    /// The location type by which tasks are spread. Default `region`.
    pub discover: String,
    /// Default `/status`.
    pub healthcheck_uri: String,
}

/// A soft limit, and perhaps a hard one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ulimit {
    pub soft: Node,
    pub hard: Option<Node>,
}

/// How Marathon asks for health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// `cmd`, `tcp`, `http` or `https`.
    pub mode: String,
    /// Of the mode `cmd`.
    pub command: Option<String>,
    /// Of `http` and `https`.
    pub uri: String,
    /// Seconds, as written. Default 60.
    pub grace_period: Node,
    /// Seconds, as written. Default 10.
    pub interval: Node,
    /// Seconds, as written. Default 10.
    pub timeout: Node,
    /// Default 30.
    pub max_consecutive_failures: Node,
}

/// A Marathon instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarathonConfig {
    /// Share of processors, as written. Default 0.25.
    pub cpus: Node,
    /// MB, as written. Default 1024.
    pub mem: Node,
    /// MB, as written. Default 1024.
    pub disk: Node,
    /// Microseconds, as written. Default 100000.
    pub cfs_period_us: Node,
    /// Percent above [`Self::cpus`] that may be used, as written. Default 900.
    pub cpu_burst_pct: Node,
    /// By name.
    pub ulimit: BTreeMap<String, Ulimit>,
    /// In the order of the list.
    pub cap_add: Vec<String>,
    /// In map order, defaults of the service first.
    pub extra_docker_args: IndexMap<String, String>,
    /// Wanted tasks when [`Self::max_instances`] is absent. Default 1.
    pub instances: i64,
    /// Lower limit when autoscaled. Default 1.
    pub min_instances: i64,
    /// Present: autoscaled, up to this.
    pub max_instances: Option<i64>,
    /// As written. Default 2.
    pub backoff_factor: Node,
    /// Seconds, as written. Default 300.
    pub max_launch_delay_seconds: Node,
    /// `service.namespace`, the primary one first. Never empty.
    pub registrations: Vec<String>,
    /// The namespace of the first registration.
    pub nerve_namespace: String,
    /// `NONE`, `BRIDGE`, `HOST`, or as written. Default `BRIDGE`.
    pub net: String,
    /// As written. Default 8888.
    pub container_port: Node,
    /// As written. Default 0: any.
    pub host_port: Node,
    /// Exclusive with [`Self::args`].
    pub cmd: Option<Node>,
    /// Default: none with `cmd`, else empty.
    pub args: Option<Node>,
    /// In file order, without what PaaSTA adds.
    pub env: IndexMap<String, String>,
    pub extra_volumes: Vec<Volume>,
    /// Default `default`.
    pub pool: String,
    /// Replaces all computed ones, be it empty.
    pub constraints: Option<Vec<Vec<String>>>,
    pub extra_constraints: Vec<Vec<String>>,
    /// `[attribute, value]`.
    pub deploy_blacklist: Vec<(String, String)>,
    /// `[attribute, [value, ..]]`.
    pub deploy_whitelist: Option<(String, Vec<String>)>,
    /// Counts for the replication check only.
    pub monitoring_blacklist: Vec<(String, String)>,
    /// As written.
    pub accepted_resource_roles: Option<Node>,
    /// `None`: there is none.
    pub health_check: Option<HealthCheck>,
    /// Default `crossover`.
    pub bounce_method: String,
    /// Default `{check_haproxy: true}` in SmartStack, else empty.
    pub bounce_health_params: Map,
    /// Above 0 and up to 1. Default 1.0.
    pub bounce_margin_factor: Node,
    /// Higher ones are bounced first. Default 0.
    pub bounce_priority: i64,
    /// Default `hacheck` in SmartStack, else `noop`.
    pub drain_method: String,
    /// Default `{delay: 60}` in SmartStack, else empty.
    pub drain_method_params: Map,
    /// Percent. Default 50.
    pub replication_threshold: Node,
    /// Over `monitoring.yaml`.
    pub monitoring: Map,
    /// Over its defaults.
    pub autoscaling: Map,
    /// Index of the group of Marathon servers. Default: by hash.
    pub marathon_shard: Option<i64>,
    /// Indexes of the groups that may still hold old apps. Default: by hash.
    pub previous_marathon_shards: Option<Vec<i64>>,
    pub namespace: ServiceNamespace,
}

impl MarathonConfig {
    /// Reads an instance that was loaded from the files of its service.
    ///
    /// # Errors
    /// The first rule that is broken, see [`ConfigError`].
    pub fn read(instance: &Instance, files: &ServiceDocuments) -> Result<Self, ConfigError> {
        let keys = Keys(&instance.merged);
        let registrations = registrations(instance, keys)?;
        let nerve_namespace = second_part(registrations.first().map_or("", String::as_str))?;
        let namespace = namespace(files, &nerve_namespace)?;
        let in_smartstack = namespace.is_in_smartstack;
        let (cmd, args) = command(keys)?;
        Ok(Self {
            cpus: keys.number("cpus", 0.25)?,
            mem: keys.number("mem", 1024)?,
            disk: keys.number("disk", 1024)?,
            cfs_period_us: keys.number("cfs_period_us", 100_000)?,
            cpu_burst_pct: keys.number("cpu_burst_pct", 900)?,
            ulimit: ulimit(keys)?,
            cap_add: keys.texts("cap_add")?,
            extra_docker_args: keys.text_map("extra_docker_args")?,
            instances: keys.whole("instances", 1)?,
            min_instances: keys.whole("min_instances", 1)?,
            max_instances: keys.optional_whole("max_instances")?,
            backoff_factor: keys.written("backoff_factor", 2),
            max_launch_delay_seconds: keys.written("max_launch_delay_seconds", 300),
            registrations,
            nerve_namespace,
            net: net(&keys.text("net", "bridge")?),
            container_port: keys.written("container_port", 8888),
            host_port: keys.written("host_port", 0),
            cmd,
            args,
            env: keys.text_map("env")?,
            extra_volumes: keys.volumes("extra_volumes")?,
            pool: keys.text("pool", "default")?,
            constraints: keys.constraints("constraints")?,
            extra_constraints: keys.constraints("extra_constraints")?.unwrap_or_default(),
            deploy_blacklist: keys.blacklist("deploy_blacklist")?,
            deploy_whitelist: keys.whitelist("deploy_whitelist")?,
            monitoring_blacklist: keys.blacklist("monitoring_blacklist")?,
            accepted_resource_roles: keys.get("accepted_resource_roles").cloned(),
            health_check: health_check(keys, &namespace)?,
            bounce_method: keys.text("bounce_method", "crossover")?,
            bounce_health_params: keys.map("bounce_health_params", || {
                default_params(in_smartstack, "check_haproxy", true.into())
            })?,
            bounce_margin_factor: keys.written("bounce_margin_factor", 1.0),
            bounce_priority: keys.whole("bounce_priority", 0)?,
            drain_method: keys
                .text("drain_method", if in_smartstack { "hacheck" } else { "noop" })?,
            drain_method_params: keys
                .map("drain_method_params", || default_params(in_smartstack, "delay", 60.into()))?,
            replication_threshold: keys.written("replication_threshold", 50),
            monitoring: keys.map("monitoring", Map::default)?,
            autoscaling: autoscaling(keys)?,
            marathon_shard: keys.optional_whole("marathon_shard")?,
            previous_marathon_shards: keys.wholes("previous_marathon_shards")?,
            namespace,
        })
    }

    /// The wanted number of tasks, whether or not it is to run; `scaled` is what the autoscaler wrote.
    #[must_use]
    pub fn count(&self, scaled: Option<i64>) -> i64 {
        match self.max_instances {
            None => self.instances,
            Some(most) => self.min_instances.max(most.min(scaled.unwrap_or(most))),
        }
    }
}

fn default_params(in_smartstack: bool, key: &str, value: Value) -> Map {
    let entry = in_smartstack.then(|| (key, Node::made(value)));
    entry.into_iter().collect()
}

/// As Marathon writes them.
fn net(written: &str) -> String {
    match written {
        "none" | "bridge" | "host" => written.to_uppercase(),
        _ => written.to_owned(),
    }
}

fn registrations(instance: &Instance, keys: Keys<'_>) -> Result<Vec<String>, ConfigError> {
    let listed = keys.texts("registrations")?;
    if !listed.is_empty() {
        return Ok(listed);
    }
    let name = match keys.get("nerve_ns").and_then(Node::as_text) {
        Some(name) if !name.is_empty() => name,
        _ => &instance.instance,
    };
    Ok(vec![format!("{}.{name}", instance.service)])
}

/// The namespace in a registration, which has two or four parts.
fn second_part(registration: &str) -> Result<String, ConfigError> {
    match registration.split('.').collect::<Vec<_>>()[..] {
        [_, namespace] | [_, namespace, _, _] => Ok(namespace.to_owned()),
        _ => Err(ConfigError::InvalidJobName(registration.to_owned())),
    }
}

fn namespace(files: &ServiceDocuments, name: &str) -> Result<ServiceNamespace, ConfigError> {
    let empty = Map::default();
    let document = files.get("smartstack.yaml").and_then(|document| document.node.as_map());
    let keys = Keys(document.and_then(|map| map.get(name)?.as_map()).unwrap_or(&empty));
    let is_in_smartstack = keys.get("proxy_port").is_some();
    let mode = match keys.get("mode") {
        None => is_in_smartstack.then(|| "http".to_owned()),
        Some(node) => match node.as_text() {
            Some(mode @ ("http" | "tcp" | "https")) => Some(mode.to_owned()),
            _ => return Err(ConfigError::InvalidSmartstackMode(read::shown(node))),
        },
    };
    Ok(ServiceNamespace {
        mode,
        is_in_smartstack,
        discover: keys.text("discover", "region")?,
        healthcheck_uri: keys.text("healthcheck_uri", "/status")?,
    })
}

/// `cmd` or `args`: an empty list of arguments is one, too.
fn command(keys: Keys<'_>) -> Result<(Option<Node>, Option<Node>), ConfigError> {
    let (cmd, args) = (keys.get("cmd").cloned(), keys.get("args").cloned());
    match (&cmd, &args) {
        (Some(_), Some(_)) => Err(ConfigError::InvalidInstanceConfig(
            "Instance configuration can specify cmd or args, but not both.".to_owned(),
        )),
        (None, None) => Ok((None, Some(Node::made(Vec::new())))),
        _ => Ok((cmd, args)),
    }
}

fn ulimit(keys: Keys<'_>) -> Result<BTreeMap<String, Ulimit>, ConfigError> {
    let map = keys.map("ulimit", Map::default)?;
    let mut limits = BTreeMap::new();
    for (name, entry) in map.texts() {
        let limit = Keys(read::expect_map("ulimit", &entry.value)?);
        let Some(soft) = limit.get("soft").cloned() else {
            return Err(ConfigError::InvalidInstanceConfig(format!(
                "soft limit missing in ulimit configuration for {name}."
            )));
        };
        limits.insert(name.to_owned(), Ulimit { soft, hard: limit.get("hard").cloned() });
    }
    Ok(limits)
}

fn health_check(
    keys: Keys<'_>,
    namespace: &ServiceNamespace,
) -> Result<Option<HealthCheck>, ConfigError> {
    let mode = match keys.get("healthcheck_mode") {
        Some(node) => Some(read::shown(node)),
        None => namespace.mode.clone(),
    };
    let Some(mode) = mode else { return Ok(None) };
    if !matches!(mode.as_str(), "cmd" | "tcp" | "http" | "https") {
        return Err(ConfigError::InvalidHealthcheckMode(mode));
    }
    let command = keys.optional_text("healthcheck_cmd")?;
    if mode == "cmd" && command.is_none() {
        return Err(ConfigError::InvalidInstanceConfig(
            "healthcheck mode 'cmd' requires a healthcheck_cmd to run".to_owned(),
        ));
    }
    Ok(Some(HealthCheck {
        mode,
        command,
        uri: keys.text("healthcheck_uri", &namespace.healthcheck_uri)?,
        grace_period: keys.written("healthcheck_grace_period_seconds", 60),
        interval: keys.written("healthcheck_interval_seconds", 10),
        timeout: keys.written("healthcheck_timeout_seconds", 10),
        max_consecutive_failures: keys.written("healthcheck_max_consecutive_failures", 30),
    }))
}

fn autoscaling(keys: Keys<'_>) -> Result<Map, ConfigError> {
    let mut map: Map = [
        ("metrics_provider", Node::made("mesos_cpu")),
        ("decision_policy", Node::made("proportional")),
        ("setpoint", Node::made(0.8)),
    ]
    .into_iter()
    .collect();
    map.merge(&keys.map("autoscaling", Map::default)?);
    Ok(map)
}
