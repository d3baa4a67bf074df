//! Where records go beside the registry of this host, and what operators have them say: how locations
//! lie in one another, which ZooKeeper serves each, and the labels of `labels.d` (nerve.md §5.3, §5.5).
//!
//! What was read once stands while its file is gone or broken: a location does not lose its records
//! because a file is being replaced. A file of labels is different, as it is removed on purpose: that
//! counts at the second look.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use indexmap::IndexMap;
use soa_configs::{
    FileError, Namespace, Place, Problem, labels,
    locations::{self, LocationTypes, Mapping},
    topology,
};

use crate::registry::Ensemble;

/// Fleets have tens of locations; more files than this are not read.
const MOST_LOCATIONS: usize = 1024;

/// The most files of labels that are read.
const MOST_LABELS: usize = 4096;

/// Where to look.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A JSON list, widest first.
    pub types_file: PathBuf,
    /// Nested JSON objects.
    pub mapping_file: PathBuf,
    /// Holds `<location>.yaml`, a list of `[host, port]` each; `None`: there is one ensemble only.
    pub topology_dir: Option<PathBuf>,
    /// Holds `<service.namespace><port>*`, YAML maps.
    pub labels_dir: PathBuf,
    /// The file that named the registry of this host, and what it named.
    pub local: Option<(PathBuf, Ensemble)>,
}

/// All of it, as last understood.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Atlas {
    pub types: LocationTypes,
    pub mapping: Mapping,
    /// By location; `None`: there is no directory of them, so there is one ensemble only.
    pub ensembles: Option<BTreeMap<String, Ensemble>>,
    /// By name of the file.
    pub labels: BTreeMap<String, IndexMap<String, String>>,
    /// A file that may name further places could never be read, so it is not known which records of an
    /// earlier life are still wanted.
    pub in_doubt: bool,
}

impl Atlas {
    /// The labels that operators give to a task by its port: of the files `<service.namespace><port>`,
    /// and of those whose name goes on with anything but a digit, which would make it another port. A
    /// later name wins.
    #[must_use]
    pub fn labels_of(&self, namespace: &Namespace, port: u16) -> IndexMap<String, String> {
        let begin = format!("{namespace}{port}");
        let names = self.labels.range(begin.clone()..).take_while(|(n, _)| n.starts_with(&begin));
        let ours = names
            .filter(|(name, _)| !name[begin.len()..].starts_with(|c: char| c.is_ascii_digit()));
        ours.flat_map(|(_, labels)| labels.clone()).collect()
    }
}

/// What one look found.
pub(super) struct Look {
    pub(super) atlas: Arc<Atlas>,
    pub(super) problems: Vec<Problem>,
    /// Files of labels that are suddenly gone.
    pub(super) doubts: Vec<Problem>,
}

/// Reads the files and keeps what was understood before.
pub(super) struct Reader {
    settings: Settings,
    atlas: Arc<Atlas>,
    read: BTreeSet<PathBuf>,
    doubted: BTreeSet<String>,
}

impl Reader {
    pub(super) fn new(settings: Settings) -> Self {
        let (read, doubted) = (BTreeSet::new(), BTreeSet::new());
        Self { settings, atlas: Arc::default(), read, doubted }
    }

    /// The directories in which something may change.
    pub(super) fn watched(&self) -> Vec<PathBuf> {
        let Settings { mapping_file, topology_dir, labels_dir, local, .. } = &self.settings;
        let files = [Some(mapping_file), local.as_ref().map(|(file, _)| file)];
        let around = files.into_iter().flatten().filter_map(|file| file.parent());
        let dirs = around.chain(topology_dir.as_deref()).chain([labels_dir.as_path()]);
        dirs.map(Path::to_owned).collect()
    }

    /// `fixed`: the places of this host, if they do not come from files; they tell the types, too.
    pub(super) fn look(&mut self, fixed: &[Place]) -> Look {
        let before = Arc::clone(&self.atlas);
        let mut next = Atlas { in_doubt: false, ..Atlas::clone(&before) };
        let (mut problems, mut doubts) = (Vec::new(), Vec::new());
        let Settings { types_file, mapping_file, .. } = self.settings.clone();
        // A fault in the list of types is told by those who read the places of this host.
        let mut told = Vec::new();
        if let Some(types) =
            self.keep(&types_file, locations::types(&types_file), &mut next, &mut told)
        {
            next.types = types;
        } else if before.types == LocationTypes::default() {
            next.types = LocationTypes::new(fixed.iter().map(|p| p.kind().to_owned()).collect());
        }
        let mapping = Mapping::read(&mapping_file);
        if let Some(mapping) = self.keep(&mapping_file, mapping, &mut next, &mut problems) {
            next.mapping = mapping;
        }
        self.ensembles(&mut next, &mut problems);
        self.labels(&mut next, &mut problems, &mut doubts);
        self.local(&mut problems);
        if next != *before {
            self.atlas = Arc::new(next);
        }
        Look { atlas: Arc::clone(&self.atlas), problems, doubts }
    }

    /// `None`: what was read before stands. A file that never was there is no fault.
    fn keep<T>(
        &mut self,
        file: &Path,
        read: Result<T, FileError>,
        atlas: &mut Atlas,
        problems: &mut Vec<Problem>,
    ) -> Option<T> {
        let error = match read {
            Ok(value) => {
                self.read.insert(file.to_owned());
                return Some(value);
            }
            Err(error) => error,
        };
        let known = self.read.contains(file);
        if known || !error.is_missing() {
            problems.push(Problem::from(&error));
            atlas.in_doubt |= !known;
        }
        None
    }

    fn ensembles(&mut self, next: &mut Atlas, problems: &mut Vec<Problem>) {
        let Some(dir) = self.settings.topology_dir.clone() else { return };
        let names = match names(&dir, MOST_LOCATIONS) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound && next.ensembles.is_none() => {
                return;
            }
            Err(error) => {
                problems.push(unlisted(&dir, &error));
                next.in_doubt |= next.ensembles.is_none();
                return;
            }
        };
        let mut ensembles = next.ensembles.take().unwrap_or_default();
        let known = ensembles.keys().map(|location| format!("{location}.yaml"));
        for name in names.into_iter().chain(known).collect::<BTreeSet<_>>() {
            let Some(location) = name.strip_suffix(".yaml") else { continue };
            let file = dir.join(&name);
            if let Some(ensemble) = self.keep(&file, ensemble(&file), next, problems) {
                ensembles.insert(location.to_owned(), ensemble);
            }
        }
        next.ensembles = Some(ensembles);
    }

    fn labels(&mut self, next: &mut Atlas, problems: &mut Vec<Problem>, doubts: &mut Vec<Problem>) {
        let dir = self.settings.labels_dir.clone();
        let names = match names(&dir, MOST_LABELS) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeSet::new(),
            Err(error) => {
                problems.push(unlisted(&dir, &error));
                return;
            }
        };
        let mut labels = BTreeMap::new();
        let mut doubted = BTreeSet::new();
        for name in names.iter().chain(next.labels.keys()).collect::<BTreeSet<_>>() {
            let file = dir.join(name);
            let before = next.labels.get(name);
            let found = match labels::read(&file) {
                Ok(found) => found,
                Err(error) if error.is_missing() => IndexMap::new(),
                Err(error) => {
                    problems.push(Problem::from(&error));
                    before.cloned().unwrap_or_default()
                }
            };
            match before {
                Some(before) if found.is_empty() && !before.is_empty() => {
                    if self.doubted.contains(name) {
                        continue;
                    }
                    let what = format!("{} is suddenly gone or empty", file.display());
                    doubts.push(Problem::new(&file, what));
                    doubted.insert(name.clone());
                    labels.insert(name.clone(), before.clone());
                }
                _ if found.is_empty() => {}
                _ => {
                    labels.insert(name.clone(), found);
                }
            }
        }
        (next.labels, self.doubted) = (labels, doubted);
    }

    /// The session that holds our records stays with the servers it was opened with.
    fn local(&self, problems: &mut Vec<Problem>) {
        let Some((file, used)) = &self.settings.local else { return };
        if let Ok(now) = ensemble(file)
            && now != *used
        {
            let what = format!(
                "{} names {now}, and {used} is in use: restart the agent to use what it names",
                file.display()
            );
            problems.push(Problem::new(file, what));
        }
    }
}

fn ensemble(file: &Path) -> Result<Ensemble, FileError> {
    let servers = topology::read(file)?;
    Ensemble::of(servers.iter().map(ToString::to_string))
        .map_err(|error| FileError::Invalid { file: file.to_owned(), reason: error.to_string() })
}

/// The names in a directory that do not begin with a dot; too many are cut off.
fn names(dir: &Path, most: usize) -> io::Result<BTreeSet<String>> {
    let names = fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
    let visible = names
        .filter_map(Result::transpose)
        .filter(|name: &io::Result<String>| !name.as_ref().is_ok_and(|name| name.starts_with('.')));
    visible.take(most).collect()
}

fn unlisted(dir: &Path, error: &io::Error) -> Problem {
    let what = format!("cannot list {}: {error}; what was read before stands", dir.display());
    Problem::new(dir, what)
}

#[cfg(test)]
mod tests;
