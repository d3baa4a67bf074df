//! The directory that holds one file for each mark. Blocking; runs on a thread of its own.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use tracing::info;

use super::{Fault, Files, Mark, MarkKey, UnixTime, files, format};

/// Bounds memory and the length of a reading.
pub(super) const MAX_MARKS: usize = 100_000;
/// Faults reported of one reading; a directory full of other files must not flood the log.
const MAX_FAULTS: usize = 100;
/// A file that has been left alone for so many seconds is not read again while its metadata is the
/// same. Kernels stamp files by a coarse clock, so two writes in a row can look like one.
const SETTLED_SECONDS: f64 = 2.0;

/// The directory and what was found in it last time.
#[derive(Debug)]
pub(super) struct Spool {
    files: Files,
    known: HashMap<String, Known>,
}

/// One file as last read.
#[derive(Clone, Debug)]
struct Known {
    stamp: Stamp,
    mark: Arc<Mark>,
    fault: Option<&'static str>,
}

/// Changes whenever the content of a file does, except within one tick of the kernel's clock.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// What a reading found.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) marks: HashMap<MarkKey, Arc<Mark>>,
    /// By file name, what is wrong with the file.
    pub(super) faults: BTreeMap<String, String>,
    /// Which directory was read; it changes when somebody replaces the directory.
    pub(super) directory: (u64, u64),
}

impl Spool {
    /// Uses `directory`, which is made if it is missing (mode 0750, not its parents).
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        let files = Files::open(directory)?;
        files.clear_unfinished();
        Ok(Self { files, known: HashMap::new() })
    }

    /// The file of `key`.
    pub(super) fn path(&self, key: &MarkKey) -> PathBuf {
        self.files.path(&key.to_string())
    }

    /// Writes `mark` as it should be with what is there; see [`Files::write`].
    pub(super) fn write(&mut self, mark: &Mark, renews: bool) -> io::Result<Mark> {
        let name = mark.key.to_string();
        let written = self.files.write(&name, mark.content(), renews, UnixTime::now())?;
        Ok(Mark::of(mark.key.clone(), written))
    }

    /// Removes the file of `key`; a missing file is no error.
    pub(super) fn remove(&mut self, key: &MarkKey) -> io::Result<()> {
        self.files.remove(&key.to_string())
    }

    /// Reads all marks, and deletes the files of those that have expired.
    pub(super) fn read(&mut self, now: UnixTime) -> io::Result<Reading> {
        let metadata = fs::metadata(self.files.directory())?;
        let mut reading =
            Reading { directory: (metadata.dev(), metadata.ino()), ..Reading::default() };
        let mut known = HashMap::new();
        for entry in fs::read_dir(self.files.directory())? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if reading.marks.len() >= MAX_MARKS {
                reading.faults.insert(name, "there are too many marks".into());
                break;
            }
            match self.read_file(&name, now) {
                Ok(Some(file)) if file.mark.is_expired(now) => self.expire(&file.mark, now),
                Ok(Some(file)) => {
                    reading.take(&name, &file);
                    known.insert(name, file);
                }
                Ok(None) => {}
                Err(fault) => reading.take_fault(name, &fault),
            }
        }
        self.known = known;
        Ok(reading)
    }

    /// `None` for a directory.
    fn read_file(&self, name: &str, now: UnixTime) -> Result<Option<Known>, Fault> {
        let path = self.files.path(name);
        let metadata = fs::metadata(&path)?;
        if metadata.is_dir() {
            return Ok(None);
        }
        let key: MarkKey = name.parse().map_err(|_| Fault::Name)?;
        if !metadata.is_file() {
            return Err(Fault::Kind);
        }
        let stamp = Stamp::of(&metadata);
        let before = self.known.get(name);
        if let Some(known) = before.filter(|known| known.stamp == stamp && stamp.is_settled(now)) {
            return Ok(Some(known.clone()));
        }
        let content = files::read(&path)?;
        if content.is_empty() && !stamp.is_settled(now) {
            // Older programs empty a file before they write it, and an empty mark reads as one that
            // is long safe to kill (hacheck.md §16.6). The end of their writing wakes us again.
            if let Some(known) = before {
                return Ok(Some(known.clone()));
            }
        }
        let format::Parsed { content, fault } = format::parse(&content);
        let mark = Mark::of(key, content);
        let unchanged = before.map(|known| &known.mark).filter(|known| ***known == mark);
        let mark = unchanged.map_or_else(|| Arc::new(mark), Arc::clone);
        Ok(Some(Known { stamp, mark, fault }))
    }

    fn expire(&mut self, mark: &Mark, now: UnixTime) {
        // If it cannot be deleted it is void all the same, and the next reading tries again.
        if self.files.expire(&mark.key.to_string(), now).is_ok() {
            info!(mark = %mark.key, reason = %mark.reason.escape_debug(), "mark has expired");
        }
    }
}

impl Reading {
    fn take(&mut self, name: &str, file: &Known) {
        if let Some(fault) = file.fault {
            self.faults.insert(name.to_owned(), fault.into());
        }
        self.marks.insert(file.mark.key.clone(), Arc::clone(&file.mark));
    }

    fn take_fault(&mut self, name: String, fault: &Fault) {
        // A file that was removed meanwhile, or a dangling link: no mark (hacheck.md §9).
        if !fault.is_absence() && self.faults.len() < MAX_FAULTS {
            self.faults.insert(name, fault.to_string());
        }
    }
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    fn is_settled(&self, now: UnixTime) -> bool {
        // Whole seconds are exact enough, and exact in a float for some million years.
        #[allow(clippy::cast_precision_loss)]
        let changed = self.changed.0 as f64;
        changed + 1.0 + SETTLED_SECONDS < now.seconds()
    }
}

#[cfg(test)]
mod tests;
