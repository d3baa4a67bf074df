//! Talks to systemd: ready, watchdog, stopping. Without systemd nothing happens.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time;
use tracing::{debug, info};

use crate::{api::View, nerve::containers::Link, supervisor::Supervisor};

/// A host without Docker, ZooKeeper or soa-configs is ready all the same: its rooms have tried.
const PATIENCE: Duration = Duration::from_secs(20);
const PULSE: Duration = Duration::from_secs(2);

/// Says "ready" after the first complete pass and feeds the watchdog from then on.
///
/// The watchdog is fed by a task like every other: a runtime whose workers hang does not get to it. A
/// room that ends stops the whole process (see [`Supervisor`]).
pub(super) fn start(view: &View, supervisor: &mut Supervisor) {
    let view = view.clone();
    supervisor.spawn("service manager", |stop| async move {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = time::timeout(PATIENCE, first_pass(view.clone())) => {}
        }
        tell(&[NotifyState::Ready]);
        info!("ready");
        let pulse = sd_notify::watchdog_enabled().map_or(PULSE, |limit| (limit / 3).min(PULSE));
        loop {
            let status = status(&view);
            tell(&[NotifyState::Watchdog, NotifyState::Status(&status)]);
            tokio::select! {
                () = stop.cancelled() => return,
                () = time::sleep(pulse) => {}
            }
        }
    });
}

pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

async fn first_pass(mut view: View) {
    let _ = view.soa.wait_for(|soa| soa.tried).await;
    let _ = view.containers.wait_for(|containers| containers.link != Link::Connecting).await;
    if view.soa.borrow().read {
        let _ = view.haproxy.wait_for(|status| status.fingerprint_wanted.is_some()).await;
    }
}

fn status(view: &View) -> String {
    let records = view.published.borrow().records.len();
    let registrations = view.registrations.borrow().wanted.len();
    let haproxy = if view.haproxy.borrow().reachable { "reachable" } else { "not reachable" };
    format!("{registrations} registrations, {records} records, HAProxy {haproxy}")
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        debug!(%error, "the service manager does not listen");
    }
}
