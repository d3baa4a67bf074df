//! What the fields of a Chronos job are made of (chronos-sync.md §5).

use soa_configs::{
    load::{Deployment, DesiredState},
    paasta::Settings,
};

use super::{Files, lists};
use crate::difference::Source;

/// Everything that makes a job.
pub(in crate::difference) struct OfJob<'m> {
    pub(in crate::difference) own: Files<'m>,
    pub(in crate::difference) settings: &'m Settings,
}

impl OfJob<'_> {
    /// What a field is made of, see [`Field::path`](crate::difference::Field::path).
    pub(in crate::difference) fn of(&self, path: &str) -> Vec<Source> {
        let (top, rest) = path.split_once(['.', '[']).unwrap_or((path, ""));
        let own = self.own;
        match top {
            "cpus" | "mem" | "disk" | "epsilon" | "retries" => own.keys(&[top]),
            "schedule" | "parents" => own.keys(&["schedule", "parents"]),
            "scheduleTimeZone" => own.keys(&["schedule_time_zone"]),
            "command" => own.keys(&["cmd"]),
            "arguments" => own.keys(&["args"]),
            "shell" => own.keys(&["args", "cmd"]),
            "owner" => self.team(),
            "disabled" => self.disabled(),
            "uris" => own.dockercfg(self.settings),
            "environmentVariables" => own.env(rest.trim_end_matches(']')),
            "constraints" => self.constraints(),
            "container" => self.container(rest),
            "config_hash" => own.hash(None),
            _ => vec![Source::Computed],
        }
    }

    /// A stop overrides what is written, a start does not.
    fn disabled(&self) -> Vec<Source> {
        let deployment = Deployment::v1(self.own.files, self.own.instance).ok();
        let stopped = deployment.filter(|d| d.control.desired_state != DesiredState::Start);
        let state = || self.own.deployed("desired_state");
        let written = || self.own.written(&["disabled"]);
        let from = if stopped.is_some() { state() } else { written().or_else(state) };
        from.map_or_else(|| self.own.keys(&["disabled"]), |from| vec![from])
    }

    fn team(&self) -> Vec<Source> {
        vec![
            self.own
                .written(&["monitoring", "team"])
                .unwrap_or_else(|| Source::Default("team".to_owned())),
        ]
    }

    fn constraints(&self) -> Vec<Source> {
        let own = self.own;
        if let Some(constraints) = own.said("constraints") {
            return vec![constraints];
        }
        let from: Vec<_> = own.placed().chain(lists(self.settings)).collect();
        if from.is_empty() { vec![Source::Default("constraints".to_owned())] } else { from }
    }

    fn container(&self, path: &str) -> Vec<Source> {
        if let Some(name) = path.strip_prefix("parameters[") {
            return self.own.parameter(name.trim_end_matches(']'));
        }
        match path {
            "image" => self.own.image(),
            "network" => self.own.keys(&["net"]),
            path if path.starts_with("volumes[") => self.own.volumes(),
            _ => vec![Source::Computed],
        }
    }
}
