//! Where records live: one interface, two implementations.
//!
//! A registry is a pair of conversations. Inward, the nerve wing says which records this host wants
//! ([`Wanted`]) and learns what became of them ([`Published`]). Outward, the synapse wing says which
//! namespaces it wants to know about and gets their records as last read ([`Observed`]).
//! Both ends are snapshots on `tokio::sync::watch`, so nothing stale is ever queued.

pub mod embedded;
pub mod ensemble;
pub mod layout;
pub mod record;
pub mod zookeeper;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
    sync::Arc,
    time::SystemTime,
};

use soa_configs::Namespace;
use tokio::sync::{mpsc, watch};

pub use ensemble::Ensemble;
pub use layout::{Layout, ParentPath, Source};
pub use record::Record;

/// One running container (its full id), or one configured local process (`local:NAME`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub Arc<str>);

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One record of this host: a task under one parent of one registry. A record belongs to one task for
/// its whole life.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey {
    pub ensemble: Ensemble,
    pub parent: ParentPath,
    pub task: TaskId,
}

/// The records this host wants, from the nerve wing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// False until containers and soa-configs have been read once: until then nothing left over from
    /// an earlier life of this host may be removed.
    pub complete: bool,
    pub records: BTreeMap<RecordKey, Record>,
    /// Registrations whose health is not known yet. A record that an earlier life of this host left
    /// in the same spot stays until the verdict is in.
    pub undecided: BTreeSet<Spot>,
}

/// Where a record stands and which server it names, whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spot {
    pub ensemble: Ensemble,
    pub parent: ParentPath,
    pub host: IpAddr,
    pub port: u16,
}

impl Spot {
    /// The spot of a record of ours.
    #[must_use]
    pub fn of(key: &RecordKey, record: &Record) -> Self {
        let RecordKey { ensemble, parent, .. } = key.clone();
        Self { ensemble, parent, host: record.host, port: record.port }
    }
}

/// What became of the wanted records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Whether the registry of this host answers: the one that it also reads.
    pub connected: bool,
    /// The further ensembles that hold or are to hold records of this host, and whether each answers.
    pub further: BTreeMap<Ensemble, bool>,
    /// The path of the znode of each record that is in the registry. A record that is no longer
    /// wanted stays here until its znode is known to be gone.
    pub records: BTreeMap<RecordKey, String>,
    /// Why a record is not there yet.
    pub failures: BTreeMap<RecordKey, String>,
}

impl Published {
    /// Whether one of these records is in the registry.
    #[must_use]
    pub fn has_any_of<'a>(&self, mut keys: impl Iterator<Item = &'a RecordKey>) -> bool {
        keys.any(|key| self.records.contains_key(key))
    }
}

/// All watched namespaces as last read.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    pub connected: bool,
    /// A namespace is missing until it has been read once.
    pub namespaces: BTreeMap<Namespace, Arc<Listing>>,
}

/// The records of one namespace, as of one complete read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Ordered by the path of the znode. Shared with the catalog.
    pub records: Arc<Vec<SeenRecord>>,
    /// Children that could not be understood: path of the znode and reason.
    pub refused: Vec<(String, String)>,
    /// Grows with every read of this namespace, also when nothing changed; tells a confirming read
    /// from the first one.
    pub generation: u64,
    /// The session in which it was read; 0: none is known, it comes from the disk or from memory.
    pub session: i64,
    pub read_at: SystemTime,
}

/// A record and the path of the znode it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenRecord {
    pub znode: String,
    /// Shared with every reading that found the same.
    pub record: Arc<Record>,
}

impl SeenRecord {
    #[must_use]
    pub fn new(znode: String, record: Record) -> Self {
        Self { znode, record: Arc::new(record) }
    }
}

/// What a registry implementation is given.
#[derive(Debug)]
pub struct Inputs {
    pub wanted: watch::Receiver<Arc<Wanted>>,
    pub namespaces: watch::Receiver<Arc<BTreeSet<Namespace>>>,
    /// Namespaces to be read again now, whatever the watches say (the guard's second look).
    pub reread: mpsc::Receiver<Namespace>,
}

/// What a registry implementation gives.
#[derive(Debug)]
pub struct Outputs {
    pub published: watch::Sender<Arc<Published>>,
    pub observed: watch::Sender<Arc<Observed>>,
}
