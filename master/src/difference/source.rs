//! What a field of an app is made of: keys of soa-configs and of the system configuration
//! (marathon-sync.md §6).

use soa_configs::{
    documents::ServiceDocuments,
    load::{Deployment, DesiredState, Origin},
    paasta::Settings,
    secrets,
    yaml::Node,
};

use super::{Source, deployed};
use crate::deploy::wanted::Wanted;

/// Everything that makes an app.
pub(super) struct Makes<'m> {
    pub(super) wanted: &'m Wanted,
    pub(super) files: &'m ServiceDocuments,
    pub(super) settings: &'m Settings,
}

impl Makes<'_> {
    /// What a field is made of, see [`super::Field::path`].
    pub(super) fn of(&self, path: &str) -> Vec<Source> {
        let (top, rest) = path.split_once(['.', '[']).unwrap_or((path, ""));
        let of_settings = self.settings;
        match top {
            "instances" => self.instances(),
            "backoffSeconds" => self.keys(&[self.count_key()]),
            "cpus" | "mem" | "disk" | "cmd" | "args" => self.keys(&[top]),
            "backoffFactor" => self.keys(&["backoff_factor"]),
            "maxLaunchDelaySeconds" => self.keys(&["max_launch_delay_seconds"]),
            "acceptedResourceRoles" => self.keys(&["accepted_resource_roles"]),
            "portDefinitions" | "requirePorts" => self.keys(&["host_port", "net"]),
            "uris" => vec![Source::System("dockercfg_location")],
            "env" => self.env(rest),
            "constraints" => self.constraints(),
            "healthChecks" => {
                let mut from = self.health(rest.rsplit('.').next().unwrap_or_default());
                let asks_mesos = of_settings.use_mesos_healthchecks && rest.ends_with("protocol");
                from.extend(asks_mesos.then_some(Source::System("use_mesos_healthchecks")));
                from
            }
            "container" => self.container(rest),
            "config_hash" => self.hash(),
            _ => vec![Source::Computed],
        }
    }

    fn written(&self, key: &[&str]) -> Option<Source> {
        let origin = Origin::of(self.files, &self.wanted.instance, key)?;
        Some(Source::Written { key: key.join("."), origin })
    }

    /// Those of the keys that are written somewhere; else the default of the first.
    fn keys(&self, keys: &[&str]) -> Vec<Source> {
        let written: Vec<_> = keys.iter().filter_map(|key| self.written(&[key])).collect();
        match (written.is_empty(), keys.first()) {
            (true, Some(first)) => vec![Source::Default((*first).to_owned())],
            _ => written,
        }
    }

    fn deployed(&self, key: &str) -> Option<Source> {
        let origin = Origin::of_deployment(self.files, &self.wanted.instance, key)?;
        Some(Source::Written { key: deployed(self.wanted, key), origin })
    }

    fn count_key(&self) -> &'static str {
        if self.wanted.config.max_instances.is_some() { "max_instances" } else { "instances" }
    }

    fn instances(&self) -> Vec<Source> {
        let deployment = Deployment::v1(self.files, &self.wanted.instance).ok();
        let stopped = deployment.filter(|d| d.control.desired_state != DesiredState::Start);
        if let Some(stop) = stopped.and_then(|_| self.deployed("desired_state")) {
            return vec![stop];
        }
        if self.wanted.config.max_instances.is_none() {
            return self.keys(&["instances"]);
        }
        let counted = self.wanted.scaled.map(|_| Source::Autoscaler);
        counted.into_iter().chain(self.keys(&["max_instances", "min_instances"])).collect()
    }

    /// `name` is that of the variable. PaaSTA's own ones yield to those that are written.
    fn env(&self, name: &str) -> Vec<Source> {
        if let Some(written) = self.written(&["env", name]) {
            return vec![written];
        }
        let from = match name {
            "PAASTA_DOCKER_IMAGE" => self.deployed("docker_image"),
            "PAASTA_DEPLOY_GROUP" => self.written(&["deploy_group"]),
            name if name.starts_with("PAASTA_") => None,
            // It is not to be there any more.
            _ => return vec![Source::Default("env".to_owned())],
        };
        vec![from.unwrap_or(Source::Computed)]
    }

    fn constraints(&self) -> Vec<Source> {
        if let Some(own) = self.written(&["constraints"]) {
            return vec![own];
        }
        let settings = self.settings;
        let own = ["extra_constraints", "deploy_blacklist", "deploy_whitelist", "pool"];
        let mut from: Vec<_> = own.iter().filter_map(|key| self.written(&[key])).collect();
        if settings.expected_slave_attributes.is_some() {
            from.push(Source::System("expected_slave_attributes"));
            from.extend(self.of_namespace("discover"));
        }
        let is_unique = settings.auto_hostname_unique_size >= 0;
        for (is_set, key) in [
            (!settings.deploy_blacklist.is_empty(), "deploy_blacklist"),
            (settings.deploy_whitelist.is_some(), "deploy_whitelist"),
            (is_unique, "auto_hostname_unique_size"),
        ] {
            from.extend(is_set.then_some(Source::System(key)));
        }
        from.extend(is_unique.then(|| self.written(&[self.count_key()])).flatten());
        if from.is_empty() { vec![Source::Default("constraints".to_owned())] } else { from }
    }

    fn of_namespace(&self, key: &str) -> Option<Source> {
        self.written(&["smartstack", &self.wanted.config.nerve_namespace, key])
    }

    fn health(&self, field: &str) -> Vec<Source> {
        let (key, of_namespace) = match field {
            "path" => ("healthcheck_uri", Some("healthcheck_uri")),
            "value" => ("healthcheck_cmd", None),
            "gracePeriodSeconds" => ("healthcheck_grace_period_seconds", None),
            "intervalSeconds" => ("healthcheck_interval_seconds", None),
            "timeoutSeconds" => ("healthcheck_timeout_seconds", None),
            "maxConsecutiveFailures" => ("healthcheck_max_consecutive_failures", None),
            // How it asks, and whether at all.
            _ => ("healthcheck_mode", Some("mode")),
        };
        let own = self.written(&[key]);
        let written = own.or_else(|| of_namespace.and_then(|key| self.of_namespace(key)));
        // A namespace with a port is asked over http unless it says otherwise.
        let implied = || (key == "healthcheck_mode").then(|| self.of_namespace("proxy_port"));
        let written = written.or_else(|| implied().flatten());
        vec![written.unwrap_or_else(|| Source::Default(key.to_owned()))]
    }

    fn container(&self, path: &str) -> Vec<Source> {
        let inside = |list: &str| path.strip_prefix(list)?.split(']').next();
        if let Some(name) = inside("docker.parameters[") {
            return self.parameter(name);
        }
        if inside("volumes[").is_some() {
            let own = self.written(&["extra_volumes"]);
            return own.into_iter().chain([Source::System("volumes")]).collect();
        }
        match path {
            "docker.image" => self.image(),
            "docker.network" => self.keys(&["net"]),
            path if path.starts_with("docker.portMappings") => match path.rsplit('.').next() {
                Some("containerPort") => self.keys(&["container_port"]),
                Some("hostPort") => self.keys(&["host_port"]),
                _ => vec![Source::Computed],
            },
            _ => vec![Source::Computed],
        }
    }

    fn parameter(&self, name: &str) -> Vec<Source> {
        match name {
            "memory-swap" => self.keys(&["mem"]),
            "cpu-period" => self.keys(&["cfs_period_us"]),
            "cpu-quota" => self.keys(&["cpus", "cfs_period_us", "cpu_burst_pct"]),
            "ulimit" => self.keys(&["ulimit"]),
            "cap-add" => self.keys(&["cap_add"]),
            "label" => vec![Source::Computed],
            name => match self.written(&["extra_docker_args", name]) {
                Some(written) => vec![written],
                None => self.keys(&["extra_docker_args"]),
            },
        }
    }

    fn image(&self) -> Vec<Source> {
        let registry = self.written(&["docker_registry"]);
        let registry = registry.unwrap_or(Source::System("docker_registry"));
        self.deployed("docker_image").into_iter().chain([registry]).collect()
    }

    /// What counts in the hash and stands in no field.
    fn hash(&self) -> Vec<Source> {
        let force = self.deployed("force_bounce");
        let env = self.wanted.app.definition.get("env").and_then(Node::as_map);
        let is_secret = |node: &Node| node.as_text().and_then(secrets::reference).is_some();
        let variables = env.into_iter().flat_map(soa_configs::yaml::Map::texts);
        let secret = variables
            .filter(|(_, entry)| is_secret(&entry.value))
            .filter_map(|(name, _)| self.written(&["env", name]));
        let from: Vec<_> = force.into_iter().chain(secret).collect();
        if from.is_empty() { vec![Source::Computed] } else { from }
    }
}
