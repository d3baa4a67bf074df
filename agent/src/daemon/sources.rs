//! Starts the rooms that know what runs on this host, and the one that decides what to register of it.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::rooms::Slot;
use crate::{
    api::View,
    config::Config,
    nerve::{
        self,
        containers::{Container, Containers},
        local_tasks::LocalTasks,
        mesos::Mesos,
        nerve_conf::NerveConf,
        registrations::{HostIdentity, Registrations},
    },
    oom,
    supervisor::Supervisor,
};

/// Follows them, and decides registrations from what they say.
pub(super) fn follow(
    config: &Config,
    host: &Arc<HostIdentity>,
    view: &View,
    containers: Slot<Arc<Containers>>,
    registrations: watch::Sender<Arc<Registrations>>,
    tasks: &mut Supervisor,
) {
    let local = Slot::new();
    let path = config.local_tasks.clone();
    let sender = local.sender;
    tasks.spawn("local tasks", |stop| {
        nerve::written_file::follow(path, nerve::local_tasks::parse, sender, stop)
    });
    let inputs = nerve::registrar::Inputs {
        soa: view.soa.clone(),
        containers: containers.receiver,
        local: local.receiver,
        mesos: follow_mesos(config, view, tasks),
        puppet: follow_puppet(config, tasks),
        nerve_conf: follow_nerve_conf(config, tasks),
        host_leaves: view.host_leave.subscribe(),
    };
    let host = Arc::clone(host);
    let tally = view.tally.clone();
    tasks.spawn("registrations", |stop| {
        nerve::registrar::run(host, inputs, tally, registrations, stop)
    });
    let sender = containers.sender;
    if !config.docker.enabled {
        sender.send_replace(Arc::new(Containers::off()));
        idle("docker", sender, tasks);
        return;
    }
    let (killed, kills) = mpsc::channel(oom::WAITING);
    follow_kills(config, view, kills, tasks);
    let settings = nerve::docker::Settings {
        socket: config.docker.socket.clone(),
        resync: config.docker.resync,
        stop_grace: config.docker.stop_grace,
        memory: Some(config.state_dir.join("leaving.json")),
    };
    tasks.spawn("docker", |stop| nerve::docker::follow(settings, sender, killed, stop));
}

/// Unless nobody is to be told; then nobody listens.
fn follow_kills(
    config: &Config,
    view: &View,
    killed: mpsc::Receiver<Arc<Container>>,
    tasks: &mut Supervisor,
) {
    let Some(settings) = config.oom_events.clone() else { return };
    let inputs = oom::Inputs {
        soa_dir: config.soa_dir.clone(),
        paasta_dir: config.paasta_dir.clone(),
        host: config.host.name.clone(),
        memory: config.state_dir.join("oom.json"),
        soa: view.soa.clone(),
        killed,
        count: view.oom_kills.clone(),
    };
    tasks.spawn("oom events", |stop| oom::run(settings, inputs, stop));
}

/// In the place of a room that this host does not need: what it would say stands until the stop.
pub(super) fn idle<T>(name: &'static str, sender: watch::Sender<T>, tasks: &mut Supervisor)
where
    T: Send + Sync + 'static,
{
    tasks.spawn(name, |stop| async move {
        stop.cancelled().await;
        drop(sender);
    });
}

fn follow_mesos(
    config: &Config,
    view: &View,
    tasks: &mut Supervisor,
) -> watch::Receiver<Arc<Mesos>> {
    let Slot { sender, receiver } = Slot::new();
    let containers = view.containers.clone();
    match config.mesos.clone() {
        Some(settings) => {
            tasks.spawn("mesos", |stop| nerve::mesos::follow(settings, containers, sender, stop))
        }
        None => idle("mesos", sender, tasks),
    }
    receiver
}

fn follow_puppet(config: &Config, tasks: &mut Supervisor) -> watch::Receiver<Arc<LocalTasks>> {
    let Slot { sender, receiver } = Slot::new();
    let (directory, soa_dir) = (config.puppet_services_dir.clone(), config.soa_dir.clone());
    tasks.spawn("puppet services", |stop| {
        nerve::puppet_services::follow(directory, soa_dir, sender, stop)
    });
    receiver
}

/// Without a file it is known that it says nothing.
fn follow_nerve_conf(config: &Config, tasks: &mut Supervisor) -> watch::Receiver<Arc<NerveConf>> {
    let (sender, receiver) = watch::channel(Arc::new(NerveConf::nothing()));
    match config.nerve_conf.clone() {
        Some(path) => {
            sender.send_replace(Arc::default());
            let (name, port) = (config.host.name.clone(), config.hacheck.listen.port());
            let parse = move |text: &str| nerve::nerve_conf::parse(text, &name, port);
            tasks
                .spawn("nerve.conf", |stop| nerve::written_file::follow(path, parse, sender, stop));
        }
        None => idle("nerve.conf", sender, tasks),
    }
    receiver
}
