//! Whether a service is up or down on this host, as `updown_service` asks (nerve.md §6).

use std::{net::SocketAddr, time::Duration};

use hacheck::{
    marks::{MarkKey, Wish},
    names::{Host, ServiceName},
};
use serde::{Deserialize, Serialize};
use soa_configs::Namespace;

use super::View;
use crate::nerve::registrations::Registration;

/// How long a service may take unless its namespace says otherwise (`updown_timeout_s`).
const TIMEOUT: Duration = Duration::from_secs(300);

/// `SERVICE.NAMESPACE[:PORT]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub namespace: Namespace,
    /// `None`: whatever runs of it here.
    pub port: Option<u16>,
}

impl Wanted {
    /// # Errors
    /// A sentence that says what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, port) = match text.split_once(':') {
            None => (text, None),
            Some((name, port)) => {
                let number = port.parse().ok().filter(|port| *port != 0);
                let number = number.ok_or_else(|| {
                    format!("`{}` is no port from 1 to 65535", port.escape_debug())
                })?;
                (name, Some(number))
            }
        };
        let namespace = name.parse().map_err(|error| format!("{error}"))?;
        Ok(Self { namespace, port })
    }

    fn mark(&self) -> Result<MarkKey, hacheck::names::InvalidServiceName> {
        let service: ServiceName = self.namespace.as_str().parse()?;
        Ok(match self.port {
            Some(port) => MarkKey::Instance(service, Host::Local, port),
            None => MarkKey::Service(service),
        })
    }

    fn means(&self, port: u16) -> bool {
        self.port.is_none_or(|wanted| wanted == port)
    }
}

/// How a service stands on this host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    pub namespace: String,
    pub port: Option<u16>,
    /// Why nobody should wait for it: it is not served through HAProxy, or `no_updown_service` is set.
    pub unmanaged: Option<String>,
    /// Seconds in which it should be up or down.
    pub timeout_s: f64,
    /// Why everything on this host is down.
    pub host_down: Option<String>,
    /// The local HAProxy answers.
    pub reachable: bool,
    /// It has a backend for the namespace.
    pub known: bool,
    /// This host's servers in the local HAProxy.
    pub servers: Vec<Server>,
    pub tasks: Vec<Task>,
    /// A server of this host is up.
    pub up: bool,
    /// No server of this host is up, and no record of it is in the registry.
    pub down: bool,
}

/// A server of this host as its HAProxy sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    pub name: String,
    pub status: String,
}

/// A task of this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    pub title: String,
    pub port: u16,
    pub registered: bool,
    /// Where a plain request shows whether it can serve; `None`: it is not checked over HTTP.
    pub check: Option<(u16, String)>,
}

/// Puts the newest snapshots together.
pub async fn standing(wanted: &Wanted, view: &View) -> Standing {
    let unmanaged = unmanaged(wanted, view).await;
    let soa = view.soa.borrow().clone();
    let config = soa.configs.namespaces.get(&wanted.namespace);
    let timeout = config.and_then(|config| config.updown_timeout).unwrap_or(TIMEOUT);
    let (known, servers) = servers(wanted, view);
    let reachable = view.haproxy.borrow().reachable;
    let tasks = tasks(wanted, view);
    let up = servers.iter().any(|server| server.status.starts_with("UP"));
    Standing {
        namespace: wanted.namespace.to_string(),
        port: wanted.port,
        unmanaged,
        timeout_s: timeout.as_secs_f64(),
        host_down: host_down(view),
        reachable,
        known,
        up,
        down: reachable && known && !up && !tasks.iter().any(|task| task.registered),
        servers,
        tasks,
    }
}

fn host_down(view: &View) -> Option<String> {
    let marks = view.marks.table();
    let all = marks.iter().find(|mark| mark.key == MarkKey::All);
    all.map(|mark| mark.reason.clone())
}

fn servers(wanted: &Wanted, view: &View) -> (bool, Vec<Server>) {
    let status = view.haproxy.borrow();
    let backend = status.backends.get(wanted.namespace.as_str());
    let here = |server: &&crate::synapse::haproxy::status::ServerStatus| {
        let address = server.address.parse::<SocketAddr>();
        address.is_ok_and(|a| a.ip() == view.host.address && wanted.means(a.port()))
    };
    let own = backend.into_iter().flat_map(|servers| servers.iter()).filter(here);
    let own = own.map(|s| Server { name: s.name.clone(), status: s.status.clone() });
    (backend.is_some(), own.collect())
}

fn tasks(wanted: &Wanted, view: &View) -> Vec<Task> {
    let registrations = view.registrations.borrow();
    let published = view.published.borrow();
    let meant = |r: &&std::sync::Arc<Registration>| {
        r.key.namespace == wanted.namespace && wanted.means(r.port)
    };
    let task = |r: &std::sync::Arc<Registration>| Task {
        title: r.title.clone(),
        port: r.port,
        registered: published.has_any_of(r.records.keys()),
        check: r.plan.http().map(|(port, uri)| (port, uri.to_owned())),
    };
    registrations.wanted.values().filter(meant).map(task).collect()
}

async fn unmanaged(wanted: &Wanted, view: &View) -> Option<String> {
    if let Err(reason) = view.soa.borrow().namespace(&wanted.namespace) {
        return Some(reason);
    }
    let service = wanted.namespace.service().to_owned();
    let dir = view.soa_dir.clone();
    let asked = service.clone();
    let left_alone =
        tokio::task::spawn_blocking(move || soa_configs::service::is_without_updown(&dir, &asked));
    // A file that cannot be read is no word against it.
    let left_alone = matches!(left_alone.await, Ok(Ok(true)));
    left_alone.then(|| format!("no_updown_service is set in {service}/service.yaml"))
}

/// Sets or lifts the mark that `hadown` and `haup` would.
///
/// # Errors
/// When the mark is not on disk.
pub async fn mark(
    wanted: &Wanted,
    up: bool,
    reason: &str,
    view: &View,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let key = wanted.mark()?;
    tracing::info!(mark = %key, up, reason, "updown");
    if up {
        view.marks.remove(key).await?;
        return Ok(());
    }
    let reason = if reason.is_empty() { "down by smartstack" } else { reason };
    let wish = Wish { reason: reason.to_owned(), expiration: None, creation: None };
    view.marks.set(key, wish).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        api::report::tests::{catalog, view},
        synapse::haproxy::{Status, status::ServerStatus},
    };

    #[test]
    fn a_target_is_a_namespace_and_perhaps_a_port() {
        let parsed = Wanted::parse("web.main:31000").unwrap();
        assert_eq!((parsed.namespace.as_str(), parsed.port), ("web.main", Some(31000)));
        assert_eq!(Wanted::parse("web.main").unwrap().port, None);
        for (text, expected) in
            [("web", "needs a service"), ("web.main:x", "`x` is no port"), ("web.main:0", "`0`")]
        {
            let error = Wanted::parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[tokio::test]
    async fn only_servers_of_this_host_and_port_count() {
        let server = |address: &str, status: &str| ServerStatus {
            name: format!("h_{address}"),
            address: address.to_owned(),
            status: status.to_owned(),
            ..ServerStatus::default()
        };
        let servers = vec![
            server("10.0.0.2:1", "UP"),
            server("127.0.0.1:1", "UP 1/2"),
            server("127.0.0.1:2", "MAINT"),
        ];
        let status = Status {
            reachable: true,
            backends: [("web.main".to_owned(), Arc::new(servers))].into(),
            ..Status::default()
        };
        let view = view(catalog([("web.main", 80)]), status).await;
        for (target, known, up, down) in [
            ("web.main", true, true, false),
            ("web.main:2", true, false, true),
            ("web.main:3", true, false, true),
            ("web.other", false, false, false),
        ] {
            let standing = standing(&Wanted::parse(target).unwrap(), &view).await;
            let found = (standing.known, standing.up, standing.down);
            assert_eq!(found, (known, up, down), "{target}");
        }
    }
}
