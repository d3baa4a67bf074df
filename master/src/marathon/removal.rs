//! Removing an app (marathon-sync.md §10.2, step 7, and §16).

use std::time::Duration;

use tokio::time::{self, Instant};

use super::{Error, Marathon};

/// Marathon is given so long to stop the tasks before the app goes.
const TO_STOP: Duration = Duration::from_secs(1);
/// Until an app has left the list, and between two looks.
const TO_GO: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(1));

/// Why an app is still there.
#[derive(Debug, thiserror::Error)]
pub enum Stays {
    #[error(transparent)]
    Marathon(#[from] Error),
    #[error("{id} is still there {} s after it was removed", TO_GO.0.as_secs())]
    Late { id: String },
}

/// No tasks, then no app; returns when it has left the list. `id` has its leading slash.
///
/// # Errors
/// When Marathon does not do it, or not within a minute.
pub async fn take_away(marathon: Marathon<'_>, id: &str) -> Result<(), Stays> {
    marathon.scale(id, 0).await?;
    time::sleep(TO_STOP).await;
    marathon.delete(id).await?;
    let (patience, pause) = TO_GO;
    let until = Instant::now() + patience;
    while marathon.has(id).await? {
        if Instant::now() >= until {
            return Err(Stays::Late { id: id.to_owned() });
        }
        time::sleep(pause).await;
    }
    Ok(())
}
