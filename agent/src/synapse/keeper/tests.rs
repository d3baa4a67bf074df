use std::{fs::OpenOptions, os::unix::fs::OpenOptionsExt};

use nix::{fcntl::OFlag, sys::stat::Mode, unistd::mkfifo};
use soa_configs::smartstack;
use tokio::task::JoinHandle;

use super::*;
use crate::registry::SeenRecord;
use crate::registry::Source;

/// A catalog that is kept, and both ends of its channels.
struct Kept {
    observed: watch::Sender<Arc<Observed>>,
    catalog: watch::Receiver<Option<Arc<Catalog>>>,
    stop: CancellationToken,
    running: JoinHandle<()>,
    _others: (watch::Sender<Arc<Soa>>, watch::Sender<Arc<Away>>, mpsc::Receiver<Namespace>),
}

fn soa() -> Soa {
    let text = "main: {proxy_port: 1}";
    let parsed = smartstack::parse("web", std::path::Path::new("test.yaml"), text).unwrap();
    Soa {
        tried: true,
        read: true,
        configs: Arc::new(soa_configs::Snapshot {
            namespaces: parsed.namespaces,
            ..Default::default()
        }),
        places: vec!["region:here".parse().unwrap()],
        register_marathon_services: true,
        ..Soa::default()
    }
}

fn keep(memory: PathBuf) -> Kept {
    let (soa, soa_seen) = watch::channel(Arc::new(soa()));
    let (observed, observed_seen) = watch::channel(Arc::default());
    let (away, away_seen) = watch::channel(Arc::default());
    let (catalog, catalog_seen) = watch::channel(None);
    let (doubted, _) = watch::channel(Arc::default());
    let (reread, rereads) = mpsc::channel(1);
    let settings = Settings {
        reading: Reading { source: Source::V2, weights: false },
        guard: Policy::default(),
        memory: Some(memory),
    };
    let inputs = Inputs { soa: soa_seen, observed: observed_seen, away: away_seen };
    let stop = CancellationToken::new();
    let outputs = Outputs { catalog, doubted, reread };
    let running = tokio::spawn(run(settings, inputs, outputs, stop.clone()));
    Kept { observed, catalog: catalog_seen, stop, running, _others: (soa, away, rereads) }
}

impl Kept {
    /// Shows one server on `port` and waits until the catalog has it.
    async fn follows(&mut self, port: u16) {
        let payload =
            format!(r#"{{"host":"10.0.0.1","port":{port},"labels":{{"region:here":""}}}}"#);
        let record = Record::decode(payload.as_bytes()).unwrap();
        let seen = SeenRecord::new(format!("h_{port:010}"), record);
        let listing = Listing {
            records: Arc::new(vec![seen]),
            refused: Vec::new(),
            generation: port.into(),
            session: 0,
            read_at: SystemTime::UNIX_EPOCH,
        };
        let namespaces = BTreeMap::from([("web.main".parse().unwrap(), Arc::new(listing))]);
        self.observed.send_replace(Arc::new(Observed { connected: true, namespaces }));
        let has = |catalog: &Option<Arc<Catalog>>| {
            let mut pools = catalog.iter().flat_map(|catalog| catalog.pools.values());
            pools.any(|pool| pool.servers().iter().any(|server| server.address.port() == port))
        };
        let waiting = time::timeout(Duration::from_secs(10), self.catalog.wait_for(has));
        assert!(waiting.await.is_ok_and(|catalog| catalog.is_ok()), "port {port} is missing");
    }
}

/// A file whose writer hangs until this is dropped.
struct Hanging(PathBuf);

impl Drop for Hanging {
    fn drop(&mut self) {
        let mut reader = OpenOptions::new();
        reader.read(true).custom_flags(OFlag::O_NONBLOCK.bits());
        let _opened = reader.open(&self.0);
    }
}

#[tokio::test]
async fn a_disk_that_hangs_delays_no_change_of_the_catalog() {
    let dir = tempfile::tempdir().unwrap();
    let hanging = Hanging(dir.path().join(".catalog.json.tmp"));
    mkfifo(&hanging.0, Mode::S_IRWXU).unwrap();
    let mut kept = keep(dir.path().join("catalog.json"));
    let until = Instant::now() + 3 * SAVE_AT_MOST_EVERY;
    let mut pace = time::interval(Duration::from_millis(10));
    for port in 1.. {
        if pace.tick().await > until {
            break;
        }
        kept.follows(port).await;
    }
}

#[tokio::test]
async fn what_is_believed_is_on_disk_after_a_stop() {
    let dir = tempfile::tempdir().unwrap();
    let memory = dir.path().join("catalog.json");
    let mut kept = keep(memory.clone());
    kept.follows(8080).await;
    kept.stop.cancel();
    kept.running.await.unwrap();
    let (listings, _) = memory::load(&memory, Source::V2, SystemTime::now()).unwrap();
    assert_eq!(listings.values().next().unwrap().records[0].record.port, 8080);
}
