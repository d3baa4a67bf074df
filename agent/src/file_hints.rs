//! Hints that files may have changed: inotify at once, a periodic look regardless.

use std::{path::PathBuf, time::Duration};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::{
    sync::mpsc,
    time::{self, Instant},
};
use tracing::debug;

/// A burst of events (an editor, a checkout) is one hint.
const SETTLE: Duration = Duration::from_millis(20);

/// What to watch.
#[derive(Clone, Debug)]
pub struct Watched {
    pub path: PathBuf,
    pub recursive: bool,
}

/// Tells when a look is due. A hint never says what changed: the reader looks for itself.
#[derive(Debug)]
pub struct FileHints {
    watched: Vec<Watched>,
    period: Duration,
    watcher: Option<RecommendedWatcher>,
    hints: mpsc::Receiver<()>,
    sender: mpsc::Sender<()>,
}

impl FileHints {
    /// Watches `watched`; a path that cannot be watched now is tried again after each `period`.
    #[must_use]
    pub fn new(watched: Vec<Watched>, period: Duration) -> Self {
        let (sender, hints) = mpsc::channel(1);
        let mut this = Self { watched, period, watcher: None, hints, sender };
        this.attach();
        this
    }

    /// Waits for the next hint, or for the end of the period.
    pub async fn next(&mut self) {
        match time::timeout(self.period, self.hints.recv()).await {
            Ok(_) => {
                let settled = Instant::now() + SETTLE;
                time::sleep_until(settled).await;
                while self.hints.try_recv().is_ok() {}
            }
            // A watch dies silently when its directory is moved away or a symlink is switched.
            Err(_) => self.attach(),
        }
    }

    /// Looks again after `pause`, or at a hint if one comes earlier.
    pub async fn next_within(&mut self, pause: Duration) {
        let _ = time::timeout(pause, self.next()).await;
    }

    fn attach(&mut self) {
        let sender = self.sender.clone();
        // Reading a file is an event too; taking those for changes would never end.
        let handler = move |event: notify::Result<notify::Event>| {
            let changes = |kind| {
                matches!(kind, EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_))
            };
            if event.map_or(true, |event| changes(event.kind) || event.need_rescan()) {
                let _ = sender.try_send(());
            }
        };
        let watcher = notify::recommended_watcher(handler).map(|mut watcher| {
            for Watched { path, recursive } in &self.watched {
                let mode =
                    if *recursive { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
                if let Err(error) = watcher.watch(path, mode) {
                    debug!(path = %path.display(), %error, "cannot watch; looking periodically");
                }
            }
            watcher
        });
        self.watcher = watcher.ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_is_told_long_before_the_period() {
        let dir = tempfile::tempdir().unwrap();
        let watched = Watched { path: dir.path().to_owned(), recursive: true };
        let mut hints = FileHints::new(vec![watched], Duration::from_secs(600));
        std::fs::create_dir(dir.path().join("service")).unwrap();
        time::timeout(Duration::from_secs(20), hints.next()).await.unwrap();
        crate::atomic_file::write(&dir.path().join("service/file"), b"x").unwrap();
        time::timeout(Duration::from_secs(20), hints.next()).await.unwrap();
    }
}
