//! `/etc/paasta/*.json`: the system configuration, merged from all files (marathon-sync.md §1).

mod followed;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

pub use self::followed::{Followed, Look};
use crate::{
    Cluster,
    file::{self, FileError, Problem},
};

/// Where PaaSTA keeps its system configuration.
pub const DEFAULT_DIR: &str = "/etc/paasta";
/// The environment variable that names another directory.
pub const DIR_VARIABLE: &str = "PAASTA_SYSTEM_CONFIG_DIR";

/// More files than any fleet has; a directory named by mistake does not fill the memory.
const MAX_FILES: usize = 1000;

/// The keys that are used, checked.
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
    let mut merged = Map::new();
    let mut read = Vec::new();
    let mut unread = Vec::new();
    for file in files {
        match file::read_json::<Value>(&file) {
            Ok(Value::Object(object)) => merge(&mut merged, object),
            Ok(_) => return Err(invalid(&file, "expected a JSON object".to_owned())),
            Err(error) if is_forbidden(&error) => {
                unread.push(Problem::from(&error));
                continue;
            }
            Err(error) => return Err(error),
        }
        read.push(file);
    }
    let (cluster, register_marathon_services) =
        check(&merged).map_err(|reason| invalid(dir, reason))?;
    Ok(Some(SystemConfig { cluster, register_marathon_services, files: read, unread }))
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

/// Objects merge key by key; anything else replaces (marathon-sync.md §1.1).
fn merge(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Object(old)), Value::Object(new)) => merge(old, new),
            (Some(old), new) => *old = new,
            (None, new) => {
                into.insert(key, new);
            }
        }
    }
}

fn check(merged: &Map<String, Value>) -> Result<(Option<Cluster>, bool), String> {
    let cluster = match merged.get("cluster") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) => Some(name.parse().map_err(|e| format!("cluster: {e}"))?),
        Some(_) => return Err("cluster: expected a text".to_owned()),
    };
    let register_marathon_services = match merged.get("register_marathon_services") {
        None | Some(Value::Null) => true,
        Some(Value::Bool(wanted)) => *wanted,
        Some(_) => return Err("register_marathon_services: expected true or false".to_owned()),
    };
    Ok((cluster, register_marathon_services))
}

#[cfg(test)]
mod tests;
