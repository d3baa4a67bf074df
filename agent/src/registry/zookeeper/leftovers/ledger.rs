//! `sessions.json`: which sessions were ours and where they wrote.
//!
//! Losing it costs little: what an unknown session left goes when ZooKeeper expires that session.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::registry::ParentPath;

/// No session lingers so long; ZooKeeper's longest timeout is minutes.
const KEEP_SECONDS: u64 = 3600;

/// A crash loop must not grow the file.
const MOST: usize = 32;

/// Far above anything [`MOST`] sessions can need.
const LONGEST_FILE: u64 = 4 * 1024 * 1024;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Noted {
    /// Paths under which the session wrote.
    parents: BTreeSet<String>,
    /// When it was found to be over, in seconds since 1970; none while it is in use.
    retired: Option<u64>,
}

type Sessions = BTreeMap<i64, Noted>;

#[derive(Debug)]
pub(super) struct Ledger {
    file: PathBuf,
    sessions: Sessions,
    /// The file is behind: it could not be written, or the writing was not waited for.
    unsaved: bool,
    /// Held while the file is written, because a cut-off pass leaves its write running.
    writing: Arc<Mutex<()>>,
}

impl Ledger {
    /// Reads the file; every session in it is an earlier one. Without a readable file there is none.
    pub(super) async fn load(state_dir: PathBuf) -> Self {
        let file = state_dir.join("sessions.json");
        let from = file.clone();
        let read = tokio::task::spawn_blocking(move || read(&from)).await;
        let mut sessions = match read.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
            Ok(sessions) => sessions,
            Err(error) => {
                warn!(%error, file = %file.display(), "cannot read our earlier sessions");
                Sessions::new()
            }
        };
        age(&mut sessions, now());
        Self { file, sessions, unsaved: false, writing: Arc::default() }
    }

    /// Adds to what is noted about `session`, on disk as well. A full disk does not keep records from
    /// being written.
    pub(super) async fn note(&mut self, session: i64, parents: BTreeSet<ParentPath>) {
        let noted = self.sessions.entry(session).or_default();
        let before = noted.parents.len();
        noted.parents.extend(parents.iter().map(ToString::to_string));
        if noted.parents.len() != before || self.unsaved {
            self.save().await;
        }
    }

    pub(super) fn retire(&mut self, session: i64) {
        if let Some(noted) = self.sessions.get_mut(&session) {
            noted.retired = Some(now());
        }
    }

    pub(super) fn earlier(&self) -> BTreeSet<i64> {
        self.sessions.iter().filter(|(_, n)| n.retired.is_some()).map(|(id, _)| *id).collect()
    }

    pub(super) fn parents_of_earlier(&self) -> BTreeSet<ParentPath> {
        let earlier = self.sessions.values().filter(|noted| noted.retired.is_some());
        // The file is no more trusted than any other input.
        earlier.flat_map(|noted| &noted.parents).filter_map(|path| path.parse().ok()).collect()
    }

    /// Forgets the earlier sessions outside `owners` and those that are too old; returns which.
    pub(super) async fn forget_all_but(&mut self, owners: &BTreeSet<i64>) -> Vec<i64> {
        let over = |id: &i64, noted: &Noted| {
            let age = noted.retired.map(|since| now().saturating_sub(since));
            age.is_some_and(|age| !owners.contains(id) || age > KEEP_SECONDS)
        };
        let gone: Vec<i64> =
            self.sessions.iter().filter(|(id, n)| over(id, n)).map(|(id, _)| *id).collect();
        if !gone.is_empty() {
            self.sessions.retain(|id, _| !gone.contains(id));
            self.save().await;
        }
        gone
    }

    async fn save(&mut self) {
        self.unsaved = true;
        let (file, sessions) = (self.file.clone(), self.sessions.clone());
        let writing = Arc::clone(&self.writing);
        let written = tokio::task::spawn_blocking(move || {
            let _alone = writing.lock();
            write(&file, &sessions)
        });
        match written.await.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
            Ok(()) => self.unsaved = false,
            Err(error) => warn!(%error, file = %self.file.display(), "cannot note our session"),
        }
    }
}

/// Retires every session, drops those retired long ago, keeps the newest [`MOST`].
fn age(sessions: &mut Sessions, now: u64) {
    sessions.retain(|_, noted| {
        let since = *noted.retired.get_or_insert(now);
        now.saturating_sub(since) <= KEEP_SECONDS
    });
    let mut by_age: Vec<(u64, i64)> =
        sessions.iter().map(|(id, noted)| (noted.retired.unwrap_or(now), *id)).collect();
    by_age.sort_unstable();
    for (_, id) in by_age.iter().rev().skip(MOST) {
        sessions.remove(id);
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn read(file: &Path) -> io::Result<Sessions> {
    let open = match File::open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Sessions::new()),
        open => open?,
    };
    let mut text = Vec::new();
    open.take(LONGEST_FILE).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

/// Written beside and moved into place, so that a crash leaves the old or the new content.
fn write(file: &Path, sessions: &Sessions) -> io::Result<()> {
    let beside = file.with_extension("json.new");
    let mut new = File::create(&beside)?;
    new.write_all(&serde_json::to_vec(sessions)?)?;
    new.sync_all()?;
    fs::rename(&beside, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parents(paths: &[&str]) -> BTreeSet<ParentPath> {
        paths.iter().map(|path| path.parse().unwrap()).collect()
    }

    #[tokio::test]
    async fn the_next_life_knows_the_sessions_of_this_one() {
        let dir = tempfile::tempdir().unwrap();
        let web = parents(&["/smartstack/global/web.main"]);
        let mut ledger = Ledger::load(dir.path().to_owned()).await;
        ledger.note(-5, web.clone()).await;
        ledger.note(-5, parents(&["/nerve/region:x/web.main"])).await;
        assert!(ledger.earlier().is_empty(), "it is still in use");

        let mut next = Ledger::load(dir.path().to_owned()).await;
        assert_eq!(next.earlier(), [-5].into());
        assert_eq!(next.parents_of_earlier().len(), 2);
        next.note(6, web).await;
        assert_eq!(next.forget_all_but(&BTreeSet::new()).await, [-5]);

        let last = Ledger::load(dir.path().to_owned()).await;
        assert_eq!(last.earlier(), [6].into());
    }

    #[tokio::test]
    async fn a_damaged_file_or_a_missing_directory_stops_nothing() {
        let dir = tempfile::tempdir().unwrap();
        File::create(dir.path().join("sessions.json")).unwrap().write_all(b"{\"1\":").unwrap();
        let mut ledger = Ledger::load(dir.path().to_owned()).await;
        assert!(ledger.earlier().is_empty());
        ledger.note(1, parents(&["/smartstack/global/web.main"])).await;
        assert_eq!(Ledger::load(dir.path().to_owned()).await.earlier(), [1].into());
        let mut nowhere = Ledger::load(dir.path().join("missing")).await;
        nowhere.note(1, parents(&["/smartstack/global/web.main"])).await;
        nowhere.retire(1);
        assert_eq!(nowhere.earlier(), [1].into());
    }

    #[test]
    fn old_sessions_and_too_many_are_dropped() {
        let retired = |at| Noted { retired: Some(at), ..Noted::default() };
        let mut sessions: Sessions =
            (0_u32..40).map(|id| (id.into(), retired(10_000 + u64::from(id)))).collect();
        sessions.insert(100, retired(1));
        sessions.insert(101, Noted::default());
        age(&mut sessions, 10_100);
        assert_eq!(sessions.len(), MOST);
        assert!(!sessions.contains_key(&100) && !sessions.contains_key(&0));
        assert_eq!(sessions[&101].retired, Some(10_100));
    }
}
