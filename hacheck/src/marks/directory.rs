//! Wakes the keeper when something changes in the spool directory.
//!
//! Marks of other programs then hold within milliseconds. If the kernel has no watches left, the
//! regular reading still finds them.

use std::{path::PathBuf, sync::Arc};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tracing::{info, warn};

#[derive(Debug)]
pub(super) struct DirectoryWatch {
    path: PathBuf,
    changed: Arc<Notify>,
    /// The watcher and which directory it watches.
    watching: Option<(RecommendedWatcher, (u64, u64))>,
    failing: bool,
}

impl DirectoryWatch {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, changed: Arc::default(), watching: None, failing: false }
    }

    /// Notified after changes; many of them may cause one notification.
    pub(super) fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }

    /// Makes sure that `directory` (device and inode) is watched: it differs from the one before when
    /// somebody has replaced the directory.
    pub(super) fn follow(&mut self, directory: (u64, u64)) {
        if self.watching.as_ref().is_some_and(|(_, watched)| *watched == directory) {
            return;
        }
        let changed = Arc::clone(&self.changed);
        let started = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // A watcher that has lost events says so by an error.
            if event.as_ref().map_or(true, matters) {
                changed.notify_one();
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
                self.changed.notify_one();
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

/// Our own reading is an event as well (`Access`); to react to it would never end.
fn matters(event: &Event) -> bool {
    let change = EventKind::is_create(&event.kind)
        || EventKind::is_modify(&event.kind)
        || EventKind::is_remove(&event.kind);
    change || event.need_rescan()
}
