//! Marks: someone's word that a host, service or instance is down, kept as files in a spool directory
//! (hacheck.md §9).
//!
//! [`Marks`] is the handle that everyone shares; [`Keeper`] is the task behind it. Other programs
//! may write and delete files in the directory at any time; the table follows.

mod directory;
mod disk;
mod files;
mod format;
mod held;
mod keeper;
mod key;
mod ledger;
mod mark;
mod spool;
mod table;
mod time;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    task,
    time::{Instant, timeout_at},
};

pub use self::{
    disk::MarkError,
    keeper::Keeper,
    key::{InvalidMarkKey, MarkKey},
    mark::{Mark, Wish},
    table::MarkTable,
    time::{InvalidTime, UnixTime},
};
pub(crate) use self::{
    files::{Fault, Files},
    mark::Content,
};
use self::{
    held::Held,
    keeper::Command,
    spool::{Reading, Spool},
};
use crate::names::Host;

/// PaaSTA gives up reading after 10 s; it should rather hear that the disk is slow.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Changes that wait for the keeper, which never blocks; more means that something is badly wrong.
const MAX_COMMANDS: usize = 256;

/// Why the spool directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {} for marks", path.display())]
pub struct OpenError {
    path: PathBuf,
    source: io::Error,
}

/// The marks of this host; cheap to clone.
#[derive(Clone, Debug)]
pub struct Marks {
    commands: mpsc::Sender<Command>,
    table: watch::Receiver<Arc<MarkTable>>,
    held: Arc<watch::Sender<Arc<Held>>>,
}

impl Marks {
    /// Reads all marks of `directory`, which is made if it is missing. Marks found are in force when
    /// this returns; the [`Keeper`] has to run for anything to change after that.
    ///
    /// # Errors
    /// The directory cannot be made or read. It need not be writable.
    pub async fn open(directory: &Path) -> Result<(Self, Keeper), OpenError> {
        let path = directory.to_owned();
        let opened = task::spawn_blocking(move || open_spool(&path)).await;
        let (spool, first) = opened
            .map_err(io::Error::other)
            .flatten()
            .map_err(|source| OpenError { path: directory.to_owned(), source })?;
        let (commands, next_command) = mpsc::channel(MAX_COMMANDS);
        let (published, table) = watch::channel(Arc::default());
        let (held, holds) = watch::channel(Arc::default());
        let keeper =
            Keeper::new(directory.to_owned(), spool, first, published, next_command, holds);
        Ok((Self { commands, table, held: Arc::new(held) }, keeper))
    }

    /// The marks in force now.
    #[must_use]
    pub fn table(&self) -> Arc<MarkTable> {
        Arc::clone(&self.table.borrow())
    }

    /// Tells of every change.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<MarkTable>> {
        self.table.clone()
    }

    /// The mark that holds an instance down now; see [`MarkTable::lookup`].
    #[must_use]
    pub fn lookup(&self, service: &str, port: u16, host: Host) -> Option<Arc<Mark>> {
        let table = self.table.borrow();
        if table.is_empty() {
            return None;
        }
        table.lookup(service, port, host, UnixTime::now()).map(Arc::clone)
    }

    /// Holds exactly these down in memory, each for its reason, until the next call or the end of the
    /// process. A mark on disk for the same key goes before it.
    pub fn hold(&self, reasons: BTreeMap<MarkKey, String>) {
        self.held.send_if_modified(|held| {
            let next = held::renewed(held, reasons, UnixTime::now());
            let changed = **held != next;
            *held = Arc::new(next);
            changed
        });
    }

    /// Holds something down, or renews the mark that does. Returns when the mark is on disk.
    ///
    /// # Errors
    /// With [`MarkError::Write`] and [`MarkError::Slow`] the mark is in force nevertheless and is
    /// written as soon as the disk allows.
    pub async fn set(&self, key: MarkKey, wish: Wish) -> Result<(), MarkError> {
        self.ask(|reply| Command::Set(key, wish, reply)).await
    }

    /// Removes a mark. Returns when its file is gone; a mark that is not there is no error.
    ///
    /// # Errors
    /// The mark stays in force if its file cannot be removed.
    pub async fn remove(&self, key: MarkKey) -> Result<(), MarkError> {
        self.ask(|reply| Command::Remove(key, None, reply)).await
    }

    /// Removes a mark unless it was made at or after `then`, perhaps a moment ago by somebody else.
    ///
    /// # Errors
    /// As for [`Self::remove`].
    pub async fn remove_older(&self, key: MarkKey, then: UnixTime) -> Result<(), MarkError> {
        self.ask(|reply| Command::Remove(key, Some(then), reply)).await
    }

    async fn ask(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<(), MarkError>>) -> Command,
    ) -> Result<(), MarkError> {
        let (reply, answer) = oneshot::channel();
        let deadline = Instant::now() + ANSWER_WITHIN;
        match timeout_at(deadline, self.commands.send(command(reply))).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(MarkError::Stopped),
            Err(_) => return Err(MarkError::Busy),
        }
        match timeout_at(deadline, answer).await {
            Ok(answered) => answered.unwrap_or(Err(MarkError::Stopped)),
            Err(_) => Err(MarkError::Slow),
        }
    }
}

fn open_spool(directory: &Path) -> io::Result<(Spool, Reading)> {
    let mut spool = Spool::open(directory)?;
    let first = spool.read(UnixTime::now())?;
    Ok((spool, first))
}

#[cfg(test)]
mod tests;
