//! The directory that holds one file for each mark. Blocking; runs on a thread of its own.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use nix::fcntl::OFlag;
use tracing::info;

use super::{Mark, MarkKey, UnixTime, format};

/// A mark is a line of text; larger files are something else.
const MAX_FILE: u64 = 64 * 1024;
/// Bounds memory and the length of a reading.
pub(super) const MAX_MARKS: usize = 100_000;
/// Faults reported of one reading; a directory full of other files must not flood the log.
const MAX_FAULTS: usize = 100;
/// Where files are written before they get their name. Programs that list marks pass over
/// directories, while any file beside the marks would be one (hacheck.md §9). No service has a `~`.
const UNFINISHED: &str = ".unfinished~";
/// A file that has been left alone for so many seconds is not read again while its metadata is the
/// same. Kernels stamp files by a coarse clock, so two writes in a row can look like one.
const SETTLED_SECONDS: f64 = 2.0;
/// Nobody takes so long to write a line.
const ABANDONED: Duration = Duration::from_secs(60);

/// The directory and what was found in it last time.
#[derive(Debug)]
pub(super) struct Spool {
    directory: PathBuf,
    known: HashMap<String, Known>,
    written: u64,
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
        match fs::DirBuilder::new().mode(0o750).create(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        fs::read_dir(directory)?;
        let spool = Self { directory: directory.into(), known: HashMap::new(), written: 0 };
        spool.clear_unfinished();
        Ok(spool)
    }

    /// The file of `key`.
    pub(super) fn path(&self, key: &MarkKey) -> PathBuf {
        self.directory.join(key.to_string())
    }

    /// Writes `mark` so that readers see the old file or the new one, and a crash loses neither
    /// (hacheck.md §16.6).
    pub(super) fn write(&mut self, mark: &Mark) -> io::Result<()> {
        let unfinished = self.directory.join(UNFINISHED);
        match fs::DirBuilder::new().mode(0o750).create(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        self.written += 1;
        let temporary = unfinished.join(format!("{}-{}", std::process::id(), self.written));
        let written = write_synced(&temporary, format::write(mark).as_bytes())
            .and_then(|()| fs::rename(&temporary, self.path(&mark.key)));
        if written.is_err() {
            // The disk has just refused; what matters is reported below.
            let _ = fs::remove_file(&temporary);
        }
        written.and_then(|()| self.sync())
    }

    /// Removes the file of `key`; a missing file is no error.
    pub(super) fn remove(&self, key: &MarkKey) -> io::Result<()> {
        match fs::remove_file(self.path(key)) {
            // Without the directory there is no file either.
            Err(error) if is_absent(&error) => Ok(()),
            Err(error) => Err(error),
            Ok(()) => self.sync(),
        }
    }

    /// Reads all marks, and deletes the files of those that have expired.
    pub(super) fn read(&mut self, now: UnixTime) -> io::Result<Reading> {
        let metadata = fs::metadata(&self.directory)?;
        let mut reading =
            Reading { directory: (metadata.dev(), metadata.ino()), ..Reading::default() };
        let mut known = HashMap::new();
        for entry in fs::read_dir(&self.directory)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if reading.marks.len() >= MAX_MARKS {
                reading.faults.insert(name, "there are too many marks".into());
                break;
            }
            match self.read_file(&name, now) {
                Ok(Some(file)) if file.mark.is_expired(now) => self.expire(&file.mark),
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
        let path = self.directory.join(name);
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
        let content = read_bounded(&path)?;
        if content.is_empty() && !stamp.is_settled(now) {
            // Older programs empty a file before they write it, and an empty mark reads as one that
            // is long safe to kill (hacheck.md §16.6). The end of their writing wakes us again.
            if let Some(known) = before {
                return Ok(Some(known.clone()));
            }
        }
        let format::Parsed { mark, fault } = format::parse(key, &content);
        let unchanged = before.map(|known| &known.mark).filter(|known| ***known == mark);
        let mark = unchanged.map_or_else(|| Arc::new(mark), Arc::clone);
        Ok(Some(Known { stamp, mark, fault }))
    }

    fn expire(&self, mark: &Mark) {
        // If it cannot be deleted it is void all the same, and the next reading tries again.
        if self.remove(&mark.key).is_ok() {
            info!(mark = %mark.key, reason = ?mark.reason, "mark has expired");
        }
    }

    fn sync(&self) -> io::Result<()> {
        fs::File::open(&self.directory)?.sync_all()
    }

    /// Removes what a crash has left half written, but not what another program writes just now.
    fn clear_unfinished(&self) {
        let Ok(entries) = fs::read_dir(self.directory.join(UNFINISHED)) else { return };
        for entry in entries.flatten() {
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            let age = modified.ok().and_then(|modified| modified.elapsed().ok());
            if age.is_some_and(|age| age > ABANDONED) {
                // It is in nobody's way; the next start tries again.
                let _ = fs::remove_file(entry.path());
            }
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
        let is_gone = matches!(fault, Fault::Read(error) if is_absent(error));
        if !is_gone && self.faults.len() < MAX_FAULTS {
            self.faults.insert(name, fault.to_string());
        }
    }
}

/// Why a file in the directory is no mark.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    #[error("its name is not of the form all, SVC, SVC:PORT or SVC:HOST:PORT")]
    Name,
    #[error("it is no regular file")]
    Kind,
    #[error("it is larger than 64 KiB")]
    Size,
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

fn read_bounded(path: &Path) -> Result<Vec<u8>, Fault> {
    // The file may have become a pipe since its metadata was read; that must not block.
    let flags = OFlag::O_NONBLOCK.bits();
    let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let mut content = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_FILE { Err(Fault::Size) } else { Ok(content) }
}

fn write_synced(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    file.write_all(content)?;
    // Other users' tools read marks, whatever our umask.
    file.set_permissions(fs::Permissions::from_mode(0o644))?;
    file.sync_all()
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests;
