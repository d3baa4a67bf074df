//! Follows what operators and service owners wrote: soa-configs, the system configuration, the places
//! of this host and what lies around them.

pub mod atlas;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

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
    pub atlas: atlas::Settings,
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
    pub atlas: Arc<atlas::Atlas>,
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
    atlas: atlas::Reader,
}

/// One look.
struct Seen {
    configs: Arc<Snapshot>,
    read: bool,
    places: Option<Vec<Place>>,
    atlas: Arc<atlas::Atlas>,
    register_marathon_services: Option<bool>,
    problems: Vec<Problem>,
    /// What is suddenly gone, and believed at the next look; until then it has no effect.
    doubts: Vec<Problem>,
}

impl Reader {
    fn new(settings: Settings) -> Self {
        let tree = Tree::new(&settings.soa_dir);
        let system = paasta::Followed::new(&settings.paasta_dir);
        let atlas = atlas::Reader::new(settings.atlas.clone());
        Self { settings, tree, system, places: Vec::new(), atlas }
    }

    fn watched(&self) -> Vec<Watched> {
        let Settings { soa_dir, paasta_dir, locations, .. } = &self.settings;
        let watch = |path: &PathBuf, recursive| Watched { path: path.clone(), recursive };
        // Watched a second time, soa-configs would no longer be watched to their depth.
        let types_dir = locations.types_file.parent().map(Path::to_owned);
        let single =
            types_dir.into_iter().chain([locations.dir.clone()]).chain(self.atlas.watched());
        let single: BTreeSet<PathBuf> =
            single.filter(|dir| !dir.starts_with(soa_dir) && dir != paasta_dir).collect();
        let mut watched = vec![watch(soa_dir, true), watch(paasta_dir, true)];
        watched.extend(single.iter().map(|dir| watch(dir, false)));
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
        let atlas = self.atlas.look(&self.settings.locations.fixed);
        problems.extend(atlas.problems);
        Seen {
            read: changes.unreadable.is_none(),
            places: self.places(&mut problems),
            configs,
            register_marathon_services,
            problems,
            doubts: doubt.into_iter().chain(changes.doubts).chain(atlas.doubts).collect(),
            atlas: atlas.atlas,
        }
    }

    /// `None`: they are not known now, so those of before stand.
    fn places(&mut self, problems: &mut Vec<Problem>) -> Option<Vec<Place>> {
        let crate::config::Locations { dir, types_file, fixed, .. } = &self.settings.locations;
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
            atlas: seen.atlas,
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
    if before.atlas.ensembles != now.atlas.ensembles {
        info!(ensembles = ?now.atlas.ensembles, "zookeeper of each location");
    }
    let count = |soa: &Soa| (soa.configs.namespaces.len(), soa.configs.instances.len());
    let (namespaces, instances) = count(now);
    if count(before) != (namespaces, instances) {
        info!(namespaces, instances, "soa-configs read");
    }
}

#[cfg(test)]
mod tests;
