//! `sessions.json`: which sessions were ours, in which ensemble, and where they wrote.
//!
//! Losing it costs little: what an unknown session left goes when ZooKeeper expires that session.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::registry::{Ensemble, ParentPath};

/// No session lingers so long; ZooKeeper's longest timeout is minutes.
const KEEP_SECONDS: u64 = 3600;

/// Of one ensemble: a crash loop must not grow the file.
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

/// The same number may mean different sessions in two ensembles.
type Sessions = BTreeMap<(Ensemble, i64), Noted>;

/// One session in the file.
#[derive(Serialize, Deserialize)]
struct Line {
    ensemble: String,
    session: i64,
    #[serde(flatten)]
    noted: Noted,
}

/// The file as it is now, and as it was when there was but one ensemble.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Lines(Vec<Line>),
    OfOne(BTreeMap<String, Noted>),
}

/// What is noted of one ensemble; all share one file.
#[derive(Clone, Debug)]
pub(in crate::registry::zookeeper) struct Ledger {
    ensemble: Ensemble,
    book: Arc<Book>,
}

#[derive(Debug)]
struct Book {
    file: PathBuf,
    sessions: Mutex<Sessions>,
    /// The file is behind: it could not be written, or the writing was not waited for.
    unsaved: AtomicBool,
    /// Held while the file is written: two publishers may have something to note, and a cut-off pass
    /// leaves its write running.
    writing: Mutex<()>,
}

impl Ledger {
    /// Reads the file; every session in it is an earlier one. Without a readable file there is none.
    /// What names no ensemble is of `local`.
    pub(in crate::registry::zookeeper) async fn load(state_dir: PathBuf, local: Ensemble) -> Self {
        let file = state_dir.join("sessions.json");
        let (from, ensemble) = (file.clone(), local.clone());
        let read = tokio::task::spawn_blocking(move || read(&from, &local)).await;
        let mut sessions = match read.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
            Ok(sessions) => sessions,
            Err(error) => {
                warn!(%error, file = %file.display(), "cannot read our earlier sessions");
                Sessions::new()
            }
        };
        age(&mut sessions, now());
        let sessions = Mutex::new(sessions);
        let book =
            Book { file, sessions, unsaved: AtomicBool::new(false), writing: Mutex::default() };
        Self { ensemble, book: Arc::new(book) }
    }

    /// The same file, of another ensemble.
    pub(in crate::registry::zookeeper) fn of(&self, ensemble: Ensemble) -> Self {
        Self { ensemble, book: Arc::clone(&self.book) }
    }

    pub(super) fn ensemble(&self) -> &Ensemble {
        &self.ensemble
    }

    /// The ensembles in which something of an earlier session may be left.
    pub(in crate::registry::zookeeper) fn ensembles_of_earlier(&self) -> BTreeSet<Ensemble> {
        let sessions = self.book.sessions.lock();
        let earlier = sessions.iter().filter(|(_, noted)| noted.retired.is_some());
        earlier.map(|((ensemble, _), _)| ensemble.clone()).collect()
    }

    /// Adds to what is noted about `session`, on disk as well. A full disk does not keep records from
    /// being written.
    pub(super) async fn note(&mut self, session: i64, parents: BTreeSet<ParentPath>) {
        let grown = {
            let mut sessions = self.book.sessions.lock();
            let noted = sessions.entry((self.ensemble.clone(), session)).or_default();
            let before = noted.parents.len();
            noted.parents.extend(parents.iter().map(ToString::to_string));
            noted.parents.len() != before
        };
        if grown || self.book.unsaved.load(Ordering::Relaxed) {
            self.save().await;
        }
    }

    pub(super) fn retire(&mut self, session: i64) {
        let key = (self.ensemble.clone(), session);
        if let Some(noted) = self.book.sessions.lock().get_mut(&key) {
            noted.retired = Some(now());
        }
    }

    pub(super) fn earlier(&self) -> BTreeSet<i64> {
        let now = now();
        self.of_earlier(|id, noted| (!is_old(noted, now)).then_some(id)).into_iter().collect()
    }

    pub(super) fn parents_of_earlier(&self) -> BTreeSet<ParentPath> {
        let parents = self.of_earlier(|_, noted| Some(noted.parents.clone()));
        // The file is no more trusted than any other input.
        parents.iter().flatten().filter_map(|path| path.parse().ok()).collect()
    }

    fn of_earlier<T>(&self, get: impl Fn(i64, &Noted) -> Option<T>) -> Vec<T> {
        let sessions = self.book.sessions.lock();
        let ours = sessions.iter().filter(|((ensemble, _), _)| *ensemble == self.ensemble);
        let earlier = ours.filter(|(_, noted)| noted.retired.is_some());
        earlier.filter_map(|((_, id), noted)| get(*id, noted)).collect()
    }

    /// Forgets the earlier sessions outside `owners` and those that are too old; returns which.
    pub(super) async fn forget_all_but(&mut self, owners: &BTreeSet<i64>) -> Vec<i64> {
        let now = now();
        let over = |id, noted: &Noted| (!owners.contains(&id) || is_old(noted, now)).then_some(id);
        let gone = self.of_earlier(over);
        if !gone.is_empty() {
            self.book
                .sessions
                .lock()
                .retain(|(ensemble, id), _| *ensemble != self.ensemble || !gone.contains(id));
            self.save().await;
        }
        gone
    }

    async fn save(&self) {
        self.book.unsaved.store(true, Ordering::Relaxed);
        let book = Arc::clone(&self.book);
        let written = tokio::task::spawn_blocking(move || {
            let _alone = book.writing.lock();
            let sessions = book.sessions.lock().clone();
            write(&book.file, sessions)
        });
        let file = self.book.file.display();
        match written.await.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
            Ok(()) => self.book.unsaved.store(false, Ordering::Relaxed),
            Err(error) => warn!(%error, %file, "cannot note our session"),
        }
    }
}

fn is_old(noted: &Noted, now: u64) -> bool {
    noted.retired.is_some_and(|since| now.saturating_sub(since) > KEEP_SECONDS)
}

/// Retires every session, drops those retired long ago, keeps the newest [`MOST`] of each ensemble.
fn age(sessions: &mut Sessions, now: u64) {
    sessions.retain(|_, noted| {
        noted.retired.get_or_insert(now);
        !is_old(noted, now)
    });
    let mut by_age: BTreeMap<Ensemble, Vec<(u64, i64)>> = BTreeMap::new();
    for ((ensemble, id), noted) in &*sessions {
        let age = (noted.retired.unwrap_or(now), *id);
        by_age.entry(ensemble.clone()).or_default().push(age);
    }
    for (ensemble, mut ages) in by_age {
        ages.sort_unstable();
        for (_, id) in ages.iter().rev().skip(MOST) {
            sessions.remove(&(ensemble.clone(), *id));
        }
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn read(file: &Path, local: &Ensemble) -> io::Result<Sessions> {
    let open = match File::open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Sessions::new()),
        open => open?,
    };
    let mut text = Vec::new();
    open.take(LONGEST_FILE).read_to_end(&mut text)?;
    Ok(match serde_json::from_slice(&text)? {
        Written::Lines(lines) => lines
            .into_iter()
            .filter_map(|line| Some(((line.ensemble.parse().ok()?, line.session), line.noted)))
            .collect(),
        Written::OfOne(sessions) => sessions
            .into_iter()
            .filter_map(|(id, noted)| Some(((local.clone(), id.parse().ok()?), noted)))
            .collect(),
    })
}

/// Written beside and moved into place, so that a crash leaves the old or the new content.
fn write(file: &Path, sessions: Sessions) -> io::Result<()> {
    let line = |((ensemble, session), noted): ((Ensemble, i64), Noted)| Line {
        ensemble: ensemble.to_string(),
        session,
        noted,
    };
    let lines: Vec<Line> = sessions.into_iter().map(line).collect();
    let beside = file.with_extension("json.new");
    let mut new = File::create(&beside)?;
    new.write_all(&serde_json::to_vec(&lines)?)?;
    new.sync_all()?;
    fs::rename(&beside, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> Ensemble {
        "zk1".parse().unwrap()
    }

    async fn load(dir: &Path) -> Ledger {
        Ledger::load(dir.to_owned(), here()).await
    }

    fn parents(paths: &[&str]) -> BTreeSet<ParentPath> {
        paths.iter().map(|path| path.parse().unwrap()).collect()
    }

    #[tokio::test]
    async fn the_next_life_knows_the_sessions_of_this_one() {
        let dir = tempfile::tempdir().unwrap();
        let web = parents(&["/smartstack/global/web.main"]);
        let mut ledger = load(dir.path()).await;
        ledger.note(-5, web.clone()).await;
        ledger.note(-5, parents(&["/nerve/region:x/web.main"])).await;
        assert!(ledger.earlier().is_empty(), "it is still in use");

        let mut next = load(dir.path()).await;
        assert_eq!(next.earlier(), [-5].into());
        assert_eq!(next.parents_of_earlier().len(), 2);
        next.note(6, web).await;
        assert_eq!(next.forget_all_but(&BTreeSet::new()).await, [-5]);

        let last = load(dir.path()).await;
        assert_eq!(last.earlier(), [6].into());
    }

    #[tokio::test]
    async fn a_damaged_file_or_a_missing_directory_stops_nothing() {
        let dir = tempfile::tempdir().unwrap();
        File::create(dir.path().join("sessions.json")).unwrap().write_all(b"{\"1\":").unwrap();
        let mut ledger = load(dir.path()).await;
        assert!(ledger.earlier().is_empty());
        ledger.note(1, parents(&["/smartstack/global/web.main"])).await;
        assert_eq!(load(dir.path()).await.earlier(), [1].into());
        let mut nowhere = load(&dir.path().join("missing")).await;
        nowhere.note(1, parents(&["/smartstack/global/web.main"])).await;
        nowhere.retire(1);
        assert_eq!(nowhere.earlier(), [1].into());
    }

    #[tokio::test]
    async fn the_same_number_in_another_ensemble_is_another_session() {
        let dir = tempfile::tempdir().unwrap();
        let there: Ensemble = "zk2,zk3".parse().unwrap();
        let mut ledger = load(dir.path()).await;
        ledger.note(5, parents(&["/smartstack/global/web.main"])).await;
        ledger.of(there.clone()).note(5, parents(&["/smartstack/global/api.main"])).await;

        let mut next = load(dir.path()).await;
        assert_eq!(next.ensembles_of_earlier(), [here(), there.clone()].into());
        assert_eq!(next.parents_of_earlier(), parents(&["/smartstack/global/web.main"]));
        assert_eq!(next.forget_all_but(&BTreeSet::new()).await, [5]);
        let last = load(dir.path()).await;
        assert_eq!(last.ensembles_of_earlier(), [there.clone()].into());
        assert_eq!(last.of(there).earlier(), [5].into());
    }

    #[tokio::test]
    async fn a_file_from_before_there_were_ensembles_is_of_the_registry_of_this_host() {
        let dir = tempfile::tempdir().unwrap();
        let text = br#"{"-5":{"parents":["/smartstack/global/web.main"],"retired":null}}"#;
        File::create(dir.path().join("sessions.json")).unwrap().write_all(text).unwrap();
        let ledger = load(dir.path()).await;
        assert_eq!(ledger.earlier(), [-5].into());
        assert_eq!(ledger.parents_of_earlier(), parents(&["/smartstack/global/web.main"]));
    }

    #[test]
    fn old_sessions_and_too_many_of_one_ensemble_are_dropped() {
        let retired = |at| Noted { retired: Some(at), ..Noted::default() };
        let mut sessions: Sessions =
            (0_u32..40).map(|id| ((here(), id.into()), retired(10_000 + u64::from(id)))).collect();
        sessions.insert((here(), 100), retired(1));
        sessions.insert((here(), 101), Noted::default());
        let elsewhere = ("zk2".parse().unwrap(), 0);
        sessions.insert(elsewhere.clone(), retired(9_000));
        age(&mut sessions, 10_100);
        assert_eq!(sessions.len(), MOST + 1);
        assert!(!sessions.contains_key(&(here(), 100)) && !sessions.contains_key(&(here(), 0)));
        assert!(sessions.contains_key(&elsewhere));
        assert_eq!(sessions[&(here(), 101)].retired, Some(10_100));
    }
}
