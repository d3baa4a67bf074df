//! From the file as it is written to settings that can be used.

mod hacheck;
mod haproxy;
mod nerve;
mod security;

use std::{
    collections::BTreeSet,
    net::IpAddr,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use serde_yaml::Spanned;
use soa_configs::{Cluster, Place};
use tracing_subscriber::EnvFilter;

use super::{
    Admin, Config, Docker, Files, Host, Locations, Log, LogFormat, Problem, Registry, RegistryKind,
    assume,
    raw::{Raw, RawFiles, RawGuard, RawHost, RawLocations, RawLog, RawRegistry, Text},
    values::Span,
};
use crate::{
    registry::{Ensemble, Layout, Source},
    synapse::guard,
};

/// Where ZooKeeper's hosts stand in a PaaSTA fleet (synapse.md §8.1).
const TOPOLOGY_DIR: &str = "/nail/etc/zookeeper_discovery/infrastructure";
/// Where PaaSTA's firewall looks (synapse.md §11.2).
const SERVICES_DIR: &str = "/var/run/synapse/services";
/// The client library repeats what the registry says of its sessions.
const DEFAULT_LEVEL: &str = "info,zookeeper_client=warn";
const SESSION_TIMEOUT: Duration = Duration::from_secs(30);
const DRAIN_HOLD: Duration = Duration::from_secs(5);

/// Checks everything before it gives up, so that one run shows all that is wrong.
pub(super) fn check(raw: Raw) -> Result<Config, Vec<Problem>> {
    let mut p = Problems::default();
    let mut assumptions = Vec::new();
    let paasta_dir = raw.paasta_dir.unwrap_or_else(|| "/etc/paasta".into());
    let state_dir = raw.state_dir.unwrap_or_else(|| "/var/lib/smartstack".into());
    let fleet_host = is_fleet_host(&paasta_dir, &state_dir);
    let host = p.host(&raw.host, &mut assumptions);
    let hacheck = p.hacheck(raw.hacheck);
    let manage_haproxy = raw.haproxy.manage.unwrap_or(false);
    let use_nerve_weights = raw.haproxy.use_nerve_weights.unwrap_or(false);
    let haproxy = p.haproxy(raw.haproxy, hacheck.listen.port(), &host.name);
    let config = Config {
        soa_dir: raw.soa_dir.unwrap_or_else(|| "/nail/etc/services".into()),
        paasta_dir,
        cluster: p.cluster(&raw.cluster),
        host,
        locations: p.locations(raw.locations),
        docker: Docker {
            enabled: raw.docker.enabled.unwrap_or(true),
            socket: raw.docker.socket.unwrap_or_else(|| "/var/run/docker.sock".to_owned()),
            resync: p.span("docker.resync", &raw.docker.resync, Duration::from_secs(30)),
            stop_grace: p.span(
                "docker.stop_grace",
                &raw.docker.stop_grace,
                Duration::from_secs(120),
            ),
        },
        local_tasks: raw.local_tasks.unwrap_or_else(|| "/etc/smartstack/tasks.yaml".into()),
        mesos: p.mesos(&raw.mesos),
        puppet_services_dir: raw
            .puppet_services_dir
            .unwrap_or_else(|| "/etc/nerve/puppet_services.d".into()),
        nerve_conf: raw.nerve_conf,
        registry: p.registry(&raw.registry, fleet_host, &mut assumptions),
        guard: p.guard(&raw.guard),
        admin: Admin {
            socket: raw.admin.socket.unwrap_or_else(|| "/run/smartstack/agent.sock".into()),
            listen: p.parsed(
                "admin.listen",
                &raw.admin.listen,
                ([127, 0, 0, 1], 6667).into(),
                ADDRESS,
            ),
        },
        hacheck,
        haproxy,
        manage_haproxy,
        use_nerve_weights,
        oom_events: p.oom_events(&raw.oom_events),
        statsd: raw.statsd.as_ref().map(|raw| p.statsd(raw)),
        heartbeat: raw.heartbeat,
        damping: p.damping(&raw.damping),
        files: files(raw.files),
        drain_hold: p.span("drain.hold", &raw.drain.hold, DRAIN_HOLD),
        state_dir,
        log: p.log(&raw.log),
        assumptions,
    };
    if p.0.is_empty() { Ok(config) } else { Err(p.0) }
}

const ADDRESS: &str = "expected ADDRESS:PORT";

#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add<T>(&mut self, at: Option<&Spanned<T>>, key: &'static str, message: impl Into<String>) {
        let line = at.map_or(0, |at| at.referenced.line());
        self.0.push(Problem { line, key, message: message.into() });
    }

    fn parsed<T: FromStr>(
        &mut self,
        key: &'static str,
        text: &Text,
        default: T,
        expected: &str,
    ) -> T {
        let Some(text) = text else { return default };
        text.value.parse().unwrap_or_else(|_| {
            self.add(Some(text), key, format!("`{}`: {expected}", text.value.escape_debug()));
            default
        })
    }

    fn span(&mut self, key: &'static str, text: &Text, default: Duration) -> Duration {
        let Some(text) = text else { return default };
        match text.value.parse() {
            Ok(Span(span)) if !span.is_zero() => span,
            Ok(_) => {
                self.add(Some(text), key, "must be longer than nothing");
                default
            }
            Err(message) => {
                self.add(Some(text), key, message);
                default
            }
        }
    }

    fn list<T: FromStr<Err: std::fmt::Display>>(
        &mut self,
        key: &'static str,
        list: Option<&Spanned<Vec<String>>>,
    ) -> Vec<T> {
        let Some(list) = list else { return Vec::new() };
        let mut parsed = Vec::new();
        for text in &list.value {
            match text.parse() {
                Ok(value) => parsed.push(value),
                Err(error) => {
                    self.add(Some(list), key, format!("`{}`: {error}", text.escape_debug()))
                }
            }
        }
        parsed
    }

    fn log(&mut self, raw: &RawLog) -> Log {
        let level = raw.level.as_ref().map_or(DEFAULT_LEVEL, |level| &level.value);
        if let Err(error) = EnvFilter::try_new(level) {
            self.add(
                raw.level.as_ref(),
                "log.level",
                format!("`{}`: {error}", level.escape_debug()),
            );
        }
        Log { format: raw.format.unwrap_or(LogFormat::Auto), level: level.to_owned() }
    }

    fn cluster(&mut self, text: &Text) -> Option<Cluster> {
        let text = text.as_ref()?;
        match text.value.parse() {
            Ok(cluster) => Some(cluster),
            Err(error) => {
                self.add(Some(text), "cluster", format!("{error}"));
                None
            }
        }
    }

    fn host(&mut self, raw: &RawHost, assumptions: &mut Vec<String>) -> Host {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let name = raw.name.as_ref().map(|name| name.value.clone()).or_else(assume::host_name);
        let name = name.unwrap_or_default();
        if name.is_empty() || name.len() > 200 || !name.chars().all(allowed) {
            let message = format!(
                "`{}` cannot be part of a HAProxy server name; use letters, digits, `-` and `.`",
                name.escape_debug()
            );
            self.add(raw.name.as_ref(), "host.name", message);
        }
        let loopback = IpAddr::from([127, 0, 0, 1]);
        let address = match &raw.address {
            Some(_) => {
                self.parsed("host.address", &raw.address, loopback, "expected an IP address")
            }
            None => {
                let found = assume::host_address(&name);
                let address = found.unwrap_or(loopback);
                assumptions.push(format!("host.address is not set: records carry {address}"));
                address
            }
        };
        if address.is_unspecified() || address.is_multicast() {
            let message = format!("{address} is no address of one host");
            self.add(raw.address.as_ref(), "host.address", message);
        }
        Host { name, address }
    }

    fn locations(&mut self, raw: RawLocations) -> Locations {
        let mut fixed = Vec::new();
        if let Some(map) = &raw.fixed {
            for (kind, location) in &map.value {
                match Place::new(kind, location) {
                    Ok(place) => fixed.push(place),
                    Err(error) => self.add(Some(map), "locations.fixed", error.to_string()),
                }
            }
        }
        Locations {
            dir: raw.dir.unwrap_or_else(|| "/nail/etc".into()),
            types_file: raw
                .types_file
                .unwrap_or_else(|| "/nail/etc/services/location_types.json".into()),
            mapping_file: raw
                .mapping_file
                .unwrap_or_else(|| "/nail/etc/services/location_mapping.json".into()),
            fixed,
        }
    }

    fn registry(
        &mut self,
        raw: &RawRegistry,
        fleet_host: bool,
        assumptions: &mut Vec<String>,
    ) -> Registry {
        let layouts = self.list::<Layout>("registry.layouts", raw.layouts.as_ref());
        let layouts: BTreeSet<Layout> = if raw.layouts.is_some() {
            layouts.into_iter().collect()
        } else {
            [Layout::V1, Layout::V2].into()
        };
        if layouts.is_empty() {
            self.add(raw.layouts.as_ref(), "registry.layouts", "name at least one of v1, v2");
        }
        let on_stop = raw.on_stop.as_ref().map_or("keep", |text| text.value.as_str());
        if !["keep", "withdraw"].contains(&on_stop) {
            self.add(raw.on_stop.as_ref(), "registry.on_stop", "expected keep or withdraw");
        }
        let topology_dir = raw.topology_dir.clone().unwrap_or_else(|| TOPOLOGY_DIR.into());
        let topology = topology(raw, &topology_dir);
        Registry {
            kind: self.registry_kind(raw, topology.as_deref(), fleet_host, assumptions),
            layouts,
            read: self.parsed("registry.read", &raw.read, Source::V2, "expected v1, v2 or both"),
            withdraw_on_stop: on_stop == "withdraw",
            security: self.security(raw, assumptions),
            topology,
            location_type: self.location_type(&raw.location_type),
            topology_dir,
            labels_dir: raw.labels_dir.clone().unwrap_or_else(|| "/etc/nerve/labels.d".into()),
        }
    }

    fn location_type(&mut self, text: &Text) -> String {
        let kind = text.as_ref().map_or("superregion", |text| text.value.as_str());
        if let Err(error) = Place::new(kind, "x") {
            self.add(text.as_ref(), "registry.location_type", error.to_string());
        }
        kind.to_owned()
    }

    fn registry_kind(
        &mut self,
        raw: &RawRegistry,
        topology: Option<&Path>,
        fleet_host: bool,
        assumptions: &mut Vec<String>,
    ) -> RegistryKind {
        let session_timeout =
            self.span("registry.session_timeout", &raw.session_timeout, SESSION_TIMEOUT);
        let asked = raw.kind.as_ref().map(|kind| kind.value.as_str());
        let ensemble = match (&raw.hosts, topology) {
            (Some(hosts), _) => self.ensemble(hosts),
            (None, Some(path)) => self.topology(raw, path),
            (None, None) => None,
        };
        match (asked, ensemble) {
            (Some("embedded"), _) => RegistryKind::Embedded,
            (Some("zookeeper") | None, Some(ensemble)) => {
                RegistryKind::ZooKeeper { ensemble, session_timeout }
            }
            (Some("zookeeper"), None) => {
                let message = "zookeeper needs registry.hosts or registry.topology";
                self.add(raw.kind.as_ref(), "registry.kind", message);
                RegistryKind::Embedded
            }
            (Some(other), _) => {
                let message = format!("`{other}`: expected zookeeper or embedded");
                self.add(raw.kind.as_ref(), "registry.kind", message);
                RegistryKind::Embedded
            }
            // The topology file may be away for a moment; an empty registry of our own would take every
            // server of other hosts out of HAProxy.
            (None, None) if fleet_host => {
                let message = "this host belongs to a fleet, but no ZooKeeper is named; set \
                               registry.hosts or registry.topology, or registry.kind: embedded";
                self.add(raw.kind.as_ref(), "registry", message);
                RegistryKind::Embedded
            }
            (None, None) => {
                assumptions.push(
                    "no ZooKeeper is named (registry.hosts): the embedded registry serves this host alone"
                        .to_owned(),
                );
                RegistryKind::Embedded
            }
        }
    }

    fn ensemble(&mut self, hosts: &Spanned<Vec<String>>) -> Option<Ensemble> {
        let ensemble = Ensemble::of(&hosts.value);
        ensemble
            .inspect_err(|error| self.add(Some(hosts), "registry.hosts", error.to_string()))
            .ok()
    }

    fn topology(&mut self, raw: &RawRegistry, path: &Path) -> Option<Ensemble> {
        let hosts = soa_configs::topology::read(path).map_err(|error| error.to_string());
        let ensemble = hosts.and_then(|hosts| {
            let hosts = hosts.iter().map(ToString::to_string);
            Ensemble::of(hosts).map_err(|error| error.to_string())
        });
        ensemble
            .inspect_err(|message| {
                self.add(raw.topology.as_ref(), "registry.topology", message.clone())
            })
            .ok()
    }

    fn guard(&mut self, raw: &RawGuard) -> guard::Policy {
        let default = guard::Policy::default();
        let share = raw.share.as_ref().map_or(default.share, |share| share.value);
        if !(0.0..=1.0).contains(&share) {
            self.add(raw.share.as_ref(), "guard.share", "must be from 0 to 1");
        }
        let panic = raw.panic.as_ref().map_or(default.panic, |panic| panic.value);
        if !(0.0..=1.0).contains(&panic) {
            self.add(raw.panic.as_ref(), "guard.panic", "must be from 0 to 1");
        }
        guard::Policy {
            share,
            hold: self.span("guard.hold", &raw.hold, default.hold),
            long_hold: self.span("guard.long_hold", &raw.long_hold, default.long_hold),
            panic,
            ..default
        }
    }
}

/// An empty path means none, as everywhere.
fn files(raw: RawFiles) -> Files {
    let some = |path: PathBuf| Some(path).filter(|path| !path.as_os_str().is_empty());
    Files {
        services_dir: some(raw.services_dir.unwrap_or_else(|| SERVICES_DIR.into())),
        envoy_dir: raw.envoy_dir.and_then(some),
        ip_map: raw.ip_map.unwrap_or(false),
        envoy_migration: raw.envoy_migration.and_then(some),
    }
}

/// The file that names the registry of this host, if no hosts are given.
fn topology(raw: &RawRegistry, topology_dir: &Path) -> Option<PathBuf> {
    let embedded = raw.kind.as_ref().is_some_and(|kind| kind.value == "embedded");
    if raw.hosts.is_some() {
        return None;
    }
    let default =
        || Some(topology_dir.join("local.yaml")).filter(|file| !embedded && file.exists());
    raw.topology.as_ref().map(|path| path.value.clone()).or_else(default)
}

/// Whether this host has been, or is meant to be, one of a fleet.
fn is_fleet_host(paasta_dir: &Path, state_dir: &Path) -> bool {
    let traces = [state_dir.join("sessions.json"), state_dir.join("catalog.json")];
    paasta_dir.exists() || traces.iter().any(|trace| trace.exists())
}
