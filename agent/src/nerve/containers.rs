//! Containers as this agent sees them: a small checked picture of what Docker says.

use std::{
    collections::{BTreeMap, HashSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bollard::models::{ContainerInspectResponse, EndpointSettings, HealthStatusEnum, PortMap};
use hacheck::marks::UnixTime;

use super::{checks::DockerHealth, mesos::MesosTask};
use crate::registry::TaskId;

/// Docker's own default when a container names no stop timeout.
const DEFAULT_STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// The running containers of this host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Containers {
    pub link: Link,
    /// True once the daemon has been listed; what is in `running` stands while it is away.
    pub listed: bool,
    pub running: BTreeMap<TaskId, Arc<Container>>,
}

impl Containers {
    /// A host without Docker: there are none, and that is known.
    #[must_use]
    pub fn off() -> Self {
        Self { link: Link::Off, listed: true, running: BTreeMap::new() }
    }
}

/// Where published ports lead when loopback refuses them: to the containers themselves.
#[must_use]
pub fn detours(containers: &Containers) -> BTreeMap<u16, SocketAddr> {
    let mut detours = BTreeMap::new();
    for container in containers.running.values() {
        let Some(&address) = container.addresses.first() else { continue };
        for (inside, bindings) in &container.published {
            let behind = SocketAddr::new(address, *inside);
            detours.extend(bindings.iter().map(|binding| (binding.port, behind)));
        }
    }
    detours
}

/// The addresses of the containers themselves.
#[must_use]
pub fn addresses(containers: &Containers) -> HashSet<IpAddr> {
    containers.running.values().flat_map(|container| &container.addresses).copied().collect()
}

/// Whether Docker answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase", tag = "state", content = "detail")]
pub enum Link {
    #[default]
    Connecting,
    Connected,
    /// Away; the last known containers stand.
    Lost(String),
    /// Not used on this host (`docker.enabled: false`).
    Off,
}

/// One running container.
#[derive(Clone, Debug, PartialEq)]
pub struct Container {
    pub id: TaskId,
    /// Without Docker's leading `/`.
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub env: BTreeMap<String, String>,
    /// When it was made. It stays the same over restarts of the container.
    pub created: Option<UnixTime>,
    /// When it was started: another life of a restarted container has another one.
    pub started_at: String,
    pub host_network: bool,
    /// Its own addresses, one on each of its networks.
    pub addresses: Vec<IpAddr>,
    /// The one on Docker's own network `bridge`.
    pub bridge_address: Option<IpAddr>,
    /// Container port (tcp) → where it is published on this host.
    pub published: BTreeMap<u16, Vec<Published>>,
    /// What Docker says of its HEALTHCHECK.
    pub health: DockerHealth,
    pub stop_signal: Option<String>,
    pub stop_timeout: Duration,
    /// What the Mesos agent says of it, where it is asked.
    pub mesos: Option<MesosTask>,
    /// Set between a stop signal and the end of the container.
    pub leaving: Option<Leaving>,
}

/// A published port: address and port on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    pub address: Option<IpAddr>,
    pub port: u16,
}

/// A container that has been told to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaving {
    pub signal: String,
}

impl Container {
    /// Whether this life began after a moment, in nanoseconds since 1970. One whose beginning is not known
    /// did not.
    #[must_use]
    pub fn was_started_after(&self, moment: i128) -> bool {
        let started: Result<jiff::Timestamp, _> = self.started_at.parse();
        started.is_ok_and(|started| started.as_nanosecond() > moment)
    }

    /// Converts an answer of `GET /containers/<id>/json`. `None` if the container does not run, be
    /// it paused.
    #[must_use]
    pub fn from_inspect(answer: ContainerInspectResponse) -> Option<Self> {
        let state = answer.state.as_ref()?;
        let is = |flag: Option<bool>| flag.unwrap_or(false);
        if !is(state.running) || is(state.restarting) || is(state.paused) {
            return None;
        }
        Self::described(answer)
    }

    /// The same of a container that may have ended.
    #[must_use]
    pub fn described(answer: ContainerInspectResponse) -> Option<Self> {
        let state = answer.state?;
        let config = answer.config.unwrap_or_default();
        let network_mode = answer.host_config.and_then(|host| host.network_mode);
        let (ports, networks) = answer
            .network_settings
            .map_or((None, None), |settings| (settings.ports, settings.networks));
        let address = |network: &EndpointSettings| network.ip_address.as_ref()?.parse().ok();
        let networks = networks.unwrap_or_default();
        Some(Self {
            id: TaskId(answer.id?.into()),
            name: answer.name.unwrap_or_default().trim_start_matches('/').to_owned(),
            labels: config.labels.unwrap_or_default().into_iter().collect(),
            created: answer.created.as_deref().and_then(moment),
            started_at: state.started_at.unwrap_or_default(),
            env: environment(config.env.unwrap_or_default()),
            host_network: network_mode.as_deref() == Some("host"),
            addresses: networks.values().filter_map(address).collect(),
            bridge_address: networks.get("bridge").and_then(address),
            published: ports.map(published).unwrap_or_default(),
            health: state
                .health
                .and_then(|health| health.status)
                .map_or(DockerHealth::None, health),
            stop_signal: config.stop_signal,
            stop_timeout: config
                .stop_timeout
                .and_then(|s| u64::try_from(s).ok())
                .map_or(DEFAULT_STOP_TIMEOUT, Duration::from_secs),
            mesos: None,
            leaving: None,
        })
    }

    /// Whether `signal`, as Docker's `kill` event reports it, asks this container to end.
    ///
    /// `docker stop` sends the container's own stop signal, `SIGTERM` unless it names another one.
    /// Other signals (a `SIGHUP` for a reload) do not count.
    #[must_use]
    pub fn is_stop_signal(&self, signal: &str) -> bool {
        let own = self.stop_signal.as_deref().unwrap_or("SIGTERM");
        let Some(number) = signal_number(signal) else { return false };
        number == TERM || number == KILL || Some(number) == signal_number(own)
    }
}

const KILL: i32 = nix::sys::signal::Signal::SIGKILL as i32;
const TERM: i32 = nix::sys::signal::Signal::SIGTERM as i32;

/// `15`, `TERM` and `SIGTERM` are the same to Docker.
fn signal_number(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let name = text.to_ascii_uppercase();
    let name = if name.starts_with("SIG") { name } else { format!("SIG{name}") };
    name.parse::<nix::sys::signal::Signal>().ok().map(|signal| signal as i32)
}

fn health(status: HealthStatusEnum) -> DockerHealth {
    match status {
        HealthStatusEnum::STARTING => DockerHealth::Starting,
        HealthStatusEnum::HEALTHY => DockerHealth::Healthy,
        HealthStatusEnum::UNHEALTHY => DockerHealth::Unhealthy,
        HealthStatusEnum::EMPTY | HealthStatusEnum::NONE => DockerHealth::None,
    }
}

/// A time as Docker writes it, `2026-01-01T00:00:00.123456789Z`.
fn moment(text: &str) -> Option<UnixTime> {
    let moment: jiff::Timestamp = text.parse().ok()?;
    UnixTime::new(moment.as_duration().as_secs_f64())
}

/// `NAME=value` pairs; a value may hold `=`, an entry without one has no value.
fn environment(entries: Vec<String>) -> BTreeMap<String, String> {
    let pair = |entry: String| match entry.split_once('=') {
        Some((name, value)) => (name.to_owned(), value.to_owned()),
        None => (entry, String::new()),
    };
    entries.into_iter().map(pair).collect()
}

/// Keeps the tcp ports that are really published; one entry an address family.
fn published(ports: PortMap) -> BTreeMap<u16, Vec<Published>> {
    let mut map = BTreeMap::new();
    for (inside, bindings) in ports {
        let Some(inside) = inside.strip_suffix("/tcp").and_then(|port| port.parse().ok()) else {
            continue;
        };
        let bindings = bindings.unwrap_or_default().into_iter().filter_map(|binding| {
            let port = binding.host_port?.parse().ok().filter(|port| *port != 0)?;
            let address = binding.host_ip.and_then(|ip| ip.parse().ok());
            Some(Published { address, port })
        });
        let bindings: Vec<_> = bindings.collect();
        if !bindings.is_empty() {
            map.insert(inside, bindings);
        }
    }
    map
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A running bridge container that publishes 8888 on 31000.
    pub(crate) fn container(
        name: &str,
        labels: &[(&str, &str)],
        env: &[(&str, &str)],
    ) -> Container {
        let own = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
        };
        Container {
            id: TaskId(format!("id-of-{name}").into()),
            name: name.to_owned(),
            labels: own(labels),
            env: own(env),
            created: UnixTime::new(1000.0),
            started_at: "2026-01-01T00:00:00Z".to_owned(),
            host_network: false,
            addresses: vec![[172, 17, 0, 2].into()],
            bridge_address: Some([172, 17, 0, 2].into()),
            published: BTreeMap::from([(8888, vec![Published { address: None, port: 31000 }])]),
            health: DockerHealth::None,
            stop_signal: None,
            stop_timeout: DEFAULT_STOP_TIMEOUT,
            mesos: None,
            leaving: None,
        }
    }

    fn inspected(json: serde_json::Value) -> Option<Container> {
        Container::from_inspect(serde_json::from_value(json).unwrap())
    }

    #[test]
    fn an_inspected_container_keeps_what_matters() {
        let seen = inspected(serde_json::json!({
            "Id": "abc", "Name": "/web", "State": {"Running": true},
            "Created": "2026-01-01T00:00:00.5Z",
            "HostConfig": {"NetworkMode": "bridge"},
            "Config": {"Env": ["A=1=2", "B"], "Labels": {"x": "y"}, "StopSignal": "SIGQUIT"},
            "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "172.17.0.9"}}, "Ports": {
                "8888/tcp": [{"HostIp": "0.0.0.0", "HostPort": "31000"}],
                "53/udp": [{"HostIp": "0.0.0.0", "HostPort": "53"}],
                "9999/tcp": null, "70000/tcp": [{"HostPort": "1"}],
            }},
        }))
        .unwrap();
        assert_eq!((seen.name.as_str(), seen.env["A"].as_str()), ("web", "1=2"));
        assert_eq!(seen.published.keys().collect::<Vec<_>>(), [&8888]);
        assert_eq!(seen.published[&8888][0].port, 31000);
        assert!(!seen.host_network);
        assert_eq!(seen.created, UnixTime::new(1_767_225_600.5));
        assert_eq!(seen.addresses, [IpAddr::from([172, 17, 0, 9])]);
        assert_eq!(seen.bridge_address, Some(seen.addresses[0]));
        let running = BTreeMap::from([(seen.id.clone(), Arc::new(seen))]);
        let detours = detours(&Containers { running, ..Containers::default() });
        assert_eq!(detours, BTreeMap::from([(31000, "172.17.0.9:8888".parse().unwrap())]));
    }

    #[test]
    fn a_container_that_does_not_run_is_none() {
        let state = |state| inspected(serde_json::json!({"Id": "abc", "State": state}));
        assert!(state(serde_json::json!({"Running": false})).is_none());
        assert!(state(serde_json::json!({"Running": true, "Restarting": true})).is_none());
        assert!(state(serde_json::json!({"Running": true, "Paused": true})).is_none());
        assert!(state(serde_json::json!({"Running": true})).is_some());
        assert!(inspected(serde_json::json!({"Id": "abc"})).is_none());
        let ended = serde_json::json!({"Id": "abc", "State": {"Running": false}});
        assert!(Container::described(serde_json::from_value(ended).unwrap()).is_some());
    }

    #[test]
    fn only_signals_that_ask_for_the_end_are_stop_signals() {
        let mut web = container("web", &[], &[]);
        for (signal, stops) in [
            ("15", true),
            ("TERM", true),
            ("9", true),
            ("1", false),
            ("SIGHUP", false),
            ("", false),
        ] {
            assert_eq!(web.is_stop_signal(signal), stops, "{signal}");
        }
        web.stop_signal = Some("SIGQUIT".to_owned());
        assert!(web.is_stop_signal("3") && web.is_stop_signal("15") && !web.is_stop_signal("1"));
    }
}
