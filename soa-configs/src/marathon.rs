//! A Marathon instance with every key and its default (marathon-sync.md §3).
//!
//! Values that go into an app unchanged stay as they are written, as [`Node`]s: an integer and a float
//! of equal value make different hashes.

pub use crate::merged::ConfigError;
use crate::{
    container::{Container, Size},
    documents::ServiceDocuments,
    load::Instance,
    merged::{self, Keys},
    yaml::{Map, Node, Value},
};

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
    pub container: Container,
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
    /// As written. Default 8888.
    pub container_port: Node,
    /// As written. Default 0: any.
    pub host_port: Node,
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
        Ok(Self {
            container: Container::read(keys, Size::Usual)?,
            instances: keys.whole("instances", 1)?,
            min_instances: keys.whole("min_instances", 1)?,
            max_instances: keys.optional_whole("max_instances")?,
            backoff_factor: keys.written("backoff_factor", 2),
            max_launch_delay_seconds: keys.written("max_launch_delay_seconds", 300),
            registrations,
            nerve_namespace,
            container_port: keys.written("container_port", 8888),
            host_port: keys.written("host_port", 0),
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
            _ => return Err(ConfigError::InvalidSmartstackMode(merged::shown(node))),
        },
    };
    Ok(ServiceNamespace {
        mode,
        is_in_smartstack,
        discover: keys.text("discover", "region")?,
        healthcheck_uri: keys.text("healthcheck_uri", "/status")?,
    })
}

fn health_check(
    keys: Keys<'_>,
    namespace: &ServiceNamespace,
) -> Result<Option<HealthCheck>, ConfigError> {
    let mode = match keys.get("healthcheck_mode") {
        Some(node) => Some(merged::shown(node)),
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
