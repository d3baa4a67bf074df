//! Decides registrations anew whenever containers, local processes or soa-configs change.

use std::{sync::Arc, time::Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{
    containers::Containers,
    local_tasks::LocalTasks,
    mesos::Mesos,
    nerve_conf::NerveConf,
    registrations::{HostIdentity, Registrations, registrations},
};
use crate::{soa::Soa, tally::Tally};

/// What registrations are decided from.
#[derive(Clone, Debug)]
pub struct Inputs {
    pub soa: watch::Receiver<Arc<Soa>>,
    pub containers: watch::Receiver<Arc<Containers>>,
    /// What the Mesos agent says of containers.
    pub mesos: watch::Receiver<Arc<Mesos>>,
    pub local: watch::Receiver<Arc<LocalTasks>>,
    /// Services that puppet put here.
    pub puppet: watch::Receiver<Arc<LocalTasks>>,
    pub nerve_conf: watch::Receiver<Arc<NerveConf>>,
    /// Why the whole host is on its way out.
    pub host_leaves: watch::Receiver<Option<Arc<str>>>,
}

/// Publishes the registrations of this host until `stop`.
pub async fn run(
    host: Arc<HostIdentity>,
    mut inputs: Inputs,
    tally: Tally,
    current: watch::Sender<Arc<Registrations>>,
    stop: CancellationToken,
) {
    // Before soa-configs have been looked at, every task would be refused for want of a namespace.
    tokio::select! {
        () = stop.cancelled() => return,
        looked = inputs.soa.wait_for(|soa| soa.tried) => if looked.is_err() { return },
    }
    loop {
        let begun = Instant::now();
        let decided = {
            let soa = inputs.soa.borrow_and_update();
            let mesos = inputs.mesos.borrow_and_update();
            let containers = inputs.containers.borrow_and_update();
            let containers = mesos.name(&containers);
            let local = inputs.local.borrow_and_update().and(&inputs.puppet.borrow_and_update());
            let host_leaves = inputs.host_leaves.borrow_and_update().clone();
            let conf = inputs.nerve_conf.borrow_and_update();
            registrations(&containers, &local, &soa, &host)
                .with_nerve_conf(&conf, &host.name)
                .leaving(host_leaves)
        };
        tally.decided(begun.elapsed());
        current.send_if_modified(|before| {
            if **before == decided {
                return false;
            }
            for refusal in decided.refused.iter().filter(|r| !before.refused.contains(r)) {
                warn!(task = refusal.title, reason = refusal.reason, "not registered");
            }
            *before = Arc::new(decided);
            true
        });
        tokio::select! {
            () = stop.cancelled() => return,
            changed = inputs.soa.changed() => if changed.is_err() { return },
            changed = inputs.containers.changed() => if changed.is_err() { return },
            changed = inputs.local.changed() => if changed.is_err() { return },
            changed = inputs.mesos.changed() => if changed.is_err() { return },
            changed = inputs.puppet.changed() => if changed.is_err() { return },
            changed = inputs.nerve_conf.changed() => if changed.is_err() { return },
            changed = inputs.host_leaves.changed() => if changed.is_err() { return },
        }
    }
}
