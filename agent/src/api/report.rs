//! Everything the agent knows, as one document: `smartstack status --json`.
//!
//! Key order is stable; new keys may be added, none is renamed.

use std::{net::SocketAddr, time::SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use soa_configs::Namespace;

use super::View;
use crate::{
    nerve::{Refusal, containers::Link, health::State, registrations::Registration},
    registry::{Published, RecordKey},
    synapse::haproxy,
};

/// The whole document.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    pub version: String,
    pub host: HostReport,
    pub uptime_s: u64,
    pub assumptions: Vec<String>,
    pub docker: String,
    pub registry: RegistryReport,
    pub tasks: Vec<TaskReport>,
    pub refused: Vec<RefusalReport>,
    /// Containers that are none of ours, and how that shows.
    pub strangers: Vec<RefusalReport>,
    pub problems: Vec<ProblemReport>,
    pub marks: Vec<MarkReport>,
    pub backends: Vec<BackendReport>,
    /// HAProxy as the agent last saw it ([`haproxy::Status`]).
    pub haproxy: Value,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HostReport {
    pub name: String,
    pub address: String,
    pub places: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RegistryReport {
    pub kind: String,
    pub connected: bool,
    pub records: usize,
    pub namespaces: usize,
    /// The further ensembles that hold records of this host.
    #[serde(default)]
    pub further: Vec<EnsembleReport>,
}

/// A registry of another place.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EnsembleReport {
    /// `host:port,...`
    pub ensemble: String,
    pub connected: bool,
}

/// One registration of this host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TaskReport {
    pub task: String,
    pub title: String,
    pub namespace: String,
    pub port: u16,
    /// `unknown`, `up`, `down`, `marked` or `leaving`.
    pub state: String,
    pub detail: String,
    pub since_s: u64,
    pub records: Vec<RecordReport>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RecordReport {
    /// The registry in which it stands, or is to; empty in reports of older agents.
    #[serde(default)]
    pub ensemble: String,
    pub parent: String,
    /// `None`: it is not in the registry.
    pub znode: Option<String>,
    pub failure: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RefusalReport {
    pub what: String,
    pub reason: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProblemReport {
    pub file: String,
    pub message: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MarkReport {
    pub name: String,
    pub reason: String,
    pub expiration: Option<f64>,
}

/// In the place of an address: HAProxy has no frontend for the namespace, because it does not answer,
/// has yet to be reloaded, or was not given it (see [`Report::refused`]).
pub const NOT_LISTENING: &str = "not listening";

/// One namespace as HAProxy serves it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BackendReport {
    pub namespace: String,
    /// Where clients connect, or [`NOT_LISTENING`]; `None`: discovery only.
    pub listens: Option<String>,
    /// A sudden loss of servers is waiting for its second look.
    pub doubted: bool,
    pub servers: Vec<ServerReport>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServerReport {
    pub name: String,
    pub address: String,
    /// As HAProxy's statistics show it, or `-` when it does not know the server.
    pub status: String,
    pub sessions: u64,
    pub here: bool,
}

/// Puts the newest snapshots together.
#[must_use]
pub fn report(view: &View) -> Report {
    let soa = view.soa.borrow().clone();
    let status = view.haproxy.borrow().clone();
    Report {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        host: HostReport {
            name: view.host.name.clone(),
            address: view.host.address.to_string(),
            places: soa.places.iter().map(ToString::to_string).collect(),
        },
        uptime_s: view.started.elapsed().as_secs(),
        assumptions: view.assumptions.to_vec(),
        docker: match &view.containers.borrow().link {
            Link::Connecting => "connecting".to_owned(),
            Link::Connected => "connected".to_owned(),
            Link::Lost(reason) => format!("lost: {reason}"),
            Link::Off => "off".to_owned(),
        },
        registry: registry(view),
        tasks: tasks(view),
        refused: refused(view),
        strangers: view.registrations.borrow().strangers.iter().map(told).collect(),
        problems: problems(view),
        marks: marks(view),
        backends: backends(view, &status),
        haproxy: serde_json::to_value(&*status).unwrap_or_default(),
    }
}

fn registry(view: &View) -> RegistryReport {
    let published = view.published.borrow();
    RegistryReport {
        kind: view.registry_kind.to_owned(),
        connected: published.connected,
        records: published.records.len(),
        namespaces: view.observed.borrow().namespaces.len(),
        further: published
            .further
            .iter()
            .map(|(ensemble, connected)| EnsembleReport {
                ensemble: ensemble.to_string(),
                connected: *connected,
            })
            .collect(),
    }
}

fn tasks(view: &View) -> Vec<TaskReport> {
    let registrations = view.registrations.borrow().clone();
    let health = view.health.borrow().clone();
    let published = view.published.borrow().clone();
    let now = SystemTime::now();
    let task = |r: &Registration| {
        let known = health.get(&r.key);
        let (state, detail) = match (&r.leaving, known) {
            (Some(reason), _) => ("leaving", reason.clone()),
            (None, None) => ("unknown", "not checked yet".to_owned()),
            (None, Some(known)) => (word(&known.state), known.detail.clone()),
        };
        let since = known.and_then(|known| now.duration_since(known.since).ok());
        TaskReport {
            task: r.key.task.to_string(),
            title: r.title.clone(),
            namespace: r.key.namespace.to_string(),
            port: r.port,
            state: state.to_owned(),
            detail,
            since_s: since.map_or(0, |since| since.as_secs()),
            records: r.records.keys().map(|key| record(key, &published)).collect(),
        }
    };
    registrations.wanted.values().map(|r| task(r)).collect()
}

fn record(key: &RecordKey, published: &Published) -> RecordReport {
    RecordReport {
        ensemble: key.ensemble.to_string(),
        parent: key.parent.to_string(),
        znode: published.records.get(key).cloned(),
        failure: published.failures.get(key).cloned(),
    }
}

fn word(state: &State) -> &'static str {
    match state {
        State::Unknown => "unknown",
        State::Up => "up",
        State::Down => "down",
        State::Held => "held",
        State::Marked => "marked",
    }
}

fn told(refusal: &Refusal) -> RefusalReport {
    RefusalReport { what: refusal.title.clone(), reason: refusal.reason.clone() }
}

/// Everything that was meant for us and not taken, with the reason.
fn refused(view: &View) -> Vec<RefusalReport> {
    let registrations = view.registrations.borrow();
    let tasks = registrations.refused.iter().map(told);
    let observed = view.observed.borrow();
    let records = observed.namespaces.iter().flat_map(|(namespace, listing)| {
        listing.refused.iter().map(move |(znode, reason)| RefusalReport {
            what: format!("{namespace} {}", znode.escape_debug()),
            reason: reason.clone(),
        })
    });
    let catalog = view.catalog.borrow();
    let namespaces =
        catalog.iter().flat_map(|catalog| &catalog.refused).map(|(namespace, reason)| {
            RefusalReport { what: namespace.to_string(), reason: reason.clone() }
        });
    let status = view.haproxy.borrow();
    let haproxy = status.refused.iter().map(|refused| RefusalReport {
        // `namespace server`, as the record it came from.
        what: refused.what.replacen('/', " ", 1),
        reason: refused.reason.clone(),
    });
    tasks.chain(records).chain(namespaces).chain(haproxy).collect()
}

/// Files that are broken, and those that cannot be written.
fn problems(view: &View) -> Vec<ProblemReport> {
    let soa = view.soa.borrow();
    let broken = soa.problems.iter().map(|problem| ProblemReport {
        file: problem.file.display().to_string(),
        message: problem.message.clone(),
    });
    let files = view.files.borrow();
    let unwritten = files.iter().map(|trouble| ProblemReport {
        file: trouble.file.clone(),
        message: format!("{}: {}", trouble.file, trouble.message),
    });
    broken.chain(unwritten).collect()
}

fn marks(view: &View) -> Vec<MarkReport> {
    let table = view.marks.table();
    let mark = |mark: &std::sync::Arc<hacheck::marks::Mark>| MarkReport {
        name: mark.key.to_string(),
        reason: mark.reason.clone(),
        expiration: mark.expiration.map(hacheck::marks::UnixTime::seconds),
    };
    table.iter().map(mark).collect()
}

fn listens(view: &View, status: &haproxy::Status, namespace: &Namespace) -> String {
    match status.ports.get(namespace.as_str()) {
        Some(port) => SocketAddr::new(view.bind_address, *port).to_string(),
        None => NOT_LISTENING.to_owned(),
    }
}

fn backends(view: &View, status: &haproxy::Status) -> Vec<BackendReport> {
    let catalog = view.catalog.borrow().clone();
    let doubted = view.doubted.borrow().clone();
    let mut backends = Vec::new();
    for (namespace, pool) in catalog.iter().flat_map(|catalog| &catalog.pools) {
        let server = |server: &crate::synapse::catalog::Server| {
            let seen = status.server(namespace.as_str(), &server.name);
            ServerReport {
                name: server.name.clone(),
                address: server.address.to_string(),
                status: seen.map_or_else(|| "-".to_owned(), |seen| seen.status.clone()),
                sessions: seen.map_or(0, |seen| seen.sessions),
                here: server.address.ip() == view.host.address,
            }
        };
        backends.push(BackendReport {
            namespace: namespace.to_string(),
            listens: pool.config.proxy_port.map(|_| listens(view, status, namespace)),
            doubted: doubted.contains(namespace),
            servers: pool.servers().iter().map(server).collect(),
        });
    }
    backends
}

#[cfg(test)]
pub(super) mod tests;
