//! nerve's own names, for dashboards that know them (nerve.md §1.5). A "watcher" is a registration.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge, info::Info},
    registry::Registry,
};

use super::{super::View, gauge};
use crate::nerve::health::State;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByCluster {
    zk_cluster: String,
}

/// Adds them to a registry whose prefix is `nerve`.
pub(super) fn register(view: &View, nerve: &mut Registry) {
    let (registrations, health) = (view.registrations.borrow(), view.health.borrow());
    let up = health.values().filter(|health| health.state == State::Up).count();
    let unknown = health.values().filter(|health| health.state == State::Unknown).count();
    gauge(nerve, "watchers_desired", "Registrations of this host", registrations.wanted.len());
    gauge(nerve, "watchers_running", "Registrations that are checked", health.len());
    gauge(nerve, "watchers_up", "Registrations that are healthy", up);
    gauge(nerve, "watchers_down", "Registrations that are not", health.len() - up - unknown);
    let published = view.published.borrow();
    let ours = (&view.host.ensemble, &published.connected);
    let (connected, pool) =
        (Family::<ByCluster, Gauge>::default(), Family::<ByCluster, Gauge>::default());
    for (ensemble, is_connected) in std::iter::once(ours).chain(&published.further) {
        let cluster = ByCluster { zk_cluster: ensemble.cluster() };
        connected.get_or_create(&cluster).set((*is_connected).into());
        pool.get_or_create(&cluster).inc();
    }
    nerve.register("zk_connected", "1: the ensemble answers", connected);
    nerve.register("zk_pool_size", "Ensembles in which records of this host stand", pool);
    nerve.register("build", "Version", Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]));
    view.tally.register(nerve);
}
