//! Opens every room and joins them: each gets the receivers of the rooms before it.

use std::{
    collections::{BTreeSet, HashSet},
    net::IpAddr,
    sync::Arc,
    time::Instant,
};

use anyhow::Context;
use hacheck::{checks::Checker, marks::Marks, server::Inherited};
use prometheus_client::metrics::counter::Counter;
use soa_configs::{Namespace, Place};
use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{files, heartbeat, interfaces, sources};
use crate::{
    api::{self, View, withdrawn::Withdrawn},
    config::{Config, RegistryKind},
    nerve::{
        self,
        containers::{Containers, addresses, detours},
        health::HealthMap,
        host_leave::HostLeave,
        publish::Away,
        registrations::{HostIdentity, Registrations},
    },
    probe::Probe,
    registry::{self, Ensemble, Observed, Published, Source, Wanted},
    soa::{self, Soa},
    statsd::Statsd,
    supervisor::Supervisor,
    synapse::{
        self,
        catalog::{Catalog, Reading},
        files::Trouble,
        haproxy,
    },
    tally::Tally,
};

/// Questions of the guard that may wait for the registry; more are asked again later.
const REREADS: usize = 64;

/// Both ends of one snapshot.
pub(super) struct Slot<T> {
    pub(super) sender: watch::Sender<T>,
    pub(super) receiver: watch::Receiver<T>,
}

impl<T: Default> Slot<T> {
    pub(super) fn new() -> Self {
        let (sender, receiver) = watch::channel(T::default());
        Self { sender, receiver }
    }
}

/// One slot for every room.
struct Slots {
    soa: Slot<Arc<Soa>>,
    containers: Slot<Arc<Containers>>,
    registrations: Slot<Arc<Registrations>>,
    health: Slot<Arc<HealthMap>>,
    wanted: Slot<Arc<Wanted>>,
    away: Slot<Arc<Away>>,
    published: Slot<Arc<Published>>,
    namespaces: Slot<Arc<BTreeSet<Namespace>>>,
    observed: Slot<Arc<Observed>>,
    doubted: Slot<Arc<BTreeSet<Namespace>>>,
    catalog: Slot<Option<Arc<Catalog>>>,
    haproxy: Slot<Arc<haproxy::Status>>,
    files: Slot<Arc<Vec<Trouble>>>,
    withdrawn: Slot<Arc<Withdrawn>>,
}

impl Slots {
    fn new() -> Self {
        Self {
            soa: Slot::new(),
            containers: Slot::new(),
            registrations: Slot::new(),
            health: Slot::new(),
            wanted: Slot::new(),
            away: Slot::new(),
            published: Slot::new(),
            namespaces: Slot::new(),
            observed: Slot::new(),
            doubted: Slot::new(),
            catalog: Slot::new(),
            haproxy: Slot::new(),
            files: Slot::new(),
            withdrawn: Slot::new(),
        }
    }

    fn view(
        &self,
        config: &Config,
        host: Arc<HostIdentity>,
        host_leave: HostLeave,
        tally: Tally,
        marks: Marks,
    ) -> View {
        View {
            host,
            registry_kind: match config.registry.kind {
                RegistryKind::Embedded => "embedded",
                RegistryKind::ZooKeeper { .. } => "zookeeper",
            },
            assumptions: config.assumptions.clone().into(),
            bind_address: config.haproxy.bind_address,
            started: Instant::now(),
            soa_dir: config.soa_dir.as_path().into(),
            hold: config.drain_hold,
            soa: self.soa.receiver.clone(),
            containers: self.containers.receiver.clone(),
            registrations: self.registrations.receiver.clone(),
            health: self.health.receiver.clone(),
            away: self.away.receiver.clone(),
            published: self.published.receiver.clone(),
            observed: self.observed.receiver.clone(),
            doubted: self.doubted.receiver.clone(),
            catalog: self.catalog.receiver.clone(),
            haproxy: self.haproxy.receiver.clone(),
            files: self.files.receiver.clone(),
            withdrawn: self.withdrawn.receiver.clone(),
            host_leave,
            tally,
            stale_marks: Counter::default(),
            oom_kills: Counter::default(),
            marks,
        }
    }
}

/// Binds the listeners, starts every task, and returns the view of all rooms.
///
/// # Errors
/// When a listener cannot be bound or the spool cannot be used.
pub(super) async fn open(
    config: &Config,
    inherited: Inherited,
    tasks: &mut Supervisor,
) -> anyhow::Result<View> {
    let host = Arc::new(HostIdentity {
        name: config.host.name.clone(),
        address: config.host.address,
        ensemble: match &config.registry.kind {
            RegistryKind::Embedded => Ensemble::memory(),
            RegistryKind::ZooKeeper { ensemble, .. } => ensemble.clone(),
        },
        location_type: config.registry.location_type.clone(),
        layouts: config.registry.layouts.clone(),
    });
    let state_dir = &config.state_dir;
    tokio::fs::create_dir_all(state_dir)
        .await
        .with_context(|| format!("cannot use {} for state", state_dir.display()))?;
    let checker = Checker::new(&interfaces::settings(config).checks, Handle::current());
    let (marks, marks_keeper) = Marks::open(&config.hacheck.spool).await?;
    let slots = Slots::new();
    // Beside the admin socket: a reboot empties /run.
    let host_leave = HostLeave::open(config.admin.socket.with_file_name("host-leaves")).await;
    let tally = Tally::new(statsd(config.statsd.clone()).await);
    let view = slots.view(config, Arc::clone(&host), host_leave, tally, marks.clone());
    if let Some(path) = config.heartbeat.clone() {
        tasks.spawn("heartbeat", |stop| heartbeat::run(path, stop));
    }
    let container_addresses = Slot::new();
    interfaces::open(config, &checker, container_addresses.receiver, inherited, &view, tasks)
        .await?;
    tasks.spawn("marks", |stop| marks_keeper.run(stop));
    follow_soa(config, slots.soa.sender, tasks);
    let (watched, withdrawn) = (view.clone(), slots.withdrawn.sender);
    tasks.spawn("withdrawn", |stop| api::withdrawn::follow(watched, withdrawn, stop));
    sources::follow(config, &host, &view, slots.containers, slots.registrations.sender, tasks);
    follow_containers(&checker, view.containers.clone(), container_addresses.sender, tasks);
    let settings = nerve::stale_marks::Settings {
        drop: config.hacheck.drop_stale_marks,
        found: view.stale_marks.clone(),
    };
    let (tasks_here, marks_here) = (slots.registrations.receiver.clone(), marks.clone());
    tasks.spawn("stale marks", |stop| {
        nerve::stale_marks::run(settings, tasks_here, marks_here, stop)
    });
    let probe = Probe::new(checker, marks);
    let (registrations, health) = (slots.registrations.receiver, slots.health);
    let (watched, tally) = (registrations.clone(), view.tally.clone());
    let damping = config.damping;
    tasks.spawn("health", |stop| {
        nerve::health::watch_health(probe, watched, health.sender, damping, tally, stop)
    });
    let (changing, turning) = (registrations.clone(), health.receiver.clone());
    let (tally, written) = (view.tally.clone(), view.published.clone());
    tasks
        .spawn("turnover", |stop| nerve::turnover::follow(tally, changing, turning, written, stop));
    let outputs = nerve::publish::Outputs {
        wanted: slots.wanted.sender,
        away: slots.away.sender,
        marks: view.marks.clone(),
    };
    let (address, verdicts) = (host.address, health.receiver);
    tasks.spawn("publish", move |stop| {
        nerve::publish::run(address, registrations, verdicts, outputs, stop)
    });
    let (reread, rereads) = mpsc::channel(REREADS);
    let inputs = registry::Inputs {
        wanted: slots.wanted.receiver,
        namespaces: slots.namespaces.receiver,
        reread: rereads,
    };
    let outputs =
        registry::Outputs { published: slots.published.sender, observed: slots.observed.sender };
    open_registry(config, &view, inputs, outputs, tasks);
    let (soa, wanted) = (slots.soa.receiver.clone(), slots.namespaces.sender);
    tasks.spawn("namespaces", |stop| synapse::watch::run(soa, wanted, stop));
    let inputs = synapse::keeper::Inputs {
        soa: slots.soa.receiver,
        observed: slots.observed.receiver,
        away: slots.away.receiver,
    };
    let outputs = synapse::keeper::Outputs {
        catalog: slots.catalog.sender,
        doubted: slots.doubted.sender,
        reread,
    };
    let settings = catalog_settings(config);
    tasks.spawn("catalog", |stop| synapse::keeper::run(settings, inputs, outputs, stop));
    files::open(config, &view, slots.files.sender, tasks);
    open_haproxy(config, slots.catalog.receiver, slots.haproxy.sender, tasks);
    Ok(view)
}

/// Metrics are no reason not to start.
async fn statsd(target: Option<String>) -> Statsd {
    let Some(target) = target else { return Statsd::default() };
    let name = target.clone();
    let opened = tokio::task::spawn_blocking(move || Statsd::open(&name)).await;
    match opened.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
        Ok(statsd) => statsd,
        Err(error) => {
            warn!(target, %error, "no metrics are sent; restart the agent when statsd can be found");
            Statsd::default()
        }
    }
}

fn follow_soa(config: &Config, sender: watch::Sender<Arc<Soa>>, tasks: &mut Supervisor) {
    let settings = soa::Settings {
        soa_dir: config.soa_dir.clone(),
        paasta_dir: config.paasta_dir.clone(),
        cluster: config.cluster.clone(),
        locations: config.locations.clone(),
        atlas: atlas(config),
    };
    tasks.spawn("soa-configs", |stop| soa::follow(settings, sender, stop));
}

fn atlas(config: &Config) -> soa::atlas::Settings {
    let registry = &config.registry;
    let ensemble = match &registry.kind {
        RegistryKind::Embedded => None,
        RegistryKind::ZooKeeper { ensemble, .. } => Some(ensemble.clone()),
    };
    soa::atlas::Settings {
        types_file: config.locations.types_file.clone(),
        mapping_file: config.locations.mapping_file.clone(),
        topology_dir: ensemble.is_some().then(|| registry.topology_dir.clone()),
        labels_dir: registry.labels_dir.clone(),
        local: registry.topology.clone().zip(ensemble),
    }
}

/// Tells hacheck where containers are: how to reach them while Docker's own proxies are away, and
/// which addresses beside the host's own may be asked.
fn follow_containers(
    checker: &Checker,
    mut containers: watch::Receiver<Arc<Containers>>,
    current: watch::Sender<Arc<HashSet<IpAddr>>>,
    tasks: &mut Supervisor,
) {
    let checker = checker.clone();
    tasks.spawn("container addresses", |stop| async move {
        loop {
            {
                let containers = containers.borrow_and_update();
                checker.set_detours(detours(&containers));
                current.send_replace(Arc::new(addresses(&containers)));
            }
            tokio::select! {
                () = stop.cancelled() => return,
                changed = containers.changed() => if changed.is_err() { return },
            }
        }
    });
}

fn open_registry(
    config: &Config,
    view: &View,
    inputs: registry::Inputs,
    outputs: registry::Outputs,
    tasks: &mut Supervisor,
) {
    let name = config.host.name.clone();
    let read = config.registry.read;
    match &config.registry.kind {
        RegistryKind::Embedded => {
            let settings =
                registry::embedded::Settings { read, ..registry::embedded::Settings::new(name) };
            let soa = view.soa.clone();
            tasks.spawn("registry", |stop| async move {
                let Some(read_places) = known_places(soa, read, &stop).await else { return };
                let settings = registry::embedded::Settings { read_places, ..settings };
                registry::embedded::run(settings, inputs, outputs, stop).await;
            });
        }
        RegistryKind::ZooKeeper { ensemble, session_timeout } => {
            let settings = registry::zookeeper::Settings {
                session_timeout: *session_timeout,
                security: config.registry.security.clone(),
                read,
                on_stop: if config.registry.withdraw_on_stop {
                    registry::zookeeper::OnStop::Withdraw
                } else {
                    registry::zookeeper::OnStop::Keep
                },
                tally: view.tally.clone(),
                ..registry::zookeeper::Settings::new(
                    ensemble.clone(),
                    name,
                    config.state_dir.clone(),
                )
            };
            let soa = view.soa.clone();
            tasks.spawn("registry", |stop| async move {
                let Some(read_places) = known_places(soa, read, &stop).await else { return };
                let settings = registry::zookeeper::Settings { read_places, ..settings };
                registry::zookeeper::run(settings, inputs, outputs, stop).await;
            });
        }
    }
}

/// A v1 path is made of a place, so reading v1 has to wait until the places are known. `None`: the
/// agent stops before that.
async fn known_places(
    mut soa: watch::Receiver<Arc<Soa>>,
    read: Source,
    stop: &CancellationToken,
) -> Option<Vec<Place>> {
    if !read.needs_places() {
        return Some(Vec::new());
    }
    tokio::select! {
        () = stop.cancelled() => None,
        known = soa.wait_for(|soa| !soa.places.is_empty()) => Some(known.ok()?.places.clone()),
    }
}

fn catalog_settings(config: &Config) -> synapse::keeper::Settings {
    // The embedded registry is as old as this process: what was believed before tells nothing.
    let remembers = config.registry.kind != RegistryKind::Embedded;
    synapse::keeper::Settings {
        reading: Reading { source: config.registry.read, weights: config.use_nerve_weights },
        guard: config.guard,
        memory: remembers.then(|| config.state_dir.join("catalog.json")),
    }
}

fn open_haproxy(
    config: &Config,
    catalog: watch::Receiver<Option<Arc<Catalog>>>,
    status: watch::Sender<Arc<haproxy::Status>>,
    tasks: &mut Supervisor,
) {
    if config.manage_haproxy {
        let settings = config.haproxy.clone();
        tasks.spawn("haproxy process", |stop| haproxy::process::run(settings, stop));
    }
    let settings = config.haproxy.clone();
    tasks.spawn("haproxy", |stop| haproxy::run(settings, catalog, status, stop));
}
