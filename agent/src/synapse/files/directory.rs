//! A directory with a file for each backend, kept as the catalog says.
//!
//! All of it blocks on the disk.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    error::Error as _,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use soa_configs::Namespace;

use super::{Trouble, Turn, envoy, services};
use crate::{
    atomic_file,
    registry::Source,
    synapse::catalog::{Catalog, Pool, Variant},
};

/// When a whole directory is at fault, that many files are named.
const NAMED: usize = 10;

/// What its files look like.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// As synapse writes them, from records that were read from this source.
    Services(Source),
    Envoy,
}

/// The name of a file and what it is to say.
type File = (String, Result<String, String>);

impl Form {
    /// With the dot.
    fn ending(self) -> &'static str {
        match self {
            Self::Services(_) => ".json",
            Self::Envoy => ".yaml",
        }
    }

    fn files(self, namespace: &Namespace, pool: &Pool) -> Vec<File> {
        let variants = pool.variants(namespace, &pool.config);
        let file = |variant: Variant<'_>| {
            let text = match self {
                Self::Services(source) => services::text(source, namespace, pool, variant.reach)
                    .map_err(|error| error.to_string()),
                Self::Envoy => envoy::text(&variant).map_err(|error| error.to_string()),
            };
            (variant.name + self.ending(), text)
        };
        variants.map(file).collect()
    }

    fn says_the_same(self, present: &[u8], text: &str) -> bool {
        match self {
            Self::Services(_) => services::says_the_same(present, text),
            Self::Envoy => present == text.as_bytes(),
        }
    }
}

/// What is written, and what could not be.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    form: Form,
    /// What the files say, but for those that fail. `None`: nobody has looked.
    written: Option<Arc<Catalog>>,
    failing: BTreeMap<Namespace, Vec<Trouble>>,
    /// Of the directory itself, and of files that belong to no pool.
    troubles: Vec<Trouble>,
}

impl Directory {
    pub(super) fn new(path: PathBuf, form: Form) -> Self {
        Self { path, form, written: None, failing: BTreeMap::new(), troubles: Vec::new() }
    }

    /// Makes the files of all pools that are new or changed since the last call what they should be, and
    /// removes those of namespaces and backends that are gone.
    pub(super) fn follow(&mut self, catalog: &Arc<Catalog>, turn: Turn) {
        let before = self.written.take().filter(|_| turn != Turn::All);
        if let Err(error) = fs::create_dir_all(&self.path) {
            self.failing.clear();
            self.troubles = vec![self.trouble("", format!("cannot be made: {error}"))];
            return;
        }
        self.failing.retain(|namespace, _| catalog.pools.contains_key(namespace));
        let mut is_stale = before.as_ref().is_none_or(|before| has_lost(before, catalog));
        for (namespace, pool) in &catalog.pools {
            let old = before.as_ref().and_then(|before| before.pools.get(namespace));
            let is_due = turn != Turn::Changes && self.failing.contains_key(namespace);
            if !is_due && old.is_some_and(|old| Arc::ptr_eq(old, pool)) {
                continue;
            }
            is_stale |= old.is_none_or(|old| !old.differs_in_servers_only(pool));
            let files = self.form.files(namespace, pool);
            let troubles: Vec<_> =
                files.into_iter().filter_map(|file| self.put(file).err()).collect();
            self.failing.remove(namespace);
            if !troubles.is_empty() {
                self.failing.insert(namespace.clone(), troubles);
            }
        }
        if is_stale || (turn != Turn::Changes && !self.troubles.is_empty()) {
            self.troubles = self.sweep(catalog);
        }
        self.written = Some(Arc::clone(catalog));
    }

    /// Leaves the files to somebody else, and looks at all of them when they come back.
    pub(super) fn leave(&mut self) {
        self.written = None;
        self.failing.clear();
        self.troubles.clear();
    }

    pub(super) fn troubles(&self) -> Vec<Trouble> {
        let all = || self.troubles.iter().chain(self.failing.values().flatten());
        let mut named: Vec<_> = all().take(NAMED).cloned().collect();
        let more = all().count() - named.len();
        if more > 0 {
            named.push(
                self.trouble("", format!("{more} more files here are not as they should be")),
            );
        }
        named
    }

    fn put(&self, (name, text): File) -> Result<(), Trouble> {
        let path = self.path.join(&name);
        let text = text.map_err(|reason| self.trouble(&name, reason))?;
        if read(&path, text.len()).is_some_and(|present| self.form.says_the_same(&present, &text)) {
            return Ok(());
        }
        atomic_file::write_unsynced(&path, text.as_bytes()).map_err(|error| {
            let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            self.trouble(&name, format!("cannot be written: {cause}"))
        })
    }

    /// Removes files of backends that are no more. Of a namespace that is refused or was not read yet
    /// nothing is known, so its files stay.
    fn sweep(&self, catalog: &Catalog) -> Vec<Trouble> {
        let ending = self.form.ending();
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) => return vec![self.trouble("", format!("cannot be listed: {error}"))],
        };
        let names = catalog.pools.iter().flat_map(|(namespace, pool)| {
            pool.variants(namespace, &pool.config).map(|variant| variant.name)
        });
        let names: HashSet<String> = names.collect();
        let unknown = catalog.refused.keys().chain(&catalog.unread);
        let unknown: BTreeSet<&str> = unknown.map(Namespace::as_str).collect();
        let is_stale = |name: &str| {
            let backend = name.strip_suffix(ending);
            backend.is_some_and(|backend| {
                is_backend(backend) && !names.contains(backend) && !is_of(backend, &unknown)
            })
        };
        let is_file = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_file());
        let files = entries.flatten().filter(is_file);
        let files = files.filter_map(|entry| entry.file_name().into_string().ok());
        let removed = files.filter(|name| is_stale(name)).map(|name| {
            let gone = fs::remove_file(self.path.join(&name));
            let is_gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
            gone.or_else(|error| if is_gone(&error) { Ok(()) } else { Err(error) })
                .map_err(|error| self.trouble(&name, format!("cannot be removed: {error}")))
        });
        removed.filter_map(Result::err).collect()
    }

    fn trouble(&self, name: &str, message: String) -> Trouble {
        let file = if name.is_empty() { self.path.clone() } else { self.path.join(name) };
        Trouble { file: file.display().to_string(), message }
    }
}

/// Whether a namespace has gone.
fn has_lost(before: &Catalog, now: &Catalog) -> bool {
    let is_known = |namespace: &&Namespace| {
        now.pools.contains_key(*namespace)
            || now.refused.contains_key(*namespace)
            || now.unread.contains(*namespace)
    };
    let known = before.pools.keys().chain(before.refused.keys()).chain(&before.unread);
    !known.into_iter().all(|namespace| is_known(&namespace))
}

/// Whether this program or synapse could have called a backend so; other files are somebody else's.
fn is_backend(name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    name.split_once('.').is_some_and(|(service, rest)| {
        !service.is_empty() && service.chars().all(is_word) && !rest.is_empty()
    })
}

/// Whether a backend may be one of these namespaces.
fn is_of(backend: &str, namespaces: &BTreeSet<&str>) -> bool {
    let ends = backend.match_indices('.').map(|(at, _)| at).chain([backend.len()]);
    ends.filter_map(|end| backend.get(..end)).any(|name| namespaces.contains(name))
}

/// A file that may say the same as a text of that length; `None`: it cannot, or there is none.
fn read(path: &Path, length: usize) -> Option<Vec<u8>> {
    let meta = fs::symlink_metadata(path).ok()?;
    // With blanks it may be longer, but not by far.
    let most = u64::try_from(length).ok()?.saturating_mul(2).saturating_add(4096);
    let may_be = meta.is_file() && meta.len() <= most;
    may_be.then(|| fs::read(path).ok()).flatten()
}

#[cfg(test)]
mod tests;
