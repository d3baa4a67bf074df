//! What the nerve wing tells the rest: which records should exist, and which local servers must not
//! get another request.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hacheck::{
    marks::{MarkKey, Marks},
    names::{Host, ServiceName},
};
use soa_configs::Namespace;
use tokio::{
    sync::watch,
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;

use super::{
    health::{HealthMap, State},
    registrations::{Registration, Registrations},
};
use crate::{
    registry::{Spot, Wanted},
    snapshot::renew,
};

/// How long a departed server is held out of the local HAProxy: until its record is surely gone
/// from the registry, with room for a registry that is away for a moment.
const DEPARTED_FOR: Duration = Duration::from_secs(60);

/// Local servers that must get no new request, with the reason.
pub type Away = BTreeMap<(Namespace, SocketAddr), String>;

/// Decides which records should be in the registry.
#[must_use]
pub fn wanted(registrations: &Registrations, health: &HealthMap) -> Wanted {
    let mut wanted = Wanted { complete: registrations.complete, ..Wanted::default() };
    for (key, registration) in &registrations.wanted {
        if registration.leaving.is_some() {
            continue;
        }
        match health.get(key).map(|health| &health.state) {
            Some(State::Up) => {
                let records = registration.records.iter();
                wanted.records.extend(records.map(|(key, record)| (key.clone(), record.clone())));
            }
            Some(State::Down | State::Held | State::Marked) => {}
            Some(State::Unknown) | None => {
                let records = registration.records.iter();
                let undecided = records.map(|(key, record)| Spot::of(key, record));
                wanted.undecided.extend(undecided);
            }
        }
    }
    wanted
}

/// Decides which registered servers of this host are on their way out, and why.
///
/// A task that has not been checked yet is not among them: after a restart of the agent its server is
/// in use.
#[must_use]
pub fn away(registrations: &Registrations, health: &HealthMap, host: IpAddr) -> Away {
    let reason = |key, registration: &Registration| {
        if registration.leaving.is_some() {
            return registration.leaving.clone();
        }
        let health = health.get(key)?;
        matches!(health.state, State::Down | State::Held | State::Marked)
            .then(|| health.detail.clone())
    };
    let away = registrations.wanted.iter().filter_map(|(key, registration)| {
        let server = (key.namespace.clone(), SocketAddr::new(host, registration.port));
        Some((server, reason(key, registration)?))
    });
    away.collect()
}

/// Decides what hacheck holds down in memory: what was told to stop answers 503 before it is dead. On a
/// host that leaves that is everything, also what another program has registered here.
#[must_use]
pub fn held(registrations: &Registrations) -> BTreeMap<MarkKey, String> {
    let leaving = registrations.wanted.values().filter_map(|registration| {
        let reason = registration.leaving.clone()?;
        let service: ServiceName = registration.key.namespace.as_str().parse().ok()?;
        Some((MarkKey::Instance(service, Host::Local, registration.port), reason))
    });
    let host = registrations.host_leaves.as_ref();
    let host = host.map(|reason| (MarkKey::All, format!("the host leaves: {reason}")));
    leaving.chain(host).collect()
}

/// Where the decisions go.
#[derive(Debug)]
pub struct Outputs {
    pub wanted: watch::Sender<Arc<Wanted>>,
    pub away: watch::Sender<Arc<Away>>,
    pub marks: Marks,
}

/// Decides again whenever registrations or health change, until `stop`.
pub async fn run(
    host: IpAddr,
    mut registrations: watch::Receiver<Arc<Registrations>>,
    mut health: watch::Receiver<Arc<HealthMap>>,
    outputs: Outputs,
    stop: CancellationToken,
) {
    let mut departed = Departed::default();
    loop {
        let tasks = Arc::clone(&registrations.borrow_and_update());
        let verdicts = Arc::clone(&health.borrow_and_update());
        let mut out = away(&tasks, &verdicts, host);
        departed.look(&tasks, host, Instant::now());
        out.extend(departed.servers());
        outputs.marks.hold(held(&tasks));
        renew(&outputs.away, out);
        renew(&outputs.wanted, wanted(&tasks, &verdicts));
        tokio::select! {
            () = stop.cancelled() => return,
            changed = registrations.changed() => if changed.is_err() { return },
            changed = health.changed() => if changed.is_err() { return },
            () = time::sleep(DEPARTED_FOR), if !departed.gone.is_empty() => {}
        }
    }
}

/// Servers whose task ended a moment ago: their records may still be seen.
#[derive(Default)]
struct Departed {
    last: BTreeSet<(Namespace, SocketAddr)>,
    gone: BTreeMap<(Namespace, SocketAddr), Instant>,
}

impl Departed {
    fn look(&mut self, tasks: &Registrations, host: IpAddr, now: Instant) {
        let server =
            |r: &Arc<Registration>| (r.key.namespace.clone(), SocketAddr::new(host, r.port));
        let present: BTreeSet<_> = tasks.wanted.values().map(server).collect();
        self.gone.retain(|server, since| {
            !present.contains(server) && now.duration_since(*since) < DEPARTED_FOR
        });
        for server in self.last.difference(&present) {
            self.gone.insert(server.clone(), now);
        }
        self.last = present;
    }

    fn servers(&self) -> impl Iterator<Item = ((Namespace, SocketAddr), String)> + '_ {
        self.gone.keys().map(|server| (server.clone(), "its task has ended".to_owned()))
    }
}

#[cfg(test)]
pub(in crate::nerve) mod tests;
