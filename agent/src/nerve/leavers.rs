//! Who has been told to stop, remembered over a restart of the agent: a new process must not take a
//! dying container for a healthy one (design invariant 2).

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::containers::Container;
use crate::{atomic_file, registry::TaskId};

/// A container that got a stop signal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Leaver {
    /// Another life of the container has not been told anything.
    started_at: String,
    signal: String,
    /// Seconds since 1970 until when it is believed to be leaving.
    until: u64,
}

/// All containers that got a stop signal.
#[derive(Debug)]
pub(super) struct Leavers {
    path: Option<PathBuf>,
    known: BTreeMap<String, Leaver>,
    saved: BTreeMap<String, Leaver>,
}

/// More than any host has containers; a larger file is not ours.
const MAX_BYTES: u64 = 1 << 20;

impl Leavers {
    /// Reads what an earlier process wrote; a file that cannot be read is told and left behind.
    pub(super) async fn remember(path: Option<PathBuf>) -> Self {
        let known = match path.clone() {
            Some(path) => {
                tokio::task::spawn_blocking(move || load(&path)).await.unwrap_or_default()
            }
            None => BTreeMap::new(),
        };
        Self { path, saved: known.clone(), known }
    }

    pub(super) fn told(&mut self, container: &Container, signal: &str, patience: Duration) {
        let until = since_epoch().saturating_add(patience.as_secs());
        let (started_at, signal) = (container.started_at.clone(), signal.to_owned());
        self.known.insert(container.id.to_string(), Leaver { started_at, signal, until });
    }

    /// The signal that this life of the container got, and how long it is still believed.
    pub(super) fn signal(&self, container: &Container) -> Option<(String, Duration)> {
        let leaver = self.known.get(&*container.id.0)?;
        let left = leaver.until.saturating_sub(since_epoch());
        let same = leaver.started_at == container.started_at && left > 0;
        same.then(|| (leaver.signal.clone(), Duration::from_secs(left)))
    }

    pub(super) fn forget(&mut self, id: &TaskId) {
        self.known.remove(&*id.0);
    }

    pub(super) fn keep_only(&mut self, is_running: impl Fn(&str) -> bool) {
        self.known.retain(|id, _| is_running(id));
    }

    /// Writes what has changed.
    pub(super) async fn save(&mut self) {
        let Some(path) = self.path.clone().filter(|_| self.known != self.saved) else { return };
        self.saved = self.known.clone();
        let known = self.known.clone();
        let saved = tokio::task::spawn_blocking(move || {
            let bytes = serde_json::to_vec(&known).unwrap_or_default();
            atomic_file::write(&path, &bytes)
        });
        if let Ok(Err(error)) = saved.await {
            warn!(%error, "who was told to stop is not on disk");
        }
    }
}

fn load(path: &Path) -> BTreeMap<String, Leaver> {
    let read = || match std::fs::metadata(path) {
        Ok(meta) if meta.len() > MAX_BYTES => Err("it is too large".to_owned()),
        Ok(_) => {
            let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
            serde_json::from_slice(&bytes).map_err(|error| error.to_string())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(error.to_string()),
    };
    read().unwrap_or_else(|reason: String| {
        warn!(path = %path.display(), reason, "starting without knowing who was told to stop");
        BTreeMap::new()
    })
}

fn since_epoch() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::{super::containers::tests::container, *};

    #[tokio::test]
    async fn the_next_process_knows_who_was_told_to_stop_and_takes_a_new_life_for_new() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("leaving.json");
        let web = container("web", &[], &[]);
        let mut leavers = Leavers::remember(Some(path.clone())).await;
        leavers.told(&web, "15", Duration::from_secs(600));
        leavers.save().await;
        let mut leavers = Leavers::remember(Some(path.clone())).await;
        let (signal, left) = leavers.signal(&web).unwrap();
        assert!(signal == "15" && left <= Duration::from_secs(600), "{signal} {left:?}");
        let reborn = Container { started_at: "later".to_owned(), ..web.clone() };
        assert_eq!(leavers.signal(&reborn), None);
        leavers.keep_only(|_| false);
        leavers.save().await;
        assert_eq!(Leavers::remember(Some(path)).await.signal(&web), None);
    }

    #[tokio::test]
    async fn a_damaged_file_stops_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("leaving.json");
        atomic_file::write(&path, b"{").unwrap();
        let leavers = Leavers::remember(Some(path)).await;
        assert_eq!(leavers.signal(&container("web", &[], &[])), None);
    }
}
