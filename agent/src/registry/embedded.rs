//! The registry in memory, for one host: no server, no files.
//!
//! What is wanted is there at once, under znode names such as ZooKeeper would give.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::SystemTime,
};

use soa_configs::{Namespace, Place};
use tokio_util::sync::CancellationToken;

use super::{
    Ensemble, Inputs, Listing, Observed, Outputs, ParentPath, Published, Record, RecordKey,
    SeenRecord, Source, Wanted, layout::child_prefix,
};

/// How the host's only registry is laid out.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The first part of the znode names.
    pub instance_id: String,
    /// Where records are read. Default: v2.
    pub read: Source,
    /// The places to read, for v1. Default: none.
    pub read_places: Vec<Place>,
}

impl Settings {
    /// Defaults for everything but the name of the host.
    #[must_use]
    pub fn new(instance_id: String) -> Self {
        Self { instance_id, read: Source::V2, read_places: Vec::new() }
    }
}

/// Makes what is wanted seen, until `stop`.
pub async fn run(
    settings: Settings,
    mut inputs: Inputs,
    outputs: Outputs,
    stop: CancellationToken,
) {
    let mut memory = Memory::new(settings);
    let (mut wishes, mut watched, mut asks) = (true, true, true);
    loop {
        let wanted = Arc::clone(&inputs.wanted.borrow_and_update());
        let namespaces = Arc::clone(&inputs.namespaces.borrow_and_update());
        memory.store(&wanted);
        outputs.published.send_replace(Arc::new(memory.published()));
        outputs.observed.send_replace(Arc::new(memory.observe(&namespaces, &wanted)));
        // Every arm is cancel-safe; a sender that is gone is not asked again.
        tokio::select! {
            () = stop.cancelled() => return,
            changed = inputs.wanted.changed(), if wishes => wishes = changed.is_ok(),
            changed = inputs.namespaces.changed(), if watched => watched = changed.is_ok(),
            namespace = inputs.reread.recv(), if asks => match namespace {
                Some(namespace) => {
                    memory.asked.insert(namespace);
                }
                None => asks = false,
            },
        }
    }
}

struct Stored {
    path: String,
    record: Record,
}

struct Memory {
    settings: Settings,
    stored: BTreeMap<RecordKey, Stored>,
    failures: BTreeMap<RecordKey, String>,
    counters: BTreeMap<ParentPath, u32>,
    listings: BTreeMap<Namespace, Arc<Listing>>,
    /// Namespaces to be read again though nothing has changed.
    asked: BTreeSet<Namespace>,
}

impl Memory {
    fn new(settings: Settings) -> Self {
        Self {
            settings,
            stored: BTreeMap::new(),
            failures: BTreeMap::new(),
            counters: BTreeMap::new(),
            listings: BTreeMap::new(),
            asked: BTreeSet::new(),
        }
    }

    /// A new or changed record gets a new znode, as in ZooKeeper.
    fn store(&mut self, wanted: &Wanted) {
        self.stored.retain(|key, stored| wanted.records.get(key) == Some(&stored.record));
        self.failures.clear();
        for (key, record) in &wanted.records {
            if key.ensemble != Ensemble::memory() {
                let reason = format!("registry.kind is embedded: {} is not used", key.ensemble);
                self.failures.insert(key.clone(), reason);
                continue;
            }
            if !self.stored.contains_key(key) {
                let counter = self.counters.entry(key.parent.clone()).or_default();
                let name = format!("{}{counter:010}", child_prefix(&self.settings.instance_id));
                *counter = counter.wrapping_add(1);
                let stored = Stored { path: key.parent.child(&name), record: record.clone() };
                self.stored.insert(key.clone(), stored);
            }
        }
    }

    fn published(&self) -> Published {
        let path = |(key, stored): (&RecordKey, &Stored)| (key.clone(), stored.path.clone());
        let records = self.stored.iter().map(path).collect();
        let failures = self.failures.clone();
        Published { connected: true, records, failures, ..Published::default() }
    }

    /// After a start a namespace counts as read only when the health of all its tasks is known:
    /// what an earlier life of this host had registered must not look lost for that moment.
    fn observe(&mut self, namespaces: &BTreeSet<Namespace>, wanted: &Wanted) -> Observed {
        self.listings.retain(|namespace, _| namespaces.contains(namespace));
        for namespace in namespaces {
            let parents = self.settings.read.parents(namespace, &self.settings.read_places);
            let undecided = wanted.undecided.iter().any(|spot| parents.contains(&spot.parent));
            if !self.listings.contains_key(namespace) && (undecided || !wanted.complete) {
                continue;
            }
            let records = self.read(namespace);
            let last = self.listings.get(namespace);
            let asked = self.asked.remove(namespace);
            if asked || last.is_none_or(|last| *last.records != records) {
                let generation = last.map_or(0, |last| last.generation) + 1;
                let read_at = SystemTime::now();
                let listing = Listing {
                    records: Arc::new(records),
                    refused: Vec::new(),
                    generation,
                    session: 0,
                    read_at,
                };
                self.listings.insert(namespace.clone(), Arc::new(listing));
            }
        }
        self.asked.clear();
        Observed { connected: true, namespaces: self.listings.clone() }
    }

    fn read(&self, namespace: &Namespace) -> Vec<SeenRecord> {
        let parents = self.settings.read.parents(namespace, &self.settings.read_places);
        let here = self.stored.iter().filter(|(key, _)| parents.contains(&key.parent));
        let seen = |(_, stored): (&RecordKey, &Stored)| {
            SeenRecord::new(stored.path.clone(), stored.record.clone())
        };
        let mut records: Vec<SeenRecord> = here.map(seen).collect();
        records.sort_by(|a, b| a.znode.cmp(&b.znode));
        records
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::{mpsc, watch};

    use super::*;
    use crate::registry::TaskId;

    fn wanted(port: u16) -> Arc<Wanted> {
        let parent = "/smartstack/global/web.main".parse().unwrap();
        let key = RecordKey { ensemble: Ensemble::memory(), parent, task: TaskId("t".into()) };
        let record = Record {
            host: "10.0.0.1".parse().unwrap(),
            port,
            name: "host1".to_owned(),
            weight: None,
            haproxy_server_options: None,
            labels: None,
        };
        Arc::new(Wanted { complete: true, records: [(key, record)].into(), ..Wanted::default() })
    }

    #[tokio::test]
    async fn what_is_wanted_is_seen_at_once_and_gone_at_once() {
        let web: Namespace = "web.main".parse().unwrap();
        let (wish, wish_rx) = watch::channel(wanted(1));
        let (_names, names_rx) = watch::channel(Arc::new(BTreeSet::from([web.clone()])));
        let (ask, ask_rx) = mpsc::channel(1);
        let (published, mut published_rx) = watch::channel(Arc::default());
        let (observed, mut seen) = watch::channel(Arc::default());
        let inputs = Inputs { wanted: wish_rx, namespaces: names_rx, reread: ask_rx };
        let stop = CancellationToken::new();
        let outputs = Outputs { published, observed };
        let running =
            tokio::spawn(run(Settings::new("host1".to_owned()), inputs, outputs, stop.clone()));

        let ports = |now: &Arc<Observed>| -> Vec<(String, u16)> {
            let listing = now.namespaces.get("web.main".parse::<Namespace>().as_ref().unwrap());
            let pair = |seen: &SeenRecord| (seen.znode.clone(), seen.record.port);
            listing.map_or(Vec::new(), |l| l.records.iter().map(pair).collect())
        };
        let znode = |counter| format!("/smartstack/global/web.main/host1_{counter:010}");
        seen.wait_for(|now| ports(now) == [(znode(0), 1)]).await.unwrap();
        let first = published_rx.wait_for(|now| now.connected).await.unwrap().clone();
        assert_eq!(first.records.values().collect::<Vec<_>>(), [&znode(0)]);

        wish.send_replace(wanted(2));
        let changed = seen.wait_for(|now| ports(now) == [(znode(1), 2)]).await.unwrap().clone();
        let generation = changed.namespaces[&web].generation;
        ask.send(web.clone()).await.unwrap();
        seen.wait_for(|now| now.namespaces[&web].generation > generation).await.unwrap();

        let mut elsewhere = Wanted::clone(&wanted(3));
        let (mut key, record) = elsewhere.records.pop_first().unwrap();
        key.ensemble = "zk1".parse().unwrap();
        elsewhere.records.insert(key.clone(), record);
        wish.send_replace(Arc::new(elsewhere));
        seen.wait_for(|now| ports(now).is_empty()).await.unwrap();
        let published =
            published_rx.wait_for(|now| !now.failures.is_empty()).await.unwrap().clone();
        assert!(published.failures[&key].contains("zk1:2181"), "{published:?}");
        stop.cancel();
        running.await.unwrap();
    }
}
