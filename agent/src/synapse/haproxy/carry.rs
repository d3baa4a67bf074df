//! What HAProxy forgets at a reload and must not: which servers are down, drained or weighed
//! otherwise (synapse.md §14).
//!
//! Read from the old worker just before the reload, and emptied afterwards: a HAProxy that starts
//! later by itself must not believe it.

use std::path::PathBuf;

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
pub(super) fn clear_leftover(settings: &Settings) {
    if file(settings).exists() {
        empty(settings);
    }
}

/// HAProxy wants the file to be there. Blocking.
pub(super) fn prepare(settings: &Settings) {
    if !file(settings).exists() {
        empty(settings);
    }
}

fn empty(settings: &Settings) {
    if let Err(error) = atomic_file::write_if_changed(&file(settings), EMPTY.as_bytes()) {
        warn!(%error, "the state of servers is not on disk");
    }
}

async fn write(settings: &Settings, text: String) {
    let path = file(settings);
    let write = move || atomic_file::write_if_changed(&path, text.as_bytes());
    if let Ok(Err(error)) = tokio::task::spawn_blocking(write).await {
        warn!(%error, "the state of servers is not on disk");
    }
}
