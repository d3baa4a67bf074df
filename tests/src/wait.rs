//! Waiting for a condition instead of for a time.

use std::{fmt::Debug, future::Future, time::Duration};

use tokio::time::{self, Instant};

/// Far above what any condition takes on a busy machine; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Looks until `look` says `Ok`, and returns what it found.
///
/// # Panics
/// With the last `Err` when that does not happen in time.
pub async fn eventually<T, E, F>(what: &str, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, E>>,
    E: Debug,
{
    let end = Instant::now() + PATIENCE;
    loop {
        match look().await {
            Ok(found) => return found,
            Err(last) if Instant::now() > end => panic!("{what}: not after {PATIENCE:?}: {last:?}"),
            Err(_) => time::sleep(LOOK_EVERY).await,
        }
    }
}
