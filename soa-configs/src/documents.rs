//! All documents of soa-configs, kept up to date file by file.
//!
//! Only files that changed are parsed again. A file that became broken keeps its last good state, and
//! the others go on; one that is suddenly gone or empty is believed at the second look, as in
//! [`crate::tree`].

mod follow;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use self::follow::Follower;
use crate::{
    file::{self, FileError, Problem},
    json,
    tree::{self, Unreadable},
    watched::{Trust, Watched},
    yaml::{self, Node},
};

/// A file as it was last understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    pub file: PathBuf,
    /// For messages: what the places in [`Self::node`] mean.
    pub text: Arc<str>,
    /// What it says. Of `port` and `vip`, the whole text.
    pub node: Node,
}

impl Default for Document {
    fn default() -> Self {
        Self { file: PathBuf::new(), text: "".into(), node: Node::made(yaml::Value::Null) }
    }
}

impl Document {
    /// # Errors
    /// When the text is not what the name of the file promises.
    pub fn parse(file: &Path, text: &str) -> Result<Self, FileError> {
        let extension = file.extension().and_then(|extension| extension.to_str());
        let node = match extension {
            Some("yaml") => yaml::parse(text),
            Some("json") => json::parse(text),
            _ => Ok(Node::made(text.trim())),
        };
        let node = node.map_err(|fault| FileError::fault(file, text, &fault))?;
        Ok(Self { file: file.to_owned(), text: text.into(), node })
    }
}

/// The files of one service.
#[derive(Debug, Default)]
pub struct ServiceDocuments {
    dir: PathBuf,
    files: BTreeMap<String, Watched<Document>>,
    /// A directory of it cannot be listed, so there may be files of which nothing is known.
    unlisted: Option<Problem>,
}

/// All files of a soa-configs directory.
#[derive(Debug)]
pub struct Documents {
    soa_dir: PathBuf,
    services: BTreeMap<String, ServiceDocuments>,
}

/// What one look found.
#[derive(Debug, Default)]
pub struct Look {
    /// How many files were read; the others had not changed.
    pub files_read: usize,
    /// Files that are suddenly gone or empty. The next look is believed if it sees the same, so it has
    /// to come a second later and not at once.
    pub doubts: Vec<Problem>,
}

impl Documents {
    /// Nothing is known before the first look.
    #[must_use]
    pub fn new(soa_dir: impl Into<PathBuf>) -> Self {
        Self { soa_dir: soa_dir.into(), services: BTreeMap::new() }
    }

    #[must_use]
    pub fn soa_dir(&self) -> &Path {
        &self.soa_dir
    }

    /// Looks at all services. Reads files, so it may block.
    ///
    /// # Errors
    /// When the directory cannot be listed: all that was known stands.
    pub fn refresh(&mut self) -> Result<Look, Unreadable> {
        self.look(Trust::SecondLook)
    }

    fn look(&mut self, trust: Trust) -> Result<Look, Unreadable> {
        let listed = tree::list(&self.soa_dir)
            .map_err(|source| Unreadable { dir: self.soa_dir.clone(), source })?;
        let known = self.services.keys().cloned();
        let names: BTreeSet<String> = listed
            .into_iter()
            .map(|name| name.to_string_lossy().into_owned())
            .chain(known)
            .collect();
        let mut all = Look::default();
        for name in names {
            let look = self.look_at_service(&name, trust);
            all.files_read += look.files_read;
            all.doubts.extend(look.doubts);
        }
        Ok(all)
    }

    /// Looks at one service, of which a hint says that it changed.
    pub fn refresh_service(&mut self, name: &str) -> Look {
        self.look_at_service(name, Trust::SecondLook)
    }

    fn look_at_service(&mut self, name: &str, trust: Trust) -> Look {
        let dir = self.soa_dir.join(name);
        let service = self.services.entry(name.to_owned()).or_default();
        let look = service.look(&dir, trust);
        if service.files.is_empty() && service.unlisted.is_none() {
            self.services.remove(name);
        }
        look
    }

    /// The services that have files, or of which it is not known, by name.
    pub fn services(&self) -> impl Iterator<Item = (&str, &ServiceDocuments)> {
        self.services.iter().map(|(name, service)| (name.as_str(), service))
    }

    #[must_use]
    pub fn service(&self, name: &str) -> Option<&ServiceDocuments> {
        self.services.get(name)
    }

    /// One service, without the others. Of one that is not there nothing is known.
    #[must_use]
    pub fn into_service(mut self, name: &str) -> ServiceDocuments {
        self.services.remove(name).unwrap_or_default()
    }

    /// Files that are broken now; what they said before still counts.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.services.values().flat_map(ServiceDocuments::problems)
    }
}

impl ServiceDocuments {
    /// The file with this name below the service's directory, as `service.yaml` or `secrets/a.json`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Document> {
        self.files.get(name)?.good.as_ref()
    }

    /// All files that were understood at least once, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Document)> {
        let files = self.files.iter();
        files.filter_map(|(name, watched)| Some((name.as_str(), watched.good.as_ref()?)))
    }

    /// The cluster names of files of a kind, as `marathon`. Only lower-case names count
    /// (marathon-sync.md §2): others are targets of links.
    pub fn clusters(&self, kind: &str) -> impl Iterator<Item = (&str, &Document)> {
        self.iter().filter_map(move |(name, document)| {
            let cluster = name.strip_prefix(kind)?.strip_prefix('-')?.strip_suffix(".yaml")?;
            let allowed =
                |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b);
            cluster.bytes().all(allowed).then_some((cluster, document))
        })
    }

    /// Files that are broken now, and directories that cannot be listed.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        let files = self.files.values().filter_map(|watched| watched.problem.as_ref());
        self.unlisted.iter().chain(files)
    }

    /// What is wrong with a file as it is now.
    #[must_use]
    pub fn problem(&self, name: &str) -> Option<&Problem> {
        self.files.get(name)?.problem.as_ref()
    }

    fn doubts(&self) -> usize {
        self.files.values().filter(|watched| watched.doubt().is_some()).count()
    }

    /// The directory of the service.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn look(&mut self, dir: &Path, trust: Trust) -> Look {
        dir.clone_into(&mut self.dir);
        let mut names: BTreeSet<String> = self.files.keys().cloned().collect();
        // What is there cannot be known then; what is known to be there can be looked at.
        self.unlisted = list(dir, &mut names).err().map(|error| error.problem());
        let mut look = Look::default();
        for name in names {
            let file = dir.join(&name);
            let watched = self.files.entry(name).or_default();
            look.files_read += watched.look(file, trust, Document::parse);
            look.doubts.extend(watched.doubt());
        }
        self.files.retain(|_, watched| !watched.is_gone());
        look
    }
}

/// Adds the names of the files that the tools read.
///
/// # Errors
/// A directory that cannot be listed; what can be is added all the same.
fn list(dir: &Path, names: &mut BTreeSet<String>) -> Result<(), Unreadable> {
    let mut secrets = Ok(());
    for name in entries(dir)? {
        if name.ends_with(".yaml") || matches!(name.as_str(), "deployments.json" | "port" | "vip") {
            names.insert(name);
        } else if name == "secrets" {
            let found = entries(&dir.join(&name));
            secrets = found.map(|found| {
                let found = found.into_iter().filter(|name| name.ends_with(".json"));
                names.extend(found.map(|name| format!("secrets/{name}")));
            });
        }
    }
    secrets
}

/// The names in a directory; none if it is not there, or something else is.
fn entries(dir: &Path) -> Result<Vec<String>, Unreadable> {
    let listed = fs::read_dir(dir).and_then(|entries| {
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    });
    match listed {
        Err(error) if file::is_missing(&error) => Ok(Vec::new()),
        listed => listed.map_err(|source| Unreadable { dir: dir.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests;
