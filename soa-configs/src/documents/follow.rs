//! Follows a tree of soa-configs: inotify says which service changed, and a look at everything follows
//! after a period regardless.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender},
    time::{Duration, Instant},
};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::{Documents, Look};
use crate::tree::Unreadable;

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
    sender: SyncSender<Hint>,
    watch: Option<RecommendedWatcher>,
    /// Device and number of the directory that is watched.
    watched: Option<(u64, u64)>,
    /// Services to look at again, and when.
    again: Option<(Instant, BTreeSet<String>)>,
    /// When everything is looked at.
    next_full: Instant,
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
        let (sender, hints) = mpsc::sync_channel(MAX_HINTS);
        Self {
            documents: Documents::new(soa_dir),
            period,
            hints,
            sender,
            watch: None,
            watched: None,
            again: None,
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
            if let Some((_, services)) = self.again.take_if(|(when, _)| now >= *when) {
                return Ok(Some(self.look_at(services)));
            }
            if now >= end {
                return Ok(None);
            }
            let due = self.again.as_ref().map_or(self.next_full, |(when, _)| *when);
            let wake = end.min(self.next_full).min(due).min(now + COMPARE);
            match self.hints.recv_timeout(wake.saturating_duration_since(now)) {
                Ok(hint) => match self.collect(hint) {
                    Some(services) => return Ok(Some(self.look_at(services))),
                    None => self.next_full = Instant::now(),
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
        Some(services)
    }

    fn look_at(&mut self, services: BTreeSet<String>) -> Look {
        let mut all = Look::default();
        let mut again = BTreeSet::new();
        for name in services {
            let is_new = self.documents.service(&name).is_none();
            let look = self.documents.refresh_service(&name);
            if is_new || !look.doubts.is_empty() {
                again.insert(name);
            }
            all.files_read += look.files_read;
            all.doubts.extend(look.doubts);
        }
        self.look_again(again);
        all
    }

    fn look_again(&mut self, services: BTreeSet<String>) {
        if services.is_empty() {
            return;
        }
        let when = Instant::now() + SECOND_LOOK;
        self.again.get_or_insert_with(|| (when, BTreeSet::new())).1.extend(services);
    }

    fn look_at_everything(&mut self) -> Result<Look, Unreadable> {
        // Hints from before are answered by this look.
        while self.hints.try_recv().is_ok() {}
        self.again = None;
        if self.watch.is_none() {
            // There may be more watches now than there were.
            self.watch = watch(self.documents.soa_dir(), self.sender.clone());
        }
        let look = self.documents.refresh();
        let is_settled = look.as_ref().is_ok_and(|look| look.doubts.is_empty());
        let pause = if is_settled { self.period } else { self.period.min(SECOND_LOOK) };
        self.next_full = Instant::now() + pause;
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
fn watch(soa_dir: &Path, sender: SyncSender<Hint>) -> Option<RecommendedWatcher> {
    let root = soa_dir.to_owned();
    let handler = move |event: notify::Result<Event>| {
        for hint in hints(&root, event) {
            // A full queue says what one more hint would: look at everything.
            let _ = sender.try_send(hint);
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
        Some(Hint::Service(name.as_os_str().to_str()?.to_owned()))
    };
    event.paths.iter().map(|path| service(path).unwrap_or(Hint::Everything)).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const DEADLINE: Duration = Duration::from_secs(20);

    fn write(dir: &Path, name: &str, text: &str) {
        let file = dir.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::File::create(file).unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Follows until something is so, and says how many files were read for it.
    fn until(follower: &mut Follower, is_so: impl Fn(&Documents) -> bool) -> usize {
        let mut read = 0;
        while !is_so(follower.documents()) {
            let look = follower.next(DEADLINE).unwrap().expect("nothing changed");
            read += look.files_read;
        }
        read
    }

    fn says(documents: &Documents, service: &str, text: &str) -> bool {
        let document = documents.service(service).and_then(|files| files.get("service.yaml"));
        document.is_some_and(|document| &*document.text == text)
    }

    #[test]
    fn a_change_is_seen_without_a_look_at_everything() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..50 {
            write(dir.path(), &format!("s{number}/service.yaml"), "a: 1");
        }
        let mut follower = Follower::new(dir.path(), HOUR);
        assert_eq!(until(&mut follower, |known| says(known, "s7", "a: 1")), 50);
        write(dir.path(), "s7/service.yaml", "a: 22");
        assert!(until(&mut follower, |known| says(known, "s7", "a: 22")) < 5);
        write(dir.path(), "new/service.yaml", "b: 1");
        until(&mut follower, |known| says(known, "new", "b: 1"));
        write(dir.path(), "s8/service.yaml", "a: [");
        write(dir.path(), "s9/service.yaml", "a: 33");
        until(&mut follower, |known| says(known, "s9", "a: 33") && known.problems().count() == 1);
        assert!(says(follower.documents(), "s8", "a: 1"), "its last good state stands");
    }

    #[test]
    fn a_service_that_is_gone_is_believed_after_the_second_look() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "web/service.yaml", "a: 1");
        let mut follower = Follower::new(dir.path(), HOUR);
        until(&mut follower, |known| says(known, "web", "a: 1"));
        fs::remove_dir_all(dir.path().join("web")).unwrap();
        let mut doubted = false;
        while follower.documents().service("web").is_some() {
            let look = follower.next(DEADLINE).unwrap().expect("nothing changed");
            doubted |= !look.doubts.is_empty();
        }
        assert!(doubted);
    }

    #[test]
    fn a_tree_that_appears_late_or_is_replaced_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        let mut follower = Follower::new(&tree, HOUR);
        assert!(follower.next(Duration::ZERO).is_err(), "it is not there yet");
        write(&tree, "web/service.yaml", "a: 1");
        while !says(follower.documents(), "web", "a: 1") {
            let _ = follower.next(DEADLINE);
        }
        write(dir.path(), "other/web/service.yaml", "a: 2");
        fs::rename(&tree, dir.path().join("old")).unwrap();
        fs::rename(dir.path().join("other"), &tree).unwrap();
        while !says(follower.documents(), "web", "a: 2") {
            let _ = follower.next(DEADLINE);
        }
    }

    #[test]
    fn nothing_happens_while_nothing_changes() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "web/service.yaml", "a: 1");
        let mut follower = Follower::new(dir.path(), HOUR);
        until(&mut follower, |known| says(known, "web", "a: 1"));
        assert!(follower.next(Duration::ZERO).unwrap().is_none());
    }
}
