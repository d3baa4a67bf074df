//! `/etc/paasta/*.json`: the system configuration, merged from all files (marathon-sync.md §1).

mod deployd;
mod followed;
mod settings;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use self::{
    deployd::Deployd,
    followed::{Followed, Look},
    settings::{LogWriter, MarathonServer, NotConfigured, Secret, Settings, Volume},
};
use crate::{
    Cluster,
    fields::{Fields, Input},
    file::{self, FileError, Problem},
    json,
    yaml::{Fault, Map, Node, Value},
};

/// Where PaaSTA keeps its system configuration.
pub const DEFAULT_DIR: &str = "/etc/paasta";
/// The environment variable that names another directory.
pub const DIR_VARIABLE: &str = "PAASTA_SYSTEM_CONFIG_DIR";

/// More files than any fleet has; a directory named by mistake does not fill the memory.
const MAX_FILES: usize = 1000;

/// The system configuration of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemConfig {
    /// `cluster`: which `marathon-<cluster>.yaml` counts here.
    pub cluster: Option<Cluster>,
    /// `register_marathon_services`, default true (nerve.md §7.3).
    pub register_marathon_services: bool,
    /// The files that were read, in the order in which they count.
    pub files: Vec<PathBuf>,
    /// Files that may not be read; PaaSTA passes over them in silence.
    pub unread: Vec<Problem>,
    /// All keys, merged. [`Settings`] has them as types.
    pub merged: Map,
    /// What the files say, for messages.
    texts: Vec<(PathBuf, Arc<str>, Node)>,
}

/// Reads and merges every `*.json` below `dir`, later paths over earlier ones.
///
/// `None`: there is no such directory, so this is not a PaaSTA host.
///
/// # Errors
/// When a directory cannot be listed, a file is no JSON object, or a key has a value of the wrong
/// kind. What was known before stays true then: [`Followed`] sees to it.
pub fn load(dir: &Path) -> Result<Option<SystemConfig>, FileError> {
    let Some(mut files) = json_files(dir)? else { return Ok(None) };
    // By the bytes of the whole path: `a-b.json` comes before `a/b.json`.
    files.sort_unstable_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    let mut config = SystemConfig::empty();
    for file in files {
        match read(&file) {
            Ok((text, node)) => config.add(file, text, node)?,
            Err(error) if is_forbidden(&error) => config.unread.push(Problem::from(&error)),
            Err(error) => return Err(error),
        }
    }
    config.check()?;
    Ok(Some(config))
}

fn read(file: &Path) -> Result<(String, Node), FileError> {
    let text = file::read(file)?;
    match json::parse(&text) {
        Ok(node) => Ok((text, node)),
        Err(fault) => Err(FileError::fault(file, &text, &fault)),
    }
}

impl SystemConfig {
    fn empty() -> Self {
        Self {
            cluster: None,
            register_marathon_services: true,
            files: Vec::new(),
            unread: Vec::new(),
            merged: Map::default(),
            texts: Vec::new(),
        }
    }

    fn add(&mut self, file: PathBuf, text: String, node: Node) -> Result<(), FileError> {
        match node.as_map() {
            Some(map) => self.merged.merge(map),
            None => return Err(invalid(&file, "expected a JSON object".to_owned())),
        }
        self.files.push(file.clone());
        self.texts.push((file, text.into(), node));
        Ok(())
    }

    /// Reads what the agent needs; the rest is read by whoever needs it.
    fn check(&mut self) -> Result<(), FileError> {
        (self.cluster, self.register_marathon_services) = self.read(|fields| {
            let cluster = fields.read("cluster", |input| match &input.node.value {
                Value::Text(name) => {
                    name.parse().map_err(|error| Fault::new(input.node.span, format!("{error}")))
                }
                _ => Err(input.expected("a text")),
            });
            let registers = fields.read("register_marathon_services", Input::boolean);
            (cluster, registers.unwrap_or(true))
        })?;
        Ok(())
    }

    /// Reads keys of the merged map. A fault is shown in the last file that says its key.
    fn read<T>(&self, read: impl FnOnce(&mut Fields<'_>) -> T) -> Result<T, FileError> {
        let merged = Node::made(self.merged.clone());
        let mut fields = Fields::of_map(&merged, &self.merged);
        let value = read(&mut fields);
        match fields.finish_with_key() {
            Ok(()) => Ok(value),
            Err((key, fault)) => {
                let says = |(_, _, node): &&(PathBuf, Arc<str>, Node)| {
                    node.as_map().is_some_and(|map| map.get(&key).is_some())
                };
                let fault = Fault { message: format!("{key}: {}", fault.message), ..fault };
                Err(match self.texts.iter().rev().find(says) {
                    Some((file, text, _)) => FileError::fault(file, text, &fault),
                    None => invalid(Path::new(DEFAULT_DIR), fault.message),
                })
            }
        }
    }
}

fn invalid(file: &Path, reason: String) -> FileError {
    FileError::Invalid { file: file.to_owned(), reason }
}

fn is_forbidden(error: &FileError) -> bool {
    matches!(error, FileError::Read { source, .. }
        if source.kind() == io::ErrorKind::PermissionDenied)
}

/// Finds the files below `dir`. Links to files count, links to directories do not.
fn json_files(dir: &Path) -> Result<Option<Vec<PathBuf>>, FileError> {
    let mut files = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(current) = dirs.pop() {
        let cannot_read = |source| FileError::Read { file: current.clone(), source };
        let entries = match fs::read_dir(&current) {
            Err(error) if current == dir && error.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            entries => entries.map_err(cannot_read)?,
        };
        for entry in entries {
            let entry = entry.map_err(cannot_read)?;
            let path = entry.path();
            if entry.file_type().map_err(cannot_read)?.is_dir() {
                dirs.push(path);
            } else if is_json(&path) {
                files.push(path);
            }
        }
        if files.len() + dirs.len() > MAX_FILES {
            return Err(invalid(dir, format!("expected at most {MAX_FILES} files")));
        }
    }
    Ok(Some(files))
}

/// In doubt yes: what is wrong shows when the file is read.
fn is_json(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b".json")
        && match file::existing(fs::metadata(path)) {
            Ok(target) => target.is_some_and(|meta| meta.is_file()),
            Err(_) => true,
        }
}

#[cfg(test)]
mod tests;
