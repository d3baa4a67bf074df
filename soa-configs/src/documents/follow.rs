//! Follows a tree of soa-configs: inotify says which service changed, and a look at everything follows
//! after a period regardless.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender},
    },
    time::{Duration, Instant},
};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::{Documents, Look, ServiceDocuments};
use crate::{tree::Unreadable, watched::Trust};

/// A burst of events (an editor, a checkout) is one hint.
const SETTLE: Duration = Duration::from_millis(2);
/// What is suddenly gone is believed if it is gone after this, too. A directory that has just appeared
/// is looked at again, because files that came with it may have made no event.
const SECOND_LOOK: Duration = Duration::from_secs(1);
/// A tree that appears late, or a link to it that is switched, makes no event: its inode is compared
/// this often.
const COMPARE: Duration = Duration::from_secs(5);
/// Events that are held; beyond, everything is looked at.
const MAX_HINTS: usize = 1024;

/// Documents that keep themselves current. Waits in the thread that asks; dropping it ends the watch.
#[derive(Debug)]
pub struct Follower {
    documents: Documents,
    period: Duration,
    hints: Receiver<Hint>,
    sender: Sender,
    watch: Option<RecommendedWatcher>,
    /// Device and number of the directory that is watched.
    watched: Option<(u64, u64)>,
    /// Services to look at again, and when: only then is it believed that something is gone.
    again: BTreeMap<String, Instant>,
    /// When everything is looked at.
    next_full: Instant,
}

/// Puts hints into the queue.
#[derive(Clone, Debug)]
struct Sender {
    queue: SyncSender<Hint>,
    /// The queue was full, so there are changes that no hint tells.
    lost: Arc<AtomicBool>,
}

impl Sender {
    fn send(&self, hint: Hint) {
        // The other end is gone when nobody follows any more.
        if self.queue.try_send(hint).is_err() {
            self.lost.store(true, Ordering::Release);
        }
    }
}

/// What an event says.
#[derive(Debug)]
enum Hint {
    /// Something of a service changed.
    Service(String),
    /// Events were lost, or something changed that is no service's.
    Everything,
}

impl Follower {
    /// Watches a directory. Everything is looked at by the first [`Self::next`], and then after each
    /// `period` at the latest. Without inotify only the period counts.
    #[must_use]
    pub fn new(soa_dir: impl Into<PathBuf>, period: Duration) -> Self {
        let (queue, hints) = mpsc::sync_channel(MAX_HINTS);
        let sender = Sender { queue, lost: Arc::default() };
        Self {
            documents: Documents::new(soa_dir),
            period,
            hints,
            sender,
            watch: None,
            watched: None,
            again: BTreeMap::new(),
            next_full: Instant::now(),
        }
    }

    /// What is known now.
    #[must_use]
    pub fn documents(&self) -> &Documents {
        &self.documents
    }

    /// Waits until something may have changed, and looks. `None`: nothing did within `at_most`.
    ///
    /// # Errors
    /// When everything was to be looked at and the directory cannot be listed: all that was known
    /// stands, and the next look comes a second later.
    pub fn next(&mut self, at_most: Duration) -> Result<Option<Look>, Unreadable> {
        let end = Instant::now() + at_most;
        loop {
            self.attach();
            let now = Instant::now();
            if now >= self.next_full {
                return self.look_at_everything().map(Some);
            }
            let due = self.again.extract_if(.., |_, when| now >= *when);
            let due: BTreeSet<String> = due.map(|(name, _)| name).collect();
            if !due.is_empty() {
                return Ok(Some(self.look_at(due, Trust::SecondLook)));
            }
            if now >= end {
                return Ok(None);
            }
            let due = self.again.values().min().copied().unwrap_or(self.next_full);
            let wake = end.min(self.next_full).min(due).min(now + COMPARE);
            match self.hints.recv_timeout(wake.saturating_duration_since(now)) {
                Ok(hint) => match self.collect(hint) {
                    Some(services) => return Ok(Some(self.look_at(services, Trust::FirstLook))),
                    // Directories may have appeared that are not watched, or the root is another one.
                    None => {
                        self.watched = None;
                        self.next_full = Instant::now();
                    }
                },
                // This end holds a sender, so the channel is never closed.
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
    }

    /// All services of a burst of events. `None`: everything.
    fn collect(&self, first: Hint) -> Option<BTreeSet<String>> {
        let mut services = BTreeSet::new();
        let mut next = Some(first);
        while let Some(hint) = next {
            match hint {
                Hint::Service(name) => services.insert(name),
                Hint::Everything => return None,
            };
            if services.len() >= MAX_HINTS / 2 {
                return None;
            }
            next = self.hints.recv_timeout(SETTLE).ok();
        }
        if self.sender.lost.load(Ordering::Acquire) {
            return None;
        }
        Some(services)
    }

    fn look_at(&mut self, services: BTreeSet<String>, trust: Trust) -> Look {
        let mut all = Look::default();
        for name in services {
            let before = self.documents.service(&name).map(ServiceDocuments::doubts);
            let look = self.documents.look_at_service(&name, trust);
            // A new doubt waits for its full time.
            if before.is_none_or(|before| look.doubts.len() > before) {
                self.again.insert(name, Instant::now() + SECOND_LOOK);
            }
            all.files_read += look.files_read;
            all.doubts.extend(look.doubts);
        }
        all
    }

    fn look_at_everything(&mut self) -> Result<Look, Unreadable> {
        // Hints from before are answered by this look.
        self.sender.lost.store(false, Ordering::Release);
        while self.hints.try_recv().is_ok() {}
        if self.watch.is_none() {
            // There may be more watches now than there were.
            self.watch = watch(self.documents.soa_dir(), self.sender.clone());
        }
        let look = self.documents.look(Trust::FirstLook);
        let pause = if look.is_ok() { self.period } else { self.period.min(SECOND_LOOK) };
        self.next_full = Instant::now() + pause;
        let again = Instant::now() + SECOND_LOOK;
        for (name, _) in self.documents.services().filter(|(_, files)| files.doubts() > 0) {
            self.again.entry(name.to_owned()).or_insert(again);
        }
        look
    }

    /// Watches the directory, if it is not the one that is watched.
    fn attach(&mut self) {
        let soa_dir = self.documents.soa_dir().to_owned();
        let inode = fs::metadata(&soa_dir).ok().map(|meta| (meta.dev(), meta.ino()));
        if inode == self.watched {
            return;
        }
        self.watch = watch(&soa_dir, self.sender.clone());
        self.watched = inode;
        self.next_full = Instant::now();
    }
}

/// `None`: it cannot be watched.
fn watch(soa_dir: &Path, sender: Sender) -> Option<RecommendedWatcher> {
    let root = soa_dir.to_owned();
    let handler = move |event: notify::Result<Event>| {
        for hint in hints(&root, event) {
            sender.send(hint);
        }
    };
    let mut watcher = notify::recommended_watcher(handler).ok()?;
    watcher.watch(soa_dir, RecursiveMode::Recursive).ok()?;
    Some(watcher)
}

fn hints(root: &Path, event: notify::Result<Event>) -> Vec<Hint> {
    let Ok(event) = event else { return vec![Hint::Everything] };
    if event.need_rescan() {
        return vec![Hint::Everything];
    }
    // Reading a file is an event, too; taking those for changes would never end.
    if !matches!(event.kind, EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_)) {
        return Vec::new();
    }
    let service = |path: &PathBuf| {
        let name = path.strip_prefix(root).ok()?.components().next()?;
        Some(name.as_os_str().to_str()?.to_owned())
    };
    let hint = |path| match service(path) {
        // No service: git's own files, or a copy that is not complete.
        Some(name) if name.starts_with('.') => None,
        Some(name) => Some(Hint::Service(name)),
        None => Some(Hint::Everything),
    };
    event.paths.iter().filter_map(hint).collect()
}

#[cfg(test)]
mod tests;
