//! The tree of soa-configs, kept up to date by looking at it again and again.
//!
//! Only files that changed are read. Blindness is not emptiness: a file that became broken keeps its
//! last good state, and a directory that cannot be listed changes nothing. A file that is suddenly
//! gone or empty is believed when a second look finds the same: git removes a file before it writes it.

mod service;
mod snapshot;

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use self::service::Service;
pub use self::snapshot::Snapshot;
use crate::{
    Cluster,
    file::{self, Problem},
};

/// Where PaaSTA keeps soa-configs.
pub const DEFAULT_DIR: &str = "/nail/etc/services";

/// Owns what is known of one soa-configs directory.
#[derive(Debug)]
pub struct Tree {
    soa_dir: PathBuf,
    cluster: Option<Cluster>,
    services: BTreeMap<OsString, Service>,
    snapshot: Arc<Snapshot>,
}

/// What one [`Tree::refresh`] did.
#[derive(Debug)]
pub struct Changes {
    /// Whether [`Tree::snapshot`] is another one than before.
    pub changed: bool,
    /// How many files were read; the others had not changed.
    pub files_read: usize,
    /// The directory could not be listed: all that was known stands.
    pub unreadable: Option<Unreadable>,
    /// Files that are suddenly gone or empty. What they said stands; the next look is believed if it
    /// sees the same, so it has to come a second later and not at once.
    pub doubts: Vec<Problem>,
}

/// Why nothing is known of the soa-configs directory now.
#[derive(Debug, thiserror::Error)]
#[error("cannot list {}", file::Shown(dir))]
pub struct Unreadable {
    pub dir: PathBuf,
    #[source]
    pub source: io::Error,
}

impl Tree {
    /// A tree of which nothing is known before the first [`Self::refresh`].
    #[must_use]
    pub fn new(soa_dir: impl Into<PathBuf>) -> Self {
        Self {
            soa_dir: soa_dir.into(),
            cluster: None,
            services: BTreeMap::new(),
            snapshot: Arc::default(),
        }
    }

    /// Which `marathon-<cluster>.yaml` to read from the next [`Self::refresh`] on; without a cluster
    /// there are no instances.
    pub fn set_cluster(&mut self, cluster: Option<Cluster>) {
        self.cluster = cluster;
    }

    /// What is known now.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot)
    }

    /// Looks at the tree again. Reads files, so it may block.
    pub fn refresh(&mut self) -> Changes {
        let names = match list(&self.soa_dir) {
            Ok(names) => names,
            Err(source) => {
                return self.refuse(Unreadable { dir: self.soa_dir.clone(), source });
            }
        };
        let files_read = self.look(names);
        let changed = self.publish(Snapshot::of(self.cluster.clone(), self.services.values()));
        let doubts = self.services.values().flat_map(Service::doubts).collect();
        Changes { changed, files_read, unreadable: None, doubts }
    }

    /// Looks at every service; returns how many files were read.
    fn look(&mut self, listed: BTreeSet<OsString>) -> usize {
        let mut files_read = 0;
        for (name, service) in &mut self.services {
            files_read += service.refresh(&self.soa_dir.join(name), self.cluster.as_ref());
        }
        // One whose directory is gone stays until its files are believed to be gone.
        self.services.retain(|name, service| listed.contains(name) || service.says_something());
        for name in listed {
            if let Entry::Vacant(place) = self.services.entry(name) {
                let mut service = Service::new(place.key().to_string_lossy());
                let dir = self.soa_dir.join(place.key());
                files_read += service.refresh(&dir, self.cluster.as_ref());
                place.insert(service);
            }
        }
        files_read
    }

    /// Keeps everything but says that the directory is at fault.
    fn refuse(&mut self, unreadable: Unreadable) -> Changes {
        let mut next = Snapshot::clone(&self.snapshot);
        next.problems = self.services.values().flat_map(Service::problems).cloned().collect();
        next.problems.insert(0, unreadable.problem());
        let changed = self.publish(next);
        Changes { changed, files_read: 0, unreadable: Some(unreadable), doubts: Vec::new() }
    }

    fn publish(&mut self, next: Snapshot) -> bool {
        let changed = *self.snapshot != next;
        if changed {
            self.snapshot = Arc::new(next);
        }
        changed
    }
}

impl Unreadable {
    pub(crate) fn problem(&self) -> Problem {
        let message = format!("{self}: {}", self.source);
        let reason = format!("cannot be listed: {}", self.source);
        Problem { reason, ..Problem::new(&self.dir, message) }
    }
}

/// The names of all services: directories and links to such, no hidden ones.
pub(crate) fn list(soa_dir: &Path) -> io::Result<BTreeSet<OsString>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(soa_dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if !name.as_encoded_bytes().starts_with(b".") && is_service(&entry) {
            names.insert(name);
        }
    }
    Ok(names)
}

/// In doubt yes: what is wrong shows when its files are read.
fn is_service(entry: &fs::DirEntry) -> bool {
    match entry.file_type() {
        Ok(kind) if kind.is_symlink() => match file::existing(fs::metadata(entry.path())) {
            Ok(target) => target.is_some_and(|meta| meta.is_dir()),
            Err(_) => true,
        },
        Ok(kind) => kind.is_dir(),
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests;
