//! A Marathon instance with every key and its default (marathon-sync.md §3).
//!
//! Values that go into an app unchanged stay as they are written, as [`Node`]s: an integer and a float
//! of equal value make different hashes.

pub use crate::merged::ConfigError;
use crate::{
    container::{Container, Size},
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
    /// As written. Default `/status`.
    pub healthcheck_uri: Node,
}

/// How Marathon asks for health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// `cmd`, `tcp`, `http` or `https`.
    pub mode: String,
    /// Of the mode `cmd`, as written.
    pub command: Option<Node>,
    /// Of `http` and `https`, as written.
    pub uri: Node,
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
///
/// What only the deployment, the autoscaler or the checks use is read when it is asked for: a wrong
/// value there keeps nobody from making the app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarathonConfig {
    pub container: Container,
    /// Wanted tasks when [`Self::max_instances`] is absent, as written. Default 1.
    pub instances: Node,
    /// Lower limit when autoscaled, as written. Default 1.
    pub min_instances: Node,
    /// Present: autoscaled, up to this.
    pub max_instances: Option<Node>,
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
    /// As written.
    pub accepted_resource_roles: Option<Node>,
    /// `None`: there is none.
    pub health_check: Option<HealthCheck>,
    /// Above 0 and up to 1, as written. Default 1.0.
    pub bounce_margin_factor: Node,
    /// Percent, as written. Default 50.
    pub replication_threshold: Node,
    pub namespace: ServiceNamespace,
    /// All keys.
    merged: Map,
}

impl MarathonConfig {
    /// Reads an instance that was loaded from the files of its service.
    ///
    /// # Errors
    /// The first rule that is broken, see [`ConfigError`].
    pub fn read(instance: &Instance) -> Result<Self, ConfigError> {
        let keys = Keys(&instance.merged);
        let registrations = registrations(instance, keys)?;
        let nerve_namespace = second_part(registrations.first().map_or("", String::as_str))?;
        let namespace = namespace(keys, &nerve_namespace)?;
        let container = Container::read(keys, Size::Usual)?;
        // PaaSTA looks for references to secrets in every value.
        for value in container.env.values() {
            merged::expect_text("env", value)?;
        }
        let max_instances = keys.get("max_instances").cloned();
        let limits = ["max_instances", "min_instances"];
        for key in if max_instances.is_some() { &limits[..] } else { &["instances"] } {
            keys.number(key, 1)?;
        }
        Ok(Self {
            container,
            instances: keys.written("instances", 1),
            min_instances: keys.written("min_instances", 1),
            max_instances,
            backoff_factor: keys.written("backoff_factor", 2),
            max_launch_delay_seconds: keys.written("max_launch_delay_seconds", 300),
            registrations,
            nerve_namespace,
            container_port: keys.written("container_port", 8888),
            host_port: keys.written("host_port", 0),
            accepted_resource_roles: keys.get("accepted_resource_roles").cloned(),
            health_check: health_check(keys, &namespace)?,
            bounce_margin_factor: keys.written("bounce_margin_factor", 1.0),
            replication_threshold: keys.written("replication_threshold", 50),
            namespace,
            merged: instance.merged.clone(),
        })
    }

    /// The wanted number of tasks, whether or not it is to run; `scaled` is what the autoscaler wrote.
    #[must_use]
    pub fn count(&self, scaled: Option<i64>) -> Node {
        match (&self.max_instances, scaled) {
            (None, _) => self.instances.clone(),
            (Some(most), None) => most.clone(),
            (Some(most), Some(scaled)) => {
                let scaled = Node::made(scaled);
                let limited = if size(&scaled) < size(most) { &scaled } else { most };
                let least = &self.min_instances;
                if size(limited) > size(least) { limited.clone() } else { least.clone() }
            }
        }
    }

    /// Default `crossover`.
    ///
    /// # Errors
    /// As all that follow: when it is of another kind.
    pub fn bounce_method(&self) -> Result<String, ConfigError> {
        Keys(&self.merged).text("bounce_method", "crossover")
    }

    /// Default `{check_haproxy: true}` in SmartStack, else empty.
    ///
    /// # Errors
    /// See [`Self::bounce_method`].
    pub fn bounce_health_params(&self) -> Result<Map, ConfigError> {
        self.params("bounce_health_params", "check_haproxy", true.into())
    }

    /// Higher ones are bounced first. Default 0.
    ///
    /// # Errors
    /// See [`Self::bounce_method`].
    pub fn bounce_priority(&self) -> Result<i64, ConfigError> {
        Keys(&self.merged).whole("bounce_priority", 0)
    }

    /// Default `hacheck` in SmartStack, else `noop`.
    ///
    /// # Errors
    /// See [`Self::bounce_method`].
    pub fn drain_method(&self) -> Result<String, ConfigError> {
        let default = if self.namespace.is_in_smartstack { "hacheck" } else { "noop" };
        Keys(&self.merged).text("drain_method", default)
    }

    /// Default `{delay: 60}` in SmartStack, else empty.
    ///
    /// # Errors
    /// See [`Self::bounce_method`].
    pub fn drain_method_params(&self) -> Result<Map, ConfigError> {
        self.params("drain_method_params", "delay", 60.into())
    }

    /// Over its defaults.
    ///
    /// # Errors
    /// See [`Self::bounce_method`].
    pub fn autoscaling(&self) -> Result<Map, ConfigError> {
        let mut map: Map = [
            ("metrics_provider", Node::made("mesos_cpu")),
            ("decision_policy", Node::made("proportional")),
            ("setpoint", Node::made(0.8)),
        ]
        .into_iter()
        .collect();
        map.merge(&Keys(&self.merged).map("autoscaling", Map::default)?);
        Ok(map)
    }

    /// Counts for the replication check only.
    ///
    /// # Errors
    /// See [`Self::bounce_method`].
    pub fn monitoring_blacklist(&self) -> Result<Vec<(String, String)>, ConfigError> {
        Keys(&self.merged).blacklist("monitoring_blacklist")
    }

    /// Index of the group of Marathon servers. Default: by hash.
    ///
    /// # Errors
    /// See [`Self::bounce_method`].
    pub fn marathon_shard(&self) -> Result<Option<i64>, ConfigError> {
        Keys(&self.merged).optional_whole("marathon_shard")
    }

    /// Indexes of the groups that may still hold old apps. Default: by hash.
    ///
    /// # Errors
    /// See [`Self::bounce_method`].
    pub fn previous_marathon_shards(&self) -> Result<Option<Vec<i64>>, ConfigError> {
        Keys(&self.merged).wholes("previous_marathon_shards")
    }

    fn params(&self, key: &str, default: &str, value: Value) -> Result<Map, ConfigError> {
        let entry = self.namespace.is_in_smartstack.then(|| (default, Node::made(value)));
        Keys(&self.merged).map(key, || entry.into_iter().collect())
    }
}

/// Of a number; others were refused before.
fn size(node: &Node) -> f64 {
    match &node.value {
        Value::Int(number) => number.to_f64().unwrap_or(f64::INFINITY),
        Value::Float(number) => *number,
        Value::Bool(value) => f64::from(u8::from(*value)),
        _ => 0.0,
    }
}

/// To the tools a text is a list of its letters, the first of which is no registration.
fn registrations(instance: &Instance, keys: Keys<'_>) -> Result<Vec<String>, ConfigError> {
    let listed = match keys.0.get("registrations") {
        Some(node) => match node.as_text().map(|text| text.chars().next()) {
            Some(Some(letter)) => return Err(ConfigError::InvalidJobName(letter.to_string())),
            Some(None) => &[],
            None => keys.items("registrations")?,
        },
        None => &[],
    };
    if !listed.is_empty() {
        let text = |item: &Node| merged::expect_text("registrations", item);
        return listed.iter().map(text).collect();
    }
    let name = keys.0.get("nerve_ns").map_or_else(|| instance.instance.clone(), merged::shown);
    Ok(vec![format!("{}.{name}", instance.service)])
}

/// The namespace in a registration, which has two or four parts.
fn second_part(registration: &str) -> Result<String, ConfigError> {
    match registration.split('.').collect::<Vec<_>>()[..] {
        [_, namespace] | [_, namespace, _, _] => Ok(namespace.to_owned()),
        _ => Err(ConfigError::InvalidJobName(registration.to_owned())),
    }
}

/// `smartstack` is a key of the general configuration: that of `service.yaml` replaces the file.
fn namespace(keys: Keys<'_>, name: &str) -> Result<ServiceNamespace, ConfigError> {
    let all = Keys(&keys.map("smartstack", Map::default)?).map(name, Map::default)?;
    let keys = Keys(&all);
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
        discover: merged::shown(&keys.written("discover", "region")),
        healthcheck_uri: keys.written("healthcheck_uri", "/status"),
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
    let command = keys.get("healthcheck_cmd").cloned();
    if mode == "cmd" && command.is_none() {
        return Err(ConfigError::InvalidInstanceConfig(
            "healthcheck mode 'cmd' requires a healthcheck_cmd to run".to_owned(),
        ));
    }
    Ok(Some(HealthCheck {
        mode,
        command,
        uri: keys.written("healthcheck_uri", namespace.healthcheck_uri.value.clone()),
        grace_period: keys.written("healthcheck_grace_period_seconds", 60),
        interval: keys.written("healthcheck_interval_seconds", 10),
        timeout: keys.written("healthcheck_timeout_seconds", 10),
        max_consecutive_failures: keys.written("healthcheck_max_consecutive_failures", 30),
    }))
}

#[cfg(test)]
mod tests;
