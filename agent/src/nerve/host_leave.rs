//! Whether the whole host is on its way out: before a shutdown, or because an operator says so.
//!
//! The word is kept in a file beside the admin socket, on a file system that a reboot empties: an agent
//! that is started anew stays out of service, a host that is started anew does not.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::sync::watch;
use tracing::{info, warn};

use crate::atomic_file;

/// The longest reason that is kept.
const MAX_REASON: usize = 200;
/// A larger file is not ours.
const MAX_BYTES: u64 = 4096;

/// Says that the host leaves or returns, and tells who wants to know. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HostLeave {
    memory: Arc<Path>,
    /// Why the host leaves; `None`: it serves.
    reason: watch::Sender<Option<Arc<str>>>,
}

/// The word could not be written down: it holds, but not beyond a restart of the agent.
#[derive(Debug, thiserror::Error)]
#[error("the host's leave is in force, but {} cannot be changed", path.display())]
pub struct NotOnDisk {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl HostLeave {
    /// Remembers what an earlier agent was told.
    pub async fn open(memory: PathBuf) -> Self {
        let path = memory.clone();
        let reason = tokio::task::spawn_blocking(move || load(&path)).await.unwrap_or_default();
        if let Some(reason) = &reason {
            warn!(reason = &**reason, memory = %memory.display(), "this host is still on its way out");
        }
        Self { memory: memory.into(), reason: watch::Sender::new(reason) }
    }

    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.reason.subscribe()
    }

    /// Why the host leaves; `None`: it serves.
    #[must_use]
    pub fn reason(&self) -> Option<Arc<str>> {
        self.reason.borrow().clone()
    }

    /// Takes every task of the host out of service, until [`Self::come_back`].
    ///
    /// # Errors
    /// When it cannot be written down; it is in force nevertheless.
    pub async fn leave(&self, reason: &str) -> Result<(), NotOnDisk> {
        let reason: Arc<str> = one_line(reason).into();
        info!(reason = &*reason, "this host leaves");
        self.reason.send_replace(Some(Arc::clone(&reason)));
        self.write(move |path| {
            atomic_file::write(path, reason.as_bytes()).map_err(io::Error::other)
        })
        .await
    }

    /// Brings the host back into service.
    ///
    /// # Errors
    /// When that cannot be written down; it is in force nevertheless.
    pub async fn come_back(&self) -> Result<(), NotOnDisk> {
        if self.reason.send_replace(None).is_some() {
            info!("this host is back in service");
        }
        self.write(|path| match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
        .await
    }

    async fn write(
        &self,
        change: impl FnOnce(&Path) -> io::Result<()> + Send + 'static,
    ) -> Result<(), NotOnDisk> {
        let path = Arc::clone(&self.memory);
        let written = tokio::task::spawn_blocking(move || change(&path)).await;
        written
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(|source| NotOnDisk { path: self.memory.to_path_buf(), source })
    }
}

fn load(path: &Path) -> Option<Arc<str>> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Ok(meta) if meta.is_file() && meta.len() <= MAX_BYTES => {}
        // In doubt out of service: somebody wanted this host to get no requests.
        _ => return Some("told so before".into()),
    }
    let text = fs::read(path).unwrap_or_default();
    Some(one_line(&String::from_utf8_lossy(&text)).into())
}

/// Fit for a log, a table and hacheck's answer; never empty.
fn one_line(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).take(MAX_REASON).collect();
    if text.trim().is_empty() { "told to".to_owned() } else { text.trim().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_next_agent_knows_that_the_host_leaves_until_it_is_told_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        let memory = dir.path().join("host-leaves");
        let open = async || HostLeave::open(memory.clone()).await;
        let host = open().await;
        assert_eq!(host.reason(), None);
        host.leave("shutdown\nof host7").await.unwrap();
        assert_eq!(host.reason().as_deref(), Some("shutdownof host7"));
        let next = open().await;
        assert_eq!(next.reason(), host.reason());
        next.come_back().await.unwrap();
        next.come_back().await.unwrap();
        assert_eq!((next.reason(), open().await.reason()), (None, None));
    }

    #[tokio::test]
    async fn a_spoilt_memory_leaves_the_host_out() {
        let dir = tempfile::tempdir().unwrap();
        let memory = dir.path().join("host-leaves");
        fs::create_dir(&memory).unwrap();
        assert!(HostLeave::open(memory).await.reason().is_some());
    }

    #[tokio::test]
    async fn a_disk_that_refuses_is_told_and_the_word_holds() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a-file");
        atomic_file::write(&file, b"").unwrap();
        let host = HostLeave::open(file.join("host-leaves")).await;
        host.come_back().await.unwrap_err();
        assert!(host.leave("shutdown").await.is_err());
        assert!(host.reason().is_some());
    }
}
