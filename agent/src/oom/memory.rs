//! Who was told of kills and not that they are over, remembered over a restart of the agent: an alarm that
//! nobody ends would stand for ever.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use soa_configs::Namespace;
use tokio::task::spawn_blocking;
use tracing::warn;

use crate::atomic_file;

/// More than any host has instances; a larger file is not ours.
const MAX_BYTES: u64 = 1 << 20;

#[derive(Debug)]
pub(super) struct Memory {
    path: PathBuf,
    saved: BTreeSet<Namespace>,
}

impl Memory {
    /// Reads what an earlier process wrote; a file that cannot be read is told and left behind.
    pub(super) async fn open(path: PathBuf) -> Self {
        let read = path.clone();
        let loaded = spawn_blocking(move || load(&read)).await;
        let saved = loaded.unwrap_or_else(|error| Err(error.to_string())).unwrap_or_else(|reason| {
            warn!(path = %path.display(), reason, "starting without knowing who was told of oom kills");
            BTreeSet::new()
        });
        Self { path, saved }
    }

    pub(super) fn alarmed(&self) -> BTreeSet<Namespace> {
        self.saved.clone()
    }

    /// Writes what has changed.
    pub(super) async fn save(&mut self, alarmed: BTreeSet<Namespace>) {
        if alarmed == self.saved {
            return;
        }
        self.saved = alarmed.clone();
        let path = self.path.clone();
        let write = move || {
            let bytes = serde_json::to_vec(&alarmed).unwrap_or_default();
            atomic_file::write(&path, &bytes)
        };
        if let Ok(Err(error)) = spawn_blocking(write).await {
            warn!(%error, "who was told of oom kills is not on disk");
        }
    }
}

fn load(path: &Path) -> Result<BTreeSet<Namespace>, String> {
    match std::fs::metadata(path) {
        Ok(meta) if meta.len() > MAX_BYTES => Err("it is too large".to_owned()),
        Ok(_) => {
            let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
            serde_json::from_slice(&bytes).map_err(|error| error.to_string())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_next_process_knows_who_was_told_and_a_broken_file_stops_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("oom.json");
        let mut memory = Memory::open(path.clone()).await;
        assert!(memory.alarmed().is_empty());
        let alarmed: BTreeSet<Namespace> = ["web.main".parse().unwrap()].into();
        memory.save(alarmed.clone()).await;
        assert_eq!(Memory::open(path.clone()).await.alarmed(), alarmed);
        atomic_file::write(&path, b"[\"../etc\"]").unwrap();
        assert!(Memory::open(path).await.alarmed().is_empty());
    }
}
