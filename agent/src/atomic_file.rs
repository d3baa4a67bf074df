//! Files that readers see either whole and old or whole and new.
//!
//! The functions block on the disk; call them from a blocking task.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// What the old programs wrote with: readable by all, writable by the owner.
const MODE: u32 = 0o644;

/// A file operation that failed, and on which file.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
pub struct Error {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// New content beside its final place, written and synced but not yet visible under its name.
///
/// The name is hidden and ends in `.tmp`, so that watchers of the directory leave it alone
/// (synapse.md §17.4), and no two have the same, so that one may be checked while another is
/// written. Dropping it without [`Staged::commit`] removes it; for what a killed process left there
/// is [`remove_leftovers`].
#[derive(Debug)]
pub struct Staged {
    staged: PathBuf,
    target: PathBuf,
    committed: bool,
}

impl Staged {
    /// Writes `bytes` beside `target`, making the directory if it is missing.
    ///
    /// # Errors
    /// When the directory or the file cannot be written.
    pub fn new(target: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let staged = hidden_sibling(target);
        let fail = |source| Error { path: target.to_owned(), source };
        if let Some(directory) = target.parent() {
            fs::create_dir_all(directory).map_err(fail)?;
        }
        let mut options = File::options();
        let mut file =
            options.write(true).create_new(true).mode(MODE).open(&staged).map_err(fail)?;
        let this = Self { staged, target: target.to_owned(), committed: false };
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(fail)?;
        Ok(this)
    }

    /// Where the content is for now.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.staged
    }

    /// Puts the content in its place.
    ///
    /// # Errors
    /// When the rename fails; the old content is then still there.
    pub fn commit(mut self) -> Result<(), Error> {
        let fail = |source| Error { path: self.target.clone(), source };
        fs::rename(&self.staged, &self.target).map_err(fail)?;
        // The rename itself must survive a power cut too.
        if let Some(directory) = self.target.parent() {
            File::open(directory).and_then(|d| d.sync_all()).map_err(fail)?;
        }
        self.committed = true;
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.committed {
            let _ = fs::remove_file(&self.staged);
        }
    }
}

/// Replaces the content of `path`.
///
/// # Errors
/// When the file cannot be written; the old content is then still there.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    Staged::new(path, bytes)?.commit()
}

/// Replaces the content of `path` without waiting for the disk: for what is made anew after a power
/// cut, thousands at a time. Staged as `.NAME.tmp`, so `path` must have one writer at a time.
///
/// # Errors
/// When the file cannot be written; the old content is then still there.
pub fn write_unsynced(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".tmp");
    let staged = path.with_file_name(name);
    let write = || {
        // What a killed process left, perhaps with another owner or mode.
        let _ = fs::remove_file(&staged);
        let mut options = File::options();
        let mut file = options.write(true).create_new(true).mode(MODE).open(&staged)?;
        file.write_all(bytes)?;
        fs::rename(&staged, path)
    };
    write().map_err(|source| {
        let _ = fs::remove_file(&staged);
        Error { path: path.to_owned(), source }
    })
}

/// Replaces the content of `path` unless it is `bytes` already. Says whether it wrote.
///
/// # Errors
/// When the file cannot be written; the old content is then still there.
pub fn write_if_changed(path: &Path, bytes: &[u8]) -> Result<bool, Error> {
    if fs::read(path).is_ok_and(|present| present == bytes) {
        return Ok(false);
    }
    write(path, bytes).map(|()| true)
}

/// Removes what a process that was killed had staged for `target`, and returns how many files that
/// were. For the start, while nothing is staged; what cannot be read or removed stays.
pub fn remove_leftovers(target: &Path) -> usize {
    let entries = target.parent().and_then(|directory| fs::read_dir(directory).ok());
    let names = entries.into_iter().flatten().flatten().map(|entry| entry.file_name());
    names
        .filter(|name| is_staged_for(target, name))
        .filter(|name| fs::remove_file(target.with_file_name(name)).is_ok())
        .count()
}

/// `.NAME.PID-NUMBER.tmp`.
fn hidden_sibling(target: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut name = OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(format!(".{}-{number}.tmp", std::process::id()));
    target.with_file_name(name)
}

fn is_staged_for(target: &Path, name: &OsStr) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unique = || {
        let rest = name.to_str()?.strip_prefix('.')?;
        let rest = rest.strip_prefix(target.file_name()?.to_str()?)?.strip_prefix('.')?;
        rest.strip_suffix(".tmp")?.split_once('-')
    };
    unique().is_some_and(|(pid, count)| number(pid) && number(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<OsString> {
        let mut names: Vec<_> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_write_makes_the_directory_and_leaves_nothing_beside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/synapse/haproxy.cfg");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(names(path.parent().unwrap()), ["haproxy.cfg"]);
    }

    #[test]
    fn staged_content_is_invisible_until_committed_and_gone_when_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        write(&path, b"old").unwrap();
        let staged = Staged::new(&path, b"new").unwrap();
        let name = staged.path().file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with(".a.") && name.ends_with(".tmp"), "{name}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        drop(staged);
        assert_eq!(names(dir.path()), ["a"]);
    }

    #[test]
    fn what_is_staged_at_the_same_time_for_one_file_does_not_mix() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let tested = Staged::new(&path, b"tested").unwrap();
        let trial = Staged::new(&path, b"trial").unwrap();
        assert_eq!(fs::read(tested.path()).unwrap(), b"tested");
        drop(trial);
        tested.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"tested");
        assert_eq!(names(dir.path()), ["a"]);
    }

    #[test]
    fn only_what_was_staged_for_this_file_is_a_leftover() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::mem::forget(Staged::new(&path, b"lost").unwrap());
        let foreign = [".a.1-.tmp", ".a.1-x.tmp", ".a.b.1-2.tmp", ".a.tmp", "a", "a.1-2.tmp"];
        for name in foreign {
            File::create(dir.path().join(name)).unwrap();
        }
        assert_eq!(remove_leftovers(&path), 1);
        assert_eq!(names(dir.path()), foreign);
        assert_eq!(remove_leftovers(&dir.path().join("none/such")), 0);
    }

    #[test]
    fn an_unchanged_file_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        assert!(write_if_changed(&path, b"x").unwrap());
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        assert!(!write_if_changed(&path, b"x").unwrap());
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
        assert!(write_if_changed(&path, b"y").unwrap());
    }

    #[test]
    fn what_a_killed_process_left_is_no_obstacle_to_an_unsynced_write() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        File::create(dir.path().join(".a.tmp")).unwrap().write_all(b"much longer").unwrap();
        write_unsynced(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(dir.path()), ["a"]);
        fs::create_dir(dir.path().join("b")).unwrap();
        assert!(write_unsynced(&dir.path().join("b"), b"").is_err());
        assert_eq!(names(dir.path()), ["a", "b"]);
    }

    #[test]
    fn an_error_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join("file"), b"").unwrap();
        let error = write(&dir.path().join("file/below"), b"").unwrap_err();
        assert!(error.to_string().contains("file/below"), "{error}");
    }
}
