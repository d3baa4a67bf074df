//! What the HAProxy rooms tell the rest of the house.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Serialize, Serializer, ser::SerializeMap as _};

use super::{fingerprint::Fingerprint, model::Refused};

/// HAProxy as last seen. Published after every pass.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Status {
    /// Whether HAProxy answered the last time it was asked.
    pub reachable: bool,
    pub version: Option<String>,
    pub worker_pid: Option<u32>,
    /// Of the skeleton that the catalog asks for.
    pub fingerprint_wanted: Option<Fingerprint>,
    /// Of the skeleton that HAProxy says it runs.
    pub fingerprint_running: Option<Fingerprint>,
    pub last_reload: Option<LastReload>,
    /// What an operator must look at now; `None`: all is well.
    pub alarm: Option<String>,
    /// What of the catalog could not be used.
    pub refused: Vec<Refused>,
    /// Where the running HAProxy takes connections for each namespace; a namespace with a
    /// `proxy_port` that is missing here is not served.
    pub ports: BTreeMap<String, u16>,
    /// The servers of each managed backend. While HAProxy is not reachable they are those it had,
    /// with the status [`UNKNOWN`].
    #[serde(serialize_with = "backends")]
    pub backends: BTreeMap<String, Arc<Vec<ServerStatus>>>,
    /// `backend/server` that are out of service and wait for their last connections.
    pub pending_deletes: Vec<String>,
    pub counters: Counters,
}

impl Status {
    /// The server called `name`, as last seen.
    #[must_use]
    pub fn server(&self, backend: &str, name: &str) -> Option<&ServerStatus> {
        self.backends.get(backend)?.iter().find(|server| server.name == name)
    }

    /// The server called `name` in all backends of a namespace, as last seen.
    pub fn servers<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> impl Iterator<Item = &'a ServerStatus> {
        let is_of = move |backend: &str| {
            let rest = backend.strip_prefix(namespace);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let from = self.backends.range(namespace.to_owned()..);
        let of = from.take_while(move |(backend, _)| backend.starts_with(namespace));
        let of = of.filter(move |(backend, _)| is_of(backend));
        of.flat_map(|(_, servers)| servers.iter()).filter(move |server| server.name == name)
    }

    /// HAProxy does not answer: nothing that was seen of it is true any more.
    pub(super) fn forget(&mut self) {
        self.reachable = false;
        self.version = None;
        self.worker_pid = None;
        self.fingerprint_running = None;
        self.ports.clear();
        for servers in self.backends.values_mut().filter(|servers| !is_unknown(servers)) {
            *servers = Arc::new(servers.iter().map(ServerStatus::unknown).collect());
        }
    }
}

/// Whether these servers have to be looked at again.
pub(super) fn is_unknown(servers: &[ServerStatus]) -> bool {
    servers.iter().any(|server| server.status == UNKNOWN)
}

/// The status of a server of which HAProxy could not be asked.
pub const UNKNOWN: &str = "unknown";

/// One row of `show stat`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ServerStatus {
    pub name: String,
    /// `address:port`.
    pub address: String,
    /// HAProxy's words: `UP`, `UP 1/2`, `DOWN`, `DRAIN`, `MAINT`, `no check`; or [`UNKNOWN`].
    pub status: String,
    /// Outcome of the last check, such as `L7OK`; empty before the first.
    pub check: String,
    /// Requests or connections that run now.
    pub sessions: u64,
    /// Seconds since the status changed.
    pub last_change_s: u64,
}

impl ServerStatus {
    /// Nothing of a client runs there, and nothing new will be sent.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        let out = self.status.starts_with("DRAIN") || self.status.starts_with("MAINT");
        out && self.sessions == 0
    }

    fn unknown(&self) -> Self {
        Self {
            name: self.name.clone(),
            address: self.address.clone(),
            status: UNKNOWN.to_owned(),
            ..Self::default()
        }
    }
}

/// The last reload that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LastReload {
    /// Seconds since 1970.
    pub at: u64,
    pub reason: String,
    /// `None`: proven; else why not.
    pub error: Option<String>,
}

/// Since the agent started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Reloads that were proven.
    pub reloads: u64,
    /// Reloads that were refused by `haproxy -c`, not proven, or undone.
    pub reload_failures: u64,
    /// Commands that changed something.
    pub runtime_commands: u64,
    /// Commands that HAProxy refused.
    pub runtime_refusals: u64,
    pub template_failures: u64,
}

fn backends<S: Serializer>(
    backends: &BTreeMap<String, Arc<Vec<ServerStatus>>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(backends.len()))?;
    for (name, servers) in backends {
        map.serialize_entry(name, servers.as_ref())?;
    }
    map.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_looks_up_or_drained_while_haproxy_does_not_answer() {
        let server = |name: &str, status: &str| ServerStatus {
            name: name.to_owned(),
            status: status.to_owned(),
            check: "L7OK".to_owned(),
            sessions: 3,
            ..ServerStatus::default()
        };
        let servers = vec![server("a", "UP"), server("b", "MAINT")];
        let mut status = Status {
            reachable: true,
            worker_pid: Some(7),
            ports: [("web.main".to_owned(), 80)].into(),
            backends: [("web.main".to_owned(), Arc::new(servers))].into(),
            ..Status::default()
        };
        status.forget();
        assert_eq!((status.reachable, status.worker_pid), (false, None));
        assert_eq!(status.ports, BTreeMap::new());
        for name in ["a", "b"] {
            let server = status.server("web.main", name).unwrap();
            assert_eq!((server.status.as_str(), server.check.as_str()), (UNKNOWN, ""));
            assert_eq!((server.sessions, server.is_drained()), (0, false));
        }
    }
}
