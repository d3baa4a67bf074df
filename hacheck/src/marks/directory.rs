//! Wakes the keeper when something changes in the spool directory.
//!
//! Marks of other programs then hold within milliseconds. If the kernel has no watches left, the
//! regular reading still finds them.

use std::{path::PathBuf, sync::Arc};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher, event::ModifyKind};
use tokio::sync::Notify;
use tracing::{info, warn};

/// Notified after changes; many of them may cause one notification.
#[derive(Clone, Debug, Default)]
pub(super) struct Signals {
    /// Somebody may still be writing.
    pub(super) writing: Arc<Notify>,
    /// A file is as it is to be: gone, or under its name at last.
    pub(super) complete: Arc<Notify>,
}

#[derive(Debug)]
pub(super) struct DirectoryWatch {
    path: PathBuf,
    signals: Signals,
    /// The watcher and which directory it watches.
    watching: Option<(RecommendedWatcher, (u64, u64))>,
    failing: bool,
}

impl DirectoryWatch {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, signals: Signals::default(), watching: None, failing: false }
    }

    /// What wakes whoever follows the directory.
    pub(super) fn signals(&self) -> Signals {
        self.signals.clone()
    }

    /// Makes sure that `directory` (device and inode) is watched: it differs from the one before when
    /// somebody has replaced the directory.
    pub(super) fn follow(&mut self, directory: (u64, u64)) {
        if self.watching.as_ref().is_some_and(|(_, watched)| *watched == directory) {
            return;
        }
        let signals = self.signals.clone();
        let started = notify::recommended_watcher(move |event: notify::Result<Event>| {
            match event.as_ref().map(meaning) {
                Ok(Meaning::Nothing) => {}
                Ok(Meaning::Writing) => signals.writing.notify_one(),
                // A watcher that has lost events says so by an error.
                Ok(Meaning::Complete) | Err(_) => signals.complete.notify_one(),
            }
        })
        .and_then(|mut watcher| {
            watcher.watch(&self.path, RecursiveMode::NonRecursive).map(|()| watcher)
        });
        match started {
            Ok(watcher) => {
                if std::mem::take(&mut self.failing) {
                    info!(path = %self.path.display(), "the spool directory is watched again");
                }
                self.watching = Some((watcher, directory));
                // Whatever happened before the watch was there has woken nobody.
                self.signals.complete.notify_one();
            }
            Err(error) if !self.failing => {
                self.failing = true;
                warn!(%error, path = %self.path.display(),
                      "cannot watch the spool directory; it is read every few seconds instead");
            }
            Err(_) => {}
        }
    }
}

enum Meaning {
    Nothing,
    Writing,
    Complete,
}

/// Our own reading is an event as well (`Access`); to react to it would never end.
fn meaning(event: &Event) -> Meaning {
    match event.kind {
        EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => Meaning::Complete,
        _ if event.need_rescan() => Meaning::Complete,
        EventKind::Create(_) | EventKind::Modify(_) => Meaning::Writing,
        _ => Meaning::Nothing,
    }
}
