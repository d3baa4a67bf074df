//! Under which conditions the numbers were taken.

use std::{fs, thread};

use serde::Serialize;

use crate::{Failure, scene::Scene};

/// Machine, programs and load.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Conditions {
    pub(crate) cpus: usize,
    pub(crate) cpu_model: String,
    pub(crate) kernel: String,
    pub(crate) profile: &'static str,
    pub(crate) zookeeper: String,
    pub(crate) haproxy: String,
    pub(crate) docker: String,
    /// Of 1, 5 and 15 minutes.
    pub(crate) load_before: String,
    pub(crate) load_after: String,
}

impl Conditions {
    /// As of now.
    pub(crate) async fn of(scene: &Scene) -> Result<Self, Failure> {
        let cpus = fs::read_to_string("/proc/cpuinfo")?;
        let server = scene.zookeeper.ask("srvr").await?;
        let haproxy = scene.host.haproxy("show info").await?;
        let docker = scene.docker.run(&["version", "--format", "{{.Server.Version}}"])?;
        Ok(Self {
            cpus: thread::available_parallelism()?.get(),
            cpu_model: value(&cpus, "model name").to_owned(),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            profile: if cfg!(debug_assertions) { "debug" } else { "release" },
            zookeeper: value(&server, "Zookeeper version")
                .chars()
                .take_while(|c| *c != '-')
                .collect(),
            haproxy: value(&haproxy, "Version").to_owned(),
            docker,
            load_before: load(),
            load_after: String::new(),
        })
    }

    pub(crate) fn at_the_end(self) -> Self {
        Self { load_after: load(), ..self }
    }
}

fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// What stands behind `key` and a colon; empty if nothing does.
fn value<'a>(text: &'a str, key: &str) -> &'a str {
    let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.find(|(name, _)| name.trim() == key).map_or("", |(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_its_whole_key() {
        let text = "Name: HAProxy\nVersion: 2.6.12\nRelease_date: 2023\n";
        assert_eq!((value(text, "Version"), value(text, "Vers")), ("2.6.12", ""));
        assert_eq!(value("model name\t: AMD EPYC", "model name"), "AMD EPYC");
    }
}
