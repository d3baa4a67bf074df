//! Follows what operators and service owners wrote: soa-configs, the system configuration and the
//! places of this host.

use std::{path::PathBuf, sync::Arc, time::Duration};

use soa_configs::{
    InstanceConfig, Namespace, NamespaceConfig, Place, Problem, Snapshot, Tree, locations,
    names::Cluster, paasta,
};
use tokio::{sync::watch, time};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::file_hints::{FileHints, Watched};

/// Where to look.
#[derive(Clone, Debug)]
pub struct Settings {
    pub soa_dir: PathBuf,
    pub paasta_dir: PathBuf,
    /// Over the system configuration's.
    pub cluster: Option<Cluster>,
    pub locations: crate::config::Locations,
}

/// All that is written down, as last understood.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Soa {
    /// Looked at least once, with or without success.
    pub tried: bool,
    /// soa-configs were read at least once, and it is known where this host is.
    pub read: bool,
    pub configs: Arc<Snapshot>,
    /// Widest first. Never empty once `read`.
    pub places: Vec<Place>,
    pub register_marathon_services: bool,
    /// What is broken now; what was understood before still counts.
    pub problems: Vec<Problem>,
}

/// A change missed by inotify is found after this.
const PERIOD: Duration = Duration::from_secs(60);
/// What is suddenly gone is believed if it is gone after this, too.
const SECOND_LOOK: Duration = Duration::from_secs(1);
/// The place assumed on a host without PaaSTA: it makes plain Docker hosts find each other.
const ASSUMED_PLACE: (&str, &str) = ("region", "local");

impl Soa {
    /// # Errors
    /// A sentence for the operator: why nothing can be registered in `namespace`.
    pub fn namespace(&self, namespace: &Namespace) -> Result<&Arc<NamespaceConfig>, String> {
        self.configs.namespaces.get(namespace).ok_or_else(|| {
            let service = namespace.service();
            if self.configs.without_proxy_port.contains(namespace) {
                return format!("{namespace} has no proxy_port in {service}/smartstack.yaml");
            }
            let broken =
                |p: &&Problem| p.file.ends_with(PathBuf::from(service).join("smartstack.yaml"));
            match self.problems.iter().find(broken) {
                Some(problem) => problem.one_line.clone(),
                None => format!(
                    "{namespace} is not in soa-configs: add `{}:` to {service}/smartstack.yaml",
                    namespace.namespace()
                ),
            }
        })
    }

    /// # Errors
    /// A sentence for the operator: why the instance is not known.
    pub fn instance(&self, service: &str, instance: &str) -> Result<&Arc<InstanceConfig>, String> {
        if !self.register_marathon_services {
            return Err(
                "register_marathon_services is false in the system configuration".to_owned()
            );
        }
        let Some(cluster) = &self.configs.cluster else {
            return Err(
                "the cluster of this host is not known: set `cluster` in /etc/paasta".to_owned()
            );
        };
        self.configs.instance(service, instance).ok_or_else(|| {
            format!(
                "{service}/marathon-{}.yaml has no instance `{}`",
                cluster.as_str(),
                instance.escape_debug()
            )
        })
    }
}

/// Publishes what is written down whenever it changes, until `stop`.
pub async fn follow(settings: Settings, current: watch::Sender<Arc<Soa>>, stop: CancellationToken) {
    let mut reader = Reader::new(settings);
    let mut hints = FileHints::new(reader.watched(), PERIOD);
    loop {
        let looked = tokio::task::spawn_blocking(move || {
            let seen = reader.look();
            (reader, seen)
        });
        let (back, seen) = match looked.await {
            Ok(looked) => looked,
            Err(error) => {
                warn!(%error, "cannot read soa-configs");
                return;
            }
        };
        reader = back;
        let (doubts, read) = (tell(&seen.doubts), seen.read);
        publish(&current, seen);
        let next = async {
            match (doubts, read) {
                // A hint would make the second look too early.
                (true, _) => time::sleep(SECOND_LOOK).await,
                (false, false) => hints.next_within(SECOND_LOOK).await,
                (false, true) => hints.next().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = next => {}
        }
    }
}

struct Reader {
    settings: Settings,
    tree: Tree,
    system: paasta::Followed,
    /// As last read from files; those that are assumed are not among them.
    places: Vec<Place>,
}

/// One look.
struct Seen {
    configs: Arc<Snapshot>,
    read: bool,
    places: Option<Vec<Place>>,
    register_marathon_services: Option<bool>,
    problems: Vec<Problem>,
    /// What is suddenly gone, and believed at the next look; until then it has no effect.
    doubts: Vec<Problem>,
}

impl Reader {
    fn new(settings: Settings) -> Self {
        let tree = Tree::new(&settings.soa_dir);
        let system = paasta::Followed::new(&settings.paasta_dir);
        Self { settings, tree, system, places: Vec::new() }
    }

    fn watched(&self) -> Vec<Watched> {
        let Settings { soa_dir, paasta_dir, locations, .. } = &self.settings;
        let watch = |path: &PathBuf, recursive| Watched { path: path.clone(), recursive };
        // Watched a second time, soa-configs would no longer be watched to their depth.
        let types_dir = locations.types_file.parent().filter(|dir| !dir.starts_with(soa_dir));
        let mut watched =
            vec![watch(soa_dir, true), watch(paasta_dir, true), watch(&locations.dir, false)];
        watched.extend(types_dir.map(|dir| watch(&dir.to_owned(), false)));
        watched
    }

    fn look(&mut self) -> Seen {
        let paasta::Look { mut problems, doubt } = self.system.refresh();
        let system = self.system.believed();
        let register_marathon_services =
            system.map(|system| system.is_none_or(|system| system.register_marathon_services));
        let cluster = system.flatten().and_then(|system| system.cluster.clone());
        self.tree.set_cluster(self.settings.cluster.clone().or(cluster));
        let changes = self.tree.refresh();
        let configs = self.tree.snapshot();
        problems.extend(configs.problems.iter().cloned());
        Seen {
            read: changes.unreadable.is_none(),
            places: self.places(&mut problems),
            configs,
            register_marathon_services,
            problems,
            doubts: doubt.into_iter().chain(changes.doubts).collect(),
        }
    }

    /// `None`: they are not known now, so those of before stand.
    fn places(&mut self, problems: &mut Vec<Problem>) -> Option<Vec<Place>> {
        let crate::config::Locations { dir, types_file, fixed } = &self.settings.locations;
        if !fixed.is_empty() {
            return Some(fixed.clone());
        }
        match locations::read(dir, types_file) {
            Ok(found) => {
                problems.extend(found.unknown.iter().cloned());
                self.places = found.completed_by(&self.places).own;
                Some(self.places.clone())
            }
            Err(error) if error.is_without_types() && self.may_assume() => {
                let (kind, location) = ASSUMED_PLACE;
                Some(Place::new(kind, location).into_iter().collect())
            }
            Err(error) => {
                problems.push(error.problem());
                None
            }
        }
    }

    /// A host of PaaSTA that cannot find its places is blind for a moment, not nowhere.
    fn may_assume(&self) -> bool {
        self.places.is_empty() && self.system.believed() == Some(None)
    }
}

/// Says what is doubted; the next look settles it. Returns whether anything is.
fn tell(doubts: &[Problem]) -> bool {
    let Some(first) = doubts.first() else { return false };
    let what = &first.one_line;
    info!(what, files = doubts.len(), "what was understood before stands until a second look");
    true
}

fn publish(current: &watch::Sender<Arc<Soa>>, seen: Seen) {
    current.send_if_modified(|soa| {
        let places = seen.places.unwrap_or_else(|| soa.places.clone());
        let next = Soa {
            tried: true,
            read: soa.read || (seen.read && !places.is_empty()),
            configs: seen.configs,
            register_marathon_services: seen
                .register_marathon_services
                .unwrap_or(soa.register_marathon_services),
            problems: seen.problems,
            places,
        };
        if next == **soa {
            return false;
        }
        report(soa, &next);
        *soa = Arc::new(next);
        true
    });
}

/// One line a new problem, one a mended one; every refusal is visible (design invariant 8).
fn report(before: &Soa, now: &Soa) {
    for problem in now.problems.iter().filter(|p| !before.problems.contains(p)) {
        warn!(
            problem = problem.one_line,
            "what is written there is not in force; what was understood before stands"
        );
    }
    for problem in before.problems.iter().filter(|p| now.problems.iter().all(|n| n.file != p.file))
    {
        info!(file = %problem.file.display(), "no longer at fault");
    }
    if before.places != now.places {
        info!(places = ?now.places, "places of this host");
    }
    if before.configs.cluster != now.configs.cluster {
        info!(cluster = ?now.configs.cluster, "cluster of this host");
    }
    let count = |soa: &Soa| (soa.configs.namespaces.len(), soa.configs.instances.len());
    let (namespaces, instances) = count(now);
    if count(before) != (namespaces, instances) {
        info!(namespaces, instances, "soa-configs read");
    }
}

#[cfg(test)]
mod tests {
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
                fixed: Vec::new(),
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
}
