//! Starts the wings and the interfaces, and owns shutdown, readiness and the watchdog.

mod files;
mod heartbeat;
mod interfaces;
mod rooms;
mod service_manager;
mod sources;

use std::{sync::Arc, time::Duration};

use hacheck::server::Inherited;
use tracing::{info, warn};

use crate::{
    api::View,
    config::Config,
    supervisor::{Exit, Signals, Supervisor},
};

/// Time for all tasks to wind down: a reload under way is proven or undone first, which takes up to
/// twice its deadline. systemd's own limit is above it.
const GRACE: Duration = Duration::from_secs(25);

/// Runs the daemon until it is asked to stop or a task ends.
///
/// `inherited` are listening sockets that the process was started with; hacheck's port is taken from
/// them if it is there. `ready` is called once with a view of all rooms, when the listeners are bound.
///
/// # Errors
/// When a listener cannot be bound or a directory cannot be used: the sentence names which.
pub async fn run(
    config: Config,
    inherited: Inherited,
    mut signals: Signals,
    ready: impl FnOnce(View) + Send,
) -> anyhow::Result<Exit> {
    let config = Arc::new(config);
    for assumption in &config.assumptions {
        info!(assumption, "assumed");
    }
    let mut supervisor = Supervisor::default();
    let view = tokio::select! {
        view = rooms::open(&config, inherited, &mut supervisor) => view?,
        () = signals.asked() => return Ok(Exit::Asked),
    };
    service_manager::start(&view, &mut supervisor);
    ready(view);
    let exit = supervisor.run(signals, GRACE, service_manager::stopping).await;
    if let Exit::TaskEnded(name) = &exit {
        warn!(task = name, "a task that should run for ever has ended");
    }
    Ok(exit)
}
