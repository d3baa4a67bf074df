//! Taking instances out of service before they stop, and knowing when that is done.

use std::{net::SocketAddr, time::Duration};

use hacheck::{
    marks::{MarkKey, UnixTime, Wish},
    names::{Host, ServiceName},
};
use serde::{Deserialize, Serialize};
use tokio::time;

use super::{View, target::Target};
use crate::synapse::{catalog, haproxy::status::ServerStatus};

/// What a drain asks for.
#[derive(Clone, Debug, Default)]
pub struct Order {
    pub reason: String,
    /// `None`: until the mark is lifted.
    pub lasts: Option<Duration>,
}

/// How far a drain has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// May all of them be stopped without hurting a request that came through this host?
    pub safe_to_stop: bool,
    pub instances: Vec<Instance>,
}

/// One instance on its way out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    pub namespace: String,
    pub port: u16,
    pub marked: bool,
    /// Its records are still in the registry.
    pub registered: bool,
    /// As the local HAProxy sees it; `None`: HAProxy does not know it (any more).
    pub haproxy: Option<String>,
    /// Requests that the local HAProxy has under way there.
    pub sessions: u64,
    /// Nothing of the above speaks against a stop.
    #[serde(default)]
    pub withdrawn: bool,
    /// Seconds until the proxies of other hosts are held to have followed (`drain.hold`); counted
    /// from the moment when it was withdrawn.
    #[serde(default)]
    pub hold_left_s: f64,
    pub safe_to_stop: bool,
}

fn key(target: &Target) -> Result<MarkKey, String> {
    let name = target.namespace.as_str();
    let service = name.parse::<ServiceName>().map_err(|error| error.to_string())?;
    Ok(MarkKey::Instance(service, Host::Local, target.port))
}

/// Every instance of this host.
#[must_use]
pub fn all(view: &View) -> Vec<Target> {
    view.registrations.borrow().wanted.values().map(|r| Target::of(r)).collect()
}

/// Marks all targets.
///
/// # Errors
/// When a mark is not on disk; it may be in force all the same.
pub async fn mark(targets: &[Target], order: &Order, view: &View) -> Result<(), String> {
    let reason = if order.reason.is_empty() { "drained by smartstack" } else { &order.reason };
    let now = UnixTime::now().seconds();
    let expiration = order.lasts.and_then(|lasts| UnixTime::new(now + lasts.as_secs_f64()));
    for target in targets {
        let wish = Wish { reason: reason.to_owned(), expiration, creation: None };
        view.marks.set(key(target)?, wish).await.map_err(|error| sentence(&error))?;
        tracing::info!(namespace = %target.namespace, port = target.port, reason, lasts = ?order.lasts, "drain");
    }
    Ok(())
}

/// Lifts the marks of all targets.
///
/// # Errors
/// When a mark cannot be removed from disk.
pub async fn unmark(targets: &[Target], view: &View) -> Result<(), String> {
    for target in targets {
        view.marks.remove(key(target)?).await.map_err(|error| sentence(&error))?;
        tracing::info!(namespace = %target.namespace, port = target.port, "undrain");
    }
    Ok(())
}

pub(super) fn sentence(error: &dyn std::error::Error) -> String {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}

/// How far all targets have come, as of the newest snapshots.
#[must_use]
pub fn progress(targets: &[Target], view: &View) -> Progress {
    let instances: Vec<Instance> = targets.iter().map(|target| instance(target, view)).collect();
    let safe_to_stop = instances.iter().all(|i| i.safe_to_stop);
    Progress { safe_to_stop, instances }
}

/// What keeps an instance from being stopped, without the hold time.
struct Hindrance {
    marked: bool,
    registered: bool,
    /// Its row in HAProxy: status and sessions.
    haproxy: Option<(String, u64)>,
    /// The local HAProxy sends nothing there, and nothing is under way.
    out: bool,
}

fn is_marked(target: &Target, view: &View) -> bool {
    let address = SocketAddr::new(view.host.address, target.port);
    view.away.borrow().contains_key(&(target.namespace.clone(), address))
}

impl Hindrance {
    fn of(target: &Target, view: &View) -> Self {
        let address = SocketAddr::new(view.host.address, target.port);
        let marked = is_marked(target, view);
        let registered = {
            let (registrations, published) = (view.registrations.borrow(), view.published.borrow());
            registrations
                .wanted
                .values()
                .any(|r| target.is(r) && published.has_any_of(r.records.keys()))
        };
        let status = view.haproxy.borrow();
        let name = catalog::name(&view.host.name, address);
        let namespace = target.namespace.as_str();
        // A HAProxy that cannot be asked may still be sending requests there.
        let soa = view.soa.borrow();
        let config = soa.configs.namespaces.get(&target.namespace);
        let proxied = config.is_none_or(|config| config.proxy_port.is_some());
        // A namespace has a backend for each place and endpoint.
        let rows = || status.servers(namespace, &name);
        let out = if rows().next().is_some() {
            status.reachable && rows().all(ServerStatus::is_drained)
        } else {
            status.reachable || !proxied
        };
        let row = status.server(namespace, &name).or_else(|| rows().next());
        let sessions = rows().map(|server| server.sessions).sum();
        let haproxy = row.map(|server| (server.status.clone(), sessions));
        Self { marked, registered, haproxy, out }
    }

    fn is_withdrawn(&self) -> bool {
        self.marked && !self.registered && self.out
    }
}

/// Whether nothing new reaches an instance, as far as this host can see.
pub(super) fn is_withdrawn(target: &Target, view: &View) -> bool {
    // Looked at first: most instances are in service, and this is asked of all of them.
    is_marked(target, view) && Hindrance::of(target, view).is_withdrawn()
}

fn instance(target: &Target, view: &View) -> Instance {
    let hindrance = Hindrance::of(target, view);
    let since = view.withdrawn.borrow().get(target).copied();
    let held = since.map_or(Duration::ZERO, |since| since.elapsed());
    let hold_left = view.hold.saturating_sub(held);
    Instance {
        namespace: target.namespace.to_string(),
        port: target.port,
        marked: hindrance.marked,
        registered: hindrance.registered,
        withdrawn: hindrance.is_withdrawn(),
        safe_to_stop: hindrance.is_withdrawn() && hold_left.is_zero(),
        hold_left_s: hold_left.as_secs_f64(),
        sessions: hindrance.haproxy.as_ref().map_or(0, |(_, sessions)| *sessions),
        haproxy: hindrance.haproxy.map(|(status, _)| status),
    }
}

/// Waits until all targets are safe to stop, or for `limit`.
pub async fn wait(targets: &[Target], limit: Duration, view: &View) -> Progress {
    let mut view = view.clone();
    let waiting = async {
        loop {
            let progress = progress(targets, &view);
            if progress.safe_to_stop {
                return;
            }
            let withdrawn = progress.instances.iter().filter(|instance| instance.withdrawn);
            let held = withdrawn.map(|instance| instance.hold_left_s);
            let held = Duration::from_secs_f64(held.fold(0.0, f64::max));
            let changed = tokio::select! {
                changed = view.published.changed() => changed,
                changed = view.haproxy.changed() => changed,
                changed = view.away.changed() => changed,
                changed = view.withdrawn.changed() => changed,
                () = time::sleep(held), if !held.is_zero() => Ok(()),
            };
            if changed.is_err() {
                return;
            }
        }
    };
    let _ = time::timeout(limit, waiting).await;
    progress(targets, &view)
}
