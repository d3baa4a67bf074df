//! Starts the room that writes files for other programs.

use std::sync::Arc;

use tokio::sync::watch;

use super::sources::idle;
use crate::{
    api::View,
    config::Config,
    nerve::written_file::{self, Said},
    supervisor::Supervisor,
    synapse::files::{self, Trouble},
};

/// Writes what the settings ask for, from what the other rooms say.
pub(super) fn open(
    config: &Config,
    view: &View,
    troubles: watch::Sender<Arc<Vec<Trouble>>>,
    tasks: &mut Supervisor,
) {
    let settings = files::Settings {
        services_dir: config.files.services_dir.clone(),
        envoy_dir: config.files.envoy_dir.clone(),
        ip_map: config.files.ip_map.then(|| config.haproxy.map_file.clone()),
        source: config.registry.read,
        retry: files::RETRY,
    };
    let inputs = files::Inputs {
        catalog: view.catalog.clone(),
        containers: view.containers.clone(),
        migration: follow_migration(config, tasks),
    };
    tasks.spawn("files", |stop| files::run(settings, inputs, troubles, stop));
}

/// Without a file it is known that nobody else writes.
fn follow_migration(config: &Config, tasks: &mut Supervisor) -> watch::Receiver<Arc<Said<String>>> {
    let (sender, receiver) = watch::channel(Arc::new(Said::nothing()));
    match config.files.envoy_migration.clone() {
        Some(path) => {
            sender.send_replace(Arc::default());
            let parse = files::migration::parse;
            tasks.spawn("envoy migration", |stop| written_file::follow(path, parse, sender, stop));
        }
        None => idle("envoy migration", sender, tasks),
    }
    receiver
}
