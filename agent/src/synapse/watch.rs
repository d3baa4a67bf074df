//! Which namespaces this host wants to know about.

use std::{collections::BTreeSet, sync::Arc};

use soa_configs::Namespace;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{snapshot::renew, soa::Soa};

/// Publishes every namespace that soa-configs give a `proxy_port` (null included), until `stop`.
pub async fn run(
    mut soa: watch::Receiver<Arc<Soa>>,
    wanted: watch::Sender<Arc<BTreeSet<Namespace>>>,
    stop: CancellationToken,
) {
    loop {
        let names: BTreeSet<_> =
            soa.borrow_and_update().configs.namespaces.keys().cloned().collect();
        renew(&wanted, names);
        tokio::select! {
            () = stop.cancelled() => return,
            changed = soa.changed() => if changed.is_err() { return },
        }
    }
}
