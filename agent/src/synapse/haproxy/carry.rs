//! What HAProxy forgets at a reload and must not: which servers are down, drained or weighed
//! otherwise (synapse.md §14).
//!
//! Read from the old worker just before the reload, and emptied afterwards: a HAProxy that starts
//! later by itself must not believe it.

use std::path::{Path, PathBuf};

use tracing::warn;

use super::{runtime::Runtime, settings::Settings};
use crate::atomic_file;

/// A version and no servers: without it HAProxy warns.
const EMPTY: &str = "1\n";

/// Where a starting worker finds it.
#[must_use]
pub fn file(settings: &Settings) -> PathBuf {
    let mut name = settings.config_file.clone().into_os_string();
    name.push(".state");
    name.into()
}

/// Saves what the running worker says. Without it the next one begins afresh, which costs some requests
/// and no safety, so failing is only told.
pub(super) async fn save(settings: &Settings, runtime: &mut Runtime) {
    let text = match runtime.run(&["show servers state".to_owned()]).await {
        Ok(replies) => replies.into_iter().next().map(|text| format!("{text}\n")),
        Err(error) => {
            warn!(%error, "the state of servers is not carried over");
            None
        }
    };
    write(settings, text.unwrap_or_else(|| EMPTY.to_owned())).await;
}

/// Nothing is to be carried over.
pub(super) async fn clear(settings: &Settings) {
    write(settings, EMPTY.to_owned()).await;
}

/// Nor is what an earlier life of the agent has left. Blocking.
pub(super) fn clear_leftover(file: &Path) {
    if file.exists() {
        put(file, EMPTY);
    }
}

/// HAProxy wants the file to be there. Blocking.
pub(super) fn prepare(file: &Path) {
    if !file.exists() {
        put(file, EMPTY);
    }
}

async fn write(settings: &Settings, text: String) {
    let path = file(settings);
    // A task that is cut off leaves the file as it was.
    let _ = tokio::task::spawn_blocking(move || put(&path, &text)).await;
}

fn put(file: &Path, text: &str) {
    if let Err(error) = atomic_file::write_if_changed(file, text.as_bytes()) {
        warn!(%error, "the state of servers is not on disk");
    }
}
