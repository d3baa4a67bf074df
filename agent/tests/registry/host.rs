//! One host of the fleet, as far as the registry can tell.

use std::{collections::BTreeSet, fmt::Debug, future::Future, sync::Arc, time::Duration};

use agent::registry::{
    Ensemble, Inputs, Observed, Outputs, ParentPath, Published, Record, RecordKey, TaskId, Wanted,
    zookeeper::{self, Settings},
};
use end_to_end::ZooKeeper;
use soa_configs::Namespace;
use tempfile::TempDir;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time,
};
use tokio_util::sync::CancellationToken;
use zookeeper_client::{Acls, Client, CreateMode};

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const WEB: &str = "/smartstack/global/web.main";

pub(crate) struct Host {
    pub(crate) wanted: watch::Sender<Arc<Wanted>>,
    pub(crate) namespaces: watch::Sender<Arc<BTreeSet<Namespace>>>,
    pub(crate) reread: mpsc::Sender<Namespace>,
    pub(crate) published: watch::Receiver<Arc<Published>>,
    pub(crate) observed: watch::Receiver<Arc<Observed>>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Host {
    pub(crate) fn start(settings: Settings) -> Self {
        let (wanted, wanted_rx) = watch::channel(Arc::default());
        let (namespaces, namespaces_rx) = watch::channel(Arc::default());
        let (reread, reread_rx) = mpsc::channel(8);
        let (published, published_rx) = watch::channel(Arc::default());
        let (observed, observed_rx) = watch::channel(Arc::default());
        let stop = CancellationToken::new();
        let inputs = Inputs { wanted: wanted_rx, namespaces: namespaces_rx, reread: reread_rx };
        let outputs = Outputs { published, observed };
        let running = tokio::spawn(zookeeper::run(settings, inputs, outputs, stop.clone()));
        let (published, observed) = (published_rx, observed_rx);
        Self { wanted, namespaces, reread, published, observed, stop, running }
    }

    pub(crate) fn want(&self, records: &[(RecordKey, Record)]) {
        let records = records.iter().cloned().collect();
        self.wanted.send_replace(Arc::new(Wanted { complete: true, records, ..Wanted::default() }));
    }

    pub(crate) fn watch(&self, names: &[&str]) {
        let names = names.iter().map(|name| namespace(name)).collect();
        self.namespaces.send_replace(Arc::new(names));
    }

    pub(crate) async fn published(
        &mut self,
        what: impl FnMut(&Arc<Published>) -> bool,
    ) -> Arc<Published> {
        until(&mut self.published, what).await
    }

    pub(crate) async fn observed(
        &mut self,
        what: impl FnMut(&Arc<Observed>) -> bool,
    ) -> Arc<Observed> {
        until(&mut self.observed, what).await
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        time::timeout(PATIENCE, self.running).await.expect("it stops in time").unwrap();
    }
}

async fn until<T: Clone + Debug>(
    receiver: &mut watch::Receiver<T>,
    what: impl FnMut(&T) -> bool,
) -> T {
    let met = time::timeout(PATIENCE, receiver.wait_for(what)).await;
    if let Ok(value) = met {
        return value.expect("the registry runs").clone();
    }
    drop(met);
    panic!("still {:#?}", *receiver.borrow());
}

/// Asks again and again until the answer is yes.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let waiting = async {
        while !holds().await {
            time::sleep(Duration::from_millis(10)).await;
        }
    };
    time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// A server, a host's state directory, and the settings that join them.
pub(crate) async fn fleet() -> (ZooKeeper, TempDir, Settings) {
    let server = ZooKeeper::start().await.expect("zookeeper is installed and starts");
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings {
        session_timeout: Duration::from_secs(20),
        verify_every: Duration::from_secs(1),
        hosts: server.hosts(),
        ..Settings::new(here(), "host1".to_owned(), dir.path().to_owned())
    };
    (server, dir, settings)
}

/// The registry of the host, by whatever address it is reached.
pub(crate) fn here() -> Ensemble {
    "here:1".parse().unwrap()
}

pub(crate) fn namespace(name: &str) -> Namespace {
    name.parse().unwrap()
}

pub(crate) fn record(port: u16) -> Record {
    Record {
        host: "10.0.0.1".parse().unwrap(),
        port,
        name: "host1".to_owned(),
        weight: Some(10),
        haproxy_server_options: None,
        labels: None,
    }
}

/// A record for the task on `port`.
pub(crate) fn wish(parent: &str, port: u16) -> (RecordKey, Record) {
    let parent: ParentPath = parent.parse().unwrap();
    let task = TaskId(format!("task{port}").into());
    (RecordKey { ensemble: here(), parent, task }, record(port))
}

/// Writes as another program would.
pub(crate) async fn put(client: &Client, parent: &str, child: &str, payload: &str) -> String {
    let open = CreateMode::Persistent.with_acls(Acls::anyone_all());
    client.mkdir(parent, &open).await.unwrap();
    let ephemeral = CreateMode::EphemeralSequential.with_acls(Acls::anyone_all());
    let path = format!("{parent}/{child}_");
    let (_, counter) = client.create(&path, payload.as_bytes(), &ephemeral).await.unwrap();
    format!("{path}{counter}")
}

/// The children of a parent, in order; none if it is missing.
pub(crate) async fn children(client: &Client, parent: &str) -> Vec<String> {
    let mut children = client.list_children(parent).await.unwrap_or_default();
    children.sort();
    children
}

/// Looks at the parent without a pause until told to stop; the fewest children it has seen.
pub(crate) async fn fewest_children(client: Client, stop: CancellationToken) -> usize {
    let mut fewest = usize::MAX;
    while !stop.is_cancelled() {
        fewest = fewest.min(client.list_children(WEB).await.unwrap().len());
    }
    fewest
}

/// The ports that a host sees in a namespace; `None` before the first read.
pub(crate) fn ports(observed: &Observed, name: &str) -> Option<Vec<u16>> {
    let listing = observed.namespaces.get(&namespace(name))?;
    Some(listing.records.iter().map(|seen| seen.record.port).collect())
}
