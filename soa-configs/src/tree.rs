//! The tree of soa-configs, kept up to date by looking at it again and again.
//!
//! Only files that changed are read. Blindness is not emptiness: a file that became broken keeps its
//! last good state, and a directory that cannot be listed changes nothing. A file or directory that
//! is suddenly empty is believed at the second look.

mod service;
mod snapshot;

use std::{
    collections::BTreeMap,
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
    /// The last look found no services where there had been some.
    emptied: bool,
    snapshot: Arc<Snapshot>,
}

/// What one [`Tree::refresh`] did.
#[derive(Debug)]
pub struct Changes {
    /// Whether [`Tree::snapshot`] is another one than before.
    pub changed: bool,
    /// How many files were read; the others had not changed.
    pub files_read: usize,
    /// Why nothing was believed, if so: all that was known stands.
    pub refused: Option<Refused>,
}

/// Why a look at the soa-configs directory was not believed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("cannot list {}", file::Shown(dir))]
    Unreadable {
        dir: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The next look is believed, if it sees the same.
    #[error("{} lists no services where there were {before}", file::Shown(dir))]
    Emptied { dir: PathBuf, before: usize },
}

impl Tree {
    /// A tree of which nothing is known before the first [`Self::refresh`].
    #[must_use]
    pub fn new(soa_dir: impl Into<PathBuf>) -> Self {
        Self {
            soa_dir: soa_dir.into(),
            cluster: None,
            services: BTreeMap::new(),
            emptied: false,
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
                self.emptied = false;
                return self.refuse(Refused::Unreadable { dir: self.soa_dir.clone(), source });
            }
        };
        let before = self.services.len();
        if names.is_empty() && before > 0 && !self.emptied {
            self.emptied = true;
            return self.refuse(Refused::Emptied { dir: self.soa_dir.clone(), before });
        }
        self.emptied = false;
        let files_read = self.look(names);
        let changed = self.publish(Snapshot::of(self.cluster.clone(), self.services.values()));
        Changes { changed, files_read, refused: None }
    }

    /// Looks at every service; returns how many files were read.
    fn look(&mut self, names: Vec<OsString>) -> usize {
        let mut before = std::mem::take(&mut self.services);
        let mut files_read = 0;
        for name in names {
            let dir = self.soa_dir.join(&name);
            let mut service =
                before.remove(&name).unwrap_or_else(|| Service::new(name.to_string_lossy()));
            files_read += service.refresh(&dir, self.cluster.as_ref());
            self.services.insert(name, service);
        }
        files_read
    }

    /// Keeps everything but says that the directory is at fault.
    fn refuse(&mut self, refused: Refused) -> Changes {
        let mut next = Snapshot::clone(&self.snapshot);
        next.problems = self.services.values().flat_map(Service::problems).cloned().collect();
        next.problems.insert(0, refused.problem());
        Changes { changed: self.publish(next), files_read: 0, refused: Some(refused) }
    }

    fn publish(&mut self, next: Snapshot) -> bool {
        let changed = *self.snapshot != next;
        if changed {
            self.snapshot = Arc::new(next);
        }
        changed
    }
}

impl Refused {
    fn problem(&self) -> Problem {
        let (dir, message) = match self {
            Self::Unreadable { dir, source } => (dir, format!("{self}: {source}")),
            Self::Emptied { dir, .. } => (dir, self.to_string()),
        };
        Problem { file: dir.clone(), one_line: message.clone(), message }
    }
}

/// The names of all services: directories and links to such, no hidden ones.
fn list(soa_dir: &Path) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(soa_dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if !name.as_encoded_bytes().starts_with(b".") && is_service(&entry) {
            names.push(name);
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
