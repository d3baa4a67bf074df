//! Files in the spool directory, one by one. Blocking.
//!
//! Daemon and command line tools write through this room, so that what one of them reads, compares
//! and writes is not changed by the other in between (hacheck.md §16.6).

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::fcntl::OFlag;
use tracing::warn;

use super::{Content, UnixTime, Wish, format};

/// A mark is a line of text; larger files are something else.
const MAX_FILE: u64 = 64 * 1024;
/// Where files are written before they get their name, and what is locked meanwhile. Programs that
/// list marks pass over directories, while any file beside the marks would be one (hacheck.md §9).
/// No service has a `~`.
pub(super) const UNFINISHED: &str = ".unfinished~";
/// Nobody takes so long to write a line.
pub(super) const ABANDONED: Duration = Duration::from_secs(60);
/// A program that was stopped while it held the lock must not keep drains waiting for long.
const LOCK_WITHIN: Duration = Duration::from_secs(1);
const LOCK_AGAIN: Duration = Duration::from_millis(2);

/// The directory.
#[derive(Debug)]
pub(crate) struct Files {
    directory: PathBuf,
    written: u64,
    /// The lock could not be had last time; it is not waited for again until it can.
    lock_is_stuck: bool,
}

/// Why a file in the directory cannot be read as a mark.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    #[error("its name is not of the form all, SVC, SVC:PORT or SVC:HOST:PORT")]
    Name,
    #[error("it is no regular file")]
    Kind,
    #[error("it is larger than 64 KiB")]
    Size,
}

impl Fault {
    /// Whether there is no such file.
    pub(crate) fn is_absence(&self) -> bool {
        matches!(self, Self::Read(error) if is_absent(error))
    }
}

impl Files {
    /// Uses `directory`, which is made if it is missing (mode 0750, not its parents).
    pub(crate) fn open(directory: &Path) -> io::Result<Self> {
        make_directory(directory, 0o750)?;
        fs::read_dir(directory)?;
        Ok(Self { directory: directory.into(), written: 0, lock_is_stuck: false })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Everything in the directory but directories, in its own order.
    pub(crate) fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            if !fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_dir()) {
                names.push(entry.file_name());
            }
        }
        Ok(names)
    }

    /// The mark in this file, if it holds. One that is void is deleted, if that is allowed.
    pub(crate) fn get(&mut self, name: &str, now: UnixTime) -> Result<Option<Content>, Fault> {
        let content = match read(&self.path(name)) {
            Ok(bytes) => format::parse(&bytes).content,
            Err(fault) if fault.is_absence() => return Ok(None),
            Err(fault) => return Err(fault),
        };
        if !content.is_expired(now) {
            return Ok(Some(content));
        }
        // Void all the same if it cannot be deleted.
        let _ = self.expire(name, now);
        Ok(None)
    }

    /// Holds something down, or renews the mark that does.
    pub(crate) fn down(&mut self, name: &str, wish: Wish, now: UnixTime) -> io::Result<()> {
        let _lock = self.lock();
        let present = self.present(name, now);
        self.replace(name, &wish.renewing(present.as_ref(), now))
    }

    /// Writes `content`. A mark that is there for the same reason and is older keeps its `creation`
    /// if `renew`; returns what was written.
    pub(super) fn write(
        &mut self,
        name: &str,
        mut content: Content,
        renew: bool,
        now: UnixTime,
    ) -> io::Result<Content> {
        let _lock = self.lock();
        if renew
            && let Some(present) = self.present(name, now)
            && present.reason == content.reason
            && present.creation.is_some_and(|since| content.creation.is_none_or(|own| since < own))
        {
            content.creation = present.creation;
        }
        self.replace(name, &content)?;
        Ok(content)
    }

    /// Removes a file; a missing one is no error.
    pub(crate) fn remove(&mut self, name: &str) -> io::Result<()> {
        let _lock = self.lock();
        self.unlink(name)
    }

    /// Removes a file whose mark is void, but not one that somebody has written since.
    pub(super) fn expire(&mut self, name: &str, now: UnixTime) -> io::Result<()> {
        let _lock = self.lock();
        if self.present(name, now).is_some() {
            return Ok(());
        }
        self.unlink(name)
    }

    /// Removes what a crash has left half written, but not what another program writes just now.
    pub(super) fn clear_unfinished(&self) {
        let Ok(entries) = fs::read_dir(self.path(UNFINISHED)) else { return };
        for entry in entries.flatten() {
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            let age = modified.ok().and_then(|modified| modified.elapsed().ok());
            if age.is_some_and(|age| age > ABANDONED) {
                // It is in nobody's way; the next start tries again.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn present(&self, name: &str, now: UnixTime) -> Option<Content> {
        let content = format::parse(&read(&self.path(name)).ok()?).content;
        (!content.is_expired(now)).then_some(content)
    }

    /// Readers see the old file or the new one, and a crash loses neither.
    fn replace(&mut self, name: &str, content: &Content) -> io::Result<()> {
        let unfinished = self.unfinished()?;
        self.written += 1;
        let temporary = unfinished.join(format!("{}-{}", std::process::id(), self.written));
        let written = write_synced(&temporary, format::write(content).as_bytes())
            .and_then(|()| fs::rename(&temporary, self.path(name)));
        if written.is_err() {
            // The disk has just refused; what matters is reported below.
            let _ = fs::remove_file(&temporary);
        }
        written.and_then(|()| self.sync())
    }

    fn unlink(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.path(name)) {
            // Without the directory there is no file either.
            Err(error) if is_absent(&error) => Ok(()),
            Err(error) => Err(error),
            Ok(()) => self.sync(),
        }
    }

    /// The directory for unfinished files; whoever may write marks may write there.
    fn unfinished(&self) -> io::Result<PathBuf> {
        let path = self.path(UNFINISHED);
        if !path.is_dir() {
            let spool = fs::metadata(&self.directory)?;
            make_directory(&path, spool.mode() & 0o777)?;
            // Refused to those who are not in the group: then it is their own directory anyway.
            let _ = fs::set_permissions(&path, fs::Permissions::from_mode(spool.mode() & 0o7777));
            let _ = std::os::unix::fs::chown(&path, None, Some(spool.gid()));
        }
        Ok(path)
    }

    /// Keeps other programs that know the lock from changing marks until the result is dropped.
    ///
    /// `None` if it cannot be had: what is written is whole all the same, and a mark must be set even
    /// beside a program that hangs.
    fn lock(&mut self) -> Option<File> {
        let directory = File::open(self.unfinished().ok()?).ok()?;
        let patience = if self.lock_is_stuck { Duration::ZERO } else { LOCK_WITHIN };
        let end = Instant::now() + patience;
        loop {
            if directory.try_lock().is_ok() {
                self.lock_is_stuck = false;
                return Some(directory);
            }
            if Instant::now() >= end {
                break;
            }
            #[expect(clippy::disallowed_methods, reason = "this thread does nothing else")]
            std::thread::sleep(LOCK_AGAIN);
        }
        if !self.lock_is_stuck {
            let held = self.path(UNFINISHED);
            warn!(lock = %held.display(), "another program holds the lock on marks; going on");
        }
        self.lock_is_stuck = true;
        None
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }
}

/// The bytes of a mark file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    // It may have become a pipe since its metadata was read; that must not block.
    let flags = OFlag::O_NONBLOCK.bits();
    let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(Fault::Kind);
    }
    let mut content = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_FILE { Err(Fault::Size) } else { Ok(content) }
}

fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    match fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
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
