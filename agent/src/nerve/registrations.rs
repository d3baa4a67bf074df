//! Which task should appear in which namespace: a pure function of what runs, what soa-configs say
//! and where this host is.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use hacheck::marks::UnixTime;
use soa_configs::{Namespace, NamespaceConfig};

use super::{
    Refusal,
    checks::{CheckPlan, Checked},
    containers::{Container, Containers},
    identity::{Identity, disputed, host_port, identify},
    local_tasks::LocalTasks,
    records::{Destinations, Payload, destinations, records},
};
use crate::{
    registry::{Ensemble, Layout, Record, RecordKey, TaskId},
    soa::Soa,
};

/// Who this host is, as records name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostIdentity {
    /// `name` of records and prefix of their znodes: the host name, or HAProxy would rename servers.
    pub name: String,
    pub address: IpAddr,
    /// The registry of this host.
    pub ensemble: Ensemble,
    /// Each location of this type has a ZooKeeper.
    pub location_type: String,
    pub layouts: BTreeSet<Layout>,
}

/// The wish of one local task to appear in one namespace.
#[derive(Clone, Debug, PartialEq)]
pub struct Registration {
    pub key: RegistrationKey,
    /// Container name, or the name of the local process.
    pub title: String,
    /// Another one after a restart of the container: what was known of its health is void.
    pub life: String,
    /// When its container was made; unknown for local processes.
    pub created: Option<UnixTime>,
    /// The port in the record, by which marks know the instance.
    pub port: u16,
    pub plan: CheckPlan,
    /// Why the task is on its way out: it was told to stop, or the host leaves.
    pub leaving: Option<String>,
    pub records: BTreeMap<RecordKey, Record>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RegistrationKey {
    pub task: TaskId,
    pub namespace: Namespace,
}

/// All registrations of this host, and what was refused.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Registrations {
    /// True once containers and soa-configs have been read, and it is known which places there are.
    pub complete: bool,
    pub wanted: BTreeMap<RegistrationKey, Arc<Registration>>,
    pub refused: Vec<Refusal>,
    /// Containers that are not ours, and how that shows.
    pub strangers: Vec<Refusal>,
    /// Why the whole host is on its way out.
    pub host_leaves: Option<Arc<str>>,
}

impl Registrations {
    /// The same on a host that leaves: every task is on its way out.
    #[must_use]
    pub fn leaving(mut self, reason: Option<Arc<str>>) -> Self {
        if let Some(reason) = &reason {
            for registration in self.wanted.values_mut().filter(|r| r.leaving.is_none()) {
                Arc::make_mut(registration).leaving = Some(format!("the host leaves: {reason}"));
            }
        }
        self.host_leaves = reason;
        self
    }
}

/// A task that passed the border: where it wants to be and on which port it listens.
struct Candidate {
    task: TaskId,
    title: String,
    life: String,
    created: Option<UnixTime>,
    port: u16,
    namespaces: Vec<Namespace>,
    leaving: Option<String>,
    payload: Payload,
    checked: Checked,
}

/// Decides all registrations of this host.
#[must_use]
pub fn registrations(
    containers: &Containers,
    local: &LocalTasks,
    soa: &Soa,
    host: &HostIdentity,
) -> Registrations {
    let (mut refused, mut strangers) = (local.problems.clone(), Vec::new());
    let mut candidates: Vec<Candidate> = Vec::new();
    for container in containers.running.values() {
        let told = |reason| refusal(&container.id, &container.name, reason);
        match candidate(container, soa) {
            Ok(candidate) => {
                refused.extend(disputed(container, candidate.port).map(told));
                candidates.push(candidate);
            }
            Err(Rejection::NotOurs(reason)) => strangers.push(told(reason.to_owned())),
            Err(Rejection::Refused(reason)) => refused.push(told(reason)),
        }
    }
    candidates.extend(local.items.iter().map(|task| Candidate {
        task: task.id(),
        title: task.name.clone(),
        life: String::new(),
        created: None,
        port: task.port,
        namespaces: task.namespaces.clone(),
        leaving: None,
        payload: task.payload.clone(),
        checked: task.checked.clone(),
    }));
    let wanted = accept(&candidates, soa, host, &mut refused);
    refused.sort();
    let complete = containers.listed && local.looked && soa.read && !soa.atlas.in_doubt;
    Registrations { complete, wanted, refused, strangers, host_leaves: None }
}

/// Why a container is no candidate.
enum Rejection {
    NotOurs(&'static str),
    Refused(String),
}

impl From<String> for Rejection {
    fn from(reason: String) -> Self {
        Self::Refused(reason)
    }
}

fn candidate(container: &Container, soa: &Soa) -> Result<Candidate, Rejection> {
    let leaving = container.leaving.as_ref();
    let leaving = leaving.map(|leaving| format!("told to stop by signal {}", leaving.signal));
    let mut checked = Checked::AsNamespace;
    let (namespaces, port, payload) = match identify(container) {
        Identity::NotOurs(reason) => return Err(Rejection::NotOurs(reason)),
        Identity::Refused(reason) => return Err(reason.into()),
        Identity::Plain { namespaces, port, healthcheck } => {
            if let Some(label) = healthcheck {
                checked = Checked::ByLabel(label, container.health);
            }
            (namespaces, host_port(container, port, false)?, Payload::default())
        }
        Identity::Paasta { service, instance } => {
            let config = soa.instance(&service, &instance)?;
            let port = host_port(container, config.container_port.get(), true)?;
            let paasta =
                vec![("deploy_group", config.deploy_group.clone()), ("paasta_instance", instance)];
            (config.registrations.clone(), port, Payload { paasta, ..Payload::default() })
        }
    };
    Ok(Candidate {
        task: container.id.clone(),
        title: container.name.clone(),
        life: container.started_at.clone(),
        created: container.created,
        port,
        namespaces,
        leaving,
        payload,
        checked,
    })
}

fn accept(
    candidates: &[Candidate],
    soa: &Soa,
    host: &HostIdentity,
    refused: &mut Vec<Refusal>,
) -> BTreeMap<RegistrationKey, Arc<Registration>> {
    let mut wanted = BTreeMap::new();
    let mut owners: BTreeMap<(Namespace, u16), &Candidate> = BTreeMap::new();
    let mut known: BTreeMap<&Namespace, Destinations> = BTreeMap::new();
    // A task that stays goes before one that leaves: a port may change hands between the two.
    let order = candidates.iter().filter(|c| c.leaving.is_none());
    let order = order.chain(candidates.iter().filter(|c| c.leaving.is_some()));
    for candidate in order {
        for namespace in &candidate.namespaces {
            let reason = match soa.namespace(namespace) {
                Err(reason) => reason,
                Ok(config) => {
                    if let Some(owner) = owners.get(&(namespace.clone(), candidate.port)) {
                        format!(
                            "port {} of {namespace} is already taken by {}",
                            candidate.port, owner.title
                        )
                    } else {
                        owners.insert((namespace.clone(), candidate.port), candidate);
                        let destinations = known
                            .entry(namespace)
                            .or_insert_with(|| destinations(config, soa, host));
                        let registration =
                            registration(candidate, namespace, config, destinations, soa, host);
                        wanted.insert(registration.key.clone(), Arc::new(registration));
                        continue;
                    }
                }
            };
            refused.push(refusal(&candidate.task, &candidate.title, reason));
        }
    }
    for (namespace, destinations) in known {
        let told =
            |reason: String| Refusal { task: String::new(), title: namespace.to_string(), reason };
        refused.extend(destinations.refused.into_iter().map(told));
    }
    wanted
}

fn registration(
    candidate: &Candidate,
    namespace: &Namespace,
    config: &NamespaceConfig,
    destinations: &Destinations,
    soa: &Soa,
    host: &HostIdentity,
) -> Registration {
    let key = RegistrationKey { task: candidate.task.clone(), namespace: namespace.clone() };
    Registration {
        title: candidate.title.clone(),
        life: candidate.life.clone(),
        created: candidate.created,
        port: candidate.port,
        plan: candidate.checked.plan(config, candidate.port),
        leaving: candidate.leaving.clone(),
        records: records(&key, candidate.port, &candidate.payload, destinations, soa, host),
        key,
    }
}

fn refusal(task: &TaskId, title: &str, reason: String) -> Refusal {
    Refusal { task: task.to_string(), title: title.to_owned(), reason }
}

#[cfg(test)]
mod tests;
