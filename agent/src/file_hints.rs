//! Hints that files may have changed: inotify at once, a periodic look regardless.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::{
    sync::mpsc,
    time::{self, Instant},
};
use tracing::debug;

/// A burst of events (an editor, a checkout) is one hint.
const SETTLE: Duration = Duration::from_millis(20);
/// A directory that appears late, or a symlink that is switched, makes no event: inodes are compared
/// this often, and before each look.
const COMPARE: Duration = Duration::from_secs(5);

/// What to watch.
#[derive(Clone, Debug)]
pub struct Watched {
    pub path: PathBuf,
    pub recursive: bool,
}

/// Tells when a look is due. A hint never says what changed: the reader looks for itself.
#[derive(Debug)]
pub struct FileHints {
    watched: Arc<[Watched]>,
    period: Duration,
    attached: Attached,
    hints: mpsc::Receiver<()>,
    sender: mpsc::Sender<()>,
}

/// One set of watches. Those die silently when their directory is moved away.
#[derive(Debug)]
struct Attached {
    since: Instant,
    /// What each path was then: device and number. `None`: nothing.
    inodes: Vec<Option<(u64, u64)>>,
    _watcher: Option<RecommendedWatcher>,
}

impl FileHints {
    /// Watches `watched`. All is attached anew after each `period`, and soon after a path is another
    /// file or directory than it was, or is there at last.
    #[must_use]
    pub fn new(watched: Vec<Watched>, period: Duration) -> Self {
        let (sender, hints) = mpsc::channel(1);
        let attached = attach(&watched, inodes(&watched), &sender);
        Self { watched: watched.into(), period, attached, hints, sender }
    }

    /// Waits for the next hint, or for the end of the period.
    pub async fn next(&mut self) {
        self.next_within(self.period).await;
    }

    /// Looks again after `pause`, or at a hint if one comes earlier.
    pub async fn next_within(&mut self, pause: Duration) {
        let end = Instant::now() + pause.min(self.period);
        loop {
            let wake = end.min(Instant::now() + COMPARE);
            let hinted = time::timeout_at(wake, self.hints.recv()).await.is_ok();
            if hinted {
                time::sleep(SETTLE).await;
                while self.hints.try_recv().is_ok() {}
            }
            // Before the look, or a change between the two would be missed.
            let is_new = self.attach_if_due().await;
            if hinted || is_new || Instant::now() >= end {
                return;
            }
        }
    }

    /// Returns whether it was due. Has a deadline of its own: hints and short pauses do not put it off.
    async fn attach_if_due(&mut self) -> bool {
        let (watched, sender) = (Arc::clone(&self.watched), self.sender.clone());
        let before = self.attached.inodes.clone();
        let overdue = self.attached.since.elapsed() >= self.period;
        let attached = tokio::task::spawn_blocking(move || {
            let now = inodes(&watched);
            (overdue || now != before).then(|| attach(&watched, now, &sender))
        });
        let Ok(Some(attached)) = attached.await else { return false };
        self.attached = attached;
        true
    }
}

/// `inodes` are older than the watches: what is replaced in between is found by the next comparison.
fn attach(
    watched: &[Watched],
    inodes: Vec<Option<(u64, u64)>>,
    sender: &mpsc::Sender<()>,
) -> Attached {
    let sender = sender.clone();
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
        for Watched { path, recursive } in watched {
            let mode =
                if *recursive { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
            if let Err(error) = watcher.watch(path, mode) {
                debug!(path = %path.display(), %error, "cannot watch; looking periodically");
            }
        }
        watcher
    });
    Attached { since: Instant::now(), inodes, _watcher: watcher.ok() }
}

fn inodes(watched: &[Watched]) -> Vec<Option<(u64, u64)>> {
    let inode = |path: &Path| fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
    watched.iter().map(|watched| inode(&watched.path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(600);
    const PATIENCE: Duration = Duration::from_secs(20);

    fn hints(path: &Path, period: Duration) -> FileHints {
        FileHints::new(vec![Watched { path: path.to_owned(), recursive: true }], period)
    }

    fn write(path: &Path) {
        fs::File::create(path).unwrap();
    }

    async fn is_told(hints: &mut FileHints) {
        time::timeout(PATIENCE, hints.next()).await.unwrap();
    }

    #[tokio::test]
    async fn a_change_is_told_long_before_the_period() {
        let dir = tempfile::tempdir().unwrap();
        let mut hints = hints(dir.path(), LONG);
        fs::create_dir(dir.path().join("service")).unwrap();
        is_told(&mut hints).await;
        crate::atomic_file::write(&dir.path().join("service/file"), b"x").unwrap();
        is_told(&mut hints).await;
    }

    #[tokio::test]
    async fn a_directory_that_appears_late_is_watched_from_the_next_look_on() {
        let dir = tempfile::tempdir().unwrap();
        let late = dir.path().join("late");
        let mut hints = hints(&late, LONG);
        fs::create_dir(&late).unwrap();
        hints.next_within(Duration::from_millis(1)).await;
        write(&late.join("file"));
        is_told(&mut hints).await;
    }

    #[tokio::test]
    async fn a_switched_symlink_is_told_and_followed_without_any_look() {
        let dir = tempfile::tempdir().unwrap();
        let [old, new, link] = ["old", "new", "link"].map(|name| dir.path().join(name));
        fs::create_dir(&old).unwrap();
        fs::create_dir(&new).unwrap();
        std::os::unix::fs::symlink(&old, &link).unwrap();
        let mut hints = hints(&link, LONG);
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(&new, &link).unwrap();
        is_told(&mut hints).await;
        write(&new.join("file"));
        is_told(&mut hints).await;
    }

    #[tokio::test]
    async fn looks_that_come_often_do_not_put_off_what_is_attached_each_period() {
        let dir = tempfile::tempdir().unwrap();
        let mut hints = hints(dir.path(), Duration::from_millis(200));
        let first = hints.attached.since;
        let attached_anew = async {
            while hints.attached.since == first {
                hints.next_within(Duration::from_millis(1)).await;
            }
        };
        time::timeout(PATIENCE, attached_anew).await.unwrap();
    }
}
