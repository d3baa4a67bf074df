//! A host with a catalog of its own, and files that a room writes from it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use end_to_end::eventually;
use soa_configs::{Namespace, smartstack};
use tokio::task::JoinHandle;

use super::*;
use crate::{
    nerve::publish::Away,
    registry::{Listing, Record, SeenRecord},
    soa::Soa,
    synapse::catalog::{Reading, assemble},
};

/// Labels of the worked example (synapse.md §9): here, in another habitat, and far away.
pub(super) const HERE: &str = r#"{"region:east1-test":"","habitat:east1a-test":""}"#;
pub(super) const BESIDE: &str = r#"{"region:east1-test":"","habitat:east1b-test":""}"#;
pub(super) const FAR: &str = r#"{"region:west1-test":""}"#;

/// What is written down and what is registered.
pub(super) struct World {
    soa: Soa,
    namespaces: BTreeMap<Namespace, Arc<soa_configs::NamespaceConfig>>,
    listings: BTreeMap<Namespace, Arc<Listing>>,
    before: Option<Arc<Catalog>>,
    pub(super) away: Away,
    pub(super) weights: bool,
}

impl World {
    pub(super) fn new() -> Self {
        let places = ["ecosystem:testeco", "region:east1-test", "habitat:east1a-test"];
        let places = places.iter().map(|place| place.parse().unwrap()).collect();
        Self {
            soa: Soa { tried: true, read: true, places, ..Soa::default() },
            namespaces: BTreeMap::new(),
            listings: BTreeMap::new(),
            before: None,
            away: Away::new(),
            weights: false,
        }
    }

    /// Of the worked example, with znodes in the order in which ZooKeeper listed them.
    pub(super) fn pencil() -> Self {
        let mut world = Self::new();
        world.soa("pencil", "main: {proxy_port: 20973, advertise: [region, habitat], endpoint_timeouts: {/slow/report: 20000}}\nonly_files: {proxy_port: null}\nnothing: {mode: http}");
        world.records("pencil.main", &[
            ("web2_0000000002", &format!(r#"{{"host":"10.20.1.12","port":31001,"name":"web2","labels":{BESIDE},"haproxy_server_options":"backup"}}"#)),
            ("web9_0000000003", &format!(r#"{{"host":"10.30.1.99","port":31001,"name":"web9","labels":{FAR}}}"#)),
            ("web1_0000000001", &format!(r#"{{"host":"10.20.1.11","port":31002,"name":"web1","labels":{HERE},"weight":12}}"#)),
            ("web1_0000000000", &record(31001)),
        ]);
        world.records("pencil.only_files", &[]);
        world
    }

    pub(super) fn soa(&mut self, service: &str, text: &str) {
        self.namespaces.retain(|namespace, _| namespace.service() != service);
        let read = smartstack::parse(service, Path::new("test.yaml"), text).unwrap();
        self.namespaces.extend(read.namespaces);
        let namespaces = self.namespaces.clone();
        self.soa.configs = Arc::new(soa_configs::Snapshot { namespaces, ..Default::default() });
    }

    pub(super) fn records(&mut self, namespace: &str, children: &[(&str, &str)]) {
        let seen = |(child, payload): &(&str, &str)| {
            let znode = format!("/smartstack/global/{namespace}/{child}");
            SeenRecord::new(znode, Record::decode(payload.as_bytes()).unwrap())
        };
        let records = Arc::new(children.iter().map(seen).collect());
        let read_at = SystemTime::UNIX_EPOCH;
        let listing = Listing { records, refused: Vec::new(), generation: 1, session: 0, read_at };
        self.listings.insert(namespace.parse().unwrap(), Arc::new(listing));
    }

    pub(super) fn catalog(&mut self) -> Arc<Catalog> {
        let reading = Reading { source: Source::V2, weights: self.weights };
        let before = self.before.as_deref();
        let now = assemble(&self.soa, &self.listings, reading, &self.away, before);
        Arc::clone(self.before.insert(Arc::new(now)))
    }
}

pub(super) fn record(port: u16) -> String {
    format!(r#"{{"host":"10.20.1.11","port":{port},"name":"web1","labels":{HERE}}}"#)
}

/// The names in a directory, sorted.
pub(super) fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

pub(super) fn put(path: &Path, text: &str) {
    atomic_file::write(path, text.as_bytes()).unwrap();
}

/// A room at work.
struct Room {
    dir: tempfile::TempDir,
    catalog: watch::Sender<Option<Arc<Catalog>>>,
    containers: watch::Sender<Arc<Containers>>,
    migration: watch::Sender<Arc<Said<String>>>,
    troubles: watch::Receiver<Arc<Vec<Trouble>>>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Room {
    fn open(dir: tempfile::TempDir, migration: Said<String>) -> Self {
        let path = |name| Some(dir.path().join(name));
        let settings = Settings {
            services_dir: path("run/services"),
            envoy_dir: path("envoy"),
            ip_map: path("maps/map"),
            source: Source::V2,
            retry: Duration::from_millis(20),
        };
        let (catalog, catalogs) = watch::channel(None);
        let (containers, seen) = watch::channel(Arc::default());
        let (migration, said) = watch::channel(Arc::new(migration));
        let (sender, troubles) = watch::channel(Arc::default());
        let stop = CancellationToken::new();
        let inputs = Inputs { catalog: catalogs, containers: seen, migration: said };
        let running = tokio::spawn(run(settings, inputs, sender, stop.clone()));
        Self { dir, catalog, containers, migration, troubles, stop, running }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn publish(&self, world: &mut World) {
        self.catalog.send_replace(Some(world.catalog()));
    }

    async fn until_said(&self, file: &str, text: &str) {
        eventually(file, || async {
            let found = fs::read_to_string(self.path(file)).map_err(|error| error.to_string())?;
            if found == text { Ok(()) } else { Err(found) }
        })
        .await;
    }

    async fn close(self) {
        self.stop.cancel();
        self.running.await.unwrap();
    }
}

#[tokio::test]
async fn nothing_is_touched_before_the_catalog_is_known_and_all_is_right_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    put(&dir.path().join("run/services/gone.main.json"), "[]");
    let room = Room::open(dir, Said::nothing());
    // Another input has been looked at, so the absent catalog has as well.
    room.containers.send_replace(Arc::new(Containers::off()));
    room.until_said("maps/map", "").await;
    assert_eq!(names(&room.path("run/services")), ["gone.main.json"]);
    assert!(!room.path("envoy").exists());
    room.publish(&mut World::pencil());
    room.until_said("run/services/pencil.only_files.json", "[]").await;
    eventually("the stale file is gone", || async {
        let names = names(&room.path("run/services"));
        if names.len() == 5 { Ok(()) } else { Err(names) }
    })
    .await;
    room.close().await;
}

#[tokio::test]
async fn what_another_writer_writes_is_left_alone_until_it_is_ours_again() {
    let dir = tempfile::tempdir().unwrap();
    put(&dir.path().join("run/services/gone.main.json"), "theirs");
    let theirs = Said { items: vec!["xds".to_owned()], ..Said::nothing() };
    let room = Room::open(dir, theirs);
    room.publish(&mut World::pencil());
    eventually("Envoy's files are written", || async {
        if room.path("envoy/pencil.only_files.yaml").exists() { Ok(()) } else { Err("not yet") }
    })
    .await;
    room.containers.send_replace(Arc::new(Containers::off()));
    room.until_said("maps/map", "").await;
    assert_eq!(names(&room.path("run/services")), ["gone.main.json"]);
    room.migration.send_replace(Arc::new(Said::nothing()));
    room.until_said("run/services/pencil.only_files.json", "[]").await;
    room.close().await;
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_told_and_made_later() {
    let dir = tempfile::tempdir().unwrap();
    put(&dir.path().join("run"), "in the way");
    let mut room = Room::open(dir, Said::nothing());
    let mut world = World::pencil();
    room.publish(&mut world);
    let told = room.troubles.wait_for(|troubles| !troubles.is_empty()).await.unwrap().clone();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].file.ends_with("run/services"), "{told:?}");
    assert!(told[0].message.starts_with("cannot be made: "), "{told:?}");
    assert!(room.path("envoy/pencil.main.yaml").exists(), "the other directory is not harmed");
    fs::remove_file(room.path("run")).unwrap();
    room.troubles.wait_for(|troubles| troubles.is_empty()).await.unwrap();
    assert_eq!(names(&room.path("run/services")).len(), 5);
    room.close().await;
}

#[test]
fn a_trouble_of_a_map_is_told_and_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("below/map");
    put(&dir.path().join("below"), "in the way");
    let mut map = IpMap { path: path.clone(), written: None, trouble: None };
    map.follow(&Containers::default(), Turn::All);
    assert_eq!(map.trouble, None, "nothing is known of containers");
    map.follow(&Containers::off(), Turn::Changes);
    assert!(map.trouble.as_ref().unwrap().file.ends_with("below/map"));
    fs::remove_file(dir.path().join("below")).unwrap();
    map.follow(&Containers::off(), Turn::Retry);
    assert_eq!((map.trouble, fs::read(path).unwrap()), (None, vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_changes_puts_off_neither_what_failed_nor_the_look_at_all() {
    let mut looks = Looks::new(RETRY);
    let begin = Instant::now();
    let mut turns = Vec::new();
    while begin.elapsed() < Duration::from_secs(70) {
        time::advance(Duration::from_secs(1)).await;
        let turn = looks.turn(true);
        if turn != Turn::Changes {
            turns.push((begin.elapsed().as_secs(), turn));
        }
    }
    let expected = [10, 20, 30, 40, 50, 60, 70];
    assert_eq!(turns.iter().map(|(second, _)| *second).collect::<Vec<_>>(), expected);
    let all: Vec<_> = turns.iter().filter(|(_, turn)| *turn == Turn::All).collect();
    assert_eq!(all, [&(60, Turn::All)]);
    assert_eq!(looks.turn(false), Turn::Changes);
    assert_eq!(looks.next(false), begin + Duration::from_secs(120));
    assert_eq!(looks.next(true), begin + Duration::from_secs(80));
}
