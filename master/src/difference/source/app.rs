//! What the fields of a Marathon app are made of (marathon-sync.md §6).

use soa_configs::{
    load::{Deployment, DesiredState},
    paasta::Settings,
    yaml::Node,
};

use super::{Files, lists};
use crate::{deploy::wanted::Wanted, difference::Source};

/// Everything that makes an app.
pub(in crate::difference) struct OfApp<'m> {
    pub(in crate::difference) own: Files<'m>,
    pub(in crate::difference) wanted: &'m Wanted,
    pub(in crate::difference) settings: &'m Settings,
}

impl OfApp<'_> {
    /// What a field is made of, see [`Field::path`](crate::difference::Field::path).
    pub(in crate::difference) fn of(&self, path: &str) -> Vec<Source> {
        let (top, rest) = path.split_once(['.', '[']).unwrap_or((path, ""));
        match top {
            "instances" => self.instances(),
            "backoffSeconds" => self.own.keys(&[self.count_key()]),
            "cpus" | "mem" | "disk" | "cmd" | "args" => self.own.keys(&[top]),
            "backoffFactor" => self.own.keys(&["backoff_factor"]),
            "maxLaunchDelaySeconds" => self.own.keys(&["max_launch_delay_seconds"]),
            "acceptedResourceRoles" => self.own.keys(&["accepted_resource_roles"]),
            "portDefinitions" | "requirePorts" => self.own.keys(&["host_port", "net"]),
            "uris" => self.own.dockercfg(self.settings),
            "env" => self.own.env(rest),
            "constraints" => self.constraints(),
            "healthChecks" => {
                let mut from = self.health(rest.rsplit('.').next().unwrap_or_default());
                let asks_mesos = self.settings.use_mesos_healthchecks && rest.ends_with("protocol");
                from.extend(asks_mesos.then_some(Source::System("use_mesos_healthchecks")));
                from
            }
            "container" => self.container(rest),
            "config_hash" => {
                let env = self.wanted.app.definition.get("env").and_then(Node::as_map);
                self.own.hash(env)
            }
            _ => vec![Source::Computed],
        }
    }

    fn count_key(&self) -> &'static str {
        if self.wanted.config.max_instances.is_some() { "max_instances" } else { "instances" }
    }

    fn instances(&self) -> Vec<Source> {
        let deployment = Deployment::v1(self.own.files, self.own.instance).ok();
        let stopped = deployment.filter(|d| d.control.desired_state != DesiredState::Start);
        if let Some(stop) = stopped.and_then(|_| self.own.deployed("desired_state")) {
            return vec![stop];
        }
        if self.wanted.config.max_instances.is_none() {
            return self.own.keys(&["instances"]);
        }
        let counted = self.wanted.scaled.map(|_| Source::Autoscaler);
        counted.into_iter().chain(self.own.keys(&["max_instances", "min_instances"])).collect()
    }

    fn constraints(&self) -> Vec<Source> {
        if let Some(own) = self.own.said("constraints") {
            return vec![own];
        }
        let settings = self.settings;
        let mut from: Vec<_> = self.own.placed().collect();
        if settings.expected_slave_attributes.is_some() {
            from.push(Source::System("expected_slave_attributes"));
            from.extend(self.of_namespace("discover"));
        }
        let is_unique = settings.auto_hostname_unique_size >= 0;
        from.extend(lists(settings));
        from.extend(is_unique.then_some(Source::System("auto_hostname_unique_size")));
        from.extend(is_unique.then(|| self.own.written(&[self.count_key()])).flatten());
        if from.is_empty() { vec![Source::Default("constraints".to_owned())] } else { from }
    }

    fn of_namespace(&self, key: &str) -> Option<Source> {
        self.own.written(&["smartstack", &self.wanted.config.nerve_namespace, key])
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
        let own =
            if key == "healthcheck_mode" { self.own.said(key) } else { self.own.written(&[key]) };
        let written = own.or_else(|| of_namespace.and_then(|key| self.of_namespace(key)));
        // A namespace with a port is asked over http unless it says otherwise.
        let implied = || (key == "healthcheck_mode").then(|| self.of_namespace("proxy_port"));
        let written = written.or_else(|| implied().flatten());
        vec![written.unwrap_or_else(|| Source::Default(key.to_owned()))]
    }

    fn container(&self, path: &str) -> Vec<Source> {
        let inside = |list: &str| path.strip_prefix(list)?.split(']').next();
        if let Some(name) = inside("docker.parameters[") {
            return self.own.parameter(name);
        }
        if inside("volumes[").is_some() {
            return self.own.volumes();
        }
        match path {
            "docker.image" => self.own.image(),
            "docker.network" => self.own.keys(&["net"]),
            path if path.starts_with("docker.portMappings") => match path.rsplit('.').next() {
                Some("containerPort") => self.own.keys(&["container_port"]),
                Some("hostPort") => self.own.keys(&["host_port"]),
                _ => vec![Source::Computed],
            },
            _ => vec![Source::Computed],
        }
    }
}
