//! Everything the agent knows, for those who look.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use hacheck::marks::Marks;
use prometheus_client::metrics::counter::Counter;
use soa_configs::Namespace;
use tokio::sync::watch;

use super::withdrawn::Withdrawn;
use crate::{
    nerve::{
        containers::Containers,
        health::HealthMap,
        host_leave::HostLeave,
        publish::Away,
        registrations::{HostIdentity, Registrations},
    },
    registry::{Observed, Published},
    soa::Soa,
    synapse::{catalog::Catalog, files::Trouble, haproxy},
    tally::Tally,
};

/// The newest snapshot of every room. Cheap to clone.
#[derive(Clone, Debug)]
pub struct View {
    pub host: Arc<HostIdentity>,
    /// `zookeeper` or `embedded`.
    pub registry_kind: &'static str,
    pub assumptions: Arc<[String]>,
    /// Where HAProxy's frontends listen.
    pub bind_address: IpAddr,
    pub started: Instant,
    /// soa-configs, for what is asked of them too rarely to be kept.
    pub soa_dir: Arc<Path>,
    /// How long an instance is held back after it was withdrawn (`drain.hold`).
    pub hold: Duration,
    pub soa: watch::Receiver<Arc<Soa>>,
    pub containers: watch::Receiver<Arc<Containers>>,
    pub registrations: watch::Receiver<Arc<Registrations>>,
    pub health: watch::Receiver<Arc<HealthMap>>,
    pub away: watch::Receiver<Arc<Away>>,
    pub published: watch::Receiver<Arc<Published>>,
    pub observed: watch::Receiver<Arc<Observed>>,
    pub doubted: watch::Receiver<Arc<BTreeSet<Namespace>>>,
    pub catalog: watch::Receiver<Option<Arc<Catalog>>>,
    pub haproxy: watch::Receiver<Arc<haproxy::Status>>,
    /// Files for others that are not as they should be.
    pub files: watch::Receiver<Arc<Vec<Trouble>>>,
    /// Since when instances of this host get nothing new.
    pub withdrawn: watch::Receiver<Arc<Withdrawn>>,
    pub host_leave: HostLeave,
    pub tally: Tally,
    pub marks: Marks,
    /// Marks found that are older than the container with their port.
    pub stale_marks: Counter,
    /// Processes of containers that the kernel killed for want of memory.
    pub oom_kills: Counter,
}
