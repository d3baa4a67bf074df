use std::{fs, path::Path, time::Instant};

use super::*;

/// A directory with all that is read, and what was understood of it.
struct Host {
    dir: tempfile::TempDir,
    reader: Reader,
    current: watch::Sender<Arc<Soa>>,
}

const WEB: (&str, &str) = ("soa/web/smartstack.yaml", "main: {proxy_port: 20001}\n");
const TYPES: (&str, &str) = ("soa/location_types.json", r#"["region", "habitat"]"#);
const REGION: (&str, &str) = ("region", "uswest1-devc\n");
const SYSTEM: (&str, &str) =
    ("paasta/system.json", r#"{"cluster": "devc", "register_marathon_services": true}"#);
const INSTANCE: (&str, &str) = ("soa/web/marathon-devc.yaml", "main: {}\n");

impl Host {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            write(dir.path(), *file);
        }
        let reader = Reader::new(settings(dir.path()));
        Self { dir, reader, current: watch::channel(Arc::default()).0 }
    }

    fn look(&mut self) -> Arc<Soa> {
        publish(&self.current, self.reader.look());
        self.current.borrow().clone()
    }

    fn remove(&self, file: &str) {
        fs::rename(self.dir.path().join(file), self.dir.path().join("away")).unwrap();
    }
}

fn settings(dir: &Path) -> Settings {
    Settings {
        soa_dir: dir.join("soa"),
        paasta_dir: dir.join("paasta"),
        cluster: None,
        locations: crate::config::Locations {
            dir: dir.to_owned(),
            types_file: dir.join("soa/location_types.json"),
            mapping_file: dir.join("soa/location_mapping.json"),
            fixed: Vec::new(),
        },
        atlas: atlas::Settings {
            types_file: dir.join("soa/location_types.json"),
            mapping_file: dir.join("soa/location_mapping.json"),
            topology_dir: Some(dir.join("topology")),
            labels_dir: dir.join("labels"),
            local: None,
        },
    }
}

fn write(dir: &Path, (file, text): (&str, &str)) {
    let path = dir.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    crate::atomic_file::write(&path, text.as_bytes()).unwrap();
}

fn places(soa: &Soa) -> Vec<&str> {
    soa.places.iter().map(Place::as_str).collect()
}

#[test]
fn places_once_read_stand_when_their_files_vanish() {
    for (file, at_fault) in [(TYPES.0, TYPES.0), (REGION.0, REGION.0), ("paasta", TYPES.0)] {
        let mut host = Host::new(&[WEB, SYSTEM, TYPES, REGION, ("habitat", "uswest1a")]);
        let before = host.look();
        assert_eq!(places(&before), ["region:uswest1-devc", "habitat:uswest1a"]);
        host.remove(file);
        if file == "paasta" {
            fs::remove_file(host.dir.path().join(TYPES.0)).unwrap();
        }
        for _ in 0..3 {
            let soa = host.look();
            assert_eq!(soa.places, before.places, "{file}");
            assert_eq!(soa.problems.len(), 1, "{file}: {:?}", soa.problems);
            assert!(soa.problems[0].file.ends_with(at_fault), "{:?}", soa.problems);
        }
    }
}

#[test]
fn a_host_of_paasta_without_its_types_is_nowhere_and_says_so() {
    for system in [SYSTEM, ("paasta/system.json", "{")] {
        let mut host = Host::new(&[WEB, REGION, system]);
        let soa = host.look();
        assert!((soa.tried, soa.read) == (true, false) && soa.places.is_empty());
        let said = |p: &Problem| p.one_line.starts_with("the location types are not known: ");
        assert!(soa.problems.iter().any(said), "{:?}", soa.problems);
        write(host.dir.path(), TYPES);
        let soa = host.look();
        assert!(soa.read);
        assert_eq!(places(&soa), ["region:uswest1-devc"]);
    }
}

#[test]
fn a_host_without_paasta_is_at_region_local_until_it_is_told_better() {
    let mut host = Host::new(&[WEB]);
    let soa = host.look();
    assert!(soa.read && soa.problems.is_empty());
    assert_eq!(places(&soa), ["region:local"]);
    write(host.dir.path(), TYPES);
    assert_eq!(places(&host.look()), ["region:local"], "no location can be read");
    write(host.dir.path(), ("habitat", "uswest1a"));
    assert_eq!(places(&host.look()), ["habitat:uswest1a"], "nothing assumed is left");
}

#[test]
fn what_is_gone_for_one_look_is_not_even_published() {
    for file in ["paasta", SYSTEM.0, WEB.0, INSTANCE.0, "soa/web"] {
        let mut host = Host::new(&[WEB, INSTANCE, SYSTEM, TYPES, REGION]);
        let before = host.look();
        assert!(before.instance("web", "main").is_ok());
        host.remove(file);
        let seen = host.reader.look();
        assert!(!seen.doubts.is_empty(), "{file}");
        publish(&host.current, seen);
        assert!(Arc::ptr_eq(&before, &host.current.borrow()), "{file}");
        let after = host.look();
        assert_ne!(before, after, "{file}: it is meant");
        assert_eq!(after.problems, before.problems, "{file}");
    }
}

#[tokio::test]
async fn no_hint_makes_the_second_look_come_early() {
    let host = Host::new(&[WEB, TYPES, REGION]);
    let namespace = "web.main".parse().unwrap();
    let dir = host.dir.path().to_owned();
    let mut current = host.current.subscribe();
    let stop = CancellationToken::new();
    let following = tokio::spawn(follow(settings(&dir), host.current.clone(), stop.clone()));
    current.wait_for(|soa| soa.namespace(&namespace).is_ok()).await.unwrap();

    let removed = Instant::now();
    host.remove("soa/web");
    let written = stop.clone();
    let writing = tokio::spawn(async move {
        while !written.is_cancelled() {
            write(&dir, ("soa/other/smartstack.yaml", "main: {proxy_port: 20002}\n"));
            time::sleep(Duration::from_millis(10)).await;
        }
    });
    let gone = current.wait_for(|soa| soa.namespace(&namespace).is_err());
    time::timeout(Duration::from_secs(20), gone).await.unwrap().unwrap();
    assert!(removed.elapsed() >= SECOND_LOOK, "{:?}", removed.elapsed());
    stop.cancel();
    writing.await.unwrap();
    following.await.unwrap();
}

#[test]
fn no_directory_is_watched_twice() {
    let host = Host::new(&[]);
    let watched = host.reader.watched();
    assert_eq!(watched.iter().filter(|w| w.path.ends_with("soa")).count(), 1);
    let mut elsewhere = settings(host.dir.path());
    elsewhere.locations.types_file = "/etc/types.json".into();
    let watched = Reader::new(elsewhere).watched();
    assert!(watched.iter().any(|w| w.path == Path::new("/etc") && !w.recursive));
}

#[tokio::test]
async fn a_host_is_relabelled_and_learns_of_an_ensemble_without_a_restart() {
    let host = Host::new(&[WEB, TYPES, REGION]);
    let dir = host.dir.path().to_owned();
    let mut current = host.current.subscribe();
    let stop = CancellationToken::new();
    let following = tokio::spawn(follow(settings(&dir), host.current.clone(), stop.clone()));
    current.wait_for(|soa| places(soa) == ["region:uswest1-devc"]).await.unwrap();
    write(&dir, ("region", "uswest2-devc"));
    current.wait_for(|soa| places(soa) == ["region:uswest2-devc"]).await.unwrap();
    write(&dir, ("topology/nova-prod.yaml", "- [zk1, 2181]"));
    let knows = |soa: &Arc<Soa>| soa.atlas.ensembles.as_ref().is_some_and(|all| !all.is_empty());
    current.wait_for(knows).await.unwrap();
    write(&dir, ("labels/web.main1", "a: b"));
    current.wait_for(|soa| !soa.atlas.labels.is_empty()).await.unwrap();
    stop.cancel();
    following.await.unwrap();
}
